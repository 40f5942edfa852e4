"""Run transactions in adbapi's threads, with one connection for each thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from twisted.enterprise import adbapi

from buildapi.db.driver import Connection, Cursor, Driver
from buildapi.db.sql import GuardFailedError, Params, Read, Ref, Row, Statement, Write
from buildapi.errors import DatabaseUnavailable
from buildapi.reactor_time import ThreadedReactor

T = TypeVar("T")


class Transaction(adbapi.Transaction):
    """Extend adbapi's cursor: a mapping holds ``:name`` parameters, a sequence the driver's own."""

    _cursor: Cursor

    def execute(self, text: str, params: Params | Sequence[object] = ()) -> None:
        """Execute one statement."""
        if params and not isinstance(params, Mapping):
            self._cursor.execute(text, params)
        else:
            self._pool.driver.execute(self._cursor, text, params or {})


class ThreadConnections(adbapi.ConnectionPool):
    """Extend adbapi's pool: check connections before use, and drop those that are broken."""

    def __init__(self, driver: Driver[Connection], reactor: ThreadedReactor, size: int) -> None:
        # Without cp_reconnect, which notices a lost connection only by a query that fails, one for
        # each thread [Twisted, adbapi.ConnectionPool]: connect() checks first.
        super().__init__(driver.module, cp_reactor=reactor, cp_min=0, cp_max=size)  # type: ignore[no-untyped-call]  # adbapi is not typed
        self.driver = driver
        self._used: dict[int, float] = {}

    def connect(self) -> Connection:
        """Return this thread's connection, a new one if the old one is dead."""
        thread = threading.get_ident()
        connection: Connection | None = self.connections.get(thread)
        if connection is not None:
            idle = time.monotonic() - self._used[thread]
            if self._is_ready(connection, idle):
                return connection
        new = self.connections[thread] = self.driver.connect()
        return new

    def _is_ready(self, connection: Connection, idle: float) -> bool:
        ready = False
        try:
            ready = self.driver.ready(connection, idle)
        finally:
            if not ready:
                self._drop(connection)
        return ready

    def call(self, work: Callable[[Connection], T]) -> T:
        """Call a function with this thread's connection."""
        connection = self.connect()
        try:
            return work(connection)
        except BaseException:
            if not self.driver.usable(connection):
                self._drop(connection)
            raise
        finally:
            self._used[threading.get_ident()] = time.monotonic()

    def connecting(self) -> float:
        """Open a new connection for this thread; return the seconds that took.

        The old one stays open until then: a server at its connection limit must not take it from
        us.
        """
        thread, began = threading.get_ident(), time.monotonic()
        old = self.connections.get(thread)
        # A connection to :memory: that is replaced takes its data with it.
        if old is None or not self.driver.shared:
            self.connections[thread] = self.driver.connect()
        self._used[thread] = time.monotonic()
        if old not in (None, self.connections[thread]):
            self.driver.close(old)
        return self._used[thread] - began

    def _drop(self, connection: Connection) -> None:
        self.connections.pop(threading.get_ident(), None)
        self.driver.close(connection)

    def close_all(self) -> None:
        """Close all connections; no thread may be using one."""
        while self.connections:
            self.driver.close(self.connections.popitem()[1])

    def cut(self) -> None:
        """Make running statements fail soon, in every thread."""
        # A copy, since the threads may add and drop connections meanwhile.
        for connection in list(self.connections.values()):
            self.driver.cut(connection)

    def select(
        self, text: str, params: Params, max_rows: int
    ) -> Callable[[Connection], Sequence[Row]]:
        """Return a function that runs a SELECT on a connection."""
        return lambda connection: self.driver.select(connection, text, params, max_rows)

    def snapshot(
        self, reading: Callable[[Read], T], max_rows: int, seconds: float, late: str
    ) -> Callable[[Connection], T]:
        """Return a function that runs SELECTs in one snapshot.

        After ``seconds`` no further SELECT begins; ``late`` is the text of the error raised then.
        """

        def read_all(connection: Connection) -> T:
            return reading(self._read(connection, max_rows, seconds, late))

        return self._whole(read_all, self.driver.begin_snapshot)

    def decide(
        self, deciding: Callable[[Read, Write], T], max_rows: int, seconds: float, late: str
    ) -> Callable[[Connection], T]:
        """Return a function that reads in a snapshot, and writes in the same transaction."""

        def read_and_write(connection: Connection) -> T:
            def write(statements: Sequence[Statement]) -> Sequence[int]:
                return _execute_all(self.driver, connection, statements)

            return deciding(self._read(connection, max_rows, seconds, late), write)

        return self._whole(read_and_write, partial(self.driver.begin_snapshot, writes=True))

    def _read(self, connection: Connection, max_rows: int, seconds: float, late: str) -> Read:
        end = time.monotonic() + seconds

        def read(text: str, params: Params) -> Sequence[Row]:
            if time.monotonic() > end:
                raise DatabaseUnavailable(late)
            return self.driver.select(connection, text, params, max_rows)

        return read

    def transact(self, statements: Sequence[Statement]) -> Callable[[Connection], list[int]]:
        """Return a function that runs the statements in one transaction."""
        return self._whole(lambda connection: _execute_all(self.driver, connection, statements))

    def interact(
        self, function: Callable[..., T], *args: object, **kw: object
    ) -> Callable[[Connection], T]:
        """Return a function that calls another with a :class:`Transaction`."""

        def interaction(connection: Connection) -> T:
            transaction = Transaction(self, connection)  # type: ignore[no-untyped-call]  # adbapi is not typed
            result = function(transaction, *args, **kw)
            transaction.close()  # type: ignore[no-untyped-call]  # adbapi is not typed
            return result

        return self._whole(interaction)

    def _whole(
        self, work: Callable[[Connection], T], begin: Callable[[Connection], None] | None = None
    ) -> Callable[[Connection], T]:
        """Wrap a function in a transaction that is rolled back if it raises."""

        def transaction(connection: Connection) -> T:
            (begin or self.driver.begin)(connection)
            try:
                result = work(connection)
                connection.commit()
            except BaseException:
                self._roll_back(connection)
                raise
            return result

        return transaction

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.rollback()
        except Exception:  # closing rolls back as well
            self.driver.close(connection)


def _execute_all(
    driver: Driver[Connection], connection: Connection, statements: Sequence[Statement]
) -> list[int]:
    ids: list[int] = []
    bound: dict[str, int] = {}
    for statement in statements:
        with contextlib.closing(connection.cursor()) as cursor:
            driver.execute(cursor, statement.text, _resolved(statement.params, bound))
            if statement.rows is not None and cursor.rowcount != statement.rows:
                raise GuardFailedError(statement, cursor.rowcount)
            # None before the first INSERT of a connection, in sqlite3.
            ids.append(cursor.lastrowid or 0)
        if statement.binds is not None:
            bound[statement.binds] = ids[-1]
    return ids


def _resolved(params: Params, bound: Mapping[str, int]) -> dict[str, object]:
    return {
        key: bound[value.name] if isinstance(value, Ref) else value for key, value in params.items()
    }
