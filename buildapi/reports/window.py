"""The window of a report and its intervals: half-open, in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import attrs

DAY = 86_400
MINUTE = 60

Seconds = int | float


@attrs.frozen
class Window:
    """Times from ``start`` up to ``end``, in intervals of ``int_size`` seconds; 0 is one of all."""

    start: Seconds
    end: Seconds
    int_size: int = 0

    @property
    def seconds(self) -> Seconds:
        """Tell how long it is."""
        return self.end - self.start

    @property
    def intervals(self) -> int:
        """Count the intervals; the last one may be shorter."""
        if not self.int_size:
            return 1
        return max(1, int((self.seconds - 1) // self.int_size) + 1)

    def index(self, time: Seconds) -> int:
        """Tell which interval a time is in: the first or last one for those outside."""
        if not self.int_size:
            return 0
        return min(max(0, int((time - self.start) // self.int_size)), self.intervals - 1)

    def begin(self, index: int) -> int:
        """Tell when an interval begins."""
        return int(self.start + index * self.int_size)

    def begins(self) -> Sequence[int]:
        """Tell when each interval begins."""
        return [self.begin(i) for i in range(self.intervals)]

    def has(self, time: Seconds) -> bool:
        """Tell whether a time is inside."""
        return self.start <= time < self.end

    def divided(self, parts: int) -> Window:
        """Give it intervals where it has none: a whole part of the window each."""
        return self if self.int_size else attrs.evolve(self, int_size=int(self.seconds // parts))


def window_of(start: Seconds | None, end: Seconds | None, now: float) -> Window:
    """Fill in what was not asked for: a day, at most until now, which is the last whole minute.

    A start of 0 is none.
    """
    latest = int(now) // MINUTE * MINUTE
    if not end:
        end = min(start + DAY, latest) if start else latest
        end = max(end, start or 0)
    return Window(start or end - DAY, end)


def label(time: int, zone: tzinfo) -> str:
    """Write a time as charts do, ``MM/DD HH:MM``."""
    return datetime.fromtimestamp(time, zone).strftime("%m/%d %H:%M")
