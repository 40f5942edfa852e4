"""Cancel a revision of many requests on many masters, one of which keeps silent.

    python -m bench.cancel_revision [--requests 1000] [--masters 10]

Half of the requests are pending, half are running, spread evenly over the masters.  Masters are
HTTP servers in this process that answer as Buildbot 0.8.2 does: a stop is answered after one
second.  The scheduler database is a private MariaDB.  The figures are seconds after the request.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import Request, urlopen

from twisted.internet import reactor as _reactor
from twisted.internet import task, threads
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from buildapi.assembly import assemble
from buildapi.config import from_mapping
from buildapi.sample.farm_schema import scheduler_schema
from tests.services.mariadb import MariaDB, free_port, start_mariadb

REVISION = "0123456789abcdef0123456789abcdef01234567"
POKE_SECONDS = 5
reactor: Any = _reactor


class Master(Resource):
    """A master as far as stops need it; a silent one never answers."""

    isLeaf = True

    def __init__(self, name: str, connect: Any, *, silent: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Resource is not typed
        self.name, self.connect, self.silent = name, connect, silent

    def render(self, request: Any) -> Any:
        """Answer ``/json/builders/B/builds/N`` and ``/builders/B/builds/N/stop``."""
        if self.silent:
            return NOT_DONE_YET
        parts = [unquote(p.decode()) for p in request.postpath]
        if parts[0] == "json":
            number = int(parts[4])
            told = {
                "builderName": parts[2],
                "number": number,
                "results": None,
                "times": [number, None],
                "sourceStamp": {"revision": REVISION, "changes": []},
            }
            return json.dumps(told).encode()
        threads.deferToThread(self.end, int(parts[3]))
        task.deferLater(reactor, 1.0, self.redirect, request)
        return NOT_DONE_YET

    def end(self, number: int) -> None:
        """End a build, as its master would."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE builds SET finish_time = 1 WHERE number = %s", (number,))
            cursor.execute(
                "UPDATE buildrequests r JOIN builds b ON b.brid = r.id"
                " SET r.complete = 1, r.results = 2 WHERE b.number = %s",
                (number,),
            )
            connection.commit()

    def redirect(self, request: Any) -> None:
        """Send the answer that proves nothing."""
        request.setResponseCode(302)
        request.setHeader("location", "../../../../builders/x")
        request.finish()


def fill(connection: Any, requests: int, masters: Sequence[str]) -> None:
    """Write the requests of the revision."""
    with connection.cursor() as cursor:
        for statement in scheduler_schema("mysql"):
            cursor.execute(statement)
        cursor.execute(
            "INSERT INTO sourcestamps (id, branch, revision) VALUES (1, 'try', %s)", (REVISION,)
        )
        for brid in range(1, requests + 1):
            running, master = brid % 2, masters[brid // 2 % len(masters)]
            claim = (1, master, "1") if running else (0, None, None)
            cursor.execute(
                "INSERT INTO buildsets (id, reason, sourcestampid, submitted_at)"
                " VALUES (%s, 'r', 1, 1)",
                (brid,),
            )
            cursor.execute(
                "INSERT INTO buildrequests (id, buildsetid, buildername, submitted_at, claimed_at,"
                " claimed_by_name, claimed_by_incarnation) VALUES (%s, %s, %s, 1, %s, %s, %s)",
                (brid, brid, f"builder {brid}", *claim),
            )
            if running:
                cursor.execute(
                    "INSERT INTO builds (number, brid, start_time) VALUES (%s, %s, %s)",
                    (brid, brid, brid),
                )
    connection.commit()


def configuration(folder: Path, url: str, port: int) -> Any:
    """Configure the program: everything but the scheduler database is embedded."""
    document = {
        "service": {"data": str(folder)},
        "web": {
            "listen": [f"tcp:{port}:interface=127.0.0.1"],
            "development_user": "bench@example.org",
        },
        "databases": {"scheduler": {"url": url}},
        "directory": {
            "branches": str(folder / "branches.json"),
            "masters": str(folder / "masters.json"),
        },
        "agent": {"poke_seconds": POKE_SECONDS},
    }
    return from_mapping(document, file=folder / "buildapi.toml", environ={})


def ask(method: str, url: str) -> Any:
    """Ask for JSON."""
    with urlopen(Request(url, method=method, headers={"Accept": "application/json"})) as answer:
        return json.load(answer)


def watch(port: int, requests: int) -> dict[str, float]:
    """Send the request, in a thread, and note when how much of it is done."""
    base, seen = f"http://127.0.0.1:{port}/self-serve", dict[str, float]()
    ask("GET", f"{base}/branches")
    began = time.monotonic()
    job_id = ask("DELETE", f"{base}/try/rev/{REVISION}")["request_id"]
    seen["accepted"] = time.monotonic() - began
    while True:
        job = ask("GET", f"{base}/jobs/{job_id}")
        states = [item["state"] for item in job["items"]]
        for share in (0.5, 0.95):
            if states.count("done") >= share * requests:
                seen.setdefault(f"{share:.0%} done", time.monotonic() - began)
        if job["completed_at"] is not None:
            seen["finished"] = time.monotonic() - began
            print({state: states.count(state) for state in sorted(set(states))})
            return seen
        time.sleep(0.1)


async def run(server: MariaDB, folder: Path, requests: int, count: int) -> None:
    """Start masters and program, measure, stop."""
    url, names = server.database("scheduler", charset="utf8"), [f"m{i}:/b" for i in range(count)]

    def connect() -> Any:
        return server.connect(url.rpartition("/")[2])

    with connect() as connection:
        fill(connection, requests, names)
    entries = []
    for number, name in enumerate(names):
        port = (
            reactor.listenTCP(
                0, Site(Master(name, connect, silent=number == 0)), interface="127.0.0.1"
            )
            .getHost()
            .port
        )
        entries.append({"db_name": name, "hostname": "127.0.0.1", "http_port": port})
    (folder / "masters.json").write_text(json.dumps(entries))
    (folder / "branches.json").write_text(
        json.dumps({"try": {"repo": "https://hg.example.org/try"}})
    )
    port = free_port()
    service = assemble(configuration(folder, url, port), reactor).program
    service.startService()
    await task.deferLater(reactor, 2.0)
    print(
        f"{requests} requests, {count} masters, one of them silent, {POKE_SECONDS} s for an answer"
    )
    for what, seconds in (await threads.deferToThread(watch, port, requests)).items():
        print(f"{what:>12}: {seconds:6.2f} s")
    await service.stopService()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--masters", type=int, default=10)
    given = parser.parse_args()
    server = start_mariadb()
    try:
        with tempfile.TemporaryDirectory() as folder:
            task.react(
                lambda _: _deferred(run(server, Path(folder), given.requests, given.masters))
            )
    finally:
        server.kill()
        server.remove()


def _deferred(coroutine: Any) -> Any:
    from twisted.internet import defer

    return defer.ensureDeferred(coroutine)


if __name__ == "__main__":
    main()
