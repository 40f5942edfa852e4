"""A farm in memory, in the roles the pages about the whole farm need."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import attrs
from msgspec.structs import replace

from buildapi.buildbot.v08.build_rows import RunningRow
from buildapi.model.farm_rows import (
    PendingEntry,
    RecentBuild,
    RevisionEntry,
    RunningBuild,
)
from buildapi.model.records import Build, BuildDetails, RequestDetails
from tests.farmwide.serving import JSON, get, serving
from tests.golden.client import Answer
from tests.web.farm import Failing, MemoryBuilds, MemoryDirectory, MemoryFarmReads, a_request

NOW = 1_700_000_000
REVISION = "abcdef123456" + "0" * 28

WAITING = PendingEntry(21, "linux", NOW - 500, "projects/cedar", REVISION)
RUNNING = RunningBuild(
    12, (22, 23), 7, "linux", "m1", NOW - 300, NOW - 400, NOW - 10, "try-linux-unittest", None
)
ENTRY = RevisionEntry(
    22, 5, "linux", NOW - 400, NOW - 10, "m1", False, None, 7, NOW - 300, None, "try", REVISION
)
UNCLAIMED = replace(
    ENTRY, id=24, claimed_at=0, claimed_by_name=None, number=6, finish_time=NOW - 200
)
DONE = replace(ENTRY, id=20, complete=True, results=0, finish_time=NOW - 50)
RECENT = RecentBuild(81, "linux-build", "linux", 7, NOW - 300, None, None, "slave1", "m1")


def a_row(**changes: Any) -> RunningRow:
    row = RunningRow(
        12, 7, NOW - 300, 22, "linux", "m1", "pid1", NOW - 10, NOW - 400, "try", REVISION
    )
    return replace(row, **changes)


@attrs.define
class MemoryRecentBuilds:
    """The role RecentBuilds."""

    found: Sequence[RecentBuild] = ()
    failing: Failing = attrs.field(factory=Failing)

    async def recent(
        self, slaves: Sequence[str], *, greedy: bool, limit: int
    ) -> Sequence[RecentBuild]:
        await self.failing.happen("recent", tuple(slaves), greedy, limit)
        newest = sorted(self.found, key=lambda b: -b.id)
        if slaves:
            fits = str.startswith if greedy else str.__eq__
            newest = [b for b in newest if any(fits(b.slavename, name) for name in slaves)]
            newest = [b for b in newest if b.result is not None]
        return newest[:limit]

    async def running(self, since: int, limit: int) -> Sequence[RecentBuild]:
        await self.failing.happen("recorded running builds", limit)
        newest = sorted(self.found, key=lambda b: -b.id)
        return [b for b in newest if b.endtime is None and (b.starttime or 0) >= since][:limit]

    async def current(self, slave: str) -> RecentBuild | None:
        await self.failing.happen("current", slave)
        of_slave = [b for b in self.found if b.slavename == slave]
        latest = max(of_slave, key=lambda b: b.id, default=None)
        return latest if latest is not None and latest.endtime is None else None


def rows_of(
    pending: Sequence[PendingEntry] = (),
    running: Sequence[RunningBuild] = (),
    revision: Sequence[RevisionEntry] = (),
    pushes: Sequence[tuple[str, str, int]] = (),
) -> MemoryBuilds:
    """Put into a farm what its reads then list."""
    rows = MemoryBuilds({}, {}, pushes=list(pushes))
    for waits in pending:
        claimed_at = NOW - 5 if waits.claimed_by_name else 0
        _add(rows, waits.id, waits, priority=waits.priority or 0, claimed_at=claimed_at)
    for build in running:
        for brid in build.request_ids:
            _add(rows, brid, build, claimed_at=build.master_seen_at)
        _start(rows, build.id, build, build.request_ids)
    for number, entry in enumerate(revision):
        _add(rows, entry.id, entry, **{name: getattr(entry, name) for name in OF_ENTRY})
        if entry.start_time is not None:
            _start(rows, 1000 - number, entry, [entry.id])
    return rows


OF_ENTRY = ("buildsetid", "claimed_at", "complete", "results")


def _add(rows: MemoryBuilds, brid: int, entry: Any, **columns: Any) -> None:
    same = ("buildername", "submitted_at", "branch", "revision", "claimed_by_name")
    columns |= {name: getattr(entry, name) for name in same}
    rows.requests[brid] = RequestDetails(a_request(brid, **columns), {}, [])


def _start(rows: MemoryBuilds, bid: int, entry: Any, brids: Sequence[int]) -> None:
    requests = [rows.requests[brid].request for brid in brids]
    end = getattr(entry, "finish_time", None)
    rows.builds[bid] = BuildDetails(Build(bid, entry.number, entry.start_time, end, requests), [])


@attrs.define
class Site:
    """A running site and what is behind it; ``reads`` are all reads of the farm."""

    port: int
    reads: Failing
    directory: MemoryDirectory

    async def get(self, path: str, headers: Mapping[str, str] = JSON) -> Answer:
        return await get(self.port, path, headers)


EVERYTHING: dict[str, Any] = {
    "pending": [WAITING],
    "running": [RUNNING],
    "revision": [DONE],
    "pushes": [("try", "zoe", NOW - 9), ("try", "zoe", NOW - 8), ("cedar", "ann", NOW - 9)],
}


@contextlib.asynccontextmanager
async def a_site(
    zone: str = "UTC", recent: Sequence[RecentBuild] = (RECENT,), **found: Any
) -> AsyncIterator[Site]:
    """Serve a farm in memory; ``found`` is all that is there instead."""
    definitions = {"try": {}, "cedar": {"repo": "https://hg.example.org/projects/cedar"}}
    directory = MemoryDirectory(definitions=definitions)
    reads = Failing()
    rows = rows_of(**found or EVERYTHING)
    farm, records = MemoryFarmReads(rows, reads), MemoryRecentBuilds(recent, reads)
    async with serving(directory, farm, records, builds=rows, now=NOW + 0.5, zone=zone) as port:
        yield Site(port, reads, directory)
