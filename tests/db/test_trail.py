"""Trails in SQL."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from buildapi.db import trail
from buildapi.db.pool import PooledDatabase
from buildapi.db.schema import create_jobs_schema
from buildapi.db.sql import Query
from buildapi.db.trail import SQLTrailStore
from buildapi.errors import DatabaseUnavailable
from tests.db.conftest import OpenPool
from tests.db.trailstore_contract import ENTRY, TrailStoreContract, later
from tests.reactor import twisted_test


@pytest.fixture
def db(url: str, open_pool: OpenPool) -> PooledDatabase:
    pool = open_pool(url, max_rows=100)  # the least that a configuration allows
    pytest_twisted.blockon(ensureDeferred(create_jobs_schema(pool)))
    return pool


class TestSQLTrailStore(TrailStoreContract):
    """The contract, on each engine."""

    @pytest.fixture
    def store(self, db: PooledDatabase) -> SQLTrailStore:
        return SQLTrailStore(db)


@twisted_test(30)
async def test_forgetting_is_bounded(db: PooledDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "FORGET_OLD", trail.FORGET_OLD.replace("5000", "3"))
    store = SQLTrailStore(db)
    await store.add([later(n) for n in range(5)])
    await store.forget(ENTRY.at + 100)
    count = Query("SELECT count(*) FROM buildapi_trail", int)
    assert await count.maybe(db) == 2


@twisted_test(10)
async def test_without_its_table_it_is_unavailable(url: str, open_pool: OpenPool) -> None:
    store = SQLTrailStore(open_pool(url))
    with pytest.raises(DatabaseUnavailable, match="no table"):
        await store.add([ENTRY])
    with pytest.raises(DatabaseUnavailable, match="no table"):
        await store.forget(ENTRY.at)
