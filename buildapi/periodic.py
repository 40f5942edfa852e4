"""Run work regularly while a service runs, with longer pauses while it is not possible."""

from __future__ import annotations

import contextvars
from typing import ClassVar

import attrs
from twisted.application.service import Service
from twisted.internet import defer
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildapi.errors import Unavailable
from buildapi.reactor_time import DelayedCall, ReactorTime, timeout

STOP_SECONDS = 5.0
"""Maximum seconds for which a stop waits for a run in hand."""


@attrs.frozen
class Backoff:
    """Compute pauses in seconds: ``first``, and twice as long after each failure up to ``most``."""

    first: float
    most: float

    def pause(self, failures: int) -> float:
        """Return the pause after a number of failures in a row, at least 1."""
        # The exponent is bounded, since 2.0 ** 1024 is an OverflowError.
        return min(self.first * 2.0 ** min(failures - 1, 30), self.most)


@attrs.define(slots=False, eq=False)
class PeriodicService(Service):
    """Call ``run_once`` at the start, and again ``interval`` seconds after each run has ended.

    Implementations set ``name`` and ``interval``, and may set:

    - ``first_pause``: seconds between the start and the first run; 0 runs during the start.
    - ``backoff``: pauses after failures in a row instead of the interval.
    - ``trouble``: what is logged, with the reason, for each run that fails: a warning for
      Unavailable (``unavailable`` may log otherwise), an error with its traceback for anything
      else. No failure ends the service.
    - ``finishes``: whether a run in hand at the stop is waited for instead of cancelled.

    There is never more than one run at a time, also over a stop and a start. ``soon`` asks for a
    run out of turn. A run belongs to no HTTP request and no job, whoever asked for it. The stop
    waits up to ``STOP_SECONDS`` for the run in hand, then does ``after_last_run`` and fires; the
    service can be started again. A run must not stop its own service.
    """

    trouble: ClassVar[str] = "failed"
    first_pause: ClassVar[float] = 0.0
    finishes: ClassVar[bool] = False
    _log: ClassVar[Logger] = Logger()

    _reactor: ReactorTime
    interval: float = attrs.field(default=0.0, init=False)
    backoff: Backoff | None = attrs.field(default=None, init=False)
    _failed_runs: int = attrs.field(default=0, init=False)
    _next_run: DelayedCall | None = attrs.field(default=None, init=False)
    # Apart from `_run`, which is None while the part of a run before its first wait is executed.
    _has_run: bool = attrs.field(default=False, init=False)
    _run: defer.Deferred[None] | None = attrs.field(default=None, init=False)
    _run_again: bool = attrs.field(default=False, init=False)
    _run_ends: list[defer.Deferred[None]] = attrs.field(factory=list, init=False)

    async def run_once(self) -> None:
        """Do the work once; :raises Unavailable: it is not possible now."""
        raise NotImplementedError

    async def after_last_run(self) -> None:
        """Do what is left at a stop, within a time limit of its own; by default nothing."""

    def unavailable(self, error: Unavailable, pause: float) -> None:
        """Log why a run was not possible; the next one follows after ``pause`` seconds."""
        del pause  # for implementations that log it
        self._log.warn(f"{self.trouble}: {{msg}}", msg=error.msg)

    def startService(self) -> None:
        """Start running; the first run waits for one that is still in hand."""
        Service.startService(self)
        self._failed_runs = 0
        if self._has_run:
            self._run_again = True
        elif self.first_pause:
            self._plan_run(self.first_pause)
        else:
            self._begin_run()

    def stopService(self) -> defer.Deferred[None]:
        """Stop running; fire once the run in hand and ``after_last_run`` have ended."""
        Service.stopService(self)
        self._run_again = False
        self._cancel_next_run()
        return defer.ensureDeferred(self._stop_running())

    def soon(self) -> None:
        """Run now instead of after the pause, or once more after the run in hand.

        The interval begins again with the end of that run. A stopped service ignores it.
        """
        if not self.running:
            return
        if self._has_run:
            self._run_again = True
            return
        self._cancel_next_run()
        self._begin_run()

    def _plan_run(self, seconds: float) -> None:
        self._next_run = self._reactor.callLater(seconds, self._begin_run)

    def _cancel_next_run(self) -> None:
        if self._next_run is not None and self._next_run.active():
            self._next_run.cancel()
        self._next_run = None

    def _begin_run(self) -> None:
        self._next_run, self._has_run = None, True
        # In a context of its own: it would log the HTTP request of whoever called `soon`.
        run = contextvars.Context().run(defer.ensureDeferred, self._try_run())
        self._run = run
        run.addBoth(self._run_ended)

    async def _try_run(self) -> None:
        try:
            await self.run_once()
        except Unavailable as e:
            self._failed_runs += 1
            self.unavailable(e, self._pause_after_run())
        # Twisted's is an Exception, unlike that of asyncio: a stop would be logged as a failure.
        except defer.CancelledError:
            raise
        except Exception:
            self._failed_runs += 1
            self._log.failure(self.trouble)
        else:
            self._failed_runs = 0

    def _pause_after_run(self) -> float:
        if self.backoff is None or not self._failed_runs:
            return self.interval
        return self.backoff.pause(self._failed_runs)

    def _run_ended(self, result: Failure | None) -> None:
        if result is not None and not result.check(defer.CancelledError):
            self._log.failure(self.trouble, failure=result)
        self._run, self._has_run = None, False
        ends, self._run_ends = self._run_ends, []
        for end in ends:
            end.callback(None)
        if self.running:
            again, self._run_again = self._run_again, False
            # Through the reactor, even without a pause: runs that end at once would otherwise nest.
            self._plan_run(0.0 if again else self._pause_after_run())

    async def _stop_running(self) -> None:
        await self._end_run()
        await self.after_last_run()

    async def _end_run(self) -> None:
        run = self._run
        if run is None:
            return
        ended: defer.Deferred[None] = defer.Deferred(self._run_ends.remove)
        self._run_ends.append(ended)
        if not self.finishes:
            run.cancel()
        try:
            await timeout(ended, STOP_SECONDS, self._reactor)
        except defer.TimeoutError:
            self._log.warn("{name}: its unfinished work did not end in time", name=self.name)
            run.cancel()
