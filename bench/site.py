"""What a benchmark runs on: private servers, a farm, and processes of ours over them.

Without MariaDB the farm is in SQLite files, without RabbitMQ messages stay in the process: what can
be measured so is measured.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from bench.drain import broker_section, own_environment
from bench.farm_data import FarmData, generate, grow, part_size
from buildapi.sample.catalog import MASTERS
from buildapi.sample.history import FarmSize
from buildapi.sample.sample_farm import write_branches, write_masters
from tests.e2e.service import Service, toml, twistd
from tests.services.mariadb import MariaDB, free_port, start_mariadb
from tests.services.policy import program
from tests.services.rabbitmq import RabbitMQ, start_rabbitmq

ROOT = Path(__file__).parent.parent
USER = "bench@example.org"
MANY = 1_000_000
"""A limit that is never reached."""
LARGE = 1_000_000
"""A farm of so many builds gets more memory for its database."""


@attrs.frozen
class Length:
    """How long to measure: rounds, the seconds of each, and a number of jobs to drain."""

    rounds: int
    seconds: float
    jobs: int
    mix_seconds: float
    pollers: int
    listeners: int


FULL = Length(rounds=5, seconds=0.8, jobs=300, mix_seconds=40, pollers=2000, listeners=500)
QUICK = Length(rounds=1, seconds=0.1, jobs=10, mix_seconds=3, pollers=50, listeners=10)


def deep(*documents: Mapping[str, Any]) -> dict[str, Any]:
    """Merge tables of a configuration; later values count."""
    merged: dict[str, Any] = {}
    for document in documents:
        for key, value in document.items():
            old = merged.get(key)
            both = isinstance(value, Mapping) and isinstance(old, Mapping)
            merged[key] = deep(old, value) if both else value  # type: ignore[arg-type]  # both are
    return merged


@attrs.define
class Bench:
    """The servers, the two farms, and the folder of everything; ``tree`` is the checkout."""

    folder: Path
    tree: Path
    size: int
    length: Length
    mariadb: MariaDB | None
    rabbitmq: RabbitMQ | None
    large: FarmData
    small: FarmData
    _count: int = 0

    @property
    def quick(self) -> bool:
        """Return whether it is only tried whether everything runs."""
        return self.length is QUICK

    @property
    def server(self) -> MariaDB:
        """Return the database server; there has to be one."""
        if self.mariadb is None:
            raise RuntimeError("MariaDB is not installed")
        return self.mariadb

    def service(
        self, farm: FarmData, roles: list[str], *more: Mapping[str, Any], jobs: str | None = None
    ) -> Service:
        """Prepare a process over a farm; ``jobs`` is a jobs database that exists.

        With the broker inside the process it has both roles.
        """
        if self.rabbitmq is None:
            roles = ["api", "agent"]
        self._count += 1
        folder, port = self.folder / f"service-{self._count}", free_port()
        folder.mkdir()
        databases = {
            "scheduler": {"url": farm.scheduler},
            "status": {"url": farm.status},
        }
        if jobs is not None or self.mariadb is not None:
            databases["jobs"] = {"url": jobs or self.jobs_database()}
        document = deep(
            {
                "service": {"data": "data", "roles": roles, "name": folder.name},
                "ops": {"probe_seconds": 0},
                # Nobody waits for the connections of a process that was measured.
                "web": {"listen": [f"tcp:{port}:interface=127.0.0.1"], "linger_seconds": 0},
                "limits": {
                    "builds_per_user_hour": MANY,
                    "builds_per_request": MANY,
                    "listeners": 5000,
                    "listeners_per_user": 5000,
                    "listeners_per_address": 5000,
                },
                "databases": databases,
                "directory": {
                    name: str(self.folder / f"{name}.json")
                    for name in ("branches", "masters", "builders")
                },
            },
            *more,
        )
        (folder / "buildapi.toml").write_text(toml(document))
        return Service(
            folder=folder,
            command=twistd("buildapi", "--config", "buildapi.toml"),
            environment=own_environment(self.tree, fresh=not self.quick),
            port=port,
        )

    def jobs_database(self) -> str:
        """Create an empty jobs database on the server."""
        return self.server.database("jobs")

    def broker(self) -> dict[str, Any]:
        """Return the section of a broker with queues that nobody else uses."""
        if self.rabbitmq is None:
            return {}
        self._count += 1
        return {"broker": broker_section(self.rabbitmq, f"bench-{self._count}")}


@contextmanager
def running(service: Service) -> Iterator[Service]:
    """Start a process of ours, wait until it is ready, and end it after the block."""
    service.up()
    try:
        yield service
    finally:
        service.stop()


def _installed(*names: str) -> bool:
    """Return whether a program is installed; the tests' own rule skips or fails where it is not."""
    try:
        program(*names)
    except (pytest.skip.Exception, pytest.fail.Exception):
        return False
    return True


def _servers(ends: ExitStack, size: int) -> tuple[MariaDB | None, RabbitMQ | None]:
    """Start what is installed; print what is missing."""
    mariadb = rabbitmq = None
    if _installed("mariadbd", "mysqld"):
        pool = "512M" if size < LARGE else "1536M"
        memory = (f"--innodb-buffer-pool-size={pool}", "--innodb-sort-buffer-size=64M")
        mariadb = start_mariadb(None, *memory, "--innodb-log-file-size=128M")
        ends.callback(mariadb.remove)
    else:
        print("MariaDB is missing (make services): SQLite is measured, without raw SQL", flush=True)
    if _installed("rabbitmq-server"):
        # Erlang wants short paths
        rabbitmq = start_rabbitmq(Path(ends.enter_context(tempfile.TemporaryDirectory())))
        ends.callback(rabbitmq.close)
    else:
        print("RabbitMQ is missing (make services): nothing that needs it is measured", flush=True)
    return mariadb, rabbitmq


def _farms(
    mariadb: MariaDB | None, folder: Path, size: int, tenth: bool
) -> tuple[FarmData, FarmData]:
    if mariadb is None:
        # SQLite has no SHA1 and no second database: the farm is generated whole
        part = generate(None, folder, min(size, 10_000))
        farm = FarmData(part.scheduler, part.status, part.builds)
        return farm, farm
    part = generate(mariadb, folder, part_size(size))
    large = grow(mariadb, part, size)
    return large, grow(mariadb, part, size // 10) if tenth else large


@contextmanager
def prepared(tree: Path, size: int, length: Length, *, tenth: bool) -> Iterator[Bench]:
    """Start the servers and fill the databases; ``tenth`` asks for a farm of a tenth as well."""
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="buildapi-bench-")))
        mariadb, rabbitmq = _servers(ends, size)
        write_branches(folder, FarmSize())
        write_masters(folder, [free_port() for _ in MASTERS])
        large, small = _farms(mariadb, folder, size, tenth)
        yield Bench(folder, tree, size, length, mariadb, rabbitmq, large, small)


def commit_of(tree: Path) -> str:
    """Return the commit of a checkout, or nothing where there is none."""
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]  # ours
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # a constant
    return done.stdout.strip()


def read_json(text: bytes | str) -> Any:
    """Return a document."""
    return json.loads(text)
