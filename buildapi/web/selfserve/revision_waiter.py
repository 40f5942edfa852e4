"""Wait for revisions to be complete, with one read at a time for all who wait.

Buildbot 0.8 announces nothing, so the database is polled: each revision that anybody waits for is
read once in a poll, however many wait for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import Unavailable
from buildapi.reactor_time import DelayedCall, ReactorTime, timeout

T = TypeVar("T")

SECONDS = 2.0
"""Seconds between two polls."""

REST = 10
"""Minimum wait before the next poll, as a multiple of the duration of the last one."""

WAITING_MAX = 1000
"""Maximum waiting clients; any more are answered at once."""

log = Logger()


@attrs.define(eq=False)
class _Waiting(Generic[T]):
    """A waiting client: whether what is read fits it, and its Deferred."""

    fits: Callable[[T], bool]
    found: defer.Deferred[T] = attrs.field(factory=defer.Deferred)


@attrs.define(eq=False)
class _Group(Generic[T]):
    """The clients that wait for one revision, and how to read it."""

    read: Callable[[], Awaitable[T]]
    waiting: list[_Waiting[T]] = attrs.field(factory=list)


@attrs.define(eq=False)
class RevisionWaiter(Generic[T]):
    """Poll the revisions that clients wait for; ``reactor`` provides IReactorTime."""

    _reactor: ReactorTime
    _groups: dict[Hashable, _Group[T]] = attrs.field(factory=dict, init=False)
    _next: DelayedCall | None = attrs.field(default=None, init=False)
    _polling: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    async def wait(
        self,
        key: Hashable,
        read: Callable[[], Awaitable[T]],
        fits: Callable[[T], bool],
        seconds: float,
    ) -> T | None:
        """Return what is read of a revision once it ``fits``; None after ``seconds``.

        None at once beyond ``WAITING_MAX``.  ``read`` is that of the first client with this key.
        """
        if self._closed or sum(len(g.waiting) for g in self._groups.values()) >= WAITING_MAX:
            return None
        group, one = self._groups.setdefault(key, _Group(read)), _Waiting(fits)
        group.waiting.append(one)
        self._plan(SECONDS)
        try:
            return await timeout(one.found, seconds, self._reactor)
        except defer.TimeoutError:
            return None
        except _ClosingError:
            return None
        finally:
            group.waiting.remove(one)
            # Another group may have the key by now, of clients that came after this was emptied.
            if not group.waiting and self._groups.get(key) is group:
                del self._groups[key]
            if not self._groups and self._next is not None:
                self._next.cancel()
                self._next = None

    def close(self) -> None:
        """Release all waiting clients (at shutdown)."""
        self._closed = True
        for group in list(self._groups.values()):
            for one in list(group.waiting):
                if not one.found.called:
                    one.found.errback(_ClosingError())

    def _plan(self, seconds: float) -> None:
        if self._next is None and not self._polling and self._groups and not self._closed:
            self._next = self._reactor.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._next, self._polling = None, True
        defer.ensureDeferred(self._poll())

    async def _poll(self) -> None:
        began = self._reactor.seconds()
        # One after the other: many revisions must not fill the queue of the database.
        for group in list(self._groups.values()):
            if group.waiting:
                await self._look(group)
        self._polling = False
        # With REST, polls of a slow database take at most an eleventh of the time.
        self._plan(max(SECONDS, REST * (self._reactor.seconds() - began)))

    async def _look(self, group: _Group[T]) -> None:
        try:
            found = await group.read()
            for one in list(group.waiting):
                # Released clients go on at once, and leave the list.
                if not one.found.called and one.fits(found):
                    one.found.callback(found)
        except Unavailable as e:
            log.debug("poll of an awaited revision failed: {msg}", msg=e.msg)
        # Every failure ends here: the next poll tries again, and clients wait no longer than they
        # asked.
        except Exception:
            log.failure("poll of an awaited revision failed")


class _ClosingError(Exception):
    """The process stops."""
