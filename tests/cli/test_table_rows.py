from __future__ import annotations

from typing import Any

import pytest

from buildapi.cli import table_rows
from buildapi.cli.table_rows import trail_events
from buildapi.cli.terminal import format_duration, format_table, format_time, printable


def test_columns_are_aligned_numbers_to_the_right() -> None:
    assert (
        format_table(("name", "n"), [("a", 1), ("long", 200)]) == "name    n\na       1\nlong  200"
    )


def test_without_rows_the_heads_are_left() -> None:
    assert format_table(("a", "b"), []) == "a  b"


def test_colours_are_outside_the_alignment() -> None:
    plain = format_table(("s", "x"), [("failed", "1"), ("done", "2")])
    coloured = format_table(("s", "x"), [("failed", "1"), ("done", "2")], colour=True)
    assert "\x1b[31mfailed\x1b[0m" in coloured
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07", "a\rb", "\u202eabc", "a\nb", "\x9b31m"])
def test_a_hostile_text_does_nothing_to_a_terminal(text: str) -> None:
    assert printable(text).isprintable()
    assert format_table(("a",), [(text,)]).count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (61, "1m 01s"), (3660, "1h 01m"), (90000, "1d 01h"), (None, "")],
)
def test_lengths_of_time_have_two_units(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1970-01-01 00:00:00"), (None, ""), (1e30, "1e+30"), ("x", "x")]
)
def test_times_of_any_kind_can_be_written(seconds: Any, text: str) -> None:
    assert format_time(seconds, utc=True) == text


BUILD = {
    "build_id": 1,
    "buildername": "b",
    "revision": "a" * 40,
    "starttime": 10,
    "endtime": 20,
    "status": 2,
}
REQUEST = {
    "request_id": 2,
    "buildername": "b",
    "revision": None,
    "submittime": 5,
    "priority": -1,
    "complete": 0,
}


def test_a_list_holds_builds_and_requests() -> None:
    assert table_rows.items([BUILD, REQUEST | {"author": "ann"}], str) == [
        ("build", 1, "b", "a" * 12, None, "failure", "10", "10s", None),
        ("request", 2, "b", "", "ann", "pending", "5", None, -1),
    ]


@pytest.mark.parametrize(
    ("change", "state"),
    [({"endtime": None}, "running"), ({"status": None}, "ended"), ({"status": 0}, "success")],
)
def test_a_build_has_a_word_for_its_state(change: dict[str, Any], state: str) -> None:
    assert table_rows.state({**BUILD, **change}) == state


def test_what_ended_is_counted() -> None:
    assert table_rows.ended([BUILD, REQUEST, {**BUILD, "endtime": None}]) == 1


def test_what_waits_is_listed_newest_first() -> None:
    def thing(number: int, when: int) -> dict[str, Any]:
        return {"id": number, "buildername": "b", "submitted_at": when}

    tree = {"pending": {"try": {"r1": [thing(1, 90)], "r2": [thing(2, 40)]}}}
    rows = table_rows.farm(tree, "pending", str, 100)
    assert [(row[3], row[6]) for row in rows] == [(1, "10s"), (2, "1m 00s")]


def test_a_plan_counts_what_it_drops_and_stops() -> None:
    writes = [{"type": "DropRequests", "brids": [1, 2]}]
    pokes = [{"type": "StopBuild", "build_id": 7}, {"type": "Clobber", "build": {}}]
    plan = {"plan": {"writes": writes, "pokes": pokes}}
    assert table_rows.dropped_and_stopped(plan) == (2, 1)
    assert [row[:2] for row in table_rows.plan(plan)] == [
        ("write", "DropRequests"),
        ("poke", "StopBuild"),
        ("poke", "Clobber"),
    ]


def test_events_are_in_their_order_with_times_since_the_first() -> None:
    def event(at: float, name: str) -> dict[str, Any]:
        return {"at": at, "host": "h", "part": "http", "event": name, "detail": "d", "trace": "t"}

    rows = trail_events({"events": [event(12.5, "sent"), event(10.25, "recorded")]})
    assert [(row[0], row[3]) for row in rows] == [("+0.000 s", "recorded"), ("+2.250 s", "sent")]


def test_a_job_without_events_says_so() -> None:
    assert "no events" in str(trail_events({"events": []}))


@pytest.mark.parametrize("width", [40, 60, 200])
def test_a_table_fits_a_terminal_as_far_as_it_can(width: int) -> None:
    head = ("id", "builder", "state", "since")
    rows = [
        (
            7,
            "Rev7 MacOSX Yosemite 10.10.5 mozilla-central debug test mochitest-1",
            "success",
            "now",
        ),
        (12345, "short", "running", "2026-11-29 23:00:00"),
    ]
    lines = format_table(head, rows, width=width).splitlines()
    assert max(map(len, lines)) <= max(width, 49)
    assert all("success" in line or "running" in line for line in lines[1:])
    assert lines[2].split()[:2] == ["12345", "short"]
    whole = format_table(head, rows)
    assert "mochitest-1" in whole
    assert format_table(head, rows, width=200) == whole
    assert "\u2026" not in whole
    assert ("\u2026" in lines[1]) == (width < 100)


def test_a_narrow_table_keeps_times_whole_and_drops_empty_columns() -> None:
    rows = [("Linux mozilla-central debug test mochitest-1", "2026-11-29 23:00:00", None)]
    lines = format_table(("builder", "since", "priority"), rows, width=45).splitlines()
    assert lines == [
        "builder                   since",
        "Linux mozil\u2026 mochitest-1  2026-11-29 23:00:00",
    ]


def test_wide_characters_take_two_columns() -> None:
    rows = [("\u5f20\u4e09", "a"), ("e\u0301", "b"), ("ann", "c")]
    lines = format_table(("who", "x"), rows).splitlines()
    assert lines == ["who   x", "\u5f20\u4e09  a", "e\u0301     b", "ann   c"]
    shortened = format_table(("who",), [("\u5f20" * 20,)], width=13).splitlines()[1]
    assert shortened == "\u5f20" * 6 + "\u2026"
