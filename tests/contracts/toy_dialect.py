"""A dialect of no Buildbot at all: a farm in memory whose master does what it is asked at once.

It has no database and no marker, splits nothing into writes and pokes, and keeps no records for
reports: where it works, the service relies on nothing that only Buildbot 0.8 has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import msgspec
from msgspec.structs import replace

from buildapi.buildbot.dialect_definition import DialectDefinition, FarmResources, TablePrivileges
from buildapi.errors import Unavailable, Unsupported
from buildapi.interfaces import Journal
from buildapi.jobs.decide import decide
from buildapi.jobs.plan_outcomes import StepResult, conclude
from buildapi.model.actions import Action, CancelBuild, RebuildBuild
from buildapi.model.facts import Facts, RequestFacts, Subject
from buildapi.model.job_identity import JobIdentity
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import Build, BuildDetails, BuildRequest, RequestDetails, Stage
from buildapi.model.results import CANCELLED
from buildapi.model.rules import Rules
from buildapi.model.steps import (
    Clobber,
    DropRequest,
    DropRequests,
    NewChange,
    Plan,
    Rebuild,
    SendChange,
    SetPriority,
    Step,
    StepsDocument,
    StopBuild,
    StopClaimed,
    SubmitBuilds,
)
from buildapi.model.wire import JobMessage
from tests.build_records import MemoryBuildSteps
from tests.dumps.test_service import MemoryFarm
from tests.farmwide.doubles import MemoryRecentBuilds
from tests.web.farm import (
    MemoryBuilds,
    MemoryDirectory,
    MemoryFactsReader,
    MemoryFarmReads,
    MemoryPushes,
    MemoryTextLimits,
    a_request,
)

NOW = 1_700_000_000
MASTER = "toy-master"


@attrs.define
class ToyFarm:
    """The rows of the farm; ``changes`` are those of new builds, by buildset."""

    builds: MemoryBuilds = attrs.field(factory=lambda: MemoryBuilds({}, {}))
    changes: dict[int, NewChange] = attrs.field(factory=dict)
    last: int = 0

    def next(self) -> int:
        self.last += 1
        return self.last

    def row(self, brid: int) -> BuildRequest:
        return self.builds.requests[brid].request

    def submit(self, properties: Mapping[str, Any], **columns: Any) -> BuildRequest:
        """Add a pending request, in a buildset of its own unless one is named."""
        id_ = self.next()
        row = a_request(id_, **{"buildsetid": id_, **columns})
        self.builds.requests[id_] = RequestDetails(row, properties, [])
        return row

    def change(self, brid: int, **columns: Any) -> None:
        details = self.builds.requests[brid]
        row = replace(details.request, **columns)
        self.builds.requests[brid] = attrs.evolve(details, request=row)

    def drop(self, brid: int) -> bool:
        """Cancel a request unless it is claimed or complete; return whether it was pending."""
        if self.row(brid).stage is not Stage.PENDING:
            return False
        self.change(brid, complete=True, complete_at=NOW, results=CANCELLED)
        return True

    def run(self, brid: int) -> int:
        """Claim a request and start a build; return the id of the build."""
        self.change(brid, claimed_at=NOW, claimed_by_name=MASTER)
        id_ = self.next()
        build = Build(id_, id_, NOW, None, [self.row(brid)])
        self.builds.builds[id_] = BuildDetails(build, [])
        return id_

    def stop(self, build_id: int) -> None:
        details = self.builds.builds[build_id]
        ended = replace(details.build, finish_time=NOW)
        self.builds.builds[build_id] = attrs.evolve(details, build=ended)
        for request in details.build.requests:
            self.change(request.id, complete=True, complete_at=NOW, results=CANCELLED)


@attrs.define
class ToyActions:
    """The role FarmActions: each step is done at once, and so is each job, in one turn."""

    farm: ToyFarm
    facts: MemoryFactsReader
    rules: Rules
    done: dict[JobIdentity, Outcome] = attrs.field(factory=dict)

    async def subject(self, action: Action) -> Subject:
        facts: Facts = None
        if hasattr(action, "revision"):
            return Subject(revision=action.revision)
        if isinstance(action, CancelBuild | RebuildBuild) or hasattr(action, "brid"):
            facts = await self.facts.read(action)
        if not isinstance(facts, RequestFacts):
            return Subject()
        return Subject(facts.request.id, facts.request.revision)

    async def carry_out(self, job: JobMessage, journal: Journal) -> Outcome:
        """Nothing is awaited between the first step and the record: a job is done, or not begun."""
        if job.of in self.done:
            return self.done[job.of]
        facts = await self.facts.read(job.action)
        plan = decide(job.action, facts, job.who, self.rules)
        journal.note("decided", f"{len(plan.steps)} steps")
        results = [self._do(step) for step in plan.steps]
        outcome = conclude(plan.outcome, plan.lines, results)
        self.done[job.of] = outcome
        journal.written()
        if plan.steps:
            journal.note("written", f"{len(outcome.items)} items")
        return outcome

    async def forget(self, days: int) -> None:
        """Delete nothing that ended within ``days``: here all ended just now."""
        if days <= 0:
            self.done.clear()

    async def highest_job(self) -> int:
        return max((job.id for job in self.done), default=0)

    def _do(self, step: Step) -> StepResult:  # noqa: PLR0911  # one for each step
        farm = self.farm
        match step:
            case SetPriority():
                farm.change(step.brid, priority=step.priority)
                return StepResult([])
            case DropRequest():
                return StepResult([self._dropped(step.brid)])
            case DropRequests():
                return StepResult([self._dropped(brid) for brid in step.brids])
            case StopClaimed():
                late = "a build of it has not begun"
                return StepResult([Item("unconfirmed", late, request_id=b) for b in step.brids])
            case StopBuild():
                farm.stop(step.build_id)
                ids = {"request_id": step.brid, "build_id": step.build_id}
                return StepResult([Item("done", "stopped", **ids, master=MASTER)])
            case Clobber():
                return StepResult([Item("nothing", "nothing to clobber")], is_extra=True)
            case Rebuild():
                source, of = farm.row(step.brid), farm.builds.properties(step.brid)
                columns = {"branch": source.branch, "revision": source.revision}
                columns |= {"buildername": step.buildername, "priority": step.priority}
                return self._submitted(of, reason=step.reason, **columns)
            case SubmitBuilds():
                return self._new(step)
            case SendChange():
                farm.builds.pushes.append((step.branch, "zoe", NOW))
                return StepResult([Item("done", "change stored", master=step.master)])

    def _dropped(self, brid: int) -> Item:
        if self.farm.drop(brid):
            return Item("done", "cancelled", request_id=brid)
        return Item("nothing", "it is not pending any more", request_id=brid)

    def _submitted(self, properties: Mapping[str, Any], **columns: Any) -> StepResult:
        row = self.farm.submit(properties, **columns)
        ids = {"request_id": row.id, "buildset_id": row.buildsetid}
        return StepResult([Item("done", f"submitted to {row.buildername}", **ids)])

    def _new(self, step: SubmitBuilds) -> StepResult:
        set_ = self.farm.next()
        if step.change is not None:
            self.farm.changes[set_] = step.change
        columns = {"branch": step.branch, "revision": step.revision, "priority": step.priority}
        made = [
            self._submitted(
                step.properties, buildsetid=set_, buildername=b, reason=step.reason, **columns
            )
            for b in step.builders
        ]
        return StepResult([item for result in made for item in result.items])


@attrs.define
class ToyLag:
    """The role ReplicaLag, of a primary and a replica in memory; None: not prepared."""

    primary: list[int] | None = None
    replica: list[int] | None = None

    async def renew(self, now: int) -> None:
        if self.primary is not None:
            self.primary.append(now)

    async def seconds(self) -> int | None:
        if self.primary is None or self.replica is None:
            raise Unavailable("no agent of this farm has ever run")
        if not self.primary or not self.replica:
            return None
        return max(0, self.primary[-1] - self.replica[-1])


class NoRecords:
    """Stand for a role that this farm cannot fill: each of its methods says so."""

    def __getattr__(self, name: str) -> Any:
        raise Unsupported("This farm keeps no records of ended builds")


@attrs.define(slots=False)
class ToyDialect:
    """Implement ``Dialect``."""

    rules: Rules
    farm: ToyFarm = attrs.field(factory=ToyFarm)
    directory: MemoryDirectory = attrs.field(factory=MemoryDirectory)

    @cached_property
    def builds(self) -> MemoryBuilds:
        return self.farm.builds

    @cached_property
    def farm_reads(self) -> MemoryFarmReads:
        return MemoryFarmReads(self.farm.builds)

    @cached_property
    def pushes(self) -> MemoryPushes:
        return MemoryPushes(self.farm.builds)

    @cached_property
    def recent_builds(self) -> MemoryRecentBuilds:
        return MemoryRecentBuilds()

    @cached_property
    def build_steps(self) -> MemoryBuildSteps:
        return MemoryBuildSteps()

    @cached_property
    def facts(self) -> MemoryFactsReader:
        return MemoryFactsReader(self.farm.builds, directory=self.directory)

    @cached_property
    def text_limits(self) -> MemoryTextLimits:
        return MemoryTextLimits()

    @cached_property
    def actions(self) -> ToyActions:
        return ToyActions(self.farm, self.facts, self.rules)

    @cached_property
    def reports(self) -> Any:
        return NoRecords()

    @cached_property
    def ended_builds(self) -> MemoryFarm:
        return MemoryFarm()

    @cached_property
    def started_requests(self) -> MemoryFarm:
        return MemoryFarm()

    @cached_property
    def replica_lag(self) -> ToyLag:
        return ToyLag([], [])

    def steps_json(self, plan: Plan, facts: Facts) -> StepsDocument:
        """All is asked of the master: there is no database to write to."""
        del facts
        return {"writes": [], "pokes": msgspec.to_builtins(list(plan.steps))}

    async def probe_master(self, url: str) -> str | None:
        return f"nobody listens at {url}"


def build(of: FarmResources) -> ToyDialect:
    """Build the dialect as ``DIALECTS`` does."""
    return ToyDialect(of.rules)


DEFINITION = DialectDefinition(TablePrivileges({}, {}, {}), build)


def copies_of(farm: ToyFarm, after: int) -> Sequence[BuildRequest]:
    """List the requests submitted after this one, oldest first."""
    return [d.request for brid, d in sorted(farm.builds.requests.items()) if brid > after]
