"""Cache recent values; concurrent requests for one value share its computation."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable
from functools import partial
from typing import Generic, TypeVar

import attrs
from twisted.internet import defer

T = TypeVar("T")

SWEEP_SECONDS = 1.0
"""Least time between two looks for stale values: hundreds may be added in a second."""


@attrs.define(eq=False)
class Freshness:
    """How long a value may be served: ``until`` a time of the cache's clock, unless ``dropped``.

    The value that it belongs to was not cached if it never holds, which is the default.
    """

    until: float = -math.inf
    dropped: bool = False

    def holds(self, now: float) -> bool:
        """Return whether the value may be served at a time of the cache's clock."""
        return now < self.until and not self.dropped


@attrs.frozen
class Kept(Generic[T]):
    """A value beside the time that it may be served; its ``topics`` are what it tells about."""

    value: T
    freshness: Freshness
    topics: Collection[Hashable] = ()


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
    _held: OrderedDict[Hashable, Kept[T]] = attrs.field(factory=OrderedDict, init=False)
    _keys: dict[Hashable, set[Hashable]] = attrs.field(factory=dict, init=False)  # by topic
    _weight: int = attrs.field(default=0, init=False)
    _swept: float = attrs.field(default=-math.inf, init=False)

    def __len__(self) -> int:
        return len(self._held)

    def kept(self, key: Hashable) -> Kept[T] | None:
        """Return a value that is still fresh with its freshness, else None."""
        kept = self._held.get(key)
        if kept is None or not kept.freshness.holds(self._clock()):
            return None
        self._held.move_to_end(key)
        return kept

    def fresh(self, key: Hashable) -> T | None:
        """Return a value that is still fresh, else None."""
        kept = self.kept(key)
        return None if kept is None else kept.value

    def latest(self, key: Hashable) -> T | None:
        """Return a value, fresh or stale; None if it is not held."""
        kept = self._held.get(key)
        return None if kept is None else kept.value

    def put(self, key: Hashable, value: T, seconds: float) -> None:
        """Hold a value, fresh for ``seconds``."""
        self.keep(key, Kept(value, Freshness()), seconds)

    def keep(self, key: Hashable, kept: Kept[T], seconds: float) -> None:
        """Hold a value, and let its freshness hold for ``seconds``."""
        self.remove(key)
        kept.freshness.until = self._clock() + seconds
        self._held[key] = kept
        for topic in kept.topics:
            self._keys.setdefault(topic, set()).add(key)
        self._weight += self._weigh(kept.value)
        # A value heavier than the bound drops all others and itself; its callers have it already.
        while len(self._held) > self._entries_max or self._weight > self._weight_max:
            self.remove(next(iter(self._held)))

    def replace(self, key: Hashable, value: T) -> None:
        """Replace a held value by one of the same weight, fresh as long as the old one."""
        self._held[key] = attrs.evolve(self._held[key], value=value)

    def drop_stale(self) -> None:
        """Drop the values that are not fresh any more, at most once in ``SWEEP_SECONDS``."""
        now = self._clock()
        if now < self._swept + SWEEP_SECONDS:
            return
        self._swept = now
        for key in [key for key, kept in self._held.items() if not kept.freshness.holds(now)]:
            self.remove(key)

    def drop(self, matches: Callable[[T], bool] = lambda _: True) -> None:
        """Drop the values that match: all, by default."""
        for key in [key for key, kept in self._held.items() if matches(kept.value)]:
            self.remove(key)

    def drop_topic(self, topic: Hashable) -> None:
        """Drop the values of a topic."""
        for key in list(self._keys.get(topic, ())):
            self.remove(key)

    def remove(self, key: Hashable) -> None:
        """Drop the value of a key, if it is held."""
        if key in self._held:
            kept = self._held.pop(key)
            for topic in kept.topics:
                keys = self._keys[topic]
                keys.discard(key)
                if not keys:
                    del self._keys[topic]
            # Also of values that go for lack of room: nobody could drop what they were served from.
            kept.freshness.dropped = True
            self._weight -= self._weigh(kept.value)


@attrs.define(eq=False)
class _Flight(Generic[T]):
    """A computation and its callers; its result is not stored once it is ``outdated``."""

    topics: Collection[Hashable]
    waiting: list[defer.Deferred[T]] = attrs.field(factory=list)
    outdated: bool = False


