"""Ids of job requests go on past those that were given out before the database was restored."""

from __future__ import annotations

import pytest

from buildapi.db.job_ids import highest_id, move_past
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.pool import PooledDatabase
from tests.db.conftest import OpenPool
from tests.reactor import twisted_test

WHAT = {"brid": 7}


@pytest.fixture
def db(url: str, open_jobs_database: OpenPool) -> PooledDatabase:
    return open_jobs_database(url)


@twisted_test(15)
async def test_the_next_job_gets_an_id_past_the_highest_marker_and_no_row_is_made(
    db: PooledDatabase,
) -> None:
    store = SQLJobStore(db)
    before = await highest_id(db)
    assert await move_past(db, before + 500)
    assert await store.get(before + 500) is None
    job = await store.add("zoe", 5, "cancel_request", WHAT)
    assert job > before + 500
    assert await highest_id(db) == job
    assert await move_past(db, before + 10)  # what is past already stays
    assert await store.add("zoe", 5, "cancel_request", WHAT) > job
    assert await move_past(db, job)  # a job has it
    assert await store.get(job) is not None
