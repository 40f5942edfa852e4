"""Starting: plugin, .tac file, and a wrong configuration, as twistd runs them."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.e2e.service import Service, configured, environment, twistd
from tests.services.certificates import Certificates
from tests.services.mariadb import free_port

ROOT = Path(__file__).parent.parent.parent


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        twistd(*arguments),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_wrong_key_ends_it_with_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('[web]\nlissten = ["tcp:8010"]\n')
    done = run(tmp_path, "buildapi", "--config", "bad.toml")
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if "bad.toml" in line]
    assert any("lissten" in line and "listen" in line for line in lines), done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_no_configuration_is_a_clear_line_too(tmp_path: Path) -> None:
    done = run(tmp_path, "buildapi")
    assert done.returncode != 0
    assert done.stderr.strip() == (
        "buildapi: --config FILE is needed (or --sample for the sample farm)"
    )


def test_a_port_in_use_is_a_clear_line(tmp_path: Path) -> None:
    service = configured(tmp_path / "service", {"sample": {"enabled": True, "builds": 10}})
    with socket.create_server(("127.0.0.1", service.port)):
        done = run(service.folder, "buildapi", "--config", "buildapi.toml")
    assert done.returncode != 0
    (line,) = [line for line in done.stdout.splitlines() if "cannot listen" in line]
    assert f"cannot listen on tcp:{service.port}:" in line
    assert "in use" in line
    assert "Traceback" not in done.stderr + done.stdout


def test_a_daemon_that_cannot_listen_says_so_to_who_waits(tmp_path: Path) -> None:
    service = configured(tmp_path / "service", {"sample": {"enabled": True, "builds": 10}})
    command = [service.command[0], "--pidfile=d.pid", "--logfile=d.log", *service.command[3:]]
    with socket.create_server(("127.0.0.1", service.port)):
        done = subprocess.run(
            command, cwd=service.folder, env=environment(), timeout=180, check=False
        )
    assert done.returncode == 1
    log = (service.folder / "d.log").read_text()
    assert f"cannot listen on tcp:{service.port}:" in log
    assert "Traceback" not in log
    assert not (service.folder / "d.pid").exists()


FAILING = """
from twisted.application.service import Application
from buildapi.tap import from_file

async def fail():
    raise ZeroDivisionError

application = Application("buildapi")
program = from_file("buildapi.toml")
object.__setattr__(program._stages, "prepare", fail)
program.setServiceParent(application)
"""


def test_a_start_that_fails_ends_the_program_with_1(tmp_path: Path) -> None:
    """So that whoever started it starts it again."""
    service = configured(tmp_path / "service", {"sample": {"enabled": True, "builds": 10}})
    (service.folder / "failing.tac").write_text(FAILING)
    done = run(service.folder, "-y", "failing.tac")
    assert "the start failed" in done.stdout
    assert done.returncode == 1


@pytest.fixture
def from_tac(tmp_path: Path) -> Service:
    service = configured(tmp_path / "tac", {"sample": {"enabled": True, "builds": 50}})
    variables = {**environment(), "BUILDAPI_CONFIG": "buildapi.toml"}
    command = twistd("-y", str(ROOT / "buildapi.tac"))
    return Service(folder=service.folder, command=command, environment=variables, port=service.port)


def test_the_tac_file_runs_the_same_program(from_tac: Service) -> None:
    from_tac.up()
    try:
        assert "mozilla-central" in from_tac.client.get("/self-serve/branches").body
    finally:
        from_tac.stop()
    stopped = [line.rpartition("stopped ")[2] for line in from_tac.output().splitlines()]
    order = [name for name in stopped if name in ("http", "agent", "finisher", "broker", "jobs")]
    assert set(order[:2]) == {"http", "agent"}, from_tac.output()  # they stop at the same time
    assert order[2:] == ["finisher", "broker", "jobs"], from_tac.output()


def test_it_listens_on_a_unix_socket(tmp_path: Path) -> None:
    service = configured(tmp_path / "unix", {"sample": {"enabled": True, "builds": 10}})
    text = (service.folder / "buildapi.toml").read_text()
    text = text.replace(f"tcp:{service.port}:interface=127.0.0.1", "unix:http.sock")
    (service.folder / "buildapi.toml").write_text(text)
    service.up()
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(service.folder / "http.sock"))
            s.sendall(b"GET /self-serve/branches?format=json HTTP/1.0\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.0 200 OK")
    finally:
        service.stop()


def test_two_ports_can_be_asked_for(tmp_path: Path) -> None:
    other = free_port()
    service = configured(tmp_path / "two", {"sample": {"enabled": True, "builds": 10}})
    text = (service.folder / "buildapi.toml").read_text()
    first = f'"tcp:{service.port}:interface=127.0.0.1"'
    text = text.replace(first, f'{first}, "tcp:{other}:interface=127.0.0.1"')
    (service.folder / "buildapi.toml").write_text(text)
    service.up()
    try:
        with socket.create_connection(("127.0.0.1", other)) as s:
            s.sendall(b"GET /self-serve/branches?format=json HTTP/1.0\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.0 200 OK")
    finally:
        service.stop()


def test_it_listens_with_tls(tmp_path: Path) -> None:
    service = configured(tmp_path / "tls", {"sample": {"enabled": True, "builds": 10}})
    certificates = Certificates.make()
    certificates.write(service.folder)
    text = (service.folder / "buildapi.toml").read_text()
    tls = f"ssl:{service.port}:privateKey=server.key:certKey=server.pem:interface=127.0.0.1"
    text = text.replace(f"tcp:{service.port}:interface=127.0.0.1", tls)
    (service.folder / "buildapi.toml").write_text(text)
    service.up()
    try:
        trusting = ssl.create_default_context(cafile=str(service.folder / "ca.pem"))
        trusting.set_alpn_protocols(["h2", "http/1.1"])
        trusting.check_hostname = False
        with (
            socket.create_connection(("127.0.0.1", service.port)) as plain,
            trusting.wrap_socket(plain) as s,
        ):
            s.sendall(b"GET /self-serve/branches?format=json HTTP/1.0\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.0 200 OK")
    finally:
        service.stop()
    assert f"https://127.0.0.1:{service.port}/self-serve" in service.output()
