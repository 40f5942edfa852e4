"""Build runs: what a row says, what all rows of a revision say, and what is still to come."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.errors import BadRequest
from buildapi.model.report_rows import PendingChange, Status, status_of
from buildapi.reports.build_runs import BuildRun, runs_of
from buildapi.reports.end_to_end import BuildRunReport, EndToEndReport
from buildapi.reports.request_rows import first_changes, merged, request_json
from buildapi.reports.try_syntax import TrySyntaxReport
from tests.reports.recorded import rules
from tests.reports.rows import END, REVISION, START, request_row

# By complete, complete_at, finish_time, start_time and claimed_at
# [docs/reports.md, "Status of a request"].
STATUSES = {
    (False, False, False, True, True): Status.RUNNING,
    (False, False, False, False, False): Status.PENDING,
    (True, True, True, True, True): Status.COMPLETE,
    (True, True, False, False, False): Status.CANCELLED,
    (True, True, False, True, True): Status.INTERRUPTED,
}


@pytest.mark.parametrize("facts", list(product([False, True], repeat=5)))
def test_the_status_of_every_combination(facts: tuple[bool, ...]) -> None:
    names = ("complete_at", "finish_time", "start_time", "claimed_at")
    times: dict[str, Any] = {n: 9 if f else 0 for n, f in zip(names, facts[1:], strict=True)}
    nulls = {name: time or None for name, time in times.items()}
    expected = STATUSES.get(facts, Status.MISC)
    assert status_of(complete=facts[0], **times) == expected
    assert status_of(complete=facts[0], **nulls) == expected


def test_times_of_a_row() -> None:
    row = request_row()
    assert (row.run_time, row.wait_time, row.duration) == (60, 30, 100)
    never = request_row(start_time=None, finish_time=None, complete_at=None, when_timestamp=None)
    assert (never.run_time, never.wait_time, never.duration) == (None, 0, 0)
    assert never.change_time == START + 10
    assert request_row(finish_time=START).run_time is None


def test_changes_are_merged_or_the_first_one_is_kept() -> None:
    two = [request_row(change_ids=(i,), authors=(a,)) for i, a in ((7, "ann"), (8, "bea"))]
    [row] = merged([*two, two[1]])
    assert (row.change_ids, row.authors) == ((7, 8), ("ann", "bea"))
    [first] = first_changes(two)
    assert first.change_ids == (7,)
    again = request_row(2)
    assert [r.request_id for r in first_changes([*two, again])] == [1, 2]


def test_the_json_of_a_row_has_the_keys_of_the_original() -> None:
    shown = request_json(request_row(results=-1, complete=False), rules())
    assert len(shown) == 29
    assert (shown["revision"], shown["results_str"], shown["complete"]) == (REVISION[:12], "-", 0)
    assert (shown["branch_name"], shown["status_str"]) == ("mozilla-central", "MISC")


def test_a_build_run_lasts_from_the_first_change_to_the_last_completion() -> None:
    """As docs/reports.md says under "What is counted", "End to end"."""
    first = START + 10_000
    rows = [
        request_row(1, when_timestamp=first, finish_time=first + 4000, complete_at=first + 4001),
        request_row(
            2,
            when_timestamp=first,
            finish_time=first + 4990,
            complete_at=first + 5000,
            results=1,
            branch="mozilla-central-linux-opt-unittest",
        ),
    ]
    report = EndToEndReport(START, END, "mozilla-central", runs_of(rows, rules()))
    short = REVISION[:12]
    assert report.document() == {
        "starttime": START,
        "endtime": END,
        "branch_name": "mozilla-central",
        "total_build_requests": 2,
        "unique_total_build_requests": 2,
        "total_build_runs": 1,
        "avg_duration": 5000,
        "build_runs": {
            short: {
                "revision": short,
                "changes_revision": [short],
                "results": 1,
                "results_str": "warnings",
                "is_complete": "yes",
                "total_build_requests": 2,
                "duration": 5000,
                "lst_change_time": first,
                "gst_finish_time": first + 4990,
                "complete": 2,
                "running": 0,
                "pending": 0,
                "cancelled": 0,
                "interrupted": 0,
                "misc": 0,
                "rebuilds": 0,
                "forcebuilds": 0,
                "builds": 1,
                "unittests": 1,
                "talos": 0,
                "authors": ["ann@example.org"],
            }
        },
    }


def change(id_: int, revision: str | None) -> PendingChange:
    return PendingChange(id_, revision, "mozilla-central", START)


def test_a_change_without_a_build_keeps_its_run_open() -> None:
    rows = [
        request_row(1),
        request_row(2, revision="f" * 40, change_revisions=("e" * 40, None)),
        request_row(3, revision=None, change_revisions=(None,)),
    ]
    changes = [change(1, REVISION), change(2, "e" * 40), change(3, None), change(4, "d" * 40)]
    found = runs_of(rows, rules(), changes)
    waits = {name: [c.changeid for c in run.pending_changes] for name, run in found.items()}
    assert waits == {REVISION[:12]: [1], "f" * 12: [2], None: []}
    assert [run.is_complete for run in found.values()] == [False, False, True]


@pytest.mark.parametrize("status", ["running", "pending"])
def test_what_waits_or_runs_keeps_its_run_open(status: str) -> None:
    open_row = request_row(
        2,
        complete=False,
        complete_at=None,
        finish_time=None,
        **({} if status == "running" else {"start_time": None, "claimed_at": 0}),
    )
    run = BuildRun(REVISION[:12], [request_row(), open_row], rules())
    assert not run.is_complete
    assert run.document()[status] == 1


def test_reasons_are_counted() -> None:
    reasons = [
        "The web-page 'rebuild' button was pressed by 'ann': again",
        "The web-page 'force build' button was pressed by 'ann': now",
        None,
        "scheduler",
    ]
    run = BuildRun("r", [request_row(i, reason=r) for i, r in enumerate(reasons)], rules())
    assert (run.reasons("rebuild"), run.reasons("forcebuild")) == (1, 1)


def test_a_run_without_a_change_has_no_duration() -> None:
    run = BuildRun(None, [request_row(when_timestamp=None, authors=())], rules())
    assert (run.duration, run.first_change, run.authors) == (0, 0, [])
    assert run.kinds().total() == 0


def test_a_build_run_has_its_requests_and_no_chart() -> None:
    report = BuildRunReport("mozilla-central", BuildRun("r", [request_row()], rules()))
    assert [r["brid"] for r in report.document()["build_requests"]] == [1]
    assert report.facts()
    assert report.grids()
    with pytest.raises(BadRequest, match="has no chart"):
        report.chart()


def test_who_says_what_to_try() -> None:
    """Authors and comments may be missing."""
    rows = [
        request_row(1, comments="try: -b do -p all"),
        request_row(2, revision="a" * 12, authors=("bea", "sendchange"), comments="fix"),
        request_row(3, revision="b" * 12, comments="fix"),
        request_row(4, revision="c" * 12, authors=(), comments=None),
    ]
    whole = EndToEndReport(START, END, "try", runs_of(rows, rules()))
    document = TrySyntaxReport(whole, rules().excluded).document()
    used = {name: run["used_trychooser"] for name, run in document["build_runs"].items()}
    assert used == {REVISION[:12]: True, "a" * 12: False, "b" * 12: False, "c" * 12: False}
    assert document["build_runs"]["a" * 12]["uses_try_chooser"] == {"bea": False}
    assert document["authors_used"] == ["ann@example.org"]
    assert document["authors_not_used"] == ["ann@example.org", "bea"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(-1, 6)), max_size=30))
def test_every_row_is_in_one_run(found: list[tuple[int, int, int]]) -> None:
    rows = [
        request_row(i, revision=f"{revision}" * 12, results=result)
        for i, (_, revision, result) in enumerate(found)
    ]
    runs = runs_of(rows, rules())
    assert sum(len(run.rows) for run in runs.values()) == len(rows)
    for name, run in runs.items():
        mine = [row for row in rows if row.revision == name]
        assert run.worst == max(row.results for row in mine)
        assert sum(run.statuses.values()) == len(mine)
