"""Typed SQL over a database that may be MySQL or SQLite.

One text serves both: parameters are ``:name``, quoted strings are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import attrs

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Mapping[str, Any]
Read = Callable[[str, Params], Sequence[Row]]
"""Run one SELECT of a snapshot, in the thread of the pool that has it."""


@attrs.frozen
class Ref:
    """Stand for the id of a row that an earlier statement of the same transaction inserts."""

    name: str


@attrs.frozen
class Statement:
    """One write.

    ``rows`` is the row count without which the whole transaction is given up (None: any).
    ``binds`` names the id of the inserted row for later :class:`Ref` parameters.
    """

    text: str
    params: Params = attrs.field(factory=dict)
    rows: int | None = None
    binds: str | None = None


class GuardFailedError(Exception):
    """A statement touched another number of rows than it must; nothing was written."""

    def __init__(self, statement: Statement, touched: int) -> None:
        super().__init__(f"{touched} rows instead of {statement.rows}: {statement.text}")
        self.statement = statement


class DuplicateError(Exception):
    """A unique key is there already; nothing was written."""


class ValueRefusedError(Exception):
    """A value does not fit its column (length, range, characters); nothing was written."""


class MissingTableError(Exception):
    """The database has no such table."""


class Database(Protocol):
    """A bounded pool of connections.

    All methods raise DatabaseUnavailable when the database does not answer in time or too many
    callers wait already.
    """

    async def fetch(self, text: str, params: Params) -> Sequence[Row]:
        """Run one SELECT; :raises RowLimitError: past the pool's row bound."""

    async def snapshot(self, reading: Callable[[Read], T]) -> T:
        """Run several SELECTs that all see the database as it is at the first of them.

        ``reading`` runs in a thread, as often as it takes: it must do nothing but read.  No
        SELECT begins later than a statement may take; the row bound holds for each of them.
        Tables without transactions (MyISAM) are read as they are at each SELECT.

        :raises RowLimitError: a SELECT gave more rows than the pool allows.
        """

    async def transact(self, statements: Sequence[Statement]) -> Sequence[int]:
        """Run all statements in one transaction; give the last inserted id of each.

        Lost connections and deadlocks are retried as a whole; a retry after a commit of unknown
        fate is up to the statements (a unique key makes it harmless).

        :raises GuardFailedError: nothing was written.
        :raises DuplicateError: nothing was written.
        """

    async def transactional(self, tables: Iterable[str]) -> bool:
        """Tell whether all these tables take part in transactions (MyISAM tables do not)."""


class RowLimitError(Exception):
    """A query gave more rows than the pool allows."""


@attrs.frozen
class Query(Generic[T]):
    """A SELECT and what one of its rows means; ``row`` is called with the columns in order."""

    text: str
    row: Callable[..., T]

    async def many(self, db: Database, **params: Any) -> list[T]:
        """Give all rows."""
        return [self.row(*columns) for columns in await db.fetch(self.text, params)]

    async def maybe(self, db: Database, **params: Any) -> T | None:
        """Give the first row, if there is one."""
        rows = await db.fetch(self.text, params)
        return self.row(*rows[0]) if rows else None

    def all_of(self, read: Read, **params: Any) -> list[T]:
        """Return all rows, within a snapshot."""
        return [self.row(*columns) for columns in read(self.text, params)]

    def first_of(self, read: Read, **params: Any) -> T | None:
        """Return the first row, if there is one, within a snapshot."""
        rows = read(self.text, params)
        return self.row(*rows[0]) if rows else None


def any_of(name: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Spell a list for ``IN``: ``any_of("id", [7, 9])`` is ``(":id0, :id1", {"id0": 7, ...})``.

    An empty list gives ``NULL``, which equals nothing.
    """
    params = {f"{name}{i}": value for i, value in enumerate(values)}
    return ", ".join(f":{key}" for key in params) or "NULL", params


def like_text(text: str) -> str:
    """Return the pattern of ``LIKE ... ESCAPE '|'`` for this text alone, whatever its case."""
    return text.replace("|", "||").replace("%", "|%").replace("_", "|_")


def like_prefix(text: str) -> str:
    """Give the pattern of ``LIKE ... ESCAPE '|'`` for texts that begin with this one."""
    return like_text(text) + "%"


EXACTLY = " COLLATE utf8mb4_bin"


def exact(column: str) -> str:
    """Spell a text so that it equals, and is grouped with, only what does not differ in case.

    MySQL then compares it with any text, also with one that the column cannot hold.  No index
    helps: where one is needed, a comparison of the bare column stands beside.
    """
    return f"CAST({column} AS CHAR){EXACTLY}"


CHUNK = 500
"""Values in one list of ``IN``."""


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a long list into pieces that fit into one statement."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
