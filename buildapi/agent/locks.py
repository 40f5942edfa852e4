"""Run jobs on the same objects in order, and all others concurrently."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager

import attrs
from twisted.internet import defer


@attrs.frozen
class LockKeys:
    """Name the locks of a job, held to its end or only until it has written.

    Jobs that have a key in ``shared``, until they have written, do not wait for each other, only
    for one that has it in ``exclusive_until_written``; and that one waits for them.
    """

    exclusive: Sequence[Hashable] = ()
    exclusive_until_written: Sequence[Hashable] = ()
    shared: Sequence[Hashable] = ()


@attrs.define
class WaitQueue:
    """Queue the holders of a lock: the last exclusive one, and the shared ones since."""

    exclusive: defer.Deferred[None] | None = None
    shared: list[defer.Deferred[None]] = attrs.field(factory=list)

    def join(
        self, mine: defer.Deferred[None], *, exclusive: bool
    ) -> Sequence[defer.Deferred[None]]:
        """Append a holder; list the ones to wait for."""
        before = [] if self.exclusive is None else [self.exclusive]
        if not exclusive:
            self.shared.append(mine)
            return before
        before, self.exclusive, self.shared = [*before, *self.shared], mine, []
        return before

    def leave(self, mine: defer.Deferred[None]) -> None:
        """Remove a holder."""
        if self.exclusive is mine:
            self.exclusive = None
        elif mine in self.shared:
            self.shared.remove(mine)

    @property
    def is_empty(self) -> bool:
        """Return whether there is no holder."""
        return self.exclusive is None and not self.shared


WaitQueues = dict[Hashable, WaitQueue]


@attrs.define
class Wakeups:
    """Wake the holders of locks one after the other, never one inside the other.

    A job may end as soon as it is woken, as all of them do when the agent stops: a hundred that
    wait for each other would exhaust the stack.
    """

    _due: deque[defer.Deferred[None]] = attrs.field(factory=deque[defer.Deferred[None]], init=False)
    _is_waking: bool = attrs.field(default=False, init=False)

    def wake(self, waiting: Sequence[defer.Deferred[None]]) -> None:
        """Fire these after those that are due."""
        self._due.extend(waiting)
        if self._is_waking:
            return
        self._is_waking = True
        try:
            while self._due:
                self._due.popleft().callback(None)
        finally:
            self._is_waking = False


@attrs.define
class Lease:
    """Hold the locks of one job; later jobs wait for the keys they share."""

    _queues: WaitQueues
    _wakeups: Wakeups
    _keys: LockKeys
    _held: dict[Hashable, defer.Deferred[None]] = attrs.field(factory=dict, init=False)

    def take(self) -> Sequence[defer.Deferred[None]]:
        """Queue at all keys; list the holders to wait for."""
        keys = self._keys
        before: list[defer.Deferred[None]] = []
        # All keys in one go: jobs that queued at one after the other could wait for each other for
        # ever. Each key once: a job that queued twice would wait for itself.
        for key in dict.fromkeys((*keys.exclusive, *keys.exclusive_until_written, *keys.shared)):
            self._held[key] = mine = defer.Deferred[None]()
            queue = self._queues.setdefault(key, WaitQueue())
            before += queue.join(mine, exclusive=key not in keys.shared)
        return before

    def written(self) -> None:
        """Release the locks of the writing phase; harmless to repeat."""
        self._release([*self._keys.exclusive_until_written, *self._keys.shared])

    def end(self) -> None:
        """Release all locks."""
        self._release(list(self._held))

    def _release(self, keys: Sequence[Hashable]) -> None:
        freed: list[defer.Deferred[None]] = []
        for key in keys:
            held = self._held.pop(key, None)
            if held is None:
                continue
            queue = self._queues[key]
            queue.leave(held)
            if queue.is_empty:
                del self._queues[key]
            freed.append(held)
        self._wakeups.wake(freed)


@attrs.define(eq=False)
class _Arrival:
    """A job on its way to its locks; ``lease`` is None while its keys are unknown, or for ever."""

    is_known: bool = False
    lease: Lease | None = None
    before: Sequence[defer.Deferred[None]] = ()
    queued: defer.Deferred[None] = attrs.field(factory=defer.Deferred[None])


@attrs.define
class KeyedLocks:
    """Run jobs that share a key one at a time, in the order of their arrival."""

    _queues: WaitQueues = attrs.field(factory=dict, init=False)
    _wakeups: Wakeups = attrs.field(factory=Wakeups, init=False)
    _arrivals: deque[_Arrival] = attrs.field(factory=deque[_Arrival], init=False)

    @asynccontextmanager
    async def hold(self, keys: Callable[[], Awaitable[LockKeys]]) -> AsyncIterator[Lease]:
        """Find the keys of a job and wait for its locks; ``keys`` is called at once.

        The keys of several jobs are found concurrently; the jobs queue at their locks in the order
        of their arrival nevertheless.
        """
        arrival = _Arrival()
        self._arrivals.append(arrival)
        try:
            arrival.lease = lease = Lease(self._queues, self._wakeups, await keys())
        finally:
            # Also where the keys could not be found: such a job must not hold up those behind it.
            arrival.is_known = True
            self._queue_known()
        try:
            await arrival.queued
            for one in arrival.before:
                await _ended(one)
            yield lease
        finally:
            # A job that is cancelled before its turn to queue must not be queued: nobody would
            # release it.
            arrival.lease = None
            lease.end()

    def _queue_known(self) -> None:
        """Queue the jobs before which every job has found its keys; then let them go on."""
        queued: list[_Arrival] = []
        while self._arrivals and self._arrivals[0].is_known:
            arrival = self._arrivals.popleft()
            if arrival.lease is not None:
                arrival.before = arrival.lease.take()
                queued.append(arrival)
        self._wakeups.wake([arrival.queued for arrival in queued])


def _ended(before: defer.Deferred[None]) -> defer.Deferred[None]:
    """Wait for a predecessor without consuming its result."""
    # A job that is cancelled cancels the Deferred that it awaits. That must not be `before` itself:
    # it would fire for all others that wait for the same predecessor.
    waiting = defer.Deferred[None]()

    def go_on(result: None) -> None:
        if not waiting.called:
            waiting.callback(result)

    before.addCallback(go_on)
    return waiting
