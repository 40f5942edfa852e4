"""Run one task in the reactor from the command line, and exit."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TextIO

from twisted.internet import defer, task
from twisted.logger import LogEvent, LogLevel, eventAsText, globalLogBeginner
from twisted.python.failure import Failure

from buildapi.admin.dump_writer import EXPECTED
from buildapi.db.schema_upgrade import error_text
from buildapi.errors import Unavailable
from buildapi.exit_codes import FAILED, INTERRUPTED, UNAVAILABLE
from buildapi.reactor_time import AsyncCall, Reactor


def run(main: Callable[[Reactor], Awaitable[None]]) -> NoReturn:
    """Run an asynchronous function in the reactor; exit with 0 or an error code."""
    _log_to(sys.stderr)

    async def whole(reactor: Reactor) -> None:
        try:
            await main(reactor)
        except defer.CancelledError:
            sys.stderr.write("buildapi: interrupted\n")
            raise SystemExit(INTERRUPTED) from None
        except EXPECTED as e:
            sys.stderr.write(f"buildapi: {error_text(e)}\n")
            raise SystemExit(UNAVAILABLE if isinstance(e, Unavailable) else FAILED) from None

    task.react(lambda reactor: _interruptible(reactor, whole(reactor)))
    raise AssertionError("the reactor ends the process")


def _interruptible(reactor: Reactor, main: AsyncCall[None]) -> defer.Deferred[None]:
    """Cancel the running task when the process is told to end, and wait for it."""
    running = defer.ensureDeferred(main)

    def end() -> defer.Deferred[None]:
        stopped: defer.Deferred[None] = defer.Deferred()

        def ended(result: Failure | None) -> Failure | None:
            stopped.callback(None)
            return result

        running.addBoth(ended)
        running.cancel()
        return stopped

    # A signal stops the reactor, not the task; but a shutdown waits for the Deferreds of its
    # triggers, so that the task can close what it opened [Twisted, IReactorCore].
    reactor.addSystemEventTrigger("before", "shutdown", end)
    return running


def _log_to(stream: TextIO) -> None:
    """Log warnings and errors to a stream, and nowhere else."""

    def observe(event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) >= LogLevel.warn:
            stream.write(f"buildapi: {eventAsText(event, includeTimestamp=False)}\n")

    beginner: Any = globalLogBeginner  # its type does not know that functions may observe
    # Results are printed to standard output, which must not become log lines.
    beginner.beginLoggingTo([observe], redirectStandardIO=False)
