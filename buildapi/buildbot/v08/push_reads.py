"""Read the pushes of a 0.8 farm: its changes by revision, and their builds.

The scheduler database has no table of pushes.  A change has an index by time, author and revision,
so pushes are found by their changes; their builds by the revision of the source stamp, since only
some source stamps name their changes: those of rebuilds and of builds at a revision have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from math import inf
from operator import attrgetter

import attrs
import msgspec
from twisted.logger import Logger

from buildapi.buildbot.v08 import builder_history
from buildapi.buildbot.v08.branch_conditions import let_through
from buildapi.buildbot.v08.build_reads import apart, bounded
from buildapi.buildbot.v08.build_rows import StoredRequest
from buildapi.buildbot.v08.change_cache import ChangeCache
from buildapi.buildbot.v08.queries import (
    of_revision,
    seconds,
)
from buildapi.buildbot.v08.revision_spellings import Spellings, portions, spelled_as
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
from buildapi.model.pushes import (
    COMMENTS_MAX,
    Change,
    Push,
    PushFilter,
    PushKey,
    PushPage,
    PushPlace,
    first_page,
)
from buildapi.model.records import BranchDay, Build, RequestBuild
from buildapi.model.revisions import longest_spelling, revision_key, same_revision
from buildapi.reactor_time import ReactorTime

FILES_MAX = 10_000
"""Maximum number of names of files that one query reads."""

RARE = 0.05
"""Share of all changes below which those wanted are found by another index than that of times."""

DENIED_SECONDS = 3600
"""Seconds until a table that the account may not read is tried again."""

MEDIANS_SECONDS = 600
"""Seconds for which medians are kept."""

FOREVER = 2**53
"""Later than any time, and within the numbers that every database can compare."""

_Row = tuple[StoredRequest, RequestBuild | None]


@attrs.frozen
class PushBounds:
    """Maximum numbers of changes that reads of pushes take from the database.

    A list looks for changes by their time, among ``recent`` ones at once.  Its first query reads
    ``newest``, each further one twice as many up to ``portion``, unless one second has more.  After
    ``searched`` the list ends, to be continued, however few pushes were found.  ``of_revisions`` is
    for one query of some revisions; of a single one with more than that, such as a tag, the first
    ones are read.
    """

    recent: int = 10_000
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
        wanted, most = list(filter(_is_storable, revisions)), self._bounds.of_revisions
        parts = list(portions(wanted))
        if not parts:
            return {}
        if len(parts) == 1:
            # Without the statements that begin and end a snapshot: lists wait for this one.
            query, params = changes_of(parts[0])
            rows = await bounded(query.many(self._db, **params, rows=most))
            if len(rows) < most:
                return _by_revision(wanted, rows)
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
            self._medians = await bounded(self._db.snapshot(builder_history.medians))
            self._medians_until = self._reactor.seconds() + MEDIANS_SECONDS
        return [self._medians] * len(calls)

    async def results(
        self, branch: Branch, builder: str, limit: int, around: int | None = None
    ) -> Sequence[Build]:
        """List the latest builds of a builder on a branch, or those around one, newest first."""

        def reading(read: Read) -> Sequence[Build]:
            return builder_history.results(read, branch, builder, limit, around)

        try:
            return await bounded(self._db.snapshot(reading))
        except ValueRefusedError:  # no builder of the database can have this name
            return []


def _is_storable(text: str) -> bool:
    """Return whether a database may have a text: one that nobody can encode fails a statement."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _page(read: Read, wanted: PushFilter, limit: int, bounds: PushBounds) -> PushPage:
    """Return at most ``limit`` pushes by their first changes, the newest first."""
    pushes, found, searched = _PushesOfRevisions(read, wanted, bounds), list[Push](), 0
    if wanted.revision is not None:
        found += pushes.beginning_with(_first_of(read, wanted, bounds))
        return first_page(sorted(found, key=_PLACE, reverse=True), limit)
    for changes, until in _portions(read, wanted, bounds):
        new = pushes.beginning_with(changes)
        found += sorted(new, key=_PLACE, reverse=True)
        searched += len(changes)
        if len(found) > limit:
            return first_page(found, limit)
        if until is not None and searched >= bounds.searched:
            return PushPage(found, PushPlace(until))
    return PushPage(found)


_PLACE = attrgetter("place", "branch.name")


