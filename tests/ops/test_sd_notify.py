"""What the service manager is told, over a real socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from buildapi.ops.sd_notify import Notifier, SystemdNotifier, watchdog_seconds


@pytest.fixture
def manager_socket(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "notify"))
        s.setblocking(False)
        yield s


def heard(s: socket.socket) -> list[str]:
    told: list[str] = []
    while True:
        try:
            told.append(s.recv(4096).decode())
        except BlockingIOError:
            return told


def test_it_says_how_the_process_is(manager_socket: socket.socket) -> None:
    clock = Clock()
    clock.advance(12.5)
    notifier = Notifier.of({"NOTIFY_SOCKET": manager_socket.getsockname()})
    manager = SystemdNotifier(clock, notifier, 0, clock.seconds)
    manager.startService()
    manager.ready("serving")
    manager.reloading()
    manager.ready("serving")
    manager.stopping()
    manager.stopService()
    assert heard(manager_socket) == [
        "READY=1\nSTATUS=serving",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "READY=1\nSTATUS=serving",
        "STOPPING=1\nSTATUS=draining",
    ]


def test_signs_of_life_come_from_the_reactor_until_the_end(manager_socket: socket.socket) -> None:
    clock = Clock()
    notifier = Notifier.of({"NOTIFY_SOCKET": manager_socket.getsockname()})
    manager = SystemdNotifier(clock, notifier, 30, clock.seconds)
    manager.startService()
    assert heard(manager_socket) == ["WATCHDOG=1"]
    clock.pump([10, 10])
    manager.stopping()
    clock.advance(10)
    assert heard(manager_socket).count("WATCHDOG=1") == 3
    manager.stopService()
    clock.advance(60)
    assert heard(manager_socket) == []


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind("\0buildapi-test-notify")
        s.setblocking(False)
        Notifier("@buildapi-test-notify").send("READY=1")
        assert heard(s) == ["READY=1"]


def test_without_a_manager_nothing_is_sent_and_one_that_is_gone_is_logged(
    tmp_path: Path, log: list[str]
) -> None:
    Notifier.of({}).send("READY=1")
    assert log == []
    Notifier(str(tmp_path / "gone")).send("READY=1", "STATUS=x")
    (line,) = log
    assert "cannot notify the service manager of READY=1" in line


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "17"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "18"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_the_limit_is_that_of_this_process(environ: dict[str, str], seconds: float) -> None:
    assert watchdog_seconds(environ, 17) == seconds
