"""A trail in memory, for tests of those that note what happens."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi import tracing
from buildapi.model.ops import Part, TrailEntry


@attrs.define
class MemoryTrail:
    """Keep all that is noted; the role ``Trail``, and what reads it."""

    noted: list[TrailEntry] = attrs.field(factory=list)

    def note(self, job_id: int, part: Part, event: str, detail: str = "") -> None:
        at = 1_700_000_000 + len(self.noted) / 8
        self.noted.append(TrailEntry(job_id, at, "host", part, event, detail, tracing.trace()))

    async def of_job(self, job_id: int, since: float) -> Sequence[TrailEntry]:
        return [e for e in self.noted if e.job_id == job_id and e.at >= since]

    async def add(self, entries: Sequence[TrailEntry]) -> None:
        self.noted += entries

    async def forget(self, before: float) -> None:
        self.noted = [e for e in self.noted if e.at >= before]

    def events(self, job_id: int | None = None) -> list[str]:
        return [e.event for e in self.noted if job_id in (None, e.job_id)]

    def details(self, event: str) -> list[str]:
        return [e.detail for e in self.noted if e.event == event]
