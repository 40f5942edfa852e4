"""Read recent builds from the status database, where masters record each build they start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import attrs

from buildapi.db.sql import Column, Database, Query, any_of, exact, like_prefix
from buildapi.model.farm_rows import RecentBuild
from buildapi.model.results import NO_RESULT, known_result

# Limited before the joins, as in the original: builds without slave or master then are missing, and
# not replaced by older ones.
NEWEST = "SELECT b.id FROM builds b ORDER BY b.id DESC LIMIT :limit"

UNENDED = (
    "SELECT b.id FROM builds b WHERE b.endtime IS NULL AND b.starttime >= :since"
    " ORDER BY b.id DESC LIMIT :limit"
)

SLAVES_MAX = 100
"""Maximum number of slaves in one query, which has a SELECT for each."""


@attrs.define
class SQLRecentBuilds:
    """Read from the status database."""

    _status: Database

    async def recent(
        self, slaves: Sequence[str], *, greedy: bool, limit: int
    ) -> Sequence[RecentBuild]:
        """List at most ``limit`` builds, newest first.

        With ``slaves``, those that ended on slaves of these names; with ``greedy``, on slaves whose
        names begin with one of these. Without ``slaves``, running ones too.
        """
        if not slaves:
            return await recent(NEWEST).many(self._status, limit=limit)
        query, params = slaves_named(slaves, greedy=greedy)
        found: list[RecentBuild] = []
        ids = await query.many(self._status, **params)
        for start in range(0, len(ids), SLAVES_MAX):
            newest, params = _on(ids[start : start + SLAVES_MAX])
            found += await recent(newest).many(self._status, limit=limit, **params)
        return sorted(found, key=lambda build: build.id, reverse=True)[:limit]

    async def running(self, since: int, limit: int) -> Sequence[RecentBuild]:
        """List at most ``limit`` builds without an end that started since a time, newest first."""
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return await recent(UNENDED).many(self._status, since=start, limit=limit)

    async def current(self, slave: str) -> RecentBuild | None:
        """Return the latest build of a slave by its whole name, if that has no end; else None."""
        query, params = slaves_named([slave], greedy=False)
        ids = await query.many(self._status, **params)
        if not ids:
            return None
        marks, params = any_of("slave", ids[:SLAVES_MAX])
        # By the index on slave_id, backwards. A master that was killed leaves builds without an end
        # for ever; a later build of the slave tells that they are over.
        newest = (
            f"SELECT b.id FROM builds b WHERE b.slave_id IN ({marks}) ORDER BY b.id DESC LIMIT 1"  # noqa: S608  # parameter names
        )
        latest = await recent(newest).maybe(self._status, **params)
        return latest if latest is not None and latest.endtime is None else None


def slaves_named(slaves: Sequence[str], *, greedy: bool) -> tuple[Query[int], dict[str, object]]:
    """Select the ids of slaves of these names; with ``greedy``, of names that begin with one."""
    params: dict[str, object]
    if greedy:
        params = {f"slave{i}": like_prefix(name) for i, name in enumerate(slaves)}
        named = " OR ".join(f"s.name LIKE :{key} ESCAPE '|'" for key in params)
    else:
        # Twice: IN uses the index, and the exact comparison tells upper from lower case.
        names, params = any_of("slave", slaves)
        named = f"s.name IN ({names}) AND {exact('s.name')} IN ({names})"
    text = f"SELECT s.id FROM slaves s WHERE {named} ORDER BY s.id"  # noqa: S608  # parameter names
    return Query(text, int), params


def _on(ids: Sequence[int]) -> tuple[str, dict[str, object]]:
    """Return the SELECT of the newest builds that ended on some slaves."""
    params: dict[str, object] = {f"slave{i}": id_ for i, id_ in enumerate(ids)}
    # The newest of each slave, by its index backwards: one SELECT for all would read and sort
    # every build that ever ran on them.
    each = " UNION ALL ".join(
        "SELECT id FROM (SELECT b.id FROM builds b"  # noqa: S608  # parameter names
        # A running build has NULL, and drops out as well.
        f" WHERE b.slave_id = :{name} AND b.result <> {NO_RESULT} ORDER BY b.id DESC LIMIT :limit)"
        f" of_{name}"
        for name in params
    )
    return f"SELECT id FROM ({each}) newest_of_each ORDER BY id DESC LIMIT :limit", params  # noqa: S608  # parameter names


def recent(newest: str) -> Query[RecentBuild]:
    """Select builds by a SELECT of their ids, which runs first: the rest is read only for these."""
    return Query(
        f"SELECT b.id, bu.name, {_property('buildername')}, {_property('request_ids')},"  # noqa: S608  # constants and parameter names
        " b.buildnumber, b.starttime, b.endtime, b.result, s.name, m.name"
        f" FROM ({newest}) newest JOIN builds b ON b.id = newest.id"
        " JOIN builders bu ON bu.id = b.builder_id JOIN slaves s ON s.id = b.slave_id"
        " JOIN masters m ON m.id = b.master_id ORDER BY b.id DESC",
        _recent_row,
    )


def _property(name: str) -> str:
    """Return the subquery of a property's stored value; NULL if the build has none."""
    return (
        "(SELECT p.value FROM build_properties bp JOIN properties p ON p.id = bp.property_id"  # noqa: S608  # names of ours
        f" WHERE bp.build_id = b.id AND p.name = '{name}' ORDER BY p.id LIMIT 1)"
    )


# Any in row functions: the columns of a driver have no types until these give them one.
def _recent_row(
    id_: int, name: str, stored: str | None, ids: str | None, number: int, *c: Column
) -> RecentBuild:
    return RecentBuild(
        id=id_,
        buildname=name,
        buildername=_unquoted(stored or ""),
        buildnumber=number,
        starttime=utc_seconds(c[0]),
        endtime=utc_seconds(c[1]),
        result=known_result(c[2]),
        slavename=c[3],
        master=c[4],
        request_ids=_ids(ids),
    )


def _ids(stored: str | None) -> tuple[int, ...]:
    """Return the numbers of a stored list; none if it is no list of numbers."""
    try:
        found = json.loads(stored or "")
    except (ValueError, RecursionError):
        return ()
    ids = found if isinstance(found, list) else ()
    return tuple(id_ for id_ in ids if type(id_) is int and 0 < id_ < 2**63)


def _unquoted(stored: str) -> str:
    # JSON, of which the original removed the quotes and nothing else.
    return stored.strip('"')


def utc_seconds(text: str | None) -> int | None:
    """Return epoch seconds of a stored UTC time; None for no time, such as MySQL's zero date."""
    try:
        return int(datetime.fromisoformat(text or "").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
