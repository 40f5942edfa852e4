"""Read builds and requests of a 0.8 farm, asking the primary for what the replica lacks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from typing import Any, TypeVar

import attrs

from buildapi.buildbot.v08 import queries
from buildapi.buildbot.v08.queries import TryRow, of_branch
from buildapi.db.sql import (
    Database,
    Query,
    RowLimitError,
    ValueRefusedError,
    chunks,
    like_prefix,
)
from buildapi.errors import BadRequest
from buildapi.model.branches import Branch
from buildapi.model.records import (
    BranchDay,
    Build,
    BuildDetails,
    BuildRequest,
    OpenMark,
    RequestDetails,
    Stage,
    UserBuilds,
)

T = TypeVar("T")

NOTHING = BranchDay((), ())


def merge(rows: Iterable[TryRow]) -> list[Build]:
    """Make one build of the rows that coalesced requests have of it.

    The first row gives its values.  Each request is listed once, though a killed master may
    have left two rows of it.  Requests given back by their master name none: nothing tells
    then that two of them shared a build.
    """
    groups: dict[object, list[TryRow]] = {}
    for row in rows:
        groups.setdefault(_shared(row), []).append(row)
    return [_build(group) for group in groups.values()]


def _shared(row: TryRow) -> object:
    r = row.request
    if r.claimed_by_name is None:
        return row.build.id
    who = (r.claimed_by_name, r.claimed_by_incarnation, r.claimed_at)
    return (*who, r.buildername, row.build.number)


def _build(group: Sequence[TryRow]) -> Build:
    first = group[0].build
    requests = {row.request.id: row.request for row in group}
    return Build(
        first.id, first.number, first.start_time, first.finish_time, tuple(requests.values())
    )


def property_value(text: str) -> Any:
    """Decode a stored property, a JSON pair of value and source; give anything else as it is."""
    try:
        pair = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return pair[0] if isinstance(pair, list) and len(pair) == 2 else text


@attrs.define
class SQLBuilds:
    """Read from a replica, and from the primary what the replica does not have (yet)."""

    _replica: Database
    _primary: Database | None = None

    async def day(self, branch: Branch, start: int, end: int) -> BranchDay:
        """List builds started and pending requests submitted in ``[start, end)``."""
        where, params = of_branch(branch)
        span = {**params, "start": start, "end": end}
        return await bounded(
            _both(
                self._replica,
                branch,
                queries.builds_started(where),
                queries.pending_submitted(where),
                span,
            )
        )

    async def revision(self, branch: Branch, prefix: str) -> BranchDay:
        """List builds and pending requests whose revision begins with ``prefix``."""
        where, params = of_branch(branch)
        params["revision"] = like_prefix(prefix)

        async def read(db: Database) -> BranchDay | None:
            found = await _both(
                db,
                branch,
                queries.builds_of_revision(where),
                queries.pending_of_revision(where),
                params,
            )
            return found if found.builds or found.pending else None

        try:
            return await bounded(self._somewhere(read)) or NOTHING
        except ValueRefusedError:  # no text of the database can be like this one
            return NOTHING

    async def build(self, branch: Branch, build_id: int) -> BuildDetails | None:
        """Find a build of the branch; its own request comes first, coalesced ones after it."""

        async def read(db: Database) -> BuildDetails | None:
            row = await queries.BUILD_BY_ID.maybe(db, bid=build_id)
            if row is None or not branch.owns(row.request.branch):
                return None
            build = merge([row, *await _sharing(db, row)])[0]
            return BuildDetails(
                build, [await _properties(db, r.buildsetid) for r in build.requests]
            )

        return await self._somewhere(read)

    async def request(self, branch: Branch, request_id: int) -> RequestDetails | None:
        """Find a request of the branch."""

        async def read(db: Database) -> RequestDetails | None:
            request = await queries.REQUEST_BY_ID.maybe(db, brid=request_id)
            if request is None or not branch.owns(request.branch):
                return None
            tries = await queries.TRIES.many(db, brid=request_id)
            properties = await _properties(db, request.buildsetid)
            return RequestDetails(request, properties, [t.id for t in tries])

        return await self._somewhere(read)

    async def builders(self, branch: Branch, since: int) -> Sequence[str]:
        """List names of builders with requests submitted since a time, sorted."""
        where, params = of_branch(branch)
        rows = await bounded(queries.builders(where).many(self._replica, since=since, **params))
        return sorted({name for name, stored in rows if branch.owns(stored)})

    async def has_builder(self, name: str, since: int) -> bool:
        """Tell whether a builder of this name had a request since a time."""

        async def read(db: Database) -> int | None:
            return await queries.HAS_BUILDER.maybe(db, name=name, since=since)

        return await self._somewhere(read) is not None

    async def marks(self) -> Sequence[OpenMark]:
        """Tell how far all requests are that are not complete, on all branches."""
        return await bounded(queries.MARKS.many(self._replica))

    async def of_requests(self, request_ids: Sequence[int]) -> BranchDay:
        """List the builds of requests, and those of the requests that have none."""
        rows: list[TryRow] = []
        requests: list[BuildRequest] = []
        for ids in chunks(request_ids):
            builds, params = queries.builds_of(ids)
            rows += await bounded(builds.many(self._replica, **params))
            having, params = queries.requests_by_id(ids)
            requests += await having.many(self._replica, **params)
        with_builds = {row.request.id for row in rows}
        return BranchDay(merge(rows), [r for r in requests if _is_bare(r, with_builds)])

    async def branch_of(self, kind: str, id_: int) -> str | None:
        """Tell the stored branch of a ``build`` or a ``request``; None where there is none."""

        async def read(db: Database) -> str | None:
            return await queries.STORED_BRANCH[kind].maybe(db, id=id_)

        return await self._somewhere(read)

    async def user(self, branch: Branch, author: str) -> UserBuilds:
        """List what belongs to the changes of an author, at most 200 rows of each kind."""
        try:
            return await bounded(self._user(branch, author))
        except ValueRefusedError:
            return UserBuilds([], [], [])

    async def _user(self, branch: Branch, author: str) -> UserBuilds:
        where, params = of_branch(branch)
        params["author"] = author
        db = self._replica
        running = await queries.builds_of_author(where, complete=False).many(db, **params)
        done = await queries.builds_of_author(where, complete=True).many(db, **params)
        pending = await queries.pending_of_author(where).many(db, **params)
        return UserBuilds(
            builds=merge(_owned(branch, done)),
            running=merge(_owned(branch, running)),
            pending=[r for r in pending if branch.owns(r.branch)],
        )

    async def _somewhere(self, read: Callable[[Database], Awaitable[T | None]]) -> T | None:
        found = await read(self._replica)
        if found is None and self._primary is not None:
            return await read(self._primary)
        return found


async def bounded(reading: Awaitable[T]) -> T:
    """Answer a read past the row bound with words; :raises BadRequest: those words."""
    try:
        return await reading
    except RowLimitError as e:
        raise BadRequest(f"Too many rows: {e}; ask for less at a time") from e


async def _both(
    db: Database,
    branch: Branch,
    builds: Query[TryRow],
    pending: Query[BuildRequest],
    params: Mapping[str, Any],
) -> BranchDay:
    rows = await builds.many(db, **params)
    waiting = await pending.many(db, **params)
    return BranchDay(merge(_owned(branch, rows)), [r for r in waiting if branch.owns(r.branch)])


def _is_bare(request: BuildRequest, with_builds: Set[int]) -> bool:
    """Tell whether a request stands for itself: one given back by its master does, too."""
    return request.id not in with_builds or request.stage is Stage.PENDING


def _owned(branch: Branch, rows: Iterable[TryRow]) -> list[TryRow]:
    return [row for row in rows if branch.owns(row.request.branch)]


async def _sharing(db: Database, row: TryRow) -> list[TryRow]:
    r = row.request
    return await queries.BUILDS_SHARED.many(
        db,
        number=row.build.number,
        buildername=r.buildername,
        master=r.claimed_by_name,
        incarnation=r.claimed_by_incarnation,
        claimed_at=r.claimed_at,
    )


async def _properties(db: Database, buildsetid: int) -> Mapping[str, Any]:
    pairs = await queries.PROPERTIES.many(db, buildsetid=buildsetid)
    return {name: property_value(text) for name, text in pairs}
