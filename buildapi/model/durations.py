"""How long something took, by two times that need not be of one clock."""

from __future__ import annotations

from typing import TypeVar

Seconds = TypeVar("Seconds", int, float)


def elapsed(start: Seconds | None, end: Seconds | None) -> Seconds | None:
    """Return the seconds from start to end.

    None where they are not known: a time is missing (0 is none), or the end is before the start,
    as where a master's clock is behind, or a change is dated later than its build.
    """
    if not start or not end or end < start:
        return None
    return end - start
