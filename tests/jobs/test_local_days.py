"""Days where the farm's people live."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.jobs.local_days import day_of, day_window

PACIFIC = ZoneInfo("America/Los_Angeles")
ZONES = st.sampled_from([PACIFIC, ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Asia/Gaza")])


@pytest.mark.parametrize(
    ("day", "hours"), [("2015-06-18", 24), ("2015-03-08", 23), ("2015-11-01", 25)]
)
def test_a_day_ends_at_the_next_midnight(day: str, hours: int) -> None:
    start, end = day_window(date.fromisoformat(day), PACIFIC)
    assert (end - start) / 3600 == hours
    assert datetime.fromtimestamp(start, PACIFIC).time().isoformat() == "00:00:00"


def test_a_day_is_counted_where_the_farm_is() -> None:
    start, _ = day_window(date(2015, 6, 18), PACIFIC)
    assert datetime.fromtimestamp(start, UTC).isoformat() == "2015-06-18T07:00:00+00:00"


@given(st.dates(date(1975, 1, 1), date(2100, 1, 1)), ZONES)
def test_the_seconds_of_a_day_are_of_that_day(day: date, zone: ZoneInfo) -> None:
    start, end = day_window(day, zone)
    assert day_of(start, zone) == day_of(end - 1, zone) == day
    assert day_of(end, zone) > day


def test_the_last_day_of_all_has_no_next_one() -> None:
    with pytest.raises(OverflowError):
        day_window(date.max, PACIFIC)
