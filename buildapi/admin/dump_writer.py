"""Dump the builds and requests of the farm to JSON files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import attrs
from twisted.logger import Logger

from buildapi.atomic_file import AtomicFile
from buildapi.db.sql import MissingTableError, RowLimitError
from buildapi.errors import BuildAPIError
from buildapi.interfaces import FarmReads
from buildapi.interfaces.dialect import EndedBuilds, StartedRequests
from buildapi.model.ended_builds import NEAR_SECONDS, DumpWindow, EndedBuild, StartedRequest
from buildapi.model.farm_rows import BranchFilter, Portion
from buildapi.reactor_time import Reactor, in_pool
from buildapi.reports.dump_entries import ReadBuild, entries, read_build
from buildapi.reports.json_files import ListDocument, encoded
from buildapi.web.farm.farm_serializers import pending_json, running_json

T = TypeVar("T")

BUILDS_AT_ONCE = 100
"""Number of builds kept in memory at a time, with their properties."""

EXPECTED = (BuildAPIError, MissingTableError, RowLimitError, OSError)
"""Errors that end a dump with a one-line message."""

EVERYTHING = BranchFilter(), Portion()

Progress = Callable[[int, int], None]
"""Called with the number of builds written and their total."""

log = Logger()


def untold(_done: int, _total: int) -> None:
    """Ignore the progress."""


@attrs.frozen
class Target:
    """Describe where and how to write a dump; ``name`` is a file, or - for standard output."""

    name: str
    compact: bool = False
    gzipped: bool = False


@attrs.define
class Dumper:
    """Write dumps; ``branches`` returns the names of the branches.

    Encoding and writing run in threads of the reactor's own pool.
    """

    _reactor: Reactor
    _ended: EndedBuilds
    _started: StartedRequests
    _farm_wide: FarmReads
    _branches: Callable[[], Awaitable[Sequence[str]]]

    async def builds(self, window: DumpWindow, target: Target, progress: Progress = untold) -> int:
        """Write the builds that ended in a window; return their number."""
        ids = await self._ended.ids(window)

        async def write(file: AtomicFile) -> int:
            document = ListDocument("builds", target.compact)
            await self.in_thread(file.write, document.head())
            written = 0
            for start in range(0, len(ids), BUILDS_AT_ONCE):
                progress(start, len(ids))
                part = ids[start : start + BUILDS_AT_ONCE]
                written += await self._part(file, document, part)
            tail = document.tail({"endtime": window.end, "starttime": window.start})
            await self.in_thread(file.write, tail + b"\n")
            progress(len(ids), len(ids))
            return written

        return await self._written(target, write)

    async def _part(self, file: AtomicFile, document: ListDocument, ids: Sequence[int]) -> int:
        builds = await self._ended.builds(ids)
        reads = await self.in_thread(_read, builds)
        started = await self._started_of(reads)
        await self.in_thread(lambda: file.write(document.items(entries(reads, started))))
        return len(reads)

    async def _started_of(self, reads: Sequence[ReadBuild]) -> Sequence[StartedRequest]:
        """Read from the scheduler database the requests that the properties do not name."""
        asked = [r.build for r in reads if r.requests is None]
        times = [b.starttime for b in asked if b.starttime is not None]
        if not times:
            return ()
        numbers = [b.buildnumber for b in asked]
        return await self._started.started(
            numbers, min(times) - NEAR_SECONDS, max(times) + NEAR_SECONDS
        )

    async def pending(self, target: Target) -> None:
        """Write the pending requests."""
        found = await self._farm_wide.pending(*EVERYTHING)
        names = await self._branches()
        await self._whole(target, lambda: {"pending": pending_json(names, found)})

    async def running(self, target: Target) -> None:
        """Write the running builds."""
        found = await self._farm_wide.running(*EVERYTHING)
        names = await self._branches()
        await self._whole(target, lambda: {"running": running_json(names, found)})

    async def _whole(self, target: Target, shape: Callable[[], object]) -> None:
        async def write(file: AtomicFile) -> None:
            await self.in_thread(
                lambda: file.write(encoded(shape(), compact=target.compact) + b"\n")
            )

        await self._written(target, write)

    async def _written(self, target: Target, write: Callable[[AtomicFile], Awaitable[T]]) -> T:
        """Write a file under a temporary name, and rename it once it is complete."""
        # Not in a `with` block: at its end the file is flushed to disk, which would block the
        # reactor.
        file = AtomicFile(target.name, target.gzipped)
        try:
            result = await write(file)
            await self.in_thread(file.keep)
        finally:
            file.drop()
        return result

    async def in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Run blocking work in a thread of the reactor's pool."""
        pool = self._reactor.getThreadPool()
        return await in_pool(self._reactor, pool, lambda: work(*arguments))


def _read(builds: Sequence[EndedBuild]) -> Sequence[ReadBuild]:
    reads = [read_build(build) for build in builds]
    for read in reads:
        if read.bad:
            log.warn(
                "build {id}: omitted properties that are not JSON: {names}",
                id=read.build.id,
                names=", ".join(read.bad)[:200],
            )
    return reads
