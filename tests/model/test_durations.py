"""Durations are never negative: what contradicts itself is unknown, and counts in no average."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.cli.table_rows import items
from buildapi.model.durations import elapsed
from buildapi.model.report_rows import Attempt, Status, Waiting
from buildapi.reports.build_runs import BuildRun
from buildapi.reports.end_to_end import EndToEndReport
from buildapi.reports.slaves import Slave
from buildapi.reports.status_builders import Named
from buildapi.reports.wait_times import WaitTimesQuery, WaitTimesReport
from buildapi.reports.window import Window
from buildapi.web.http.template_filters import lasting
from buildapi.web.selfserve.listing import row
from tests.reports.recorded import rules
from tests.reports.rows import END, START, build, request_row

WINDOW = Window(START, END)
RULES = rules()
TIMES = st.none() | st.integers(0, 2**40)


@given(TIMES, TIMES)
def test_a_duration_is_known_or_not_but_never_negative(start: int | None, end: int | None) -> None:
    seconds = elapsed(start, end)
    assert (seconds is None) is (not start or not end or end < start)
    assert seconds is None or seconds >= 0


def test_a_build_that_ended_before_it_began_has_no_run_time() -> None:
    assert Attempt("linux", Status.COMPLETE, 0, START + 9, START).run_time is None
    assert request_row(finish_time=START).run_time is None
    assert request_row(when_timestamp=END).wait_time is None


def test_a_change_later_than_a_completion_is_left_out_of_the_mean_end_to_end() -> None:
    known = BuildRun("a", [request_row(complete_at=START + 100)], RULES)
    later = BuildRun("b", [request_row(when_timestamp=START + 500)], RULES)
    report = EndToEndReport(START, END, "mozilla-central", {"a": known, "b": later})
    assert (known.duration, later.duration) == (100, None)
    assert report.mean == 100
    assert report.document()["build_runs"]["b"]["duration"] is None


def test_a_wait_that_ends_before_it_begins_is_in_no_percentile() -> None:
    report = WaitTimesReport(WaitTimesQuery("buildpool", WINDOW), (), ZoneInfo("UTC"), END)
    waits = (Waiting(n, "linux", START, START + 60 * n, START, "m", True) for n in (1, 2))
    report.add([*waits, Waiting(3, "linux", START, START + 5, START + 600, "m", True)], RULES)
    shown = report.document()
    assert (shown["total"], shown["contradictory"]) == (3, 1)
    assert shown["percentiles"]["50"] == 1.0


def test_a_bogus_end_is_in_no_mean_of_builders_and_slaves() -> None:
    builds = [build(100, 200), build(300, 250)]
    named = Named(WINDOW)
    named.add(builds)
    (builder,) = named.builders
    assert (builder.total, builder.mean) == (2, 100)
    slave = Slave(7, "t", WINDOW, 0, builds)
    assert (len(slave.counted), slave.mean) == (2, 100)
    assert builds[1].duration is None


@pytest.mark.parametrize(("ended", "took"), [(60, "60"), (-60, "unknown"), (None, None)])
def test_pages_and_tables_say_unknown_for_a_build_that_ended_before_it_began(
    ended: int | None, took: str | None
) -> None:
    request = {"request_id": 2, "submittime": START, "priority": 0, "reason": None}
    item = {"build_id": 1, "buildnumber": 3, "buildername": "linux", "branch": "try"}
    item |= {"revision": "abc", "starttime": START, "status": 0, "claimed_by_name": None}
    item |= {"endtime": None if ended is None else START + ended, "requests": [request]}
    ((*_, in_a_table, _),) = items([item], str)
    of_a_page = row(item, "try")
    if ended is None:
        assert (in_a_table, of_a_page.took) == (None, None)
    elif ended < 0:
        assert (in_a_table, lasting(of_a_page.took)) == (took, took)
    else:
        assert (in_a_table, lasting(of_a_page.took)) == ("1m 00s", "1 min")
        assert attrs.evolve(of_a_page, ended=START).took == 0
