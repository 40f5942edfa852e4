"""What every pool promises, whatever the engine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, gatherResults
from twisted.internet.task import Clock

from buildapi.db.pool import PooledDatabase
from buildapi.db.sql import (
    Database,
    DuplicateError,
    GuardFailedError,
    MissingTableError,
    Query,
    Ref,
    RowLimitError,
    Statement,
    ValueRefusedError,
    any_of,
)
from buildapi.errors import DatabaseUnavailable
from tests.db.conftest import OpenPool
from tests.patience import PATIENCE
from tests.reactor import sleep, twisted_test, until

TABLES = {
    "sqlite": [
        "CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER, name TEXT)",
    ],
    "mysql": [
        "CREATE TABLE parent (id INTEGER PRIMARY KEY AUTO_INCREMENT,"
        " name VARCHAR(100) NOT NULL UNIQUE) ENGINE=InnoDB",
        "CREATE TABLE child (id INTEGER PRIMARY KEY AUTO_INCREMENT, parent INTEGER,"
        " name LONGTEXT) ENGINE=InnoDB",
    ],
}
COUNTING = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {limit})
 SELECT {what} FROM n"""
FOR_EVER = {
    "sqlite": COUNTING.format(limit=10**12, what="COUNT(*)"),
    "mysql": "SELECT SLEEP(60)",
}
ADD_PARENT = "INSERT INTO parent (name) VALUES (:name)"
NAMES = Query("SELECT name FROM parent ORDER BY id", str)


@pytest.fixture
def made(url: str, engine: str, open_pool: OpenPool) -> str:
    """Return the URL of a database with tables."""
    pool = open_pool(url)
    statements = [Statement(text) for text in TABLES[engine]]
    pytest_twisted.blockon(ensureDeferred(pool.transact(statements)))
    return url


@pytest.fixture
def db(made: str, open_pool: OpenPool) -> PooledDatabase:
    return open_pool(made)


@pytest.fixture
def gate(open_pool: OpenPool) -> Iterator[Gate]:
    """Hold threads of a pool until the test lets them go on, at the latest when it ends."""
    gate = Gate()
    yield gate
    gate.open()


@attrs.frozen
class Gate:
    """What a thread of a pool waits at; ``reached`` is set as soon as one does."""

    reached: Event = attrs.field(factory=Event)
    _opened: Event = attrs.field(factory=Event)

    def hold(self, *_: Any) -> None:
        """Keep the thread that calls this; as a read or an interaction it keeps a connection."""
        self.reached.set()
        assert self._opened.wait(30), "nobody opened the gate"

    def open(self) -> None:
        """Let go."""
        self._opened.set()


def started(awaitable: Any) -> Deferred[Any]:
    return ensureDeferred(awaitable)


# --- statements -----------------------------------------------------------------------------


def test_a_pool_is_a_database(db: PooledDatabase) -> None:
    as_role: Database = db
    assert as_role is db


@twisted_test(10)
async def test_rows_are_read_by_named_parameters(db: PooledDatabase) -> None:
    await db.transact([Statement(ADD_PARENT, {"name": n}) for n in "abc"])
    names, params = any_of("name", ["a", "c", "x"])
    rows = await db.fetch(f"SELECT name FROM parent WHERE name IN ({names}) ORDER BY name", params)
    assert [tuple(row) for row in rows] == [("a",), ("c",)]


@twisted_test(10)
async def test_sums_are_plain_numbers(db: PooledDatabase) -> None:
    rows = await db.fetch("SELECT SUM(1), AVG(x) FROM (SELECT 1 AS x UNION SELECT 2) t", {})
    assert [(type(a), a, b) for a, b in rows] == [(int, 2, 1.5)]


@twisted_test(10)
async def test_a_ref_is_the_id_of_the_row_inserted_before(db: PooledDatabase) -> None:
    child = "INSERT INTO child (parent, name) VALUES (:parent, 'c')"
    ids = await db.transact(
        [
            Statement(ADD_PARENT, {"name": "first"}, 1),
            Statement(ADD_PARENT, {"name": "second"}, 1, binds="p"),
            Statement(child, {"parent": Ref("p")}, 1, binds="c"),
            Statement("UPDATE child SET name = 'seen' WHERE id = :id", {"id": Ref("c")}, 1),
        ]
    )
    rows = await db.fetch("SELECT id, parent, name FROM child", {})
    assert [tuple(row) for row in rows] == [(ids[2], ids[1], "seen")]
    assert ids[0] != ids[1]


