"""The job store in SQL: the contract, old tables, other people's rows, lost answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.db.jobstore import SQLJobStore
from buildapi.db.jobstore.writes import Ending, finishing
from buildapi.db.mysql import translate
from buildapi.db.pool import PooledDatabase
from buildapi.db.schema import create_jobs_schema, schema_sql, statements
from buildapi.db.sql import Database, Query, Read, Statement
from buildapi.errors import BadRequest, DatabaseUnavailable, InProgress
from buildapi.interfaces import JobStore
from buildapi.model.actions import ACTIONS
from buildapi.model.records import JobKey, JobState, KeyedJob, Progress
from tests.agent.doubles import StoreProxy
from tests.db.conftest import OpenPool
from tests.db.jobstore_contract import (
    DAY,
    KEY,
    NOW,
    PROGRESS,
    WHAT,
    WHEN,
    WHO,
    JobStoreContract,
    added,
    added_or_not,
    both,
    progress_of,
    report,
)
from tests.db.scripted import ScriptedDatabase
from tests.golden.program import WatchedStore
from tests.reactor import twisted_test, until
from tests.services.mariadb import MariaDB, start_mariadb
from tests.web.farm import MemoryJobs

T = TypeVar("T")
OLD_ROW = """INSERT INTO jobrequests (action, who, `when`, completed_at, what, complete_data)
 VALUES (:action, :who, :when, :completed_at, :what, :complete_data)"""
# As the old program made it; on MySQL with the server's old default character set.
OLD_TABLE = {
    "sqlite": """CREATE TABLE jobrequests (id INTEGER NOT NULL, action VARCHAR(20) NOT NULL,
 who VARCHAR(512) NOT NULL, `when` INTEGER NOT NULL, completed_at INTEGER, what TEXT NOT NULL,
 complete_data TEXT, PRIMARY KEY (id))""",
    "mysql": """CREATE TABLE jobrequests (id INTEGER NOT NULL AUTO_INCREMENT,
 action VARCHAR(20) NOT NULL, who VARCHAR(512) NOT NULL, `when` INTEGER NOT NULL,
 completed_at INTEGER, what TEXT NOT NULL, complete_data TEXT, PRIMARY KEY (id))
 ENGINE=InnoDB DEFAULT CHARSET=utf8mb3""",
}


@pytest.fixture
def db(url: str, open_jobs_database: OpenPool) -> PooledDatabase:
    return open_jobs_database(url)


@pytest.fixture
def old_db(url: str, engine: str, open_pool: OpenPool) -> PooledDatabase:
    """Return a database with the old table, used by the new program."""

    async def make(pool: PooledDatabase) -> None:
        await pool.transact([Statement(OLD_TABLE[engine])])
        await create_jobs_schema(pool)

    pool = open_pool(url)
    pytest_twisted.blockon(ensureDeferred(make(pool)))
    return pool


@pytest.fixture
def store(db: PooledDatabase) -> JobStore:
    return SQLJobStore(db)


@pytest.fixture
def old_store(old_db: PooledDatabase) -> JobStore:
    return SQLJobStore(old_db)


async def old_row(db: Database, **columns: Any) -> int:
    """Insert a row as an old web process does."""
    row: dict[str, Any] = {
        "action": "cancel_build",
        "who": WHO,
        "when": WHEN,
        "completed_at": None,
        "what": '{"bid": 1}',
        "complete_data": None,
    }
    return (await db.transact([Statement(OLD_ROW, row | columns, 1)]))[0]


class TestSQLJobStore(JobStoreContract):
    """The contract on our own tables."""

    @pytest.fixture
    def store(self, db: PooledDatabase) -> JobStore:
        return SQLJobStore(db)


class TestStoreProxy(JobStoreContract):
    """The double of the agent's tests, while it has no script."""

    @pytest.fixture
    def store(self, in_memory: PooledDatabase) -> JobStore:
        proxy: Any = StoreProxy(SQLJobStore(in_memory))
        return cast(JobStore, proxy)


