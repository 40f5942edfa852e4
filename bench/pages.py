"""Show a day of many builds in a browser, and tell many listeners of a change.

    python -m bench.pages [--builds 5000] [--listeners 300]

The builds are of one day of one branch, in SQLite, as ``make run`` has them.  A headless Chromium
(``make services`` installs it) opens the page of the day: the figures are seconds until the page
can be used, from the click to the last row, and those of the filter.  Then listeners connect to
the events, one request changes, and the figure is the time until the last of them knows.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from tests.browser.chromium import NAMES
from tests.buildbot.seed import Seed
from tests.e2e.service import Service, environment, twistd
from tests.services.mariadb import free_port

BRANCH = "mozilla-central"


@contextmanager
def service(folder: Path) -> Iterator[int]:
    """Run our program over a sample farm that stands still; give its port."""
    port = free_port()
    config = folder / "buildapi.toml"
    config.write_text(
        f"""[service]
data = "{folder / "data"}"
[web]
listen = ["tcp:{port}:interface=127.0.0.1"]
development_user = "bench@example.org"
[limits]
listeners = 2000
[sample]
enabled = true
builds = 100
push_seconds = 86400
"""
    )
    command = twistd("buildapi", "--config", str(config))
    running = Service(folder=folder, command=command, environment=environment(), port=port)
    running.up()
    try:
        yield port
    finally:
        running.stop()


def fill(folder: Path, builds: int) -> int:
    """Add builds of today, and one pending request; give the id of that."""
    seed = Seed(f"sqlite:///{folder / 'data' / 'scheduler.sqlite'}")
    day = int(time.time()) // 86400 * 86400
    seed.connection.execute("BEGIN")
    for number in range(builds):
        request = seed.request(
            BRANCH, f"{number % 97:040x}", builder=f"Linux {BRANCH} test-{number % 211}-x", at=day
        )
        build = seed.run(request, at=day + number % 3600)
        seed.end(build, at=day + 3600)
        seed.complete(request, results=(number % 7 == 0 and 2) or 0, at=day + 3600)
    pending = seed.request(BRANCH, "f" * 40, builder="pending", at=day)
    seed.connection.execute("COMMIT")
    seed.close()
    return pending


def browser_path() -> str | None:
    """Find the browser that the tests use."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def in_browser(port: int) -> dict[str, float]:
    """Open the page, filter it and go to its last page in a browser; give seconds."""
    from playwright.sync_api import expect, sync_playwright

    url, seconds = f"http://127.0.0.1:{port}/self-serve/{BRANCH}", {}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/self-serve")
        for name in ("first", "again"):
            began = time.perf_counter()
            page.goto(url, wait_until="load")
            page.locator("tbody tr").nth(249).wait_for()
            seconds[f"page, {name}"] = time.perf_counter() - began
        began = time.perf_counter()
        page.fill("input[name=q]", "test-17-x success")
        expect(page.locator("#list tbody tr")).not_to_have_count(250)
        seconds["filter, with 0.2 s of waiting for more keys"] = time.perf_counter() - began
        began = time.perf_counter()
        page.goto(f"{url}?sort=builder&page=20")
        page.locator("tbody tr").first.wait_for()
        seconds["sorted, page 20"] = time.perf_counter() - began
        browser.close()
    return seconds


async def listened(port: int, count: int, folder: Path, pending: int) -> dict[str, float]:
    """Connect listeners, change the priority of a request; give seconds until all know."""
    told: list[float] = []
    ready = asyncio.Semaphore(0)

    async def listen() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /self-serve/events?branch=%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
            % BRANCH.encode()
        )
        async for line in reader:
            if line.startswith(b"event: hello"):
                ready.release()
            if line.startswith(b"event: request"):
                told.append(time.perf_counter())
                break
        writer.close()

    listeners = [asyncio.create_task(listen()) for _ in range(count)]
    for _ in listeners:
        await ready.acquire()
    await asyncio.sleep(3)
    database = sqlite3.connect(folder / "data" / "scheduler.sqlite", timeout=5)
    with database:
        database.execute("UPDATE buildrequests SET priority = 9 WHERE id = ?", (pending,))
    database.close()
    began = time.perf_counter()
    await asyncio.wait_for(asyncio.gather(*listeners), 60)
    return {
        "first listener told": min(told) - began,
        "all told, after the first": max(told) - min(told),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, default=5000)
    parser.add_argument("--listeners", type=int, default=300)
    options = parser.parse_args()
    if browser_path() is None:
        sys.exit("chromium is needed: make services")
    with tempfile.TemporaryDirectory() as name, service(folder := Path(name)) as port:
        pending = fill(folder, options.builds)
        figures = in_browser(port)
        request = Request(f"http://127.0.0.1:{port}/self-serve/{BRANCH}")
        began = time.perf_counter()
        size = len(urlopen(request).read())
        figures["HTML alone, without a browser"] = time.perf_counter() - began
        figures |= asyncio.run(listened(port, options.listeners, folder, pending))
    print(f"{options.builds} builds, {options.listeners} listeners, {size // 1000} kB of HTML")
    for what, seconds in figures.items():
        print(f"  {what}: {seconds:.2f} s")


if __name__ == "__main__":
    main()
