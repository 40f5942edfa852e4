"""Start the services of the program in stages, and stop them in reverse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import attrs
from twisted.application.service import MultiService, Service
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import Unavailable
from buildapi.model.ops import ProcessState
from buildapi.reactor_time import Reactor, pause, timeout

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two attempts to prepare."""

ADMIT_SECONDS = 10.0
"""Seconds after which an unfinished start admits requests, which are told what is missing."""

GRACE_SECONDS, LEAST_SECONDS = 5.0, 1.0
"""Shutdown grace after the drain time: total, and minimum per service, in seconds."""


def _nothing(*_: object) -> None:
    return None


@attrs.frozen
class Stages:
    """List the services of each stage, and the callbacks between the stages.

    ``doors`` start first and open the ports, so that a port in use stops the program before
    anything else. ``ground`` holds what the others depend on; ``prepare`` is retried until it
    succeeds; only then do the ``workers`` start. ``admit`` is called once requests can be served,
    or must be told that they cannot.

    ``takers`` are the doors and workers that accept work from outside. They stop first and
    concurrently, so that each has all of ``drain_seconds``; the rest stops in reverse order.
    ``turned`` is called with every state.
    """

    doors: Sequence[Service]
    ground: Sequence[Service]
    prepare: Callable[[], Awaitable[None]]
    workers: Sequence[Service]
    ready: Callable[[], None]
    admit: Callable[[], None] = _nothing
    takers: Collection[Service] = ()
    drain_seconds: float = 0.0
    turned: Callable[[ProcessState], None] = _nothing


class Program(MultiService):
    """Run the service tree; ``reactor`` provides IReactorTime.

    ``failing`` is called if the start fails, before the reactor is stopped.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor, stages: Stages) -> None:
        MultiService.__init__(self)
        self.name = "buildapi"
        self._reactor, self._stages = reactor, stages
        self._starting: defer.Deferred[None] | None = None
        self.joining: Callable[[Any], None] = lambda _: None
        self.failing: Callable[[], None] = _nothing
        self._admitting: Any = None
        self._end = 0.0
        self.state = ProcessState.STARTING
        # In this order, which the stop reverses except for the takers: what others need stops last.
        for service in (*stages.ground, *stages.workers, *stages.doors):
            service.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Join a parent; call ``joining`` with it first, while nothing is logged yet."""
        self.joining(parent)
        MultiService.setServiceParent(self, parent)

    def startService(self) -> None:
        """Open the ports and begin to start the rest."""
        # Not MultiService's, which would start all children at once, before the tables exist.
        Service.startService(self)
        for service in (*self._stages.doors, *self._stages.ground):
            service.startService()
        # Until then clients wait instead of being refused [docs/deploys.md, What happens at
        # SIGTERM].
        self._admitting = self._reactor.callLater(ADMIT_SECONDS, self._admit)
        self._starting = defer.ensureDeferred(self._start())
        self._starting.addErrback(self._not_started)

    async def _start(self) -> None:
        delay = FIRST_PAUSE
        while not await self._prepared():
            self._admit()
            await pause(self._reactor, delay)
            delay = min(2 * delay, LONGEST_PAUSE)
        if not self.running:  # stopped, and what we waited for went on nevertheless
            return
        for service in self._stages.workers:
            service.startService()
        self._turn(ProcessState.RUNNING)
        self._stages.ready()
        self._admit()

    def _admit(self) -> None:
        if self._admitting is not None:
            self._cancel_admitting()
            self._stages.admit()

    def _cancel_admitting(self) -> None:
        if self._admitting is not None and self._admitting.active():
            self._admitting.cancel()
        self._admitting = None

    def _turn(self, state: ProcessState) -> None:
        self.state = state
        self._stages.turned(state)

    async def _prepared(self) -> bool:
        try:
            await self._stages.prepare()
        except Unavailable as e:
            self._log.warn("not ready yet: {msg}", msg=e.msg)
            return False
        return True

    def _not_started(self, failure: Any) -> None:
        if not failure.check(defer.CancelledError):
            self._log.failure("the start failed; stopping", failure=failure)
            self.failing()
            # Later, since twistd starts services before the reactor runs, which cannot be stopped
            # then.
            self._reactor.callLater(0, self._reactor.stop)

    def stopService(self) -> defer.Deferred[None]:
        """Stop the services that accept work, then the others one by one, the last one first."""
        self._turn(ProcessState.DRAINING)
        # Not MultiService's, which would stop all children at once, pools under those who still
        # use them.
        Service.stopService(self)
        self._cancel_admitting()
        self._end = self._reactor.seconds() + self._stages.drain_seconds + GRACE_SECONDS
        if self._starting is not None:
            self._starting.cancel()
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        rest = reversed([service for service in self if service not in self._stages.takers])
        await defer.gatherResults(
            [defer.ensureDeferred(self._stopped(s)) for s in self._stages.takers]
        )
        for service in rest:
            await self._stopped(service)

    async def _stopped(self, service: Any) -> None:
        if not service.running:
            return
        # One end for all: a service that hangs uses up the grace only once, and the rest still
        # closes in order [docs/deploys.md, What happens at SIGTERM].
        left = max(LEAST_SECONDS, self._end - self._reactor.seconds())
        try:
            await timeout(defer.maybeDeferred(service.stopService), left, self._reactor)
        except defer.TimeoutError:
            self._log.warn("{name} did not stop in time and is abandoned", name=service.name)
        except Exception:
            self._log.failure("{name} did not stop cleanly", name=service.name)
        else:
            self._log.info("stopped {name}", name=service.name)
