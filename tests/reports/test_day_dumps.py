"""When the file of a day is written, and when it goes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.ended_builds import DumpWindow
from buildapi.reports.day_dumps import (
    LATE_SECONDS,
    TODAY_SECONDS,
    day_name,
    day_of,
    day_window,
    due_days,
    expired_days,
)

TODAY = date(2026, 2, 3)
YESTERDAY = TODAY - timedelta(days=1)
NOON = datetime(2026, 2, 3, 12, tzinfo=UTC).timestamp()
MIDNIGHT = NOON - 43_200
PAUSE = 300.0


def test_a_day_is_one_of_utc_with_both_its_midnights() -> None:
    assert day_window(date(2015, 2, 23)) == DumpWindow(1_424_649_600, 1_424_736_000)


def test_names_are_read_back() -> None:
    assert day_of(day_name(TODAY)) == TODAY
    for name in ("builds-4hr.js.gz", "builds-2026-02-30.js.gz", "builds-2026-02-03.js", ".x"):
        assert day_of(name) is None


def test_the_file_of_today_is_written_again_as_it_grows() -> None:
    """Write it again before it is older than it may become, not in each round."""
    done = dict.fromkeys((YESTERDAY, TODAY - timedelta(days=2)), NOON)
    assert due_days(NOON, 3, done, {}, PAUSE) == [TODAY]
    fresh = {**done, TODAY: NOON - 60}
    assert due_days(NOON, 3, fresh, {}, PAUSE) == []
    old = {**done, TODAY: NOON - (TODAY_SECONDS - PAUSE) - 1}
    assert due_days(NOON, 3, old, {}, PAUSE) == [TODAY]
    ahead = {**done, TODAY: NOON + 3600}  # of a clock that went wrong for a while
    assert due_days(NOON, 3, ahead, {}, PAUSE) == [TODAY]


def test_a_day_is_written_once_more_when_late_builds_are_recorded() -> None:
    """Make the file of a day final a while after the day, then leave it alone."""
    at, settled = MIDNIGHT - 100, MIDNIGHT + LATE_SECONDS
    assert due_days(MIDNIGHT + 60, 2, {TODAY: MIDNIGHT + 30, YESTERDAY: at}, {}, PAUSE) == []
    written = {TODAY: settled, YESTERDAY: at}
    assert due_days(settled, 2, written, {}, PAUSE) == [YESTERDAY]
    assert due_days(settled, 2, {**written, YESTERDAY: settled}, {}, PAUSE) == []


def test_missing_days_come_one_at_a_time_and_one_that_fails_lets_the_others_go_first() -> None:
    days = [TODAY - timedelta(days=n) for n in range(4)]
    written, tried = {TODAY: NOON}, {}
    assert due_days(NOON, 4, written, tried, PAUSE) == [days[1]]
    tried[days[1]] = NOON  # and failed
    assert due_days(NOON, 4, written, tried, PAUSE) == [days[2]]
    tried[days[2]] = written[days[2]] = NOON + 1
    assert due_days(NOON, 4, written, tried, PAUSE) == [days[3]]
    tried[days[3]] = written[days[3]] = NOON + 2
    assert due_days(NOON, 4, written, tried, PAUSE) == [days[1]]


@pytest.mark.parametrize("kept", [0, 1, 2, 30])
def test_no_more_days_are_written_than_are_kept(kept: int) -> None:
    written: dict[date, float] = {}
    for _ in range(100):
        for day in due_days(NOON, kept, written, written, PAUSE):
            written[day] = NOON
    assert len(written) == kept
    assert expired_days(NOON, kept, written) == []


@given(kept=st.integers(1, 400), ages=st.sets(st.integers(-2, 800)))
def test_what_is_removed_is_what_is_too_old_to_be_written(kept: int, ages: set[int]) -> None:
    days = {TODAY - timedelta(days=n) for n in ages}
    gone = set(expired_days(NOON, kept, days))
    assert gone == {TODAY - timedelta(days=n) for n in ages if n >= kept}
