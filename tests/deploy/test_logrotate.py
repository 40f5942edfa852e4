"""The sample for logrotate: files are renamed, and the processes told."""

from __future__ import annotations

import grp
import os
import pwd
import signal
import subprocess
from pathlib import Path

import pytest

from tests.deploy.samples import sample
from tests.services.policy import program

pytestmark = pytest.mark.logrotate


def test_logs_are_rotated_and_processes_told(tmp_path: Path) -> None:
    logs, run = tmp_path / "log", tmp_path / "run"
    logs.mkdir(mode=0o750)
    run.mkdir()
    (logs / "buildapi.log").write_text("a line\n")
    mark = tmp_path / "told"
    waits = subprocess.Popen(
        ["sh", "-c", f"trap 'touch {mark}; exit 0' USR1; echo; while :; do sleep 0.05; done"],
        stdout=subprocess.PIPE,
    )
    try:
        assert waits.stdout is not None
        waits.stdout.readline()
        (run / "buildapi.pid").write_text(str(waits.pid))
        owner = f"{pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
        changes = {
            "/var/log/buildapi": str(logs),
            "/run/buildapi": str(run),
            "/run/systemd/system": str(tmp_path / "none"),
            "supervisorctl": "no-such-supervisorctl",
            "su buildapi buildapi": f"su {owner}",
        }
        conf = tmp_path / "conf"
        conf.write_text(sample("logrotate/buildapi", changes))
        conf.chmod(0o644)
        rotate = [program("logrotate"), "--state", str(tmp_path / "state")]
        checked = subprocess.run(
            [*rotate, "-d", str(conf)], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0
        assert "error" not in checked.stderr
        assert (logs / "buildapi.log").exists()
        done = subprocess.run(
            [*rotate, "-f", str(conf)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert waits.wait(10) == 0
    finally:
        waits.send_signal(signal.SIGKILL)
        waits.wait()
        assert waits.stdout is not None
        waits.stdout.close()
    assert mark.exists()
    (old,) = logs.iterdir()
    assert old.name.startswith("buildapi.log-")
    assert old.read_text() == "a line\n"
