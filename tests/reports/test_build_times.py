"""Average times: the tree of builders, its levels, its shares; pushes; test runs."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.report_rows import Attempt, JobTime, PushTime, Status
from buildapi.reports.build_times import LEVELS, BuilderReport, BuildersReport, Filters
from buildapi.reports.grid import GvizTable
from buildapi.reports.pushes import PushesReport
from buildapi.reports.test_runs import JobTimesQuery, entries_of
from buildapi.reports.test_runs import JobTimesReport as RunsOfTests
from buildapi.reports.window import Window
from tests.reports.recorded import rules
from tests.reports.rows import END, START, request_row

BUILD, TESTS = "Linux mozilla-central build", "Ubuntu VM 12.04 mozilla-central opt test crashtest"


def attempt(took: int | None, name: str = BUILD, *, result: int = 0, **more: Status) -> Attempt:
    status = more.get("status", Status.COMPLETE)
    return Attempt(name, status, result, START, None if took is None else START + took)


def report(level: str, *attempts: Attempt, filters: Filters = Filters()) -> BuildersReport:  # noqa: B008  # frozen
    made = BuildersReport(START, END, "mozilla-central", LEVELS.index(level) + 1, filters)
    made.add(attempts, rules())
    return made


def test_the_document_has_the_keys_of_the_original_and_the_level_that_was_asked_for() -> None:
    """[docs/compatibility.md, "Reports"]."""
    document = dict(report("builder", attempt(3500), attempt(4500)).document())
    [node] = document["builders"]
    assert (node.pop("median_run_time"), node.pop("p95_run_time")) == (3500, 4500)
    assert document == {
        "starttime": START,
        "endtime": END,
        "branch_name": "mozilla-central",
        "detail_level": 5,
        "sum_run_time": 8000,
        "platform": [],
        "build_type": [],
        "job_type": [],
        "buildername": [],
        "builders": [
            {
                "buildername": BUILD,
                "platform": "linux-mock",
                "build_type": "opt",
                "job_type": "build",
                "avg_run_time": 4000,
                "min_run_time": 3500,
                "max_run_time": 4500,
                "sum_run_time": 8000,
                "total_build_requests": 2,
                "ptg_run_time": "100.00",
            }
        ],
    }


@pytest.mark.parametrize(
    ("level", "paths"),
    [
        ("branch", [("", "", "", "")]),
        ("platform", [("linux-mock", "", "", ""), ("ubuntu32_vm", "", "", "")]),
        ("build_type", [("linux-mock", "opt", "", ""), ("ubuntu32_vm", "opt", "", "")]),
        (
            "job_type",
            [("linux-mock", "opt", "build", ""), ("ubuntu32_vm", "opt", "unittest", "")],
        ),
        (
            "builder",
            [("linux-mock", "opt", "build", BUILD), ("ubuntu32_vm", "opt", "unittest", TESTS)],
        ),
    ],
)
def test_a_level_gives_what_it_says(level: str, paths: list[tuple[str, ...]]) -> None:
    nodes = report(level, attempt(30), attempt(10, TESTS)).document()["builders"]
    keys = ("platform", "build_type", "job_type", "buildername")
    assert [tuple(node[key] for key in keys) for node in nodes] == paths
    assert sum(float(node["ptg_run_time"]) for node in nodes) == 100


def test_filters_leave_the_rest_out_of_the_sum_too() -> None:
    made = report("builder", attempt(30), attempt(10, TESTS), filters=Filters(platform=("lion",)))
    assert made.document()["builders"] == []
    assert made.root.count == 0
    made = report("builder", attempt(30), attempt(10, TESTS), filters=Filters((), (), ("build",)))
    assert made.document()["sum_run_time"] == 30


def test_what_waits_or_runs_has_a_place_and_no_count() -> None:
    made = report("builder", attempt(30, status=Status.RUNNING), attempt(9, status=Status.PENDING))
    [node] = made.document()["builders"]
    assert (node["total_build_requests"], node["max_run_time"], made.root.count) == (0, 0, 0)


def test_what_never_ran_counts_among_the_results_alone() -> None:
    made = report("branch", attempt(None, result=2), attempt(60))
    assert (made.root.count, made.root.mean, made.root.share(2)) == (2, 60, 50)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.integers(1, 100))
def test_so_many_percent_took_at_most_so_long(times: list[int], share: int) -> None:
    value = report("branch", *map(attempt, times)).root.percentile(share)
    assert sum(t <= value for t in times) * 100 >= share * len(times)
    assert sum(t < value for t in times) * 100 < share * len(times)


def test_a_chart_gives_shares_ascending() -> None:
    chart = report("builder", attempt(30), attempt(10, TESTS)).chart()
    assert isinstance(chart, GvizTable)
    assert [row[1] for row in chart.rows] == [25, 75]


def test_one_builder_has_its_requests() -> None:
    rows = [request_row(1), request_row(2, results=2), request_row(3, complete=False)]
    document = BuilderReport(START, END, BUILD, rows, rules()).document()
    assert document["total_build_requests"] == 3  # the third one's request is given back
    assert (document["avg_run_time"], document["platform"]) == (60, "linux-mock")
    nobody = BuilderReport(START, END, "", [], rules()).document()
    assert (nobody["total_build_requests"], nobody["build_requests"]) == (0, [])


def pushes(*found: PushTime, branches: tuple[str, ...] = (), kind: str = "all") -> PushesReport:
    made = PushesReport(Window(START, END, 43_200), branches, kind, ZoneInfo("UTC"))
    made.add(found, rules())
    return made


def test_pushes_are_counted_by_branch_and_interval() -> None:
    found = [PushTime(START, "mozilla-central"), PushTime(START + 50_000, "mozilla-central")]
    found.append(PushTime(START + 50_000, "try"))
    document = dict(pushes(*found).document())
    assert sum(document.pop("hours")) == 3
    assert document == {
        "starttime": START,
        "endtime": END,
        "int_size": 43_200,
        "total": 3,
        "intervals": [1, 2],
        "branch": {
            "mozilla-central": {"total": 2, "intervals": [1, 1]},
            "try": {"total": 1, "intervals": [0, 1]},
        },
    }


def test_branches_asked_for_are_there_though_nobody_pushed() -> None:
    made = pushes(PushTime(START, "try"), PushTime(START, None), branches=("cedar", "try"))
    assert {b: e["total"] for b, e in made.document()["branch"].items()} == {"cedar": 0, "try": 1}
    assert made.document()["total"] == 1


@pytest.mark.parametrize(("kind", "rows"), [("int", 2), ("hourly", 24), ("all", 1)])
def test_each_chart_of_pushes(kind: str, rows: int) -> None:
    chart = pushes(PushTime(START, "try"), kind=kind).chart()
    assert isinstance(chart, GvizTable)
    assert len(chart.rows) == rows
    assert all(len(row) == len(chart.columns) for row in chart.rows)


TIMES = [
    JobTime("fedora debug test crashtest", 2, 100, 50),
    JobTime("fedora opt test jsreftest", 1, 200, 60.9),
    JobTime("win8 opt test reftest", 1, 300, 0),
]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (JobTimesQuery(), [t.builder for t in TIMES]),
        (JobTimesQuery(btype="debug"), ["fedora debug test crashtest"]),
        (JobTimesQuery(platform="nowhere"), []),
        (JobTimesQuery(group=True), ["crashtest", "reftest", "jsreftest"]),
    ],
)
def test_test_runs_are_chosen_and_gathered(wanted: JobTimesQuery, names: list[str]) -> None:
    entries = entries_of(TIMES, wanted, rules())
    assert [e.name for e in entries] == names
    document = RunsOfTests(START, END, wanted, entries).document()
    assert document["total"] == len(names)
    assert document["category"] == "ALL"


def test_a_builder_counts_in_every_suite_its_name_has() -> None:
    entries = {e.name: e for e in entries_of(TIMES, JobTimesQuery(group=True), rules())}
    assert (entries["reftest"].total, entries["jsreftest"].total) == (250, 200)
    assert entries["jsreftest"].document()["ratio"] == "0.304"
    assert entries["jsreftest"].document()["test"] == 60
