"""Follow one rebuild from HTTP to its finished report; count what it takes.

    python -m bench.trace [--tree FOLDER] [--rounds 5] [--mariadb] [--list]

One process with every role accepts, executes and finishes one job at a time.  Counted is what is
there in every round, so that what the process does beside (heartbeats, sweeps) is left out: the
functions of ``buildapi`` that are called, their modules, the hops (pairs of a function and one it
calls), the SELECTs, the other statements that read or write, transactions, and calls to threads of
a pool.  ``--tree`` is the top of another checkout, to compare with.  By default the program runs on
its embedded defaults (SQLite, the broker in the process); ``--mariadb`` adds a private MariaDB.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SECONDS = 60
REST = 0.3
"""Seconds after the end of a job in which its messages are settled."""


# --- in the traced process, which knows only the standard library and Twisted


class Recorder:
    """Record calls and statements of all threads while it is on."""

    def __init__(self, package: str) -> None:
        self._inside = package + os.sep
        self._on = False
        self._names: dict[types.CodeType, str | None] = {}
        self._clear()

    def _clear(self) -> None:
        self.functions: set[str] = set()
        self.hops: set[tuple[str, str]] = set()
        self.counts: collections.Counter[str] = collections.Counter()

    def profile(self, frame: types.FrameType, event: str, _: Any) -> None:
        """Note the call of a function of the package, and the one of the package it is from."""
        if not self._on or event != "call":
            return
        name = self._name(frame.f_code)
        if name is None:
            return
        self.functions.add(name)
        caller = frame.f_back
        while caller is not None:
            above = self._name(caller.f_code)
            if above is not None:
                self.hops.add((above, name))
                return
            caller = caller.f_back

    def _name(self, code: types.CodeType) -> str | None:
        if code not in self._names:
            path = code.co_filename
            inside = path.startswith(self._inside) and not code.co_name.startswith("<")
            name = f"{path.removeprefix(self._inside)}:{code.co_qualname}"
            self._names[code] = name if inside else None
        return self._names[code]

    def statement(self, text: str) -> None:
        """Count a statement."""
        if not self._on:
            return
        word = text.lstrip().split(None, 1)[0].upper() if text.strip() else ""
        kinds = {"SELECT": "SELECTs", "COMMIT": "transactions"}
        if word in ("INSERT", "UPDATE", "DELETE", "REPLACE"):
            self.counts["writes"] += 1
        elif word in kinds:
            self.counts[kinds[word]] += 1
        self.counts["statements"] += 1

    def call(self) -> None:
        """Count a call to a thread of a pool."""
        self.counts["pool calls"] += self._on

    def serve(self, orders: Any, answers: Any) -> None:
        """Switch on and off as told, a line each; answer with what was recorded."""
        for order in orders:
            self._on = order.strip() == "on"
            found = {
                "functions": sorted(self.functions),
                "hops": sorted(self.hops),
                "counts": self.counts,
            }
            self._clear()
            answers.write(json.dumps(found) + "\n")
            answers.flush()


def traced(package: str, orders: int, answers: int, arguments: Sequence[str]) -> None:
    """Run twistd in this process, under a recorder."""
    import sqlite3

    import pymysql
    from twisted.python import threadpool
    from twisted.scripts import twistd

    recorder = Recorder(package)
    query, commit = pymysql.connections.Connection.query, pymysql.connections.Connection.commit
    begin = threadpool.ThreadPool.callInThreadWithCallback
    connect = sqlite3.connect

    def counted_query(self: Any, sql: Any, *args: Any, **kw: Any) -> Any:
        recorder.statement(sql.decode("utf-8", "replace") if isinstance(sql, bytes) else sql)
        return query(self, sql, *args, **kw)

    def counted_commit(self: Any) -> Any:
        recorder.statement("COMMIT")
        return commit(self)

    def counted_begin(self: Any, *args: Any, **kw: Any) -> Any:
        recorder.call()
        return begin(self, *args, **kw)

    def counted_connect(*args: Any, **kw: Any) -> Any:
        connection = connect(*args, **kw)
        connection.set_trace_callback(recorder.statement)
        return connection

    pymysql.connections.Connection.query = counted_query  # type: ignore[method-assign]  # to count
    pymysql.connections.Connection.commit = counted_commit  # type: ignore[method-assign]  # to count
    threadpool.ThreadPool.callInThreadWithCallback = counted_begin  # type: ignore[method-assign]  # to count
    sqlite3.connect = counted_connect
    with os.fdopen(orders) as read, os.fdopen(answers, "w") as write:
        threading.Thread(target=recorder.serve, args=(read, write), daemon=True).start()
        threading.setprofile(recorder.profile)
        sys.setprofile(recorder.profile)
        sys.argv = ["twistd", *arguments]
        twistd.run()


# --- the process that asks


class Traced:
    """A traced process; ``tree`` is the checkout that it runs."""

    def __init__(self, tree: Path, config: Path) -> None:
        order, self._order = os.pipe()
        self._answer, answer = os.pipe()
        self._output = config.with_name("run.out")
        inside = [str(tree / "buildapi"), str(order), str(answer)]
        command = [sys.executable, str(Path(__file__)), "--inside", *inside]
        with self._output.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603  # ourselves
                [*command, "-n", "--pidfile=", "buildapi", "--config", str(config)],
                cwd=tree,
                env={**os.environ, "PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(order, answer),
            )
        os.close(order)
        os.close(answer)
        self._answers = os.fdopen(self._answer)

    def wait_ready(self) -> None:
        """Wait until it is ready."""
        end = time.monotonic() + SECONDS
        while b"BuildAPI is ready" not in self._output.read_bytes():
            if self._process.poll() is not None or time.monotonic() > end:
                raise SystemExit(self._output.read_text(errors="replace")[-3000:])
            time.sleep(0.05)

    def switch(self, *, on: bool) -> dict[str, Any]:
        """Begin or end a record; return what was recorded until now."""
        os.write(self._order, b"on\n" if on else b"off\n")
        found: dict[str, Any] = json.loads(self._answers.readline())
        return found

    def end(self) -> None:
        """End it."""
        os.close(self._order)
        self._process.terminate()
        self._process.wait(SECONDS)
        self._answers.close()


def common(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is there in every round; of the counts the lowest."""
    functions = set.intersection(*({*r["functions"]} for r in rounds))
    hops = set.intersection(*({tuple(hop) for hop in r["hops"]} for r in rounds))
    modules = {name.partition(":")[0] for name in functions}
    names = ("SELECTs", "writes", "transactions", "statements", "pool calls")
    return {
        "functions": sorted(functions),
        "modules": sorted(modules),
        "hops": sorted(hops),
        **{name: min(r["counts"].get(name, 0) for r in rounds) for name in names},
    }


