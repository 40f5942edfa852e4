"""The command as its users run it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.cli.fake import Asked, Reply, fake
from tests.services import preloaded

COMMAND = str(Path(sys.executable).with_name("buildapi"))


@attrs.frozen
class Done:
    """What a command left."""

    code: int
    out: bytes
    err: str


def buildapi(
    *arguments: str | Path,
    folder: Path | None = None,
    given: str = "",
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run the command to its end."""
    command, own = [COMMAND, *map(str, arguments)], environment or {}
    if not preloaded.can_run({**os.environ, **own}):
        done = subprocess.run(
            command,
            cwd=folder,
            input=given.encode(),
            env={**os.environ, **own},
            capture_output=True,
            timeout=180,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode())
    code, out, err = preloaded.run(
        command, str(folder or Path.cwd()), given.encode(), {**os.environ, **own}
    )
    return Done(code, out, err.decode())


@attrs.define
class Web:
    """A web server that gives the same answer, after some failures; ``asked`` are the paths."""

    answer: Any
    failures: int = 0
    asked: list[str] = attrs.field(factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/buildapi/reports/waittimes"

    def reply(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if len(self.asked) <= self.failures:
            return 503, b"not now"
        text = self.answer
        return 200, text if isinstance(text, bytes) else json.dumps(text).encode()


@contextmanager
def web(answer: Any, failures: int = 0) -> Iterator[Web]:
    """Run a web server on a free port."""
    state = Web(answer, failures)

    def answered(asked: Asked) -> Reply:
        status, body = state.reply(asked.path)
        return Reply(status, body, {"Content-Type": "application/json"})

    with fake(answered) as server:
        state.port = int(server.url.rpartition(":")[2])
        yield state
