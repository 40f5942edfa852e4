"""Limit the time of an operation."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import attrs
from twisted.internet import defer

from buildapi.errors import Unavailable
from buildapi.reactor_time import ReactorTime, timeout

T = TypeVar("T")


@attrs.frozen
class Deadline:
    """A time limit of ``seconds``; ``reactor`` provides IReactorTime."""

    _reactor: ReactorTime
    _seconds: float

    async def bound(self, work: Awaitable[T], more: float = 0.0) -> T:
        """Return the result of ``work``; allow it ``more`` seconds beyond the limit.

        :raises Unavailable: the limit has passed, and the work was cancelled.
        """
        running = defer.ensureDeferred(_started(work))
        if running.called:  # without a timer, as for most answers from the cache
            return await running
        try:
            return await timeout(running, self._seconds + more, self._reactor)
        except defer.TimeoutError as e:
            raise Unavailable(f"No answer within {self._seconds + more:g} s") from e


async def _started(work: Awaitable[T]) -> T:
    return await work
