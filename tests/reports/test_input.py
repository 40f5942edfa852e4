"""What is asked for wrongly is refused with its name and what is allowed, and never crashes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.browser.service import sample_farm

TIMES = ("starttime", "endtime", "from", "to", "hours")
PARAMS = {
    "waittimes": (*TIMES, "pool", "mpb", "maxb", "num", "int_size"),
    "pushes": (*TIMES, "branches", "type", "int_size"),
    "builders": (*TIMES, "branch_name", "platform", "build_type", "job_type", "detail_level"),
    "builder/x": TIMES,
    "endtoend": (*TIMES, "branch_name"),
    "trychooser": (*TIMES, "branch_name"),
    "revision": ("branch_name", "revision"),
    "slaves": (*TIMES, "int_size", "last_int_size", "type"),
    "slaves/1": (*TIMES, "int_size", "last_int_size", "type"),
    "status_builders": TIMES,
    "status_builders/x": TIMES,
    "testruns": TIMES,
    "idlejobs": (*TIMES, "int_size"),
    "names": TIMES,
}
EVERY_NAME = sorted({name for names in PARAMS.values() for name in names})
WRONG = [(path, name) for path, names in PARAMS.items() for name in names]
WORDS = {"starttime": "seconds", "endtime": "seconds", "from": "dates", "to": "dates"}


@attrs.frozen
class Answer:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@pytest.fixture(scope="module")
def farm() -> Iterator[str]:
    """Run a sample farm; give its address."""
    with tempfile.TemporaryDirectory(prefix="buildapi-input-") as folder:
        service = sample_farm(Path(folder), builds=300)
        try:
            service.up()
            yield service.client.url
        finally:
            service.stop()


def asked(farm: str, path: str, **headers: str) -> Answer:
    request = Request(farm + path, headers={"Accept": "application/json", **headers})
    try:
        with urlopen(request, timeout=120) as answer:
            return Answer(answer.status, dict(answer.headers.items()), answer.read())
    except HTTPError as e:
        return Answer(e.code, dict(e.headers.items()), e.read())


def message(answer: Answer) -> str:
    return str(json.loads(answer.body)["msg"])


@pytest.mark.parametrize(("path", "name"), WRONG)
def test_a_wrong_value_is_named_with_what_is_allowed(farm: str, path: str, name: str) -> None:
    answer = asked(farm, f"/reports/{path}?{name}=%3Cwrong%3E")
    assert answer.status == 400
    assert message(answer).startswith(f"Bad {name}: '<wrong>'; allowed are ")
    assert WORDS.get(name, "") in message(answer)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("starttime=2&endtime=1", "Bad starttime: must not be after endtime"),
        ("starttime=-1", "Bad starttime: '-1'"),
        ("starttime=1e3", "Bad starttime: '1e3'"),
        ("starttime=nan", "Bad starttime: 'nan'"),
        ("endtime=999999999999999", "Bad endtime: '999999999999999'"),
        ("int_size=1&hours=48", "Bad int_size: '1'; allowed are at most 5000 intervals"),
        ("mpb=0", "Bad mpb: '0'; allowed are whole numbers from 1 to 100000"),
        ("mpb=1.5", "Bad mpb: '1.5'"),
        ("format=xml", "Unsupported format: xml; allowed are html, json, csv, chart"),
        ("format=csv&table=x", "Bad table: 'x'; allowed are platforms"),
        ("format=chart&tqx=a:b:c", "tqx: 'a:b:c' is not key:value"),
    ],
)
def test_bounds_are_told(farm: str, query: str, words: str) -> None:
    answer = asked(farm, f"/reports/waittimes?{query}")
    assert answer.status == 400
    assert message(answer).startswith(words)


def test_of_several_values_the_last_one_counts(farm: str) -> None:
    times = "starttime=1434564000&endtime=1434650400"
    answer = asked(farm, f"/reports/waittimes?mpb=x&mpb=30&{times}")
    assert json.loads(answer.body)["mpb"] == 30


def test_dates_are_read_in_the_zone_of_the_farm(farm: str) -> None:
    answer = asked(farm, "/reports/pushes?from=2015-06-17&to=2015-06-18T00:00")
    body = json.loads(answer.body)
    assert (body["starttime"], body["endtime"]) == (1_434_524_400, 1_434_610_800)


def test_a_reader_who_has_it_gets_nothing_again(farm: str) -> None:
    path = "/reports/pushes?starttime=1434564000&endtime=1434650400"
    first = asked(farm, path)
    again = asked(farm, path, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_csv_has_a_name_and_no_formula(farm: str) -> None:
    answer = asked(farm, "/reports/builders?format=csv&hours=96")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="builders.csv"'
    assert not [line for line in answer.body.decode().splitlines() if line[0] in "=+-@"]


Texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["0", "-1", "1e999", "99999999999999999999", "%", "'", "\x00", "1434564000", "all", "true"]
)


@given(
    st.sampled_from([*PARAMS, "testruns"]),
    st.lists(st.tuples(st.sampled_from(EVERY_NAME), Texts), max_size=4),
    st.sampled_from(["json", "html", "csv", "chart", ""]),
)
def test_nothing_crashes(farm: str, path: str, query: list[tuple[str, str]], form: str) -> None:
    answer = asked(farm, f"/reports/{path}?{urlencode([*query, ('format', form)])}")
    assert answer.status in (200, 302, 400, 404), answer


@given(st.sampled_from(["builder", "status_builders", "waittimes", "slaves", "endtoend"]), Texts)
def test_no_path_crashes(farm: str, report: str, text: str) -> None:
    answer = asked(farm, f"/reports/{report}/{quote(text, safe='')}?hours=1")
    assert answer.status in (200, 301, 400, 404), answer
