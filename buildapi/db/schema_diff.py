"""Compare the tables of a database with our schema files, and find what an old table lacks."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from buildapi.db.schema import (
    MARKERS,
    DialectDatabase,
    schema_sql,
    statements,
    table_name,
)
from buildapi.db.sql import Row, Statement, any_of

_MADE = re.compile(
    r"CREATE (?P<kind>TABLE|(?:UNIQUE )?INDEX) IF NOT EXISTS (?P<name>\w+)(?: ON (?P<table>\w+))?"
)
_VERSION = re.compile(r"version (\d+)")


@attrs.frozen
class ExistingTable:
    """Describe an existing table; ``engine`` is None where a database has only one engine."""

    name: str
    engine: str | None = None
    transactions: bool = True


@attrs.frozen
class SchemaChange:
    """Describe one change of an upgrade, in words and in SQL."""

    what: str
    statement: str


@attrs.frozen
class SchemaDiff:
    """List what exists, and the changes that bring it to this program's version of the tables.

    ``server`` is the version of the engine, ``version`` that of the tables it should have.
    """

    server: str
    version: int
    tables: Sequence[ExistingTable]
    missing: Sequence[str]
    changes: Sequence[SchemaChange]

    @property
    def without_transactions(self) -> Sequence[ExistingTable]:
        """List the tables whose engine has no transactions."""
        return [table for table in self.tables if not table.transactions]


@attrs.frozen
class ExistingSchema:
    """Hold what was found in a database."""

    server: str
    tables: Sequence[ExistingTable]
    indexes: frozenset[str] = frozenset()


@attrs.frozen
class SchemaObject:
    """Describe a table or an index that a schema file creates."""

    kind: str
    name: str
    table: str
    statement: str


def objects(dialect: str, part: str, markers: str = MARKERS) -> Sequence[SchemaObject]:
    """List what the schema file of ``jobs`` or ``markers`` creates, in its order."""
    found = []
    for statement in statements(schema_sql(dialect, part, markers=markers)):
        match = _MADE.match(statement.text)
        if match is None:
            raise ValueError(f"unknown statement in a schema file: {statement.text[:80]}")
        kind = match["kind"].removeprefix("UNIQUE ").lower()
        found.append(
            SchemaObject(kind, match["name"], match["table"] or match["name"], statement.text)
        )
    return found


def version(dialect: str, part: str) -> int:
    """Return the version of the tables in a schema file, from its first line."""
    match = _VERSION.search(schema_sql(dialect, part))
    if match is None:
        raise ValueError(f"the schema {part} states no version")
    return int(match[1])


def absent(dialect: str, part: str, markers: str = MARKERS) -> SchemaDiff:
    """Return the survey of a database that does not exist."""
    return _compared(dialect, part, markers, ExistingSchema("does not exist", []))


async def survey(db: DialectDatabase, part: str, markers: str = MARKERS) -> SchemaDiff:
    """Survey the tables of ``jobs`` or ``markers``; nothing is written.

    :raises ConfigError: the table name is not allowed.
    """
    table_name(markers)
    engine = ENGINES[db.dialect]
    seen = await engine.look(db, {o.table for o in objects(db.dialect, part, markers)})
    found = _compared(db.dialect, part, markers, seen)
    if engine.widening is None or all(table.name != OLD for table in seen.tables):
        return found
    return attrs.evolve(found, changes=[*found.changes, *await engine.widening(db)])


def _compared(dialect: str, part: str, markers: str, seen: ExistingSchema) -> SchemaDiff:
    there = {table.name for table in seen.tables} | seen.indexes
    missing = [o for o in objects(dialect, part, markers) if o.name not in there]
    made = [SchemaChange(f"create {o.kind} {o.name}", o.statement) for o in missing]
    names = [o.name for o in missing]
    return SchemaDiff(seen.server, version(dialect, part), seen.tables, names, made)


# --- SQLite


async def _look_sqlite(db: DialectDatabase, wanted: set[str]) -> ExistingSchema:
    ((server,),) = await db.fetch("SELECT sqlite_version()", {})
    rows = await db.fetch("SELECT type, name FROM sqlite_master", {})
    tables = [ExistingTable(name) for kind, name in rows if kind == "table" and name in wanted]
    indexes = frozenset(name for kind, name in rows if kind == "index")
    return ExistingSchema(f"SQLite {server}", tables, indexes)


# --- MySQL and MariaDB

_TABLES = """SELECT t.TABLE_NAME, t.ENGINE, e.TRANSACTIONS FROM information_schema.TABLES t
 LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
 WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE' AND t.TABLE_NAME IN ({names})
 ORDER BY t.TABLE_NAME"""


async def _look_mysql(db: DialectDatabase, wanted: set[str]) -> ExistingSchema:
    ((server,),) = await db.fetch("SELECT VERSION()", {})
    names, params = any_of("table", sorted(wanted))
    rows = await db.fetch(_TABLES.format(names=names), params)
    # Without indexes: in the files for MySQL they stand within CREATE TABLE.
    tables = [
        ExistingTable(name, engine, transactions == "YES") for name, engine, transactions in rows
    ]
    return ExistingSchema(server if "MariaDB" in server else f"MySQL {server}", tables)


OLD = "jobrequests"
"""Table shared with old web processes and agents."""

CHARSET = "utf8mb4"
INDEX = "jobrequests_completed_at"
# In bytes [MySQL, "Data Type Storage Requirements"].
TEXTS = {"tinytext": 255, "text": 65_535, "mediumtext": 2**24 - 1, "longtext": 2**32 - 1}
NUMBERS = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}


@attrs.frozen
class MinimumWidth:
    """Describe what a column must hold at least: characters, or bytes of a number."""

    column: str
    kind: str
    size: int
    unit: str


WIDE = (
    MinimumWidth("action", "VARCHAR(40)", 40, "characters"),
    MinimumWidth("who", "VARCHAR(512)", 512, "characters"),
    MinimumWidth("when", "BIGINT", 8, "bytes"),
    MinimumWidth("completed_at", "BIGINT", 8, "bytes"),
    MinimumWidth("what", "LONGTEXT", TEXTS["longtext"], "bytes"),
    MinimumWidth("complete_data", "LONGTEXT", TEXTS["longtext"], "bytes"),
)

_COLUMNS = f"""SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, CHARACTER_SET_NAME,
 IS_NULLABLE FROM information_schema.COLUMNS
 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{OLD}'"""  # noqa: S608  # constants
