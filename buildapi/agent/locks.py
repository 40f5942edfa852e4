"""Run jobs on the same objects in order, and all others concurrently."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager

import attrs
from twisted.internet import defer


@attrs.frozen
class LockKeys:
    """Name the locks of a job: ``whole`` until its end, ``writing`` until it has written.

    Jobs that share a key in ``beside`` do not wait for each other, only for one that has it in
    ``writing``; and that one waits for them.
    """

    whole: Sequence[Hashable] = ()
    writing: Sequence[Hashable] = ()
    beside: Sequence[Hashable] = ()


@attrs.define
class WaitQueue:
    """Queue the holders of a lock: the last exclusive one, and the shared ones since."""

    alone: defer.Deferred[None] | None = None
    beside: list[defer.Deferred[None]] = attrs.field(factory=list)

    def join(self, mine: defer.Deferred[None], *, alone: bool) -> Sequence[defer.Deferred[None]]:
        """Append a holder; list the ones to wait for."""
        before = [] if self.alone is None else [self.alone]
        if not alone:
            self.beside.append(mine)
            return before
        before, self.alone, self.beside = [*before, *self.beside], mine, []
        return before

    def leave(self, mine: defer.Deferred[None]) -> None:
        """Remove a holder."""
        if self.alone is mine:
            self.alone = None
        elif mine in self.beside:
            self.beside.remove(mine)

    @property
    def is_empty(self) -> bool:
        """Return whether there is no holder."""
        return self.alone is None and not self.beside


Lines = dict[Hashable, WaitQueue]


@attrs.define
class Lease:
    """Hold the locks of one job; later jobs wait for the keys they share."""

    _lines: Lines
    _keys: LockKeys
    _held: dict[Hashable, defer.Deferred[None]] = attrs.field(factory=dict, init=False)

    def take(self) -> Sequence[defer.Deferred[None]]:
        """Queue at all keys; list the holders to wait for."""
        keys = self._keys
        before: list[defer.Deferred[None]] = []
        for key in dict.fromkeys((*keys.whole, *keys.writing, *keys.beside)):
            self._held[key] = mine = defer.Deferred[None]()
            line = self._lines.setdefault(key, WaitQueue())
            before += line.join(mine, alone=key not in keys.beside)
        return before

    def written(self) -> None:
        """Release the locks of the writing phase; harmless to repeat."""
        self._let_go([*self._keys.writing, *self._keys.beside])

    def end(self) -> None:
        """Release all locks."""
        self._let_go(list(self._held))

    def _let_go(self, keys: Sequence[Hashable]) -> None:
        for key in keys:
            held = self._held.pop(key, None)
            if held is None:
                continue
            line = self._lines[key]
            line.leave(held)
            if line.is_empty:
                del self._lines[key]
            held.callback(None)


@attrs.define
class KeyedLocks:
    """Run jobs that share a key one at a time, in the order of their arrival."""

    _lines: Lines = attrs.field(factory=dict, init=False)
    _door: defer.DeferredLock = attrs.field(factory=defer.DeferredLock, init=False)

    @asynccontextmanager
    async def turn(self, keys: Callable[[], Awaitable[LockKeys]]) -> AsyncIterator[Lease]:
        """Determine the keys, job by job to keep their order, and wait for the locks."""
        async with self._door:
            turn = Lease(self._lines, await keys())
            before = turn.take()
        try:
            for one in before:
                await _ended(one)
            yield turn
        finally:
            turn.end()


def _ended(before: defer.Deferred[None]) -> defer.Deferred[None]:
    """Wait for a predecessor without consuming its result."""
    waiting = defer.Deferred[None]()

    def go_on(result: None) -> None:
        if not waiting.called:
            waiting.callback(result)

    before.addCallback(go_on)
    return waiting
