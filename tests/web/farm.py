"""A small farm in memory, in the roles the HTTP side needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from buildapi.errors import (
    BadRequest,
    BrokerUnavailable,
    DatabaseUnavailable,
    InProgress,
    Unavailable,
)
from buildapi.model.actions import (
    SELF_SERVE,
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
    builds_asked,
)
from buildapi.model.branches import Branch, Branches
from buildapi.model.builders import Builder, Builders
from buildapi.model.charsets import escaped
from buildapi.model.facts import BranchFacts, Facts, RequestFacts, RevisionFacts
from buildapi.model.farm_rows import (
    BranchFilter,
    OpenWork,
    PendingEntry,
    Portion,
    PushCounts,
    RevisionEntry,
    RunningBuild,
)
from buildapi.model.messages import BrokerStatus, Handler, QueueDepth
from buildapi.model.records import (
    EVERY_JOB,
    AskedBuilds,
    Backlog,
    BranchDay,
    Build,
    BuildDetails,
    BuildRequest,
    JobFilter,
    JobKey,
    JobMark,
    JobRecord,
    JobState,
    KeyedJob,
    OpenMark,
    Progress,
    RequestBuild,
    RequestDetails,
    UserBuilds,
)
from buildapi.model.revisions import RevisionMatch
from buildapi.model.steps import Sharer

NOW = 1_700_000_000
HOSTILE = "<script>alert('x')</script>&\"'"


def a_request(id_: int, **changes: Any) -> BuildRequest:
    request = BuildRequest(
        id=id_,
        buildsetid=id_,
        buildername="Linux try build",
        branch="try",
        revision="abcdef123456" + "0" * 28,
        reason="scheduler",
        priority=0,
        submitted_at=NOW - 5000,
        claimed_at=0,
        claimed_by_name=None,
        claimed_by_incarnation=None,
        complete=False,
        complete_at=None,
        results=None,
    )
    return attrs.evolve(request, **changes)


PENDING = a_request(21)
RUNNING = a_request(22, claimed_at=NOW - 4000, claimed_by_name="m1", claimed_by_incarnation="pid1")
COMPLETE = attrs.evolve(RUNNING, id=23, complete=True, complete_at=NOW - 1000, results=0)
BUILD = Build(11, 7, NOW - 3900, NOW - 1000, [COMPLETE])
RUNNING_BUILD = Build(12, 8, NOW - 3900, None, [RUNNING])


@attrs.define
class Failing:
    """What a role does next: raise ``error``, and wait for ``held`` first."""

    error: Exception | None = None
    held: Deferred[None] | None = None
    calls: list[Any] = attrs.field(factory=list)

    async def happen(self, *call: Any) -> None:
        self.calls.append(call)
        if self.held is not None:
            await self.held
        if self.error is not None:
            raise self.error


@attrs.define
class MemoryDirectory:
    """The role Directory."""

    definitions: dict[str, Any] = attrs.field(
        factory=lambda: {
            "try": {"repo": "https://hg.example.org/try"},
            HOSTILE: {},
            "a/b": {},
        }
    )
    missing: str | None = None
    listed: Sequence[str] | None = ("Linux try build", "Linux try talos/tp5")
    age: float | None = 12.9
    disabled: Sequence[str] = ()

    def branches(self) -> Branches:
        self._read()
        return Branches.from_definitions(self.definitions)

    def builders(self) -> Builders | None:
        self._read()
        return None if self.listed is None else Builders({n: Builder(n) for n in self.listed})

    def is_listed(self, buildername: str) -> bool | None:
        return None if self.listed is None else buildername in self.listed

    def master_urls(self) -> Mapping[str, str | None]:
        return {"m1": "http://m1.example.org:8101/", "m2": None}

    def disabled_masters(self) -> Sequence[str]:
        return self.disabled

    def master_roles(self) -> Mapping[str, str | None]:
        return {"m1": "build", "m2": "tests"}

    def ages(self) -> Mapping[str, float | None]:
        return {"branches": self.age, "builders": None}

    def _read(self) -> None:
        if self.missing is not None:
            raise Unavailable(self.missing)


@attrs.define
class MemoryBuilds:
    """The role Builds; every request and build is on branch ``try``."""

    requests: dict[int, RequestDetails]
    builds: dict[int, BuildDetails]
    failing: Failing = attrs.field(factory=Failing)
    stored: Sequence[str] = ()

    @classmethod
    def small(cls) -> MemoryBuilds:
        properties = {"who": "zoë@example.org", "note": HOSTILE}
        requests = {r.id: RequestDetails(r, properties, [11]) for r in (PENDING, RUNNING, COMPLETE)}
        builds = {b.id: BuildDetails(b, [properties]) for b in (BUILD, RUNNING_BUILD)}
        return cls(requests, builds)

    def _all(self) -> BranchDay:
        ends: dict[int, list[int | None]] = {}
        for build in (d.build for d in self.builds.values()):
            for request in build.requests:
                ends.setdefault(request.id, []).append(build.finish_time)
        requests = [d.request for d in self.requests.values()]
        waiting = [r for r in requests if r.awaits_build(ends.get(r.id, ()))]
        return BranchDay([d.build for d in self.builds.values()], waiting)

    async def day(self, branch: Branch, start: int, end: int) -> BranchDay:
        await self.failing.happen("day", branch.name, start, end)
        return self._all() if start <= NOW < end else BranchDay([], [])

    async def revisions(self, branch: Branch, wanted: RevisionMatch) -> Sequence[str]:
        await self.failing.happen("revisions", branch.name, wanted.text)
        known = {d.request.revision or "" for d in self.requests.values()} | {*self.stored}
        return sorted(revision for revision in known if wanted.fits(revision))

    async def revision(self, branch: Branch, wanted: RevisionMatch) -> BranchDay:
        await self.failing.happen("revision", branch.name, wanted.short)
        return self._all().only(wanted.fits)

    async def build(self, branch: Branch, build_id: int) -> BuildDetails | None:
        await self.failing.happen("build", branch.name, build_id)
        return self.builds.get(build_id) if branch.name == "try" else None

    async def request(self, branch: Branch, request_id: int) -> RequestDetails | None:
        await self.failing.happen("request", branch.name, request_id)
        return self.requests.get(request_id) if branch.name == "try" else None

    async def builders(self, branch: Branch, since: int) -> Sequence[str]:
        await self.failing.happen("builders", branch.name, since)
        return sorted({d.request.buildername for d in self.requests.values()})

    async def has_builder(self, name: str, since: int) -> bool:
        await self.failing.happen("has_builder", name, since)
        return any(d.request.buildername == name for d in self.requests.values())

    async def marks(self) -> Sequence[OpenMark]:
        await self.failing.happen("marks")
        tries = [(b.requests[0], b) for b in (d.build for d in self.builds.values())]
        tried = {request.id for request, _ in tries}
        rest = [d.request for d in self.requests.values() if d.request.id not in tried]
        found = [_mark(r, b) for r, b in tries] + [_mark(r, None) for r in rest]
        return [mark for mark, complete in found if not complete]

    async def of_requests(self, request_ids: Sequence[int]) -> BranchDay:
        await self.failing.happen("of_requests", tuple(request_ids))
        builds = [d.build for d in self.builds.values()]
        builds = [b for b in builds if b.requests[0].id in request_ids]
        tried = {b.requests[0].id for b in builds}
        asked = [self.requests[i].request for i in request_ids if i in self.requests]
        return BranchDay(builds, [r for r in asked if r.id not in tried])

    async def branch_of(self, kind: str, id_: int) -> str | None:
        await self.failing.happen("branch_of", kind, id_)
        return "try" if id_ in (self.builds if kind == "build" else self.requests) else None

    async def user(self, branch: Branch, author: str) -> UserBuilds:
        await self.failing.happen("user", branch.name, author)
        if author == "nobody":
            return UserBuilds([], [], [])
        return UserBuilds([d.build for d in self.builds.values()], [], [PENDING])


def _mark(request: BuildRequest, build: Build | None) -> tuple[OpenMark, bool]:
    ended = build is not None and build.finish_time is not None
    claimed = bool(request.claimed_at)
    mark = OpenMark(request.id, request.priority, claimed, build.id if build else None, ended)
    return mark, request.complete


@attrs.define
class MemoryFarm:
    """The role FarmWideReads, as far as the first page and looking things up need it."""

    failing: Failing = attrs.field(factory=Failing)

    async def pending(self, branches: BranchFilter, portion: Portion) -> Sequence[PendingEntry]:
        await self.failing.happen("pending")
        return [PendingEntry(21, "Linux try build", NOW - 5000, "try", PENDING.revision)]

    async def running(self, branches: BranchFilter, portion: Portion) -> Sequence[RunningBuild]:
        await self.failing.happen("running")
        times = NOW - 3900, NOW - 5000, NOW - 4000
        of = "try", PENDING.revision
        return [RunningBuild(12, (22,), 8, "Linux try build", "m1", *times, *of)]

    async def open(self) -> OpenWork:
        everything = BranchFilter(), Portion()
        return OpenWork(await self.pending(*everything), await self.running(*everything))

    async def revision(
        self, branches: BranchFilter, wanted: RevisionMatch
    ) -> Sequence[RevisionEntry]:
        await self.failing.happen("revision", wanted.text)
        revisions = [r for r in (PENDING.revision, "abcdffff" * 5) if wanted.fits(r)]
        none = 0, None, False, None, None, None, None
        return [RevisionEntry(1, 1, "linux", NOW, *none, "try", r) for r in revisions]

    async def pushes(self, branches: BranchFilter, start: int, end: int | None) -> PushCounts:
        await self.failing.happen("pushes")
        return PushCounts({})


@attrs.define
class MemoryObserver:
    """The role Observer, over the same farm; ``sharers`` share the running build."""

    builds: MemoryBuilds
    listed: bool | None = None
    sharers: Sequence[Sharer] = ()
    failing: Failing = attrs.field(factory=Failing)

    async def read(self, action: Action) -> Facts:
        await self.failing.happen(action.name)
        match action:
            case CancelBuild(bid) | RebuildBuild(bid):
                found = self.builds.builds.get(bid)
                return None if found is None else self._facts(found.build)
            case Reprioritize(brid) | CancelRequest(brid) | RebuildRequest(brid):
                known = self.builds.requests.get(brid)
                return None if known is None else facts(known.request)
            case CancelRevision():
                return RevisionFacts([facts(PENDING), facts(RUNNING, RUNNING_BUILD)])
            case _:
                builders = ["Linux try build", "Linux try pgo-build", "Linux try nightly"]
                return BranchFacts("try", None, builders, "20231114221320", "0" * 32, "master-a")

    def _facts(self, build: Build) -> RequestFacts:
        known = facts(build.requests[0], build)
        return attrs.evolve(known, listed=self.listed, sharers={build.id: self.sharers})


def facts(request: BuildRequest, build: Build | None = None) -> RequestFacts:
    tries = [
        RequestBuild(b.id, b.number, request.id, b.start_time, b.finish_time) for b in [build] if b
    ]
    return RequestFacts(request, 1, None, [], tries)


@attrs.define
class MemoryTextLimits:
    """The role TextLimits: some characters cannot be stored in names of files and users."""

    foreign: str = ""
    failing: Failing = attrs.field(factory=Failing)

    async def check(self, action: Action, who: str) -> Sequence[str]:
        await self.failing.happen(action.name, who)
        files = action.files if isinstance(action, NewBuilderBuild) else ()
        for char in self.foreign:
            if any(char in file for file in files):
                raise BadRequest(f"Bad files: {char!r} cannot be stored")
        named = isinstance(action, NewBuild | NewBuilderBuild)
        if named and any(char in who for char in self.foreign):
            return [f"Your name is stored as {escaped(who)}"]
        return []


@attrs.define
class MemoryJobs:
    """The role JobStore; ``faster`` is an agent that begins before anybody can refuse."""

    jobs: dict[int, JobRecord] = attrs.field(factory=dict)
    sent_ids: set[int] = attrs.field(factory=set)
    refused_ids: set[int] = attrs.field(factory=set)
    keys: dict[str, tuple[JobKey, int, int]] = attrs.field(factory=dict)
    adding: Failing = attrs.field(factory=Failing)
    sending: Failing = attrs.field(factory=Failing)
    refusing: Failing = attrs.field(factory=Failing)
    reading: Failing = attrs.field(factory=Failing)
    counting: Failing = attrs.field(factory=Failing)
    faster: bool = False

    async def add(
        self,
        who: str,
        when: int,
        action: str,
        what: Mapping[str, Any],
        key: JobKey | None = None,
        *,
        branch: str | None = None,
        identity: str | None = None,
    ) -> int:
        await self.adding.happen(who, when, action, dict(what))
        id_ = max(self.jobs, default=0) + 1
        if key is not None:
            if key.name in self.keys and self.keys[key.name][2] >= when - 86_400:
                raise InProgress("a job request with this key is there already")
            self.keys[key.name] = (key, id_, when)
        self.jobs[id_] = JobRecord(
            *(id_, action, who, when, dict(what)),
            branch=branch or _said(what),
            identity=identity or f"{id_:032x}",
        )
        return id_

    async def keyed(self, name: str, since: int) -> KeyedJob | None:
        await self.reading.happen("keyed", name, since)
        key, id_, when = self.keys.get(name, (None, 0, 0))
        if key is None or when < since:
            return None
        accepted = id_ in self.sent_ids or self.jobs[id_].state is not JobState.QUEUED
        return KeyedJob(key, id_, accepted)

    async def forget_keys(self, before: int) -> None:
        self.keys = {name: kept for name, kept in self.keys.items() if kept[2] >= before}

    async def sent(self, request_id: int) -> None:
        await self.sending.happen(request_id)
        self.sent_ids.add(request_id)

    async def refuse(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        await self.refusing.happen(request_id)
        job = self.jobs.get(request_id)
        if (
            job is not None
            and job.state is JobState.QUEUED
            and not (self.faster or request_id in self.sent_ids)
        ):
            self._end(job, report, now)
            self.keys = {n: kept for n, kept in self.keys.items() if kept[1] != request_id}
            self.refused_ids.add(request_id)
        return request_id in self.refused_ids

    async def begin(self, request_id: int, agent: str, now: int) -> bool:
        job = self.jobs.get(request_id)
        if job is None or job.completed_at is not None:
            return False
        self.jobs[request_id] = attrs.evolve(job, state=JobState.RUNNING, agent=agent)
        self.sent_ids.add(request_id)
        return True

    async def progress(self, request_id: int, progress: Progress, now: int) -> None:
        job = self.jobs.get(request_id)
        if job is not None and job.completed_at is None:
            self.jobs[request_id] = attrs.evolve(job, progress=progress)

    async def finished(self, request_ids: Sequence[int]) -> Set[int]:
        return set(request_ids) - {j.id for j in self.jobs.values() if j.completed_at is None}

    async def finish(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        job = self.jobs.get(request_id)
        if job is None or job.completed_at is not None:
            return False
        self._end(job, report, now)
        return True

    def _end(self, job: JobRecord, report: Mapping[str, Any], now: int) -> None:
        state = JobState.FAILED if report["body"]["errors"] else JobState.DONE
        whole = dict(report)
        self.jobs[job.id] = attrs.evolve(
            job, completed_at=now, complete_data=whole, state=state, progress=None
        )

    async def get(self, request_id: int) -> JobRecord | None:
        await self.reading.happen("get", request_id)
        return self.jobs.get(request_id)

    async def latest(
        self, limit: int, offset: int, wanted: JobFilter = EVERY_JOB
    ) -> Sequence[JobRecord]:
        await self.reading.happen("latest", limit, offset)
        newest = [j for j in sorted(self.jobs.values(), key=lambda j: -j.id) if fits(j, wanted)]
        return [attrs.evolve(j, progress=None) for j in newest[offset : offset + limit]]

    async def backlog(self, since: int, failed_since: int) -> Backlog:
        await self.reading.happen("backlog", since)
        jobs = sorted(self.jobs.values(), key=lambda j: j.id)
        waiting = [j for j in jobs if j.completed_at is None and j.when >= since]
        failed = [j for j in jobs if j.state is JobState.FAILED]
        oldest = attrs.evolve(waiting[0], progress=None) if waiting else None
        lately = sum((j.completed_at or 0) >= failed_since for j in failed)
        return Backlog(len(waiting), oldest, lately)

    async def asked_builds(self, who: str, since: int) -> Sequence[AskedBuilds]:
        await self.counting.happen(who, since)
        found = [j for j in self.jobs.values() if j.who == who and j.when > since]
        told = [(j.when, builds_asked(j.action, j.what)) for j in found]
        kept = [j.id not in self.refused_ids for j in found]
        return [AskedBuilds(w, n) for (w, n), k in zip(told, kept, strict=True) if n and k]

    async def marks(self, limit: int) -> Sequence[JobMark]:
        await self.reading.happen("marks", limit)
        newest = sorted(self.jobs.values(), key=lambda j: -j.id)[:limit]
        done = [None if j.progress is None else len(j.progress.items) for j in newest]
        return [
            JobMark(j.id, j.completed_at, j.state.value, n)
            for j, n in zip(newest, done, strict=True)
        ]

    async def unsettled(
        self, *, sent: bool, before: int, limit: int, after: int = 0
    ) -> Sequence[JobRecord]:
        oldest = sorted((j for j in self.jobs.values() if j.id > after), key=lambda j: j.id)
        open_ = [j for j in oldest if j.completed_at is None and j.when < before]
        return [j for j in open_ if (j.id in self.sent_ids) == sent][:limit]


def _said(what: Mapping[str, Any]) -> str | None:
    said = what.get("branch")
    return said.removesuffix(SELF_SERVE) if said else None


def fits(job: JobRecord, wanted: JobFilter) -> bool:
    """Tell whether a filter lets a job through."""
    pairs = [(wanted.who, job.who), (wanted.branch, job.branch)]
    pairs += [(wanted.action, job.action), (wanted.state, job.state)]
    since, until = wanted.since or 0, wanted.until or 2**60
    return all(want in (None, has) for want, has in pairs) and since <= job.when < until


class NullConsumer:
    """A consumer of nothing."""

    async def stop(self, seconds: float) -> bool:
        return True


@attrs.define
class MemoryBroker:
    """The role Broker: keeps what is published."""

    failing: Failing = attrs.field(factory=Failing)
    published: list[tuple[str, bytes, str, str | None]] = attrs.field(factory=list)
    keeps_messages: bool = True

    async def publish(
        self, routing_key: str, body: bytes, *, message_id: str, correlation_id: str | None = None
    ) -> None:
        await self.failing.happen(message_id)
        self.published.append((routing_key, body, message_id, correlation_id))

    async def consume(self, queue: str, handler: Handler, *, prefetch: int) -> NullConsumer:
        return NullConsumer()

    def status(self) -> BrokerStatus:
        return BrokerStatus(connected=self.failing.error is None)

    async def depth(self, queue: str) -> QueueDepth:
        return QueueDepth(len(self.published), 0, 0, 0)


def database_down() -> DatabaseUnavailable:
    return DatabaseUnavailable("the database at db1 does not answer")


def broker_down() -> BrokerUnavailable:
    return BrokerUnavailable("no connection to mq1")
