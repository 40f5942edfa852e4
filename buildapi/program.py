"""Start the parts of the program in order, and stop them in the opposite one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import attrs
from twisted.application.service import MultiService, Service
from twisted.internet import defer, task
from twisted.logger import Logger

from buildapi.errors import Unavailable
from buildapi.model.ops import ProcessState

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two attempts to get ready."""

ADMIT_SECONDS = 10.0
"""A start that takes longer lets people in, who are then told what is missing."""

GRACE_SECONDS, LEAST_SECONDS = 5.0, 1.0
"""What all parts together are given to stop beyond the drain time, and each part at least."""


def _nothing(*_: Any) -> None:
    return None


@attrs.frozen
class Stages:
    """What is started when, and stopped.

    ``doors`` come first and open the ports, so that a port in use stops the program before
    anything else.  ``ground`` is what the rest stands on; ``prepare`` is repeated until what it
    needs is available; only then do the ``workers`` start.  ``admit`` is called as soon as there
    is somebody to answer, or somebody has to be told that there is not.

    ``takers`` are the doors and workers that take work from outside.  They stop first, all at
    once, so that each has all of ``drain_seconds``; the rest stops in the opposite order.
    ``turned`` is told every state.
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
    """The service tree; ``reactor`` provides IReactorTime.

    ``failing`` is called where the start fails, before the reactor is stopped.
    """

    _log = Logger()

    def __init__(self, reactor: Any, stages: Stages) -> None:
        MultiService.__init__(self)
        self.name = "buildapi"
        self._reactor, self._stages = reactor, stages
        self._starting: defer.Deferred[None] | None = None
        self.joining: Callable[[Any], None] = lambda _: None
        self.failing: Callable[[], None] = _nothing
        self._admitting: Any = None
        self._end = 0.0
        self.state = ProcessState.STARTING
        for service in (*stages.ground, *stages.workers, *stages.doors):
            service.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Join a parent; ``joining`` is told of it before, while nothing is logged yet."""
        self.joining(parent)
        MultiService.setServiceParent(self, parent)

    def startService(self) -> None:
        """Open the ports and begin to start the rest."""
        Service.startService(self)
        for service in (*self._stages.doors, *self._stages.ground):
            service.startService()
        self._admitting = self._reactor.callLater(ADMIT_SECONDS, self._admit)
        self._starting = defer.ensureDeferred(self._start())
        self._starting.addErrback(self._not_started)

    async def _start(self) -> None:
        pause = FIRST_PAUSE
        while not await self._prepared():
            self._admit()
            await task.deferLater(self._reactor, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if not self.running:  # stopped, and what we waited for went on all the same
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
            self._reactor.callLater(0, self._reactor.stop)

    def stopService(self) -> defer.Deferred[None]:
        """Stop what takes work, then one part after the other, the last one first."""
        self._turn(ProcessState.DRAINING)
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
        left = max(LEAST_SECONDS, self._end - self._reactor.seconds())
        try:
            await defer.maybeDeferred(service.stopService).addTimeout(left, self._reactor)
        except defer.TimeoutError:
            self._log.warn("{name} did not stop in time and is given up", name=service.name)
        except Exception:
            self._log.failure("{name} did not stop cleanly", name=service.name)
        else:
            self._log.info("stopped {name}", name=service.name)
