"""The time from the start of a process to the first 200 of /readyz."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import bare
from bench.farm_data import FarmData, generate
from bench.load import connect
from bench.rows import Round, Row, below, interleaved
from bench.site import ROOT, Bench
from tests.e2e.service import Service
from tests.services.mariadb import free_port

SECTION = "start"
GOAL = below(1.2, "s")
WAIT = 0.01
SECONDS = 120
BUILDS = 300


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _started(service: Service) -> Round:
    def measure() -> tuple[float, float | None]:
        began = time.perf_counter()
        service.begin()
        try:
            while not _ready(service.port):
                if time.perf_counter() - began > SECONDS or not service.running:
                    raise SystemExit(f"it is not ready: {service.output()}")
                time.sleep(WAIT)
            return time.perf_counter() - began, None
        finally:
            service.stop()

    return measure


def _bare(folder: Path) -> Round:
    def measure() -> tuple[float, float | None]:
        port, file = free_port(), folder / "none.pickle"
        bare.write(file, [])
        began = time.perf_counter()
        command = [sys.executable, "-m", "bench.bare", str(port), str(file)]
        process = subprocess.Popen(command, cwd=ROOT)  # noqa: S603  # our own
        try:
            while process.poll() is None:
                try:
                    connect(port).close()
                except ConnectionRefusedError:
                    time.sleep(WAIT)
                else:
                    break
            return time.perf_counter() - began, None
        finally:
            process.terminate()
            process.wait(10)

    return measure


def measure(bench: Bench) -> Iterator[Row]:
    """Measure starts of a process with both roles."""
    folder = bench.folder / "start"
    folder.mkdir()
    part = generate(None, folder, BUILDS)
    farm = FarmData(part.scheduler, part.status, part.builds)
    jobs = f"sqlite:///{folder / 'jobs.sqlite'}"
    roles = ["api", "agent"]
    turns: dict[str, Round] = {
        "embedded": _started(bench.service(farm, roles, jobs=jobs)),
        "bare": _bare(folder),
    }
    if bench.mariadb is not None and bench.rabbitmq is not None:
        turns["real"] = _started(bench.service(bench.large, roles, bench.broker()))
    if not bench.quick:
        for begin in turns.values():  # the first start creates tables and compiles modules
            begin()
    found = interleaved(bench.length.rounds, turns)
    names = {"embedded": "embedded defaults", "real": "MariaDB and RabbitMQ"}
    for name, work in names.items():
        if name in found:
            yield Row(SECTION, work, "s", found[name], found["bare"], "bare Klein", GOAL)
