"""Cache recent values; concurrent requests for one value share its computation."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

import attrs
from twisted.internet import defer

T = TypeVar("T")


@attrs.define
class RecentValues(Generic[T]):
    """Values that are fresh for some seconds; the least recently used are dropped.

    At most ``entries_max`` values with a total weight of ``weight_max`` are held.  ``clock``
    returns seconds of a monotonic clock.
    """

    _clock: Callable[[], float]
    _entries_max: int
    _weight_max: float = math.inf
    _weigh: Callable[[T], int] = lambda _: 0
    _held: OrderedDict[Hashable, tuple[float, T]] = attrs.field(factory=OrderedDict, init=False)
    _weight: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._held)

    def fresh(self, key: Hashable) -> T | None:
        """Return a value that is still fresh, else None."""
        until, value = self._held.get(key, (-math.inf, None))
        if self._clock() >= until:
            return None
        self._held.move_to_end(key)
        return value

    def latest(self, key: Hashable) -> T | None:
        """Return a value, fresh or stale; None if it is not held."""
        return self._held.get(key, (0.0, None))[1]

    def put(self, key: Hashable, value: T, seconds: float) -> None:
        """Hold a value, fresh for ``seconds``."""
        self.remove(key)
        self._held[key] = self._clock() + seconds, value
        self._weight += self._weigh(value)
        # A value heavier than the bound drops all others and itself; its callers have it already.
        while len(self._held) > self._entries_max or self._weight > self._weight_max:
            self.remove(next(iter(self._held)))

    def replace(self, key: Hashable, value: T) -> None:
        """Replace a held value by one of the same weight, fresh as long as the old one."""
        self._held[key] = self._held[key][0], value

    def drop_stale(self) -> None:
        """Drop the values that are not fresh any more."""
        now = self._clock()
        for key in [key for key, (until, _) in self._held.items() if now >= until]:
            self.remove(key)

    def drop(self, matches: Callable[[T], bool] = lambda _: True) -> None:
        """Drop the values that match: all, by default."""
        for key in [key for key, (_, value) in self._held.items() if matches(value)]:
            self.remove(key)

    def remove(self, key: Hashable) -> None:
        """Drop the value of a key, if it is held."""
        if key in self._held:
            self._weight -= self._weigh(self._held.pop(key)[1])


@attrs.define
class SingleFlight(Generic[T]):
    """Share one computation among all callers that ask for the same key at a time.

    Cancelling one caller disturbs neither the others nor the computation.
    """

    _flying: dict[tuple[int, Hashable], list[defer.Deferred[T]]] = attrs.field(
        factory=dict, init=False
    )
    _generation: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._flying)

    def __contains__(self, key: Hashable) -> bool:
        return (self._generation, key) in self._flying

    async def get(
        self, key: Hashable, compute: Callable[[], Awaitable[T]], store: Callable[[T], None]
    ) -> T:
        """Return the result of the computation that runs for a key, or begin it.

        The result is passed to ``store`` before anybody gets it, unless ``renew`` was called since.
        """
        flight = self._generation, key
        waiting: defer.Deferred[T] = defer.Deferred(lambda _: None)
        # Listed before the computation begins: it may end at once, and then answers whoever is
        # listed.
        others = self._flying.setdefault(flight, [])
        others.append(waiting)
        if len(others) == 1:
            defer.ensureDeferred(self._fly(flight, compute, store))
        return await waiting

    def renew(self) -> None:
        """Start a new computation for later callers, since running ones may be outdated."""
        self._generation += 1

    async def _fly(
        self,
        flight: tuple[int, Hashable],
        compute: Callable[[], Awaitable[T]],
        store: Callable[[T], None],
    ) -> None:
        try:
            value = await compute()
            if flight[0] == self._generation:
                store(value)
        except Exception as e:
            for waiting in self._landed(flight):
                waiting.errback(e)
            return
        for waiting in self._landed(flight):
            waiting.callback(value)

    def _landed(self, flight: tuple[int, Hashable]) -> list[defer.Deferred[T]]:
        # A cancelled caller has its CancelledError; a second result would raise AlreadyCalledError.
        return [waiting for waiting in self._flying.pop(flight) if not waiting.called]


@attrs.define
class SingleFlightCache(Generic[T]):
    """Cache computed values for ``seconds``, within the bounds of ``RecentValues``.

    Values that are not to be cached, by ``keeps``, go only to the callers that wait for them.
    """

    _values: RecentValues[T]
    _seconds: float
    _keeps: Callable[[T], bool] = lambda _: True
    _flights: SingleFlight[T] = attrs.field(factory=SingleFlight, init=False)

    async def get(
        self,
        key: Hashable,
        compute: Callable[[], Awaitable[T]],
        seconds: float | None = None,
    ) -> T:
        """Return the value of a key; compute it unless a fresh one is cached.

        ``seconds`` replaces the time that this value is cached.
        """
        value = self._values.fresh(key)
        if value is not None:
            return value
        store = partial(self._store, key, self._seconds if seconds is None else seconds)
        return await self._flights.get(key, compute, store)

    def forget(self) -> None:
        """Drop all values, and do not cache those still being computed (after a change)."""
        self._values.drop()
        self._flights.renew()

    def _store(self, key: Hashable, seconds: float, value: T) -> None:
        # Stale documents would otherwise hold their memory until the bounds are reached.
        self._values.drop_stale()
        if self._keeps(value):
            self._values.put(key, value, seconds)
