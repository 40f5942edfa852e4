"""Two real masters on MariaDB, a real RabbitMQ, and our program between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.e2e.service import Service, configured
from tests.farm.farm import Farm
from tests.farm.fixtures import MakeFarm, make_farm, make_module_farm, python27
from tests.services.mariadb import MariaDB
from tests.services.rabbitmq import RabbitMQ

__all__ = ["make_farm", "make_module_farm", "python27"]

BRANCHES = {
    "mozilla-central": {"repo": "https://hg.example.org/mozilla-central"},
    "try": {"repo": "https://hg.example.org/try"},
}
PGO = "Linux mozilla-central pgo-build"
BUILDERS = {
    "builders": {
        PGO: {"properties": {"branch": "mozilla-central"}},
        "Linux try pgo-build": {"properties": {"branch": "try"}},
        "short": {},
    }
}
MakeService = Callable[..., Service]


@attrs.frozen
class World:
    """A farm, its broker, and the sections of a configuration that join them."""

    farm: Farm
    broker: RabbitMQ
    sections: Mapping[str, Any]


@pytest.fixture(scope="module")
def world(
    make_module_farm: MakeFarm,
    mariadb: MariaDB,
    rabbitmq: RabbitMQ,
    tmp_path_factory: pytest.TempPathFactory,
) -> World:
    """Run two masters that share a scheduler database."""
    scheduler = mariadb.database("scheduler", charset="utf8")  # Buildbot 0.8.2 knows no utf8mb4
    farm = make_module_farm(scheduler)
    farm.master(
        "a",
        {"long a": "long", "short": "short", "a/b%c": "long", PGO: "short"},
        slaves=2,
        no_merge=True,
        change_source=True,
        schedulers={"mozilla-central": ["short"]},
    )
    farm.master("b", {"long b": "long"}, slaves=2, no_merge=True)
    farm.start()
    files = tmp_path_factory.mktemp("directory")
    (files / "branches.json").write_text(json.dumps(BRANCHES))
    (files / "masters.json").write_text(farm.masters_json())
    (files / "builders.json").write_text(json.dumps(BUILDERS))
    sections = {
        "databases": {
            "jobs": {"url": mariadb.database("jobs")},
            "scheduler": {"url": scheduler},
        },
        "broker": {
            "url": f"amqp://{rabbitmq.user}:{rabbitmq.password}@127.0.0.1:{rabbitmq.port}/",
        },
        "directory": {
            "branches": str(files / "branches.json"),
            "masters": str(files / "masters.json"),
            "builders": str(files / "builders.json"),
        },
        "changes": {"master": "a"},
        "agent": {"recheck_seconds": 1, "poke_seconds": 5, "verify_seconds": 5},
    }
    return World(farm, rabbitmq, sections)


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[MakeService]:
    """Make services that end with the test."""
    with ExitStack() as services:

        def make(name: str, sections: Mapping[str, Any]) -> Service:
            service = configured(tmp_path / name, sections)
            services.callback(service.kill)
            return service

        yield make


@pytest.fixture
def service(world: World, make_service: MakeService) -> Service:
    """Run one process with both roles between the real farm and the real broker."""
    service = make_service("buildapi", world.sections)
    service.up()
    return service
