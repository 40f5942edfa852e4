"""Answer calls in groups: one transaction for all that wait, as databases commit in groups."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from typing import Generic, TypeVar

import attrs
from twisted.internet import defer

from buildapi.errors import DatabaseUnavailable, Unavailable, UnclassifiedError
from buildapi.reactor_time import ReactorTime, pause

K = TypeVar("K")
T = TypeVar("T")

MOST = 100
"""Maximum number of calls in one group where nothing else bounds it.

No pool allows fewer rows in a result.
"""

PATIENCE = 0.02
"""Seconds after which a call without effects no longer waits for the group before its own."""

TURN_SECONDS = 0.005
"""Seconds of one turn of the reactor in which the callers of such a group go on."""

WAITING_MAX = 10_000
"""Maximum number of calls that wait for the group before theirs."""


Later = Callable[[Callable[[], object]], object]
"""Call a function once that has come which comes at the same time: in a turn of the reactor."""


def at_once(call: Callable[[], object]) -> None:
    """Wait for nothing else that may come."""
    call()


@attrs.define(eq=False)
class CallGroups(Generic[K, T]):
    """Collect the calls that come while a group is under way; they make up the next one.

    A call that comes alone waits no longer than ``later`` does.  ``do`` answers the calls of a
    group, oldest first, and begins after each of them; an answer that is an exception is raised to
    that caller alone.  One group runs at a time, so that calls have their effects in the order in
    which they came.  It has ``most`` calls at most.

    With a ``clock``, for calls without effects, nobody waits longer than ``PATIENCE`` for a group
    that is under way: then another begins beside it.  Nor do all callers of a group go on in one
    turn of the reactor if that takes longer than ``TURN_SECONDS``.
    """

    _do: Callable[[Sequence[K]], Awaitable[Sequence[T | Exception]]]
    _most: int = MOST
    _later: Later = at_once
    _clock: ReactorTime | None = None
    _waiting: deque[tuple[K, defer.Deferred[T]]] = attrs.field(factory=deque, init=False)
    _running: int = attrs.field(default=0, init=False)
    _late: object | None = attrs.field(default=None, init=False)

    async def call(self, item: K) -> T:
        """Return the answer; a call cancelled before its group begins is left out.

        :raises DatabaseUnavailable: too many calls wait already.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise DatabaseUnavailable(f"{WAITING_MAX} calls wait for the database already")
        answer: defer.Deferred[T] = defer.Deferred()
        self._waiting.append((item, answer))
        if not self._running:
            self._begin()
        else:
            self._limit_wait()
        return await answer

    def _limit_wait(self) -> None:
        if self._clock is not None and self._late is None:
            self._late = self._clock.callLater(PATIENCE, self._begin_beside)

    def _begin_beside(self) -> None:
        self._late = None
        if self._waiting:
            self._begin()
            # More may wait than one group takes.
            self._limit_wait()

    def _begin(self) -> None:
        self._running += 1
        # A group belongs to no single request: its log lines must not name one.
        Context().run(self._later, lambda: defer.ensureDeferred(self._run()))

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._answer(self._next())
        finally:
            self._running -= 1

    def _next(self) -> Sequence[tuple[K, defer.Deferred[T]]]:
        group: list[tuple[K, defer.Deferred[T]]] = []
        while self._waiting and len(group) < self._most:
            item, answer = self._waiting.popleft()
            if not answer.called:  # by a cancel
                group.append((item, answer))
        return group

    async def _answer(self, group: Sequence[tuple[K, defer.Deferred[T]]]) -> None:
        if not group:
            return
        found: Sequence[T | Exception]
        try:
            found = await self._do([item for item, _ in group])
        except Exception as e:
            found = [e] * len(group)
        end = self._turn_ends()
        for (_, answer), one in zip(group, found, strict=True):
            if self._clock is not None and self._clock.seconds() > end:
                await pause(self._clock, 0)
                end = self._turn_ends()
            if answer.called:
                continue
            if isinstance(one, Exception):
                answer.errback(one)
            else:
                answer.callback(one)

    def _turn_ends(self) -> float:
        return math.inf if self._clock is None else self._clock.seconds() + TURN_SECONDS


async def together_or_alone(
    items: Sequence[K],
    together: Callable[[Sequence[K]], Awaitable[Sequence[T]]],
    alone: Callable[[K], Awaitable[T]],
) -> Sequence[T | Exception]:
    """Answer a group at once; where that fails for a reason of one of them, each by itself.

    An error that the database cannot classify may be the fault of one, too.

    :raises Unavailable: the database is unavailable.
    """
    if len(items) > 1:
        try:
            return await together(items)
        except Exception as e:
            if isinstance(e, Unavailable) and not isinstance(e, UnclassifiedError):
                raise
    found: list[T | Exception] = []
    for item in items:
        try:
            found.append(await alone(item))
        except Exception as e:
            found.append(e)
            if isinstance(e, Unavailable) and not isinstance(e, UnclassifiedError):
                break  # the others would wait as long, one after the other
    return found + found[-1:] * (len(items) - len(found))


def rows_by_id(
    read: Callable[[Sequence[int]], Awaitable[Mapping[int, T]]], later: Later = at_once
) -> CallGroups[int, T | None]:
    """Return groups of calls for one row each; ``read`` returns the rows of several ids by id."""

    # Callers of one group may ask for the same row.
    async def together(ids: Sequence[int]) -> Sequence[T | None]:
        found = await read(sorted(set(ids)))
        return [found.get(id_) for id_ in ids]

    async def alone(id_: int) -> T | None:
        return (await read([id_])).get(id_)

    return CallGroups(lambda ids: together_or_alone(ids, together, alone), later=later)
