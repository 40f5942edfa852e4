"""Notify the service manager with systemd's protocol [sd_notify(3)].

A message is one datagram of ``NAME=VALUE`` lines to the UNIX socket that ``NOTIFY_SOCKET`` names;
nothing answers it. With ``Type=notify`` systemd waits for ``READY=1``, and with ``WatchdogSec`` it
kills a process that does not send ``WATCHDOG=1`` in time.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

import attrs
from twisted.application.service import Service
from twisted.internet import task
from twisted.logger import Logger

from buildapi.reactor_time import ReactorTime, repeated

ADDRESS, WATCHDOG, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
SIGNS_PER_LIMIT = 3
"""Watchdog messages within the manager's limit; sd_watchdog_enabled(3) recommends two or more."""

log = Logger()


@attrs.frozen
class Notifier:
    """Send to the socket that the environment names; without one, send nothing."""

    _address: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Notifier:
        """Create a notifier from the environment."""
        return cls(environ.get(ADDRESS, ""))

    def send(self, *lines: str) -> None:
        """Send one message; log a failure only."""
        if not self._address:
            return
        # A leading @ stands for the abstract namespace, whose names begin with a zero [unix(7)].
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        try:
            # Never waits: a manager that does not read must not block the reactor.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as s:
                s.sendto("\n".join(lines).encode(), address)
        except OSError as e:
            log.warn("cannot notify the service manager of {what}: {e}", what=lines[0], e=str(e))


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float:
    """Return the manager's watchdog limit; 0 if it has none for this process."""
    text, whose = environ.get(WATCHDOG, ""), environ.get(WATCHDOG_PID, "")
    if not text.isdecimal() or (whose and whose != str(pid)):
        return 0.0
    return int(text) / 1e6  # it is in microseconds [sd_watchdog_enabled(3)]


@attrs.define(slots=False)
class SystemdNotifier(Service):
    """Send READY, then watchdog messages from the reactor, and STOPPING at the end.

    ``seconds`` is the manager's limit, 0 for none; ``clock`` returns monotonic seconds.
    """

    _reactor: ReactorTime
    _notifier: Notifier
    _seconds: float
    _clock: Callable[[], float]

    def __attrs_post_init__(self) -> None:
        self.name = "manager"
        self._loop: task.LoopingCall | None = None

    def startService(self) -> None:
        """Start the watchdog messages: the start of the program may exceed the limit."""
        Service.startService(self)
        if self._seconds > 0:
            self._loop = repeated(self._reactor, self._notifier.send, "WATCHDOG=1")
            self._loop.start(self._seconds / SIGNS_PER_LIMIT)

    def ready(self, status: str) -> None:
        """Notify that the program has started."""
        self._notifier.send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Notify that the configuration is being reloaded; ``ready`` ends that."""
        # Units of Type=notify-reload need the time of the monotonic clock with it [sd_notify(3)].
        self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock() * 1e6)}")

    def stopping(self) -> None:
        """Notify that the process ends; watchdog messages go on until it has."""
        self._notifier.send("STOPPING=1", "STATUS=draining")

    def stopService(self) -> None:
        """Stop the watchdog messages."""
        Service.stopService(self)
        if self._loop is not None:
            self._loop.stop()
            self._loop = None


def manager(reactor: ReactorTime, clock: Callable[[], float]) -> SystemdNotifier:
    """Create the notifier for the environment of this process."""
    seconds = watchdog_seconds(os.environ, os.getpid())
    return SystemdNotifier(reactor, Notifier.of(os.environ), seconds, clock)
