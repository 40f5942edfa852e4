"""What a dump of ended builds is made of, as frozen values; times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

DAY_SECONDS = 86_400

TIME_MAX = 253_402_300_000
"""The last seconds of the year 9999: what databases can still compare with."""


@attrs.frozen
class Window:
    """The time from ``start`` to ``end``, both included."""

    start: int
    end: int

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= TIME_MAX:
            raise ValueError(f"a time from {self.start} to {self.end}")


@attrs.frozen
class EndedBuild:
    """A build by the status database; ``properties`` are names and values as stored."""

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
    """A request with one of its builds, by the scheduler database."""

    request_id: int
    buildername: str
    number: int
    start_time: float
    submitted_at: int


@attrs.frozen
class DumpStatus:
    """When a dump was last written; times are seconds since the epoch.

    ``good_at`` is when the last good one was written, also by an earlier process.
    """

    name: str
    good_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None

    def age(self, now: float) -> float | None:
        """Return how many seconds ago the last good one was written; None: never."""
        return None if self.good_at is None else max(0.0, now - self.good_at)
