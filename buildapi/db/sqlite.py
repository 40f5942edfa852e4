"""Open SQLite through the standard library: one file, WAL, one writer, interruptible statements.

SQLite locks whole files: with a write-ahead log (WAL) readers see the last commit while one
connection writes, and a second writer waits [SQLite, "Write-Ahead Logging"].
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
from twisted.logger import Logger

from buildapi.db.driver import (
    DISK_FULL,
    DUPLICATE,
    MISSING,
    READ_ONLY,
    TOO_SLOW,
    VALUE,
    ClassifiedError,
    Cursor,
    DriverDefinition,
    ErrorKind,
)
from buildapi.db.like_spans import with_spans
from buildapi.db.sql import EXACTLY, Params, Row, RowLimitError
from buildapi.errors import ConfigError

MEMORY = ":memory:"
BUSY_SECONDS = 5.0
# SQLite has no time limit for a statement, but a progress handler may end it [SQLite,
# sqlite3_progress_handler].
STEPS = 10_000
"""SQLite virtual machine steps, about a millisecond, between two checks of the deadline."""

HELD_UP = ClassifiedError(ErrorKind.UNAVAILABLE, "is blocked by locks")
UNREACHABLE = ClassifiedError(ErrorKind.UNAVAILABLE, "cannot be opened or read")
GONE = ClassifiedError(ErrorKind.UNAVAILABLE, "has lost its file")

_BY_CODE: dict[int, ClassifiedError | None] = {
    # Not a CONFLICT, which is retried: SQLite has waited for its busy timeout already.
    sqlite3.SQLITE_BUSY: HELD_UP,
    sqlite3.SQLITE_LOCKED: HELD_UP,
    sqlite3.SQLITE_INTERRUPT: TOO_SLOW,
    sqlite3.SQLITE_CANTOPEN: UNREACHABLE,
    sqlite3.SQLITE_IOERR: UNREACHABLE,
    sqlite3.SQLITE_NOTADB: UNREACHABLE,
    sqlite3.SQLITE_CORRUPT: UNREACHABLE,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_TOOBIG: VALUE,
    # the statement's own fault: it can never work as it is
    sqlite3.SQLITE_ERROR: None,
    sqlite3.SQLITE_CONSTRAINT: None,
    sqlite3.SQLITE_MISMATCH: None,
    sqlite3.SQLITE_RANGE: None,
}
_UNIQUE = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
}


Identity = tuple[int, int]
"""Device and inode: identify a file whatever its path."""


class FileGoneError(sqlite3.OperationalError):
    """The file of a connection was deleted or moved away: writes to it would be lost."""


class _Connection(sqlite3.Connection):
    """Interrupt statements past ``deadline``, in seconds of the monotonic clock.

    ``file`` is the device and inode of the file that was opened.
    """

    deadline = math.inf
    file: Identity | None = None

    def late(self) -> bool:
        return time.monotonic() > self.deadline


@attrs.frozen
class SQLiteDriver:
    """Open a database file; create its folder when opened for writing."""

    path: str
    seconds: float
    read_only: bool = False
    dialect: str = "sqlite"
    module: str = "sqlite3"
    one_writer: bool = True
    foreign_engines: str | None = None
    _opened: set[Identity] = attrs.field(factory=set, init=False, eq=False, repr=False)
    _log = Logger()

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        name: str,
        seconds: float,
        read_only: bool,
        password: str | None,  # noqa: ARG003  # one signature for all drivers
        tls_ca: str | None,  # noqa: ARG003  # one signature for all drivers
    ) -> SQLiteDriver:
        """Create a driver from ``sqlite:PATH`` or ``sqlite:///PATH`` (four slashes: absolute path).

        :raises ConfigError: there is no path.
        """
        path = url.partition(":")[2].removeprefix("///")
        if not path or path.startswith("//"):
            raise ConfigError(f"{name}: {url!r}; allowed: sqlite:PATH or sqlite:///PATH")
        return cls(path, seconds, read_only)

    @property
    def shared(self) -> bool:
        """Return whether the database is in memory, where it belongs to one connection."""
        return self.path == MEMORY

    def connect(self) -> _Connection:
        """Open the file in WAL mode, so that readers and the writer do not wait for each other."""
        if not self.read_only:
            with contextlib.suppress(OSError):  # SQLite says it better
                Path(self.path).absolute().parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self._file(),
            uri=not self.shared,
            # Otherwise sqlite3 opens transactions by itself, with a plain BEGIN [Python, sqlite3,
            # "Transaction control"]: see begin().
            isolation_level=None,
            # close_all and cut act on the connections of other threads.
            check_same_thread=False,
            factory=_Connection,
            timeout=min(BUSY_SECONDS, self.seconds),
        )
        try:
            connection.file = self._identity()
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        if connection.file is not None:
            self._opened.add(connection.file)
        return connection

    def _identity(self) -> Identity | None:
        """Return the identity of the file that is at our path now; None if there is none."""
        if self.shared:
            return None
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _file(self) -> str:
        if self.shared:
            return self.path
        # Not mode=ro: readers of a WAL file write to its index as well [SQLite, "Write-Ahead
        # Logging", "Read-Only Databases"]; query_only keeps them from anything else.
        # Create the file once only: an empty one in place of a deleted one would hide the loss.
        mode = "rw" if self.read_only or self._opened else "rwc"
        return f"{Path(self.path).absolute().as_uri()}?mode={mode}"

    def _set_up(self, connection: _Connection) -> None:
        # SQLite checks no encoding, and one text that is not UTF-8 would fail the whole SELECT.
        connection.text_factory = functools.partial(str, encoding="utf-8", errors="replace")
        # Off by default, for each connection [SQLite, "SQLite Foreign Key Support"].
        connection.execute("PRAGMA foreign_keys = ON")
        # With WAL a power failure may take the last commits, but damages nothing; a crash of the
        # process takes none [SQLite, "PRAGMA synchronous"].
        connection.execute("PRAGMA synchronous = NORMAL")
        if self.read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            # Refused while another connection reads in the old mode, which works too.
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
        connection.set_progress_handler(connection.late, STEPS)
        self.ready(connection, 0)

    def ready(self, connection: _Connection, idle: float) -> bool:  # noqa: ARG002  # looked at every time
        """Set the deadline of the next work; return False if another file has replaced this one.

        :raises FileGoneError: the file is gone and none has replaced it.
        """
        connection.deadline = time.monotonic() + self.seconds
        now = self._identity()
        if now == connection.file:
            return True
        if now is None:
            self._log.error(
                (
                    "{path} was deleted or moved while in use: nothing is recorded until it is"
                    " restored"
                ),
                path=self.path,
            )
            raise FileGoneError(f"{self.path} does not exist")
        self._log.warn("{path} was replaced while in use", path=self.path)
        return False

    def usable(self, connection: _Connection) -> bool:
        """Return whether no transaction is left open."""
        try:
            return not connection.in_transaction
        except sqlite3.ProgrammingError:  # closed
            return False

    def close(self, connection: _Connection) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            connection.close()

    def cut(self, connection: _Connection) -> None:
        """Expire the deadline of the running statement."""
        connection.deadline = 0.0

    def begin(self, connection: _Connection) -> None:
        """Start a transaction as the writer, since a reader cannot always be upgraded to one."""
        # The busy timeout does not help a reader that turns writer after another has written: it
        # gets SQLITE_BUSY at once, since its snapshot is old [SQLite, SQLITE_BUSY_SNAPSHOT].
        connection.execute("BEGIN" if self.read_only else "BEGIN IMMEDIATE")

    def begin_snapshot(self, connection: _Connection, *, writes: bool = False) -> None:
        """Start a transaction that sees everything as of its first SELECT."""
        if writes:
            self.begin(connection)
        else:
            # Takes no lock, so that it never waits for the writer [SQLite, "Transaction"].
            connection.execute("BEGIN DEFERRED")

    def execute(self, cursor: Cursor, text: str, params: Params) -> None:
        """Execute a statement with ``:name`` parameters."""
        text, params = with_spans(text, params)
        cursor.execute(text.replace(EXACTLY, ""), dict(params))  # as it compares anyway

    def select(
        self, connection: _Connection, text: str, params: Params, max_rows: int
    ) -> Sequence[Row]:
        """Run a SELECT, reading no more rows than allowed."""
        with contextlib.closing(connection.cursor()) as cursor:
            self.execute(cursor, text, params)
            rows: Sequence[Row] = cursor.fetchmany(max_rows + 1)
        if len(rows) > max_rows:
            raise RowLimitError(f"more than {max_rows} rows")
        return rows

    def verdict(self, error: BaseException) -> ClassifiedError | None:
        """Classify by the extended result code; a code in no table is UNKNOWN."""
        if isinstance(error, UnicodeEncodeError | OverflowError | sqlite3.DataError):
            return VALUE
        if not isinstance(error, sqlite3.Error):
            return None
        if isinstance(error, FileGoneError):
            return GONE
        if str(error).startswith("no such table"):  # has no code of its own
            return MISSING
        code: int | None = getattr(error, "sqlite_errorcode", None)
        if code is None:  # Python's own: of a closed connection, or of a wrong call
            return UNREACHABLE if "closed" in str(error) else None
        unknown = ClassifiedError(ErrorKind.UNKNOWN, f"fails with error {code}")
        # The low byte is the primary result code [SQLite, "Result and Error Codes"].
        return DUPLICATE if code in _UNIQUE else _BY_CODE.get(code & 0xFF, unknown)


DEFINITION = DriverDefinition("sqlite", SQLiteDriver.from_url)
