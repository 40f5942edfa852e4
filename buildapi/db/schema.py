"""The tables of our own, as SQL files for administrators and as calls for the program."""

from __future__ import annotations

import re
from importlib import resources
from typing import Protocol

from buildapi.db.sql import Database, MissingTableError, Statement
from buildapi.errors import ConfigError

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
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class DialectDatabase(Database, Protocol):
    """A database that tells which dialect its schema is written in."""

    @property
    def dialect(self) -> str: ...


def table_name(name: str) -> str:
    """Give the name back if it can stand in SQL as it is; :raises ConfigError: it cannot."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a table; allowed: {_NAME.pattern}")
    return name


def schema_sql(dialect: str, part: str, *, markers: str = MARKERS) -> str:
    """Give the SQL of ``jobs``, ``markers`` or ``jobs-widen`` (``mysql`` only) for a dialect.

    :raises ConfigError: there is no such part, or the table name is not allowed.
    """
    file = resources.files("buildapi.db") / "schema" / f"{part}.{dialect}.sql"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no schema {part!r} for {dialect!r}") from None
    return text.replace(MARKERS, table_name(markers))


def statements(text: str) -> list[Statement]:
    """Split the text of a schema file; comments begin a line, a semicolon ends one."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    parts = "\n".join(lines).split(";\n")
    return [Statement(part.strip().rstrip(";")) for part in parts if part.strip()]


async def create_jobs_schema(db: DialectDatabase) -> None:
    """Create the tables of the jobs database that do not exist; those that do stay as they are.

    Where all do, the account needs no right to create any.
    """
    if not await _exist(db, *JOBS):
        await db.transact(statements(schema_sql(db.dialect, "jobs")))


async def create_marker_table(db: DialectDatabase, name: str = MARKERS) -> None:
    """Create the table of markers in a scheduler database where it does not exist."""
    if not await _exist(db, table_name(name)):
        await db.transact(statements(schema_sql(db.dialect, "markers", markers=name)))


async def _exist(db: Database, *tables: str) -> bool:
    try:
        for table in tables:
            await db.fetch(f"SELECT 1 FROM {table} WHERE 1 = 0", {})  # noqa: S608  # checked names
    except MissingTableError:
        return False
    return True