class TestWatchedStore(JobStoreContract):
    """The store of a program that replays requests."""

    @pytest.fixture
    def store(self, in_memory: PooledDatabase) -> JobStore:
        return WatchedStore(in_memory)


@pytest.fixture
def in_memory(open_pool: OpenPool) -> PooledDatabase:
    pool = open_pool("sqlite::memory:", size=1, max_waiting=100)
    pytest_twisted.blockon(ensureDeferred(create_jobs_schema(pool)))
    return pool


@pytest.fixture(scope="module")
def logging_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """Run a server that logs statements: it locks gaps, where others lock rows only."""
    options = ("--log-bin", "--binlog-format=STATEMENT", "--server-id=1")
    server = start_mariadb(tmp_path_factory.mktemp("logging"), *options)
    yield server
    server.remove()


@pytest.mark.mariadb
class TestStatementLog(JobStoreContract):
    """The contract at a server whose transactions are REPEATABLE READ."""

    @pytest.fixture
    def store(self, logging_server: MariaDB, open_pool: OpenPool) -> JobStore:
        pool = open_pool(logging_server.database("logging"), size=16, max_waiting=99)
        pytest_twisted.blockon(ensureDeferred(create_jobs_schema(pool)))
        isolation = Query("SELECT @@tx_isolation", str).many(pool)
        assert pytest_twisted.blockon(ensureDeferred(isolation)) == ["REPEATABLE-READ"]
        return SQLJobStore(pool)

    @pytest.mark.parametrize("keyed", [False, True])
    @twisted_test(30)
    async def test_many_jobs_at_once_are_not_in_each_others_way(
        self, logging_server: MariaDB, store: JobStore, keyed: bool
    ) -> None:
        def deadlocks() -> Any:
            with contextlib.closing(logging_server.connect()) as connection:
                cursor = connection.cursor()
                cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
                return cursor.fetchall()

        keys = [JobKey(f"{n:064x}", "cd" * 32, "words") if keyed else None for n in range(60)]
        before = deadlocks()
        ids = await gatherResults([ensureDeferred(added(store, key=key)) for key in keys])
        assert sorted(job.id for job in await store.latest(99, 0)) == sorted(ids)
        assert deadlocks() == before


class TestMemoryJobs(JobStoreContract):
    """The contract on the double that tests of the HTTP side use."""

    @pytest.fixture
    def store(self) -> JobStore:
        return MemoryJobs()


# --- rows of old web processes --------------------------------------------------------------


@twisted_test(10)
async def test_a_row_of_an_old_web_process_is_queued_and_sent(
    db: PooledDatabase, store: JobStore
) -> None:
    id_ = await old_row(db)
    job = await store.get(id_)
    assert job is not None
    assert (job.state, job.what) == (JobState.QUEUED, {"bid": 1})
    for sent in (False, True):  # it is for that process to send it again, or years old
        assert list(await store.unsettled(sent=sent, before=NOW, limit=9)) == []


@twisted_test(10)
async def test_a_row_of_an_old_web_process_runs_like_any_other(
    db: PooledDatabase, store: JobStore
) -> None:
    id_ = await old_row(db)
    assert await store.begin(id_, "a1", NOW)
    assert await store.begin(id_, "a2", NOW)
    assert not await store.refuse(id_, report(id_), NOW)
    assert await store.finish(id_, report(id_), NOW)
    assert not await store.begin(id_, "a1", NOW)
    job = await store.get(id_)
    assert job is not None
    assert (job.state, job.agent) == (JobState.DONE, "a2")


@twisted_test(20)
async def test_agents_that_meet_at_a_row_of_an_old_web_process_agree(
    db: PooledDatabase, store: JobStore
) -> None:
    for _ in range(10):
        id_ = await old_row(db)
        begins = [ensureDeferred(store.begin(id_, f"a{n}", NOW)) for n in range(4)]
        assert await gatherResults(begins) == [True] * 4
        other = await old_row(db)
        refuse = store.refuse(other, report(other, errors=True), NOW)
        assert sorted(await both(store.begin(other, "a1", NOW), refuse)) == [False, True]


