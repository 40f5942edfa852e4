"""Windows and their intervals, against counting second by second."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.reports.window import DAY, Window, label, labels, window_of

SMALL = st.integers(0, 300)


@given(SMALL, st.integers(1, 300), st.integers(0, 40), st.integers(-50, 700))
def test_every_time_is_in_one_interval(start: int, length: int, size: int, time: int) -> None:
    window = Window(start, start + length, size)
    index = window.index(time)
    assert 0 <= index < window.intervals
    if window.has(time) and size:
        assert window.begin(index) <= time < window.begin(index) + size


@given(SMALL, st.integers(1, 300), st.integers(1, 40))
def test_the_intervals_cover_the_window_and_no_more(start: int, length: int, size: int) -> None:
    window = Window(start, start + length, size)
    seconds = {window.index(t) for t in range(start, start + length)}
    assert seconds == set(range(window.intervals))
    assert list(window.begins()) == [start + i * size for i in range(window.intervals)]


@given(st.integers(1, 10**6), st.integers(1, 50))
def test_a_window_is_divided_into_whole_seconds(length: int, parts: int) -> None:
    divided = Window(0, length).divided(parts)
    assert divided.int_size == length // parts
    assert Window(0, length, 7).divided(parts).int_size == 7


def test_an_awkward_length_has_one_interval_more() -> None:
    assert Window(0, 12 * 100 + 5, 100).intervals == 13
    assert Window(0, 1200, 100).intervals == 12
    assert Window(5, 5, 10).intervals == 1


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (1_000_020 - DAY, 1_000_020)),
        (0, 0, (1_000_020 - DAY, 1_000_020)),
        (900_000, None, (900_000, 900_000 + DAY)),
        (999_000, None, (999_000, 1_000_020)),
        (2_000_000, None, (2_000_000, 2_000_000)),
        (None, 500_000, (500_000 - DAY, 500_000)),
        (1.5, 3, (1.5, 3)),
    ],
)
def test_what_was_not_asked_for_is_a_day(
    start: float | None, end: float | None, expected: tuple[float, float]
) -> None:
    window = window_of(start, end, now=1_000_079.9)
    assert (window.start, window.end) == expected


def test_labels_are_in_the_zone() -> None:
    assert label(1_434_564_000, ZoneInfo("US/Pacific")) == "06/17 11:00"


PACIFIC = ZoneInfo("US/Pacific")
# 1:00 and 2:00 in summer time, and 1:00 again.
FALLING_BACK = [1_446_364_800 + 3600 * n for n in range(4)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1_434_564_000, 1_434_567_600], ["06/17 11:00", "06/17 12:00"]),
        ([1_434_564_000, 1_434_564_030], ["06/17 11:00:00", "06/17 11:00:30"]),
        (
            FALLING_BACK,
            [
                "11/01 01:00:00 PDT",
                "11/01 01:00:00 PST",
                "11/01 02:00:00 PST",
                "11/01 03:00:00 PST",
            ],
        ),
        (
            [1_434_564_000, 1_434_564_000 + 366 * DAY],
            ["2015/06/17 11:00:00 PDT", "2016/06/17 11:00:00 PDT"],
        ),
        ([], []),
    ],
)
def test_no_two_labels_are_equal(times: list[int], expected: list[str]) -> None:
    assert labels(times, PACIFIC) == expected
