"""What commands do on a terminal: a real one, with a process on the other side."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.cli.fake import Asked, Reply, fake
from tests.cli.running import COMMAND, buildapi

STOP = {"type": "StopBuild", "build_id": 41, "buildername": "Linux x86-64"}
PLAN = {"errors": False, "writes": [{"type": "DropRequests", "brids": [1, 2]}], "pokes": [STOP]}
QUEUED = {"status": "OK", "request_id": 7, "msg": "queued as job 7"}


@attrs.define
class Terminal:
    """A command on a pseudo-terminal."""

    process: subprocess.Popen[bytes]
    handle: int
    text: str = ""

    def until(self, words: str) -> None:
        """Read until it shows these words."""
        end = time.monotonic() + 180
        while words not in self.text:
            assert time.monotonic() < end, self.text
            assert self._read(), self.text

    def _read(self) -> bool:
        if not select.select([self.handle], [], [], 1)[0]:
            return True
        try:
            data = os.read(self.handle, 65536)
        except OSError:  # the other side is gone
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def end(self) -> int:
        """Read to the end; give the exit code."""
        while self._read():
            pass
        os.close(self.handle)
        return self.process.wait(30)


def on_terminal(*arguments: str) -> Terminal:
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [COMMAND, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    return Terminal(process, master)


def cancelling(asked: Asked) -> Reply:
    if asked.body and asked.body.get("dry_run"):
        return Reply(200, {"status": "OK", "msg": "would", "plan": PLAN})
    return Reply(202, QUEUED)


@pytest.mark.parametrize(("answer", "code", "sent"), [(b"y\n", 0, 2), (b"n\n", 1, 1)])
def test_cancelling_a_revision_is_asked_first(answer: bytes, code: int, sent: int) -> None:
    """Name the builds and requests that the question is about, with their ids."""
    with fake(cancelling) as server:
        terminal = on_terminal("cancel-rev", "try", "abc", "--url", server.url)
        terminal.until("Cancel 2 pending requests and stop 1 builds of abc on try? [y/N]")
        listed = [line.strip() for line in terminal.text.splitlines() if line.startswith("  ")]
        assert listed == ["request 1", "request 2", "build 41 of Linux x86-64"]
        os.write(terminal.handle, answer)
        assert terminal.end() == code
    assert len(server.asked) == sent


def test_yes_and_scripts_are_not_asked() -> None:
    with fake(cancelling) as server:
        assert on_terminal("cancel-rev", "try", "abc", "--yes", "--url", server.url).end() == 0
        assert buildapi("cancel-rev", "try", "abc", "--url", server.url).code == 0
    assert [bool(asked.body.get("dry_run")) for asked in server.asked] == [False, False]


def job(done: int) -> dict[str, Any]:
    finished = done == 4
    return {
        "id": 7,
        "state": "done" if finished else "running",
        "action": "cancel_revision",
        "who": "ann",
        "when": 1,
        "what": {},
        "completed_at": 2 if finished else None,
        "complete_data": {"body": {"msg": "Ok"}} if finished else None,
        "items": [],
        "progress": None if finished else {"done": done, "total": 4},
    }


def test_a_bar_shows_how_far_a_job_is_and_results_are_coloured() -> None:
    replies = iter([*[job(1)] * 3, *[job(3)] * 3])
    with fake(lambda _: Reply(200, next(replies, job(4)))) as server:
        terminal = on_terminal("job", "7", "--wait=30", "--url", server.url)
        assert terminal.end() == 0
    assert "job 7" in terminal.text
    assert "25%" in terminal.text
    assert "job 7 is done: Ok" in terminal.text


def jobs(_: Asked) -> Reply:
    return Reply(200, [job(4)])


def test_colours_are_for_terminals_that_want_them(
    own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake(jobs) as server:
        coloured = on_terminal("jobs", "--url", server.url)
        coloured.end()
        assert "\x1b[32mdone\x1b[0m" in coloured.text
        assert b"\x1b" not in buildapi("jobs", "--url", server.url).out
        monkeypatch.setenv("NO_COLOR", "1")
        plain = on_terminal("jobs", "--url", server.url)
        plain.end()
    assert "\x1b" not in plain.text


def failures(asked: Asked) -> Reply:
    """Answer with a revision whose builds 1 and 2 failed, and build 3 is rebuilt as a request."""
    if asked.method == "POST":
        entries = asked.body if isinstance(asked.body, list) else [asked.body]
        done = {"status": "OK", "request_id": 7, "msg": "queued", "plan": PLAN}
        return Reply(200, [{"status": 202, "body": done} for _ in entries])
    build = {"revision": "abc", "starttime": 1, "endtime": 2, "status": 2}
    found = [build | {"build_id": i, "buildername": f"b{i}"} for i in (1, 2, 3)]
    passed = build | {"build_id": 4, "buildername": "b4", "status": 0}
    request = {"request_id": 9, "buildername": "b3", "revision": "abc", "claimed_at": 0}
    return Reply(200, [*found, passed, request])


@pytest.mark.parametrize(("answer", "code", "sent"), [(b"y\n", 0, 1), (b"n\n", 1, 0)])
def test_failed_builds_are_listed_and_asked_about(answer: bytes, code: int, sent: int) -> None:
    with fake(failures) as server:
        terminal = on_terminal("rebuild", "try", "--failed", "abc", "--url", server.url)
        terminal.until("Rebuild 2 failed builds of abc on try? [y/N]")
        listed = [line.strip() for line in terminal.text.splitlines() if line.startswith("  ")]
        assert listed == ["build 1 of b1", "build 2 of b2"]
        os.write(terminal.handle, answer)
        assert terminal.end() == code
    assert len([a for a in server.asked if a.method == "POST"]) == sent


@pytest.mark.parametrize("more", [("--yes",), ("--dry-run",), ()])
def test_failed_builds_are_one_batch(more: tuple[str, ...]) -> None:
    with fake(failures) as server:
        assert buildapi("rebuild", "try", "--failed", "abc", *more, "--url", server.url).code == 0
    assert [a.path for a in server.asked] == [
        "/self-serve/try/rev/abc",
        f"/self-serve/batch{'?dry_run=1' if '--dry-run' in more else ''}",
    ]
    assert [entry["body"]["build_id"] for entry in server.asked[1].body] == [1, 2]


def test_a_revision_without_failed_builds_is_said_to_have_none() -> None:
    with fake(lambda _: Reply(200, [])) as server:
        done = buildapi("rebuild", "try", "--failed", "abc", "--url", server.url)
        both = buildapi("rebuild", "try", "--failed", "abc", "--build", "1", "--url", server.url)
    assert (done.code, done.err) == (0, "No failed builds of abc on try.\n")
    assert both.code == 2
    assert "--failed excludes --build and --request" in both.err
    assert [a.method for a in server.asked] == ["GET"]
