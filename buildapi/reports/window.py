"""The time window of a report and its intervals: half-open, in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import attrs

DAY = 86_400
MINUTE = 60

Seconds = int | float


@attrs.frozen
class Window:
    """The time ``[start, end)`` in intervals of ``int_size`` seconds; 0 means one interval."""

    start: Seconds
    end: Seconds
    int_size: int = 0

    @property
    def seconds(self) -> Seconds:
        """Return the length in seconds."""
        return self.end - self.start

    @property
    def intervals(self) -> int:
        """Return the number of intervals; the last one may be shorter."""
        if not self.int_size:
            return 1
        # The end is excluded: a window of exactly two intervals does not begin a third one.
        return max(1, int((self.seconds - 1) // self.int_size) + 1)

    def index(self, time: Seconds) -> int:
        """Return the interval of a time; times outside belong to the first or last one."""
        if not self.int_size:
            return 0
        return min(max(0, int((time - self.start) // self.int_size)), self.intervals - 1)

    def begin(self, index: int) -> int:
        """Return the begin of an interval, cut to whole seconds."""
        return int(self.start + index * self.int_size)

    def begins(self) -> Sequence[int]:
        """List the begin of each interval."""
        return [self.begin(i) for i in range(self.intervals)]

    def has(self, time: Seconds) -> bool:
        """Return whether a time is in the window."""
        return self.start <= time < self.end

    def divided(self, parts: int) -> Window:
        """Return the window with an interval size, if it has none: a ``parts``-th, rounded down."""
        # Rounded down, as in the Pylons program: a length that does not divide evenly has an
        # interval more.
        return self if self.int_size else attrs.evolve(self, int_size=int(self.seconds // parts))


def window_of(start: Seconds | None, end: Seconds | None, now: float) -> Window:
    """Return the window of a report; by default a day that ends at the last whole minute.

    A start or end of 0 counts as missing.  A missing end is a day after the start, but not in the
    future.
    """
    # Otherwise no two requests would have one window, and no cached report would ever be used.
    latest = int(now) // MINUTE * MINUTE
    if not end:
        end = min(start + DAY, latest) if start else latest
        # A start in the future makes an empty window, not one that ends before it begins.
        end = max(end, start or 0)
    return Window(start or end - DAY, end)


def label(time: int, zone: tzinfo) -> str:
    """Format a time as ``MM/DD HH:MM``, for charts."""
    return datetime.fromtimestamp(time, zone).strftime("%m/%d %H:%M")


FORMATS = ("%m/%d %H:%M", "%m/%d %H:%M:%S", "%m/%d %H:%M:%S %Z", "%Y/%m/%d %H:%M:%S %Z")


def labels(times: Sequence[int], zone: tzinfo) -> Sequence[str]:
    """Format times as ``label`` does, with as much more as makes no two of them equal.

    Intervals of seconds begin in one minute, an hour comes twice when clocks go back, and a day of
    the year every year.
    """
    moments = [datetime.fromtimestamp(time, zone) for time in times]
    found: Sequence[str] = ()
    for format_ in FORMATS:
        found = [moment.strftime(format_) for moment in moments]
        if len(set(found)) == len(set(times)):
            break
    return found
