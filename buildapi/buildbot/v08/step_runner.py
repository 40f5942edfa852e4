"""Execute the steps of a plan that are not database writes."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

import attrs

from buildapi.buildbot.v08.build_stopper import BuildStopper
from buildapi.buildbot.v08.clobber import Clobberer
from buildapi.buildbot.v08.dropped_requests import DroppedRequestWatcher
from buildapi.buildbot.v08.lowered_plan import Poke, WatchDropped
from buildapi.model.job_identity import JobIdentity
from buildapi.model.outcome import Item
from buildapi.model.steps import Clobber, SendChange, StopBuild


class ChangeSteps(Protocol):
    """Send changes to masters."""

    def send(self, job: JobIdentity, step: SendChange, who: str) -> Awaitable[Item]: ...


@attrs.frozen
class StepRunner:
    """Execute steps; ``clobberer`` is None if the farm has none."""

    _stopper: BuildStopper
    _watcher: DroppedRequestWatcher
    _changes: ChangeSteps
    _clobberer: Clobberer | None

    async def poke(self, job: JobIdentity, step: Poke, who: str) -> Sequence[Item]:
        """Execute one step and verify its effect."""
        match step:
            case StopBuild():
                return [await self._stopper.stop(step, who)]
            case WatchDropped():
                return await self._watcher.watch(step, who)
            case SendChange():
                return [await self._changes.send(job, step, who)]
            case Clobber():
                return [await self._clobber(step)]

    async def _clobber(self, step: Clobber) -> Item:
        if self._clobberer is None:
            return Item("nothing", "no clobberer is configured", request_id=step.build.brid)
        return await self._clobberer.clobber(step)
