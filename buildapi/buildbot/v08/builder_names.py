"""Keep in memory which builders had requests lately, and on which branches.

``buildrequests.submitted_at`` has no index (schema version 6), so that one query for it reads the
whole history; ``buildsets.submitted_at``, written in the same transaction with the same value, has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from buildapi.buildbot.v08.queries import SOURCE, maybe_seconds, seconds
from buildapi.db.call_groups import CallGroups
from buildapi.db.sql import Column, Database, Query, exact

DAY = 86_400

SLICES_MAX = 60
"""Maximum number of queries of the first read: each takes milliseconds, for a day."""

OVERLAP = 3600
"""Seconds before the newest buildset that are read again: transactions end in any order."""

PAIRS_MAX = 100_000
"""Maximum number of pairs of a builder and a branch that are kept from one read to the next."""

Pair = tuple[str, str | None]
"""A builder and the stored branch of one of its requests."""


@attrs.define
class BuilderNames:
    """Read the requests since a time once, and then those that are new.

    Once a day all are read again, since an operator may have deleted some.
    """

    _db: Database
    _newest: dict[Pair, int] = attrs.field(factory=dict, init=False)
    _since: int | None = attrs.field(default=None, init=False)
    _read_at: int = attrs.field(default=0, init=False)
    _read_to: int = attrs.field(default=0, init=False)
    _groups: CallGroups[int, Mapping[Pair, int]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # Callers share a read, and one who gives up does not end it.
        self._groups = CallGroups(self._of_all)

    async def since(self, moment: int) -> Sequence[Pair]:
        """List the pairs with requests submitted since ``moment``, in epoch seconds."""
        newest = await self._groups.call(moment)
        return [pair for pair, submitted_at in newest.items() if submitted_at >= moment]

    async def _of_all(self, moments: Sequence[int]) -> Sequence[Mapping[Pair, int]]:
        newest = await self._renewed(min(moments))
        return [newest] * len(moments)

    async def _renewed(self, since: int) -> Mapping[Pair, int]:
        is_known = self._since is not None and self._since <= since
        first = not is_known or self._read_to - self._read_at > DAY
        start = since - DAY if first else self._read_to - OVERLAP
        found: dict[Pair, int] = {} if first else dict(self._newest)
        span = await BOUNDS.maybe(self._db, start=start)
        oldest, newest = span or (None, None)
        if oldest is not None and newest is not None:
            size = max(DAY, -(-(newest + 1 - oldest) // SLICES_MAX))
            for begin in range(oldest, newest + 1, size):
                for pair, at in await NEWEST.many(self._db, start=begin, end=begin + size):
                    found[pair] = max(at, found.get(pair, 0))
            self._read_to = newest
        if first:
            self._read_at = self._read_to
        # Builders that were renamed or removed would stay for ever.
        self._newest = {pair: at for pair, at in found.items() if at >= since}
        self._since = since if len(self._newest) <= PAIRS_MAX else None
        return found


def _pair(builder: str, branch: str | None, submitted_at: Column) -> tuple[Pair, int]:
    return (builder, branch), seconds(submitted_at)


BOUNDS: Query[tuple[int | None, int | None]] = Query(
    "SELECT MIN(submitted_at), MAX(submitted_at) FROM buildsets WHERE submitted_at >= :start",
    lambda oldest, newest: (maybe_seconds(oldest), maybe_seconds(newest)),
)
NEWEST: Query[tuple[Pair, int]] = Query(
    f"SELECT {exact('br.buildername')}, {exact('ss.branch')}, MAX(br.submitted_at)"  # noqa: S608  # constants
    f" FROM buildrequests br {SOURCE} WHERE bs.submitted_at >= :start AND bs.submitted_at < :end"
    f" GROUP BY {exact('br.buildername')}, {exact('ss.branch')}",
    _pair,
)
"""Select the pairs of a slice of time, and when each was last submitted."""
