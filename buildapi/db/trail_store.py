"""Store the audit trails of job requests in SQL."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import Column, Database, Query, Statement, delete_selected, storable
from buildapi.model.ops import Part, TrailEntry

AT_ONCE = 100
"""Maximum number of entries in one statement and in one result: no pool allows fewer rows."""

MOST = 1000
"""Maximum number of entries read of one job."""

FORGET = 5000
"""Maximum number of entries deleted in one call."""

DETAIL_MAX = 2000
WIDTHS = {"host": 1000, "event": 40, "trace": 64, "detail": DETAIL_MAX}
"""Maximum length of each column in characters; longer texts are cut."""

PARTS = {part.value for part in Part}
COLUMNS = ("request_id", "at", "host", "part", "event", "trace", "detail")


def _part(word: str) -> Part:
    """Decode a part; a newer version of the program may have more of them."""
    return Part(word) if word in PARTS else Part.OTHER


def _entry(*c: Column) -> tuple[int, TrailEntry]:
    job, at, host, part, event, trace, detail = c[1:]
    return c[0], TrailEntry(job, at / 1000, host, _part(part), event, detail, trace)


OF_JOB = Query(
    f"""SELECT id, {", ".join(COLUMNS)} FROM buildapi_trail
 WHERE request_id = :job AND at >= :since AND id > :after ORDER BY id LIMIT {AT_ONCE}""",  # noqa: S608  # names of columns and a number
    _entry,
)
# By the index on at, and few at a time: a DELETE by time would scan and lock the whole table.
OLD = Query(
    f"SELECT id FROM buildapi_trail WHERE at < :before ORDER BY at LIMIT {AT_ONCE}",  # noqa: S608  # a number
    int,
)


@attrs.frozen
class SQLTrailStore:
    """Implement ``TrailStore`` on a jobs database."""

    _db: Database = attrs.field(converter=JobsDatabase)

    async def add(self, entries: Sequence[TrailEntry]) -> None:
        """Store entries, all or none; texts that are too long are cut."""
        statements = [
            _insertion(entries[start : start + AT_ONCE])
            for start in range(0, len(entries), AT_ONCE)
        ]
        await self._db.transact(statements)

    async def of_job(self, job_id: int, since: float) -> Sequence[TrailEntry]:
        """List the trail of a job from ``since`` on, in order, at most 1000 entries.

        An entry that was written twice, because the first answer was lost, counts once.
        """
        found: list[TrailEntry] = []
        after, at = 0, int(since * 1000)
        while len(found) < MOST:
            rows = await OF_JOB.many(self._db, job=job_id, since=at, after=after)
            found += [entry for _, entry in rows]
            if len(rows) < AT_ONCE:
                break
            after = rows[-1][0]
        return sorted(dict.fromkeys(found), key=lambda entry: entry.at)

    async def forget(self, before: float) -> None:
        """Delete entries older than a time, at most some thousand in one call."""
        at = int(before * 1000)
        await delete_selected(
            self._db, "buildapi_trail", lambda: OLD.many(self._db, before=at), FORGET
        )


def _insertion(entries: Sequence[TrailEntry]) -> Statement:
    params: dict[str, object] = {}
    rows = []
    for number, entry in enumerate(entries):
        values = _values(entry)
        params |= {f"{name}{number}": value for name, value in values.items()}
        rows.append(f"({', '.join(f':{name}{number}' for name in values)})")
    text = f"INSERT INTO buildapi_trail ({', '.join(COLUMNS)}) VALUES {', '.join(rows)}"  # noqa: S608  # names of parameters
    return Statement(text, params, len(entries))


def _values(entry: TrailEntry) -> dict[str, object]:
    texts = {name: storable(getattr(entry, name), width) for name, width in WIDTHS.items()}
    plain = {"request_id": entry.job_id, "at": int(entry.at * 1000), "part": entry.part.value}
    return {name: (texts | plain)[name] for name in COLUMNS}
