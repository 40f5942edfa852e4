"""Make every report of a month of a big farm, and see what that does to other answers.

    python -m bench.reports [--builds 500000] [--days 30]

The farm is made by ``buildapi.sample`` in a private MariaDB, which takes minutes.  The program is
a process of its own.  Each report is asked for as JSON and as a page, of a day and of the whole
time; meanwhile a page that needs no database is asked for every 20 ms.  The figures are seconds of
the report, the longest time of that page, and the memory of the program after it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bench.processes import resident_megabytes
from buildapi.sample.catalog import MASTERS
from buildapi.sample.history import FarmSize
from buildapi.sample.sample_farm import write_branches, write_masters
from tests.e2e.service import Service, environment, twistd
from tests.services.mariadb import MariaDB, free_port, start_mariadb

REPORTS = (
    "waittimes/testpool",
    "pushes",
    "builders/mozilla-central",
    "endtoend/mozilla-central",
    "trychooser/mozilla-central",
    "slaves",
    "slaves/1",
    "status_builders",
    "testruns",
    "idlejobs",
    "names",
)
FORMS = ("json", "html")
EVERY = 0.02


def fill(server: MariaDB, builds: int, days: int) -> tuple[str, str]:
    """Make the databases; give their URLs."""
    scheduler, status = server.database("scheduler"), server.database("status", "latin1")
    command = [sys.executable, "-m", "buildapi.sample", "--quiet", "--scheduler", scheduler]
    command += ["--status", status, "--builds", str(builds), "--days", str(days)]
    subprocess.run(command, check=True)  # noqa: S603  # our own
    return scheduler, status


def service(folder: Path, scheduler: str, status: str) -> Service:
    """Prepare our program over these databases."""
    write_branches(folder, FarmSize())
    write_masters(folder, [free_port() for _ in MASTERS])
    port, config = free_port(), folder / "buildapi.toml"
    config.write_text(
        f"""[service]
data = "{folder / "data"}"
[web]
listen = ["tcp:{port}:interface=127.0.0.1"]
[directory]
branches = "branches.json"
masters = "masters.json"
builders = "builders.json"
[databases.scheduler]
url = "{scheduler}"
[databases.status]
url = "{status}"
[reports]
answer_seconds = 600
"""
    )
    command = twistd("buildapi", "--config", str(config))
    return Service(folder=folder, command=command, environment=environment(), port=port)


class Watch:
    """Ask for a cheap page all the time; keep the longest time it took."""

    def __init__(self, url: str) -> None:
        self.url, self.longest, self.on = url, 0.0, True
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while self.on:
            began = time.perf_counter()
            urlopen(self.url, timeout=60).read()
            self.longest = max(self.longest, time.perf_counter() - began)
            time.sleep(EVERY)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.on = False
        self.thread.join()


def timed(url: str, form: str) -> tuple[float, int, int]:
    """Ask for a report; give seconds, status and bytes."""
    accept = "application/json" if form == "json" else "text/html"
    began = time.perf_counter()
    try:
        with urlopen(Request(url, headers={"Accept": accept}), timeout=600) as answer:
            status, size = answer.status, len(answer.read())
    except HTTPError as e:
        status, size = e.code, len(e.read())
    return time.perf_counter() - began, status, size


def measure(ours: Service, hours: int) -> None:
    """Ask for every report of a time, and print what it took."""
    base, pid = ours.client.url, ours.pid
    for report in REPORTS:
        for form in FORMS:
            with Watch(f"{base}/reports") as watch:
                took, status, size = timed(f"{base}/reports/{report}?hours={hours}", form)
            print(
                f"{report:28} {hours:4} h {form}: {took:6.2f} s, status {status}, {size:9} bytes,"
                f" others waited {watch.longest:5.2f} s at most, {resident_megabytes(pid):.0f} MB",
                flush=True,
            )


def run(folder: Path, server: MariaDB, builds: int, days: int) -> None:
    """Fill the databases and measure."""
    began = time.perf_counter()
    scheduler, status = fill(server, builds, days)
    print(
        f"{builds} builds in {days} days, made in {time.perf_counter() - began:.0f} s", flush=True
    )
    ours = service(folder, scheduler, status)
    ours.up()
    try:
        for hours in (24, 24 * days):
            measure(ours, hours)
    finally:
        ours.stop()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, default=500_000)
    parser.add_argument("--days", type=int, default=30)
    options = parser.parse_args()
    server = start_mariadb(None, "--innodb-buffer-pool-size=512M")
    try:
        with tempfile.TemporaryDirectory(prefix="buildapi-bench-") as folder:
            run(Path(folder), server, options.builds, options.days)
    finally:
        server.remove()


if __name__ == "__main__":
    main()
