"""SQLite that fails as a server of MySQL or MariaDB would, at a call and as often as planned."""

from __future__ import annotations

from typing import Any

import attrs
import pymysql
from twisted.internet.defer import DeferredSemaphore

from buildapi.db.driver import ClassifiedError
from buildapi.db.mysql import MySQLDriver
from buildapi.db.pool import PooledDatabase, WorkerPool
from buildapi.db.sqlite import MEMORY, SQLiteDriver
from buildapi.db.thread_connections import ThreadConnections

SERVER = MySQLDriver({}, 1)


@attrs.define(eq=False)
class _Connection:
    """A connection whose commit may fail once it is done."""

    inner: Any
    faults: Faults
    deadline: float = 0.0

    def commit(self) -> None:
        self.inner.commit()
        self.faults.pass_by("commit")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@attrs.define(eq=False)
class Faults:
    """Raise error ``number`` ``times`` times, at calls of ``stage`` after the first ``after``."""

    number: int = 0
    stage: str = ""
    after: int = 0
    times: int = 0

    def pass_by(self, stage: str) -> None:
        if stage != self.stage or self.times == 0:
            return
        if self.after:
            self.after -= 1
            return
        self.times -= 1
        raise pymysql.OperationalError(self.number, "a fault that was planned")


@attrs.define(eq=False)
class FaultyDriver:
    """A database in memory; what it is told fails as planned."""

    faults: Faults
    inner: SQLiteDriver = attrs.field(factory=lambda: SQLiteDriver(MEMORY, 5))

    def connect(self) -> Any:
        return _Connection(self.inner.connect(), self.faults)

    def usable(self, connection: Any) -> bool:
        return connection is not None  # in memory: no other connection has the data

    def begin(self, connection: Any) -> None:
        self.faults.pass_by("begin")
        self.inner.begin(connection)

    def execute(self, cursor: Any, text: str, params: Any) -> None:
        self.faults.pass_by("execute")
        self.inner.execute(cursor, text, params)

    def select(self, connection: Any, text: str, params: Any, max_rows: int) -> Any:
        self.faults.pass_by("select")
        return self.inner.select(connection, text, params, max_rows)

    def verdict(self, error: BaseException) -> ClassifiedError | None:
        judge = SERVER if isinstance(error, pymysql.MySQLError) else self.inner
        return judge.verdict(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def faulty_database(faults: Faults) -> PooledDatabase:
    """Open a database in memory that fails as planned."""
    from twisted.internet import reactor

    driver: Any = FaultyDriver(faults)
    running: Any = reactor
    one = DeferredSemaphore(1)
    lane = WorkerPool(
        "the jobs database", ThreadConnections(driver, running, 1), running, one, 100, 5
    )
    return PooledDatabase(
        "jobs", "sqlite", driver, lane, lane, running, 1000, 5, 5, lambda *_: None
    )
