"""Read ended builds for dumps, from the status database, with requests of the scheduler's.

No result exceeds the row limit of a pool: reads that would are split in halves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import attrs

from buildapi.buildbot.v08.queries import seconds
from buildapi.buildbot.v08.recent_builds import utc_seconds
from buildapi.db.sql import Column, Database, Query, RowLimitError, any_of, chunks
from buildapi.model.ended_builds import DumpWindow, EndedBuild, StartedRequest
from buildapi.model.results import known_result

T = TypeVar("T")
V = TypeVar("V")

Property = tuple[int, str | None, str | None]


@attrs.define
class SQLEndedBuilds:
    """Read from the status database."""

    _status: Database

    async def ids(self, window: DumpWindow) -> Sequence[int]:
        """List the builds that ended in a window, by start time; those without one come first.

        :raises RowLimitError: more builds ended in one second than one read may return.
        """
        # Both ends of a window count, and the column holds whole seconds.
        found = await self._ended(window.start, window.end + 1)
        found.sort()
        return [id_ for _, id_ in found]

    async def _ended(self, start: int, after: int) -> list[tuple[int, int]]:
        try:
            return await ENDED.many(
                self._status, start=stored_time(start), after=stored_time(after)
            )
        except RowLimitError:
            if after - start < 2:
                raise
        middle = (start + after) // 2
        return [*await self._ended(start, middle), *await self._ended(middle, after)]

    async def builds(self, ids: Sequence[int]) -> Sequence[EndedBuild]:
        """Read builds in the order of these ids, skipping those that are gone.

        :raises RowLimitError: a build has more properties than one read may return.
        """
        rows = await in_halves(ids, self._rows)
        properties: dict[int, list[tuple[str | None, str | None]]] = {}
        for build_id, name, value in await in_halves(ids, self._properties):
            properties.setdefault(build_id, []).append((name, value))
        found = {b.id: attrs.evolve(b, properties=properties.get(b.id, ())) for b in rows}
        return [found[id_] for id_ in ids if id_ in found]

    async def _rows(self, ids: Sequence[int]) -> Sequence[EndedBuild]:
        query, params = builds_by_id(ids)
        return await query.many(self._status, **params)

    async def _properties(self, ids: Sequence[int]) -> Sequence[Property]:
        query, params = properties_of(ids)
        return await query.many(self._status, **params)


@attrs.define
class SQLStartedRequests:
    """Read from the scheduler database."""

    _scheduler: Database

    async def started(self, numbers: Sequence[int], low: int, high: int) -> list[StartedRequest]:
        """List requests with builds of these numbers that started in ``[low, high]``.

        :raises RowLimitError: one number has more builds than one read may return.
        """

        async def read(part: Sequence[int]) -> Sequence[StartedRequest]:
            query, params = started(part)
            return await query.many(self._scheduler, low=low, high=high, **params)

        return await in_halves(sorted(set(numbers)), read)


async def in_halves(
    values: Sequence[V], read: Callable[[Sequence[V]], Awaitable[Sequence[T]]]
) -> list[T]:
    """Read rows for values, splitting the values where there are too many rows.

    :raises RowLimitError: one value alone has too many.
    """
    found: list[T] = []
    for part in chunks(values):
        found += await _halved(part, read)
    return found


async def _halved(
    values: Sequence[V], read: Callable[[Sequence[V]], Awaitable[Sequence[T]]]
) -> list[T]:
    try:
        return list(await read(values))
    except RowLimitError:
        if len(values) < 2:
            raise
    middle = len(values) // 2
    return [*await _halved(values[:middle], read), *await _halved(values[middle:], read)]


def stored_time(moment: int) -> str:
    """Format a time as the status database does."""
    # Masters write naive times in UTC there [docs/compatibility.md, "Reports"].
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")


# --- the queries


def _by_start(id_: int, start: str | None) -> tuple[int, int]:
    moment = utc_seconds(start)
    return -1 if moment is None else moment, id_


ENDED: Query[tuple[int, int]] = Query(
    "SELECT id, starttime FROM builds WHERE endtime >= :start AND endtime < :after", _by_start
)


def builds_by_id(ids: Sequence[int]) -> tuple[Query[EndedBuild], dict[str, object]]:
    """Select builds without their properties."""
    listed, params = any_of("id", ids)
    text = (
        "SELECT id, buildnumber, builder_id, slave_id, master_id, starttime, endtime, result,"  # noqa: S608  # parameter names
        f" reason FROM builds WHERE id IN ({listed})"
    )
    return Query(text, _ended_row), params


# Any in row functions: the columns of a driver have no types until these give them one.
def _ended_row(*c: Column) -> EndedBuild:
    return EndedBuild(
        id=c[0],
        buildnumber=c[1],
        builder_id=c[2],
        slave_id=c[3],
        master_id=c[4],
        starttime=utc_seconds(c[5]),
        endtime=utc_seconds(c[6]),
        result=known_result(c[7]),
        reason=c[8],
    )


def properties_of(ids: Sequence[int]) -> tuple[Query[Property], dict[str, object]]:
    """Select build, name and stored value of properties."""
    listed, params = any_of("id", ids)
    text = (
        "SELECT bp.build_id, p.name, p.value FROM build_properties bp"  # noqa: S608  # parameter names
        f" JOIN properties p ON p.id = bp.property_id WHERE bp.build_id IN ({listed})"
        " ORDER BY bp.build_id, p.id"
    )
    return Query(text, lambda build, name, value: (build, name, value)), params


def started(numbers: Sequence[int]) -> tuple[Query[StartedRequest], dict[str, object]]:
    """Select requests with builds of these numbers that started in ``[:low, :high]``."""
    listed, params = any_of("number", numbers)
    text = (
        "SELECT br.id, br.buildername, b.number, b.start_time, br.submitted_at FROM builds b"  # noqa: S608  # parameter names
        # By number, which has an index; start_time has none (schema version 6).
        f" JOIN buildrequests br ON br.id = b.brid WHERE b.number IN ({listed})"
        " AND b.start_time >= :low AND b.start_time <= :high"
    )
    return Query(text, _started_row), params


def _started_row(id_: int, builder: str, number: int, start: Column, at: Column) -> StartedRequest:
    # The start as it is: it is compared with that of another database, and SQLite farms have
    # fractions.
    return StartedRequest(id_, builder, number, float(start), seconds(at))
