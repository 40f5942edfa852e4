"""Read builds and requests of a 0.8 farm; ask the primary for what the replica lacks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeVar

import attrs
from msgspec.structs import replace

from buildapi.buildbot.v08 import queries
from buildapi.buildbot.v08.build_rows import BuildRow, StoredRequest, is_left_over
from buildapi.buildbot.v08.builder_names import BuilderNames
from buildapi.buildbot.v08.queries import of_branch
from buildapi.db.call_groups import CallGroups, Later, at_once, rows_by_id, together_or_alone
from buildapi.db.sql import (
    Database,
    Read,
    RowLimitError,
    ValueRefusedError,
    chunks,
)
from buildapi.errors import BadRequest
from buildapi.model.branches import Branch
from buildapi.model.records import (
    BranchDay,
    Build,
    BuildDetails,
    BuildRequest,
    RequestBuild,
    RequestDetails,
    Stage,
    UserBuilds,
)
from buildapi.model.revisions import RevisionMatch
from buildapi.model.row_marks import RowMarks
from buildapi.reactor_time import ReactorTime

T = TypeVar("T")

NOTHING = BranchDay((), ())

REVISIONS_MAX = 20
"""Maximum number of revisions that one query reads."""

_AskedRevision = tuple[Branch, RevisionMatch]
_RequestRow = tuple[StoredRequest, RequestBuild | None]


def merge(rows: Iterable[BuildRow]) -> list[Build]:
    """Merge the rows of coalesced requests into one build each.

    A 0.8 master inserts one row of ``builds`` per coalesced request, with the same number. The
    first row provides the values. Each request is listed once, though a killed master may have left
    two rows of it. Released requests have no claim: nothing shows that two of them shared a build.
    """
    groups: dict[object, list[BuildRow]] = {}
    tries: dict[int, list[RequestBuild]] = {}
    for row in rows:
        groups.setdefault(row.shared_key, []).append(row)
        tries.setdefault(row.request.id, []).append(row.build)
    return [_build(group, tries[group[0].request.id]) for group in groups.values()]


def _build(group: Sequence[BuildRow], tries: Sequence[RequestBuild]) -> Build:
    first, request = group[0].build, group[0].request
    # Nearly all builds serve one request, which has no other.
    requests = {row.request.id: row.request for row in group} if len(group) > 1 else None
    later = [one for one in tries if one.id > first.id] if len(tries) > 1 else ()
    return Build(
        first.id,
        first.number,
        first.start_time,
        first.finish_time,
        tuple(requests.values()) if requests else (request,),
        is_left_over(first, later),
    )


def property_value(text: str) -> Any:
    """Decode a stored property, a JSON pair of value and source; return other texts unchanged."""
    try:
        pair = json.loads(text)
    except (ValueError, RecursionError):
        return text
    # The original crashed on such texts [docs/compatibility-cases.md, "Errors and odd data"].
    return pair[0] if isinstance(pair, list) and len(pair) == 2 else text


@attrs.define
class SQLBuilds:
    """Read from a replica, and from the primary what the replica lacks."""

    _replica: Database
    _primary: Database | None = None
    _later: Later = at_once
    _clock: ReactorTime | None = None
    _by_build: CallGroups[int, BuildRequest | None] = attrs.field(init=False)
    _by_request: CallGroups[int, BuildRequest | None] = attrs.field(init=False)
    _builder_names: BuilderNames = attrs.field(init=False)
    _by_revision: CallGroups[_AskedRevision, BranchDay] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._builder_names = BuilderNames(self._replica)
        self._by_revision = CallGroups(
            lambda asked: together_or_alone(asked, self._of_revisions, self._of_revision),
            REVISIONS_MAX,
            self._later,
            self._clock,
        )
        self._by_build = rows_by_id(partial(self._somewhere_each, _requests_of_builds), self._later)
        self._by_request = rows_by_id(partial(self._somewhere_each, _requests), self._later)

    async def day(self, branch: Branch, start: int, end: int) -> BranchDay:
        """List builds started, and open requests without a build submitted, in ``[start, end)``."""
        where, params = of_branch(branch)
        span = {**params, "start": start, "end": end}

        def reading(read: Read) -> BranchDay:
            # In this order nothing is missed on tables without snapshots (MyISAM).
            waiting = queries.waiting_submitted(where).all_of(read, **span)
            rows = queries.builds_started(where).all_of(read, **span)
            return BranchDay(merge(_owned(branch, rows)), _of_branch(branch, waiting))

        return await bounded(self._replica.snapshot(reading))

    async def revisions(self, branch: Branch, wanted: RevisionMatch) -> Sequence[str]:
        """List the matching stored revisions of a branch."""
        where, params = of_branch(branch)
        params["revision"] = queries.revision_pattern(wanted)
        rows = await bounded(queries.revisions(where).many(self._replica, **params))
        return sorted({r for stored, r in rows if branch.owns(stored) and wanted.fits(r)})

    async def revision(self, branch: Branch, wanted: RevisionMatch) -> BranchDay:
        """List builds, and open requests without one, of the matching revisions.

        Calls that come while others are answered share one query.
        """
        return await self._by_revision.call((branch, wanted))

    async def _of_revision(self, asked: _AskedRevision) -> BranchDay:
        branch, wanted = asked
        where, params = of_branch(branch)
        params["revision"] = queries.revision_pattern(wanted)
        query = queries.of_revision(f"{queries.OF_REVISION} AND {where}")

        async def read(db: Database) -> BranchDay | None:
            return _found(asked, await query.many(db, **params))

        try:
            return await bounded(self._somewhere(read)) or NOTHING
        except ValueRefusedError:  # no text of the database can be like this one
            return NOTHING

    async def _of_revisions(self, asked: Sequence[_AskedRevision]) -> Sequence[BranchDay]:
        found = await _each_revision(self._replica, asked)
        missing = [one for one, day in zip(asked, found, strict=True) if day is None]
        if missing and self._primary is not None:
            more = iter(await _each_revision(self._primary, missing))
            found = [next(more) if day is None else day for day in found]
        return [day or NOTHING for day in found]

    async def build(self, branch: Branch, build_id: int) -> BuildDetails | None:
        """Return a build of the branch; its own request comes first, coalesced ones after it."""

        def reading(read: Read) -> BuildDetails | None:
            build = _with_related(queries.BUILD_WITH_RELATED.all_of(read, bid=build_id))
            if build is None or not branch.owns(build.requests[0].branch):
                return None
            properties = _properties(read, [r.buildsetid for r in build.requests])
            return BuildDetails(build, [properties[r.buildsetid] for r in build.requests])

        return await self._somewhere(lambda db: db.snapshot(reading))

    async def request(self, branch: Branch, request_id: int) -> RequestDetails | None:
        """Return a request of the branch."""

        def reading(read: Read) -> RequestDetails | None:
            rows = queries.REQUEST_WITH_BUILDS.all_of(read, brid=request_id)
            if not rows or not branch.owns(rows[0][0].branch):
                return None
            request, tries = rows[0][0], [build for _, build in rows if build is not None]
            properties = _properties(read, [request.buildsetid])[request.buildsetid]
            starting = request.stage is Stage.CLAIMED and request.awaits_build(_ends(tries))
            return RequestDetails(request, properties, [t.id for t in tries], starting)

        return await self._somewhere(lambda db: db.snapshot(reading))

    async def find_build(self, branch: Branch, build_id: int) -> BuildRequest | None:
        """Return the request of a build of the branch; calls that wait share one query."""
        return _owned_by(branch, await self._by_build.call(build_id))

    async def find_request(self, branch: Branch, request_id: int) -> BuildRequest | None:
        """Return a request of the branch, without its builds; calls that wait share one query."""
        return _owned_by(branch, await self._by_request.call(request_id))

    async def builders(self, branch: Branch, since: int) -> Sequence[str]:
        """List names of builders with requests submitted since a time, sorted."""
        pairs = await bounded(self._builder_names.since(since))
        return sorted({name for name, stored in pairs if branch.owns(stored)})

    async def has_builder(self, name: str, since: int) -> bool:
        """Return whether a builder of this name had a request since a time."""

        async def read(db: Database) -> int | None:
            return await queries.HAS_BUILDER.maybe(db, name=name, since=since)

        return await self._somewhere(read) is not None

    async def marks(self) -> RowMarks:
        """Return the marks of all incomplete requests, on all branches."""
        return dict(await bounded(queries.MARKS.many(self._replica)))

    async def of_requests(self, request_ids: Sequence[int]) -> BranchDay:
        """List the builds of requests, and those requests that have no build of their claim."""

        def reading(read: Read) -> BranchDay:
            rows: list[BuildRow] = []
            requests: list[BuildRequest] = []
            for ids in chunks(request_ids):
                having, params = queries.requests_by_id(ids)
                requests += having.all_of(read, **params)
                builds, params = queries.builds_of(ids)
                rows += builds.all_of(read, **params)
            tries: dict[int, list[RequestBuild]] = {}
            for row in rows:
                tries.setdefault(row.request.id, []).append(row.build)
            alone = [r for r in requests if _is_alone(r, tries.get(r.id, ()))]
            return BranchDay(merge(rows), alone)

        return await bounded(self._replica.snapshot(reading))

    async def branch_of(self, kind: str, id_: int) -> str | None:
        """Return the stored branch of a ``build`` or a ``request``; None if it does not exist."""

        async def read(db: Database) -> str | None:
            return await queries.STORED_BRANCH[kind].maybe(db, id=id_)

        return await self._somewhere(read)

    async def user(self, branch: Branch, author: str) -> UserBuilds:
        """List the builds and requests with changes of an author, at most 200 rows of each kind."""
        try:
            return await bounded(self._user(branch, author))
        except ValueRefusedError:
            return UserBuilds([], [], [])

    async def _user(self, branch: Branch, author: str) -> UserBuilds:
        where, params = of_branch(branch)
        params["author"] = author

        def reading(read: Read) -> UserBuilds:
            # In this order nothing is missed on tables without snapshots (MyISAM).
            waiting = queries.waiting_of_author(where).all_of(read, **params)
            running = queries.builds_of_author(where, complete=False).all_of(read, **params)
            done = queries.builds_of_author(where, complete=True).all_of(read, **params)
            return UserBuilds(
                builds=merge(_owned(branch, done)),
                running=merge(_owned(branch, running)),
                pending=_of_branch(branch, waiting),
            )

        return await self._replica.snapshot(reading)

    async def _somewhere(self, read: Callable[[Database], Awaitable[T | None]]) -> T | None:
        # A replica may lag behind what the client has just seen [docs/design.md, "Reads"].
        found = await read(self._replica)
        if found is None and self._primary is not None:
            return await read(self._primary)
        return found

    async def _somewhere_each(
        self,
        read: Callable[[Database, Sequence[int]], Awaitable[Mapping[int, T]]],
        ids: Sequence[int],
    ) -> Mapping[int, T]:
        found = await read(self._replica, ids)
        missing = [id_ for id_ in ids if id_ not in found]
        if missing and self._primary is not None:
            return {**found, **await read(self._primary, missing)}
        return found


async def bounded(reading: Awaitable[T]) -> T:
    """Convert the error of a read past the row limit; :raises BadRequest: too many rows."""
    try:
        return await reading
    except RowLimitError as e:
        # 400, since the client can ask for less [docs/compatibility.md, "The pages of the whole
        # farm"].
        raise BadRequest(f"Too many rows: {e}; request less at a time") from e


def apart(rows: Iterable[tuple[StoredRequest, RequestBuild | None]]) -> BranchDay:
    """Separate requests joined with their builds into builds, and open requests without one."""
    requests: dict[int, StoredRequest] = {}
    tries: dict[int, list[RequestBuild]] = {}
    for request, build in rows:
        requests[request.id] = request
        tries.setdefault(request.id, []).extend([build] if build else [])
    built = [BuildRow(build, requests[brid]) for brid, builds in tries.items() for build in builds]
    waiting = [r for r in requests.values() if r.awaits_build(_ends(tries[r.id]))]
    return BranchDay(
        merge(sorted(built, key=lambda row: row.build.id, reverse=True)),
        sorted(waiting, key=lambda r: (r.submitted_at, r.id), reverse=True),
    )


async def _requests_of_builds(db: Database, ids: Sequence[int]) -> Mapping[int, BuildRequest]:
    query, params = queries.builds_by_id(ids)
    return {row.build.id: row.request for row in await query.many(db, **params)}


async def _requests(db: Database, ids: Sequence[int]) -> Mapping[int, BuildRequest]:
    query, params = queries.requests_by_id(ids)
    return {request.id: request for request in await query.many(db, **params)}


def _owned_by(branch: Branch, request: BuildRequest | None) -> BuildRequest | None:
    return request if request is not None and branch.owns(request.branch) else None


async def _each_revision(
    db: Database, asked: Sequence[_AskedRevision]
) -> Sequence[BranchDay | None]:
    """Read several revisions in one statement; None for each that has no rows."""
    query, params = queries.of_revisions(list(dict.fromkeys(wanted for _, wanted in asked)))
    rows: dict[str | None, list[_RequestRow]] = {}
    for row in await query.many(db, **params):
        rows.setdefault(row[0].revision, []).append(row)
    return [
        _found(one, [row for stored, of in rows.items() if one[1].fits(stored) for row in of])
        for one in asked
    ]


def _found(asked: _AskedRevision, rows: Iterable[_RequestRow]) -> BranchDay | None:
    # SQL finds too much: LIKE ignores case, "=" of MySQL trailing spaces (PAD SPACE collations),
    # and several revisions are read of all branches.
    branch, wanted = asked
    owns, fits = cache(branch.owns), cache(wanted.fits)
    ours = [row for row in rows if fits(row[0].revision) and owns(row[0].branch)]
    found = apart(ours)
    return found if found.builds or found.pending else None


def _ends(tries: Iterable[RequestBuild]) -> list[int | None]:
    return [one.finish_time for one in tries]


def _is_alone(request: BuildRequest, tries: Sequence[RequestBuild]) -> bool:
    """Return whether a request stands for itself: completed ones without a build do, too."""
    return request.awaits_build(_ends(tries)) or not tries


def _owned(branch: Branch, rows: Iterable[BuildRow]) -> list[BuildRow]:
    owns = cache(branch.owns)  # thousands of rows have tens of branches
    return [row for row in rows if owns(row.request.branch)]


def _of_branch(branch: Branch, requests: Iterable[BuildRequest]) -> list[BuildRequest]:
    owns = cache(branch.owns)
    return [r for r in requests if owns(r.branch)]


def _with_related(rows: Sequence[BuildRow | RequestBuild]) -> Build | None:
    """Return the build of the first row, with the rows that share it; None if there are no rows."""
    built = [row for row in rows if isinstance(row, BuildRow)]
    if not built:
        return None
    own, others = built[0], [r for r in built[1:] if r.shared_key == built[0].shared_key]
    build = merge([own, *sorted(others, key=lambda r: r.build.id, reverse=True)])[0]
    # That its master died is shown only by later builds of the request; most have other numbers,
    # and are not among those that share the build.
    if own.build.finish_time is None:
        later = [row for row in rows if isinstance(row, RequestBuild)]
        return replace(build, left_over=is_left_over(own.build, later))
    return build


def _properties(read: Read, buildsetids: Sequence[int]) -> Mapping[int, Mapping[str, object]]:
    found: dict[int, dict[str, object]] = {id_: {} for id_ in buildsetids}
    for some in chunks(list(found)):
        query, params = queries.properties_of(some)
        for id_, name, text in query.all_of(read, **params):
            found[id_][name] = property_value(text)
    return found
