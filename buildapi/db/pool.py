"""Pool database connections, with bounds and deadlines, without blocking the reactor."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore, TimeoutError, ensureDeferred
from twisted.logger import Logger

from buildapi.db import mysql, sqlite
from buildapi.db.driver import ClassifiedError, Connection, Driver, DriverDefinition, ErrorKind
from buildapi.db.sql import (
    DuplicateError,
    MissingTableError,
    Params,
    Read,
    Row,
    Statement,
    ValueRefusedError,
    Write,
    any_of,
)
from buildapi.db.thread_connections import ThreadConnections
from buildapi.errors import ConfigError, DatabaseUnavailable, TableDenied, UnclassifiedError
from buildapi.model.health import PoolStatus
from buildapi.reactor_time import ThreadedReactor, in_pool, pause, timeout

T = TypeVar("T")

DRIVERS: Mapping[str, DriverDefinition] = {
    "sqlite": sqlite.DEFINITION,
    "mysql": mysql.DEFINITION,
    "mysql+pymysql": mysql.DEFINITION,  # as SQLAlchemy spells it
}
"""Driver for each URL scheme."""


def driver_of(url: str) -> DriverDefinition:
    """Return what is known of the driver for a URL of the configuration."""
    return DRIVERS[url.partition(":")[0]]


PAUSES = (0.05, 0.1, 0.2)
"""Seconds before each retry of a transaction, varied at random by up to half."""
AGAIN = {ErrorKind.LOST, ErrorKind.CONFLICT, ErrorKind.UNKNOWN}


CUT_SECONDS = 1.0
"""Seconds for a thread to notice that its connection was cut off."""

Observed = Callable[[str, float, str], None]
"""Called after each call with the pool's name, the seconds, and ok, unavailable or refused."""


@attrs.define(eq=False)
class WorkerPool:
    """Run work in threads with one connection each, behind a bounded queue.

    ``answered_at`` is the time of the last answer, in seconds of the reactor.
    """

    label: str
    connections: ThreadConnections
    _reactor: ThreadedReactor
    _slots: DeferredSemaphore
    _max_waiting: int
    _wait_seconds: float
    answered_at: float = float("-inf")
    _closed: bool = False
    _ended: bool = False

    @property
    def in_flight(self) -> int:
        """Return the number of busy threads, including those whose callers gave up."""
        return self._slots.limit - self._slots.tokens

    @property
    def waiting(self) -> int:
        """Return the number of callers that wait for a thread."""
        return len(self._slots.waiting)

    @property
    def full(self) -> bool:
        """Return whether every thread is busy."""
        return self._slots.tokens == 0

    async def call(self, work: Callable[[], T]) -> T:
        """Call a function in a thread.

        A caller cancelled while waiting leaves the queue; one cancelled later does not stop the
        work, and its thread is free only when the work ends.
        """
        await self._slot()
        if self._closed:
            self._slots.release()
            raise DatabaseUnavailable(f"{self.label} is closed")
        ended = in_pool(self._reactor, self.connections.threadpool, work)
        # A Deferred of its own: cancelling the thread's would free the slot while the thread still
        # works.
        answer: Deferred[T] = Deferred()
        ended.addBoth(self._free).addCallbacks(answer.callback, answer.errback)
        return await answer

    async def _slot(self) -> None:
        if self._slots.tokens == 0 and self.waiting >= self._max_waiting:
            raise DatabaseUnavailable(f"{self.label} is busy: {self.waiting} queries already wait")
        turn = self._slots.acquire()
        if not turn.called:
            timeout(turn, self._wait_seconds, self._reactor)
        try:
            await turn
        except TimeoutError as e:
            raise DatabaseUnavailable(
                f"{self.label} is busy: no free connection within {self._wait_seconds:g} s"
            ) from e

    def _free(self, result: T) -> T:
        self._slots.release()
        return result

    async def close(self) -> None:
        """Close the connections and end the threads, which must be idle."""
        self.refuse()
        if self._ended:
            return
        self._ended = True
        if self.connections.running:
            # In a thread, since COM_QUIT may block on a full socket.
            await in_pool(self._reactor, self.connections.threadpool, self.connections.close_all)
        # Only now: adbapi joins its threads, and a running query would block the reactor until it
        # ends.
        self.connections.close()  # type: ignore[no-untyped-call]  # adbapi is not typed

    def refuse(self) -> None:
        """Accept no new work."""
        self._closed = True

    def cut(self) -> None:
        """Accept no new work, and make running work fail soon."""
        self.refuse()
        self.connections.cut()


