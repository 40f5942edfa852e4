"""Read the pushes of a 0.8 farm: its changes by revision, and their builds.

The scheduler database has no table of pushes.  A change has an index by time, author and revision,
so pushes are found by their changes; their builds by the revision of the source stamp, since only
some source stamps name their changes: those of rebuilds and of builds at a revision have none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from math import inf
from operator import attrgetter
from statistics import median_low

import attrs
import msgspec
from twisted.logger import Logger

from buildapi.buildbot.v08.branch_conditions import let_through
from buildapi.buildbot.v08.build_reads import apart, bounded, merge
from buildapi.buildbot.v08.build_rows import BuildRow, StoredRequest
from buildapi.buildbot.v08.change_cache import ChangeCache
from buildapi.buildbot.v08.queries import BUILDS, REQUEST, TRY, build_row, of_branch, of_revision
from buildapi.db.call_groups import CallGroups
from buildapi.db.sql import (
    Column,
    Database,
    Query,
    Read,
    ValueRefusedError,
    any_of,
    chunks,
    exact,
)
from buildapi.errors import TableDenied
from buildapi.model.branches import Branch
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.pushes import Change, Push, PushFilter, PushKey, PushPage, PushPlace, first_page
from buildapi.model.records import BranchDay, Build, RequestBuild
from buildapi.reactor_time import ReactorTime

FILES_MAX = 10_000
"""Maximum number of names of files that one query reads."""

DENIED_SECONDS = 3600
"""Seconds until a table that the account may not read is tried again."""

LATEST_BUILDS = 20_000
"""Builds whose durations the medians are of: the latest of the farm."""

LATEST_PORTION = 1000
"""Builds of these that one query reads."""

MEDIANS_SECONDS = 600
"""Seconds for which medians are kept."""

SKEW = 86_400
"""Seconds that builds may be older than the first change of their push.

