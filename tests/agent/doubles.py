"""A farm and a broker that do as they are told, and a rig of what surrounds an agent."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
import msgspec
from msgspec.structs import replace
from twisted.internet import defer

from buildapi.agent.agent import Agent
from buildapi.agent.result_consumer import ResultConsumer
from buildapi.buildbot.v08.job_executor import JobExecutor, touched
from buildapi.buildbot.v08.lowered_plan import (
    BuildsetRow,
    CompleteRequests,
    CopyBuildset,
    InsertBuildset,
    LoweredPlan,
    Performed,
    Poke,
    Recorded,
    StoredRequestFacts,
    Write,
    Written,
    lowered,
)
from buildapi.buildbot.v08.requeue_blockers import rebuild_refusal
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.pool import PooledDatabase
from buildapi.errors import BadRequest
from buildapi.jobs.decide import decide
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.branches import Branch, Branches
from buildapi.model.facts import BranchFacts, Facts, RevisionFacts, Subject
from buildapi.model.job_identity import JobIdentity
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import BuildRequest, JobRecord, Progress, RequestBuild, Stage
from buildapi.model.revisions import RevisionMatch
from buildapi.model.steps import DropRequest, NewChange, SetPriority, StopBuild
from buildapi.model.wire import REQUESTS, JobMessage, encode_request, what
from buildapi.mq.embedded import EmbeddedBroker
from tests.model.defaults import rules
from tests.model.values import request
from tests.reactor import until
from tests.trails import MemoryTrail

T = TypeVar("T")

NOW = 1_700_000_000
REVISION = "abcdef012345"
"""Of all requests that are not told another."""

BRANCHES = Branches.from_definitions({"try": {"repo": "https://hg.example.org/projects/try"}})
BRANCH = BranchFacts(
    path="projects/try",
    repository="https://hg.example.org/projects/try",
    builders=("Linux try pgo-build", "Linux try nightly", "Linux try build"),
    buildid="20231114221320",
    builduid="0" * 32,
    change_master="host-s:/builds/scheduler",
)


@attrs.define
class Script:
    """What the next calls of each method run into: an error, or a Deferred to wait for."""

    ahead: dict[str, list[Any]] = attrs.field(factory=dict)
    calls: list[str] = attrs.field(factory=list)

    def plan(self, method: str, *events: Any) -> None:
        self.ahead.setdefault(method, []).extend(events)

    async def enter(self, method: str) -> None:
        self.calls.append(method)
        events = self.ahead.get(method)
        if not events:
            return
        event = events.pop(0)
        if isinstance(event, Exception):
            raise event
        if event is not None:
            await event


@attrs.define
class FarmDouble:
    """A farm in memory; ``effects`` are the writes by job, ``poked`` the steps at masters.

    Without masters (``reachable`` is false) no build can be stopped.  ``stale`` is how many writes
    to come find that something changed; they write nothing.
    """

    script: Script = attrs.field(factory=Script)
    known: dict[int, StoredRequestFacts] = attrs.field(factory=dict)
    markers: dict[int, Recorded] = attrs.field(factory=dict)
    owners: dict[int, str] = attrs.field(factory=dict)
    aside: dict[JobIdentity, Recorded] = attrs.field(factory=dict)
    effects: list[tuple[int, Write]] = attrs.field(factory=list)
    poked: list[tuple[int, Poke]] = attrs.field(factory=list)
    answers: list[tuple[Poke, list[Any]]] = attrs.field(factory=list)
    changes: dict[int, NewChange] = attrs.field(factory=dict)
    reachable: bool = True
    stale: int = 0

    def add(self, *facts: StoredRequestFacts) -> None:
        for one in facts:
            self.known[one.request.id] = one

    def answer(self, step: Poke, *events: Any) -> None:
        """Plan what pokes come to: items, an error, or a Deferred to wait for.

        The last stays for all further ones.
        """
        self.answers.append((step, list(events)))

    # --- facts

    async def subject(self, action: Action) -> Subject:
        await self.script.enter("subject")
        match action:
            case CancelBuild() | RebuildBuild():
                found = next((f for f in self.known.values() if f.try_of(action.bid)), None)
            case Reprioritize() | CancelRequest() | RebuildRequest():
                found = self.known.get(action.brid)
            case CancelRevision() | NewBuild() | NewPGOBuild() | NewNightly() | NewBuilderBuild():
                return Subject(revision=action.revision)
        return Subject(found.request.id, found.request.revision) if found else Subject()

    async def forget(self, days: int) -> None:
        """Delete nothing that ended within ``days``: here all ended just now."""
        if days <= 0:
            self.markers = {job: r for job, r in self.markers.items() if r.outcome is None}

    async def highest_job(self) -> int:
        return max(self.markers, default=0)

    async def read(self, action: Action) -> Facts:
        await self.script.enter("read")
        match action:
            case CancelRevision():
                branch = BRANCHES.get(action.branch)
                return None if branch is None else self._of_revision(branch, action.wanted)
            case NewBuilderBuild():
                return _of_branch(action.short_branch)
            case NewBuild() | NewPGOBuild() | NewNightly():
                return _of_branch(action.branch)
            case CancelBuild() | RebuildBuild():
                return next((f for f in self.known.values() if f.try_of(action.bid)), None)
            case Reprioritize() | CancelRequest() | RebuildRequest():
                return self.known.get(action.brid)

    def _of_revision(self, branch: Branch, wanted: RevisionMatch) -> RevisionFacts:
        ours = [f for _, f in sorted(self.known.items()) if branch.owns(f.request.branch)]
        meant, between = wanted.choose({f.request.revision or "" for f in ours}, str)
        if between:
            return RevisionFacts((), between)
        return RevisionFacts(
            [
                attrs.evolve(f, buildset=BuildsetRow(), rebuild_refusal=None)
                for f in ours
                if f.request.revision in meant
                and (not f.request.complete or any(t.finish_time is None for t in f.tries))
            ]
        )

    # --- markers

    async def recall(self, job: JobIdentity) -> Recorded | None:
        await self.script.enter("recall")
        return self._marker(job)

    def _marker(self, job: JobIdentity) -> Recorded | None:
        return self.markers.get(job.id) if self._is_own(job) else self.aside.get(job)

    def _is_own(self, job: JobIdentity) -> bool:
        """Return whether the marker of an id is of this job; one put there by a test is."""
        return self.owners.get(job.id, job.identity) == job.identity

    async def settle(self, job: JobIdentity, outcome: Outcome) -> None:
        await self.script.enter("settle")
        if (recorded := self._marker(job)) is None:
            return
        settled = Recorded(recorded.plan, outcome)
        if self._is_own(job):
            self.markers[job.id] = settled
        else:
            self.aside[job] = settled

    # --- writes

    async def perform(
        self, job: JobIdentity, action: Action, planned: Callable[[Facts], LoweredPlan]
    ) -> Performed | None:
        """Leave it to be done step by step, as scripts want it."""
        return None

    async def write(self, job: JobIdentity, plan: LoweredPlan) -> tuple[Written, Sequence[Item]]:
        await self.script.enter("write")
        if self._marker(job) is not None:
            return Written.BEFORE, ()
        if self.stale or not all(map(self._is_possible, plan.writes)):
            self.stale = max(0, self.stale - 1)
            return Written.STALE, ()
        try:
            msgspec.json.encode(plan)
        except UnicodeEncodeError as e:
            raise BadRequest("The farm cannot store a text of this job") from e
        if job.id in self.markers:
            earlier = JobIdentity(job.id, self.owners.get(job.id, "0" * 32), job.when)
            self.aside[earlier] = self.markers[job.id]
        self.markers[job.id], self.owners[job.id] = Recorded(plan), job.identity
        self.effects += [(job.id, write) for write in plan.writes]
        made = [item for write in plan.writes for item in self._apply(write)]
        await self.script.enter("written")
        return Written.APPLIED, made

    def _is_possible(self, write: Write) -> bool:
        if isinstance(write, SetPriority | DropRequest):
            return self._is_pending(write.brid)
        return True

    def _is_pending(self, brid: int) -> bool:
        return brid in self.known and self.known[brid].request.stage is Stage.PENDING

    def _apply(self, write: Write) -> Sequence[Item]:
        match write:
            case SetPriority():
                self.change(write.brid, priority=write.priority)
            case DropRequest():
                self.drop(write.brid)
            case CompleteRequests():
                for brid in filter(self._is_pending, write.brids):
                    self.drop(brid)
            case CopyBuildset():
                source = next(
                    f.request
                    for f in self.known.values()
                    if f.buildset.sourcestampid == write.sourcestampid
                )
                return [self._make(write, source.branch, source.revision, write.sourcestampid)]
            case InsertBuildset():
                stamp, set_ = self._next("sourcestampid"), self._next("buildsetid")
                if write.change is not None:
                    self.changes[stamp] = write.change
                return [
                    self._make(
                        CopyBuildset(
                            builder, write.priority, write.reason, stamp, None, write.properties
                        ),
                        write.branch,
                        write.revision,
                        stamp,
                        set_,
                    )
                    for builder in write.builders
                ]
        return ()

    def change(self, brid: int, **changes: Any) -> None:
        """Change the row of a request."""
        known = self.known[brid]
        self.known[brid] = attrs.evolve(known, request=replace(known.request, **changes))

    def drop(self, brid: int) -> None:
        """Complete a request as failed."""
        self.change(brid, complete=True, complete_at=NOW, results=2)

    def _next(self, what: str) -> int:
        """Return an id of a row that is new."""
        taken = [100, *(getattr(f.buildset, what, 0) for f in self.known.values())]
        taken += [getattr(f.request, what, 0) for f in self.known.values()]
        return max(taken) + 1

    def _make(
        self, new: CopyBuildset, branch: str | None, revision: str | None, stamp: int, set_: int = 0
    ) -> Item:
        row = request(
            id=self._next("id"),
            buildsetid=set_ or self._next("buildsetid"),
            buildername=new.buildername,
            branch=branch,
            revision=revision,
            reason=new.reason,
            priority=new.priority,
        )
        self.add(stored(row, BuildsetRow(stamp, new.external_idstring, new.properties)))
        said = f"submitted to {new.buildername}"
        return Item("done", said, request_id=row.id, buildset_id=row.buildsetid)

    # --- masters

    async def poke(self, job: JobIdentity, step: Poke, who: str) -> Sequence[Item]:
        await self.script.enter("poke")
        self.poked.append((job.id, step))
        events = next((e for planned, e in self.answers if planned == step), [None])
        event = events.pop(0) if len(events) > 1 else events[0]
        if isinstance(event, Exception):
            raise event
        if isinstance(event, defer.Deferred):
            await event
        if isinstance(event, list):
            return event
        if isinstance(step, StopBuild) and not self.reachable:
            nobody = "no master can be asked"
            return [Item("failed", nobody, request_id=step.brid, build_id=step.build_id)]
        return [Item("done", "stopped", request_id=brid) for brid in touched(step)]


def stored(
    row: BuildRequest, buildset: BuildsetRow, tries: Sequence[RequestBuild] = ()
) -> StoredRequestFacts:
    """Return the facts of a request as a reader of a 0.8 farm does."""
    refusal = rebuild_refusal(row, buildset.properties)
    return StoredRequestFacts(row, tries, rebuild_refusal=refusal, buildset=buildset)


def _of_branch(name: str) -> BranchFacts | None:
    if BRANCHES.get(name) is None:
        return None
    return attrs.evolve(BRANCH, builduid=uuid.uuid4().hex)


async def planned_for(farm: FarmDouble, action: Action) -> LoweredPlan:
    """Decide a job of zoe's as an agent would now."""
    facts = await farm.read(action)
    return lowered(decide(action, facts, "zoe", rules()), facts)


