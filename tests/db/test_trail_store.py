"""Trails in SQL."""

from __future__ import annotations

import pytest

from buildapi.db import trail_store
from buildapi.db.pool import PooledDatabase
from buildapi.db.sql import Query, Statement
from buildapi.db.trail_store import SQLTrailStore
from buildapi.model.ops import Part
from tests.db.conftest import OpenPool
from tests.db.trailstore_contract import ENTRY, TrailStoreContract, later
from tests.reactor import twisted_test


@pytest.fixture
def db(url: str, open_jobs_database: OpenPool) -> PooledDatabase:
    return open_jobs_database(url, max_rows=100)  # the least that a configuration allows


class TestSQLTrailStore(TrailStoreContract):
    """The contract, on each engine."""

    @pytest.fixture
    def store(self, db: PooledDatabase) -> SQLTrailStore:
        return SQLTrailStore(db)


@twisted_test(30)
async def test_forgetting_is_bounded(db: PooledDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail_store, "FORGET", 200)
    store = SQLTrailStore(db)
    await store.add([later(n) for n in range(305)])
    for left in (105, 0, 0):
        await store.forget(ENTRY.at + 1000)
        assert await Query("SELECT count(*) FROM buildapi_trail", int).maybe(db) == left


@twisted_test(30)
async def test_forgetting_reads_no_more_than_it_deletes(db: PooledDatabase, engine: str) -> None:
    if engine == "sqlite":
        plan = await db.fetch(f"EXPLAIN QUERY PLAN {trail_store.OLD.text}", {"before": 1})
        assert "buildapi_trail_at" in str([tuple(row) for row in plan])
        return
    store = SQLTrailStore(db)
    await store.add([later(n) for n in range(300)])
    rows = await db.fetch(
        f"EXPLAIN {trail_store.OLD.text}", {"before": int(ENTRY.at * 1000) + 5000}
    )
    assert "buildapi_trail_at" in str([tuple(row) for row in rows])


@twisted_test(10)
async def test_a_part_of_a_newer_version_is_another_one(db: PooledDatabase) -> None:
    store = SQLTrailStore(db)
    await store.add([ENTRY])
    await db.transact([Statement("UPDATE buildapi_trail SET part = 'robot'")])
    assert [e.part for e in await store.of_job(ENTRY.job_id, 0)] == [Part.OTHER]
