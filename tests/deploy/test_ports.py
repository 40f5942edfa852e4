"""The samples fit together: what systemd or supervisord runs is what the proxies ask."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from buildapi.config import load
from tests.deploy.samples import DEPLOY
from tests.deploy.test_proxies import Proxy, certificates, kind, ldap, login, proxy
from tests.e2e.service import Activated, environment, toml, twistd
from tests.services.mariadb import free_port

__all__ = ["certificates", "kind", "ldap", "proxy"]

INSTALLATION = DEPLOY.parent / "docs" / "installation.md"
API = ["8011", "8012"]


def found(name: str, pattern: str) -> list[str]:
    return re.findall(pattern, (DEPLOY / name).read_text(), re.M)


def test_all_samples_use_the_same_ports() -> None:
    """Have systemd, nginx, Apache and supervisord samples use the same ports."""
    assert found("systemd/buildapi.socket", r"^ListenStream=127\.0\.0\.1:(\d+)$") == API
    assert found("nginx/buildapi.conf", r"^    server 127\.0\.0\.1:(801\d)") == API
    members = found("apache/buildapi.conf", r'BalancerMember "http://127\.0\.0\.1:(\d+)"')
    assert members == [*API, *API]
    assert found("supervisord/buildapi.conf", r"listen on ports (\d+) and (\d+)") == [tuple(API)]
    text = INSTALLATION.read_text()
    assert "`api-1.toml` and `api-2.toml` listen on ports 8011 and 8012" in text
    assert "API processes that share ports 8011 and 8012" in text


def test_no_port_belongs_to_two() -> None:
    """Let a host run all of them: no port is listened at by two samples."""
    table = re.findall(r"^\| ([\d, ]+) \| ", INSTALLATION.read_text(), re.M)
    ports = [port.strip() for cell in table for port in cell.split(",")]
    assert ports == ["8010", *API, "8013", "8014", "8020"]
    assert found("apache/ldap-check.conf", r"^Listen 127\.0\.0\.1:(\d+)$") == ["8020"]
    assert found("nginx/buildapi.conf", r"^    server 127\.0\.0\.1:(802\d)") == ["8020"]


def listening_as_documented() -> list[str]:
    """Read ``listen`` of [web] where the page shows the processes under systemd."""
    [line] = re.findall(r'^listen = (\["systemd:.*\])$', INSTALLATION.read_text(), re.M)
    return re.findall(r'"([^"]+)"', line)


@pytest.fixture
def processes(proxy: Proxy, tmp_path: Path) -> Iterator[list[Activated]]:
    """Run two processes at the sockets of the sample unit, one farm each."""
    with ExitStack() as stack:
        sockets = tuple(stack.enter_context(closing(bound(port))) for port in proxy.backends)
        found = []
        for number in (1, 2):
            folder = tmp_path / f"api-{number}"
            folder.mkdir()
            ops = free_port()
            document = {
                "service": {"data": "data"},
                "web": {"listen": listening_as_documented(), "trusted_proxies": ["127.0.0.1"]},
                "ops": {"listen": [f"tcp:{ops}:interface=127.0.0.1"]},
                "sample": {"enabled": True, "builds": 20, "days": 1, "push_seconds": 0},
            }
            (folder / "buildapi.toml").write_text(toml(document))
            load(folder / "buildapi.toml", os.environ)
            command = twistd("buildapi", "--config", "buildapi.toml")
            process = Activated(
                folder=folder,
                command=command,
                environment=environment(),
                port=ops,
                sockets=sockets,
            )
            stack.callback(process.stop)
            process.up()
            found.append(process)
        yield found


def bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen(100)
    return made


def test_processes_under_systemd_are_reached_through_each_proxy(
    proxy: Proxy, processes: list[Activated]
) -> None:
    """Start the samples together: socket unit, processes and proxy; restart one, then the other."""
    for stopped in (None, processes[0], processes[1]):
        if stopped is not None:
            stopped.stop()
        for _ in range(4):
            answer, body = proxy.ask("GET", "/self-serve/whoami?format=json", [login()])
            assert (answer.status, b"arla@example.org" in body) == (200, True), body
        if stopped is not None:
            stopped.up()
