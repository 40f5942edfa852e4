"""Databases of both engines for the sample farm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.mariadb import MariaDB, start_mariadb


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    server = start_mariadb(tmp_path_factory.mktemp("mariadb"))
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mariadb)])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Give the URLs of two empty databases, scheduler and status."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/scheduler.sqlite", f"sqlite:{tmp_path}/status.sqlite"
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.database("scheduler", "utf8"), server.database("status", "latin1")
