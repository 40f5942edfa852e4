"""Handle the first signal that ends the process, and only log further ones."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger

from buildapi.reactor_time import Reactor

FAILED = 1
ENDING = (signal.SIGTERM, signal.SIGINT)

log = Logger()


def end_once(reactor: Reactor) -> None:
    """Log further signals once the first has come; ``reactor`` provides IReactorCore.

    Twisted would log a failure for each. Supervisors and shells may well send two, and the second
    may come before the reactor has begun to stop.
    """
    come: list[int] = []

    def heed(handlers: Mapping[Any, Any], number: int, frame: Any) -> None:
        come.append(number)
        if len(come) == 1:
            handlers[number](number, frame)
        else:
            name = signal.Signals(number).name
            # Not logged here: a handler interrupts code that may hold the lock of the log.
            reactor.callFromThread(log.info, "{name} again: already stopping", name=name)

    def take_over() -> None:
        """Wrap the handlers that the reactor has just installed."""
        handlers = {n: h for n in ENDING if callable(h := signal.getsignal(n))}
        for number in handlers:
            signal.signal(number, lambda n, frame: heed(handlers, n, frame))

    reactor.callWhenRunning(take_over)


def fail_at_exit() -> None:
    """Make the process exit with 1 however it ends: twistd offers no other way."""

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        # sys.exit() would not do: an exception in a function of atexit leaves the exit code as it
        # is. But os._exit() flushes nothing.
        os._exit(FAILED)

    atexit.register(end)