# SEQ_IN_INDEX: an index that begins with another column does not help to find this one.
_INDEXES = f"""SELECT COLUMN_NAME FROM information_schema.STATISTICS
 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{OLD}' AND SEQ_IN_INDEX = 1"""  # noqa: S608  # constants


async def _widening(db: DialectDatabase) -> Sequence[SchemaChange]:
    """Return the change that widens an old table of job requests where it is too narrow."""
    columns = {row[0]: row for row in await db.fetch(_COLUMNS, {})}
    indexed = {column for (column,) in await db.fetch(_INDEXES, {})}
    clauses, words = [], []
    if any(row[3] not in (None, CHARSET) for row in columns.values()):
        clauses.append(f"CONVERT TO CHARACTER SET {CHARSET}")
        words.append(f"any character ({CHARSET})")
    for wide in WIDE:
        row = columns.get(wide.column)
        if row is not None and (size := _size(row)) < wide.size:
            clauses.append(f"MODIFY `{wide.column}` {wide.kind}{_null(row)}")
            words.append(f"{wide.column} to {wide.kind} (now {size} {wide.unit})")
    if "completed_at" in columns and "completed_at" not in indexed:
        clauses.append(f"ADD KEY {INDEX} (completed_at)")
        words.append("an index on completed_at")
    if not clauses:
        return []
    # One statement: each ALTER TABLE that changes a type copies the table [MySQL, "Online DDL
    # Operations"].
    statement = f"ALTER TABLE {OLD}\n    " + ",\n    ".join(clauses)
    return [SchemaChange(f"widen table {OLD}: {', '.join(words)}", statement)]


def _size(column: Row) -> int:
    kind, length = str(column[1]).lower(), column[2]
    return NUMBERS.get(kind) or TEXTS.get(kind) or int(length or 0)


def _null(column: Row) -> str:
    """Keep a column nullable that may hold NULL: rows may have it."""
    return "" if column[4] == "YES" else " NOT NULL"


LOCK_WAIT = Statement("SET SESSION lock_wait_timeout = 20")
"""Limit the seconds an ALTER TABLE waits for its lock: all later statements queue behind it."""


# --- which engine is read how


@attrs.frozen
class EngineTables:
    """Describe how the tables of an engine are read and changed.

    ``widening`` finds what an old table is too narrow for; None where columns have no width.
    ``settings`` are statements before a change.
    """

    look: Callable[[DialectDatabase, set[str]], Awaitable[ExistingSchema]]
    widening: Callable[[DialectDatabase], Awaitable[Sequence[SchemaChange]]] | None = None
    settings: Sequence[Statement] = ()


ENGINES: Mapping[str, EngineTables] = {
    "sqlite": EngineTables(_look_sqlite),
    "mysql": EngineTables(_look_mysql, _widening, [LOCK_WAIT]),
}
"""How tables are read, by the dialect of the engine."""