def _first_of(read: Read, wanted: PushFilter, bounds: PushBounds) -> Sequence[NewestChange]:
    """Return the first changes of the revision wanted, among them those that begin its pushes.

    Not the newest first: of a tag that moves, thousands of changes follow the one that is looked
    for.
    """
    where, params = _condition(wanted)
    until, since = _span(wanted)
    query = changes_within(where, by_time=False, order="ASC")
    return query.all_of(read, **params, until=until, since=since, rows=bounds.of_revisions)


def _portions(
    read: Read, wanted: PushFilter, bounds: PushBounds
) -> Iterator[tuple[Sequence[NewestChange], int | None]]:
    """Yield changes that may begin pushes, newest first, in portions of whole seconds.

    Beside each is the second before which the next ones were sent, None after the last.
    """
    where, params = _condition(wanted)
    until, since = _span(wanted)
    size, taken = bounds.newest, 0
    recent: int | None = _recent(read, until, bounds)
    while True:
        start = since if recent is None else max(since, recent)
        query = changes_within(where, by_time=recent is not None)
        rows = query.all_of(read, **params, until=until, since=start, rows=size)
        taken += len(rows)
        if len(rows) == size:
            last = rows[-1].when
            if last + 1 == until:  # a second with more changes than that
                size *= 2
                continue
            # Others of the last second may follow.
            yield [row for row in rows if row.when != last], last + 1
            until, size = last + 1, min(size * 2, bounds.portion)
        elif start > since:
            yield rows, start
            until, is_rare, taken = start, taken < bounds.recent * RARE, 0
            recent = None if is_rare else _recent(read, until, bounds)
            if is_rare and wanted.author is None:
                # Each query sorts all changes of the branch: not twice for one page.
                size = max(size, bounds.portion)
        else:
            yield rows, None
            return


def _span(wanted: PushFilter) -> tuple[int, int]:
    """Return the end and the start of the time of the changes wanted, in seconds."""
    until = FOREVER if wanted.until is None else wanted.until
    if wanted.after is not None:
        until = min(until, wanted.after.when + bool(wanted.after.revision))
    return until, -FOREVER if wanted.since is None else wanted.since


def _recent(read: Read, until: int, bounds: PushBounds) -> int:
    """Return since when to look for changes by their time.

    MySQL takes what it looks for to be spread evenly, and would read all changes by their time
    until it finds those of a branch that nobody pushes to any more.
    """
    recent = SENT.first_of(read, until=until, before=bounds.recent)
    return -FOREVER if recent is None else recent


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
        pushes = (push for revision in revisions for push in self._known[revision])
        # Once, though each of its spellings leads to it.
        by_key = {push.key: push for push in pushes if push.first.id in first}
        return [push for push in by_key.values() if _fits(push, self._wanted)]


def _condition(wanted: PushFilter) -> tuple[str, dict[str, object]]:
    branches, params = let_through("c.branch", BranchFilter(wanted.branches))
    parts = [branches]
    if wanted.author is not None:
        # Both comparisons: the bare one uses the index, the exact one tells upper from lower case.
        parts.append(f"c.author = :author AND {exact('c.author')} = :author")
        params["author"] = wanted.author
    if wanted.revision is not None:
        spelled, more = spelled_as("changes", "c.revision", [wanted.revision])
        parts.append(spelled)
        params |= more
    return " AND ".join(parts), params


def _fits(push: Push, wanted: PushFilter) -> bool:
    """Return whether a push is one of those wanted; its first change was found by SQL."""
    if wanted.after is not None and push.place >= wanted.after:
        return False
    if wanted.revision is not None and not same_revision(push.revision, wanted.revision):
        return False
    # MySQL ignores blanks at the end.
    return wanted.author in {None, push.first.author}


def _by_branch(revision: str, changes: Iterable[Change], owner: _Owner) -> Iterable[Push]:
    """Yield the pushes of a revision, one for each branch, with its longest spelling there."""
    groups: dict[str, tuple[Branch, list[Change]]] = {}
    for change in changes:
        branch = owner(change.branch)
        if branch is not None:
            groups.setdefault(branch.name, (branch, []))[1].append(change)
    for branch, ours in groups.values():
        longest = longest_spelling({change.revision for change in ours})
        if longest is not None:
            yield Push(branch, longest, ours)
        elif exact_ones := [change for change in ours if change.revision == revision]:
            yield Push(branch, revision, exact_ones)


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
    """Return the changes of these revisions, however spelled, the first of each first."""
    rows = [_first_changes(read, some, bounds.of_revisions) for some in portions(revisions)]
    return _by_revision(revisions, chain.from_iterable(rows))


