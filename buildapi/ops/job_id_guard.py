"""Detect that ids of job requests started over, as after a restore of the jobs database."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import attrs
from twisted.logger import Logger

from buildapi.errors import Unavailable

# The ids of jobs are an INTEGER of MySQL, which has four bytes.
ID_MAX = 2**31 - 1


@attrs.frozen
class JobIdReset:
    """Record that ids of jobs were behind those of markers; ``at`` is in epoch seconds.

    ``moved`` is false if the next ids could not be moved past the highest marker.
    """

    at: int
    highest_job: int
    highest_marker: int
    moved: bool


@attrs.define
class JobIdGuard:
    """Compare the highest job id with the highest id in a marker, and move the job ids past it.

    Jobs with reused ids are executed correctly; but two trails, pages and markers with one id
    confuse people.
    """

    _highest_marker: Callable[[], Awaitable[int]]
    _highest_job: Callable[[], Awaitable[int]]
    _move_past: Callable[[int], Awaitable[bool]]
    last: JobIdReset | None = attrs.field(default=None, init=False)
    _log = Logger()

    async def check(self, now: int) -> None:
        """Compare, and retry at the next call if a database is unavailable.

        Called before the first job request is accepted and with each heartbeat: it costs two
        queries of a primary key, and a failover can happen at any time.
        """
        with contextlib.suppress(Unavailable):  # the status of the database says so
            await self._compare(now)

    async def _compare(self, now: int) -> None:
        marker, job = await self._highest_marker(), await self._highest_job()
        if marker <= job:
            return
        moved = marker < ID_MAX and await self._move_past(marker)
        found = JobIdReset(now, job, marker, moved)
        if self.last is not None and attrs.evolve(self.last, at=now) == found:
            return  # no job was asked for since
        self.last = found
        self._log.warn(
            "the highest job request is {job}, but there is a marker of job {marker}: was the jobs"
            " database restored or lost? {done}",
            job=job,
            marker=marker,
            done=f"New ids continue after {marker}" if moved else "The next id could not be raised",
        )
