"""Retry while a database or broker is unavailable, instead of giving a message up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import Unavailable, UnclassifiedError
from buildapi.model.messages import Disposition, Nack, Release
from buildapi.reactor_time import ReactorTime, pause

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two attempts."""

PATIENCE = 1200.0
"""Seconds after which a held message is requeued, below RabbitMQ's consumer_timeout (1800)."""

log = Logger()


@attrs.define
class Retrier:
    """Retry unavailable operations until they work or we stop.

    ``waiting`` is called once with each reason for waiting.
    """

    _reactor: ReactorTime
    _waiting: Callable[[str], None] = lambda _: None
    _stopping: bool = attrs.field(default=False, init=False)
    _pauses: set[defer.Deferred[None]] = attrs.field(factory=set, init=False)

    def begin(self) -> None:
        """Allow retries, again after a stop."""
        self._stopping = False

    def stop(self) -> None:
        """End all pauses and make no further attempt."""
        self._stopping = True
        for waiting in list(self._pauses):
            waiting.cancel()

    def end(self) -> float:
        """Return until when a message that came now may be held, in seconds of the reactor."""
        return self._reactor.seconds() + PATIENCE

    async def attempt(self, what: str, do: Callable[[], Awaitable[Disposition]]) -> Disposition:
        """Retry an operation until it works; return how to settle the message in any case."""
        try:
            return await self.insist(what, do, self.end())
        except Unavailable as e:
            return self.given_up(e)

    @property
    def stopping(self) -> bool:
        """Return whether no further attempt is made."""
        return self._stopping

    def given_up(self, error: Unavailable) -> Disposition:
        """Return how to settle a message that could not be handled.

        Waiting for an unavailable service is not a failed attempt: no outage is too long.
        """
        if self._stopping:
            # Neither acked nor requeued: the broker redelivers it to another agent when our channel
            # closes, without counting a try [docs/amqp.md, How tries are counted].
            return Release()
        # Such an error may be the fault of this one job, so that each round of patience is a try.
        failed = isinstance(error, UnclassifiedError)
        return Nack(f"not possible now: {error.msg}", LONGEST_PAUSE, failed)

    async def insist(self, what: str, do: Callable[[], Awaitable[T]], end: float) -> T:
        """Retry an operation until it works; :raises Unavailable: not until ``end``, or we stop."""
        seconds, told = FIRST_PAUSE, set[str]()
        while not self._stopping:
            try:
                return await do()
            except Unavailable as e:
                if self._reactor.seconds() + seconds > end:
                    raise
                log.warn(
                    "{what}: next attempt in {pause} s: {msg}", what=what, pause=seconds, msg=e.msg
                )
                if e.msg not in told:
                    told.add(e.msg)
                    self._waiting(e.msg)
            await self._wait(seconds)
            seconds = min(2 * seconds, LONGEST_PAUSE)
        raise Unavailable("stopping")

    async def _wait(self, seconds: float) -> None:
        if self._stopping:
            return
        waiting = pause(self._reactor, seconds)
        self._pauses.add(waiting)
        try:
            await waiting
        except defer.CancelledError:
            pass  # stopping
        finally:
            self._pauses.discard(waiting)
