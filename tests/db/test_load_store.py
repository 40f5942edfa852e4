"""Samples of the load in SQL."""

from __future__ import annotations

import pytest

from buildapi.db.load_store import SQLLoadStore
from buildapi.errors import DatabaseUnavailable
from tests.db.conftest import OpenPool
from tests.db.loadstore_contract import AT, LoadStoreContract, sample
from tests.reactor import twisted_test


class TestSQLLoadStore(LoadStoreContract):
    """The contract, on each engine."""

    @pytest.fixture
    def store(self, url: str, open_jobs_database: OpenPool) -> SQLLoadStore:
        # the least that a configuration allows
        return SQLLoadStore(open_jobs_database(url, max_rows=100))


@twisted_test(10)
async def test_a_missing_table_is_an_unavailable_database(url: str, open_pool: OpenPool) -> None:
    store = SQLLoadStore(open_pool(url))
    with pytest.raises(DatabaseUnavailable):
        await store.known(AT)
    with pytest.raises(DatabaseUnavailable):
        await store.add(sample(0))