def follow(tree: Path, folder: Path, urls: Mapping[str, str], rounds: int) -> dict[str, Any]:
    """Run a checkout; return what a rebuild takes there.

    ``urls`` are those of databases; no jobs database means the embedded one.
    """
    from tests.buildbot.seed import Seed
    from tests.e2e.service import Client, toml
    from tests.services.mariadb import free_port

    folder.mkdir()
    (folder / "branches.json").write_text('{"try": {"repo": "https://hg.example.org/try"}}')
    (folder / "masters.json").write_text("[]")
    port, data = free_port(), folder / "data"
    listen = {"listen": [f"tcp:{port}:interface=127.0.0.1"]}
    document = {
        "service": {"data": str(data)},
        "web": {**listen, "development_user": "bench@example.org"},
        "databases": {name: {"url": url} for name, url in urls.items()},
        "directory": {
            "branches": str(folder / "branches.json"),
            "masters": str(folder / "masters.json"),
        },
    }
    (folder / "buildapi.toml").write_text(toml(document))
    process = Traced(tree, folder / "buildapi.toml")
    try:
        process.wait_ready()
        jobs = urls.get("jobs") or f"sqlite:///{data / 'jobs.sqlite'}"
        seed = Seed(urls["scheduler"])
        request = seed.request(properties={"product": "firefox", "buildid": "1"})
        build = seed.run(request)
        seed.end(build)
        seed.complete(request)
        seed.close()
        client, table = Client(f"http://127.0.0.1:{port}"), Seed(jobs)
        found = []
        for number in range(rounds + 2):  # the first ones open connections and fill caches
            process.switch(on=True)
            answer = client.post("/self-serve/try/build", build_id=build)
            if answer.status != 202:
                raise SystemExit(f"not accepted: {answer}")
            _wait(table, answer.body["request_id"])
            if number > 1:
                found.append(process.switch(on=False))
            process.switch(on=False)
        table.close()
    finally:
        process.end()
    return common(found)


def _wait(table: Any, job: int) -> None:
    """Wait until a job is finished, past the program, and its messages are settled."""
    end = time.monotonic() + SECONDS
    text = "SELECT completed_at FROM jobrequests WHERE id = %s"
    while table.rows(text, job)[0]["completed_at"] is None:
        if time.monotonic() > end:
            raise SystemExit(f"job {job} is not finished")
        time.sleep(0.02)
    time.sleep(REST)


def show(title: str, found: Mapping[str, Any]) -> None:
    """Print one table."""
    print(f"{title}:")
    for name, value in found.items():
        print(f"  {name:<12} {len(value) if isinstance(value, list) else value:>5}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, default=ROOT)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mariadb", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the functions as well")
    given = parser.parse_args()
    from buildapi.sample.farm_schema import scheduler_schema
    from tests.buildbot.seed import Seed
    from tests.services.mariadb import start_mariadb

    tree = given.tree.resolve()
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        (folder / "embedded.d").mkdir()
        scheduler = f"sqlite:///{folder / 'embedded.d' / 'scheduler.sqlite'}"
        seed = Seed(scheduler)
        for statement in scheduler_schema("sqlite"):
            seed.connection.execute(statement)
        seed.close()
        urls = {"scheduler": scheduler}
        tables = {"embedded defaults": follow(tree, folder / "embedded", urls, given.rounds)}
        if given.mariadb:
            server = start_mariadb()
            ends.callback(server.remove)
            urls = {name: server.database(name) for name in ("scheduler", "jobs")}
            name = urls["scheduler"].rpartition("/")[2]
            server.execute(*scheduler_schema("mysql"), database=name)
            tables["MariaDB"] = follow(tree, folder / "mariadb", urls, given.rounds)
        for title, found in tables.items():
            show(f"one rebuild, {title}, {given.rounds} rounds", found)
            if given.list:
                print(*found["functions"], sep="\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        sys.path.pop(0)  # this folder, whose html.py would hide that of Python
        traced(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
    else:
        main()
