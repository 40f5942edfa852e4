"""The roles TrailStore and Trail in memory, for tests of those that note what happens."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi import tracing
from buildapi.model.ops import Part, TrailEntry

MOST = 1000
WIDTHS = {"host": 1000, "event": 40, "trace": 64, "detail": 2000}


@attrs.define
class MemoryTrailStore:
    """The role TrailStore; ``noted`` is all there is, in the order of its coming."""

    noted: list[TrailEntry] = attrs.field(factory=list)

    async def add(self, entries: Sequence[TrailEntry]) -> None:
        self.noted += [_storable(entry) for entry in entries]

    async def of_job(self, job_id: int, since: float) -> Sequence[TrailEntry]:
        found = [e for e in dict.fromkeys(self.noted) if e.job_id == job_id and e.at >= since]
        return sorted(found[:MOST], key=lambda entry: entry.at)

    async def forget(self, before: float) -> None:
        self.noted[:] = [e for e in self.noted if e.at >= before]


def _storable(entry: TrailEntry) -> TrailEntry:
    cut = {name: getattr(entry, name)[:width] for name, width in WIDTHS.items()}
    texts = {n: t.encode(errors="replace").decode().replace("\0", "?") for n, t in cut.items()}
    return attrs.evolve(entry, **texts)


@attrs.define
class MemoryTrail(MemoryTrailStore):
    """The role Trail, too: what is noted is there at once."""

    def note(self, job_id: int, part: Part, event: str, detail: str = "") -> None:
        at = 1_700_000_000 + len(self.noted) / 8
        line = " ".join(detail.split())[:1000]
        self.noted.append(TrailEntry(job_id, at, "host", part, event, line, tracing.trace()))

    def events(self, job_id: int | None = None) -> list[str]:
        return [e.event for e in self.noted if job_id in (None, e.job_id)]

    def details(self, event: str) -> list[str]:
        return [e.detail for e in self.noted if e.event == event]
