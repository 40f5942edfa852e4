"""What only a database file can do to a pool."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.db.pool import PooledDatabase
from buildapi.db.sql import Query, Statement
from buildapi.errors import DatabaseUnavailable
from tests.db.conftest import OpenPool, check_round_trip, for_texts
from tests.reactor import twisted_test, until

TABLE = Statement("CREATE TABLE IF NOT EXISTS t (n INTEGER, s TEXT)")
ADD = Statement("INSERT INTO t (n) VALUES (1)", rows=1)
COUNT = Query("SELECT COUNT(*) FROM t", int)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "what? #1.sqlite"


@pytest.fixture
def db(path: Path, open_pool: OpenPool) -> PooledDatabase:
    return open_pool(f"sqlite:{path}")


@twisted_test(10)
async def test_the_file_and_its_folder_are_made_in_wal_mode(db: PooledDatabase, path: Path) -> None:
    await db.transact([TABLE])
    assert [r[2] for r in await db.fetch("PRAGMA database_list", {})] == [str(path)]
    assert [tuple(r) for r in await db.fetch("PRAGMA journal_mode", {})] == [("wal",)]


@twisted_test(10)
async def test_a_read_only_pool_makes_nothing(path: Path, open_pool: OpenPool) -> None:
    db = open_pool(f"sqlite:{path}", read_only=True)
    with pytest.raises(DatabaseUnavailable, match="cannot be opened"):
        await COUNT.many(db)
    assert not path.parent.exists()


@twisted_test(10)
async def test_a_file_that_is_no_database_is_unavailable(
    tmp_path: Path, open_pool: OpenPool
) -> None:
    (tmp_path / "text").write_text("no database at all, however long this text may be\n" * 50)
    db = open_pool(f"sqlite:{tmp_path / 'text'}")
    with pytest.raises(DatabaseUnavailable, match="cannot be opened or read"):
        await COUNT.many(db)


@twisted_test(10)
async def test_a_database_in_memory_is_one_database(open_pool: OpenPool) -> None:
    db = open_pool("sqlite::memory:")
    await db.transact([TABLE, ADD])
    assert await gatherResults([ensureDeferred(COUNT.many(db)) for _ in range(5)]) == [[1]] * 5


@twisted_test(20)
async def test_writers_of_two_processes_all_get_through(path: Path, open_pool: OpenPool) -> None:
    pools = [open_pool(f"sqlite:{path}", max_waiting=200) for _ in range(2)]
    await pools[0].transact([TABLE])
    await gatherResults(
        [ensureDeferred(pool.transact([ADD, ADD])) for _ in range(100) for pool in pools]
    )
    assert await COUNT.many(pools[0]) == [400]


@twisted_test(20)
async def test_transactions_that_read_before_they_write_get_through(
    path: Path, open_pool: OpenPool
) -> None:
    """A reader of two processes could not become the writer when both try."""
    pools = [open_pool(f"sqlite:{path}") for _ in range(2)]
    await pools[0].transact([TABLE, Statement("INSERT INTO t (n) VALUES (0)")])

    def count_up(transaction: sqlite3.Cursor) -> None:
        transaction.execute("SELECT n FROM t")
        (n,) = transaction.fetchone()
        time.sleep(0.005)
        transaction.execute("UPDATE t SET n = :n", {"n": n + 1})

    await gatherResults([pool.runInteraction(count_up) for _ in range(10) for pool in pools])
    assert [tuple(r) for r in await pools[0].fetch("SELECT n FROM t", {})] == [(20,)]


@twisted_test(10)
async def test_readers_do_not_wait_for_a_writer(db: PooledDatabase) -> None:
    await db.transact([TABLE, ADD])

    deleted, read = Event(), Event()

    def slow(transaction: sqlite3.Cursor) -> None:
        transaction.execute("DELETE FROM t")
        deleted.set()
        assert read.wait(30)

    writing = db.runInteraction(slow)
    await until(deleted.is_set)
    assert await COUNT.many(db) == [1]
    assert not writing.called
    read.set()
    await writing
    assert await COUNT.many(db) == [0]


@twisted_test(10)
async def test_a_file_locked_by_somebody_else_is_unavailable_after_a_while(
    path: Path, open_pool: OpenPool
) -> None:
    db = open_pool(f"sqlite:{path}", statement_seconds=0.3)
    await db.transact([TABLE])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="the test database is blocked by locks"):
            await db.transact([ADD])
    await db.transact([ADD])
    assert await COUNT.many(db) == [1]


@twisted_test(10)
async def test_bytes_that_are_no_utf8_do_not_break_a_listing(db: PooledDatabase) -> None:
    await db.transact([TABLE, Statement("INSERT INTO t (s) VALUES (CAST(x'61ff62' AS TEXT))")])
    assert [tuple(r) for r in await db.fetch("SELECT s FROM t", {})] == [("a\ufffdb",)]


@twisted_test(10)
async def test_a_transaction_past_its_time_writes_nothing(path: Path, open_pool: OpenPool) -> None:
    db = open_pool(f"sqlite:{path}", statement_seconds=0.3)
    await db.transact([TABLE])
    endless = """INSERT INTO t (n) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
     LIMIT 1000000000) SELECT COUNT(*) FROM n"""
    with pytest.raises(DatabaseUnavailable, match="took too long"):
        await db.transact([ADD, Statement(endless)])
    assert await COUNT.many(db) == [0]
    await db.transact([ADD])
    assert await COUNT.many(db) == [1]


@for_texts
@twisted_test(10)
async def test_texts_come_back_as_they_were(db: PooledDatabase, text: str) -> None:
    table = "CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, s TEXT)"
    await db.transact([Statement(table)])
    await check_round_trip(db, text)


@twisted_test(10)
async def test_a_file_that_is_deleted_under_a_running_process_is_noticed_at_the_next_call(
    tmp_path: Path, open_pool: OpenPool, logged_errors: list[Any]
) -> None:
    file = tmp_path / "jobs.sqlite"
    db = open_pool(f"sqlite:{file}", name="jobs")
    await db.transact([TABLE, ADD])
    assert await COUNT.maybe(db) == 1
    kept = file.rename(tmp_path / "moved.sqlite")
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable, match="the jobs database"):
            await db.transact([ADD])
        with pytest.raises(DatabaseUnavailable, match="the jobs database"):
            await COUNT.maybe(db)
    assert not file.exists(), "no empty one hides the loss"
    assert any(
        "was deleted or moved while in use" in event["log_format"] for event in logged_errors
    )
    logged_errors.clear()
    kept.rename(file)
    await db.transact([ADD])
    assert await COUNT.maybe(db) == 2


@twisted_test(10)
async def test_a_file_that_is_replaced_is_used_from_then_on(
    tmp_path: Path, open_pool: OpenPool
) -> None:
    backup = open_pool(f"sqlite:{tmp_path / 'backup.sqlite'}")
    await backup.transact([TABLE, ADD, ADD, ADD])
    await backup.stopService()
    db = open_pool(f"sqlite:{tmp_path / 'jobs.sqlite'}")
    await db.transact([TABLE, ADD])
    assert await COUNT.maybe(db) == 1
    (tmp_path / "backup.sqlite").rename(tmp_path / "jobs.sqlite")
    for leftover in ("-wal", "-shm"):
        (tmp_path / f"jobs.sqlite{leftover}").unlink(missing_ok=True)
    assert await COUNT.maybe(db) == 3
    await db.transact([ADD])
    assert await COUNT.maybe(db) == 4
