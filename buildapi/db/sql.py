"""Run typed SQL on a database that may be MySQL or SQLite.

One text serves both: parameters are ``:name``, quoted strings are left alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import attrs

T = TypeVar("T")

# Any: the schema says of what type a column is, and the function that makes a value of a row relies
# on it.
Column: TypeAlias = Any
"""A column of a row: an int, a float, a str or None."""

Row = tuple[Column, ...]
Params = Mapping[str, object]
"""Values by parameter: texts, numbers, None, and in a :class:`Statement` a :class:`Ref`."""

Read = Callable[[str, Params], Sequence[Row]]
"""Run one SELECT of a snapshot, in the pool's thread that has it."""


@attrs.frozen
class Ref:
    """Refer to the id of a row that an earlier statement of the same transaction inserts."""

    name: str


@attrs.frozen
class Statement:
    """Describe one write.

    A row count other than ``rows`` rolls back the whole transaction (None: any will do). ``binds``
    names the id of the inserted row for later :class:`Ref` parameters.
    """

    text: str
    params: Params = attrs.field(factory=dict)
    rows: int | None = None
    binds: str | None = None


Write = Callable[[Sequence[Statement]], Sequence[int]]
"""Run statements of a transaction in its thread; return the last inserted id of each."""


class GuardFailedError(Exception):
    """A statement matched another number of rows than required; nothing was written."""

    def __init__(self, statement: Statement, touched: int) -> None:
        super().__init__(f"{touched} rows instead of {statement.rows}: {statement.text}")
        self.statement = statement


class DuplicateError(Exception):
    """A unique key exists already; nothing was written."""


class ValueRefusedError(Exception):
    """A value does not fit its column (length, range, characters); nothing was written."""


class MissingTableError(Exception):
    """The database has no such table."""


class Database(Protocol):
    """Provide a bounded pool of connections.

    All methods raise DatabaseUnavailable when the database does not answer in time or too many
    callers wait already.
    """

    async def fetch(self, text: str, params: Params) -> Sequence[Row]:
        """Run one SELECT; :raises RowLimitError: more rows than the pool allows."""

    async def snapshot(self, reading: Callable[[Read], T]) -> T:
        """Run several SELECTs that all see the database as it is at the first of them.

        ``reading`` runs in a thread, and again after a retry: it must only read. No SELECT begins
        later than a statement may take; the row limit holds for each of them. Tables without
        transactions (MyISAM) are read as they are at each SELECT.

        :raises RowLimitError: a SELECT returned more rows than the pool allows.
        """

    async def transact(self, statements: Sequence[Statement]) -> Sequence[int]:
        """Run all statements in one transaction; return the last inserted id of each.

        Lost connections and deadlocks are retried as a whole. The statements must be safe to retry
        after a commit of unknown outcome (a unique key makes them so).

        :raises GuardFailedError: nothing was written.
        :raises DuplicateError: nothing was written.
        """

    async def decide(self, deciding: Callable[[Read, Write], T]) -> T:
        """Run one transaction whose statements depend on what it reads.

        All of its SELECTs see the database as it is at the first of them; what was changed since is
        for the guards of its statements to find.  ``deciding`` runs in a thread, and again after a
        retry, like the statements of ``transact``; it reads before it writes, and takes
        milliseconds.

        :raises GuardFailedError: nothing was written.
        :raises DuplicateError: nothing was written.
        :raises RowLimitError: a SELECT returned more rows than the pool allows.
        """

    async def transactional(self, tables: Iterable[str]) -> bool:
        """Return whether all these tables take part in transactions (MyISAM tables do not)."""


class RowLimitError(Exception):
    """A query returned more rows than the pool allows."""


@attrs.frozen
class Query(Generic[T]):
    """Pair a SELECT with a constructor; ``row`` is called with the columns in order."""

    text: str
    row: Callable[..., T]

    async def many(self, db: Database, **params: object) -> list[T]:
        """Return all rows."""
        return [self.row(*columns) for columns in await db.fetch(self.text, params)]

    async def maybe(self, db: Database, **params: object) -> T | None:
        """Return the first row, or None."""
        rows = await db.fetch(self.text, params)
        return self.row(*rows[0]) if rows else None

    def all_of(self, read: Read, **params: object) -> list[T]:
        """Return all rows, within a snapshot."""
        return [self.row(*columns) for columns in read(self.text, params)]

    def first_of(self, read: Read, **params: object) -> T | None:
        """Return the first row of a SELECT within a snapshot, or None."""
        rows = read(self.text, params)
        return self.row(*rows[0]) if rows else None


def any_of(name: str, values: Sequence[object]) -> tuple[str, dict[str, object]]:
    """Return a list for ``IN``: ``any_of("id", [7, 9])`` is ``(":id0, :id1", {"id0": 7, ...})``.

    An empty list becomes ``NULL``, which equals nothing.
    """
    params = {f"{name}{i}": value for i, value in enumerate(values)}
    return ", ".join(f":{key}" for key in params) or "NULL", params


def storable(text: str, width: int) -> str:
    """Cut a text to a number of characters, and replace those that no database accepts."""
    return text[:width].encode(errors="replace").decode().replace("\0", "?")


def like_text(text: str) -> str:
    """Return the ``LIKE ... ESCAPE '|'`` pattern that matches this text alone, in any case."""
    # Not the backslash: within a literal it is an escape for MySQL ["String Literals"], not for
    # SQLite.
    return text.replace("|", "||").replace("%", "|%").replace("_", "|_")


def like_prefix(text: str) -> str:
    """Return the ``LIKE ... ESCAPE '|'`` pattern of texts that begin with this one."""
    return like_text(text) + "%"


BY_INDEX = "ESCAPE '|' /* by its index on"
"""The end of a LIKE whose column has an index, up to the table: a mark for the SQLite driver."""


def like_by_index(table: str, column: str, name: str) -> str:
    """Return the condition "the column is like this parameter", a pattern of one of the above.

    ``column`` has an alias of the table, and an index. The condition ignores case, on SQLite of
    ASCII letters only.
    """
    return f"{column} LIKE :{name} {BY_INDEX} {table} */"


# A mark as well as SQL: the SQLite driver removes it, since SQLite compares so anyway; the MySQL
# driver adds it to parameters. Blanks at the end do not count even so [MySQL, "The binary Collation
# Compared to _bin Collations"].
EXACTLY = " COLLATE utf8mb4_bin"


def exact(column: str) -> str:
    """Return an expression of a text that compares and groups case-sensitively.

    MySQL then compares it with any text, also with one that the column cannot hold. It uses no
    index: where one is needed, add a comparison of the bare column.
    """
    return f"CAST({column} AS CHAR){EXACTLY}"


# Before 3.32 SQLite has at most 999 parameters in a statement [SQLite, "Implementation Limits"].
CHUNK = 500
"""Maximum number of values in one ``IN`` list."""


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Split a long list into chunks that fit into one statement."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


async def delete_selected(
    db: Database,
    table: str,
    select: Callable[[], Awaitable[Sequence[int]]],
    most: int | None = None,
) -> None:
    """Delete the rows of a table whose ids ``select`` returns, again until it returns none.

    Stop once ``most`` rows were deleted (None: go on).  The ids are selected first because InnoDB
    locks every row that a DELETE scans, unless it goes by the primary key.
    """
    deleted = 0
    while (most is None or deleted < most) and (ids := await select()):
        marks, params = any_of("id", ids)
        text = f"DELETE FROM {table} WHERE id IN ({marks})"  # noqa: S608  # a constant and names of parameters
        await db.transact([Statement(text, params)])
        deleted += len(ids)
