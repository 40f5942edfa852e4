"""Keep the order of jobs on the same thing, and let all others run at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager

import attrs
from twisted.internet import defer


@attrs.define
class InOrder:
    """Let callers with equal keys in one at a time, in the order in which they came."""

    _tails: dict[Hashable, defer.Deferred[None]] = attrs.field(factory=dict, init=False)
    _door: defer.DeferredLock = attrs.field(factory=defer.DeferredLock, init=False)

    @asynccontextmanager
    async def turn(self, key: Callable[[], Awaitable[Hashable]]) -> AsyncIterator[None]:
        """Find the key out (callers do so one after the other, keeping their order) and wait."""
        async with self._door:
            name = await key()
            before, mine = self._tails.get(name), defer.Deferred[None]()
            self._tails[name] = mine
        try:
            if before is not None:
                await _ended(before)
            yield
        finally:
            if self._tails.get(name) is mine:
                del self._tails[name]
            mine.callback(None)


def _ended(before: defer.Deferred[None]) -> defer.Deferred[None]:
    """Wait for a predecessor without taking its result from others."""
    waiting = defer.Deferred[None]()

    def go_on(result: None) -> None:
        if not waiting.called:
            waiting.callback(result)

    before.addCallback(go_on)
    return waiting
