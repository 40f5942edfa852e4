"""Count the pushes of each author since a time, of which what was counted before is kept.

A push is a revision on a branch by an author, however many source stamps it has: a new stamp counts
only if no older one has the same.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

import attrs

from buildapi.db.sql import Column, Database, Query, Read, RowLimitError, any_of, chunks, exact

KEPT_MAX = 8
"""Maximum number of counts that are kept, for each combination of branches and start."""

AUTHORS_MAX = 20_000
"""Maximum number of authors of counts that are kept."""

RENEWED = 3600.0
"""Seconds until all is counted again, since an operator may have deleted some."""

OPEN_STAMPS = 200
"""Newest source stamps that are read each time: transactions end in any order of their ids."""

STAMPS_MAX = 1000
"""Source stamps that are read each time, until all but the newest are added to what is kept."""

FOLLOWING = {"tests": "%unittest", "performance": "%talos"}
"""Branches of builds that follow others: their revisions were pushed to another branch before."""

FOREVER = 2**53
"""Later than any time, and within the numbers that every database can compare."""

Push = tuple[str | None, str | None, str]
"""A revision, its branch and an author."""


@attrs.frozen
class _Counted:
    """Counts of all source stamps up to the one with the id ``until``, as of ``at``."""

    by_author: Mapping[str, int]
    until: int
    at: float


@attrs.define
class PushCounter:
    """Count all pushes once an hour, and those of new source stamps at each call."""

    _db: Database
    _now: Callable[[], float] = time.monotonic
    _kept: dict[object, _Counted] = attrs.field(factory=dict, init=False)

    async def since(self, where: str, params: Mapping[str, object], start: int) -> dict[str, int]:
        """Count the pushes since ``start`` for which a condition on ``c.branch`` holds, by author.

        :raises RowLimitError: there are more authors than one read may return.
        """
        key = (where, tuple(sorted(params.items(), key=str)), start)
        wanted = {**params, **FOLLOWING, "start": start, "end": FOREVER}
        kept = self._kept.get(key)
        if kept is not None and self._now() - kept.at > RENEWED:
            kept = None
        try:
            counted, found = await self._db.snapshot(self._reading(where, wanted, kept))
        except RowLimitError:
            if kept is None:
                raise
            counted, found = await self._db.snapshot(self._reading(where, wanted, None))
        self._kept.pop(key, None)
        if len(counted.by_author) <= AUTHORS_MAX:
            self._kept[key] = counted  # as the newest of all
            for oldest in list(self._kept)[:-KEPT_MAX]:
                del self._kept[oldest]
        return found

    def _reading(
        self, where: str, wanted: Mapping[str, object], kept: _Counted | None
    ) -> Callable[[Read], tuple[_Counted, dict[str, int]]]:
        at = self._now()

        def reading(read: Read) -> tuple[_Counted, dict[str, int]]:
            newest = NEWEST.first_of(read) or 0
            settled = max(0, newest - OPEN_STAMPS)
            counted = kept
            # Fewer than there were: the database is another one.
            if counted is None or newest < counted.until:
                all_ = dict(
                    counts(f"ss.id <= :until AND {where}").all_of(read, until=settled, **wanted)
                )
                counted = _Counted(all_, settled, at)
            elif newest - counted.until > STAMPS_MAX:
                more = _new(read, where, wanted, counted.until, settled)
                counted = attrs.evolve(
                    counted, by_author=Counter(counted.by_author) + more, until=settled
                )
            more = _new(read, where, wanted, counted.until, newest)
            return counted, dict(sorted((Counter(counted.by_author) + more).items()))

        return reading


def _new(
    read: Read, where: str, wanted: Mapping[str, object], after: int, until: int
) -> Counter[str]:
    """Count the pushes of the source stamps ``(after, until]`` that no older stamp has."""
    new = pushes(f"ss.id > :after AND ss.id <= :until AND {where}")
    found = set(new.all_of(read, after=after, until=until, **wanted))
    revisions = sorted({revision for revision, _, _ in found if revision is not None})
    before: set[Push] = set()
    for some in chunks(revisions):
        listed, params = any_of("revision", some)
        old = pushes(f"ss.revision IN ({listed}) AND ss.id <= :after AND {where}")
        before.update(old.all_of(read, after=after, **params, **wanted))
    if any(revision is None for revision, _, _ in found):
        old = pushes(f"ss.revision IS NULL AND ss.id <= :after AND {where}")
        before.update(old.all_of(read, after=after, **wanted))
    return Counter(author for _, _, author in found - before)


# --- the queries

NEWEST: Query[int | None] = Query("SELECT MAX(id) FROM sourcestamps", lambda newest: newest)

_PUSH = (
    f"SELECT DISTINCT {exact('ss.revision')} AS revision, {exact('ss.branch')} AS branch,"
    f" {exact('c.author')} AS author"
)
# Changes without a branch drop out, since NOT LIKE is unknown for NULL, as in the original
# [docs/compatibility.md, "The pages of the whole farm"].
_PUSHED = (
    "c.when_timestamp >= :start AND c.when_timestamp <= :end"
    " AND c.branch NOT LIKE :tests AND c.branch NOT LIKE :performance"
)


def counts(where: str) -> Query[tuple[str, int]]:
    """Select authors, and their number of source stamps with a change in ``[:start, :end]``."""
    return Query(
        f"SELECT author, COUNT(*) FROM ({_PUSH}"  # noqa: S608  # constants and parameter names
        " FROM changes c JOIN sourcestamp_changes sc ON sc.changeid = c.changeid"
        f" JOIN sourcestamps ss ON ss.id = sc.sourcestampid WHERE {_PUSHED}"
        f" AND {where}) pushed GROUP BY author ORDER BY author",
        _count_row,
    )


def _count_row(author: str, count: int) -> tuple[str, int]:
    return author, count


def pushes(where: str) -> Query[Push]:
    """Select pushes with a change in ``[:start, :end]``, of few source stamps."""
    return Query(
        # CROSS keeps SQLite to this order; MySQL knows the number of rows [SQLite, "The SQLite
        # Query Optimizer Overview", "Manual Control Of Query Plans Using CROSS JOIN"].
        f"{_PUSH} FROM sourcestamps ss"
        " CROSS JOIN sourcestamp_changes sc ON sc.sourcestampid = ss.id"
        f" CROSS JOIN changes c ON c.changeid = sc.changeid WHERE {_PUSHED} AND {where}",
        _push_row,
    )


def _push_row(revision: Column, branch: Column, author: Column) -> Push:
    return revision, branch, author