@twisted_test(10)
async def test_a_row_of_an_old_web_process_can_be_refused(
    db: PooledDatabase, store: JobStore
) -> None:
    id_ = await old_row(db)
    assert await store.refuse(id_, report(id_, errors=True), NOW)
    assert not await store.begin(id_, "a1", NOW)


@twisted_test(10)
async def test_a_row_finished_by_an_old_web_process_never_begins(
    db: PooledDatabase, store: JobStore
) -> None:
    ours, theirs = await added(store), await old_row(db)
    await store.begin(ours, "a1", NOW)
    done = "UPDATE jobrequests SET completed_at = 5, complete_data = '{}' WHERE id = :id"
    await db.transact([Statement(done, {"id": id_}, 1) for id_ in (ours, theirs)])
    for id_ in (ours, theirs):
        assert not await store.begin(id_, "a1", NOW)
        assert not await store.finish(id_, report(id_), NOW)
        job = await store.get(id_)
        assert job is not None
        assert job.state is JobState.DONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        "no JSON",
        '{"cut": "of',
        '{"body": []}',
        '{"body": {"errors": null}}',
        "[" * 5000,
    ],
)
@twisted_test(10)
async def test_undecodable_texts_do_not_break_a_listing(
    db: PooledDatabase, store: JobStore, text: str
) -> None:
    await old_row(db, what=text, completed_at=5, complete_data=text)
    (job,) = await store.latest(9, 0)
    assert job.state is JobState.DONE
    if not text.startswith("{") or "cut" in text:
        assert (job.what, job.complete_data) == ({}, None)


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("new_build_at_revisio", "new_build_at_revision"),
        ("new_pgobuild_at_revi", "new_pgobuild_at_revision"),
        ("new_nightly_at_revis", "new_nightly_at_revision"),
        ("new_build_for_builde", "new_build_for_builder"),
        ("cancel_build", "cancel_build"),
        ("anything", "anything"),
    ],
)
@twisted_test(10)
async def test_names_of_actions_come_back_whole(
    db: PooledDatabase, store: JobStore, stored: str, name: str
) -> None:
    id_ = await old_row(db, action=stored)
    assert [job.action for job in await store.latest(1, 0)] == [name]
    job = await store.get(id_)
    assert job is not None
    assert job.action == name


# --- old tables -----------------------------------------------------------------------------


@pytest.mark.mariadb
@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
class TestOldTable(JobStoreContract):
    """The contract on the old table (SQLite has no other), but for names it cannot hold."""

    @pytest.fixture
    def store(self, old_db: PooledDatabase) -> JobStore:
        return SQLJobStore(old_db)

    @pytest.mark.parametrize("who", ["o'brien %s", "zoë", "李 <li@example.org>"])
    @twisted_test(10)
    async def test_any_name_is_kept(self, store: JobStore, who: str) -> None:
        job = await store.get(await added(store, who=who))
        assert job is not None
        assert job.who == who


@pytest.mark.parametrize("action", ACTIONS)
@twisted_test(10)
async def test_an_old_table_takes_every_action(
    old_db: PooledDatabase, old_store: JobStore, engine: str, action: str
) -> None:
    id_ = await old_store.add(WHO, WHEN, action, {"x": "\U0001f600"}, KEY)
    job = await old_store.get(id_)
    assert job is not None
    assert (job.action, job.what) == (action, {"x": "\U0001f600"})
    assert await old_store.keyed(KEY.name, WHEN) == KeyedJob(KEY, id_, accepted=False)
    kept = action if engine == "sqlite" else action[:20]  # SQLite does not count
    assert await Query("SELECT action FROM jobrequests", str).many(old_db) == [kept]


