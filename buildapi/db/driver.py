"""Define the interface that the pool needs from the driver of a database engine."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import attrs

from buildapi.db.sql import Params, Row

# Any: the cursor of the driver's module, of which a driver uses more than PEP 249 has, and which
# only the driver that made it gets to see.
Cursor: TypeAlias = Any


class Connection(Protocol):
    """Represent what the pool itself calls of a DB-API connection [PEP 249]."""

    def commit(self) -> None:
        """End the transaction; its writes are kept."""

    def cursor(self) -> Cursor:
        """Return a new cursor."""

    def rollback(self) -> None:
        """End the transaction; its writes are undone."""


C = TypeVar("C", bound=Connection)


class ErrorKind(enum.Enum):
    """Classify an error of a driver by what it means for the caller."""

    LOST = "the connection ended; what it was doing may be done or not"
    CONFLICT = "other transactions were in the way; nothing was done"
    UNAVAILABLE = "the database does not do it now"
    DENIED = "the account has no right to a table; nothing was done"
    DUPLICATE = "a unique key already exists"
    VALUE = "a value does not fit"
    MISSING = "there is no such table"
    UNKNOWN = "nobody classified it: what it was doing may be done or not"


@attrs.frozen
class ClassifiedError:
    """Carry the class of an error; ``text`` completes "the jobs database ..."."""

    trouble: ErrorKind
    text: str


# What every driver says alike of its database. Locks differ: SQLite has waited for them, a server
# may have chosen one of two transactions to end.
TOO_SLOW = ClassifiedError(ErrorKind.UNAVAILABLE, "took too long")
READ_ONLY = ClassifiedError(ErrorKind.UNAVAILABLE, "accepts no writes now")
DISK_FULL = ClassifiedError(ErrorKind.UNAVAILABLE, "is full")
DUPLICATE = ClassifiedError(ErrorKind.DUPLICATE, "already has such a row")
VALUE = ClassifiedError(ErrorKind.VALUE, "cannot store a value")
MISSING = ClassifiedError(ErrorKind.MISSING, "lacks a table")


@attrs.frozen
class ServerLocation:
    """Name a server, and the database on it."""

    server: str
    database: str


@attrs.frozen
class DriverDefinition:
    """Describe a driver: the dialect of its schema, how it is opened, and where a URL leads.

    ``locate`` is None for an engine without a server, which has no accounts either.
    """

    dialect: str
    open: Callable[..., Driver[Any]]
    locate: Callable[[str], ServerLocation] | None = None


class Driver(Protocol[C]):
    """Drive one database engine, with connections of its own class.

    Everything but ``verdict`` and ``cut`` runs in the pool's threads.

    ``module`` is the DB-API module. ``one_writer`` is true where only one connection can write at a
    time, ``shared`` where the data are visible to one connection only. ``foreign_engines`` is a
    SELECT with one ``{tables}`` that counts the tables without transactions (None: there are none).
    """

    @property
    def dialect(self) -> str: ...
    @property
    def module(self) -> str: ...
    @property
    def one_writer(self) -> bool: ...
    @property
    def shared(self) -> bool: ...
    @property
    def foreign_engines(self) -> str | None: ...

    def connect(self) -> C:
        """Open a connection in autocommit mode, ready for use."""

    def ready(self, connection: C, idle: float) -> bool:
        """Prepare a kept connection for more work; return False if it is dead.

        ``idle`` is the time it was unused, in seconds.
        """

    def usable(self, connection: C) -> bool:
        """Return, after an error, whether the connection can be kept."""

    def close(self, connection: C) -> None:
        """Close a connection in whatever state it is."""

    def cut(self, connection: C) -> None:
        """Make the running statement of a connection fail soon; return at once."""

    def begin(self, connection: C) -> None:
        """Start a transaction."""

    def begin_snapshot(self, connection: C, *, writes: bool = False) -> None:
        """Start a transaction that sees everything as of one moment, read-only unless it writes."""

    def execute(self, cursor: Cursor, text: str, params: Params) -> None:
        """Execute a statement with ``:name`` parameters."""

    def select(self, connection: C, text: str, params: Params, max_rows: int) -> Sequence[Row]:
        """Run a SELECT; :raises RowLimitError: more than ``max_rows`` rows."""

    def verdict(self, error: BaseException) -> ClassifiedError | None:
        """Classify an error; return None if the statement or something else is at fault.

        An unknown error is UNKNOWN, never None: the message of its job is then kept, not lost.
        """