@attrs.define
class SingleFlight(Generic[T]):
    """Share one computation among all callers that ask for the same key at a time.

    Cancelling one caller disturbs neither the others nor the computation.
    """

    _flying: dict[Hashable, _Flight[T]] = attrs.field(factory=dict, init=False)
    _running: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return self._running

    def __contains__(self, key: Hashable) -> bool:
        return key in self._flying

    async def get(
        self,
        key: Hashable,
        compute: Callable[[], Awaitable[T]],
        store: Callable[[T], None],
        topics: Collection[Hashable] = (),
    ) -> T:
        """Return the result of the computation that runs for a key, or begin it.

        The result is passed to ``store`` before anybody gets it, unless ``renew`` or
        ``renew_topic`` with one of its ``topics`` was called since.
        """
        waiting: defer.Deferred[T] = defer.Deferred(lambda _: None)
        flight = self._flying.get(key)
        # Listed before the computation begins: it may end at once, and then answers whoever is
        # listed.
        if flight is not None:
            flight.waiting.append(waiting)
        else:
            flight = self._flying[key] = _Flight(topics, [waiting])
            defer.ensureDeferred(self._fly(key, flight, compute, store))
        return await waiting

    def renew(self) -> None:
        """Start a new computation for later callers, since running ones may be outdated."""
        for key in list(self._flying):
            self._flying.pop(key).outdated = True

    def renew_topic(self, topic: Hashable) -> None:
        """Start a new computation for later callers of one topic."""
        for key in [key for key, flight in self._flying.items() if topic in flight.topics]:
            self._flying.pop(key).outdated = True

    async def _fly(
        self,
        key: Hashable,
        flight: _Flight[T],
        compute: Callable[[], Awaitable[T]],
        store: Callable[[T], None],
    ) -> None:
        self._running += 1
        try:
            value = await compute()
            if not flight.outdated:
                store(value)
        except Exception as e:
            for waiting in self._landed(key, flight):
                waiting.errback(e)
            return
        for waiting in self._landed(key, flight):
            waiting.callback(value)

    def _landed(self, key: Hashable, flight: _Flight[T]) -> list[defer.Deferred[T]]:
        self._running -= 1
        if not flight.outdated:  # else a later one may have the key
            del self._flying[key]
        # A cancelled caller has its CancelledError; a second result would raise AlreadyCalledError.
        return [waiting for waiting in flight.waiting if not waiting.called]


@attrs.define
class SingleFlightCache(Generic[T]):
    """Cache computed values for ``seconds``, within the bounds of ``RecentValues``.

    Values that are not to be cached, by ``keeps``, go only to the callers that wait for them.
    """

    _values: RecentValues[T]
    _seconds: float
    _keeps: Callable[[T], bool] = lambda _: True
    _flights: SingleFlight[Kept[T]] = attrs.field(factory=SingleFlight, init=False)

    async def get(
        self,
        key: Hashable,
        compute: Callable[[], Awaitable[T]],
        seconds: float | None = None,
        topics: Collection[Hashable] = (),
    ) -> T:
        """Return the value of a key; compute it unless a fresh one is cached.

        ``seconds`` replaces the time that this value is cached; see ``kept`` for ``topics``.
        """
        return (await self.kept(key, compute, seconds, topics)).value

    async def kept(
        self,
        key: Hashable,
        compute: Callable[[], Awaitable[T]],
        seconds: float | None = None,
        topics: Collection[Hashable] = (),
    ) -> Kept[T]:
        """Return the value of a key as ``get`` does, with how long it may be served.

        ``topics`` are what the value tells about, such as the name of a branch: ``forget_topic``
        drops it.  The freshness of a value that is not cached never holds.
        """
        kept = self._values.kept(key)
        if kept is not None:
            return kept

        async def computed() -> Kept[T]:
            return Kept(await compute(), Freshness(), topics)

        store = partial(self._store, key, self._seconds if seconds is None else seconds)
        return await self._flights.get(key, computed, store, topics)

    def forget(self) -> None:
        """Drop all values, and do not cache those still being computed (after a change)."""
        self._values.drop()
        self._flights.renew()

    def forget_topic(self, topic: Hashable) -> None:
        """Drop the values of a topic, and do not cache those of it still being computed."""
        self._values.drop_topic(topic)
        self._flights.renew_topic(topic)

    def _store(self, key: Hashable, seconds: float, kept: Kept[T]) -> None:
        # Stale documents would otherwise hold their memory until the bounds are reached.
        self._values.drop_stale()
        if self._keeps(kept.value):
            self._values.keep(key, kept, seconds)
