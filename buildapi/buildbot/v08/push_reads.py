"""Read the pushes of a 0.8 farm: its changes by revision, and their builds.

The scheduler database has no table of pushes.  A change has an index by time, author and revision,
so pushes are found by their changes; their builds by the revision of the source stamp, since only
some source stamps name their changes: those of rebuilds and of builds at a revision have none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from statistics import median_low

import attrs

from buildapi.buildbot.v08.branch_conditions import let_through
from buildapi.buildbot.v08.build_reads import apart, bounded, merge
from buildapi.buildbot.v08.build_rows import BuildRow, StoredRequest
from buildapi.buildbot.v08.queries import BUILDS, REQUEST, TRY, build_row, of_branch, of_revision
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
from buildapi.model.branches import Branch
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.pushes import Change, Push, PushFilter, PushKey, PushPage
from buildapi.model.records import BranchDay, Build, RequestBuild
from buildapi.reactor_time import ReactorTime

CHANGES = 200
"""Changes that one query of a list of pushes reads."""

LATEST_BUILDS = 20_000
"""Builds whose durations the medians are of: the latest of the farm."""

MEDIANS_SECONDS = 600
"""Seconds for which medians are kept."""

SKEW = 3600
"""Seconds by which the clock of a change source may be ahead of that of a scheduler."""

_Row = tuple[StoredRequest, RequestBuild | None]


@attrs.define
class SQLPushes:
    """Read pushes from a replica; medians are kept for a while."""

    _db: Database
    _reactor: ReactorTime
    _medians: Mapping[str, int] = attrs.field(factory=dict, init=False)
    _medians_until: float = attrs.field(default=0.0, init=False)

    async def pushes(self, wanted: PushFilter, limit: int) -> PushPage:
        """List at most ``limit`` pushes, newest first."""
        try:
            found = await bounded(self._db.snapshot(lambda read: _pushes(read, wanted, limit + 1)))
        except ValueRefusedError:  # no author or revision of the database can be like this one
            return PushPage([], more=False)
        return PushPage(found[:limit], more=len(found) > limit)

    async def work(self, pushes: Sequence[Push]) -> Mapping[PushKey, BranchDay]:
        """Return the builds and open requests without one of each push."""
        return await bounded(self._db.snapshot(lambda read: _work(read, pushes)))

    async def changes(self, revisions: Collection[str]) -> Mapping[str, Sequence[Change]]:
        """Return the changes of revisions on all branches, the first of each first."""

        def reading(read: Read) -> Mapping[str, Sequence[Change]]:
            return _changes(read, list(dict.fromkeys(revisions)))

        return await bounded(self._db.snapshot(reading))

    async def files(self, changes: Sequence[int]) -> Mapping[int, Sequence[str]]:
        """Return the files of changes, sorted."""

        def reading(read: Read) -> Mapping[int, Sequence[str]]:
            found: dict[int, list[str]] = {}
            for some in chunks(list(changes)):
                query, params = files_of(some)
                for change, name in query.all_of(read, **params):
                    found.setdefault(change, []).append(name)
            return {change: sorted(names) for change, names in found.items()}

        return await bounded(self._db.snapshot(reading))

    async def medians(self) -> Mapping[str, int]:
        """Return by builder the median seconds of its builds among the latest of the farm."""
        if self._reactor.seconds() >= self._medians_until:
            found: dict[str, list[int]] = {}
            for builder, seconds in await LATEST.many(self._db, count=LATEST_BUILDS):
                found.setdefault(builder, []).append(seconds)
            self._medians = {builder: median_low(of) for builder, of in found.items()}
            self._medians_until = self._reactor.seconds() + MEDIANS_SECONDS
        return self._medians

    async def results(self, branch: Branch, builder: str, limit: int) -> Sequence[Build]:
        """List the latest builds of a builder on a branch, newest first."""
        where, params = of_branch(branch)
        # A build that serves several requests has a row for each of them.
        rows = await latest_of_builder(where).many(
            self._db, builder=builder, rows=limit * 4, **params
        )
        return merge(row for row in rows if branch.owns(row.request.branch))[:limit]


def _pushes(read: Read, wanted: PushFilter, limit: int) -> Sequence[Push]:
    """Return at most ``limit`` pushes by their first changes, the newest first."""
    where, params = _condition(wanted)
    until, size, found = params["until"], CHANGES, list[Push]()
    while len(found) < limit:
        rows = newest_changes(where).all_of(read, **{**params, "until": until}, rows=size)
        # Others of the last second may follow: their pushes are not complete yet.
        last = rows[-1].when if len(rows) == size else None
        revisions = list(dict.fromkeys(row.revision for row in rows))
        pushes = _by_branch(_changes(read, revisions), wanted.branches)
        first = {row.id for row in rows if row.when != last}
        new = [push for push in pushes if push.first.id in first and _fits(push, wanted)]
        found += sorted(new, key=lambda push: (push.when, push.revision), reverse=True)
        if last is None:
            break
        if last + 1 == until:  # a second with more changes than that
            size *= 2
        until = last + 1
    return found[:limit]


def _condition(wanted: PushFilter) -> tuple[str, dict[str, object]]:
    branches, params = let_through("c.branch", BranchFilter(wanted.branches))
    parts = [branches]
    until = wanted.until if wanted.until is not None else END
    if wanted.after is not None:
        until = min(until, wanted.after.when + 1)
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


END = 2**31 - 1
"""The greatest time that ``changes.when_timestamp`` holds on MySQL."""


def _fits(push: Push, wanted: PushFilter) -> bool:
    """Return whether a push is one of those wanted; its first change was found by SQL."""
    after = wanted.after
    if after is not None and (push.when, push.revision) >= (after.when, after.revision):
        return False
    return wanted.author is None or push.first.author == wanted.author


def _by_branch(
    changes: Mapping[str, Sequence[Change]], branches: Sequence[Branch]
) -> Iterable[Push]:
    """Yield the pushes of branches among the changes of revisions."""
    owner = _Owner(branches)
    for revision, of in changes.items():
        groups: dict[str, tuple[Branch, list[Change]]] = {}
        for change in of:
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


def _changes(read: Read, revisions: Sequence[str]) -> dict[str, list[Change]]:
    """Return the changes of these revisions, the first of each first."""
    wanted, found = set(revisions), dict[str, list[Change]]()
    for some in chunks(revisions):
        query, params = changes_of(some)
        for change in query.all_of(read, **params):
            # MySQL ignores case, and blanks at the end.
            if change.revision in wanted:
                found.setdefault(change.revision, []).append(change)
    return found


def _work(read: Read, pushes: Sequence[Push]) -> Mapping[PushKey, BranchDay]:
    keys = {push.key: push.branch for push in pushes}
    owners = _Owner(list({branch.name: branch for branch in keys.values()}.values()))
    oldest = {push.revision: push.when for push in reversed(pushes)}
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


@cache
def newest_changes(where: str) -> Query[Change]:
    """Select the newest changes before ``:until`` that have a revision."""
    return Query(
        f"SELECT {_CHANGE} FROM changes c"  # noqa: S608  # constants and parameter names
        f" WHERE c.when_timestamp < :until AND c.revision IS NOT NULL AND {where}"
        " ORDER BY c.when_timestamp DESC, c.changeid DESC LIMIT :rows",
        _change_row,
    )


def changes_of(revisions: Sequence[str]) -> tuple[Query[Change], dict[str, object]]:
    """Select the changes of these revisions, oldest first."""
    names, params = any_of("revision", revisions)
    return Query(
        f"SELECT {_CHANGE} FROM changes c WHERE c.revision IN ({names})"  # noqa: S608  # constants and parameter names
        " ORDER BY c.when_timestamp, c.changeid",
        _change_row,
    ), params


def files_of(changes: Sequence[int]) -> tuple[Query[tuple[int, str]], dict[str, object]]:
    """Select pairs of a change and the name of a file."""
    ids, params = any_of("change", changes)
    return Query(
        f"SELECT changeid, filename FROM change_files WHERE changeid IN ({ids})",  # noqa: S608  # parameter names
        lambda change, name: (change, name),
    ), params


LATEST: Query[tuple[str, int]] = Query(
    "SELECT br.buildername, b.finish_time - b.start_time FROM builds b"
    " JOIN buildrequests br ON br.id = b.brid"
    " WHERE b.id > (SELECT MAX(id) FROM builds) - :count AND b.finish_time >= b.start_time"
    " AND br.complete = 1",
    lambda builder, seconds: (builder, int(seconds)),
)
"""Builder and seconds of the latest ended builds of the farm."""


def latest_of_builder(where: str) -> Query[BuildRow]:
    """Select the newest builds of ``:builder``."""
    return Query(
        f"SELECT {TRY}, {REQUEST} FROM {BUILDS} WHERE br.buildername = :builder"  # noqa: S608  # constants and parameter names
        f" AND {exact('br.buildername')} = :builder AND {where} ORDER BY b.id DESC LIMIT :rows",
        build_row,
    )