Change sources have clocks of their own, and operators delete old changes.
"""

FOREVER = 2**53
"""Later than any time, and within the numbers that every database can compare."""

_Row = tuple[StoredRequest, RequestBuild | None]


@attrs.frozen
class PushBounds:
    """Maximum numbers of changes that reads of pushes take from the database.

    The first query of a list reads ``newest`` of them, each further one twice as many up to
    ``portion``, unless one second has more.  After ``searched`` the list ends, to be continued,
    however few pushes were found.  ``of_revisions`` is for one query of some revisions; of a single
    one with more than that, such as a tag, the first ones are read.
    """

    newest: int = 200
    portion: int = 1000
    searched: int = 10_000
    of_revisions: int = 5000


@attrs.define
class SQLPushes:
    """Read pushes from a replica; changes and medians are kept for a while."""

    _db: Database
    _reactor: ReactorTime
    _bounds: PushBounds = PushBounds()
    _files_denied_until: float = attrs.field(default=-inf, init=False)
    _medians: Mapping[str, int] = attrs.field(factory=dict, init=False)
    _medians_until: float = attrs.field(default=-inf, init=False)
    _latest: CallGroups[None, Mapping[str, int]] = attrs.field(init=False)

    _changes: ChangeCache = attrs.field(init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._changes = ChangeCache(self._read_changes, self._reactor)
        # Callers share a read, and one who gives up does not end it.
        self._latest = CallGroups(self._read_medians)

    async def pushes(self, wanted: PushFilter, limit: int) -> PushPage:
        """List at most ``limit`` pushes, newest first."""
        if not wanted.branches:
            return PushPage([])
        try:
            return await bounded(
                self._db.snapshot(lambda read: _page(read, wanted, limit, self._bounds))
            )
        except ValueRefusedError:  # no author or revision of the database can be like this one
            return PushPage([])

    async def work(self, pushes: Sequence[Push]) -> Mapping[PushKey, BranchDay]:
        """Return the builds and open requests without one of each push."""
        return await bounded(self._db.snapshot(lambda read: _work(read, pushes)))

    async def changes(self, revisions: Collection[str]) -> Mapping[str, Sequence[Change]]:
        """Return the changes of revisions on all branches, the first of each first."""
        return await self._changes.changes([r for r in revisions if r.strip()])

    async def _read_changes(self, revisions: Collection[str]) -> Mapping[str, Sequence[Change]]:
        wanted = [revision for revision in revisions if _is_storable(revision)]
        return await bounded(self._db.snapshot(lambda read: _changes(read, wanted, self._bounds)))

    async def files(self, changes: Sequence[int]) -> Mapping[int, Sequence[str]]:
        """Return the files of changes, sorted; none while the account may not read their table."""
        if self._reactor.seconds() < self._files_denied_until:
            return {}
        try:
            return await self._files(changes)
        except TableDenied as e:
            self._log.warn("files of changes are left out: {e} (buildapi db grants)", e=e)
            self._files_denied_until = self._reactor.seconds() + DENIED_SECONDS
            return {}

    async def _files(self, changes: Sequence[int]) -> Mapping[int, Sequence[str]]:
        def reading(read: Read) -> Mapping[int, Sequence[str]]:
            found: dict[int, list[str]] = {}
            for some in chunks(list(changes)):
                query, params = files_of(some)
                for change, name in query.all_of(read, **params, rows=FILES_MAX):
                    found.setdefault(change, []).append(name)
            return {change: sorted(names) for change, names in found.items()}

        return await bounded(self._db.snapshot(reading))

    async def medians(self) -> Mapping[str, int]:
        """Return by builder the median seconds of its builds among the latest of the farm."""
        return await self._latest.call(None)

    async def _read_medians(self, calls: Sequence[None]) -> Sequence[Mapping[str, int]]:
        if self._reactor.seconds() >= self._medians_until:
            self._medians = await bounded(self._db.snapshot(_medians))
            self._medians_until = self._reactor.seconds() + MEDIANS_SECONDS
        return [self._medians] * len(calls)

    async def results(
        self, branch: Branch, builder: str, limit: int, around: int | None = None
    ) -> Sequence[Build]:
        """List the latest builds of a builder on a branch, or those around one, newest first."""

        def reading(read: Read) -> Sequence[Build]:
            return _results(read, branch, builder, limit, around)

        try:
            return await bounded(self._db.snapshot(reading))
        except ValueRefusedError:  # no builder of the database can have this name
            return []


def _results(
    read: Read, branch: Branch, builder: str, limit: int, around: int | None
) -> Sequence[Build]:
    where, params = of_branch(branch)
    # A build that serves several requests has a row for each of them.
    params |= {"builder": builder, "rows": limit * 4}
    later: Sequence[BuildRow] = []
    if around is not None:
        params["around"] = around
        later = of_builder(f"{where} AND b.id > :around", "ASC").all_of(read, **params)[::-1]
        where = f"{where} AND b.id <= :around"
    rows = [*later, *of_builder(where, "DESC").all_of(read, **params)]
    found = merge(row for row in rows if branch.owns(row.request.branch))
    after = 0 if around is None else sum(build.id > around for build in found)
    first = max(0, after - limit // 2)
    return found[first : first + limit]


def _is_storable(text: str) -> bool:
    """Return whether a database may have a text: one that nobody can encode fails a statement."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _page(read: Read, wanted: PushFilter, limit: int, bounds: PushBounds) -> PushPage:
    """Return at most ``limit`` pushes by their first changes, the newest first."""
    where, params = _condition(wanted)
    until, size, searched = params["until"], bounds.newest, 0
    pushes, found = _PushesOfRevisions(read, wanted, bounds), list[Push]()
    while True:
        rows = newest_changes(where).all_of(read, **{**params, "until": until}, rows=size)
        searched += len(rows)
        # Others of the last second may follow: their pushes are not complete yet.
        last = rows[-1].when if len(rows) == size else None
        new = pushes.beginning_with([row for row in rows if row.when != last])
        found += sorted(new, key=attrgetter("place", "branch.name"), reverse=True)
        if len(found) > limit:
            return first_page(found, limit)
        if last is None:
            return PushPage(found)
        if last + 1 == until:  # a second with more changes than that
            size *= 2
            continue
        until = last + 1
        if searched >= bounds.searched:
            return PushPage(found, PushPlace(until))
        size = min(size * 2, bounds.portion)


