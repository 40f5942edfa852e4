"""Tell the service manager how the process is: systemd's notification protocol [sd_notify(3)]."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import task
from twisted.logger import Logger

ADDRESS, WATCHDOG, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
SIGNS_PER_LIMIT = 3
"""Signs of life within the time after which the manager would kill us."""

log = Logger()


@attrs.frozen
class Notifier:
    """Send to the socket that the environment names; where it names none, nothing is sent."""

    _address: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Notifier:
        """Read the address."""
        return cls(environ.get(ADDRESS, ""))

    def tell(self, *lines: str) -> None:
        """Send one message; a manager that does not listen is no reason to stop."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as s:
                s.sendto("\n".join(lines).encode(), address)
        except OSError as e:
            log.warn("the service manager was not told {what}: {e}", what=lines[0], e=str(e))


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float:
    """Give the time after which the manager misses us; 0 where it does not watch."""
    text, whose = environ.get(WATCHDOG, ""), environ.get(WATCHDOG_PID, "")
    if not text.isdecimal() or (whose and whose != str(pid)):
        return 0.0
    return int(text) / 1e6


@attrs.define(slots=False)
class Manager(Service):
    """Say READY when told so, then give signs of life from the reactor; say STOPPING at the end.

    ``seconds`` is the manager's limit, 0 for none; ``clock`` gives seconds that never go back.
    """

    _reactor: Any
    _notifier: Notifier
    _seconds: float
    _clock: Callable[[], float]

    def __attrs_post_init__(self) -> None:
        self.name = "manager"
        self._loop: task.LoopingCall | None = None

    def startService(self) -> None:
        """Begin with signs of life: the start may take longer than the limit."""
        Service.startService(self)
        if self._seconds > 0:
            self._loop = task.LoopingCall(self._notifier.tell, "WATCHDOG=1")
            self._loop.clock = self._reactor
            self._loop.start(self._seconds / SIGNS_PER_LIMIT)

    def ready(self, status: str) -> None:
        """Tell that what was started serves."""
        self._notifier.tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Tell that the configuration is read again; ``ready`` ends that."""
        self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={int(self._clock() * 1e6)}")

    def stopping(self) -> None:
        """Tell that the process ends; signs of life go on until it has."""
        self._notifier.tell("STOPPING=1", "STATUS=ending what is in hand")

    def stopService(self) -> None:
        """Give no more signs."""
        Service.stopService(self)
        if self._loop is not None:
            self._loop.stop()
            self._loop = None


def manager(reactor: Any, clock: Callable[[], float]) -> Manager:
    """Make the one that the environment of this process asks for."""
    seconds = watchdog_seconds(os.environ, os.getpid())
    return Manager(reactor, Notifier.of(os.environ), seconds, clock)