@twisted_test(10)
async def test_a_key_counts_for_a_name_that_is_cut_too(old_store: JobStore) -> None:
    await old_store.add(WHO, WHEN, "new_nightly_at_revision", WHAT, KEY)
    with pytest.raises(InProgress):
        await old_store.add(WHO, WHEN, "new_nightly_at_revision", WHAT, KEY)
    assert len(await old_store.latest(9, 0)) == 1


@pytest.mark.mariadb
@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
@twisted_test(10)
async def test_no_other_name_is_cut(old_store: JobStore) -> None:
    with pytest.raises(BadRequest):
        await old_store.add(WHO, WHEN, "something_long_and_unknown", WHAT)
    with pytest.raises(BadRequest):
        await old_store.add("x" * 600, WHEN, "new_nightly_at_revision", WHAT, KEY)
    assert list(await old_store.latest(9, 0)) == []
    assert await old_store.keyed(KEY.name, WHEN) is None


@twisted_test(10)
async def test_a_name_an_old_table_cannot_hold_is_a_bad_request(
    old_store: JobStore, engine: str
) -> None:
    """SQLite can hold it; MySQL's old character set cannot, and nothing is recorded then."""
    if engine == "sqlite":
        assert await added(old_store, who="\U0001f600")
        return
    with pytest.raises(BadRequest):
        await added(old_store, who="\U0001f600")
    with pytest.raises(BadRequest):
        await added(old_store, who="x" * 600)
    assert list(await old_store.latest(9, 0)) == []


@twisted_test(10)
async def test_a_name_no_encoding_knows_is_a_bad_request(store: JobStore) -> None:
    with pytest.raises(BadRequest):
        await added(store, who="\udc80")
    assert list(await store.latest(9, 0)) == []


@twisted_test(10)
async def test_a_report_too_long_for_an_old_table_is_shortened(
    old_store: JobStore, engine: str
) -> None:
    id_ = await added(old_store)
    items = [{"state": "done", "detail": "y" * 100}] * 1000
    long = {**report(id_, errors=True, msg="m" * 9000), "items": items}
    assert await old_store.finish(id_, long, NOW)
    job = await old_store.get(id_)
    assert job is not None
    assert job.state is JobState.FAILED
    assert job.complete_data is not None
    kept = len(job.complete_data["body"]["msg"])
    assert (kept, "items" in job.complete_data) == (
        (9000, True) if engine == "sqlite" else (4000, False)
    )


@pytest.mark.mariadb
@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
@twisted_test(10)
async def test_the_upgrade_makes_an_old_table_wide(
    old_db: PooledDatabase, old_store: JobStore
) -> None:
    before = await old_row(old_db, action="cancel_build", who="zoë", completed_at=5)
    await old_db.transact(statements(schema_sql("mysql", "jobs-widen")))
    first = await old_store.get(before)
    assert first is not None
    assert (first.action, first.who, first.completed_at) == ("cancel_build", "zoë", 5)
    job = await old_store.get(
        await old_store.add("\U0001f600", 2**32, "new_nightly_at_revision", WHAT)
    )
    assert job is not None
    assert (job.action, job.who, job.when) == ("new_nightly_at_revision", "\U0001f600", 2**32)
    await old_store.finish(job.id, {**report(job.id), "items": ["z" * 200_000]}, NOW)
    long = await old_store.get(job.id)
    assert long is not None
    assert long.complete_data is not None
    assert len(json.dumps(long.complete_data)) > 200_000


# --- keys and progress ----------------------------------------------------------------------


@pytest.mark.parametrize("expired", [False, True])
@twisted_test(60)
async def test_processes_that_meet_at_a_key_record_one_job(
    url: str, open_pool: OpenPool, store: JobStore, expired: bool
) -> None:
    stores = [SQLJobStore(open_pool(url, size=8, max_waiting=99)) for _ in range(3)]
    for turn in range(5):
        key = JobKey(f"{turn:064x}", "cd" * 32, "words")
        before = [await added(store, when=WHEN - DAY - 1, key=key)] if expired else []
        adding = [ensureDeferred(added_or_not(stores[n % 3], key)) for n in range(48)]
        ids = [id_ for id_ in await gatherResults(adding) if id_ is not None]
        assert len(ids) == 1
        assert [job.id for job in await store.latest(len(before) + 1, 0)] == ids + before
        assert await store.keyed(key.name, WHEN) == KeyedJob(key, ids[0], accepted=False)


