"""Durations between two times that may come from different clocks."""

from __future__ import annotations

from typing import TypeVar

Seconds = TypeVar("Seconds", int, float)


def elapsed(start: Seconds | None, end: Seconds | None) -> Seconds | None:
    """Return the seconds from start to end.

    None if a time is missing (0 counts as missing) or the end is before the start: the clock of
    a master can be behind, and a change can be dated later than its build.
    """
    # None keeps it out of averages and percentiles [docs/reports.md, "What is counted"].
    if not start or not end or end < start:
        return None
    return end - start