@attrs.define
class BrokerProxy:
    """A broker whose publishing fails or hangs as scripted: before it, or after it happened."""

    inner: EmbeddedBroker
    script: Script = attrs.field(factory=Script)
    keeps_messages: bool = False

    async def publish(self, routing_key: str, body: bytes, **ids: Any) -> None:
        await self.script.enter("publish")
        await self.inner.publish(routing_key, body, **ids)
        await self.script.enter("published")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@attrs.define
class StoreProxy:
    """A job store whose methods fail or hang as scripted; ``noted`` is all progress it took."""

    inner: SQLJobStore
    script: Script = attrs.field(factory=Script)
    noted: list[tuple[int, Progress]] = attrs.field(factory=list)

    async def progress(self, request_id: int, progress: Progress, now: int) -> None:
        await self.script.enter("progress")
        await self.inner.progress(request_id, progress, now)
        self.noted.append((request_id, progress))

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self.script.enter(name)
            return await method(*args, **kwargs)

        return call


@attrs.define
class Rig:
    """A job store on SQLite, an embedded broker, a farm; agents are started by the test."""

    db: PooledDatabase
    broker: BrokerProxy
    store: StoreProxy
    farm: FarmDouble = attrs.field(factory=FarmDouble)
    services: list[Any] = attrs.field(factory=list)
    trail: MemoryTrail = attrs.field(factory=MemoryTrail)
    changed: list[tuple[str | None, str | None]] = attrs.field(factory=list)

    def agent(
        self,
        clock: Any = None,
        *,
        prefetch: int = 50,
        drain: float = 5,
        clobbers: bool = False,
    ) -> Agent:
        """Start an agent."""
        broker: Any = self.broker
        store: Any = self.store
        agent = Agent(
            clock or reactor(),
            broker,
            store,
            JobExecutor(self.farm, rules(clobbers=clobbers)),
            queue="buildapi-agent",
            agent_name=f"agent-{len(self.services)}",
            prefetch=prefetch,
            drain_seconds=drain,
            now=lambda: NOW + 0.7,
            trail=self.trail,
        )
        return self._started(agent)

    def finisher(self, clock: Any = None) -> ResultConsumer:
        """Start a finisher."""
        broker: Any = self.broker
        store: Any = self.store
        return self._started(
            ResultConsumer(
                clock or reactor(),
                broker,
                store,
                queue="buildapi-web",
                drain_seconds=5,
                now=lambda: NOW + 1.7,
                changed=self._note,
                trail=self.trail,
            )
        )

    def _note(self, branch: str | None, revision: str | None) -> None:
        self.changed.append((branch, revision))

    def _started(self, service: T) -> T:
        started: Any = service
        started.startService()
        self.services.append(service)
        return service

    async def kill(self, agent: Agent) -> None:
        """End an agent as a crash would: what it has in hand comes again."""
        agent._intake._drain_seconds = 0
        await agent.stopService()

    async def record(self, action: Action, who: str = "zoe") -> int:
        """Record a job without sending it."""
        return await self.store.inner.add(who, NOW, action.name, what(action))

    async def send(self, job: int, action: Action, who: str = "zoe") -> None:
        """Send a recorded job."""
        data = encode_request(JobMessage(job, who, NOW, action))
        await self.broker.inner.publish(REQUESTS, data, message_id=f"job-{job}")

    async def submit(self, action: Action, who: str = "zoe") -> int:
        """Record and send a job."""
        job = await self.record(action, who)
        await self.send(job, action, who)
        await self.store.inner.sent(job)
        return job

    async def get(self, job: int) -> JobRecord:
        record = await self.store.inner.get(job)
        assert record is not None
        return record

    async def finished(self, job: int, clock: Any = None) -> JobRecord:
        """Wait until a job is finished, letting a clock run on."""

        async def ended() -> bool:
            if clock is not None:
                clock.advance(5)
            return (await self.get(job)).completed_at is not None

        await until(ended)
        return await self.get(job)

    async def idle(self) -> None:
        """Wait until nothing is queued or in hand."""

        async def empty() -> bool:
            depths = [await self.broker.depth(q) for q in ("buildapi-agent", "buildapi-web")]
            return all(d.ready == d.unacked == 0 for d in depths)

        await until(empty)

    def dead(self, queue: str = "buildapi-agent") -> list[str]:
        return [letter.reason for letter in self.broker.inner.dead_letters(queue)]

    async def close(self) -> None:
        for service in self.services:
            if service.running:
                await defer.maybeDeferred(service.stopService)
        await self.broker.inner.stopService()
        await self.db.stopService()


def reactor() -> Any:
    from twisted.internet import reactor as module

    return module


def pending(id_: int = 7, **changes: Any) -> StoredRequestFacts:
    """Return the facts of a pending request."""
    return stored(request(id=id_, **changes), BuildsetRow(55))


def msg(record: JobRecord) -> str:
    assert record.complete_data is not None
    return str(record.complete_data["body"]["msg"])


Gate = defer.Deferred[None]
"""What a scripted call waits for; one that never opens is a crash."""
