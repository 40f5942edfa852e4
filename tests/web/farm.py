"""A small farm in memory, in the roles the HTTP side needs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from functools import partial
from operator import attrgetter
from statistics import median_low
from typing import Any, TypeVar

import attrs
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from buildapi.buildbot.v08.build_rows import is_left_over
from buildapi.buildbot.v08.lowered_plan import BuildsetRow, StoredRequestFacts
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
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
    builds_asked,
)
from buildapi.model.branches import Branch, Branches
from buildapi.model.builders import Builder, Builders
from buildapi.model.charsets import escaped
from buildapi.model.facts import BranchFacts, Facts, RevisionFacts
from buildapi.model.farm_rows import (
    BranchFilter,
    OpenWork,
    PendingEntry,
    Portion,
    PushCounts,
    RevisionEntry,
    RunningBuild,
)
from buildapi.model.messages import BrokerStatus
from buildapi.model.pushes import Change, Push, PushFilter, PushKey, PushPage, first_page
from buildapi.model.rebuilds import (
    OF_BUILD,
    OF_REQUEST,
    REBUILDS_MAX,
    Rebuild,
    RebuildLinks,
    RebuildOrigin,
)
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
    JobRecord,
    JobState,
    KeyedJob,
    Progress,
    RequestBuild,
    RequestDetails,
    Stage,
    UserBuilds,
)
from buildapi.model.revisions import RevisionMatch, longest_spelling, same_revision
from buildapi.model.row_marks import GROUP_BITS, RowMarks
from buildapi.model.steps import Sharer
from buildapi.mq.embedded import EmbeddedBroker

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
        complete=False,
        complete_at=None,
        results=None,
    )
    return replace(request, **changes)


PENDING = a_request(21)
RUNNING = a_request(22, claimed_at=NOW - 4000, claimed_by_name="m1")
COMPLETE = replace(RUNNING, id=23, complete=True, complete_at=NOW - 1000, results=0)
BUILD = Build(11, 7, NOW - 3900, NOW - 1000, [COMPLETE])
RUNNING_BUILD = Build(12, 8, NOW - 3900, None, [RUNNING])


@attrs.define
class Failing:
    """What a role does next: raise ``error``, or that of a call, and wait for ``held`` first."""

    error: Exception | None = None
    errors: Mapping[str, Exception] = attrs.field(factory=dict)
    held: Deferred[None] | None = None
    calls: list[Any] = attrs.field(factory=list)

    async def happen(self, *call: Any) -> None:
        self.calls.append(call)
        if self.held is not None:
            await self.held
        error = self.errors.get(call[0], self.error) if call else self.error
        if error is not None:
            raise error


@attrs.define
class MemoryDirectory:
    """The role Directory; ``missing`` is why nothing was ever read.

    ``listed`` are the builders, or their names.
    """

    definitions: Mapping[str, Any] = attrs.field(
        factory=lambda: {
            "try": {"repo": "https://hg.example.org/try"},
            HOSTILE: {},
            "a/b": {},
        }
    )
    missing: str | None = None
    listed: Builders | Sequence[str] | None = ("Linux try build", "Linux try talos/tp5")
    age: float | None = 12.9
    disabled: Sequence[str] = ()
    urls: Mapping[str, str | None] = attrs.field(
        factory=lambda: {"m1": "http://m1.example.org:8101/", "m2": None}
    )
    roles: Mapping[str, str | None] = attrs.field(factory=lambda: {"m1": "build", "m2": "tests"})

    def branches(self) -> Branches:
        self._read()
        return Branches.from_definitions(self.definitions)

    def builders(self) -> Builders | None:
        self._read()
        if self.listed is None or isinstance(self.listed, Builders):
            return self.listed
        return Builders({name: Builder(name) for name in self.listed})

    def is_listed(self, buildername: str) -> bool | None:
        if self.missing is not None:
            return None
        known = self.builders()
        return None if known is None else buildername in known

    def master_urls(self) -> Mapping[str, str | None]:
        return {} if self.missing else self.urls

    def disabled_masters(self) -> Sequence[str]:
        return () if self.missing else self.disabled

    def master_roles(self) -> Mapping[str, str | None]:
        return {} if self.missing else self.roles

    def ages(self) -> Mapping[str, float | None]:
        return {"branches": None if self.missing else self.age, "builders": None}

    def _read(self) -> None:
        if self.missing is not None:
            raise Unavailable(self.missing)


@attrs.define
class MemoryBuilds:
    """The role Builds, and the rows that the other roles of this farm read.

    The row of a request is the one in ``requests``, else the one in its build.  ``authors`` are of
    the changes of requests.  ``stored`` are revisions of ``try`` of which nothing was asked for;
    ``pushes`` are (branch, author, time).
    """

    requests: dict[int, RequestDetails]
    builds: dict[int, BuildDetails]
    failing: Failing = attrs.field(factory=Failing)
    stored: Sequence[str] = ()
    authors: dict[int, str] = attrs.field(factory=dict)
    pushes: list[tuple[str, str, int]] = attrs.field(factory=list)

    @classmethod
    def small(cls) -> MemoryBuilds:
        properties = {"who": "zoë@example.org", "note": HOSTILE}
        requests = {r.id: RequestDetails(r, properties, []) for r in (PENDING, RUNNING, COMPLETE)}
        builds = {b.id: BuildDetails(b, [properties]) for b in (BUILD, RUNNING_BUILD)}
        authors = dict.fromkeys(requests, "zoë@example.org")
        pushes = [("try", "zoë@example.org", NOW - 5100)]
        return cls(requests, builds, authors=authors, pushes=pushes)

    # --- rows

    def all_requests(self) -> Sequence[BuildRequest]:
        """List the requests, the latest submitted first."""
        rows = {r.id: r for d in self.builds.values() for r in d.build.requests}
        rows |= {brid: details.request for brid, details in self.requests.items()}
        return sorted(rows.values(), key=lambda r: (r.submitted_at, r.id), reverse=True)

    def all_builds(self) -> Sequence[Build]:
        """List the builds with their requests as these are now, the newest first."""
        rows = {r.id: r for r in self.all_requests()}
        builds = [d.build for _, d in sorted(self.builds.items(), reverse=True)]
        builds = [replace(b, requests=[rows[r.id] for r in b.requests]) for b in builds]
        return [replace(b, left_over=_is_left_over(b, builds)) for b in builds]

    def builds_of(self, request_id: int) -> Sequence[Build]:
        """List the builds of a request, the oldest first."""
        found = [b for b in self.all_builds() if request_id in {r.id for r in b.requests}]
        return found[::-1]

    def waiting(self) -> Sequence[BuildRequest]:
        """List incomplete requests without a build, the latest submitted first."""
        return [r for r in self.all_requests() if self._awaits(r)]

    def _awaits(self, request: BuildRequest) -> bool:
        return request.awaits_build([b.finish_time for b in self.builds_of(request.id)])

    def _owned(self, branch: Branch) -> Sequence[Build]:
        return [b for b in self.all_builds() if branch.owns(b.requests[0].branch)]

    def _waiting(self, branch: Branch) -> Sequence[BuildRequest]:
        return [r for r in self.waiting() if branch.owns(r.branch)]

    def properties(self, request_id: int) -> Mapping[str, Any]:
        details = self.requests.get(request_id)
        return {} if details is None else details.properties

    # --- the role

    async def day(self, branch: Branch, start: int, end: int) -> BranchDay:
        await self.failing.happen("day", branch.name, start, end)
        return BranchDay(
            [b for b in self._owned(branch) if start <= b.start_time < end],
            [r for r in self._waiting(branch) if start <= r.submitted_at < end],
        )

    async def revisions(self, branch: Branch, wanted: RevisionMatch) -> Sequence[str]:
        await self.failing.happen("revisions", branch.name, wanted.text)
        known = {r.revision or "" for r in self.all_requests() if branch.owns(r.branch)}
        known |= {*self.stored} if branch.owns("try") else set()
        return sorted(revision for revision in known if wanted.fits(revision))

    async def revision(self, branch: Branch, wanted: RevisionMatch) -> BranchDay:
        await self.failing.happen("revision", branch.name, wanted.short)
        return BranchDay(self._owned(branch), self._waiting(branch)).only(wanted.fits)

    async def build(self, branch: Branch, build_id: int) -> BuildDetails | None:
        await self.failing.happen("build", branch.name, build_id)
        found = next((b for b in self._owned(branch) if b.id == build_id), None)
        if found is None:
            return None
        return BuildDetails(found, [self.properties(r.id) for r in found.requests])

    async def request(self, branch: Branch, request_id: int) -> RequestDetails | None:
        await self.failing.happen("request", branch.name, request_id)
        found = next((r for r in self.all_requests() if r.id == request_id), None)
        if found is None or not branch.owns(found.branch):
            return None
        starting = found.stage is Stage.CLAIMED and self._awaits(found)
        ids = [b.id for b in self.builds_of(request_id)]
        return RequestDetails(found, self.properties(request_id), ids, starting)

    async def find_build(self, branch: Branch, build_id: int) -> BuildRequest | None:
        await self.failing.happen("build", branch.name, build_id)
        found = next((b for b in self._owned(branch) if b.id == build_id), None)
        return None if found is None else found.requests[0]

    async def find_request(self, branch: Branch, request_id: int) -> BuildRequest | None:
        await self.failing.happen("request", branch.name, request_id)
        found = next((r for r in self.all_requests() if r.id == request_id), None)
        return None if found is None or not branch.owns(found.branch) else found

    async def builders(self, branch: Branch, since: int) -> Sequence[str]:
        await self.failing.happen("builders", branch.name, since)
        ours = [r for r in self.all_requests() if branch.owns(r.branch)]
        return sorted({r.buildername for r in ours if r.submitted_at >= since})

    async def has_builder(self, name: str, since: int) -> bool:
        await self.failing.happen("has_builder", name, since)
        rows = self.all_requests()
        return any(r.buildername == name and r.submitted_at >= since for r in rows)

    async def marks(self) -> RowMarks:
        await self.failing.happen("marks")
        rows = [r for r in self.all_requests() if not r.complete]
        return packed([_mark(r, b) for r in rows for b in (*self.builds_of(r.id),) or (None,)])

    async def of_requests(self, request_ids: Sequence[int]) -> BranchDay:
        await self.failing.happen("of_requests", tuple(request_ids))
        builds = [
            replace(b, requests=[r for r in b.requests if r.id in request_ids])
            for b in self.all_builds()
        ]
        rows = [r for r in self.all_requests() if r.id in request_ids]
        alone = [r for r in rows if self._awaits(r) or not self.builds_of(r.id)]
        return BranchDay([b for b in builds if b.requests], alone)

    async def branch_of(self, kind: str, id_: int) -> str | None:
        await self.failing.happen("branch_of", kind, id_)
        if kind == "build":
            return next((b.requests[0].branch for b in self.all_builds() if b.id == id_), None)
        return next((r.branch for r in self.all_requests() if r.id == id_), None)

    async def user(self, branch: Branch, author: str) -> UserBuilds:
        await self.failing.happen("user", branch.name, author)
        theirs = {brid for brid, name in self.authors.items() if name == author and name}
        builds = [b for b in self._owned(branch) if b.requests[0].id in theirs]
        return UserBuilds(
            [b for b in builds if b.requests[0].complete][:USER_MAX],
            [b for b in builds if not b.requests[0].complete][:USER_MAX],
            [r for r in self._waiting(branch) if r.id in theirs][:USER_MAX],
        )


USER_MAX = 200


@attrs.define
class MemoryPushes:
    """The role Pushes over the rows of ``builds``; ``of_files`` are of changes.

    ``changing`` is what reads of changes do next: those come beside reads of the builds.
    """

    builds: MemoryBuilds
    known: Sequence[Change] = ()
    of_files: Mapping[int, Sequence[str]] = attrs.field(factory=dict)
    changing: Failing = attrs.field(factory=Failing)

    async def pushes(self, wanted: PushFilter, limit: int) -> PushPage:
        await self.builds.failing.happen("pushes", wanted, limit)
        found = [push for push in self._all(wanted.branches) if _selects(wanted, push)]
        found.sort(key=attrgetter("place", "branch.name"), reverse=True)
        return first_page(found, limit)

    def _all(self, branches: Sequence[Branch]) -> Sequence[Push]:
        groups: dict[tuple[str, str], list[Change]] = {}
        owners = {b.name: b for b in branches}
        for change in sorted(self.known, key=lambda c: (c.when, c.id)):
            for name, branch in owners.items():
                if branch.owns(change.branch) and change.revision.strip():
                    whole = self._longest(branch, change.revision)
                    groups.setdefault((name, whole), []).append(change)
        return [Push(owners[name], rev, changes) for (name, rev), changes in groups.items()]

    def _longest(self, branch: Branch, revision: str) -> str:
        ours = {c.revision for c in self.known if branch.owns(c.branch)}
        return longest_spelling({r for r in ours if same_revision(r, revision)}) or revision

    async def work(self, pushes: Sequence[Push]) -> Mapping[PushKey, BranchDay]:
        await self.builds.failing.happen("work", tuple(push.key for push in pushes))
        found = {}
        for push in pushes:
            owned, waiting = self.builds._owned(push.branch), self.builds._waiting(push.branch)
            found[push.key] = BranchDay(owned, waiting).only(partial(_spells, push.revision))
        return found

    async def changes(self, revisions: Collection[str]) -> Mapping[str, Sequence[Change]]:
        await self.changing.happen("changes", tuple(revisions))
        ordered = sorted(self.known, key=lambda c: (c.when, c.id))
        found = {
            r: [c for c in ordered if same_revision(c.revision, r)] for r in revisions if r.strip()
        }
        return {revision: changes for revision, changes in found.items() if changes}

    async def files(self, changes: Sequence[int]) -> Mapping[int, Sequence[str]]:
        await self.builds.failing.happen("files", tuple(changes))
        return {id_: sorted(of) for id_, of in self.of_files.items() if id_ in changes}

    async def medians(self) -> Mapping[str, int]:
        await self.builds.failing.happen("medians")
        found: dict[str, list[int]] = {}
        for build in self.builds.all_builds():
            if build.finish_time is not None and build.requests[0].complete:
                seconds = build.finish_time - build.start_time
                found.setdefault(build.requests[0].buildername, []).append(seconds)
        return {builder: median_low(of) for builder, of in found.items()}

    async def results(
        self, branch: Branch, builder: str, limit: int, around: int | None = None
    ) -> Sequence[Build]:
        await self.builds.failing.happen("results", branch.name, builder, limit)
        ours = [b for b in self.builds._owned(branch) if b.requests[0].buildername == builder]
        later = 0 if around is None else sum(b.id > around for b in ours)
        first = max(0, later - limit // 2)
        return ours[first : first + limit]


def _spells(revision: str, stored: str | None) -> bool:
    return stored is not None and same_revision(revision, stored)


def _selects(wanted: PushFilter, push: Push) -> bool:
    return (
        wanted.author in {None, push.first.author}
        and (wanted.revision is None or same_revision(wanted.revision, push.revision))
        and (wanted.since is None or push.when >= wanted.since)
        and (wanted.until is None or push.when < wanted.until)
        and (wanted.after is None or push.place < wanted.after)
    )


def _is_left_over(build: Build, builds: Sequence[Build]) -> bool:
    of = build.requests[0].id
    later = [b for b in builds if b.id > build.id and of in {r.id for r in b.requests}]
    return build.finish_time is None and is_left_over(build, later)


def _mark(request: BuildRequest, build: Build | None) -> Sequence[int]:
    ended = build is not None and build.finish_time is not None
    claimed = bool(request.claimed_at)
    return request.id, request.priority, claimed, build.id if build else 0, ended


def packed(marks: Iterable[Sequence[object]]) -> RowMarks:
    """Pack marks as a database does: ids first, truths as 0 and 1."""
    groups: dict[int, list[list[str]]] = {}
    for id_, *values in marks:
        mark = [str(int(v) if isinstance(v, bool) else v) for v in (id_, *values)]
        groups.setdefault(int(mark[0]) >> GROUP_BITS, []).append(mark)
    return {
        group: tuple(",".join(column) for column in zip(*held, strict=True))
        for group, held in groups.items()
    }


def _lets_through(branches: BranchFilter, stored: str | None) -> bool:
    if branches.is_open:
        return True
    owned = any(branch.owns(stored) for branch in branches.branches)
    return owned or any(t.lower() in (stored or "").lower() for t in branches.texts if stored)


T = TypeVar("T")


def _part(entries: Sequence[T], portion: Portion) -> Sequence[T]:
    end = None if portion.limit is None else portion.offset + portion.limit
    return entries[portion.offset : end]


@attrs.define
class MemoryFarmReads:
    """The role FarmReads, over the rows of a MemoryBuilds."""

    rows: MemoryBuilds = attrs.field(factory=MemoryBuilds.small)
    failing: Failing = attrs.field(factory=Failing)

    async def pending(self, branches: BranchFilter, portion: Portion) -> Sequence[PendingEntry]:
        await self.failing.happen("pending", names(branches), portion)
        return _part(self._pending(branches), portion)

    def _pending(self, branches: BranchFilter) -> Sequence[PendingEntry]:
        return [
            PendingEntry(
                r.id,
                r.buildername,
                r.submitted_at,
                r.branch,
                r.revision,
                r.priority,
                r.claimed_by_name if r.claimed_at else None,
            )
            for r in self.rows.waiting()
            if _lets_through(branches, r.branch)
        ]

    async def running(self, branches: BranchFilter, portion: Portion) -> Sequence[RunningBuild]:
        await self.failing.happen("running", names(branches), portion)
        return _part(self._running(branches), portion)

    def _running(self, branches: BranchFilter) -> Sequence[RunningBuild]:
        found = [
            _running_build(b)
            for b in self.rows.all_builds()
            if b.finish_time is None
            and not b.is_abandoned
            and _lets_through(branches, b.requests[0].branch)
        ]
        return sorted(found, key=lambda b: (b.start_time, b.id), reverse=True)

    async def open(self) -> OpenWork:
        await self.failing.happen("open")
        return OpenWork(self._pending(BranchFilter()), self._running(BranchFilter()))

    async def revision(
        self, branches: BranchFilter, wanted: RevisionMatch
    ) -> Sequence[RevisionEntry]:
        await self.failing.happen("revision", names(branches), wanted.text)
        rows = sorted(self.rows.all_requests(), key=lambda r: -r.id)
        return [
            _entry(r, build)
            for r in rows
            if wanted.fits(r.revision) and _lets_through(branches, r.branch)
            for build in (*self.rows.builds_of(r.id)[::-1],) or (None,)
        ]

    async def pushes(self, branches: BranchFilter, start: int, end: int | None) -> PushCounts:
        await self.failing.happen("pushes", names(branches), start, end)
        found = [
            author
            for branch, author, at in self.rows.pushes
            if start <= at <= (at if end is None else end)
            and not branch.endswith(("unittest", "talos"))
            and _lets_through(branches, branch)
        ]
        return PushCounts({author: found.count(author) for author in sorted(set(found))})


def names(branches: BranchFilter) -> tuple[list[str], list[str]]:
    """Name the branches and the texts of a filter."""
    return [b.name for b in branches.branches], list(branches.texts)


def _running_build(build: Build) -> RunningBuild:
    rows = sorted(build.requests, key=lambda r: r.id)
    newest = rows[-1]
    return RunningBuild(
        build.id,
        tuple(r.id for r in rows),
        build.number,
        newest.buildername,
        newest.claimed_by_name,
        build.start_time,
        rows[0].submitted_at,
        max(r.claimed_at for r in rows),
        newest.branch,
        newest.revision,
    )


def _entry(request: BuildRequest, build: Build | None) -> RevisionEntry:
    return RevisionEntry(
        request.id,
        request.buildsetid,
        request.buildername,
        request.submitted_at,
        request.claimed_at,
        request.claimed_by_name,
        request.complete,
        request.results,
        build.number if build else None,
        build.start_time if build else None,
        build.finish_time if build else None,
        request.branch,
        request.revision,
    )


BRANCH_FACTS = BranchFacts(
    "try",
    None,
    ["Linux try build", "Linux try pgo-build", "Linux try nightly"],
    "20231114221320",
    "0" * 32,
    "master-a",
)


@attrs.define
class MemoryFactsReader:
    """The role Observer, over the same farm; ``sharers`` share running builds."""

    builds: MemoryBuilds
    listed: bool | None = None
    sharers: Sequence[Sharer] = ()
    failing: Failing = attrs.field(factory=Failing)
    directory: MemoryDirectory = attrs.field(factory=MemoryDirectory)

    async def read(self, action: Action) -> Facts:
        await self.failing.happen(action.name)
        match action:
            case CancelBuild(bid) | RebuildBuild(bid):
                found = [b for b in self.builds.all_builds() if b.id == bid]
                return self._facts(found[0].requests[0]) if found else None
            case Reprioritize(brid) | CancelRequest(brid) | RebuildRequest(brid):
                rows = [r for r in self.builds.all_requests() if r.id == brid]
                return self._facts(rows[0]) if rows else None
            case CancelRevision():
                branch = self.directory.branches().get(action.branch)
                return None if branch is None else self._of_revision(branch, action.wanted)
            case NewBuilderBuild():
                return self._of_branch(action.short_branch)
            case NewBuild() | NewPGOBuild() | NewNightly():
                return self._of_branch(action.branch)

    def _of_branch(self, name: str) -> BranchFacts | None:
        if self.directory.branches().get(name) is None:
            return None
        return attrs.evolve(BRANCH_FACTS, builduid=uuid.uuid4().hex)

    def _of_revision(self, branch: Branch, wanted: RevisionMatch) -> RevisionFacts:
        ours = [r for r in self.builds.all_requests() if branch.owns(r.branch)]
        meant, between = wanted.choose({r.revision or "" for r in ours}, str)
        if between:
            return RevisionFacts((), between)
        found = [self._facts(r) for r in sorted(ours, key=lambda r: r.id) if r.revision in meant]
        return RevisionFacts(
            [
                attrs.evolve(f, buildset=BuildsetRow(), listed=None)
                for f in found
                if not f.request.complete or any(t.finish_time is None for t in f.tries)
            ]
        )

    def _facts(self, request: BuildRequest) -> StoredRequestFacts:
        builds = self.builds.builds_of(request.id)
        tries = [
            RequestBuild(b.id, b.number, request.id, b.start_time, b.finish_time) for b in builds
        ]
        properties = self.builds.properties(request.id)
        texts = [(n, json.dumps([value, "test"])) for n, value in properties.items()]
        shared = {b.id: self.sharers for b in builds if self.sharers and b.finish_time is None}
        return StoredRequestFacts(
            request, tries, self.listed, shared, buildset=BuildsetRow(1, None, texts)
        )


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
    looking: Failing = attrs.field(factory=Failing)
    linking: Failing = attrs.field(factory=Failing)
    of_rebuilds: dict[int, Rebuild] = attrs.field(factory=dict)
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
                raise InProgress("a job request with this key already exists")
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
        await self.looking.happen(*request_ids)
        return set(request_ids) - {j.id for j in self.jobs.values() if j.completed_at is None}

    async def finish(
        self,
        request_id: int,
        report: Mapping[str, Any],
        now: int,
        rebuilds: Sequence[Rebuild] = (),
    ) -> bool:
        job = self.jobs.get(request_id)
        if job is None or job.completed_at is not None:
            return False
        self._end(job, report, now)
        self.of_rebuilds |= {rebuild.request_id: rebuild for rebuild in rebuilds}
        return True

    async def rebuilds(self, builds: Sequence[int], requests: Sequence[int]) -> RebuildLinks:
        await self.linking.happen("rebuilds", tuple(builds), tuple(requests))
        newest = [one for _, one in sorted(self.of_rebuilds.items(), reverse=True)]
        of = {RebuildOrigin(OF_BUILD, id_) for id_ in builds}
        of |= {RebuildOrigin(OF_REQUEST, id_) for id_ in requests}
        later = [one for one in newest if one.origin in of][:REBUILDS_MAX]
        return RebuildLinks(later, [one for one in newest if one.request_id in requests])

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

    async def marks(self, limit: int) -> RowMarks:
        await self.reading.happen("marks", limit)
        newest = sorted(self.jobs.values(), key=lambda j: -j.id)[:limit]
        done = [None if j.progress is None else len(j.progress.items) for j in newest]
        return packed(
            (j.id, j.completed_at, j.state.value, n) for j, n in zip(newest, done, strict=True)
        )

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
    """Return whether a filter lets a job through."""
    pairs = [(wanted.who, job.who), (wanted.branch, job.branch)]
    pairs += [(wanted.action, job.action), (wanted.state, job.state)]
    since, until = wanted.since or 0, wanted.until or 2**60
    return all(want in (None, has) for want, has in pairs) and since <= job.when < until


@attrs.define(slots=False, eq=False)
class MemoryBroker(EmbeddedBroker):
    """The embedded broker, which fails or hangs as told and keeps what was published.

    On its clock, which stands still, no consumer is given a message.
    """

    keeps_messages = True

    reactor: Any = attrs.field(factory=Clock)
    failing: Failing = attrs.field(factory=Failing)
    published: list[tuple[str, bytes, str, str | None]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.startService()

    async def publish(
        self, routing_key: str, body: bytes, *, message_id: str, correlation_id: str | None = None
    ) -> None:
        await self.failing.happen(message_id)
        ids = {"message_id": message_id, "correlation_id": correlation_id}
        await super().publish(routing_key, body, **ids)  # type: ignore[arg-type]  # both fit
        self.published.append((routing_key, body, message_id, correlation_id))

    def status(self) -> BrokerStatus:
        return BrokerStatus(super().status().connected and self.failing.error is None)


def database_down() -> DatabaseUnavailable:
    return DatabaseUnavailable("the database at db1 does not answer")


def broker_down() -> BrokerUnavailable:
    return BrokerUnavailable("no connection to mq1")