def _by_revision(revisions: Sequence[str], rows: Iterable[Change]) -> dict[str, list[Change]]:
    """Return the changes of each revision among those that a database takes for theirs."""
    found: dict[str, dict[int, Change]] = {revision: {} for revision in revisions}
    asked = Spellings.of(found)
    for change in rows:
        for revision in asked.meant_by(change.revision):
            # All spellings of a revision come with one statement, and maybe again with another.
            found[revision].setdefault(change.id, change)
    return {revision: list(changes.values()) for revision, changes in found.items() if changes}


def _first_changes(read: Read, revisions: Sequence[str], most: int) -> Sequence[Change]:
    """Return the changes of revisions by time; ``most`` of one that has more than that."""
    query, params = changes_of(revisions)
    rows = query.all_of(read, **params, rows=most)
    if len(rows) < most or len(revisions) == 1:
        return rows
    parts = _crowded_and_others(revisions, rows)
    return [row for part in parts for row in _first_changes(read, part, most)]


def _crowded_and_others(
    revisions: Sequence[str], rows: Sequence[Change]
) -> tuple[Sequence[str], Sequence[str]]:
    """Split revisions into those that half of the rows are of, as few as can be, and the others.

    Where one has thousands of changes, halves would each time be read in vain.
    """
    counts = Counter(revision_key(row.revision) for row in rows)
    by_count = sorted(revisions, key=lambda one: counts[revision_key(one)], reverse=True)
    size, taken = 0, 0
    while size < len(by_count) - 1 and taken < len(rows) / 2:
        taken += counts[revision_key(by_count[size])]
        size += 1
    return by_count[:size], by_count[size:]


def _work(read: Read, pushes: Sequence[Push]) -> Mapping[PushKey, BranchDay]:
    keys = {push.key: push.branch for push in pushes}
    owners = _Owner(list({branch.name: branch for branch in keys.values()}.values()))
    rows: dict[PushKey, list[_Row]] = {key: [] for key in keys}
    for some in portions(dict.fromkeys(push.revision for push in pushes)):
        # Not since some time as well: where revisions have no index, as in the schema of Buildbot
        # 0.8.2, MySQL then reads all buildsets of that time, not the source stamps, which are
        # fewer. Builds may also be older than the changes: those have clocks of their own, and
        # operators delete old ones.
        spelled, params = spelled_as("sourcestamps", "ss.revision", some)
        query = of_revision(spelled)
        meant = cache(Spellings.of(some).meant_by)
        for row in query.all_of(read, **params):
            branch = owners(row[0].branch)
            name = branch.name if branch is not None else ""
            for revision in meant(row[0].revision):
                key = PushKey(name, revision)
                if key in rows:
                    rows[key].append(row)
    return {key: apart(of) for key, of in rows.items()}


# --- the queries

_CHANGE = (
    f"c.changeid, c.branch, c.revision, c.author, SUBSTR(c.comments, 1, {COMMENTS_MAX}),"
    " c.when_timestamp, c.revlink"
)


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


SENT: Query[int] = Query(
    "SELECT when_timestamp FROM changes WHERE when_timestamp < :until"
    " ORDER BY when_timestamp DESC LIMIT 1 OFFSET :before",
    seconds,
)
"""When the newest change was sent that has ``:before`` newer ones before ``:until``."""


@cache
def changes_within(where: str, *, by_time: bool, order: str = "DESC") -> Query[NewestChange]:
    """Select the newest changes in ``[:since, :until)`` that have a revision; ``ASC``: the first.

    Without ``by_time`` the index of times is not used: a sum has none.
    """
    when = "c.when_timestamp" if by_time else "c.when_timestamp + 0"
    return Query(
        "SELECT c.changeid, c.when_timestamp, c.revision FROM changes c"  # noqa: S608  # constants and parameter names
        f" WHERE {when} < :until AND {when} >= :since AND c.revision <> '' AND {where}"
        f" ORDER BY {when} {order}, c.changeid {order} LIMIT :rows",
        _newest_row,
    )


def changes_of(revisions: Sequence[str]) -> tuple[Query[Change], dict[str, object]]:
    """Select the first ``:rows`` changes of revisions, however spelled, oldest first."""
    spelled, params = spelled_as("changes", "c.revision", revisions)
    return Query(
        f"SELECT {_CHANGE} FROM changes c WHERE {spelled}"  # noqa: S608  # constants and parameter names
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
