"""What the pool asks of a database engine's driver."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from buildapi.db.sql import Params, Row


class Trouble(enum.Enum):
    """What an error of a driver means for the caller."""

    LOST = "the connection ended; what it was doing may be done or not"
    CONFLICT = "other transactions were in the way; nothing was done"
    UNAVAILABLE = "the database does not do it now"
    DUPLICATE = "a unique key is there already"
    VALUE = "a value does not fit"
    MISSING = "there is no such table"
    UNKNOWN = "nobody classified it: what it was doing may be done or not"


@attrs.frozen
class Verdict:
    """A judgement on an error; ``text`` completes "the jobs database ..."."""

    trouble: Trouble
    text: str


class Driver(Protocol):
    """One engine.  Everything but ``verdict`` and ``cut`` runs in the threads of the pool.

    ``module`` is the DB-API module, ``one_writer`` tells that two connections cannot write at the
    same time, ``shared`` that only one connection sees the data.  ``foreign_engines`` is a SELECT
    with one ``{tables}``, counting the tables without transactions (None: there are none).
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

    def connect(self) -> Any:
        """Open a connection in autocommit mode, ready for work."""

    def ready(self, connection: Any, idle: float) -> bool:
        """Prepare a kept connection for more work; False: it is dead.

        ``idle`` is how long it was unused, in seconds.
        """

    def usable(self, connection: Any) -> bool:
        """Tell after an error whether the connection can be kept."""

    def close(self, connection: Any) -> None:
        """Close a connection, whatever state it is in."""

    def cut(self, connection: Any) -> None:
        """Let what a thread does with a connection fail soon; returns at once."""

    def begin(self, connection: Any) -> None:
        """Start a transaction."""

    def begin_snapshot(self, connection: Any) -> None:
        """Start a transaction that only reads, and sees everything as of one moment."""

    def execute(self, cursor: Any, text: str, params: Params) -> None:
        """Execute a text with ``:name`` parameters."""

    def select(self, connection: Any, text: str, params: Params, max_rows: int) -> Sequence[Row]:
        """Run a SELECT; :raises RowLimitError: past ``max_rows``."""

    def verdict(self, error: BaseException) -> Verdict | None:
        """Judge an error; None: it is the statement's own fault, or not the database's error.

        An error nobody knows is UNKNOWN, never None: a message is kept for it, not lost.
        """
