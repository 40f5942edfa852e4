"""Our tables: made once, on either engine, under a name that is checked."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import formatEvent

from buildapi.db.audit_store import SQLAuditStore
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.jobstore.rebuild_rows import TABLE as REBUILDS
from buildapi.db.schema import (
    JOBS,
    LATER,
    create_jobs_schema,
    create_marker_table,
    schema_sql,
    statements,
    table_name,
)
from buildapi.db.sql import DuplicateError, MissingTableError, Query, Statement
from buildapi.errors import ConfigError, DatabaseUnavailable
from buildapi.model.audit import AuditFilter
from buildapi.model.rebuilds import OF_BUILD, Rebuild, RebuildOrigin
from tests.db.auditstore_contract import RECORD
from tests.db.conftest import OpenPool
from tests.reactor import twisted_test
from tests.services.mariadb import MariaDB

NEWER = ("keys", "progress", "branches", "processes", "trail", "tokens", "token_", "user_groups")
NEWER += ("audit", "rebuilds", "load")
DIALECTS = ("mysql", "sqlite")


@twisted_test(10)
async def test_making_the_tables_again_changes_nothing(url: str, open_pool: OpenPool) -> None:
    db = open_pool(url)
    await create_jobs_schema(db)
    insert = "INSERT INTO jobrequests (action, who, `when`, what) VALUES ('a', 'b', 1, '{}')"
    await db.transact([Statement(insert, rows=1)])
    await create_jobs_schema(db)
    assert await Query("SELECT COUNT(*) FROM jobrequests", int).many(db) == [1]
    assert await db.transactional(["jobrequests", "buildapi_jobs"])


@twisted_test(10)
async def test_tables_that_a_data_folder_lacks_are_made(url: str, open_pool: OpenPool) -> None:
    """One made before there were keys and progress keeps its jobs."""
    db = open_pool(url)
    whole = statements(schema_sql(db.dialect, "jobs"))
    await db.transact([s for s in whole if not any(new in s.text for new in NEWER)])
    insert = "INSERT INTO jobrequests (action, who, `when`, what) VALUES ('a', 'b', 1, '{}')"
    await db.transact([Statement(insert, rows=1)])
    with pytest.raises(MissingTableError):
        await db.fetch("SELECT 1 FROM buildapi_keys", {})
    await create_jobs_schema(db)
    for table, rows in zip(JOBS, (1, *[0] * (len(JOBS) - 1)), strict=True):
        assert await Query(f"SELECT COUNT(*) FROM {table}", int).many(db) == [rows]
    assert await db.transactional(JOBS)


@twisted_test(10)
async def test_a_marker_can_be_written_once(url: str, open_pool: OpenPool) -> None:
    db = open_pool(url)
    for _ in range(2):
        await create_marker_table(db, "our_markers")
    mark = Statement(
        "INSERT INTO our_markers (request_id, state, plan, created_at)"
        " VALUES (7, 'written', :plan, 1)",
        {"plan": "\U0001f600" * 70_000},
        1,
    )
    await db.transact([mark])
    with pytest.raises(DuplicateError):
        await db.transact([mark])
    lengths = Query("SELECT CHAR_LENGTH(plan) FROM our_markers", int)
    if db.dialect == "sqlite":
        lengths = Query("SELECT LENGTH(plan) FROM our_markers", int)
    assert await lengths.many(db) == [70_000]
    assert await db.transactional(["our_markers"])


@pytest.mark.mariadb
@twisted_test(10)
async def test_an_account_that_may_not_create_uses_the_tables_there_are(
    mariadb: MariaDB, open_pool: OpenPool
) -> None:
    url = mariadb.database("rights")
    name = url.rpartition("/")[2]
    mariadb.execute("CREATE USER small@'127.0.0.1'")
    mariadb.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO small@'127.0.0.1'")
    small = open_pool(url.replace("root@", "small@"))
    with pytest.raises(DatabaseUnavailable, match="refuses the account"):
        await create_jobs_schema(small)
    for part in ("jobs", "markers"):
        made = statements(schema_sql("mysql", part))
        mariadb.execute(*[statement.text for statement in made], database=name)
    await create_jobs_schema(small)
    await create_marker_table(small)


@pytest.mark.mariadb
@twisted_test(10)
async def test_an_account_that_may_not_create_the_newest_table_does_without(
    mariadb: MariaDB, open_pool: OpenPool, logged_errors: list[Any]
) -> None:
    """A process of a new version serves before the administrator has upgraded its tables."""
    url = mariadb.database("later")
    name = url.rpartition("/")[2]
    mariadb.execute("CREATE USER old@'127.0.0.1'")
    made = statements(schema_sql("mysql", "jobs"))
    old = [one.text for one in made if not any(table in one.text for table in LATER)]
    mariadb.execute(*old, database=name)
    for table in set(JOBS) - set(LATER):
        rights = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.{table} TO old@'127.0.0.1'"
        mariadb.execute(rights)
    db = open_pool(url.replace("root@", "old@"))
    assert await create_jobs_schema(db) == []
    for table, logged in zip(LATER, logged_errors, strict=True):
        assert f"table {table} is missing" in formatEvent(logged)
        assert "buildapi db upgrade" in formatEvent(logged)
    logged_errors.clear()
    store = SQLAuditStore(db)
    with pytest.raises(DatabaseUnavailable):
        await store.add([RECORD])
    # Once the table and its privileges are there, the same connection can use them.
    mariadb.execute(*[one.text for one in made], database=name)
    mariadb.execute(f"GRANT SELECT, INSERT, DELETE ON {name}.buildapi_audit TO old@'127.0.0.1'")
    await store.add([RECORD])
    assert len(await store.search(AuditFilter(), 10)) == 1


@pytest.mark.mariadb
@twisted_test(10)
async def test_a_job_is_finished_before_there_is_a_table_of_rebuilds(
    mariadb: MariaDB, open_pool: OpenPool, logged_errors: list[Any]
) -> None:
    url = mariadb.database("rebuilds")
    name = url.rpartition("/")[2]
    mariadb.execute("CREATE USER early@'127.0.0.1'")
    made = statements(schema_sql("mysql", "jobs"))
    mariadb.execute(*[one.text for one in made if REBUILDS not in one.text], database=name)
    for table in set(JOBS) - {REBUILDS}:
        rights = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.{table} TO early@'127.0.0.1'"
        mariadb.execute(rights)
    store = SQLJobStore(open_pool(url.replace("root@", "early@")))
    ids = [await store.add("ann", 1, "rebuild_build", {"bid": 11}) for _ in range(3)]
    wanted = [[Rebuild(RebuildOrigin(OF_BUILD, 11), id_ + 100, id_)] for id_ in ids]
    report = {"body": {"errors": False, "msg": "Ok"}}
    assert await store.finish(ids[0], report, 2, wanted[0])
    with pytest.raises(DatabaseUnavailable):
        await store.rebuilds([11], [])
    (logged,) = logged_errors
    assert f"table {REBUILDS} is missing" in formatEvent(logged)
    # The account may read the table, and not write yet.
    mariadb.execute(*[one.text for one in made], database=name)
    mariadb.execute(f"GRANT SELECT ON {name}.{REBUILDS} TO early@'127.0.0.1'")
    assert await store.finish(ids[1], report, 2, wanted[1])
    logged_errors.clear()
    mariadb.execute(f"GRANT INSERT, DELETE ON {name}.{REBUILDS} TO early@'127.0.0.1'")
    assert await store.finish(ids[2], report, 2, wanted[2])
    assert list((await store.rebuilds([11], [])).rebuilds) == wanted[2]


@twisted_test(10)
async def test_the_tables_that_were_made_are_named(url: str, open_pool: OpenPool) -> None:
    db = open_pool(url)
    assert await create_jobs_schema(db) == list(JOBS)
    assert await create_jobs_schema(db) == []


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a;DROP TABLE x", "a`", "ä", "a" * 65])
def test_a_table_name_that_needs_quoting_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        table_name(name)
    with pytest.raises(ConfigError):
        schema_sql("mysql", "markers", markers=name)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_administrators_read_the_same_text(dialect: str) -> None:
    text = schema_sql(dialect, "markers", markers="mine")
    assert "CREATE TABLE IF NOT EXISTS mine (" in text
    assert "buildapi_markers" not in text
    assert text.startswith("-- ")


@pytest.mark.parametrize(("dialect", "part"), [("oracle", "jobs"), ("sqlite", "jobs-widen")])
def test_a_schema_that_does_not_exist_is_named(dialect: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        schema_sql(dialect, part)


def test_a_file_is_split_into_its_statements() -> None:
    text = "-- a; comment\nCREATE TABLE a (\n  b TEXT\n);\n\n-- more;\nCREATE INDEX c ON a (b);\n"
    assert [s.text for s in statements(text)] == [
        "CREATE TABLE a (\n  b TEXT\n)",
        "CREATE INDEX c ON a (b)",
    ]
