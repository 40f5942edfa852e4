"""Wait for a database or broker that is away instead of giving a message up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs
from twisted.internet import defer, task
from twisted.logger import Logger

from buildapi.errors import Unavailable, UnclassifiedError
from buildapi.model.messages import Disposition, Leave, Requeue

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two attempts."""

PATIENCE = 1200.0
"""Seconds after which a message is given back: brokers close channels that hold one longer."""

log = Logger()


@attrs.define
class Patience:
    """Repeat what is unavailable, until it works or we stop; ``reactor`` is an IReactorTime.

    ``waiting`` is told why something waits, once for each reason.
    """

    _reactor: Any
    _waiting: Callable[[str], None] = lambda _: None
    _stopping: bool = attrs.field(default=False, init=False)
    _pauses: set[defer.Deferred[None]] = attrs.field(factory=set, init=False)

    def begin(self) -> None:
        """Be patient, again after a stop."""
        self._stopping = False

    def stop(self) -> None:
        """End all pauses, attempt nothing any more."""
        self._stopping = True
        for pause in list(self._pauses):
            pause.cancel()

    def end(self) -> float:
        """Tell until when a message that came now may be held, in seconds of the reactor."""
        return float(self._reactor.seconds()) + PATIENCE

    async def attempt(self, what: str, do: Callable[[], Awaitable[Disposition]]) -> Disposition:
        """Do it until it works; then, or in the end, say what becomes of the message."""
        try:
            return await self.insist(what, do, self.end())
        except Unavailable as e:
            return self.given_up(e)

    @property
    def stopping(self) -> bool:
        """Whether nothing is attempted any more."""
        return self._stopping

    def given_up(self, error: Unavailable) -> Disposition:
        """Say what becomes of a message that could not be dealt with.

        To have waited for what is away is no try that failed: no outage is too long.
        """
        if self._stopping:
            return Leave()
        failed = isinstance(error, UnclassifiedError)
        return Requeue(f"not possible now: {error.msg}", LONGEST_PAUSE, failed)

    async def insist(self, what: str, do: Callable[[], Awaitable[T]], end: float) -> T:
        """Do it until it works; :raises Unavailable: not until ``end``, or we are stopping."""
        pause, told = FIRST_PAUSE, set[str]()
        while not self._stopping:
            try:
                return await do()
            except Unavailable as e:
                if self._reactor.seconds() + pause > end:
                    raise
                log.warn("{what} waits {pause} s: {msg}", what=what, pause=pause, msg=e.msg)
                if e.msg not in told:
                    told.add(e.msg)
                    self._waiting(e.msg)
            await self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        raise Unavailable("stopping")

    async def _wait(self, seconds: float) -> None:
        if self._stopping:
            return
        pause: defer.Deferred[None] = task.deferLater(self._reactor, seconds)
        self._pauses.add(pause)
        try:
            await pause
        except defer.CancelledError:
            pass  # stopping
        finally:
            self._pauses.discard(pause)
