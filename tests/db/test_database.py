"""Several reads of one moment: pools on each engine, and the double of other tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from buildapi.db.pool import PooledDatabase
from buildapi.db.sql import Database, Read, RowLimitError, Statement
from buildapi.errors import DatabaseUnavailable
from tests.buildbot.seed import connect
from tests.db.conftest import OpenPool
from tests.db.database_contract import (
    ADD,
    NUMBERS,
    ConcurrentDatabaseContract,
    DatabaseContract,
    adding,
)
from tests.db.scripted import ScriptedDatabase
from tests.reactor import twisted_test
from tests.sample.direct import DirectDatabase

TABLE = "CREATE TABLE numbers (n INTEGER NOT NULL UNIQUE)"
TABLES = {"sqlite": TABLE, "mysql": f"{TABLE} ENGINE=InnoDB"}


@pytest.fixture
def made(url: str, engine: str, open_pool: OpenPool) -> str:
    """Return the URL of a database with the table."""
    pytest_twisted.blockon(ensureDeferred(open_pool(url).transact([Statement(TABLES[engine])])))
    return url.replace("sqlite:", "sqlite:///")


@pytest.fixture
def numbers(made: str, open_pool: OpenPool) -> PooledDatabase:
    return open_pool(made, size=2)


@pytest.fixture
def write(made: str) -> Callable[[int], None]:
    """Write from the thread that reads, over a connection of another program."""

    def write(n: int) -> None:
        connection = connect(made)
        connection.cursor().execute(ADD.replace(":n", str(n)))
        connection.close()

    return write


class TestPools(ConcurrentDatabaseContract):
    """A pool, on each engine."""

    @twisted_test(20)
    async def test_each_read_has_the_row_bound_of_the_pool(
        self, made: str, open_pool: OpenPool
    ) -> None:
        small = open_pool(made, max_rows=2)
        await small.transact(adding(1, 2))
        assert await small.snapshot(lambda r: NUMBERS.all_of(r) + NUMBERS.all_of(r)) == [1, 2, 1, 2]
        await small.transact(adding(3))
        with pytest.raises(RowLimitError, match="more than 2 rows"):
            await small.snapshot(NUMBERS.all_of)
        assert await small.fetch("SELECT 1", {}) is not None

    @twisted_test(20)
    async def test_no_read_begins_after_the_time_of_a_statement(
        self, made: str, open_pool: OpenPool
    ) -> None:
        hurried = open_pool(made, statement_seconds=0.3)

        def reading(read: Read) -> None:
            while True:
                NUMBERS.all_of(read)

        with pytest.raises(DatabaseUnavailable, match="the test database took too long"):
            await hurried.snapshot(reading)
        assert await hurried.snapshot(NUMBERS.all_of) == []

    @twisted_test(20)
    async def test_writes_after_a_snapshot_see_what_others_committed(
        self, numbers: PooledDatabase, write: Callable[[int], None]
    ) -> None:
        """The isolation of a snapshot ends with it: guarded writes must not see old rows."""
        for _ in range(4):
            await numbers.snapshot(NUMBERS.all_of)
        write(5)
        await numbers.transact([Statement("UPDATE numbers SET n = 6 WHERE n = 5", {}, 1)])
        assert await numbers.snapshot(NUMBERS.all_of) == [6]


class TestDouble(DatabaseContract):
    """The database that answers at once."""

    @pytest.fixture
    def numbers(self) -> Database:
        connection = sqlite3.connect(":memory:")
        connection.execute(TABLE)
        return DirectDatabase(connection)


class TestScripted(DatabaseContract):
    """The double that keeps what it is asked."""

    @pytest.fixture
    def numbers(self, made: str, open_pool: OpenPool) -> ScriptedDatabase:
        return ScriptedDatabase(open_pool(made, size=2))
