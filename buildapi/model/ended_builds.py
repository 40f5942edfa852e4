"""The values that a dump of ended builds is made of; times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

DAY_SECONDS = 86_400

NEAR_SECONDS = 2
"""Seconds within which the starts of one build agree in the two databases."""

TIME_MAX = 253_402_300_000
"""Near the end of the year 9999, the last one that databases can compare with."""


@attrs.frozen
class DumpWindow:
    """The time from ``start`` to ``end``, both included."""

    start: int
    end: int

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= TIME_MAX:
            raise ValueError(f"a time from {self.start} to {self.end}")


@attrs.frozen
class EndedBuild:
    """A build that has ended; ``properties`` are stored names and values."""

    id: int
    buildnumber: int
    builder_id: int
    slave_id: int
    master_id: int
    starttime: int | None
    endtime: int | None
    result: int | None
    reason: str | None
    properties: Sequence[tuple[str | None, str | None]] = ()


@attrs.frozen
class StartedRequest:
    """A build request with one of its builds."""

    request_id: int
    buildername: str
    number: int
    start_time: float
    submitted_at: int


@attrs.frozen
class DumpStatus:
    """When a dump was last written, and the last failure; times are seconds since the epoch.

    ``good_at`` may be the time of an earlier process.
    """

    name: str
    good_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None

    def age(self, now: float) -> float | None:
        """Return the seconds since the last successful write; None if there was none."""
        return None if self.good_at is None else max(0.0, now - self.good_at)