@attrs.define
class _PushesOfRevisions:
    """Read the pushes of revisions, each once, although its changes come with several queries."""

    _read: Read
    _wanted: PushFilter
    _bounds: PushBounds
    _owner: _Owner = attrs.field(init=False)
    _known: dict[str, Sequence[Push]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._owner = _Owner(self._wanted.branches)

    def beginning_with(self, changes: Sequence[NewestChange]) -> Sequence[Push]:
        """Return the pushes wanted whose first change is one of these."""
        revisions = [r for r in dict.fromkeys(c.revision for c in changes) if r.strip()]
        new = [revision for revision in revisions if revision not in self._known]
        found = _changes(self._read, new, self._bounds)
        for revision in new:
            of = found.get(revision, ())
            self._known[revision] = list(_by_branch(revision, of, self._owner))
        first = {change.id for change in changes}
        return [
            push
            for revision in revisions
            for push in self._known[revision]
            if push.first.id in first and _fits(push, self._wanted)
        ]


def _condition(wanted: PushFilter) -> tuple[str, dict[str, object]]:
    branches, params = let_through("c.branch", BranchFilter(wanted.branches))
    parts = [branches]
    until = wanted.until if wanted.until is not None else FOREVER
    if wanted.after is not None:
        until = min(until, wanted.after.when + bool(wanted.after.revision))
    params["until"] = until
    if wanted.since is not None:
        parts.append("c.when_timestamp >= :since")
        params["since"] = wanted.since
    # Both comparisons: the bare one uses the index, the exact one tells upper from lower case.
    for column, value in (("author", wanted.author), ("revision", wanted.revision)):
        if value is not None:
            parts.append(f"c.{column} = :{column} AND {exact(f'c.{column}')} = :{column}")
            params[column] = value
    return " AND ".join(parts), params


def _fits(push: Push, wanted: PushFilter) -> bool:
    """Return whether a push is one of those wanted; its first change was found by SQL."""
    if wanted.after is not None and push.place >= wanted.after:
        return False
    # MySQL ignores blanks at the end.
    return wanted.author in {None, push.first.author} and wanted.revision in {None, push.revision}


def _by_branch(revision: str, changes: Iterable[Change], owner: _Owner) -> Iterable[Push]:
    """Yield the pushes of a revision, one for each branch."""
    groups: dict[str, tuple[Branch, list[Change]]] = {}
    for change in changes:
        branch = owner(change.branch)
        if branch is not None:
            groups.setdefault(branch.name, (branch, []))[1].append(change)
    for branch, ours in groups.values():
        yield Push(branch, revision, ours)


@attrs.frozen
class _Owner:
    """Find the branch of a list that a stored branch belongs to."""

    branches: Sequence[Branch]
    known: dict[str | None, Branch | None] = attrs.field(factory=dict)

    def __call__(self, stored: str | None) -> Branch | None:
        if stored not in self.known:
            self.known[stored] = next((b for b in self.branches if b.owns(stored)), None)
        return self.known[stored]


def _changes(read: Read, revisions: Sequence[str], bounds: PushBounds) -> dict[str, list[Change]]:
    """Return the changes of these revisions, the first of each first."""
    found: dict[str, list[Change]] = {revision: [] for revision in revisions}
    for some in chunks(revisions):
        for change in _first_changes(read, some, bounds.of_revisions):
            # MySQL ignores case, and blanks at the end.
            if change.revision in found:
                found[change.revision].append(change)
    return {revision: changes for revision, changes in found.items() if changes}


def _first_changes(read: Read, revisions: Sequence[str], most: int) -> Sequence[Change]:
    """Return the changes of revisions by time; ``most`` of one that has more than that."""
    query, params = changes_of(revisions)
    rows = query.all_of(read, **params, rows=most)
    if len(rows) < most or len(revisions) == 1:
        return rows
    half = len(revisions) // 2
    parts = revisions[:half], revisions[half:]
    return [row for part in parts for row in _first_changes(read, part, most)]


def _work(read: Read, pushes: Sequence[Push]) -> Mapping[PushKey, BranchDay]:
    keys = {push.key: push.branch for push in pushes}
    owners = _Owner(list({branch.name: branch for branch in keys.values()}.values()))
    oldest: dict[str, int] = {}
    for push in pushes:
        oldest[push.revision] = min(push.when, oldest.get(push.revision, push.when))
    rows: dict[PushKey, list[_Row]] = {key: [] for key in keys}
    for some in chunks(list(oldest)):
        revisions, params = any_of("revision", some)
        query = of_revision(f"ss.revision IN ({revisions}) AND bs.submitted_at >= :since")
        since = min(oldest[revision] for revision in some) - SKEW
        for row in query.all_of(read, since=since, **params):
            branch = owners(row[0].branch)
            key = PushKey(branch.name if branch else "", row[0].revision or "")
            if key in rows:
                rows[key].append(row)
    return {key: apart(of) for key, of in rows.items()}


def _medians(read: Read) -> Mapping[str, int]:
    newest = NEWEST_BUILD.first_of(read) or 0
    found: dict[str, list[int]] = {}
    for until in range(newest, max(0, newest - LATEST_BUILDS), -LATEST_PORTION):
        for builder, seconds in ENDED.all_of(read, after=until - LATEST_PORTION, until=until):
            found.setdefault(builder, []).append(seconds)
    return {builder: median_low(of) for builder, of in found.items()}


# --- the queries

_CHANGE = "c.changeid, c.branch, c.revision, c.author, c.comments, c.when_timestamp, c.revlink"


def _change_row(  # noqa: PLR0917  # the columns of _CHANGE in order
    id_: int,
    branch: str | None,
    revision: str,
    author: str,
    comments: str,
    when: Column,
    revlink: str | None,
) -> Change:
    return Change(id_, branch, revision, author, comments, int(when), revlink or None)


class NewestChange(msgspec.Struct, frozen=True):
    """What shows where a change is in a list, and of which push it may be."""

    id: int
    when: int
    revision: str


def _newest_row(id_: int, when: Column, revision: str) -> NewestChange:
    return NewestChange(id_, int(when), revision)


@cache
def newest_changes(where: str) -> Query[NewestChange]:
    """Select the newest changes before ``:until`` that have a revision."""
    return Query(
        "SELECT c.changeid, c.when_timestamp, c.revision FROM changes c"  # noqa: S608  # constants and parameter names
        f" WHERE c.when_timestamp < :until AND c.revision <> '' AND {where}"
        " ORDER BY c.when_timestamp DESC, c.changeid DESC LIMIT :rows",
        _newest_row,
    )


def changes_of(revisions: Sequence[str]) -> tuple[Query[Change], dict[str, object]]:
    """Select the first ``:rows`` changes of these revisions, oldest first."""
    names, params = any_of("revision", revisions)
    return Query(
        f"SELECT {_CHANGE} FROM changes c WHERE c.revision IN ({names})"  # noqa: S608  # constants and parameter names
        " ORDER BY c.when_timestamp, c.changeid LIMIT :rows",
        _change_row,
    ), params


def files_of(changes: Sequence[int]) -> tuple[Query[tuple[int, str]], dict[str, object]]:
    """Select pairs of a change and the name of a file, ``:rows`` at most."""
    ids, params = any_of("change", changes)
    return Query(
        f"SELECT changeid, filename FROM change_files WHERE changeid IN ({ids}) LIMIT :rows",  # noqa: S608  # parameter names
        lambda change, name: (change, name),
    ), params


NEWEST_BUILD: Query[int | None] = Query("SELECT MAX(id) FROM builds", lambda newest: newest)
ENDED: Query[tuple[str, int]] = Query(
    "SELECT br.buildername, b.finish_time - b.start_time FROM builds b"
    " JOIN buildrequests br ON br.id = b.brid"
    " WHERE b.id > :after AND b.id <= :until AND b.finish_time >= b.start_time"
    " AND br.complete = 1",
    lambda builder, seconds: (builder, int(seconds)),
)
"""Builder and seconds of the ended builds with these ids."""


def of_builder(where: str, order: str) -> Query[BuildRow]:
    """Select builds of ``:builder``, the newest or (``ASC``) the oldest of them."""
    return Query(
        f"SELECT {TRY}, {REQUEST} FROM {BUILDS} WHERE br.buildername = :builder"  # noqa: S608  # constants and parameter names
        f" AND {exact('br.buildername')} = :builder AND {where} ORDER BY b.id {order} LIMIT :rows",
        build_row,
    )
