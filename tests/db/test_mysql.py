"""What only a database server can do to a pool."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.threads import deferToThread

from buildapi.db import mysql
from buildapi.db.driver import ErrorKind
from buildapi.db.pool import PooledDatabase
from buildapi.db.sql import (
    GuardFailedError,
    Query,
    Read,
    RowLimitError,
    Statement,
    ValueRefusedError,
)
from buildapi.errors import DatabaseUnavailable
from tests.db.certificates import make_certificate
from tests.db.conftest import OpenPool, check_round_trip, for_texts
from tests.reactor import twisted_test, until
from tests.services.mariadb import MariaDB, free_port, start_mariadb

pytestmark = pytest.mark.mariadb

ROWS = [
    "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) ENGINE=InnoDB",
    "INSERT INTO t SELECT seq, 0 FROM seq_1_to_50",
    "CREATE TABLE texts (id INTEGER PRIMARY KEY AUTO_INCREMENT, s LONGTEXT)",
]
COUNT = "UPDATE t SET n = n + 1 WHERE id = :id"
VALUES = Query("SELECT n FROM t WHERE id <= 3 ORDER BY id", int)


@pytest.fixture
def database(mariadb: MariaDB) -> str:
    """Return the name of a database with the table ``t``."""
    name = mariadb.database("server").rpartition("/")[2]
    mariadb.execute(*ROWS, database=name)
    return name


@pytest.fixture
def db(mariadb: MariaDB, database: str, open_pool: OpenPool) -> PooledDatabase:
    return open_pool(mariadb.url(database))


@pytest.fixture(scope="module")
def certificate() -> Iterator[tuple[Path, Path]]:
    """Return the files of a certificate and its key, where the server's account can read them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_certificate(folder)
        for path in (folder, *files):
            path.chmod(0o755)
        yield files


@pytest.fixture(scope="module")
def own_server(
    certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MariaDB]:
    """Start a server that tests may stop; they leave it running."""
    options = [f"--ssl-cert={certificate[0]}", f"--ssl-key={certificate[1]}"]
    server = start_mariadb(tmp_path_factory.mktemp("own"), *options)
    yield server
    server.remove()


@pytest.fixture
def rival(mariadb: MariaDB, database: str) -> Iterator[Connection[Any]]:
    """Return a connection of somebody else, within a transaction."""
    connection = mariadb.connect(database)
    connection.begin()
    yield connection
    connection.close()


def started(awaitable: Any) -> Deferred[Any]:
    return ensureDeferred(awaitable)


def counted(*ids: int) -> list[Statement]:
    return [Statement(COUNT, {"id": id_}, 1) for id_ in ids]


def login(mariadb: MariaDB, database: str) -> dict[str, Any]:
    """Return the credentials of the driver."""
    return {"host": "127.0.0.1", "port": mariadb.port, "user": "root", "database": database}


# --- sessions -------------------------------------------------------------------------------


@twisted_test(10)
async def test_a_session_has_our_settings(mariadb: MariaDB, open_pool: OpenPool) -> None:
    db = open_pool(mariadb.database("x"), statement_seconds=6)
    rows = await db.fetch(
        "SELECT @@session.tx_isolation, @@session.max_statement_time, @@session.time_zone,"
        " @@session.innodb_lock_wait_timeout, @@session.character_set_client,"
        " @@session.autocommit, @@session.sql_mode LIKE '%STRICT_ALL_TABLES%'",
        {},
    )
    assert [tuple(row) for row in rows] == [("READ-COMMITTED", 6, "+00:00", 2, "utf8mb4", 1, 1)]


@twisted_test(10)
async def test_dates_come_as_texts(db: PooledDatabase) -> None:
    rows = await db.fetch("SELECT CAST('2017-02-08 17:03:04' AS DATETIME)", {})
    assert rows[0][0] == "2017-02-08 17:03:04"


@twisted_test(10)
async def test_the_unix_socket_works_too(
    mariadb: MariaDB, database: str, open_pool: OpenPool
) -> None:
    url = f"mysql://root@localhost:{free_port()}/{database}?unix_socket={mariadb.socket_path}"
    assert await VALUES.many(open_pool(url)) == [0, 0, 0]


