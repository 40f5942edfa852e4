"""The init script, by hand as a host without systemd runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.deploy.samples import DEPLOY
from tests.e2e.service import Client, toml
from tests.services.mariadb import free_port

SECONDS = 180


@attrs.frozen
class Host:
    """A folder in place of the host's, and the script's settings for it."""

    folder: Path
    port: int

    @property
    def pid_file(self) -> Path:
        return self.folder / "buildapi.pid"

    def configure(self, **web: object) -> None:
        web = {"listen": [f"tcp:{self.port}:interface=127.0.0.1"], **web}
        sample = {"enabled": True, "builds": 20, "days": 1}
        (self.folder / "buildapi.toml").write_text(toml({"web": web, "sample": sample}))

    def settings(self, binaries: Path) -> None:
        lines = {
            "RUN_AS": "root" if os.geteuid() == 0 else "nobody",
            "CONFIG": self.folder / "buildapi.toml",
            "BIN": binaries,
            "RUN": self.folder,
            "LOG": self.folder / "buildapi.log",
            "WORK": self.folder,
        }
        text = "".join(f"{key}='{value}'\n" for key, value in lines.items())
        (self.folder / "settings").write_text(text)

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(DEPLOY / "init.d" / "buildapi"), *words],
            env={"PATH": os.environ["PATH"], "BUILDAPI_SETTINGS": str(self.folder / "settings")},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path, free_port())
    host.configure()
    host.settings(Path(sys.executable).parent)
    yield host
    if host.pid_file.exists():
        host("stop")


def test_it_starts_tells_and_stops(host: Host) -> None:
    assert host("status").returncode == 3
    started = host("start")
    assert (started.returncode, started.stderr) == (0, "")
    pid = host.pid_file.read_text()
    assert host("status").stdout == f"buildapi runs, process {pid}.\n"
    assert host("start").stdout == f"buildapi runs already, process {pid}.\n"
    client = Client(f"http://127.0.0.1:{host.port}")
    wait_until(lambda: client.get("/self-serve/branches").status == 200)
    assert host("stop").stdout == "buildapi stopped.\n"
    assert host("status").returncode == 3
    assert host("stop").returncode == 0


def test_a_restart_is_another_process_unless_the_configuration_is_wrong(host: Host) -> None:
    host("start")
    first = host.pid_file.read_text()
    assert host("restart").returncode == 0
    second = host.pid_file.read_text()
    assert second != first
    host.configure(cache_seconds="soon")
    for action in ("restart", "reload", "try-restart"):
        refused = host(action)
        assert refused.returncode == 1
        assert "[web] cache_seconds" in refused.stderr
    assert host.pid_file.read_text() == second
    assert host("status").returncode == 0


def test_a_wrong_configuration_starts_nothing(host: Host) -> None:
    host.configure(cache_seconds="soon")
    refused = host("start")
    assert refused.returncode == 1
    assert "[web] cache_seconds" in refused.stderr
    assert host("status").returncode == 3


def test_a_pid_file_of_another_process_is_not_believed(host: Host) -> None:
    host.pid_file.write_text(str(os.getpid()))
    assert host("status").returncode == 1
    assert host("stop").stdout == "buildapi does not run.\n"
    assert not host.pid_file.exists()


def test_reload_sends_a_signal(host: Host) -> None:
    """A stand-in takes it: what the program does then is tested elsewhere."""
    binaries = host.folder / "bin"
    binaries.mkdir()
    told = host.folder / "told"
    stand_in = (
        "#!/bin/sh\n"
        f'[ "$1" = "--pidfile={host.pid_file}" ] || exit 0\n'
        'case $2 in stay) ;; *) "$0" "$1" stay & exit 0 ;; esac\n'
        f"trap 'touch {told}' HUP\ntrap 'exit 0' TERM\n"
        f"echo $$ > {host.pid_file}\nexec >/dev/null 2>&1\n"
        "while :; do sleep 0.05; done\n"
    )
    for name in ("buildapi", "twistd"):
        (binaries / name).write_text(stand_in)
        (binaries / name).chmod(0o755)
    host.settings(binaries)
    assert host("reload").returncode == 7
    started = host("start")
    assert started.returncode == 0, started
    assert host("reload").returncode == 0
    wait_until(told.exists)
    assert host("stop").returncode == 0


def test_it_says_how_it_is_used(host: Host) -> None:
    for words in ((), ("jump",)):
        done = host(*words)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: ")


def wait_until(true: object) -> None:
    assert callable(true)
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
