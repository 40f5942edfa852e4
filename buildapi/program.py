"""Start the parts of the program in order, and stop them in the opposite one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
from twisted.application.service import MultiService, Service
from twisted.internet import defer, task
from twisted.logger import Logger

from buildapi.errors import Unavailable
from buildapi.model.ops import ProcessState

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two attempts to get ready."""


@attrs.frozen
class Stages:
    """What is started when.

    ``doors`` come first and open the ports, so that a port in use stops the program before
    anything else.  ``ground`` is what the rest stands on; ``prepare`` is repeated until what it
    needs is available; only then do the ``workers`` start.
    """

    doors: Sequence[Service]
    ground: Sequence[Service]
    prepare: Callable[[], Awaitable[None]]
    workers: Sequence[Service]
    ready: Callable[[], None]


class Program(MultiService):
    """The service tree; ``reactor`` provides IReactorTime."""

    _log = Logger()

    def __init__(self, reactor: Any, stages: Stages) -> None:
        MultiService.__init__(self)
        self.name = "buildapi"
        self._reactor, self._stages = reactor, stages
        self._starting: defer.Deferred[None] | None = None
        self.joining: Callable[[Any], None] = lambda _: None
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
        self._starting = defer.ensureDeferred(self._start())
        self._starting.addErrback(self._not_started)

    async def _start(self) -> None:
        pause = FIRST_PAUSE
        while not await self._prepared():
            await task.deferLater(self._reactor, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if not self.running:  # stopped, and what we waited for went on all the same
            return
        for service in self._stages.workers:
            service.startService()
        self.state = ProcessState.RUNNING
        self._stages.ready()

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
            self._reactor.callLater(0, self._reactor.stop)

    def stopService(self) -> defer.Deferred[None]:
        """Stop one part after the other, the last one first."""
        self.state = ProcessState.DRAINING
        Service.stopService(self)
        if self._starting is not None:
            self._starting.cancel()
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        for service in reversed(list(self)):
            if service.running:
                await self._stopped(service)

    async def _stopped(self, service: Any) -> None:
        try:
            await defer.maybeDeferred(service.stopService)
        except Exception:
            self._log.failure("{name} did not stop cleanly", name=service.name)
        else:
            self._log.info("stopped {name}", name=service.name)
