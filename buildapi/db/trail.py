"""What happened to job requests, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from buildapi.db.sql import Database, MissingTableError, Query, Statement, any_of
from buildapi.errors import DatabaseUnavailable
from buildapi.model.ops import Part, TrailEntry

AT_ONCE = 100
"""Most entries in one statement, and in one answer: no pool lets fewer rows through."""

MOST = 1000
"""Most entries of a job that are read."""

FORGET = 5000
"""Most entries deleted in one call."""

DETAIL_MAX = 2000
WIDTHS = {"host": 1000, "event": 40, "trace": 64, "detail": DETAIL_MAX}
"""Characters of what is kept; the rest is cut off."""

PARTS = {part.value for part in Part}
COLUMNS = ("request_id", "at", "host", "part", "event", "trace", "detail")


def _part(word: str) -> Part:
    """Read a part; a newer version of the program may have more of them."""
    return Part(word) if word in PARTS else Part.OTHER


def _entry(*c: Any) -> tuple[int, TrailEntry]:
    job, at, host, part, event, trace, detail = c[1:]
    return c[0], TrailEntry(job, at / 1000, host, _part(part), event, detail, trace)


OF_JOB = Query(
    f"""SELECT id, {", ".join(COLUMNS)} FROM buildapi_trail
 WHERE request_id = :job AND at >= :since AND id > :after ORDER BY id LIMIT {AT_ONCE}""",  # noqa: S608  # names of columns and a number
    _entry,
)
OLD = Query(
    f"SELECT id FROM buildapi_trail WHERE at < :before ORDER BY at LIMIT {AT_ONCE}",  # noqa: S608  # a number
    int,
)


@attrs.frozen
class SQLTrailStore:
    """The role ``TrailStore`` over a jobs database."""

    _db: Database

    async def add(self, entries: Sequence[TrailEntry]) -> None:
        """Keep entries, all or none; what is too long is cut off."""
        statements = [
            _insertion(entries[start : start + AT_ONCE])
            for start in range(0, len(entries), AT_ONCE)
        ]
        await self._transact(statements)

    async def of_job(self, job_id: int, since: float) -> Sequence[TrailEntry]:
        """List what happened to a job at ``since`` or later, in order, at most 1000 entries.

        An entry that was written twice, because the answer to the first time was lost, counts once.
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
        """Forget what happened before a time, at most some thousand entries in one call.

        They are looked for first: a delete by anything but the key would lock what it passes.
        """
        for _ in range(0, FORGET, AT_ONCE):
            ids = await self._old(before)
            if ids:
                marks, params = any_of("id", ids)
                text = f"DELETE FROM buildapi_trail WHERE id IN ({marks})"  # noqa: S608  # names of parameters
                await self._transact([Statement(text, params)])
            if len(ids) < AT_ONCE:
                return

    async def _old(self, before: float) -> Sequence[int]:
        try:
            return await OLD.many(self._db, before=int(before * 1000))
        except MissingTableError as e:
            raise _no_table() from e

    async def _transact(self, statements: Sequence[Statement]) -> None:
        try:
            await self._db.transact(statements)
        except MissingTableError as e:
            raise _no_table() from e


def _no_table() -> DatabaseUnavailable:
    """Say what it is like before the first start has made the tables."""
    return DatabaseUnavailable("the jobs database has no table of trails yet")


def _insertion(entries: Sequence[TrailEntry]) -> Statement:
    params: dict[str, Any] = {}
    rows = []
    for number, entry in enumerate(entries):
        values = _values(entry)
        params |= {f"{name}{number}": value for name, value in values.items()}
        rows.append(f"({', '.join(f':{name}{number}' for name in values)})")
    text = f"INSERT INTO buildapi_trail ({', '.join(COLUMNS)}) VALUES {', '.join(rows)}"  # noqa: S608  # names of parameters
    return Statement(text, params, len(entries))


def _values(entry: TrailEntry) -> dict[str, Any]:
    texts = {name: _storable(getattr(entry, name), width) for name, width in WIDTHS.items()}
    plain = {"request_id": entry.job_id, "at": int(entry.at * 1000), "part": entry.part.value}
    return {name: (texts | plain)[name] for name in COLUMNS}


def _storable(text: str, width: int) -> str:
    """Cut a text, and leave out what no database takes."""
    return text[:width].encode(errors="replace").decode().replace("\0", "?")
