"""The sample for supervisord: its programs are started, watched and ended in order."""

from __future__ import annotations

import getpass
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError

from tests.deploy.samples import sample
from tests.e2e.service import Client, toml
from tests.patience import eventually
from tests.services.mariadb import free_port

MAIN = """\
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
[unix_http_server]
file={folder}/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/sock
[include]
files={folder}/buildapi.conf
"""


def test_all_programs_run_and_are_ended(tmp_path: Path) -> None:
    """Three services with sample farms, since two roles apart need a broker."""
    ports = {}
    for name in ("api-1", "api-2", "agent"):
        ports[name] = free_port()
        web = {"listen": [f"tcp:{ports[name]}:interface=127.0.0.1"]}
        small = {"enabled": True, "builds": 10, "days": 1}
        document = {"service": {"data": name}, "web": web, "sample": small}
        (tmp_path / f"{name}.toml").write_text(toml(document))
    changes = {
        "/opt/buildapi/bin": str(Path(sys.executable).parent),
        "/etc/buildapi": str(tmp_path),
        "/var/lib/buildapi": str(tmp_path),
        "/var/log/buildapi": str(tmp_path),
        "user=buildapi": f"user={getpass.getuser()}",
    }
    (tmp_path / "buildapi.conf").write_text(sample("supervisord/buildapi.conf", changes))
    (tmp_path / "main.conf").write_text(MAIN.format(folder=tmp_path))
    conf = str(tmp_path / "main.conf")
    with (tmp_path / "out").open("wb") as out:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", conf], stdout=out, stderr=out
        )
    try:
        waited = time.monotonic() + 180
        while (text := control(conf, "status").stdout).count("RUNNING") < 3:
            assert daemon.poll() is None, (tmp_path / "out").read_text()
            assert time.monotonic() < waited, text
            time.sleep(0.2)
        assert {line.split()[0] for line in text.splitlines()} == {
            "buildapi-api:1",
            "buildapi-api:2",
            "buildapi-agent",
        }
        for port in ports.values():
            eventually(lambda port=port: served(port), bool, seconds=60)
        assert control(conf, "restart", "buildapi-api:1").returncode == 0
        assert "buildapi-api:1                   RUNNING" in control(conf, "status").stdout
    finally:
        daemon.terminate()
        daemon.wait(60)
    log = (tmp_path / "supervisord.log").read_text()
    assert "SIGKILL" not in log
    for name in ("api-1", "api-2", "agent"):
        assert "stopped broker" in (tmp_path / f"{name}.log").read_text()


def served(port: int) -> bool:
    """Return whether it answers: supervisord calls a process running before its port is open."""
    try:
        return Client(f"http://127.0.0.1:{port}").get("/self-serve/branches").status == 200
    except URLError:
        return False


def control(conf: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", conf, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
