"""The units: systemd finds nothing wrong with them, and they leave the process little to abuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.samples import DEPLOY, sample
from tests.services.policy import program

SERVICES = ("buildapi.service", "buildapi-agent.service", "buildapi-api@.service")
SERVICES += ("buildapi-worker@.service",)
UNITS = (*SERVICES, "buildapi.socket")
MOST_EXPOSED = 15
"""Tenths of the exposure that systemd-analyze computes; 100 is a service without limits."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy the units, with the programs where they are here."""
    binaries = Path(sys.executable).parent
    for name in UNITS:
        changes = {"/opt/buildapi/bin": str(binaries)} if name in SERVICES else {}
        (tmp_path / name).write_text(sample(f"systemd/{name}", changes))
    return tmp_path


def analyze(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze"), "--no-pager", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=180
    )


@pytest.mark.systemd
def test_systemd_finds_nothing_wrong(units: Path) -> None:
    names = [f"./{name.replace('@.', '@1.')}" for name in UNITS]
    done = analyze("verify", "--man=no", *names, folder=units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.systemd
def test_a_mistake_in_a_unit_would_be_found(units: Path) -> None:
    unit = units / "buildapi.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=30", "WatchdogSec=soon"))
    said = analyze("verify", "--man=no", f"./{unit.name}", folder=units).stderr
    assert "Failed to parse sec value" in said


@pytest.mark.systemd
@pytest.mark.parametrize("name", SERVICES)
def test_little_is_left_to_abuse(units: Path, name: str) -> None:
    unit = f"./{name.replace('@.', '@1.')}"
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit, folder=units)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_denied_that_the_process_needs(name: str) -> None:
    """pyOpenSSL's callbacks are memory that is executed; numbers of the process need /proc/stat."""
    text = (DEPLOY / "systemd" / name).read_text()
    assert "MemoryDenyWriteExecute" not in text
    assert "ProcSubset" not in text


def test_one_process_that_cannot_start_does_not_take_the_socket_from_the_others() -> None:
    text = (DEPLOY / "systemd" / "buildapi-api@.service").read_text()
    assert "\nStartLimitIntervalSec=0\n" in text


def test_all_services_have_the_same_limits() -> None:
    texts = [(DEPLOY / "systemd" / name).read_text() for name in SERVICES]
    limits = {text[text.index("NoNewPrivileges=") : text.index("[Install]")] for text in texts}
    assert len(limits) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_told_when_to_drain_and_says_that_it_lives(name: str) -> None:
    text = (DEPLOY / "systemd" / name).read_text()
    for line in ("Type=notify", "WatchdogSec=30", "ExecReload=/bin/kill -HUP $MAINPID"):
        assert f"\n{line}\n" in text
    assert "\nTimeoutStopSec=150\n" in text
