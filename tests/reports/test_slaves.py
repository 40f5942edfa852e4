"""Slaves: how busy, how their builds end; builders by their names; idle jobs."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.errors import BadRequest
from buildapi.model.report_rows import StatusBuild
from buildapi.reports.grid import GvizTable
from buildapi.reports.idle_jobs import IdleJobsReport
from buildapi.reports.slaves import SlaveReport, SlavesReport, slaves_of
from buildapi.reports.status_builders import Named, StatusBuildersReport
from buildapi.reports.window import Window
from tests.reports.recorded import rules
from tests.reports.rows import END, START, build

UTC = ZoneInfo("UTC")
LENGTH = END - START
WINDOW = Window(START, END, 7200)


def report(*builds: StatusBuild, kind: str = "all", last: int = 3600) -> SlavesReport:
    return SlavesReport(WINDOW, last, slaves_of(builds, WINDOW, last), kind, rules(), UTC)


def one(*builds: StatusBuild, kind: str = "all") -> SlaveReport:
    return SlaveReport(slaves_of(builds, WINDOW, 3600)[0], kind, UTC)


def test_the_values_of_a_slave() -> None:
    builds = [
        build(0, 8640),
        build(20_000, 28_640, result=2),
        build(LENGTH - 1800, None, result=-1),
    ]
    [slave] = report(*builds).document()["slaves"]
    assert slave == {
        "slave_id": 7,
        "name": "t-w864-ix-001",
        "starttime": START,
        "endtime": END,
        "busy": 20.0,
        "busy_last_int_size": 0.0,
        "avg_build_duration": 5760,
        "total": 3,
        "results_success": 1,
        "results_warnings": 0,
        "results_failure_all": 2,
        "results_failure": 1,
        "results_skipped": 0,
        "results_exception": 0,
        "results_retry": 0,
        "int_size": 0,
        "last_int_size": 3600,
    }


def test_a_build_from_before_keeps_its_slave_busy_and_counts_no_more() -> None:
    [slave] = report(build(-5000, 8640), build(LENGTH - 1800, LENGTH + 99)).slaves
    assert slave.busy == pytest.approx((8640 + 1800) * 100 / LENGTH)
    assert slave.busy_last == 50
    assert len(slave.counted) == 1
    assert slave.is_busy_at_end


def test_ends_that_cannot_be_are_none() -> None:
    bogus = build(100, -START + 1)
    [slave] = report(bogus, build(7300, 7400)).slaves
    assert slave.busy == pytest.approx(100 * 100 / LENGTH)
    assert slave.intervals(WINDOW) == {0, 1}


def test_a_result_nobody_knows_is_counted_and_crashes_nothing() -> None:
    [slave] = report(build(0, 10, result=6)).document()["slaves"]
    assert slave["total"] == 1
    assert slave["results_failure_all"] == 0


Builds = st.lists(
    st.tuples(st.integers(-9000, LENGTH - 1), st.none() | st.integers(0, 30_000)), max_size=12
)


@given(Builds)
def test_busy_intervals_against_counting(found: list[tuple[int, int | None]]) -> None:
    window = Window(START, END, 3600)
    builds = [build(s, None if took is None else s + took) for s, took in found]
    expected = set()
    ordered = sorted(s for s, _ in found)
    for start, took in sorted(found, key=lambda f: f[0]):
        later = ordered[ordered.index(start) + 1 :]
        end = start + took if took is not None else (later[0] if later else LENGTH + 1) - 1
        inside = range(max(0, start), min(end, LENGTH - 1) + 1)
        expected |= {t // 3600 for t in (*inside[:1], *inside[::60], *inside[-1:])}
    slaves = slaves_of(builds, window, 3600)
    if len({s for s, _ in found}) == len(found):
        assert {i for s in slaves for i in s.intervals(window)} == expected


def test_silos_are_csv_and_who_is_in_none_is_unknown() -> None:
    slaves = report(build(0, 7100), build(0, 7100, slave_id=8, slave="odd"), kind="silos").chart()
    assert isinstance(slaves, str)
    head, first, second, *_ = slaves.split("\n")
    assert head == "Date,Totals,t-w864-ix,unknown"
    assert first == "2017-02-07 20:40:00,100.00,100.00,100.00"
    assert second.endswith(",0.00,0.00,0.00")
    assert not slaves.endswith("\n")


def test_a_chart_counts_busy_slaves() -> None:
    chart = report(build(0, 7300), build(50, 60, slave_id=8)).chart()
    assert isinstance(chart, GvizTable)
    assert [row[1] for row in chart.rows][:3] == [2, 1, 0]


def test_one_slave_by_interval_and_in_steps() -> None:
    builds = [build(0, 100), build(200, 300, result=1), build(7200, None, result=4)]
    shares = one(*builds).chart()
    assert isinstance(shares, GvizTable)
    assert [row[1:] for row in shares.rows[:3]] == [(50, 50, 0), (0, 0, 100), (0, 0, 0)]
    steps = one(*builds, kind="busy").chart()
    assert isinstance(steps, GvizTable)
    assert [row[0] - START for row in steps.rows] == [
        -1,
        0,
        100,
        101,
        199,
        200,
        300,
        301,
        7199,
        7200,
    ]
    assert steps.rows[1][1:] == [1, 0, 0]
    assert [c[1] for c in steps.columns] == [
        "Date",
        "Busy Success",
        "Busy Warnings",
        "Busy Failure",
    ]
    listed = one(*builds).document()["builds"]
    assert [b["endtime"] for b in listed] == [START + 100, START + 300, 0]


def test_builders_are_told_by_their_names_on_all_masters() -> None:
    named = Named(WINDOW)
    named.add([build(0, 100, builder_id=1), build(5, 205, builder_id=2, slave_id=8, result=1)])
    named.add([build(9, None, builder="a", result=-1), build(-1, 50), build(LENGTH, LENGTH + 1)])
    report_ = StatusBuildersReport(WINDOW, named.builders)
    assert [
        (b["name"], b["total"], b["avg_build_duration"]) for b in report_.document()["builders"]
    ] == [
        ("a", 1, 0),
        ("b", 2, 150),
    ]
    assert [len(b.slaves) for b in named.builders] == [1, 2]
    with pytest.raises(BadRequest, match="has no chart"):
        report_.chart()


def test_idle_jobs_count_in_every_interval_they_touch() -> None:
    made = IdleJobsReport(Window(START, START + 30, 10), UTC)
    made.add([build(0, 10), build(5, 7), build(25, 29, builder="c"), build(3, 3), build(4, None)])
    document: dict[str, Any] = dict(made.document())
    assert document["total"] == 3
    assert document["builders"] == {
        "b": {"intervals": [2, 1, 0], "total compute time": 12},
        "c": {"intervals": [0, 0, 1], "total compute time": 4},
    }
    chart = made.chart()
    assert isinstance(chart, GvizTable)
    assert [row[1:] for row in chart.rows] == [[2, 0], [1, 0], [0, 1]]
