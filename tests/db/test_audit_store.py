"""The audit log in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from pymysql.constants import CR

from buildapi.db import audit_store
from buildapi.db.audit_store import SQLAuditStore, searching
from buildapi.db.pool import PooledDatabase
from buildapi.db.schema import create_jobs_schema
from buildapi.db.sql import Query, Statement
from buildapi.model.audit import AuditActor, AuditFilter, AuditOutcome, AuditRecord
from tests.audits import AT
from tests.db.auditstore_contract import AuditStoreContract, another, numbers
from tests.db.conftest import OpenPool
from tests.db.faulty import Faults, faulty_database
from tests.reactor import twisted_test


@pytest.fixture
def db(url: str, open_jobs_database: OpenPool) -> PooledDatabase:
    return open_jobs_database(url, max_rows=100)  # the least that a configuration allows


class TestSQLAuditStore(AuditStoreContract):
    """The contract, on each engine."""

    @pytest.fixture
    def store(self, db: PooledDatabase) -> SQLAuditStore:
        return SQLAuditStore(db)


@twisted_test(30)
async def test_forgetting_is_bounded(db: PooledDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_store, "FORGET", 200)
    store = SQLAuditStore(db)
    await store.add([another(n) for n in range(305)])
    for left in (105, 0, 0):
        await store.forget(AT + 1000)
        assert await Query("SELECT count(*) FROM buildapi_audit", int).maybe(db) == left


SELECTIVE: Sequence[tuple[dict[str, Any], str]] = [
    ({"who": "u17"}, "who"),
    ({"branch": "b17"}, "branch"),
    ({"build_id": 17}, "build_id"),
    ({"request_id": 17}, "request_id"),
    ({"job_id": 17}, "job_id"),
    ({"token_id": 17}, "token_id"),
    ({"address": "192.0.2.17"}, "address"),
    ({"revision": f"{17:012x}"}, "revision"),
]


def record(number: int) -> AuditRecord:
    """Return a record that differs from all others in everything that can be searched for."""
    made = another(number, number, job_id=number, actor=AuditActor(f"u{number}", token_id=number))
    client = attrs.evolve(made.client, address=f"192.0.2.{number}")
    subject = attrs.evolve(
        made.subject,
        branch=f"b{number}",
        build_id=number,
        request_id=number,
        revision=f"{number:012x}",
    )
    return attrs.evolve(made, client=client, subject=subject)


@twisted_test(60)
async def test_searches_and_deletions_use_an_index(db: PooledDatabase, engine: str) -> None:
    await SQLAuditStore(db).add([record(number) for number in range(2000)])
    explain = "EXPLAIN QUERY PLAN" if engine == "sqlite" else "EXPLAIN"
    if engine == "mysql":
        await db.fetch("ANALYZE TABLE buildapi_audit", {})

    async def plan(text: str, params: dict[str, object]) -> str:
        return str([tuple(row) for row in await db.fetch(f"{explain} {text}", params)])

    assert "buildapi_audit_at" in await plan(audit_store.OLD.text, {"before": int(AT * 1000) + 5})
    for fields, column in SELECTIVE:
        query, params = searching(AuditFilter(**fields), 50)
        assert f"buildapi_audit_{column}" in await plan(query.text, params), fields


@twisted_test(10)
async def test_an_outcome_of_a_newer_version_is_another_one(db: PooledDatabase) -> None:
    store = SQLAuditStore(db)
    await store.add([another(1)])
    await db.transact([Statement("UPDATE buildapi_audit SET outcome = 'pondered', builders = '7'")])
    (found,) = await store.search(AuditFilter(), 10)
    assert (found.outcome, found.subject.builders) == (AuditOutcome.OTHER, ())


@twisted_test(10)
async def test_a_list_that_is_too_long_loses_its_end(db: PooledDatabase) -> None:
    store = SQLAuditStore(db)
    groups = tuple(f"group-{n:05}" for n in range(5000))
    await store.add([another(1, actor=AuditActor("zoe", "proxy", groups))])
    (found,) = await store.search(AuditFilter(), 10)
    assert 1000 < len(found.actor.groups) < 2000
    assert found.actor.groups == groups[: len(found.actor.groups)]


@twisted_test(10)
async def test_a_batch_whose_answer_was_lost_is_stored_once() -> None:
    faults = Faults()
    db = faulty_database(faults)
    await create_jobs_schema(db)
    store = SQLAuditStore(db)
    faults.number, faults.stage, faults.times = CR.CR_SERVER_LOST, "commit", 1
    await store.add([another(1), another(2)])
    assert faults.times == 0
    assert await numbers(store, AuditFilter()) == [2, 1]
