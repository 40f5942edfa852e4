"""Rows of a list: what is shown of it, in which order, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.web.http.template_filters import in_utc, in_zone, lasting
from buildapi.web.selfserve.listing import (
    PAGE_ROWS,
    SORTS,
    STATES,
    ListPage,
    ListQuery,
    ListRow,
    ListRows,
    asked,
    row,
    rows_of,
    shown,
)


def request(id_: int, **changes: Any) -> dict[str, Any]:
    return {
        "request_id": id_,
        "buildername": f"Linux {id_}",
        "branch": "try",
        "revision": "abcdef012345",
        "submittime": 1000 + id_,
        "complete": 0,
        "complete_at": None,
        "priority": 0,
        "claimed_at": 0,
        "reason": None,
        **changes,
    }


def build(id_: int, **changes: Any) -> dict[str, Any]:
    item = {
        "build_id": id_,
        "buildnumber": 7,
        "buildername": "Linux build",
        "branch": "try",
        "revision": "abcdef012345",
        "starttime": 2000,
        "endtime": None,
        "status": None,
        "claimed_by_name": "m",
        "requests": [request(id_, priority=3), request(id_ + 1)],
    }
    return item | changes


def listed(items: Sequence[Mapping[str, Any]], wanted: ListQuery) -> ListPage:
    rows = [row(item, "try") for item in items]
    return shown(ListRows([one.state for one in rows], rows.__getitem__), wanted)


@pytest.mark.parametrize(
    ("item", "state"),
    [
        (request(1), "pending"),
        (build(1), "running"),
        (build(1, endtime=9, status=0), "success"),
        (build(1, endtime=9, status=2), "failure"),
        (build(1, endtime=9, status=5), "retry"),
        (build(1, endtime=9), "retry"),
        (build(1, endtime=9, status=99), "retry"),
    ],
)
def test_a_state_is_a_word(item: dict[str, Any], state: str) -> None:
    assert row(item, "try").state == state
    assert row(item, "try").is_open == (state in ("pending", "running"))


@pytest.mark.parametrize(
    ("items", "states"),
    [
        # The result is that of the request, whichever of its builds is asked.
        ([build(9, requests=[request(1)]), build(7, requests=[request(1)])], ["success", "retry"]),
        ([build(7, requests=[request(1)]), build(9, requests=[request(1)])], ["retry", "success"]),
        ([build(9), build(8, requests=[request(10)])], ["success", "retry"]),
        ([build(9, requests=[request(1)]), build(7, requests=[request(2)])], ["success"] * 2),
        ([request(1), build(7, requests=[request(1)])], ["pending", "success"]),
        (
            [build(n, requests=[request(1), request(r)]) for n, r in ((8, 2), (9, 3), (7, 2))],
            ["retry", "success", "retry"],
        ),
        (
            [build(9, requests=[request(1)], abandoned=True), build(7, requests=[request(1)])],
            ["abandoned", "success"],
        ),
        ([], []),
    ],
)
def test_an_older_build_of_a_request_is_a_retry(
    items: list[dict[str, Any]], states: list[str]
) -> None:
    ended = [item | {"endtime": 9, "status": 0} if "requests" in item else item for item in items]
    rows = rows_of(ended, "try")
    assert rows.states == [rows.at(i).state for i in range(len(items))] == states


def counted(number: int) -> tuple[ListRows, list[int]]:
    """Return the rows of pending requests, and the indexes of those that are built."""
    items, made = [request(n) for n in range(number)], list[int]()

    def build(index: int) -> ListRow:
        made.append(index)
        return row(items[index], "try")

    return ListRows(["pending"] * number, build), made


@pytest.mark.parametrize(
    ("query", "built"),
    [({}, 250), ({"page": ["3"]}, 1), ({"state": ["running"]}, 0), ({"rows": ["0"]}, 0)],
)
def test_only_the_rows_that_are_shown_are_built(query: dict[str, list[str]], built: int) -> None:
    rows, made = counted(2 * PAGE_ROWS + 1)
    for _ in range(2):
        shown(rows, asked(query))
        assert len(made) == built


def test_rows_that_are_sorted_are_built_once() -> None:
    rows, made = counted(9)
    for sort in ("builder", "-submitted"):
        assert len(shown(rows, asked({"sort": [sort], "q": ["linux"]})).rows) == 9
    assert sorted(made) == [*range(9)]


def test_a_build_is_a_row_of_all_its_requests() -> None:
    one = row(build(5), "try")
    assert (one.kind, one.id, one.key, one.requests) == ("build", 5, "build-5", [5, 6])
    assert (one.submitted, one.priority) == (1005, 3)
    assert row(request(5), "try").key == "request-5"


def test_a_list_is_shown_a_page_at_a_time() -> None:
    items = [request(n) for n in range(1, 2 * PAGE_ROWS + 2)]
    pages = [listed(items, ListQuery(page=n)) for n in (1, 2, 3, 4)]
    assert [len(p.rows) for p in pages] == [PAGE_ROWS, PAGE_ROWS, 1, 1]
    assert [p.asked.page for p in pages] == [1, 2, 3, 3]
    assert {p.pages for p in pages} == {3}


def test_words_and_a_state_narrow_a_list_down() -> None:
    items = [request(1, buildername="Linux PGO"), build(2, buildername="linux debug"), build(3)]
    found = listed(items, asked({"q": [" LINUX  debug "]}))
    assert ([r.id for r in found.rows], found.matched, found.total) == ([2], 1, 3)
    assert [r.id for r in listed(items, asked({"state": ["pending"]})).rows] == [1]
    assert found.counts == {"pending": 1, "running": 2}


@pytest.mark.parametrize("name", SORTS)
def test_any_column_sorts_both_ways(name: str) -> None:
    items = [build(2, endtime=2100, status=0), request(1), build(5, starttime=2500)]
    up, down = (listed(items, asked({"sort": [s]})).rows for s in (name, f"-{name}"))
    keys = [SORTS[name](r) for r in up]
    assert keys == sorted(keys)
    assert [SORTS[name](r) for r in down] == keys[::-1]


def test_links_of_a_list_keep_what_was_asked() -> None:
    wanted = asked({"q": ["a&b"], "state": ["running"], "sort": ["-took"], "page": ["3"]})
    assert wanted.link() == "q=a%26b&state=running&sort=-took&page=3"
    assert wanted.link(page=1) == "q=a%26b&state=running&sort=-took"
    assert (wanted.sorted_by("took"), wanted.sorted_by("state")) == ("descending", "none")
    assert (wanted.turned("took"), ListQuery(sort="took").turned("took")) == ("took", "-took")


@given(
    st.dictionaries(
        st.sampled_from(["q", "state", "sort", "page"]), st.lists(st.text(), min_size=1)
    )
)
def test_whatever_is_asked_something_is_shown(query: dict[str, list[str]]) -> None:
    found = listed([request(1), build(2)], asked(query))
    assert found.asked.state in ("", *STATES)
    assert 1 <= found.asked.page <= found.pages


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (11_100, "3 h 05"),
        (187_200, "2 d 4 h"),
    ],
)
def test_how_long_something_takes_is_told_in_two_parts_at_most(seconds: int, words: str) -> None:
    assert lasting(seconds) == words


def test_times_are_of_the_zone_and_odd_ones_do_no_harm() -> None:
    assert in_zone(1_434_650_400, ZoneInfo("US/Pacific")) == "2015-06-18 11:00:00"
    assert in_utc(1_434_650_400) == "2015-06-18T18:00:00Z"
    assert in_zone(None, ZoneInfo("UTC")) == ""
    assert (in_zone(10**20, ZoneInfo("UTC")), in_utc(10**20)) == (str(10**20), "")