@twisted_test(10)
async def test_a_refused_login_is_told_without_the_password(
    mariadb: MariaDB, database: str, open_pool: OpenPool
) -> None:
    db = open_pool(mariadb.url(database).replace("root@", "bob@"), password="s3cret")
    with pytest.raises(DatabaseUnavailable, match="test database refuses the account") as caught:
        await VALUES.many(db)
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r} {db.status()}"


CIPHER = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"


@twisted_test(10)
async def test_connections_are_encrypted_where_an_authority_is_given(
    own_server: MariaDB, certificate: tuple[Path, Path], open_pool: OpenPool
) -> None:
    url = own_server.database("x")
    plain = await open_pool(url).fetch(CIPHER, {})
    encrypted = await open_pool(url, tls_ca=str(certificate[0])).fetch(CIPHER, {})
    assert [bool(rows[0][1]) for rows in (plain, encrypted)] == [False, True]


@twisted_test(10)
async def test_a_server_of_another_authority_is_not_talked_to(
    own_server: MariaDB, tmp_path: Path, open_pool: OpenPool
) -> None:
    other, _ = make_certificate(tmp_path)
    db = open_pool(own_server.database("x"), tls_ca=str(other))
    with pytest.raises(DatabaseUnavailable, match="cannot be reached"):
        await db.fetch(CIPHER, {})


# --- several reads of one moment, and clients that fall silent ---------------------------------


@twisted_test(10)
async def test_a_snapshot_only_reads(db: PooledDatabase) -> None:
    with pytest.raises(DatabaseUnavailable, match="accepts no writes"):
        await db.snapshot(lambda read: read("INSERT INTO t VALUES (99, 0)", {}))
    assert await VALUES.many(db) == [0, 0, 0]


@twisted_test(10)
async def test_a_connection_lost_within_a_snapshot_begins_it_anew(
    db: PooledDatabase, mariadb: MariaDB
) -> None:
    connections: list[int] = []

    def reading(read: Read) -> list[int]:
        connections.append(read("SELECT CONNECTION_ID()", {})[0][0])
        if len(connections) == 1:
            mariadb.execute(f"KILL CONNECTION {connections[0]}")
        return VALUES.all_of(read)

    assert await db.snapshot(reading) == [0, 0, 0]
    assert len(set(connections)) == 2


SILENCES = {
    "a server that tells transactions apart": {},
    "a server that does not": {"idle_transaction_timeout"},
}


@pytest.mark.parametrize("unknown", SILENCES.values(), ids=SILENCES)
@twisted_test(20)
async def test_an_agent_that_stops_talking_within_its_transaction_loses_its_locks(
    mariadb: MariaDB, database: str, open_pool: OpenPool, monkeypatch: Any, unknown: set[str]
) -> None:
    """One that is stopped or cut off says nothing more: the row is free again within seconds."""
    for name in ("IDLE_SECONDS", "SILENT_SECONDS"):
        monkeypatch.setattr(mysql, name, 1)
    known = tuple(name for name in mysql._VARIABLES if name not in unknown)
    monkeypatch.setattr(mysql, "_VARIABLES", known)
    driver = mysql.MySQLDriver({**login(mariadb, database), "ssl_disabled": True}, 6)
    stalled = driver.connect()
    driver.begin(stalled)
    stalled.cursor().execute("UPDATE t SET n = 7 WHERE id = 1")
    master = open_pool(mariadb.url(database), statement_seconds=30)
    await master.transact(counted(1))
    assert await VALUES.many(master) == [1, 0, 0]
    with pytest.raises(mysql.pymysql.MySQLError) as caught:
        stalled.commit()
    verdict = driver.verdict(caught.value)
    assert verdict is not None
    assert verdict.trouble is ErrorKind.LOST
    assert not driver.ready(stalled, 60)
    driver.close(stalled)


@twisted_test(10)
async def test_a_session_is_let_go_within_seconds_of_silence(
    mariadb: MariaDB, open_pool: OpenPool
) -> None:
    rows = await open_pool(mariadb.database("x")).fetch(
        "SELECT @@session.idle_transaction_timeout, @@session.net_read_timeout,"
        " @@session.net_write_timeout, @@session.wait_timeout",
        {},
    )
    assert [tuple(row) for row in rows] == [(5, 5, 15, 28800)]


# --- servers that go away -------------------------------------------------------------------


