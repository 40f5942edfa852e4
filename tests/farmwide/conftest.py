"""Scheduler and status databases on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from buildapi.db.pool import PooledDatabase, open_database
from buildapi.sample.farm_schema import status_schema
from tests.buildbot.conftest import (
    LIMITS,
    engine,
    make_url,
    mysql_urls,
    open_scheduler,
    replica,
    scheduler,
    sqlite_template,
)
from tests.buildbot.seed import Seed
from tests.services.mariadb import MariaDB

__all__ = [
    "engine",
    "make_url",
    "mysql_urls",
    "open_scheduler",
    "replica",
    "scheduler",
    "sqlite_template",
    "status",
    "status_url",
]


TABLES = ("builds", "builders", "slaves", "masters", "properties", "build_properties", "steps")
"""Tables of the status database that tests fill."""


@attrs.frozen
class Status:
    """A status database: as masters see it, and as we do."""

    seed: Seed
    db: PooledDatabase

    def build(self, slave: str = "slave1", *, name: str = "linux-build", **columns: object) -> int:
        """Note a build of a slave; give its id."""
        values = {
            "buildnumber": 7,
            "builder_id": self._one("builders", name=name, master_id=1),
            "slave_id": self._one("slaves", name=slave),
            "master_id": self._one("masters", name="bm1", url="http://bm1/"),
            "starttime": "2023-11-14 22:13:20",
            "endtime": "2023-11-14 22:14:20",
            "result": 0,
            "lost": 0,
        }
        return self.seed.insert("builds", **values | columns)

    def property(self, build: int, name: str, value: str) -> None:
        """Add a property to a build."""
        id_ = self.seed.insert("properties", name=name, source="Builder", value=value)
        self.seed.insert("build_properties", property_id=id_, build_id=build)

    def _one(self, table: str, **columns: object) -> int:
        where = " AND ".join(f"{name} = %s" for name in columns)
        rows = self.seed.rows(f"SELECT id FROM {table} WHERE {where}", *columns.values())
        return int(rows[0]["id"]) if rows else self.seed.insert(table, **columns)


@pytest.fixture(scope="session")
def status_url(mariadb: MariaDB) -> str:
    """Return a database on the server, made once."""
    url = mariadb.database("status", "latin1")
    mariadb.execute(*status_schema("mysql"), database=url.rpartition("/")[2])
    return url


@pytest.fixture
def status(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Status]:
    from twisted.internet import reactor

    if engine == "mysql":
        seed = Seed(request.getfixturevalue("status_url"))
        for table in (
            "builds",
            "builders",
            "slaves",
            "masters",
            "properties",
            "build_properties",
            "steps",
        ):
            seed.execute(f"DELETE FROM {table}")
    else:
        seed = Seed(f"sqlite:///{tmp_path / 'status.sqlite'}")
        for statement in status_schema("sqlite"):
            seed.execute(statement)
    db = open_database(seed.url, reactor=reactor, name="status", **LIMITS)
    yield Status(seed, db)
    seed.close()
    pytest_twisted.blockon(db.stopService())