@twisted_test(10)
async def test_a_failed_guard_takes_back_the_whole_transaction(db: PooledDatabase) -> None:
    nothing = Statement("UPDATE parent SET name = 'x' WHERE name = 'nobody'", rows=1)
    with pytest.raises(GuardFailedError) as caught:
        await db.transact([Statement(ADD_PARENT, {"name": "a"}, 1), nothing])
    assert caught.value.statement is nothing
    assert await NAMES.many(db) == []


@twisted_test(10)
async def test_rows_matched_count_even_if_nothing_changes(db: PooledDatabase) -> None:
    await db.transact([Statement(ADD_PARENT, {"name": "a"})])
    await db.transact([Statement("UPDATE parent SET name = 'a' WHERE name = 'a'", rows=1)])
    assert await NAMES.many(db) == ["a"]


@twisted_test(10)
async def test_a_second_unique_value_is_a_duplicate(db: PooledDatabase) -> None:
    await db.transact([Statement(ADD_PARENT, {"name": "a"})])
    with pytest.raises(DuplicateError):
        await db.transact([Statement(ADD_PARENT, {"name": n}) for n in "ba"])
    assert await NAMES.many(db) == ["a"]


@twisted_test(10)
async def test_a_value_no_column_can_hold_is_refused(db: PooledDatabase) -> None:
    for value in ("\ud83d", 10**30):
        with pytest.raises(ValueRefusedError):
            await db.transact(
                [Statement("INSERT INTO child (parent) VALUES (:value)", {"value": value})]
            )
    assert len(await db.fetch("SELECT id FROM child", {})) == 0


@twisted_test(10)
async def test_errors_of_the_text_stay_what_they_are(db: PooledDatabase) -> None:
    with pytest.raises(MissingTableError, match=r"the test database lacks a table.*nowhere"):
        await db.fetch("SELECT 1 FROM nowhere", {})
    with pytest.raises(Exception, match="nothing"):
        await db.fetch("SELECT nothing FROM parent", {})
    assert db.status().last_error is None


# --- bounds ---------------------------------------------------------------------------------


@twisted_test(10)
async def test_more_rows_than_allowed_are_an_error(made: str, open_pool: OpenPool) -> None:
    db = open_pool(made, max_rows=10, size=1)
    assert len(await db.fetch(COUNTING.format(limit=10, what="i"), {})) == 10
    for limit in (11, 900):
        with pytest.raises(RowLimitError, match="10"):
            await db.fetch(COUNTING.format(limit=limit, what="i"), {})
    assert len(await db.fetch(COUNTING.format(limit=9, what="i"), {})) == 9


@twisted_test(10)
async def test_a_statement_past_its_time_is_ended(
    made: str, engine: str, open_pool: OpenPool
) -> None:
    db = open_pool(made, statement_seconds=0.3, size=1)
    with pytest.raises(DatabaseUnavailable, match="the test database took too long") as caught:
        await db.fetch(FOR_EVER[engine], {})
    assert caught.value.__cause__ is not None
    status = db.status()
    assert status.in_flight == 0
    assert status.last_error == "the test database took too long"
    assert abs((status.last_error_at or 0) - time.time()) < 10
    assert len(await db.fetch("SELECT 1", {})) == 1


@twisted_test(10)
async def test_callers_past_the_bound_are_turned_away_at_once(
    made: str, gate: Gate, open_pool: OpenPool
) -> None:
    db = open_pool(made, size=1, max_waiting=1)
    running = started(db.snapshot(gate.hold))
    waiting = started(db.fetch("SELECT 1", {}))
    assert (db.status().in_flight, db.status().waiting) == (1, 1)
    refused = started(db.fetch("SELECT 1", {}))
    assert refused.called
    with pytest.raises(DatabaseUnavailable, match="busy"):
        await refused
    gate.open()
    await gatherResults([running, waiting])
    assert (db.status().in_flight, db.status().waiting) == (0, 0)


@twisted_test(10)
async def test_nobody_waits_longer_than_a_statement_may_take(
    made: str, gate: Gate, open_pool: OpenPool
) -> None:
    from twisted.internet import reactor

    clock = Clock()
    timed = ThreadsOf(reactor, clock.callLater, clock.seconds)
    db = open_pool(made, reactor=timed, size=1, statement_seconds=7)
    running = db.runInteraction(gate.hold)
    behind = db.runInteraction(lambda _: None)
    clock.advance(6.9)
    assert not behind.called
    clock.advance(0.2)
    assert behind.called
    with pytest.raises(DatabaseUnavailable, match="no free connection within 7 s"):
        await behind
    assert not running.called
    gate.open()
    await running


