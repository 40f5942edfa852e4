"""Logs as operators meet them: rotated, turned up, reloaded, from plugin, .tac file and daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.e2e.service import Client, Service, configured, environment, toml, twistd

ROOT = Path(__file__).parent.parent.parent
SAMPLE = {"enabled": True, "builds": 50}


def wait(condition: Callable[[], Any], seconds: float = 180) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return found


@attrs.define
class Run:
    """A service that runs, and its configuration."""

    service: Service
    sections: dict[str, Any]

    def configure(self, **sections: Mapping[str, Any]) -> None:
        """Write other settings over those of the configuration."""
        port = self.service.port
        web = {"listen": [f"tcp:{port}:interface=127.0.0.1"], "cache_seconds": 0}
        found = {"service": {"data": "data"}, "web": web, "sample": SAMPLE, **self.sections}
        for name, values in sections.items():
            found[name] = {**found.get(name, {}), **values}
        self.path("buildapi.toml").write_text(toml(found))

    def path(self, name: str) -> Path:
        return self.service.folder / name

    def text(self, name: str) -> str:
        path = self.path(name)
        return path.read_text() if path.exists() else ""

    def signal(self, number: int) -> None:
        os.kill(self.service.pid, number)

    def reload(self) -> dict[str, Any]:
        """Ask for it, and give what came of it."""
        before = self.last()
        self.signal(signal.SIGHUP)
        found: dict[str, Any] = wait(lambda: (last := self.last()) != before and last)
        return found

    def last(self) -> Any:
        return self.service.client.get("/status").body["reload"]


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Service] = []

    def started(*arguments: str, **sections: Any) -> Run:
        service = configured(tmp_path / "service", {})
        run = Run(service, sections)
        run.configure()
        if arguments:
            service.command = twistd(*arguments)
        service.environment = {**environment(), "BUILDAPI_CONFIG": "buildapi.toml"}
        running.append(service)
        service.start()
        wait(lambda: ready(service.client))
        return run

    yield started
    for service in running:
        service.stop()


def ready(client: Client) -> bool:
    try:
        return client.get("/readyz").status == 200
    except OSError:
        return False


TAC = ("-y", str(ROOT / "buildapi.tac"))
PLUGIN = ("buildapi", "--config", "buildapi.toml")


@pytest.mark.parametrize("arguments", [PLUGIN, TAC], ids=["plugin", "tac"])
def test_files_that_were_renamed_are_begun_anew(start: Start, arguments: tuple[str, ...]) -> None:
    run = start(*arguments, log={"file": "run.log"})
    run.path("run.log").rename(run.path("run.log.1"))
    run.signal(signal.SIGUSR1)
    wait(lambda: "log files reopened" in run.text("run.log"))
    assert "BuildAPI is ready" in run.text("run.log.1")
    assert "BuildAPI is ready" not in run.text("run.log")


def test_the_access_log_is_begun_anew_too(start: Start) -> None:
    run = start()
    run.configure(web={"access_log": "access.log"})
    assert run.reload()["ok"]
    run.service.client.get("/self-serve/jobs")
    wait(lambda: "/self-serve/jobs" in run.text("access.log"))
    run.path("access.log").rename(run.path("access.log.1"))
    run.signal(signal.SIGUSR1)
    run.service.client.get("/self-serve/branches")
    wait(lambda: "/self-serve/branches" in run.text("access.log"))


def test_level_and_form_change_while_it_runs(start: Start) -> None:
    run = start(log={"file": "run.log"})
    run.configure(log={"format": "json", "level": "warn"}, web={"answer_seconds": 17})
    last = run.reload()
    assert (last["ok"], last["needs_restart"]) == (True, ["[web] answer_seconds"])
    lines = run.text("run.log").splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert {line["level"] for line in told} == {"warn"}
    assert any("[web] answer_seconds" in line["msg"] for line in told)


def test_a_wrong_configuration_leaves_all_as_it_is(start: Start) -> None:
    run = start(log={"file": "run.log"})
    run.configure(log={"level": "loud"})
    last = run.reload()
    assert not last["ok"]
    (error,) = last["errors"]
    assert "level" in error
    assert error in run.text("run.log")
    assert run.service.client.get("/self-serve/jobs").status == 200
    run.configure()
    assert run.reload()["ok"]


def test_who_is_trusted_changes_while_it_runs(start: Start) -> None:
    run = start()
    job = {"build_id": 1}
    assert run.service.client.post("/self-serve/mozilla-central/build", **job).status != 403
    run.configure(web={"trusted_proxies": ["192.0.2.1"], "development_user": ""})
    assert run.reload()["ok"]
    assert run.service.client.post("/self-serve/mozilla-central/build", **job).status == 403


def test_a_signal_while_it_starts_does_not_end_it(tmp_path: Path) -> None:
    service = configured(tmp_path / "service", {"sample": SAMPLE})
    service.start()
    try:
        wait(lambda: caught(service.pid))
        for _ in range(5):
            os.kill(service.pid, signal.SIGHUP)
            os.kill(service.pid, signal.SIGUSR1)
        wait(lambda: ready(service.client))
        assert service.running
    finally:
        service.stop()


def caught(pid: int) -> bool:
    """Return whether a process catches SIGHUP."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
    return bool(int(mask, 16) >> (signal.SIGHUP - 1) & 1)


def test_a_daemon_logs_to_its_file_and_obeys(tmp_path: Path) -> None:
    service = configured(tmp_path / "service", {"sample": SAMPLE, "log": {"file": "run.log"}})
    program = str(Path(sys.executable).with_name("twistd"))
    command = [program, "--pidfile=run.pid", *PLUGIN]
    subprocess.run(command, cwd=service.folder, env=environment(), check=True, timeout=180)
    log, pidfile = service.folder / "run.log", service.folder / "run.pid"
    pid = int(wait(lambda: pidfile.exists() and pidfile.read_text().strip()))
    try:
        wait(lambda: ready(service.client))
        log.rename(service.folder / "run.log.1")
        os.kill(pid, signal.SIGUSR1)
        wait(lambda: log.exists() and "log files reopened" in log.read_text())
        assert not (service.folder / "twistd.log").exists()
    finally:
        os.kill(pid, signal.SIGTERM)
        wait(lambda: not pidfile.exists())
    assert "Server Shut Down" in log.read_text()


def test_the_file_that_the_command_line_names_wins(start: Start) -> None:
    run = start("--logfile", "named.log", *PLUGIN, log={"file": "run.log", "format": "json"})
    assert not run.path("run.log").exists()
    lines = [json.loads(line) for line in run.text("named.log").splitlines()]
    assert any("BuildAPI is ready" in line["msg"] for line in lines)
