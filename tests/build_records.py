"""What masters report of their builds, in memory."""

from __future__ import annotations

import attrs

from buildapi.model.build_steps import STEPS_MAX, BuildRecord
from buildapi.model.records import Build
from tests.web.farm import Failing

NEAR = 300
"""Seconds by which the recorded start of a build may differ from its own."""


@attrs.frozen
class ReportedBuild:
    """A build as a master reports it; ``host`` is that of the master."""

    builder: str
    number: int
    started: int
    host: str
    record: BuildRecord


@attrs.define
class MemoryBuildSteps:
    """The role BuildSteps."""

    reported: list[ReportedBuild] = attrs.field(factory=list)
    failing: Failing = attrs.field(factory=Failing)

    async def of_build(self, build: Build) -> BuildRecord | None:
        await self.failing.happen("of_build", build.id)
        first = build.requests[0]
        host = (first.claimed_by_name or "").partition(":")[0]

        def rank(one: ReportedBuild) -> tuple[bool, int]:
            return one.host != host, abs(one.started - build.start_time)

        ours = [
            one
            for one in self.reported
            if (one.builder, one.number) == (first.buildername, build.number)
            and abs(one.started - build.start_time) <= NEAR
        ]
        if not ours:
            return None
        found = min(ours, key=rank).record
        return attrs.evolve(found, steps=found.steps[:STEPS_MAX])
