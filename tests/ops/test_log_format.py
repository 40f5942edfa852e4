"""Lines of the log: one event, one line that says which request and job it is about."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from buildapi import tracing
from buildapi.ops import log_format as module
from buildapi.ops.log_format import as_json, as_text, level_of

AT = 1_795_819_765.046


def event(text: str = "job {id} done", **fields: Any) -> dict[str, Any]:
    plain = {
        "log_time": AT,
        "log_level": LogLevel.info,
        "log_namespace": "buildapi.x",
        "log_format": text,
        "id": 4711,
    }
    return plain | fields


def failure(text: str = "broken") -> Failure:
    try:
        raise ValueError(text)
    except ValueError:
        return Failure()


def told(found: Any) -> dict[str, Any]:
    line = as_json(found)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    value = json.loads(line)
    assert isinstance(value, dict)
    return value


# --- text


def test_a_text_line_has_time_origin_and_message() -> None:
    line = as_text(event())
    pattern = r"2026-11-2\dT\d\d:49:25[+-]\d{4} \[buildapi.x#info\] job 4711 done\n"
    assert re.fullmatch(pattern, line)


def test_a_text_line_says_which_request_and_job_it_is_about() -> None:
    with tracing.about("rid-1", 4711):
        assert "[buildapi.x#info] [rid-1 job 4711] job" in as_text(event())
    with tracing.about("rid-1"):
        assert "[buildapi.x#info] [rid-1] job" in as_text(event())
    with tracing.about(job=4711):
        assert "[buildapi.x#info] [job 4711] job" in as_text(event())


def test_what_somebody_sent_makes_no_line_of_its_own() -> None:
    forged = "x\n2026-01-01T00:00:00+0000 [buildapi#info] job 1 done\r\x1b[2J\u2028"
    lines = as_text(event("{who}", who=forged)).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("\t2026")
    assert "\\r\\x1b[2J\\u2028" in lines[1]


def test_a_traceback_follows_its_line_indented() -> None:
    lines = as_text(event("oh", log_failure=failure())).splitlines()
    assert lines[0].endswith("oh")
    assert all(line.startswith("\t") for line in lines[1:])
    assert "ValueError: broken" in lines[-1]


# --- JSON


def test_a_json_line_has_the_fields_of_its_event() -> None:
    with tracing.about("rid-1", 4711):
        found = told(event(incident="ab12", name="zoë", share=0.5, many=[1]))
    assert found == {
        "ts": "2026-11-27T22:49:25.046Z",
        "level": "info",
        "ns": "buildapi.x",
        "msg": "job 4711 done",
        "trace": "rid-1",
        "job": 4711,
        "incident": "ab12",
        "id": 4711,
        "name": "zoë",
        "share": 0.5,
    }


def test_what_it_is_not_about_is_left_out() -> None:
    assert set(told(event("x"))) == {"ts", "level", "ns", "msg", "id"}


def test_fields_do_not_take_the_place_of_ours() -> None:
    with tracing.about("rid-1", 4711):
        found = told(event(trace="forged", job=1, level="x", ts="x", ns="x", msg="x"))
    assert (found["trace"], found["job"], found["level"]) == ("rid-1", 4711, "info")
    assert (found["ns"], found["msg"]) == ("buildapi.x", "job 4711 done")


def test_a_failure_has_its_traceback() -> None:
    found = told(event("oh", log_failure=failure()))
    assert found["msg"] == "oh"
    assert found["traceback"].endswith("ValueError: broken")
    assert found["traceback"].startswith("Traceback")


def test_a_long_traceback_keeps_its_end() -> None:
    found = told(event("oh", log_failure=failure("y" * 50_000 + " at last")))
    assert len(found["traceback"]) <= module.TRACEBACK_MAX + 10
    assert found["traceback"].endswith("at last")


def test_a_line_is_bounded() -> None:
    many = {f"f{n}": "x" * 10_000 for n in range(200)}
    found = told(event("y" * 100_000, **many))
    assert len(found["msg"]) < module.MESSAGE_MAX + 10
    assert len(found) <= module.FIELDS_MOST + len(module.OURS)
    assert len(json.dumps(found)) < 50_000


@pytest.mark.parametrize("form", [as_text, as_json])
@pytest.mark.parametrize(
    "secret",
    [
        "bapi_abcDEF123456",
        "mysql://buildapi:hunter2@db/jobs",
        "Authorization: Basic dXNlcjpodW50ZXIy",
        "Authorization: Bearer hunter2hunter2",
    ],
)
def test_secrets_are_hidden(form: Any, secret: str) -> None:
    line = form(event("failed: {why}", why=secret))
    assert "***" in line
    for part in ("abcDEF123456", "hunter2", "dXNlcjpodW50ZXIy"):
        assert part not in line


@pytest.mark.parametrize("form", [as_text, as_json])
@pytest.mark.parametrize("most", [module.MESSAGE_MAX, module.FIELD_MAX])
def test_a_password_is_hidden_where_the_text_is_cut_within_it(form: Any, most: int) -> None:
    url = "mysql://buildapi:hunter2hunter2@db/jobs"
    for before in range(most - len(url), most):
        line = form(event("{where}", where="x" * (before - 1) + " " + url))
        assert "hunter" not in line


def test_fields_whose_names_say_secret_are_left_out() -> None:
    found = told(event("x", password="hunter2", form_secret="hunter2", cookie="hunter2"))
    assert "hunter2" not in json.dumps(found)


class Unfit:
    def __str__(self) -> str:
        raise RuntimeError("cannot be shown")

    __repr__ = __str__


@pytest.mark.parametrize(
    "odd",
    [
        event("{odd}", odd=Unfit()),
        event("{missing}"),
        event("{"),
        event("x", log_time="never"),
        event("x", log_time=float("nan")),
        event("x", log_time=1e300),
        event("x", log_level="loud"),
        event("x", log_failure="no failure"),
        event("x", log_namespace=Unfit()),
        event("x", log_system="a\nb"),
        event("x", big=10**5000),
        {},
        {"message": ("a", "b"), "isError": 0, "system": "-"},
    ],
    ids=range(13),
)
def test_an_odd_event_is_a_line_too(odd: dict[str, Any]) -> None:
    told(odd)
    text = as_text(odd)
    assert text.endswith("\n")
    assert all(line.startswith("\t") for line in text.splitlines()[1:])


def test_an_event_without_a_level_is_info_unless_it_is_an_error() -> None:
    assert level_of({}) is LogLevel.info
    assert level_of({"isError": 1}) is LogLevel.error
    assert level_of({"log_level": LogLevel.warn}) is LogLevel.warn


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.integers(), max_size=2),
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(), values, max_size=8), st.text(), st.text())
def test_any_event_is_one_object_on_one_line_of_ascii(
    fields: dict[str, Any], text: str, namespace: str
) -> None:
    one = {**fields, "log_format": text, "log_namespace": namespace, "log_time": AT}
    line = as_json(one)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    found = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert {"ts", "level", "ns", "msg"} <= set(found)


@settings(max_examples=150, deadline=None)
@given(st.text(), values, st.text())
def test_any_text_line_begins_with_its_time_and_no_other_does(
    text: str, value: Any, system: str
) -> None:
    line = as_text(event("{said} {value}", said=text, value=value, log_system=system))
    first, *rest = line.split("\n")[:-1]
    assert first.startswith("2026-11-2")
    assert all(part.startswith("\t") for part in rest)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029]", line)