@attrs.frozen
class ThreadsOf:
    """The threads of a reactor, on a time of its own."""

    _reactor: Any
    callLater: Callable[..., Any]
    seconds: Callable[[], float]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@twisted_test(10)
async def test_a_slow_query_does_not_stop_the_reactor(
    made: str, engine: str, open_pool: OpenPool
) -> None:
    db = open_pool(made, statement_seconds=0.3)
    turns, slow = 0, started(db.fetch(FOR_EVER[engine], {}))
    while not slow.called:
        turns += 1
        await sleep(0)
    with pytest.raises(DatabaseUnavailable):
        await slow
    assert turns > 1


@twisted_test(10)
async def test_a_query_does_not_wait_for_another_that_is_slow(
    db: PooledDatabase, gate: Gate
) -> None:
    slow = started(db.snapshot(gate.hold))
    assert len(await db.fetch("SELECT 1", {})) == 1
    assert not slow.called
    gate.open()
    await slow


# --- cancelling and stopping ----------------------------------------------------------------


@twisted_test(10)
async def test_a_caller_cancelled_in_the_queue_leaves_it(
    made: str, gate: Gate, open_pool: OpenPool
) -> None:
    db = open_pool(made, size=1)
    running = db.runInteraction(gate.hold)
    waiting = started(db.transact([Statement(ADD_PARENT, {"name": "never"})]))
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    assert db.status().waiting == 0
    gate.open()
    await running
    assert await NAMES.many(db) == []


@twisted_test(10)
async def test_a_caller_cancelled_in_the_middle_breaks_nothing(
    made: str, gate: Gate, open_pool: OpenPool
) -> None:
    """The statement runs on, its connection is taken until then, its error is nobody's."""
    db = open_pool(made, size=1)

    def slowly_wrong(transaction: Any) -> None:
        gate.hold()
        transaction.execute("SELECT nonsense")

    running = db.runInteraction(slowly_wrong)
    await until(gate.reached.is_set)
    running.cancel()
    with pytest.raises(CancelledError):
        await running
    assert db.status().in_flight == 1
    gate.open()
    await until(lambda: db.status().in_flight == 0)
    await db.transact([Statement(ADD_PARENT, {"name": "after"}, 1)])


@twisted_test(10)
async def test_stopping_lets_queries_end_and_the_reactor_run(
    made: str, gate: Gate, open_pool: OpenPool
) -> None:
    db = open_pool(made, size=1)
    running = [started(db.snapshot(gate.hold)), started(db.fetch("SELECT 2", {}))]
    stopping = db.stopService()
    await until(gate.reached.is_set)
    assert not stopping.called
    gate.open()
    await stopping
    assert all(d.called for d in running)
    assert [tuple(row) for row in await running[1]] == [(2,)]
    await running[0]


@twisted_test(10)
async def test_a_query_after_the_stop_fails_at_once(db: PooledDatabase) -> None:
    await db.fetch("SELECT 1", {})
    await db.stopService()
    for query in (
        started(db.fetch("SELECT 1", {})),
        started(db.transact([Statement(ADD_PARENT, {"name": "a"})])),
        db.runInteraction(lambda _: None),
    ):
        with pytest.raises(DatabaseUnavailable, match="closed"):
            await query
    await db.stopService()


