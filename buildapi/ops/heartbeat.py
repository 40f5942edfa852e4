"""Send heartbeats that other processes can see, while this process lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import defer, task
from twisted.logger import Logger

from buildapi.errors import Unavailable
from buildapi.interfaces import ProcessRegistry
from buildapi.model.ops import Heartbeat

SILENT_DAY = 86_400
"""Seconds without a heartbeat after which a process is deleted from the registry."""

FORGET_SECONDS = 600.0
"""Seconds between two deletions of such processes."""

Sign = Callable[[int], Awaitable[None]]
"""Writer of something else with each heartbeat; called with epoch seconds."""


@attrs.define(slots=False)
class HeartbeatSender(Service):
    """Send the heartbeat that ``say`` returns to ``roster`` every ``seconds``.

    ``now`` returns epoch seconds. ``signs`` are called with each heartbeat. A failure is logged
    when it begins and when it ends.
    """

    _reactor: Any
    _roster: ProcessRegistry
    _say: Callable[[], Heartbeat]
    _seconds: float
    _now: Callable[[], float]
    _signs: Sequence[Sign] = ()
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.name = "heartbeat"
        self.beats = 0
        self._forgot_at = float("-inf")
        self._troubles: dict[str, str] = {}
        self._turn = defer.DeferredLock()
        self._pausing: defer.Deferred[None] | None = None

    def startService(self) -> None:
        """Start the heartbeat."""
        Service.startService(self)
        running = defer.ensureDeferred(self._run())
        running.addErrback(lambda f: None if f.check(defer.CancelledError) else f)

    def stopService(self) -> defer.Deferred[None]:
        """Stop the heartbeat, and leave the registry."""
        Service.stopService(self)
        pausing, self._pausing = self._pausing, None
        if pausing is not None:
            pausing.cancel()
        return defer.ensureDeferred(self._leave())

    def soon(self) -> None:
        """Send a heartbeat at once, since the state has changed."""
        if self.running:
            defer.ensureDeferred(self.beat())

    async def beat(self) -> None:
        """Send one heartbeat; log a failure."""
        async with self._turn:
            if self.running:  # what was told to leave must not come back
                await self._beat()

    async def _beat(self) -> None:
        now = int(self._now())
        await self._try("its sign of life", lambda: self._roster.beat(self._say()))
        for number, sign in enumerate(self._signs):
            await self._try(f"sign {number + 1} in the scheduler database", lambda: sign(now))  # noqa: B023  # awaited at once
        self.beats += 1

    async def _run(self) -> None:
        while self.running:
            await self._forget()
            await self.beat()
            if self.running:
                self._pausing = task.deferLater(self._reactor, self._seconds)
                await self._pausing

    async def _forget(self) -> None:
        if self._reactor.seconds() - self._forgot_at < FORGET_SECONDS:
            return
        self._forgot_at = self._reactor.seconds()
        await self._try("forgetting", lambda: self._roster.forget(int(self._now()) - SILENT_DAY))

    async def _leave(self) -> None:
        async with self._turn:
            await self._try("leaving", lambda: self._roster.leave(self._say().instance))

    async def _try(self, what: str, do: Callable[[], Awaitable[None]]) -> None:
        """Run a write; log when it begins to fail, and when it works again."""
        try:
            await do()
        except Unavailable as e:
            if self._troubles.get(what) != e.msg:
                self._log.warn("heartbeat: {what} fails: {msg}", what=what, msg=e.msg)
            self._troubles[what] = e.msg
        except defer.CancelledError:
            raise
        except Exception:
            self._log.failure("heartbeat: {what} fails", what=what)
        else:
            if self._troubles.pop(what, None) is not None:
                self._log.info("heartbeat: {what} works again", what=what)