@twisted_test(20)
@pytest.mark.parametrize("tried_after", [600, 0], ids=["not tried", "tried"])
async def test_a_restart_between_requests_fails_none(
    own_server: MariaDB,
    open_pool: OpenPool,
    monkeypatch: pytest.MonkeyPatch,
    tried_after: float,
) -> None:
    monkeypatch.setattr(mysql, "PING_AFTER", tried_after)
    url = own_server.database("x")
    own_server.execute(*ROWS, database=url.rpartition("/")[2])
    db = open_pool(url, size=3)
    await gatherResults([started(db.fetch("SELECT SLEEP(0.1)", {})) for _ in range(3)])
    await deferToThread(own_server.restart)
    answers = await gatherResults(
        [started(VALUES.many(db)) for _ in range(6)]
        + [started(db.transact(counted(1, 2))) for _ in range(6)]
    )
    assert len(answers) == 12
    assert await VALUES.many(db) == [6, 6, 0]
    assert db.status().last_error is None


@twisted_test(20)
async def test_connections_are_tried_before_work_that_is_not_repeated(
    own_server: MariaDB, open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql, "PING_AFTER", 0)
    db = open_pool(own_server.database("x"), size=1)
    await db.runQuery("SELECT 1")
    await deferToThread(own_server.restart)
    await db.runOperation("CREATE TABLE t (id INTEGER)")
    assert db.status().last_error is None


@twisted_test(20)
async def test_a_server_that_is_down_is_told_at_once_and_forgotten_when_it_is_back(
    own_server: MariaDB, open_pool: OpenPool
) -> None:
    db = open_pool(own_server.database("x"))
    await db.fetch("SELECT 1", {})
    await deferToThread(own_server.kill)
    with pytest.raises(DatabaseUnavailable, match="the test database cannot be reached"):
        await db.fetch("SELECT 1", {})
    await deferToThread(own_server.start)
    assert len(await db.fetch("SELECT 1", {})) == 1


@twisted_test(20)
async def test_a_server_that_hangs_is_given_up_in_time(
    own_server: MariaDB, open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql, "PING_AFTER", 0)
    db = open_pool(own_server.database("x"), statement_seconds=0.5)
    await db.fetch("SELECT 1", {})
    own_server.suspend()
    with pytest.raises(DatabaseUnavailable, match="the test database does not answer"):
        await db.fetch("SELECT 1", {})
    own_server.resume()
    assert len(await db.fetch("SELECT 1", {})) == 1


@twisted_test(10)
async def test_a_transaction_whose_connection_is_killed_is_done_again(
    mariadb: MariaDB, db: PooledDatabase, rival: Connection[Any]
) -> None:
    (number,) = (await db.fetch("SELECT CONNECTION_ID()", {}))[0]
    rival.cursor().execute("SELECT n FROM t WHERE id = 3 FOR UPDATE")
    running = started(db.transact(counted(1, 2, 3)))
    await until(lambda: bool(mariadb.lock_waits()))
    await deferToThread(mariadb.execute, f"KILL {number}")
    rival.rollback()
    await running
    assert await VALUES.many(db) == [1, 1, 1]


@twisted_test(10)
async def test_a_connection_lost_between_two_rows_is_no_end(
    mariadb: MariaDB, database: str, open_pool: OpenPool
) -> None:
    db = open_pool(mariadb.url(database), size=1)
    (number,) = (await db.fetch("SELECT CONNECTION_ID()", {}))[0]
    rows = "SELECT REPEAT('x', 20000), SLEEP(0.1) FROM t"
    before = mariadb.bytes_sent()
    running = db.runQuery(rows)
    await until(lambda: mariadb.bytes_sent() - before > 3 * 20_000)
    await deferToThread(mariadb.execute, f"KILL {number}")
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        await running
    assert await VALUES.many(db) == [0, 0, 0]


@twisted_test(10)
async def test_an_endless_answer_is_dropped_at_the_bound(
    mariadb: MariaDB, database: str, open_pool: OpenPool
) -> None:
    db = open_pool(mariadb.url(database), size=1, max_rows=100)
    with pytest.raises(RowLimitError):
        await db.fetch("SELECT seq FROM seq_1_to_1000000000", {})
    assert await VALUES.many(db) == [0, 0, 0]


# --- locks ----------------------------------------------------------------------------------


