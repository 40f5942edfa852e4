"""Move the next id of job requests past the ids given out earlier."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

import attrs

from buildapi.db.schema import DialectDatabase
from buildapi.db.sql import DuplicateError, GuardFailedError, Query, Statement

TABLE = "jobrequests"
HIGHEST = Query(f"SELECT MAX(id) FROM {TABLE}", lambda highest: int(highest or 0))  # noqa: S608  # a constant
# SQLite keeps the last id it gave out in sqlite_sequence, where a table has no row before its first
# insert.
SEQUENCE = Query(
    "SELECT MAX(seq) FROM sqlite_sequence WHERE name = 'jobrequests'", lambda n: n or 0
)
RAISE = "UPDATE sqlite_sequence SET seq = :past WHERE name = 'jobrequests' AND seq < :past"
BEGIN = """INSERT INTO sqlite_sequence (name, seq) SELECT 'jobrequests', :past
 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'jobrequests')"""
# InnoDB raises its counter when a row with a higher id is inserted, and leaves it there after a
# rollback. So the privilege to insert is enough; ALTER TABLE would need another.
ROW = f"INSERT INTO {TABLE} (id, action, who, `when`, what) VALUES (:past, '', '', 0, '')"  # noqa: S608  # a constant
ROLL_BACK = f"UPDATE {TABLE} SET what = what WHERE 1 = 0"  # noqa: S608  # a constant


async def highest_id(db: DialectDatabase) -> int:
    """Return the highest known id of a job request; 0 if there is none."""
    return await COUNTERS[db.dialect].highest(db)


async def move_past(db: DialectDatabase, past: int) -> bool:
    """Make the next job request get a higher id than ``past``, without keeping a row.

    Return False if that is impossible: tables without transactions would keep the row.
    """
    return await COUNTERS[db.dialect].move_past(db, past)


async def _highest_row(db: DialectDatabase) -> int:
    return await HIGHEST.maybe(db) or 0


async def _highest_given_out(db: DialectDatabase) -> int:
    return max(await _highest_row(db), await SEQUENCE.maybe(db) or 0)


async def _set_sequence(db: DialectDatabase, past: int) -> bool:
    params = {"past": past}
    await db.transact([Statement(RAISE, params), Statement(BEGIN, params)])
    return True


async def _insert_and_roll_back(db: DialectDatabase, past: int) -> bool:
    if not await db.transactional([TABLE]):
        return False
    # Expected: either the row was rolled back, or a job has that id already.
    with contextlib.suppress(GuardFailedError, DuplicateError):
        await db.transact([Statement(ROW, {"past": past}, 1), Statement(ROLL_BACK, rows=1)])
    return True


@attrs.frozen
class IdCounter:
    """Read and raise the counter of ids of an engine."""

    highest: Callable[[DialectDatabase], Awaitable[int]]
    move_past: Callable[[DialectDatabase, int], Awaitable[bool]]


COUNTERS: Mapping[str, IdCounter] = {
    "sqlite": IdCounter(_highest_given_out, _set_sequence),
    "mysql": IdCounter(_highest_row, _insert_and_roll_back),
}
"""The counters of ids, by the dialect of the engine."""
