"""Our own program as its users run it: a twistd process, a configuration file, HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import attrs

from tests.farm.processes import Daemon
from tests.openapi.conformity import undocumented
from tests.services import preloaded
from tests.services.mariadb import free_port

USER = "sheriff@example.org"


@attrs.frozen
class Answer:
    """An HTTP answer, and how long it took in seconds."""

    status: int
    body: Any
    headers: Mapping[str, str]
    seconds: float


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


@attrs.define
class Client:
    """Ask for JSON as an authenticated user would, through the proxy.

    Each answer has to be as ``/openapi.json`` says.
    """

    url: str
    user: str = USER

    def get(self, path: str) -> Answer:
        """Read."""
        return self.ask("GET", path)

    def post(self, path: str, **form: Any) -> Answer:
        """Send a form."""
        return self.ask("POST", path, form)

    def delete(self, path: str, **form: Any) -> Answer:
        """Delete."""
        return self.ask("DELETE", path, form or None)

    def put(self, path: str, **form: Any) -> Answer:
        """Put a form."""
        return self.ask("PUT", path, form)

    def ask(
        self,
        method: str,
        path: str,
        form: Mapping[str, Any] | None = None,
        *,
        document: Any = None,
        key: str | None = None,
    ) -> Answer:
        """Send one request: a form, or a JSON document; ``key`` is its Idempotency-Key."""
        data = None if form is None else urllib.parse.urlencode(form, doseq=True).encode()
        if document is not None:
            data = json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        if document is not None:
            request.add_header("Content-Type", "application/json")
        if key is not None:
            request.add_header("Idempotency-Key", key)
        request.add_header("Accept", "application/json")
        request.add_header("X-Remote-User", self.user.encode().decode("latin-1"))
        began = time.monotonic()
        try:
            with _opener.open(request, timeout=120) as answer:
                status, text, headers = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as e:
            with e:
                status, text, headers = e.code, e.read(), e.headers
        body = json.loads(text) if text else None
        answer = Answer(status, body, dict(headers), time.monotonic() - began)
        differs = [*undocumented(method, path, status, headers.get_content_type(), body)]
        assert not differs, differs
        return answer

    def wait_job(self, job_id: int, seconds: float = 180) -> dict[str, Any]:
        """Wait until a job is finished; give it."""
        end = time.monotonic() + seconds
        while True:
            job: dict[str, Any] = self.get(f"/self-serve/jobs/{job_id}").body
            if job["completed_at"] is not None:
                return job
            assert time.monotonic() < end, f"not finished in {seconds} s: {job}"
            time.sleep(0.1)

    def done(self, answer: Answer, seconds: float = 180) -> dict[str, Any]:
        """Check that a job request was accepted; wait for the job and give it."""
        assert answer.status == 202, answer
        return self.wait_job(answer.body["request_id"], seconds)


TWISTD = str(Path(sys.executable).with_name("twistd"))


def twistd(*arguments: str) -> list[str]:
    """Return the command that runs twistd in the foreground with this interpreter."""
    return [TWISTD, "-n", "--pidfile=", *arguments]


@attrs.define(eq=False)
class Service(Daemon):
    """A twistd process of ours that serves, or is an agent only."""

    port: int = 0

    def _started(self, out: IO[bytes]) -> subprocess.Popen[bytes] | preloaded.Process:
        """Start it as one of a process that has loaded the program, where that is as good."""
        if self.command[0] != TWISTD or not preloaded.can_run(self.environment):
            return super()._started(out)
        with Path(os.devnull).open("rb") as nothing:
            streams = [nothing.fileno(), out.fileno(), out.fileno()]
            folder = str(self.folder.resolve())
            return preloaded.Process(self.command, folder, streams, self.environment)

    @property
    def client(self) -> Client:
        """Talk to it."""
        return Client(f"http://127.0.0.1:{self.port}")

    def wait_ready(self, seconds: float = 180) -> None:
        """Wait until it says that it is ready."""
        end = time.monotonic() + seconds
        while "BuildAPI is ready" not in self.output():
            assert self.running, f"it ended: {self.output()}"
            assert time.monotonic() < end, f"not ready in {seconds} s: {self.output()}"
            time.sleep(0.05)

    def output(self) -> str:
        """Return what it wrote since its last start."""
        text = (self.folder / "run.out").read_text(errors="replace")
        return text.rpartition(MARK)[2]

    def begin(self) -> None:
        """Start it; it may not be ready yet."""
        with (self.folder / "run.out").open("a") as out:
            out.write(MARK)
        self.start()

    def up(self) -> None:
        """Start it and wait until it is ready."""
        self.begin()
        self.wait_ready()


MARK = "=== started ===\n"


def configured(folder: Path, sections: Mapping[str, Any]) -> Service:
    """Write a configuration and give the service that runs with it; nothing runs yet."""
    folder.mkdir(parents=True)
    port = free_port()
    web = {"listen": [f"tcp:{port}:interface=127.0.0.1"], "cache_seconds": 0}
    document = {"service": {"data": "data"}, "web": web, **sections}
    (folder / "buildapi.toml").write_text(toml(document))
    command = twistd("buildapi", "--config", "buildapi.toml")
    return Service(folder=folder, command=command, environment=environment(), port=port)


def environment() -> dict[str, str]:
    """Return the environment of a service: this one, with what it prints unbuffered."""
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def toml(document: Mapping[str, Any], path: str = "") -> str:
    """Write tables of texts, numbers, lists and tables as TOML."""
    plain = {k: v for k, v in document.items() if not isinstance(v, Mapping)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    head = [f"[{path}]"] if path and lines else []
    tables = [(k, v) for k, v in document.items() if isinstance(v, Mapping)]
    rest = [toml(table, f"{path}.{key}" if path else key) for key, table in tables]
    return "\n".join([*head, *lines, *rest]) + "\n"


# What systemd does: the sockets as descriptors 3 and following, and who they are for. (A shell
# cannot dup numbers above 9, and Twisted wants as many names as descriptors.)
HAND_OVER = """\
import os, sys
count = int(sys.argv[1])
for at, fd in enumerate(sys.argv[2:2 + count]):
    os.dup2(int(fd), 3 + at)
names = ":".join(["buildapi.socket"] * count)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=names)
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


@attrs.define(eq=False)
class Activated(Service):
    """A process of ours that gets listening sockets, if there are any, as systemd gives them."""

    sockets: tuple[socket.socket, ...] = ()

    def _started(self, out: IO[bytes]) -> subprocess.Popen[bytes] | preloaded.Process:
        if not self.sockets:
            return super()._started(out)
        fds = [s.fileno() for s in self.sockets]
        return subprocess.Popen(
            [sys.executable, "-c", HAND_OVER, str(len(fds)), *map(str, fds), *self.command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=fds,
            start_new_session=True,
        )
