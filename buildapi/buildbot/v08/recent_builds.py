"""Read recent builds from the status database, where masters record each build they start."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import attrs

from buildapi.db.sql import Column, Database, Query, any_of, exact, like_prefix
from buildapi.model.farm_rows import RecentBuild
from buildapi.model.results import NO_RESULT, known_result

# Limited before the joins, as in the original: builds without slave or master then are missing, and
# not replaced by older ones.
NEWEST = "SELECT b.id FROM builds b ORDER BY b.id DESC LIMIT :limit"

FIRST: Query[int | None] = Query(
    "SELECT MIN(early.id) FROM (SELECT b.id FROM builds b WHERE b.starttime >= :since"
    " ORDER BY b.starttime LIMIT 1000) early",
    lambda first: first,
)
"""Select the lowest id of the builds that started since a time; NULL if there are none.

Masters may add builds a bit later than they start them: the first thousand are looked at.
"""

# With the id, which every index has, by that of the end: killed masters leave builds without an end
# for ever, and in years there are more of them than builds start in a day.
UNENDED = (
    "SELECT b.id FROM builds b WHERE b.endtime IS NULL AND b.id >= :first"
    " AND b.starttime >= :since ORDER BY b.id DESC LIMIT :limit"
)

SLAVES_MAX = 100
"""Maximum number of slaves in one query, which has a SELECT for each."""

BUILDS_MAX = 250
"""Maximum number of builds whose properties one query reads."""


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
            return await self._listed(NEWEST, limit=limit)
        query, params = slaves_named(slaves, greedy=greedy)
        found: list[RecentBuild] = []
        ids = await query.many(self._status, **params)
        for start in range(0, len(ids), SLAVES_MAX):
            newest, params = _on(ids[start : start + SLAVES_MAX])
            found += await recent(newest).many(self._status, limit=limit, **params)
        newest_first = sorted(found, key=lambda build: build.id, reverse=True)
        return await self._named(newest_first[:limit])

    async def running(self, since: int, limit: int) -> Sequence[RecentBuild]:
        """List at most ``limit`` builds without an end that started since a time, newest first."""
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S")
        first = await FIRST.maybe(self._status, since=start)
        if first is None:
            return []
        return await self._listed(UNENDED, first=first, since=start, limit=limit)

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
        latest = await recent(newest).many(self._status, **params)
        current = [build for build in latest if build.endtime is None]
        return next(iter(await self._named(current)), None)

    async def _listed(self, newest: str, **params: object) -> Sequence[RecentBuild]:
        return await self._named(await recent(newest).many(self._status, **params))

    async def _named(self, builds: Sequence[RecentBuild]) -> Sequence[RecentBuild]:
        """Return the builds with what their properties tell: the builder's name and requests."""
        stored: dict[int, dict[str, str | None]] = {}
        for start in range(0, len(builds), BUILDS_MAX):
            some = [build.id for build in builds[start : start + BUILDS_MAX]]
            query, params = properties_of(some)
            for build, name, value in await query.many(self._status, **params):
                # Of several values the first one counts.
                stored.setdefault(build, {}).setdefault(name, value)
        return [_with(build, stored.get(build.id, {})) for build in builds]


def _with(build: RecentBuild, properties: Mapping[str, str | None]) -> RecentBuild:
    name = _unquoted(properties.get("buildername") or "")
    return attrs.evolve(build, buildername=name, request_ids=_ids(properties.get("request_ids")))


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
    """Select builds by a SELECT of their ids, which runs first: the rest is read only for these.

    What properties tell is left out.
    """
    return Query(
        "SELECT b.id, bu.name, b.buildnumber, b.starttime, b.endtime, b.result, s.name, m.name"  # noqa: S608  # constants and parameter names
        f" FROM ({newest}) newest JOIN builds b ON b.id = newest.id"
        " JOIN builders bu ON bu.id = b.builder_id JOIN slaves s ON s.id = b.slave_id"
        " JOIN masters m ON m.id = b.master_id ORDER BY b.id DESC",
        _recent_row,
    )


def properties_of(
    builds: Sequence[int],
) -> tuple[Query[tuple[int, str, str | None]], dict[str, object]]:
    """Select build, name and value of the properties used, each build's in the order of ids."""
    ids, params = any_of("build", builds)
    # CASE keeps MySQL from the index of the names: nearly each build has numbers of requests of its
    # own. One query for all: a subquery for each reads every property of the build, each time.
    return Query(
        "SELECT bp.build_id, p.name, p.value FROM build_properties bp"  # noqa: S608  # parameter names
        f" JOIN properties p ON p.id = bp.property_id WHERE bp.build_id IN ({ids})"
        " AND CASE WHEN p.name IN ('buildername', 'request_ids') THEN 1 ELSE 0 END = 1"
        " ORDER BY p.id",
        lambda build, name, value: (build, name, value),
    ), params


# Any in row functions: the columns of a driver have no types until these give them one.
def _recent_row(id_: int, name: str, number: int, *c: Column) -> RecentBuild:
    return RecentBuild(
        id=id_,
        buildname=name,
        buildername="",
        buildnumber=number,
        starttime=utc_seconds(c[0]),
        endtime=utc_seconds(c[1]),
        result=known_result(c[2]),
        slavename=c[3],
        master=c[4],
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
