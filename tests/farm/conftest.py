"""Farms on each kind of scheduler database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.farm.farm import Farm
from tests.farm.fixtures import (
    MakeFarm,
    make_farm,
    make_module_farm,
    python27,
)
from tests.services.mariadb import MariaDB, start_mariadb

__all__ = ["make_farm", "make_module_farm", "python27"]


@pytest.fixture(scope="module")
def farm_server() -> Iterator[MariaDB]:
    """Run a server of their own for farms: others restart theirs, and a master does not recover."""
    server = start_mariadb()
    yield server
    server.remove()


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)],
)
def farm(request: pytest.FixtureRequest, make_module_farm: MakeFarm) -> Farm:
    """Run one master with one slave, on SQLite and on MariaDB."""
    url = None
    if request.param == "mariadb":
        server: MariaDB = request.getfixturevalue("farm_server")
        url = server.database("farm", charset="utf8")  # utf8mb4 is unknown to Buildbot 0.8.2
    farm = make_module_farm(url)
    farm.master("a", {"short": "short", "fail": "fail", "long": "long"})
    farm.start()
    return farm
