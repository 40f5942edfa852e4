"""A database that answers at once, so that simulated masters can be driven by a clock."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from buildapi.db.sql import (
    DuplicateError,
    GuardFailedError,
    Params,
    Read,
    Ref,
    Row,
    Statement,
    Write,
)
from buildapi.errors import DatabaseUnavailable
from buildapi.sample.farm_schema import scheduler_schema, status_schema

T = TypeVar("T")


@attrs.define
class DirectDatabase:
    """SQLite in memory behind the Database interface; ``down`` makes it unavailable."""

    connection: sqlite3.Connection
    down: bool = False

    async def fetch(self, text: str, params: Params) -> Sequence[Row]:
        """Run one SELECT."""
        self._check()
        return self.connection.execute(text, dict(params)).fetchall()

    async def snapshot(self, reading: Callable[[Read], T]) -> T:
        """Run several SELECTs, with nothing between them."""
        self._check()

        def read(text: str, params: Params) -> Sequence[Row]:
            return self.connection.execute(text, dict(params)).fetchall()

        return reading(read)

    async def transact(self, statements: Sequence[Statement]) -> Sequence[int]:
        """Run all statements or none."""
        self._check()
        try:
            with self.connection:
                return self._run(statements)
        except sqlite3.IntegrityError as e:
            raise DuplicateError(str(e)) from e

    async def decide(self, deciding: Callable[[Read, Write], T]) -> T:
        """Read, then write all or nothing."""
        self._check()

        def read(text: str, params: Params) -> Sequence[Row]:
            return self.connection.execute(text, dict(params)).fetchall()

        try:
            with self.connection:
                return deciding(read, self._run)
        except sqlite3.IntegrityError as e:
            raise DuplicateError(str(e)) from e

    async def transactional(self, tables: Iterable[str]) -> bool:
        """Return True."""
        return True

    def _run(self, statements: Sequence[Statement]) -> list[int]:
        ids: list[int] = []
        bound: dict[str, int] = {}
        for s in statements:
            values = {k: bound[v.name] if isinstance(v, Ref) else v for k, v in s.params.items()}
            cursor = self.connection.execute(s.text, values)
            if s.rows is not None and cursor.rowcount != s.rows:
                raise GuardFailedError(s, cursor.rowcount)
            ids.append(cursor.lastrowid or 0)
            if s.binds is not None:
                bound[s.binds] = ids[-1]
        return ids

    def _check(self) -> None:
        if self.down:
            raise DatabaseUnavailable("the database is down")

    def rows(self, text: str, *params: Any) -> list[Row]:
        """Return rows, read past the code under test."""
        return self.connection.execute(text, params).fetchall()

    def one(self, text: str, *params: Any) -> Any:
        """Return the one value of a row."""
        [[value]] = self.rows(text, *params)
        return value


def scheduler_database() -> DirectDatabase:
    """Return an empty scheduler database."""
    return _database(scheduler_schema("sqlite"))


def status_database() -> DirectDatabase:
    """Return an empty status database."""
    return _database(status_schema("sqlite"))


def _database(schema: Sequence[str]) -> DirectDatabase:
    connection = sqlite3.connect(":memory:")
    for statement in schema:
        connection.execute(statement)
    return DirectDatabase(connection)


def submit(
    db: DirectDatabase,
    *builders: str,
    branch: str | None = "mozilla-central",
    revision: str | None = "a" * 40,
    reason: str = "scheduler",
    priority: int = 0,
    submitted_at: int = 1000,
    properties: Mapping[str, tuple[Any, str]] | None = None,
    change_branch: str | None = None,
    change_properties: Mapping[str, tuple[Any, str]] | None = None,
) -> list[int]:
    """Insert a buildset with a request for each builder; return the ids of the requests.

    Properties are pairs of value and source.  There is a change with a ``change_branch``.
    """
    execute = db.connection.execute
    source = execute(
        "INSERT INTO sourcestamps (branch, revision) VALUES (?, ?)", (branch, revision)
    ).lastrowid
    buildset = execute(
        "INSERT INTO buildsets (reason, sourcestampid, submitted_at) VALUES (?, ?, ?)",
        (reason, source, submitted_at),
    ).lastrowid
    for name, pair in (properties or {"buildid": ("20200101", "Scheduler")}).items():
        text = json.dumps(pair)
        execute("INSERT INTO buildset_properties VALUES (?, ?, ?)", (buildset, name, text))
    if change_branch is not None:
        change = execute(
            "INSERT INTO changes (author, comments, is_dir, branch, revision, when_timestamp,"
            " repository, project) VALUES ('ada', '', 0, ?, ?, ?, '', '')",
            (change_branch, revision, submitted_at),
        ).lastrowid
        execute("INSERT INTO sourcestamp_changes VALUES (?, ?)", (source, change))
        for name, pair in (change_properties or {}).items():
            text = json.dumps(pair)
            execute("INSERT INTO change_properties VALUES (?, ?, ?)", (change, name, text))
    ids = [
        execute(
            "INSERT INTO buildrequests (buildsetid, buildername, priority, submitted_at)"
            " VALUES (?, ?, ?, ?)",
            (buildset, builder, priority, submitted_at),
        ).lastrowid
        or 0
        for builder in builders
    ]
    db.connection.commit()
    return ids
