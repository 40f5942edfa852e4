"""Processes that share a scheduler database and a broker, and clients that never pause."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs

from buildapi.sample.farm_schema import scheduler_schema
from tests.buildbot.seed import Seed
from tests.e2e.service import MARK, Activated, Client, environment, toml, twistd
from tests.patience import PATIENCE
from tests.services.mariadb import MariaDB, free_port
from tests.services.rabbitmq import RabbitMQ

REQUESTS = 20
DRAIN = 8
PAUSE = 0.1


@attrs.define(eq=False)
class Process(Activated):
    """A process of ours that is ended with several signals, timed."""

    def end(self, *numbers: signal.Signals, seconds: float = PATIENCE) -> float:
        """Send signals and wait for the end; give the time it took."""
        assert self._process is not None
        began = time.monotonic()
        for number in numbers or (signal.SIGTERM,):
            self._process.send_signal(number)
        self._process.wait(seconds)
        return time.monotonic() - began

    def restart(self) -> None:
        """End it in order, start it, and wait until it is ready."""
        self.end()
        self.up()


@attrs.define
class Site:
    """Two API processes and two agents, which are all down at first."""

    folder: Path
    sections: Mapping[str, Any]
    scheduler: str
    shared: socket.socket | None
    processes: list[Process] = attrs.field(factory=list)

    @classmethod
    def over(
        cls, folder: Path, mariadb: MariaDB, rabbitmq: RabbitMQ, shared: socket.socket | None
    ) -> Site:
        """Prepare databases and files; requests 1 to 20 can be rebuilt."""
        scheduler = mariadb.database("scheduler", "utf8mb3")
        mariadb.execute(*scheduler_schema("mysql"), database=scheduler.rpartition("/")[2])
        seed = Seed(scheduler)
        for number in range(REQUESTS):
            seed.complete(seed.request(builder=f"linux {number}"))
        seed.close()
        branches = {"try": {"repo": "https://hg.example.org/try"}}
        (folder / "branches.json").write_text(json.dumps(branches))
        master = {"db_name": "host-a:/builds/a", "hostname": "127.0.0.1", "http_port": 9}
        (folder / "masters.json").write_text(json.dumps([master]))
        sections = {
            "databases": {
                "jobs": {"url": mariadb.database("jobs")},
                "scheduler": {"url": scheduler},
            },
            "broker": {
                "url": f"amqp://{rabbitmq.user}:{rabbitmq.password}@127.0.0.1:{rabbitmq.port}/"
            },
            "directory": {
                "branches": str(folder / "branches.json"),
                "masters": str(folder / "masters.json"),
            },
        }
        return cls(folder, sections, scheduler, shared)

    def process(self, name: str, role: str, drain: int = DRAIN) -> Process:
        """Make a process; an API process listens on the shared socket or a port of its own."""
        folder, port = self.folder / name, free_port()
        folder.mkdir()
        own = f"tcp:{port}:interface=127.0.0.1"
        web = {"listen": ["systemd:domain=INET:index=0" if self.shared else own]}
        service = {"data": "data", "roles": [role], "name": name, "drain_seconds": drain}
        document = {"service": service, "web": web, **self.sections}
        (folder / "buildapi.toml").write_text(toml(document))
        made = Process(
            folder=folder,
            command=twistd("buildapi", "--config", "buildapi.toml"),
            environment=environment(),
            port=self.shared.getsockname()[1] if self.shared else port,
            sockets=(self.shared,) if self.shared and role == "api" else (),
        )
        self.processes.append(made)
        return made

    def start(self) -> tuple[list[Process], list[Process]]:
        """Start two API processes and two agents; give them when they are ready."""
        apis = [self.process(f"api{n}", "api") for n in (1, 2)]
        agents = [self.process(f"agent{n}", "agent") for n in (1, 2)]
        for process in (*apis, *agents):
            with (process.folder / "run.out").open("a") as out:
                out.write(MARK)
            process.start()
        for process in (*apis, *agents):
            process.wait_ready()
        return apis, agents

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            process.kill()

    def rebuilt(self) -> dict[str, int]:
        """Count what was written for whom: each user of the load asks for one rebuild."""
        seed = Seed(self.scheduler)
        rows = seed.rows("SELECT reason FROM buildsets WHERE reason LIKE 'Self-serve: Rebuilt%%'")
        seed.close()
        found: dict[str, int] = {}
        for row in rows:
            who = row["reason"].rpartition(" ")[2]
            found[who] = found.get(who, 0) + 1
        return found


@attrs.define
class Load:
    """Clients that never try again, the first as fast as it is answered.

    So one always waits for an answer.  The others make pauses: their connections are idle when a
    process is told to end.  Each keeps its connection as long as the server does.  One request of
    ``every`` is a job.
    """

    port: int
    clients: int = 4
    every: int = 5
    answered: int = 0
    longest: float = 0.0
    failures: list[str] = attrs.field(factory=list)
    accepted: dict[str, int] = attrs.field(factory=dict)
    _lock: Any = attrs.field(factory=threading.Lock)
    _over: threading.Event = attrs.field(factory=threading.Event)
    _threads: Sequence[threading.Thread] = ()

    def __enter__(self) -> Load:
        self._threads = [
            threading.Thread(target=self._client, args=(number,)) for number in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _client(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        turn, pause = 0, PAUSE if number else 0.0
        while not self._over.wait(pause):
            turn += 1
            began = time.monotonic()
            try:
                problem = self._ask(connection, f"c{number}-{turn}@example.org", turn)
            except (OSError, http.client.HTTPException) as e:
                connection.close()
                problem = f"{type(e).__name__}: {e}"
            with self._lock:
                self.longest = max(self.longest, time.monotonic() - began)
                self.answered += problem is None
                self.failures += [] if problem is None else [f"request {number}-{turn}: {problem}"]
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, who: str, turn: int) -> str | None:
        is_job = turn % self.every == 0
        head = {"Accept": "application/json", "X-Remote-User": who}
        if is_job:
            form = urlencode({"request_id": 1 + turn % REQUESTS})
            head["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request("POST", "/self-serve/try/request", form, head)
        else:
            path = f"/self-serve/try/request/{1 + turn % REQUESTS}"
            connection.request("GET", path, headers=head)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != (202 if is_job else 200):
            return f"{answer.status} {text[:200]!r}"
        if is_job:
            with self._lock:
                self.accepted[who] = json.loads(text)["request_id"]
        return None

    def until(self, answered: int) -> None:
        """Wait until so many more requests are answered."""
        goal, end = self.answered + answered, time.monotonic() + 180
        while self.answered < goal:
            assert time.monotonic() < end, f"only {self.answered} of {goal} are answered"
            time.sleep(0.02)


def all_done(site: Site, load: Load, client: Client) -> None:
    """Check that every accepted job is finished well, and that its effect is there once."""
    for job_id in load.accepted.values():
        job = client.wait_job(job_id, 30)
        assert job["complete_data"]["body"]["errors"] is False, job
    rebuilt = site.rebuilt()
    assert {who: rebuilt.get(who, 0) for who in load.accepted} == dict.fromkeys(load.accepted, 1)
    assert all(count == 1 for count in rebuilt.values())
