"""Provide the schema of our own tables, as SQL files for administrators and as functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Protocol, TypeVar

import attrs
from twisted.logger import Logger

from buildapi.db.sql import Database, MissingTableError, Params, Read, Row, Statement, Write
from buildapi.errors import ConfigError, DatabaseUnavailable

T = TypeVar("T")

log = Logger()

MARKERS = "buildapi_markers"
JOBS = (
    "jobrequests",
    "buildapi_jobs",
    "buildapi_keys",
    "buildapi_progress",
    "buildapi_branches",
    "buildapi_processes",
    "buildapi_trail",
    "buildapi_tokens",
    "buildapi_token_scopes",
    "buildapi_token_uses",
    "buildapi_user_groups",
    "buildapi_audit",
    "buildapi_rebuilds",
    "buildapi_load",
)
LATER = ("buildapi_audit", "buildapi_rebuilds", "buildapi_load")
"""Tables without which a process does its work, and says that they are missing."""

# A name cannot be a parameter; MySQL allows 64 characters [MySQL, "Identifier Length Limits"].
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class DialectDatabase(Database, Protocol):
    """Add to a database the dialect that its schema is written in."""

    @property
    def dialect(self) -> str: ...


def table_name(name: str) -> str:
    """Return a table name that is safe in SQL; :raises ConfigError: it is not."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not the name of a table; allowed: {_NAME.pattern}")
    return name


def schema_sql(dialect: str, part: str, *, markers: str = MARKERS) -> str:
    """Return the SQL of ``jobs``, ``markers`` or ``jobs-widen`` (``mysql`` only) for a dialect.

    :raises ConfigError: there is no such part, or the table name is not allowed.
    """
    file = resources.files("buildapi.db") / "schema" / f"{part}.{dialect}.sql"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no schema {part!r} for {dialect!r}") from None
    return text.replace(MARKERS, table_name(markers))


def statements(text: str) -> list[Statement]:
    """Split a schema file into statements; a comment begins a line, a semicolon ends one."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    parts = "\n".join(lines).split(";\n")
    return [Statement(part.strip().rstrip(";")) for part in parts if part.strip()]


async def create_jobs_schema(db: DialectDatabase) -> Sequence[str]:
    """Create the missing tables of the jobs database; leave existing ones as they are.

    If all exist, the account needs no privilege to create tables.  A table of ``LATER`` that the
    account may neither use nor create is logged, and left to ``buildapi db upgrade``.  Return the
    names of those that were created.
    """
    whole = statements(schema_sql(db.dialect, "jobs"))
    missing = await _missing(db, [table for table in JOBS if table not in LATER])
    if missing:
        # MySQL commits after each CREATE TABLE ["Statements That Cause an Implicit Commit"]: a
        # start cut short leaves some of them, and IF NOT EXISTS passes over those.
        await db.transact([s for s in whole if not any(table in s.text for table in LATER)])
    for table in LATER:
        missing += await _create_later(db, table, [s for s in whole if table in s.text])
    return missing


async def _create_later(
    db: DialectDatabase, table: str, creation: Sequence[Statement]
) -> Sequence[str]:
    try:
        missing = await _missing(db, [table])
        if missing:
            await db.transact(creation)
    except DatabaseUnavailable as e:
        # MySQL denies a SELECT of a table that is not there to an account without privileges on it.
        log.error(
            "table {table} is missing, or this account has no privileges on it ({msg}): run"
            " buildapi db upgrade and buildapi db grants; the process goes on without it",
            table=table,
            msg=e.msg,
        )
        return []
    return missing


async def create_marker_table(db: DialectDatabase, name: str = MARKERS) -> None:
    """Create the marker table in a scheduler database if it does not exist."""
    if await _missing(db, [table_name(name)]):
        await db.transact(statements(schema_sql(db.dialect, "markers", markers=name)))


@attrs.frozen
class JobsDatabase:
    """Add to a database of our own tables: while one is missing, it is unavailable.

    The port serves before the first start has created them.
    """

    _db: Database

    async def fetch(self, text: str, params: Params) -> Sequence[Row]:
        """Run one SELECT; :raises DatabaseUnavailable: a table is missing."""
        with _tables_expected():
            return await self._db.fetch(text, params)

    async def snapshot(self, reading: Callable[[Read], T]) -> T:
        """Run several SELECTs of one moment; :raises DatabaseUnavailable: a table is missing."""
        with _tables_expected():
            return await self._db.snapshot(reading)

    async def transact(self, statements: Sequence[Statement]) -> Sequence[int]:
        """Run a transaction; :raises DatabaseUnavailable: a table is missing."""
        with _tables_expected():
            return await self._db.transact(statements)

    async def decide(self, deciding: Callable[[Read, Write], T]) -> T:
        """Run a transaction that reads first; :raises DatabaseUnavailable: a table is missing."""
        with _tables_expected():
            return await self._db.decide(deciding)

    async def transactional(self, tables: Iterable[str]) -> bool:
        """Return whether all these tables take part in transactions."""
        return await self._db.transactional(tables)


@contextmanager
def _tables_expected() -> Iterator[None]:
    try:
        yield
    except MissingTableError as e:
        raise DatabaseUnavailable(
            "the jobs database lacks its tables, which the first start of the service creates"
        ) from e


async def _missing(db: Database, tables: Iterable[str]) -> list[str]:
    found = []
    for table in tables:
        try:
            await db.fetch(f"SELECT 1 FROM {table} WHERE 1 = 0", {})  # noqa: S608  # checked names
        except MissingTableError:
            found.append(table)
    return found
