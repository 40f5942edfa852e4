"""A farm's databases on each engine, and the configuration of a service that uses them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.cli.running import Done, buildapi
from tests.db.conftest import engine
from tests.e2e.service import toml
from tests.services.mariadb import MariaDB

__all__ = ["engine"]

OLD_TABLE = """CREATE TABLE jobrequests (id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
 action VARCHAR(20) NOT NULL, who VARCHAR(100) NOT NULL, `when` INTEGER NOT NULL,
 completed_at INTEGER, what TEXT NOT NULL, complete_data TEXT, KEY who (who), KEY act (action))
 ENGINE={engine} DEFAULT CHARSET=latin1"""
"""As an installation of the Pylons program has it."""

MASTERS = [{"db_name": "off:/x", "hostname": "127.0.0.1", "http_port": 1, "enabled": False}]
"""A master that nobody asks."""

BRANCHES = {"mozilla-central": {"repo": "https://hg.example.org/mozilla-central"}}


@attrs.frozen
class Place:
    """A folder with a configuration; ``urls`` are those of its databases."""

    folder: Path
    urls: Mapping[str, str]

    def configure(self, **sections: Any) -> None:
        document = {
            "directory": {"branches": "branches.json", "masters": "masters.json"},
            "databases": {name: {"url": url} for name, url in self.urls.items()},
        }
        (self.folder / "buildapi.toml").write_text(toml({**document, **sections}))

    def run(self, *command: str) -> Done:
        return buildapi(*command, "-c", "buildapi.toml", folder=self.folder)


@pytest.fixture
def place(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return a place whose databases are empty."""
    if engine == "sqlite":
        urls = {name: f"sqlite:{name}.sqlite" for name in ("jobs", "scheduler", "status")}
        (tmp_path / "scheduler.sqlite").touch()
    else:
        server: MariaDB = request.getfixturevalue("mariadb")
        urls = {name: server.database(name) for name in ("jobs", "scheduler", "status")}
    return place_on(tmp_path, urls)


def place_on(folder: Path, urls: Mapping[str, str]) -> Place:
    """Write a directory and a configuration of databases into a folder."""
    (folder / "branches.json").write_text(json.dumps(BRANCHES))
    (folder / "masters.json").write_text(json.dumps(MASTERS))
    place = Place(folder, urls)
    place.configure()
    return place
