"""A farm in memory, in the roles the pages about the whole farm need."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import attrs

from buildapi.model.farm_rows import (
    BranchFilter,
    OpenWork,
    PendingEntry,
    Portion,
    PushCounts,
    RecentBuild,
    RevisionEntry,
    RunningBuild,
    RunningRow,
)
from buildapi.model.revisions import RevisionMatch
from tests.farmwide.serving import JSON, get, serving
from tests.golden.client import Answer
from tests.web.farm import MemoryDirectory

NOW = 1_700_000_000
REVISION = "abcdef123456" + "0" * 28

WAITING = PendingEntry(21, "linux", NOW - 500, "projects/cedar", REVISION)
RUNNING = RunningBuild(
    12, (22, 23), 7, "linux", "m1", NOW - 300, NOW - 400, NOW - 10, "try-linux-unittest", None
)
ENTRY = RevisionEntry(
    22, 5, "linux", NOW - 400, NOW - 10, "m1", False, None, 7, NOW - 300, None, "try", REVISION
)
UNCLAIMED = attrs.evolve(
    ENTRY, id=24, claimed_at=0, claimed_by_name=None, number=6, finish_time=NOW - 200
)
RECENT = RecentBuild(81, "linux-build", "linux", 7, NOW - 300, None, None, "slave1", "m1")


def a_row(**changes: Any) -> RunningRow:
    row = RunningRow(
        12, 7, NOW - 300, 22, "linux", "m1", "pid1", NOW - 10, NOW - 400, "try", REVISION
    )
    return attrs.evolve(row, **changes)


@attrs.define
class MemoryFarmWide:
    """The roles FarmWideReads and RecentBuilds; notes what it is asked."""

    found: Mapping[str, Any] = attrs.field(
        factory=lambda: {
            "pending": [WAITING],
            "running": [RUNNING],
            "revision": [ENTRY, UNCLAIMED, attrs.evolve(UNCLAIMED, number=5)],
            "pushes": PushCounts({"zoe": 2, "ann": 1}),
            "recent": [RECENT],
        }
    )
    error: Exception | None = None
    calls: list[tuple[Any, ...]] = attrs.field(factory=list)

    def _answer(self, name: str, *asked: Any) -> Any:
        self.calls.append((name, *asked))
        if self.error is not None:
            raise self.error
        return self.found[name]

    async def pending(self, branches: BranchFilter, portion: Portion) -> Sequence[PendingEntry]:
        found: Sequence[PendingEntry] = self._answer("pending", names(branches), portion)
        return found

    async def running(self, branches: BranchFilter, portion: Portion) -> Sequence[RunningBuild]:
        found: Sequence[RunningBuild] = self._answer("running", names(branches), portion)
        return found

    async def open(self) -> OpenWork:
        return OpenWork(self._answer("pending"), self._answer("running"))

    async def revision(
        self, branches: BranchFilter, wanted: RevisionMatch
    ) -> Sequence[RevisionEntry]:
        found: Sequence[RevisionEntry] = self._answer("revision", names(branches), wanted.text)
        return found

    async def pushes(self, branches: BranchFilter, start: int, end: int | None) -> PushCounts:
        found: PushCounts = self._answer("pushes", names(branches), start, end)
        return found

    async def recent(
        self, slaves: Sequence[str], *, greedy: bool, limit: int
    ) -> Sequence[RecentBuild]:
        found: Sequence[RecentBuild] = self._answer("recent", tuple(slaves), greedy, limit)
        return found


def names(branches: BranchFilter) -> tuple[list[str], list[str]]:
    """Name the branches and the texts of a filter."""
    return [b.name for b in branches.branches], list(branches.texts)


@attrs.define
class Site:
    """A running site and what is behind it."""

    port: int
    farm: MemoryFarmWide
    directory: MemoryDirectory

    async def get(self, path: str, headers: Mapping[str, str] = JSON) -> Answer:
        return await get(self.port, path, headers)


@contextlib.asynccontextmanager
async def a_site(zone: str = "UTC", **found: Any) -> AsyncIterator[Site]:
    """Serve a farm in memory; ``found`` is what its reads give instead."""
    definitions = {"try": {}, "cedar": {"repo": "https://hg.example.org/projects/cedar"}}
    farm, directory = MemoryFarmWide(), MemoryDirectory(definitions=definitions)
    farm.found = {**farm.found, **found}
    async with serving(directory, farm, farm, now=NOW + 0.5, zone=zone) as port:
        yield Site(port, farm, directory)
