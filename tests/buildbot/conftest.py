"""Scheduler databases for tests: the real schema on each engine, empty, and a pool on it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted

from buildapi.db.pool import PooledDatabase, open_database
from buildapi.db.schema import schema_sql, statements
from buildapi.sample.farm_schema import scheduler_schema
from tests.buildbot.seed import Seed, connect
from tests.services.mariadb import MariaDB

MARKERS = "buildapi_markers"
LIMITS: dict[str, Any] = {"size": 3, "max_waiting": 50, "statement_seconds": 5, "max_rows": 1000}
EMPTIED = (
    "builds",
    "buildrequests",
    "buildset_properties",
    "buildsets",
    "sourcestamps",
    "sourcestamp_changes",
    "changes",
    "change_files",
    "change_properties",
    MARKERS,
)


@attrs.frozen
class Scheduler:
    """A scheduler database: as masters see it, and as we do."""

    url: str
    seed: Seed
    db: PooledDatabase


def create(url: str, dialect: str, charset: str = "utf8") -> None:
    """Make the tables of masters, in a character set, and of ours."""
    connection = connect(url)
    cursor = connection.cursor()
    ours = statements(schema_sql(dialect, "markers"))
    for text in [*in_charset(scheduler_schema(dialect), charset), *(s.text for s in ours)]:
        cursor.execute(text)
    connection.close()


def in_charset(schema: Sequence[str], charset: str) -> Sequence[str]:
    """Have the tables of a schema hold texts of another character set."""
    return [re.sub(r"DEFAULT CHARSET = \w+", f"DEFAULT CHARSET = {charset}", s) for s in schema]


@pytest.fixture(scope="session")
def mysql_urls(mariadb: MariaDB) -> list[str]:
    """Return two databases, made once: tables are slow to make."""
    urls = [mariadb.database("scheduler", "utf8") for _ in range(2)]
    for url in urls:
        create(url, "mysql")
    return urls


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scheduler") / "empty.sqlite"
    create(f"sqlite:///{path}", "sqlite")
    return path


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mariadb)])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def empty(url: str) -> None:
    connection = connect(url)
    for table in EMPTIED:
        connection.cursor().execute(f"DELETE FROM {table}")
    connection.close()


OpenScheduler = Callable[..., Scheduler]


@pytest.fixture
def open_scheduler() -> Iterator[OpenScheduler]:
    """Open pools that are closed after the test."""
    from twisted.internet import reactor

    opened: list[Scheduler] = []

    def make(url: str, **limits: Any) -> Scheduler:
        db = open_database(url, reactor=reactor, name="scheduler", **LIMITS | limits)
        opened.append(Scheduler(url, Seed(url), db))
        return opened[-1]

    yield make
    for scheduler in opened:
        scheduler.seed.close()
        pytest_twisted.blockon(scheduler.db.stopService())


@pytest.fixture
def make_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], str]:
    """Return the URL of one of two empty databases."""

    def make(number: int) -> str:
        if engine == "mysql":
            url: str = request.getfixturevalue("mysql_urls")[number]
            empty(url)
            return url
        path = tmp_path / f"scheduler-{number}.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture
def scheduler(make_url: Callable[[int], str], open_scheduler: OpenScheduler) -> Scheduler:
    """Return the primary."""
    return open_scheduler(make_url(0))


@pytest.fixture
def replica(make_url: Callable[[int], str], open_scheduler: OpenScheduler) -> Scheduler:
    """Return another database, read only by contract."""
    return open_scheduler(make_url(1))