@twisted_test(30)
async def test_keys_are_taken_freed_and_forgotten_at_once(
    url: str, open_pool: OpenPool, store: JobStore
) -> None:
    stores = [SQLJobStore(open_pool(url, size=6, max_waiting=99)) for _ in range(2)]

    async def take_and_free(n: int) -> None:
        ours = stores[n % 2]
        id_ = await added_or_not(ours, JobKey(f"{n % 5:064x}", "cd" * 32, "words"))
        if id_ is not None:
            assert await ours.refuse(id_, report(id_, errors=True), NOW)
        await ours.forget_keys(WHEN)

    await gatherResults([ensureDeferred(take_and_free(n)) for n in range(40)])
    for n in range(5):
        assert await store.keyed(f"{n:064x}", 0) is None
        assert await added_or_not(store, JobKey(f"{n:064x}", "cd" * 32, "words")) is not None


@twisted_test(10)
async def test_a_keyed_row_finished_by_an_old_agent_is_accepted(
    db: PooledDatabase, store: JobStore
) -> None:
    id_ = await added(store, key=KEY)
    done = "UPDATE jobrequests SET completed_at = 5, complete_data = '{}' WHERE id = :id"
    await store.progress(id_, PROGRESS, NOW)
    await db.transact([Statement(done, {"id": id_}, 1)])
    assert await store.keyed(KEY.name, WHEN) == KeyedJob(KEY, id_, accepted=True)
    assert await progress_of(store, id_) is None
    await store.progress(id_, Progress(9, []), NOW)
    assert await Query("SELECT total FROM buildapi_progress", int).many(db) == [PROGRESS.total]


@twisted_test(10)
async def test_progress_that_cannot_be_stored_is_left_out(
    db: PooledDatabase, store: JobStore
) -> None:
    id_ = await added(store)
    await store.begin(id_, "a1", NOW)
    await store.progress(id_, PROGRESS, NOW)
    await store.progress(id_, Progress(2**70, []), NOW)
    assert await progress_of(store, id_) == PROGRESS


@pytest.mark.parametrize("end", ["finish", "refuse"])
@twisted_test(10)
async def test_the_end_of_a_job_leaves_no_row_of_its_progress(
    db: PooledDatabase, store: JobStore, end: str
) -> None:
    id_ = await added(store)
    await store.progress(id_, PROGRESS, NOW)
    assert await getattr(store, end)(id_, report(id_), NOW)
    await store.progress(id_, PROGRESS, NOW)
    assert await Query("SELECT COUNT(*) FROM buildapi_progress", int).many(db) == [0]


@pytest.mark.mariadb
@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
@twisted_test(10)
async def test_progress_waits_for_a_finish_that_is_under_way(
    mariadb: MariaDB, url: str, db: PooledDatabase, store: JobStore
) -> None:
    id_ = await added(store)
    await store.begin(id_, "a1", NOW)
    with contextlib.closing(mariadb.connect(url.rpartition("/")[2])) as other:
        other.begin()
        for statement in finishing([Ending(id_, {}, 5)])[:2]:
            other.cursor().execute(translate(statement.text), statement.params)
        late = ensureDeferred(store.progress(id_, PROGRESS, NOW))
        await until(lambda: bool(mariadb.lock_waits()))
        assert not late.called
        other.commit()
    await late
    assert await Query("SELECT COUNT(*) FROM buildapi_progress", int).many(db) == [0]


# --- lost answers ---------------------------------------------------------------------------


@attrs.frozen
class SnapshotsOnly:
    """A pool that is read as of one moment, or not at all."""

    db: PooledDatabase

    async def snapshot(self, reading: Callable[[Read], T]) -> T:
        return await self.db.snapshot(reading)


