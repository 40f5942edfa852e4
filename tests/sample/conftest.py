"""Databases of both engines for the sample farm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services.mariadb import MariaDB


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mariadb)])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Return the URLs of two empty databases, scheduler and status."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/scheduler.sqlite", f"sqlite:{tmp_path}/status.sqlite"
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.database("scheduler", "utf8"), server.database("status", "latin1")
