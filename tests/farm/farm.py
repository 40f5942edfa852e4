"""A small real farm: Buildbot 0.8.2 masters and their slaves on one scheduler database.

All calls block, the waiting ones for seconds: call them from fixtures, or in a thread
(``deferToThread``) while code under test runs in the reactor.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

import attrs

from tests.farm.processes import Daemon, Guard
from tests.farm.python27 import Python27, plain_environment
from tests.farm.rows import SchedulerRows

HERE = Path(__file__).resolve().parent
CREATE_SECONDS = 180
READY_SECONDS = 180  # two or three on an idle machine

Kind = Literal["long", "vlong", "medium", "short", "fail", "stubborn", "twostep"]
Web = Literal["allow", "deny", "auth"]


def _plain_opener() -> urllib.request.OpenerDirector:
    """Make an opener that follows no redirect, as where a master sends us is its answer."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPHandler())
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    return opener


_opener = _plain_opener()


class NotReadyError(Exception):
    """A master ended or did not get ready; the message holds the end of its log."""


@attrs.define(eq=False)
class Master(Daemon):
    """One master and its slaves."""

    name: str
    role: str
    http_port: int
    pb_port: int
    builders: tuple[tuple[str, Kind], ...]
    polls: bool
    slaves: tuple[Daemon, ...]

    @property
    def url(self) -> str:
        """Return the address of its web status, without a slash at the end."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def claimed_by_name(self) -> str:
        """Return what it writes to ``buildrequests.claimed_by_name``."""
        return f"{os.uname().nodename}:{self.folder.resolve()}"

    def entry(self) -> dict[str, Any]:
        """Return its entry of the masters file."""
        return {
            "name": self.name,
            "role": self.role,
            "db_name": self.claimed_by_name,
            "hostname": "127.0.0.1",
            "http_port": self.http_port,
            "pb_port": self.pb_port,
        }

    def json(self, path: str, seconds: float = 60) -> Any:
        """Ask for ``/json/<path>``; :raises OSError: no answer in time, or an HTTP error."""
        with _opener.open(f"{self.url}/json/{path}", timeout=seconds) as answer:
            return json.load(answer)

    def post(
        self, path: str, fields: Mapping[str, str] | None = None, *, seconds: float = 60
    ) -> tuple[int, str]:
        """Post a form; give the status and the Location, which is empty where there is none.

        :raises TimeoutError: no answer in time.
        """
        data = urllib.parse.urlencode(fields or {}).encode()
        try:
            with _opener.open(f"{self.url}/{path}", data, timeout=seconds) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.headers.get("Location", "")

    def stop_build(
        self,
        builder: str,
        number: int,
        fields: Mapping[str, str] | None = None,
        *,
        seconds: float = 60,
    ) -> tuple[int, str]:
        """Press the button "stop build" of a build; answers as :meth:`post`."""
        quoted = urllib.parse.quote(builder, safe="")
        return self.post(f"builders/{quoted}/builds/{number}/stop", fields, seconds=seconds)

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the web answers and each builder has a slave; :raises NotReadyError:."""
        end = time.monotonic() + seconds
        while not self._ready():
            if not self.running or time.monotonic() > end:
                raise NotReadyError(f"{self.folder.name}: {self.log()}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        with contextlib.suppress(OSError, HTTPException):
            if self.polls:
                states = [builder["state"] for builder in self.json("builders").values()]
                return len(states) == len(self.builders) and "offline" not in states
            # Only a run of the master's loop turns "offline" into "idle", and without polling
            # nothing runs it: a slave that is connected has to do.
            return all(slave["connected"] for slave in self.json("slaves").values())
        return False


@attrs.define(eq=False)
class Farm:
    """Masters that share a scheduler database; :meth:`close` ends them all."""

    folder: Path
    python27: Python27
    db_url: str
    _guard: Guard
    masters: list[Master] = attrs.field(factory=list, init=False)

    @classmethod
    def create(cls, folder: Path, python27: Python27, db_url: str | None = None) -> Farm:
        """Make the tables of an empty scheduler database, by default SQLite in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        url = db_url or f"sqlite:///{folder.resolve() / 'scheduler.sqlite'}"
        farm = cls(folder, python27, url, Guard.over(folder))
        try:
            farm._buildbot("buildbot", "create-master", "-q", f"--db={url}", "schema-only")
        except BaseException:
            farm.close()
            raise
        return farm

    @property
    def rows(self) -> SchedulerRows:
        """Look into the scheduler database, and write to it, past the code under test."""
        return SchedulerRows(self.db_url)

    def master(
        self,
        name: str,
        builders: Mapping[str, Kind],
        *,
        slaves: int = 1,
        role: str = "build",
        web: Web = "allow",
        db_poll_interval: int | None = 1,
        no_merge: bool = False,
        max_builds: int = 1,
        change_source: bool = False,
        schedulers: Mapping[str, Sequence[str]] | None = None,
    ) -> Master:
        """Set up a master with slaves of its own; nothing runs yet.

        ``schedulers`` maps a branch to the builders that its changes start; ``max_builds`` is per
        slave; with ``change_source`` it takes changes over PB (user ``change``, ``changepw``).
        """
        http_port, pb_port = _free_port(), _free_port()
        slave_names = [f"slave-{name}{number + 1}" for number in range(slaves)]
        parameters = {
            "name": name,
            "url": f"http://127.0.0.1:{http_port}/",
            "http_port": f"tcp:{http_port}:interface=127.0.0.1",
            "pb_port": f"tcp:{pb_port}:interface=127.0.0.1",
            "db_url": self.db_url,
            "db_poll_interval": db_poll_interval,
            "slaves": slave_names,
            "max_builds": max_builds,
            "builders": list(builders.items()),
            "schedulers": {branch: list(names) for branch, names in (schedulers or {}).items()},
            "change_source": change_source,
            "no_merge": no_merge,
            "web": web,
        }
        master = Master(
            folder=self._master_folder(name, parameters),
            command=self._twistd(),
            environment=self._environment(),
            name=name,
            role=role,
            http_port=http_port,
            pb_port=pb_port,
            builders=tuple(builders.items()),
            polls=db_poll_interval is not None,
            slaves=tuple(self._slave(slave, pb_port) for slave in slave_names),
        )
        self.masters.append(master)
        return master

    def start(self, *masters: Master, seconds: float = READY_SECONDS) -> None:
        """Start masters (by default all) with those of their slaves that do not run; wait ready."""
        chosen = masters or tuple(self.masters)
        for master in chosen:
            master.start()
            for slave in master.slaves:
                if not slave.running:
                    slave.start()
        for master in chosen:
            master.wait_ready(seconds)

    def masters_json(self) -> str:
        """Return the text of the masters file."""
        return json.dumps([master.entry() for master in self.masters], indent=1)

    def close(self) -> None:
        """Kill all masters, slaves and what their builds started."""
        self._guard.end()
        for master in self.masters:
            for daemon in (*master.slaves, master):
                daemon.kill()  # dead already; this reaps it

    def _master_folder(self, name: str, parameters: Mapping[str, Any]) -> Path:
        folder = self.folder / f"master-{name}"
        # Where these tables are does not matter: a running master goes by db_url in master.cfg.
        unused = "--db=sqlite:///unused.sqlite"
        self._buildbot("buildbot", "create-master", "-q", unused, folder.name)
        shutil.copy(HERE / "master.cfg", folder)
        (folder / "params.json").write_text(json.dumps(parameters))
        return folder

    def _slave(self, name: str, pb_port: int) -> Daemon:
        address = f"127.0.0.1:{pb_port}"
        self._buildbot(
            "buildslave", "create-slave", "-q", "--maxdelay=1", name, address, name, "pw"
        )
        return Daemon(self.folder / name, self._twistd(), self._environment())

    def _twistd(self) -> list[str]:
        options = ("--nodaemon", "--no_save", "--pidfile=", "-y", "buildbot.tac")
        return self.python27.command("twistd", *options)

    def _environment(self) -> dict[str, str]:
        return plain_environment() | {"PYTHONPATH": str(HERE / "shim")}

    def _buildbot(self, *command: str) -> None:
        done = subprocess.run(
            self.python27.command(*command),
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CREATE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise NotReadyError(f"{command}: {done.stdout}{done.stderr}")


def _free_port() -> int:
    """Find a free port below those that the system gives to outgoing connections.

    So it stays free while a master is down between two starts.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