@twisted_test(15)
async def test_a_deadlock_is_tried_again(
    mariadb: MariaDB, db: PooledDatabase, rival: Connection[Any]
) -> None:
    with rival.cursor() as cursor:
        # the one who changed fewer rows is the victim
        cursor.execute("UPDATE t SET n = n + 10 WHERE id = 2 OR id > 3")
        ours = started(db.transact(counted(1, 2)))
        await until(lambda: bool(mariadb.lock_waits()))
        assert not ours.called
        await deferToThread(cursor.execute, "UPDATE t SET n = n + 10 WHERE id = 1")
        rival.commit()
    await ours
    assert await VALUES.many(db) == [11, 11, 0]


@twisted_test(15)
async def test_a_lock_held_for_a_while_is_waited_for(
    mariadb: MariaDB, db: PooledDatabase, rival: Connection[Any]
) -> None:
    """The server gives up after one second here; trying again gets through."""
    with rival.cursor() as cursor:
        cursor.execute("UPDATE t SET n = 10 WHERE id = 1")
    ours = started(db.transact(counted(2, 1)))
    waits: set[int] = set()

    def is_tried_again() -> bool:
        waits.update(mariadb.lock_waits())
        return len(waits) >= 2

    await until(is_tried_again)
    rival.commit()
    await ours
    assert await VALUES.many(db) == [11, 1, 0]


@twisted_test(15)
async def test_a_lock_held_too_long_is_an_error(
    mariadb: MariaDB, database: str, open_pool: OpenPool, rival: Connection[Any]
) -> None:
    db = open_pool(mariadb.url(database), statement_seconds=1.8)
    with rival.cursor() as cursor:
        cursor.execute("UPDATE t SET n = 10 WHERE id = 1")
    with pytest.raises(DatabaseUnavailable, match="the test database is blocked by locks"):
        await db.transact(counted(2, 1))
    rival.rollback()
    assert await VALUES.many(db) == [0, 0, 0]


@twisted_test(10)
async def test_a_guard_sees_what_was_committed_a_moment_ago(
    mariadb: MariaDB, db: PooledDatabase, rival: Connection[Any]
) -> None:
    guard = Statement("UPDATE t SET n = 1 WHERE id = 1 AND n = 0", rows=1)
    with rival.cursor() as cursor:
        cursor.execute("UPDATE t SET n = 7 WHERE id = 1")
        ours = started(db.transact([*counted(2), guard]))
        await until(lambda: bool(mariadb.lock_waits()))
        rival.commit()
    with pytest.raises(GuardFailedError):
        await ours
    assert await VALUES.many(db) == [7, 0, 0]


# --- values and tables ----------------------------------------------------------------------


@for_texts
@twisted_test(10)
async def test_texts_come_back_as_they_were(db: PooledDatabase, text: str) -> None:
    await check_round_trip(db, text)


@twisted_test(10)
async def test_tables_without_transactions_are_found(
    mariadb: MariaDB, database: str, db: PooledDatabase
) -> None:
    mariadb.execute("CREATE TABLE old (id INTEGER) ENGINE=MyISAM", database=database)
    assert await db.transactional(["t"])
    assert not await db.transactional(["t", "old"])
    assert await db.transactional([])


@twisted_test(10)
async def test_what_does_not_fit_is_refused_and_not_cut(
    mariadb: MariaDB, database: str, db: PooledDatabase
) -> None:
    mariadb.execute("CREATE TABLE s (a VARCHAR(3) CHARACTER SET utf8mb3)", database=database)
    insert = "INSERT INTO s VALUES (:a)"
    for text in ("long", "\U0001f600"):
        with pytest.raises(ValueRefusedError, match="cannot store a value"):
            await db.transact([Statement(insert, {"a": text})])
    await db.transact([Statement(insert, {"a": "äöü"}, 1)])


# --- statements that are too large ----------------------------------------------------------


@twisted_test(20)
async def test_a_packet_that_is_too_large_is_refused_and_not_tried_for_ever(
    mariadb: MariaDB, db: PooledDatabase
) -> None:
    largest = int((await db.fetch("SELECT @@max_allowed_packet", {}))[0][0])
    for length in (largest - 100, largest, 2 * largest):
        insert = Statement("INSERT INTO texts (s) VALUES (:text)", {"text": "x" * length}, 1)
        if length < largest:
            await db.transact([insert])
            continue
        with pytest.raises(ValueRefusedError, match="refuses a statement of this size"):
            await db.transact([insert])
    assert db.status().last_error is None, "nothing looked like an outage"
