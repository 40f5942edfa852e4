"""Databases for tests: a pool on each engine, and a private MariaDB for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_twisted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred

from buildapi.db.pool import PooledDatabase, open_database
from buildapi.db.schema import create_jobs_schema
from buildapi.db.sql import Query, Statement
from tests.services.mariadb import MariaDB

DEFAULTS: dict[str, Any] = {
    "name": "test",
    "size": 4,
    "max_waiting": 50,
    "statement_seconds": 30,
    "max_rows": 1000,
}


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
IN_TITLES = st.text(st.sampled_from("a'\"\\%:`\0\n\U0001f600"), max_size=6)


def for_texts(test: Any) -> Any:
    """Run a test with many values of ``text``.

    pytest-twisted cannot run one hypothesis test with several parameters, hence one test per
    engine and this in common.
    """
    checked = settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    return given(text=ANY_TEXT | IN_TITLES)(checked(test))


async def check_round_trip(db: PooledDatabase, text: str) -> None:
    """Store a text in ``texts(id, s)`` and read it back, beside a literal with special signs."""
    insert = Statement("INSERT INTO texts (s) VALUES (:text)", {"text": text}, 1)
    (id_,) = await db.transact([insert])
    query = Query("SELECT s, '100 %:x' FROM texts WHERE id = :id", lambda *c: c)
    assert await query.maybe(db, id=id_) == (text, "100 %:x")


class OpenPool(Protocol):
    """Open a pool that is closed after the test."""

    def __call__(self, url: str, **options: Any) -> PooledDatabase: ...


@pytest.fixture
def open_jobs_database(open_pool: OpenPool) -> OpenPool:
    """Open a pool of a database that has the tables of the jobs database."""

    def opened(url: str, **options: Any) -> PooledDatabase:
        pool = open_pool(url, **options)
        pytest_twisted.blockon(ensureDeferred(create_jobs_schema(pool)))
        return pool

    return opened


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mariadb)])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if engine == "sqlite":
        return f"sqlite:{tmp_path / 'data' / 'test.sqlite'}"
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.database("test")


@pytest.fixture
def open_pool() -> Iterator[OpenPool]:
    from twisted.internet import reactor

    pools: list[PooledDatabase] = []

    def make(url: str, **options: Any) -> PooledDatabase:
        pools.append(open_database(url, **{"reactor": reactor} | DEFAULTS | options))
        return pools[-1]

    yield make
    for pool in pools:
        pytest_twisted.blockon(pool.stopService())
