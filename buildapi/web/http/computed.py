"""Cache computed reports; concurrent requests for one share its computation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import attrs
from twisted.internet import defer

T = TypeVar("T")


@attrs.define
class ReportCache(Generic[T]):
    """Cache at most ``most`` values with a total weight of ``heaviest``.

    ``clock`` returns seconds of a monotonic clock.
    """

    _clock: Callable[[], float]
    _most: int
    _heaviest: int
    _weigh: Callable[[T], int]
    _kept: OrderedDict[Hashable, tuple[float, T]] = attrs.field(factory=OrderedDict, init=False)
    _flying: dict[Hashable, list[defer.Deferred[T]]] = attrs.field(factory=dict, init=False)
    _age: int = attrs.field(default=0, init=False)

    async def get(self, key: Hashable, seconds: float, compute: Callable[[], Awaitable[T]]) -> T:
        """Return a value computed less than ``seconds`` ago, or compute it.

        Cancelling one waiter does not disturb the others.
        """
        kept = self._kept.get(key)
        if kept is not None and self._clock() - kept[0] < seconds:
            self._kept.move_to_end(key)
            return kept[1]
        waiting: defer.Deferred[T] = defer.Deferred(lambda _: None)
        flight = self._flying.setdefault((self._age, key), [])
        flight.append(waiting)
        if len(flight) == 1:
            defer.ensureDeferred(self._fly(self._age, key, compute))
        return await waiting

    def forget(self) -> None:
        """Drop all cached values; one still being computed goes only to who waits for it."""
        self._kept.clear()
        self._age += 1

    async def _fly(self, age: int, key: Hashable, compute: Callable[[], Awaitable[T]]) -> None:
        try:
            value = await compute()
        except Exception as e:
            for waiting in self._landed((age, key)):
                waiting.errback(e)
            return
        if age == self._age:
            self._keep(key, value)
        for waiting in self._landed((age, key)):
            waiting.callback(value)

    def _landed(self, key: Hashable) -> list[defer.Deferred[T]]:
        return [waiting for waiting in self._flying.pop(key) if not waiting.called]

    def _keep(self, key: Hashable, value: T) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (self._clock(), value)
        while len(self._kept) > self._most or self._weight() > self._heaviest:
            self._kept.popitem(last=False)

    def _weight(self) -> int:
        return sum(self._weigh(value) for _, value in self._kept.values())
