"""Store samples of the farm's load in SQL, one a minute whoever takes it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import CHUNK, Database, DuplicateError, Query, Statement, any_of
from buildapi.model.farm_load import MINUTE, LoadSample

AT_ONCE = 100
"""Maximum number of samples in one result: no pool allows fewer rows."""

KNOWN = Query("SELECT 1 FROM buildapi_load WHERE at = :at", int)
INSERT = """INSERT INTO buildapi_load (at, pending, running, longest_wait)
 VALUES (:at, :pending, :running, :longest_wait)"""
SAMPLES = Query(
    """SELECT at - at % :step AS start, MAX(pending), MAX(running), MAX(longest_wait)
 FROM buildapi_load WHERE at >= :since AND at < :until GROUP BY start ORDER BY start""",
    LoadSample,
)
OLD = Query("SELECT at FROM buildapi_load WHERE at < :before ORDER BY at LIMIT :limit", int)


@attrs.frozen
class SQLLoadStore:
    """Implement ``LoadStore`` on a jobs database."""

    _db: Database = attrs.field(converter=JobsDatabase)

    async def known(self, at: int) -> bool:
        """Return whether there is a sample of the minute of a time."""
        return await KNOWN.maybe(self._db, at=_minute(at)) is not None

    async def add(self, sample: LoadSample) -> None:
        """Store a sample, unless there is one of its minute."""
        row = attrs.asdict(sample) | {"at": _minute(sample.at)}
        try:
            await self._db.transact([Statement(INSERT, row, 1)])
        except DuplicateError:  # another process was first
            return

    async def samples(self, since: int, until: int, step: int) -> Sequence[LoadSample]:
        """List the greatest numbers of each ``step`` seconds of a span, the oldest first."""
        found: list[LoadSample] = []
        for start in range(since - since % step, until, AT_ONCE * step):
            end = min(start + AT_ONCE * step, until)
            found += await SAMPLES.many(self._db, since=start, until=end, step=step)
        return found

    async def forget(self, before: int) -> None:
        """Delete the samples from before a time, some hundreds at a time."""
        while times := await OLD.many(self._db, before=before, limit=CHUNK):
            marks, params = any_of("at", times)
            text = f"DELETE FROM buildapi_load WHERE at IN ({marks})"  # noqa: S608  # names of parameters
            await self._db.transact([Statement(text, params)])


def _minute(at: int) -> int:
    return at - at % MINUTE
