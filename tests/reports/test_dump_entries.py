"""What a dump says of builds, and how documents are spelled piece by piece."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.ended_builds import DumpWindow, EndedBuild, StartedRequest
from buildapi.reports.dump_entries import entries, read_build, window
from buildapi.reports.json_files import ListDocument, encoded

T0 = 1_486_600_000

BUILD = EndedBuild(81, 12, 5, 7, 2, T0 + 100, T0 + 3700, 0, "scheduler")
STARTED = StartedRequest(4711, "linux", 12, T0 + 101.84, T0)


def build(**properties: Any) -> EndedBuild:
    stored = tuple((name, json.dumps(value)) for name, value in properties.items())
    return attrs.evolve(BUILD, properties=stored)


def entry(one: EndedBuild, *started: StartedRequest) -> dict[str, Any]:
    (found,) = entries([read_build(one)], started)
    return dict(found)


def test_a_build_as_the_existing_readers_know_it() -> None:
    assert entry(build(buildername="linux", branch="try"), STARTED) == {
        "id": 81,
        "builder_id": 5,
        "slave_id": 7,
        "master_id": 2,
        "buildnumber": 12,
        "starttime": T0 + 100,
        "endtime": T0 + 3700,
        "result": 0,
        "reason": "scheduler",
        "properties": {"buildername": "linux", "branch": "try"},
        "request_ids": [4711],
        "requesttime": T0,
    }


@pytest.mark.parametrize(
    ("properties", "ids", "time"),
    [
        ({}, [], None),
        ({"request_ids": [5], "request_times": {"5": 9}}, [], None),
        (
            {"buildername": "linux", "request_ids": [5, 6], "request_times": {"5": 9, "6": 8.5}},
            [5, 6],
            8.5,
        ),
        ({"buildername": "linux", "request_ids": [5], "request_times": [9, 7]}, [5], 7),
        ({"buildername": "linux", "request_ids": [], "request_times": {}}, [], None),
        ({"buildername": "linux", "request_ids": [5]}, [4711], T0),
        ({"buildername": "linux", "request_ids": 5, "request_times": {"5": 9}}, [4711], T0),
        ({"buildername": "linux", "request_ids": [5], "request_times": {"5": "x"}}, [4711], T0),
        ({"buildername": "mac"}, [], None),
    ],
)
def test_requests_come_from_the_properties_or_from_a_build_that_is_the_same(
    properties: dict[str, Any], ids: list[int], time: float | None
) -> None:
    found = entry(build(**properties), STARTED)
    assert (found["request_ids"], found["requesttime"]) == (ids, time)


@pytest.mark.parametrize(
    ("apart", "same"), [(-2.0, False), (-1.9, True), (0, True), (1.9, True), (2.0, False)]
)
def test_a_build_started_within_two_seconds_is_the_same(apart: float, *, same: bool) -> None:
    started = attrs.evolve(STARTED, start_time=T0 + 100 + apart)
    assert entry(build(buildername="linux"), started)["request_ids"] == [4711] * same


@pytest.mark.parametrize("change", [{"number": 13}, {"buildername": "Linux"}], ids=str)
def test_another_build_is_not_the_same(change: dict[str, Any]) -> None:
    other = attrs.evolve(STARTED, start_time=T0 + 100, **change)
    assert entry(build(buildername="linux"), other)["request_ids"] == []


def test_coalesced_requests_are_listed_once_with_the_earliest_time() -> None:
    others = [
        attrs.evolve(STARTED, request_id=4700, submitted_at=T0 + 5),
        STARTED,
        attrs.evolve(STARTED, request_id=4712, submitted_at=T0 - 5),
    ]
    found = entry(build(buildername="linux"), *others)
    assert (found["request_ids"], found["requesttime"]) == ([4700, 4711, 4712], T0 - 5)


def test_a_build_without_start_has_no_known_requests() -> None:
    assert entry(attrs.evolve(build(buildername="linux"), starttime=None), STARTED)[
        "request_ids"
    ] == ([])


@pytest.mark.parametrize("bad", ["{", "", None, "[" * 100_000, "9" * 5000])
def test_a_property_that_is_no_json_is_left_out_alone(bad: str | None) -> None:
    stored = (("first", '"a"'), ("bad", bad), ("last", "[1]"))
    read = read_build(attrs.evolve(BUILD, properties=stored))
    assert (dict(read.properties), list(read.bad)) == ({"first": "a", "last": [1]}, ["bad"])


def test_of_properties_with_one_name_the_first_counts() -> None:
    read = read_build(attrs.evolve(BUILD, properties=(("a", "1"), ("a", "2"))))
    assert read.properties == {"a": 1}


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=30) | st.none())))
def test_whatever_is_stored_makes_a_document(stored: list[tuple[str, str | None]]) -> None:
    named = [("buildername", '"linux"'), *stored]
    found = entry(attrs.evolve(BUILD, properties=named), STARTED)
    assert json.loads(encoded(found, compact=True))["id"] == 81


@pytest.mark.parametrize("text", ["NaN", "[Infinity, -Infinity]", "1e999", '{"a": NaN}'])
@pytest.mark.parametrize("compact", [True, False])
def test_numbers_that_json_lacks_become_null(text: str, *, compact: bool) -> None:
    read = read_build(attrs.evolve(BUILD, properties=(("n", text), ("huge", "9" * 30))))
    spelled = encoded(dict(read.properties), compact=compact)
    found = json.loads(spelled, parse_constant=pytest.fail)
    assert "null" in json.dumps(found)
    assert found["huge"] == int("9" * 30)


# --- spelling

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.lists(st.lists(VALUES, max_size=3), max_size=4), st.booleans())
def test_the_pieces_together_are_the_whole_document(parts: list[list[Any]], compact: bool) -> None:
    document = ListDocument("builds", compact)
    text = document.head() + b"".join(document.items(part) for part in parts)
    text += document.tail({"endtime": 2, "starttime": 1})
    whole = {"builds": [v for part in parts for v in part], "endtime": 2, "starttime": 1}
    assert json.loads(text) == whole
    assert text.count(b"\n") == encoded(whole, compact=compact).count(b"\n")


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text()), max_size=3), st.booleans())
def test_it_is_spelled_as_the_standard_library_does(values: list[Any], compact: bool) -> None:
    document = ListDocument("b", compact)
    text = document.head() + document.items(values) + document.tail({"s": values})
    whole = {"b": values, "s": values}
    layout: dict[str, Any] = {"separators": (",", ":")} if compact else {"indent": 2}
    assert json.loads(text) == whole
    expected = json.dumps(whole, sort_keys=True, **layout)
    assert json.dumps(json.loads(text), **layout) == expected
    if expected.isascii() and "\\u" not in expected:
        assert text.decode() == expected


@pytest.mark.parametrize("compact", [True, False])
def test_nothing_may_follow_the_list(*, compact: bool) -> None:
    document = ListDocument("b", compact)
    assert json.loads(document.head() + document.items([{}]) + document.tail({})) == {"b": [{}]}


# --- windows


def test_a_window_is_the_last_day_or_as_long_as_is_said() -> None:
    assert window(T0 + 0.9) == DumpWindow(T0 - 86_400, T0)
    assert window(T0 + 0.9, 4 * 3600) == DumpWindow(T0 - 4 * 3600, T0)
    assert window(T0, start=5) == DumpWindow(5, 5 + 86_400)
    assert window(T0, 10, 5) == DumpWindow(5, 15)


@pytest.mark.parametrize("length", [-1, T0 + 1, 10**12])
def test_a_window_that_is_no_time_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="a time from"):
        window(T0, length)
