"""The contract of drivers: those of the package, and the one that fails as planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from buildapi.db.driver import Driver
from buildapi.db.mysql import MySQLDriver
from buildapi.db.pool import DRIVERS
from buildapi.db.sqlite import SQLiteDriver
from tests.db.driver_contract import DriverContract
from tests.db.faulty import Faults, FaultyDriver
from tests.services.mariadb import MariaDB


class TestSQLiteDriver(DriverContract):
    """A database file."""

    @pytest.fixture
    def driver(self, tmp_path: Path) -> Driver:
        return SQLiteDriver(str(tmp_path / "test.sqlite"), 5)


class TestSQLiteInMemory(DriverContract):
    """A database of one connection."""

    @pytest.fixture
    def driver(self) -> Driver:
        return SQLiteDriver(":memory:", 5)


@pytest.mark.mariadb
class TestMySQLDriver(DriverContract):
    """A database of a server."""

    @pytest.fixture
    def driver(self, mariadb: MariaDB) -> Driver:
        url = mariadb.database("driver")
        rest: dict[str, Any] = {"read_only": False, "password": None, "tls_ca": None}
        driver = DRIVERS["mysql"].open(url, name="test", seconds=5, **rest)
        assert isinstance(driver, MySQLDriver)
        return driver


class TestFaultyDriver(DriverContract):
    """The double, while no fault is planned."""

    @pytest.fixture
    def driver(self) -> Driver:
        faulty: Any = FaultyDriver(Faults())
        return cast(Driver, faulty)