@attrs.define(eq=False)
class PooledDatabase(Service):
    """Provide a database to the reactor, open from the start until ``stopService``.

    The methods of :class:`buildapi.db.sql.Database` retry after lost connections and deadlocks;
    those with adbapi's names do not, since only their callers know whether that is safe. Cancelling
    a Deferred ends the waiting, not the query. Large results of a pure Python driver block the
    reactor through the interpreter lock; ``sys.setswitchinterval`` softens that.
    """

    name: str
    dialect: str
    _driver: Driver[Connection]
    _reads: WorkerPool
    _writes: WorkerPool
    _reactor: ThreadedReactor
    _max_rows: int
    _statement_seconds: float
    _drain_seconds: float
    _observed: Observed
    _calls: int = 0
    _stopping: bool = False
    _last_error: str | None = None
    _last_error_at: float | None = None
    _asked_at: float | None = None
    _log = Logger()

    async def fetch(self, text: str, params: Params) -> Sequence[Row]:
        """Run one SELECT; :raises RowLimitError: more rows than the pool allows."""
        work = self._reads.connections.select(text, params, self._max_rows)
        return await self._run(self._reads, work, PAUSES)

    async def snapshot(self, reading: Callable[[Read], T]) -> T:
        """Run several SELECTs that all see the database as it is at the first of them.

        :raises RowLimitError: a SELECT returned more rows than the pool allows.
        """
        work = self._reads.connections.snapshot(reading, *self._bounds())
        return await self._run(self._reads, work, PAUSES)

    async def decide(self, deciding: Callable[[Read, Write], T]) -> T:
        """Run one transaction whose statements depend on what it reads.

        :raises GuardFailedError: nothing was written.
        :raises DuplicateError: nothing was written.
        :raises ValueRefusedError: nothing was written.
        :raises RowLimitError: a SELECT returned more rows than the pool allows.
        """
        work = self._writes.connections.decide(deciding, *self._bounds())
        return await self._run(self._writes, work, PAUSES)

    def _bounds(self) -> tuple[int, float, str]:
        late = f"the {self.name} database took too long"
        return self._max_rows, self._statement_seconds, late

    async def transact(self, statements: Sequence[Statement]) -> Sequence[int]:
        """Run all statements in one transaction; return the last inserted id of each.

        :raises GuardFailedError: nothing was written.
        :raises DuplicateError: nothing was written.
        :raises ValueRefusedError: nothing was written.
        """
        work = self._writes.connections.transact(statements)
        return await self._run(self._writes, work, PAUSES)

    async def transactional(self, tables: Iterable[str]) -> bool:
        """Return whether the engines of all these tables have transactions."""
        if self._driver.foreign_engines is None:
            return True
        names, params = any_of("table", list(tables))
        rows = await self.fetch(self._driver.foreign_engines.format(tables=names), params)
        return bool(rows[0][0] == 0)

    def runQuery(self, text: str, params: Params | None = None) -> Deferred[Sequence[Row]]:
        """Run one SELECT without retrying."""
        work = self._reads.connections.select(text, params or {}, self._max_rows)
        return ensureDeferred(self._run(self._reads, work))

    def runOperation(self, text: str, params: Params | Sequence[object] = ()) -> Deferred[None]:
        """Run one statement in a transaction of its own, without retrying."""
        return self.runInteraction(lambda transaction: transaction.execute(text, params))

    def runInteraction(
        self, function: Callable[..., T], *args: object, **kw: object
    ) -> Deferred[T]:
        """Call a function with a cursor, in a thread, within one transaction."""
        work = self._writes.connections.interact(function, *args, **kw)
        return ensureDeferred(self._run(self._writes, work))

    async def connecting(self, seconds: float) -> float | None:
        """Open a new connection without a query; return the seconds that took.

        It takes the place of a query, whose connection it replaces: for a moment there is one more
        than allowed. Return None if all threads stay busy, and one of them had an answer within the
        time of a statement.

        :raises DatabaseUnavailable: no connection within ``seconds``.
        """
        began, lane = self._reactor.seconds(), self._reads
        trying = ensureDeferred(self._within_service(lane, lane.connections.connecting, ()))
        try:
            return await timeout(trying, seconds, self._reactor)
        except (TimeoutError, DatabaseUnavailable) as e:
            if lane.full and lane.answered_at >= began - self._statement_seconds:
                return None
            if isinstance(e, DatabaseUnavailable):
                raise
            late = f"the {self.name} database gives no connection within {seconds:g} s"
            raise DatabaseUnavailable(late) from e

    def status(self) -> PoolStatus:
        """Return the state of the pool, without a query."""
        return PoolStatus(
            sum(lane.in_flight for lane in self._lanes()),
            sum(lane.waiting for lane in self._lanes()),
            self._last_error,
            self._last_error_at,
            None if self._asked_at is None else self._reactor.seconds() - self._asked_at,
        )

    def stopService(self) -> Deferred[None]:
        """Stop accepting work, let accepted work end, then close; the reactor runs on meanwhile.

        After ``drain_seconds`` waiting calls are refused and running ones are cut off; otherwise
        the process would wait for its threads. A thread that does not notice is abandoned; a later
        call then closes the pool.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Service is not typed
        self._stopping = True
        return ensureDeferred(self._drain())

    async def _drain(self) -> None:
        if not await self._idle(self._drain_seconds):
            self._log.warn("{name}: aborting queries that still run", name=self.name)
            for lane in self._lanes():
                lane.cut()
            if not await self._idle(CUT_SECONDS):
                return
        for lane in self._lanes():
            await lane.close()

    async def _idle(self, seconds: float) -> bool:
        """Wait until nothing runs; return whether that was so in time."""
        end = self._reactor.seconds() + seconds
        # in_flight counts threads whose callers have given up, _calls the pauses between attempts.
        while self._calls or self.status().in_flight:
            if self._reactor.seconds() > end:
                return False
            await pause(self._reactor, 0.02)
        return True

    def _lanes(self) -> Iterable[WorkerPool]:
        return dict.fromkeys((self._reads, self._writes))

    async def _run(
        self, lane: WorkerPool, work: Callable[[Connection], T], pauses: Sequence[float] = ()
    ) -> T:
        began, result = self._reactor.seconds(), "refused"
        self._asked_at = began if self._asked_at is None else self._asked_at
        try:
            job = partial(lane.connections.call, work)
            answer = await self._within_service(lane, job, pauses)
            result, lane.answered_at = "ok", self._reactor.seconds()
            # Calls still under way count from this answer on: it shows that the database is there.
            self._asked_at = lane.answered_at if self._calls else None
        except DatabaseUnavailable:
            result = "unavailable"
            raise
        finally:
            self._observed(self.name, self._reactor.seconds() - began, result)
        return answer

    async def _within_service(
        self, lane: WorkerPool, work: Callable[[], T], pauses: Sequence[float]
    ) -> T:
        try:
            if self._stopping:
                raise DatabaseUnavailable(f"{lane.label} is closed")
            self._calls += 1
            try:
                return await self._attempts(lambda: lane.call(work), pauses)
            finally:
                self._calls -= 1
        except DatabaseUnavailable as e:
            self._last_error, self._last_error_at = e.msg, time.time()
            raise

    async def _attempts(self, attempt: Callable[[], Awaitable[T]], pauses: Sequence[float]) -> T:
        end = self._reactor.seconds() + self._statement_seconds
        left = list(pauses)
        while True:
            try:
                return await attempt()
            except Exception as e:
                verdict = self._driver.verdict(e)
                if verdict is None:
                    raise
                # LOST and UNKNOWN may come after a commit: Database.transact tells its callers.
                if not left or verdict.trouble not in AGAIN or self._reactor.seconds() >= end:
                    raise self._error(verdict, e) from e
                self._log.info("{name}: retrying after {error}", name=self.name, error=e)
            await pause(self._reactor, left.pop(0) * random.uniform(0.5, 1.5))

    def _error(self, verdict: ClassifiedError, error: Exception) -> Exception:
        text = f"the {self.name} database {verdict.text}"
        match verdict.trouble:
            case ErrorKind.DUPLICATE:
                return DuplicateError(text)
            case ErrorKind.VALUE:
                return ValueRefusedError(f"{text}: {error}"[:300])
            case ErrorKind.MISSING:
                return MissingTableError(f"{text}: {error}"[:300])
            case ErrorKind.UNKNOWN:
                self._log.warn("{text} (unknown error): {error}", text=text, error=error)
                return UnclassifiedError(text)
            case ErrorKind.DENIED:
                return TableDenied(text)
            case ErrorKind.LOST | ErrorKind.CONFLICT | ErrorKind.UNAVAILABLE:
                return DatabaseUnavailable(text)


def open_database(
    url: str,
    *,
    reactor: ThreadedReactor,
    name: str,
    size: int,
    max_waiting: int,
    statement_seconds: float,
    max_rows: int,
    password: str | None = None,
    tls_ca: str | None = None,
    read_only: bool = False,
    drain_seconds: float = 10.0,
    observed: Observed = lambda _name, _seconds, _result: None,
) -> PooledDatabase:
    """Create the pool for ``sqlite:PATH`` or ``mysql://user@host:port/dbname?unix_socket=...``.

    Nothing connects before the first query. ``size`` bounds the connections (for SQLite the
    readers; it has one writer), ``max_waiting`` the callers that wait for one,
    ``statement_seconds`` that wait and each statement, ``max_rows`` the result of a SELECT. With
    every engine, row counts are of rows matched, sums are plain numbers, and dates are texts
    ``YYYY-MM-DD HH:MM:SS``.

    :raises ConfigError: the URL is wrong.
    """
    scheme = url.partition(":")[0]
    if scheme not in DRIVERS:
        raise ConfigError(f"{name}: database URL of kind {scheme!r}; allowed: {sorted(DRIVERS)}")
    driver = DRIVERS[scheme].open(
        url,
        name=name,
        seconds=statement_seconds,
        read_only=read_only,
        password=password,
        tls_ca=tls_ca,
    )

    def lane(threads: int) -> WorkerPool:
        return WorkerPool(
            f"the {name} database",
            ThreadConnections(driver, reactor, threads),
            reactor,
            DeferredSemaphore(threads),
            max_waiting,
            statement_seconds,
        )

    # Each connection to :memory: has a database of its own [SQLite, "In-Memory Databases"].
    reads = lane(1 if driver.shared else size)
    # Writers of one process wait in the order of the pool's queue, instead of polling for SQLite's
    # lock [SQLite, sqlite3_busy_timeout].
    apart = driver.one_writer and not driver.shared and not read_only
    return PooledDatabase(
        name,
        driver.dialect,
        driver,
        reads,
        lane(1) if apart else reads,
        reactor,
        max_rows,
        statement_seconds,
        drain_seconds,
        observed,
    )
