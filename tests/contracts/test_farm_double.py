"""The farm in memory that tests of the agent use does what a real one does."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
from msgspec.structs import replace

from buildapi.buildbot.v08.job_executor import JobExecutor
from buildapi.buildbot.v08.lowered_plan import BuildsetRow
from buildapi.model.actions import Action
from buildapi.model.job_identity import JobIdentity
from buildapi.model.records import RequestBuild
from tests.agent.doubles import NOW, FarmDouble, stored
from tests.buildbot.farm_contract import Copy, FarmActionsContract, MarkedFarmContract, written
from tests.contracts.facts import BRANCH, REVISION
from tests.model.defaults import rules
from tests.model.values import claimed, request


@attrs.define
class InMemory:
    """A farm in memory, and what masters and schedulers do there."""

    farm: FarmDouble
    last: int = 0

    @property
    def reader(self) -> FarmDouble:
        return self.farm

    def pending(
        self,
        properties: Mapping[str, str] | None = None,
        *,
        branch: str = BRANCH,
        revision: str = REVISION,
        priority: int = 3,
    ) -> int:
        return self._add(properties or {}, branch=branch, revision=revision, priority=priority)

    def together(self, count: int) -> list[int]:
        self.last += 1
        set_ = self.last
        return [self._add({}, buildsetid=set_, priority=3) for _ in range(count)]

    def _add(self, properties: Mapping[str, str], **columns: object) -> int:
        self.last += 1
        row = request(**{"id": self.last, "buildsetid": self.last, **columns})
        self.farm.add(stored(row, BuildsetRow(row.buildsetid, None, tuple(properties.items()))))
        return row.id

    def run(self, request: int) -> int:
        self.last += 1
        known = self.farm.known[request]
        claim = {"claimed_at": claimed().claimed_at, "claimed_by_name": claimed().claimed_by_name}
        row = replace(known.request, **claim)
        build = RequestBuild(self.last, self.last, request, NOW, None)
        self.farm.add(attrs.evolve(known, request=row, tries=(*known.tries, build)))
        return build.id

    def complete(self, request: int) -> None:
        self.farm.change(request, complete=True, complete_at=NOW, results=0)

    def priority(self, request: int) -> int:
        return self.farm.known[request].request.priority

    def is_dropped(self, request: int) -> bool:
        row = self.farm.known[request].request
        rest = [f.request for f in self.farm.known.values()]
        together = [r for r in rest if r.buildsetid == row.buildsetid]
        return row.results == 2 and all(r.complete for r in together)

    def is_complete(self, request: int) -> bool:
        return self.farm.known[request].request.complete

    def copies(self, request: int) -> list[Copy]:
        found = [f for brid, f in sorted(self.farm.known.items()) if brid > request]
        return [
            Copy(
                f.request.buildername,
                f.request.branch,
                f.request.revision,
                f.request.reason,
                f.request.priority,
                dict(f.buildset.properties),
                [c for stamp, c in self.farm.changes.items() if stamp == f.buildset.sourcestampid],
            )
            for f in found
        ]

    async def interrupt(self, of: JobIdentity, action: Action) -> None:
        await written(self.farm, of, action)

    def writes(self) -> object:
        farm = self.farm
        return [dict(x) for x in (farm.known, farm.markers, farm.aside)], list(farm.effects)


class TestFarmDouble(MarkedFarmContract):
    """The contract."""

    @pytest.fixture
    def made(self) -> InMemory:
        return InMemory(FarmDouble(reachable=False))


class TestJobExecutorOnDouble(FarmActionsContract):
    """The contract: what the tests of agents stand on behaves as on rows."""

    @pytest.fixture
    def made(self) -> InMemory:
        return InMemory(FarmDouble(reachable=False))

    @pytest.fixture
    def actions(self, made: InMemory) -> JobExecutor:
        return JobExecutor(made.farm, rules())