@twisted_test(10)
async def test_the_backlog_is_read_as_of_one_moment(db: PooledDatabase, store: JobStore) -> None:
    """A job that ends between two of its counts must not be in both, or in neither."""
    job = await store.add("ann", 5, "cancel_build", {"bid": 1})
    one: Any = SnapshotsOnly(db)
    found = await SQLJobStore(one).backlog(0, 0)
    assert (found.open, found.oldest and found.oldest.id, found.failed) == (1, job, 0)


@twisted_test(10)
async def test_a_job_is_recorded_once_though_the_answer_was_lost(
    db: PooledDatabase, store: JobStore
) -> None:
    id_ = await added(SQLJobStore(ScriptedDatabase(db, forgets=True)))
    assert [job.id for job in await store.latest(9, 0)] == [id_]


@twisted_test(10)
async def test_a_job_whose_answer_was_lost_has_its_key_itself(
    db: PooledDatabase, store: JobStore
) -> None:
    id_ = await added(SQLJobStore(ScriptedDatabase(db, forgets=True)), key=KEY)
    assert [job.id for job in await store.latest(9, 0)] == [id_]
    assert await store.keyed(KEY.name, WHEN) == KeyedJob(KEY, id_, accepted=False)
    with pytest.raises(InProgress):
        await added(SQLJobStore(ScriptedDatabase(db, forgets=True)), key=KEY)


@twisted_test(10)
async def test_a_refusal_stands_though_the_answer_was_lost(
    db: PooledDatabase, store: JobStore
) -> None:
    id_ = await added(store)
    forgetful = SQLJobStore(ScriptedDatabase(db, forgets=True))
    assert await forgetful.refuse(id_, report(id_, errors=True), NOW)
    assert not await store.begin(id_, "a1", NOW)


@twisted_test(10)
async def test_a_beginning_stands_though_the_answer_was_lost(
    db: PooledDatabase, store: JobStore
) -> None:
    ours, theirs = await added(store), await old_row(db)
    forgetful = SQLJobStore(ScriptedDatabase(db, forgets=True))
    assert await forgetful.begin(ours, "a1", NOW)
    assert await forgetful.begin(theirs, "a1", NOW)


@twisted_test(10)
async def test_an_id_given_out_again_is_a_new_job(
    db: PooledDatabase, store: JobStore, engine: str
) -> None:
    """Somebody deletes rows of the shared table, and ids begin again."""
    id_ = await added(store, key=KEY)
    await store.begin(id_, "a1", NOW)
    await store.progress(id_, PROGRESS, NOW)
    reused = id_ + (2 if engine == "mysql" else 1)  # MySQL counts the attempt that met a row
    left = [
        f"UPDATE buildapi_jobs SET request_id = {id_ + 1}, token = NULL",
        f"""INSERT INTO buildapi_jobs (request_id, state, sent, agent, created_at)
 VALUES ({id_ + 2}, 'running', 1, 'a1', 1)""",
        f"UPDATE buildapi_keys SET request_id = {reused}",
        f"""INSERT INTO buildapi_progress (request_id, total, items, updated_at)
 VALUES ({id_ + 1}, 1, '[]', 1), ({id_ + 2}, 1, '[]', 1)""",
        f"DELETE FROM jobrequests WHERE id = {id_}",
    ]
    await db.transact([Statement(text) for text in left])
    new = await added(store)
    assert new == reused
    job = await store.get(new)
    assert job is not None
    assert (job.state, job.agent, job.progress) == (JobState.QUEUED, None, None)
    assert await store.keyed(KEY.name, WHEN) is None
    assert await added(store, key=KEY) > new


@twisted_test(10)
async def test_without_a_database_nothing_is_recorded(
    url: str, open_pool: OpenPool, store: JobStore
) -> None:
    closed = open_pool(url)
    await closed.stopService()
    with pytest.raises(DatabaseUnavailable):
        await added(SQLJobStore(closed))
    assert list(await store.latest(9, 0)) == []
