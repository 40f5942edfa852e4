"""Read from a 0.8 scheduler database and the directory what actions are about."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

import attrs

from buildapi.buildbot.directory import Master
from buildapi.buildbot.v08 import queries
from buildapi.buildbot.v08.reads import bounded
from buildapi.db.sql import Database, chunks, like_prefix
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
from buildapi.model.facts import BranchFacts, Known, RequestFacts, RevisionFacts
from buildapi.model.records import BuildRequest, Try

CHANGE_ROLE = "scheduler"
"""The role of masters that take changes."""


class Documents(Protocol):
    """What the directory knows."""

    def branches(self) -> Branches: ...

    def builders(self) -> Builders | None: ...

    def masters(self) -> Mapping[str, Master]: ...


@attrs.define
class Observer:
    """Read; ``now`` gives seconds since the epoch, ``zone`` is the farm's.

    ``change_master`` names the master that takes changes; without a name it is the first one
    whose role is to schedule.
    """

    _db: Database
    _documents: Documents
    _now: Callable[[], float]
    _zone: ZoneInfo
    _change_master: str = ""

    async def read(self, action: Action) -> Known:
        """Read what is to be known before an action is decided."""
        match action:
            case Reprioritize() | CancelRequest() | RebuildRequest():
                return await self.request(action.brid)
            case CancelBuild() | RebuildBuild():
                brid = await queries.BRID_OF_BUILD.maybe(self._db, bid=action.bid)
                return None if brid is None else await self.request(brid)
            case CancelRevision():
                branch = self._documents.branches().get(action.branch)
                return None if branch is None else await self._revision(branch, action.revision)
            case NewBuilderBuild():
                return self._branch(action.short_branch)
            case NewBuild() | NewPGOBuild() | NewNightly():
                return self._branch(action.branch)

    async def request(self, brid: int) -> RequestFacts | None:
        """Read what there is to know of a request."""
        request = await queries.REQUEST_BY_ID.maybe(self._db, brid=brid)
        if request is None:
            return None
        origin = await queries.ORIGIN.maybe(self._db, buildsetid=request.buildsetid)
        sourcestampid, external = origin or (0, None)
        return RequestFacts(
            request=request,
            sourcestampid=sourcestampid,
            external_idstring=external,
            properties=await queries.PROPERTIES.many(self._db, buildsetid=request.buildsetid),
            tries=await queries.TRIES.many(self._db, brid=brid),
        )

    async def requests(self, brids: Sequence[int]) -> Sequence[RequestFacts]:
        """Read many requests with their tries, without their properties."""
        found: list[BuildRequest] = []
        for some in chunks(brids):
            query, params = queries.requests_by_id(some)
            found += await query.many(self._db, **params)
        return await self._with_tries(found)

    async def _revision(self, branch: Branch, prefix: str) -> RevisionFacts:
        where, params = queries.of_branch(branch)
        params["revision"] = like_prefix(prefix)
        unfinished = await bounded(queries.open_of_revision(where).many(self._db, **params))
        unended = await bounded(queries.unended_of_revision(where).many(self._db, **params))
        found = {r.id: r for r in (*unfinished, *unended) if branch.owns(r.branch)}
        ordered = [found[brid] for brid in sorted(found)]
        return RevisionFacts(await bounded(self._with_tries(ordered)))

    async def _with_tries(self, requests: Sequence[BuildRequest]) -> Sequence[RequestFacts]:
        tries: dict[int, list[Try]] = {r.id: [] for r in requests}
        for some in chunks(list(tries)):
            query, params = queries.tries_of(some)
            for one in await query.many(self._db, **params):
                tries[one.brid].append(one)
        return [RequestFacts(r, 0, None, (), tries[r.id]) for r in requests]

    def _branch(self, name: str) -> BranchFacts | None:
        branch = self._documents.branches().get(name)
        if branch is None:
            return None
        builders = self._documents.builders()
        return BranchFacts(
            path=branch.path,
            repository=branch.repository,
            builders=() if builders is None else builders.of(branch),
            buildid=datetime.fromtimestamp(int(self._now()), self._zone).strftime("%Y%m%d%H%M%S"),
            builduid=uuid.uuid4().hex,
            change_master=self._taker_of_changes(),
        )

    def _taker_of_changes(self) -> str | None:
        """Name the master that takes changes; one that is disabled takes none."""
        wanted = self._change_master
        for master in self._documents.masters().values():
            named = wanted in (master.name, master.db_name) if wanted else False
            fits = named or (not wanted and master.role == CHANGE_ROLE and master.pb_port)
            if fits and master.enabled:
                return master.db_name
        return None