@twisted_test(10)
async def test_a_stop_does_not_wait_for_ever(
    made: str, gate: Gate, open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildapi.db.pool.CUT_SECONDS", 0.2)
    db = open_pool(made, size=1, drain_seconds=0.2)
    running = db.runInteraction(gate.hold)  # nothing can end that
    waiting = db.runInteraction(lambda _: "never")
    await db.stopService()
    assert not running.called
    gate.open()
    with contextlib.suppress(DatabaseUnavailable):
        await running
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await waiting
    assert not any(thread.is_alive() for thread in await threads_after_stop(db))


@twisted_test(10)
async def test_a_query_that_takes_too_long_for_a_stop_is_cut_off(
    made: str, engine: str, open_pool: OpenPool
) -> None:
    db = open_pool(made, size=1, drain_seconds=0.2, statement_seconds=30)
    running = started(db.fetch(FOR_EVER[engine], {}))
    await db.stopService()
    with pytest.raises(DatabaseUnavailable):
        await running
    assert not any(thread.is_alive() for thread in await threads_after_stop(db))


async def threads_after_stop(db: PooledDatabase) -> list[Any]:
    await db.stopService()
    return [*db._reads.connections.threadpool.threads, *db._writes.connections.threadpool.threads]


@twisted_test(10)
async def test_threads_and_connections_are_gone_after_the_stop(db: PooledDatabase) -> None:
    await gatherResults([started(db.fetch("SELECT 1", {})) for _ in range(8)])
    connections = db._reads.connections
    assert connections.connections
    threads = await threads_after_stop(db)
    assert not connections.connections
    assert threads
    assert not any(thread.is_alive() for thread in threads)


# --- trying whether there is a connection ----------------------------------------------------


@twisted_test(10)
async def test_a_connection_that_was_tried_takes_the_place_of_another(
    url: str, engine: str, open_pool: OpenPool
) -> None:
    db = open_pool(url, size=2)
    await gatherResults([started(db.fetch("SELECT 1", {})) for _ in range(4)])
    for _ in range(3):
        took = await gatherResults([started(db.connecting(PATIENCE)) for _ in range(4)])
        assert all(seconds is not None and 0 < seconds < PATIENCE for seconds in took)
    assert 1 <= len(db._reads.connections.connections) <= 2
    if engine == "mysql":
        open_ = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE()"
        for _ in range(100):  # the server forgets a connection a moment after it is closed
            ((count,),) = await db.fetch(open_, {})
            if count <= 2:
                break
        assert count <= 2
    assert [tuple(row) for row in await db.fetch("SELECT 1", {})] == [(1,)]


@twisted_test(10)
async def test_a_pool_whose_threads_are_all_at_work_is_none_without_a_connection(
    made: str, gate: Gate, open_pool: OpenPool
) -> None:
    db = open_pool(made, size=1)
    await db.fetch("SELECT 1", {})
    running = started(db.snapshot(gate.hold))
    assert await db.connecting(0.05) is None
    gate.open()
    await running
    assert await db.connecting(5) is not None


@twisted_test(10)
async def test_a_pool_whose_threads_have_no_answer_for_long_has_no_connection(
    made: str, gate: Gate, open_pool: OpenPool
) -> None:
    db = open_pool(made, size=1)
    running = started(db.snapshot(gate.hold))
    with pytest.raises(DatabaseUnavailable, match="gives no connection within"):
        await db.connecting(0.05)
    gate.open()
    await running


# --- adbapi's calls -------------------------------------------------------------------------


@twisted_test(10)
async def test_the_calls_of_adbapi_are_there(db: PooledDatabase) -> None:
    await db.runOperation(ADD_PARENT, {"name": "a"})
    rows = await db.runQuery("SELECT name FROM parent WHERE name = :n", {"n": "a"})
    assert [tuple(row) for row in rows] == [("a",)]

    def both(transaction: Any, name: str, *, more: str) -> int:
        transaction.execute(ADD_PARENT, {"name": name})
        transaction.execute(ADD_PARENT, {"name": more})
        transaction.execute("SELECT COUNT(*) FROM parent")
        return int(transaction.fetchone()[0])

    assert await db.runInteraction(both, "b", more="c") == 3


@twisted_test(10)
async def test_an_interaction_that_raises_writes_nothing(db: PooledDatabase) -> None:
    def wrong(transaction: Any) -> None:
        transaction.execute(ADD_PARENT, {"name": "a"})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await db.runInteraction(wrong)
    assert await NAMES.many(db) == []


@twisted_test(10)
async def test_an_interaction_may_use_the_parameters_of_its_driver(
    db: PooledDatabase, engine: str
) -> None:
    mark = {"sqlite": "?", "mysql": "%s"}[engine]
    await db.runOperation(f"INSERT INTO parent (name) VALUES ({mark})", ("a",))
    assert await NAMES.many(db) == ["a"]


# --- refusals -------------------------------------------------------------------------------


@twisted_test(10)
async def test_a_read_only_pool_does_not_write(made: str, open_pool: OpenPool) -> None:
    db = open_pool(made, read_only=True)
    with pytest.raises(DatabaseUnavailable, match="accepts no writes"):
        await db.transact([Statement(ADD_PARENT, {"name": "a"})])
    assert await NAMES.many(db) == []


@twisted_test(10)
async def test_tables_of_the_usual_engine_are_transactional(db: PooledDatabase) -> None:
    assert await db.transactional(["parent", "child"])


@twisted_test()
async def test_a_pool_tells_for_how_long_it_has_had_no_answer(db: PooledDatabase) -> None:
    assert db.status().unanswered is None
    await db.fetch("SELECT 1", {})
    assert db.status().unanswered is None
    await db.stopService()
    with pytest.raises(DatabaseUnavailable):
        await db.fetch("SELECT 1", {})
    first = db.status().unanswered
    assert first is not None
    await until(lambda: (db.status().unanswered or 0) > first)
