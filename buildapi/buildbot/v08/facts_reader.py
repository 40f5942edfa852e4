"""Read the facts of actions from a 0.8 scheduler database and the directory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol
from zoneinfo import ZoneInfo

import attrs

from buildapi.buildbot.directory import Master
from buildapi.buildbot.v08 import queries
from buildapi.buildbot.v08.build_reads import bounded
from buildapi.buildbot.v08.build_rows import BuildRow, StoredRequest, with_left_over
from buildapi.buildbot.v08.lowered_plan import BuildsetRow, StoredRequestFacts
from buildapi.buildbot.v08.requeue_blockers import build_refusal, rebuild_refusal
from buildapi.buildbot.v08.shared_builds import sharers_of
from buildapi.db.call_groups import CallGroups, Later, at_once, rows_by_id
from buildapi.db.sql import Database, Query, Read, chunks
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
from buildapi.model.builders import Builders
from buildapi.model.facts import BranchFacts, Facts, RequestFacts, RevisionFacts, Subject
from buildapi.model.records import RequestBuild
from buildapi.model.revisions import RevisionMatch

CHANGE_ROLE = "scheduler"
"""Role of masters that accept changes."""


class Documents(Protocol):
    """Provide the documents of the directory."""

    def branches(self) -> Branches: ...

    def builders(self) -> Builders | None: ...

    def is_listed(self, buildername: str) -> bool | None: ...

    def masters(self) -> Mapping[str, Master]: ...


@attrs.define
class SQLFactsReader:
    """Read facts; ``now`` returns epoch seconds, ``zone`` is the farm's time zone.

    ``change_master`` names the master that accepts changes; without a name it is the first one with
    the scheduler role.
    """

    _db: Database
    _documents: Documents
    _now: Callable[[], float]
    _zone: ZoneInfo
    _change_master: str = ""
    _later: Later = at_once
    _by_request: CallGroups[int, Subject | None] = attrs.field(init=False)
    _by_build: CallGroups[int, Subject | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._by_request = rows_by_id(
            partial(self._subjects, queries.subjects_of_requests), self._later
        )
        self._by_build = rows_by_id(
            partial(self._subjects, queries.subjects_of_builds), self._later
        )

    async def read(self, action: Action) -> Facts:
        """Read the facts that an action is decided on."""
        match action:
            case NewBuilderBuild():
                return self._branch(action.short_branch)
            case NewBuild() | NewPGOBuild() | NewNightly():
                return self._branch(action.branch)
            case _:
                return await bounded(self._db.snapshot(self.reading(action)))

    def reading(self, action: Action) -> Callable[[Read], Facts]:
        """Return what reads the facts of an action within a transaction.

        :raises Unavailable: a document of the directory was never read.
        """
        match action:
            case Reprioritize() | CancelRequest() | RebuildRequest():
                return lambda read: self._listed(_request(read, brid=action.brid))
            case CancelBuild() | RebuildBuild():
                return lambda read: self._listed(_request(read, bid=action.bid))
            case CancelRevision():
                branch = self._documents.branches().get(action.branch)
                if branch is None:
                    return lambda _: None
                return partial(_revision, branch=branch, wanted=action.wanted)
            case NewBuilderBuild():
                of_branch = self._branch(action.short_branch)
            case NewBuild() | NewPGOBuild() | NewNightly():
                of_branch = self._branch(action.branch)
        return lambda _: of_branch

    async def subject(self, action: Action) -> Subject:
        """Return what an action is about; calls that wait share one SELECT."""
        match action:
            case Reprioritize() | CancelRequest() | RebuildRequest():
                found = await self._by_request.call(action.brid)
            case CancelBuild() | RebuildBuild():
                found = await self._by_build.call(action.bid)
            case CancelRevision() | NewBuild() | NewPGOBuild() | NewNightly() | NewBuilderBuild():
                return Subject(revision=action.revision)
        return found or Subject()

    async def _subjects(
        self,
        of: Callable[[Sequence[int]], tuple[Query[tuple[int, Subject]], dict[str, object]]],
        ids: Sequence[int],
    ) -> Mapping[int, Subject]:
        query, params = of(ids)
        return dict(await query.many(self._db, **params))

    async def request(self, brid: int) -> RequestFacts | None:
        """Read the facts of a request."""
        return self._listed(await self._db.snapshot(lambda read: _request(read, brid=brid)))

    def _listed(self, facts: RequestFacts | None) -> RequestFacts | None:
        """Add whether the builders file lists the builder."""
        if facts is None:
            return None
        return attrs.evolve(facts, listed=self._documents.is_listed(facts.request.buildername))

    async def requests(self, brids: Sequence[int]) -> Sequence[RequestFacts]:
        """Read many requests with their builds, without their properties."""

        def reading(read: Read) -> Sequence[RequestFacts]:
            found: list[StoredRequest] = []
            for some in chunks(brids):
                query, params = queries.requests_by_id(some)
                found += query.all_of(read, **params)
            return _with_builds(read, found)

        return await self._db.snapshot(reading)

    def _branch(self, name: str) -> BranchFacts | None:
        branch = self._documents.branches().get(name)
        if branch is None:
            return None
        builders = self._documents.builders()
        return BranchFacts(
            path=branch.path,
            repository=branch.repository,
            builders=() if builders is None else builders.of(branch),
            # 14 digits of local time and 32 hexadecimal ones, as the original stored them
            # [docs/compatibility.md, "What stays the same"].
            buildid=datetime.fromtimestamp(int(self._now()), self._zone).strftime("%Y%m%d%H%M%S"),
            # All builds of one job share it: it says which belong together.
            builduid=uuid.uuid4().hex,
            change_master=self._taker_of_changes(),
            build_refusal=build_refusal(branch.path),
        )

    def _taker_of_changes(self) -> str | None:
        """Return the name of the enabled master that accepts changes, or None."""
        wanted = self._change_master
        for master in self._documents.masters().values():
            named = wanted in (master.name, master.db_name) if wanted else False
            # A master that is named counts without a pb_port: the error of sending then says what
            # it lacks.
            fits = named or (not wanted and master.role == CHANGE_ROLE and master.pb_port)
            if fits and master.enabled:
                return master.db_name
        return None


def _request(read: Read, **id_: int) -> RequestFacts | None:
    """Read the facts of a request by its ``brid``, or by the ``bid`` of a build of it."""
    found = (queries.OWN_BUILDSET if "brid" in id_ else queries.BUILDSET_OF_BUILD).first_of(
        read, **id_
    )
    if found is None:
        return None
    request, sourcestampid, external = found
    properties = queries.PROPERTIES.all_of(read, buildsetid=request.buildsetid)
    builds = with_left_over(queries.TRIES.all_of(read, brid=request.id))
    return StoredRequestFacts(
        request=request,
        tries=builds,
        sharers=sharers_of(read, _running(request, builds)),
        rebuild_refusal=rebuild_refusal(request, properties),
        buildset=BuildsetRow(sourcestampid, external, properties),
    )


def _revision(read: Read, branch: Branch, wanted: RevisionMatch) -> RevisionFacts:
    where, params = queries.of_branch(branch)
    params["revision"] = queries.revision_pattern(wanted)
    stored = queries.revisions(where).all_of(read, **params)
    meant, between = wanted.choose([r for b, r in stored if branch.owns(b)], str)
    if between:
        return RevisionFacts((), between)
    unfinished = queries.open_of_revision(where).all_of(read, **params)
    # Complete requests as well: one that was claimed while it was completed is built nevertheless
    # [docs/design.md, "Acting on Buildbot 0.8"].
    unended = queries.unended_of_revision(where).all_of(read, **params)
    ours = [r for r in (*unfinished, *unended) if branch.owns(r.branch)]
    found = {r.id: r for r in ours if r.revision in meant}
    return RevisionFacts(_with_builds(read, [found[brid] for brid in sorted(found)]))


def _with_builds(read: Read, requests: Sequence[StoredRequest]) -> Sequence[RequestFacts]:
    """Read the builds of many requests, and who shares those that run."""
    rows: dict[int, list[RequestBuild]] = {r.id: [] for r in requests}
    for some in chunks(list(rows)):
        query, params = queries.tries_of(some)
        for one in query.all_of(read, **params):
            rows[one.brid].append(one)
    builds = {brid: with_left_over(of) for brid, of in rows.items()}
    shared = sharers_of(read, [row for r in requests for row in _running(r, builds[r.id])])
    return [
        RequestFacts(
            r, builds[r.id], sharers={b.id: shared[b.id] for b in builds[r.id] if b.id in shared}
        )
        for r in requests
    ]


def _running(request: StoredRequest, builds: Sequence[RequestBuild]) -> Sequence[BuildRow]:
    return [BuildRow(b, request) for b in builds if b.finish_time is None and not b.left_over]
