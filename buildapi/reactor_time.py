"""Type the parts of a reactor that the program uses, first of all time, which `Clock` has as well.

Twisted describes them as zope interfaces (IReactorTime, IReactorFromThreads, IReactorCore), whose
methods type checkers cannot call: they are declared without ``self``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

from twisted.internet import task, threads
from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
    from twisted.python.threadpool import ThreadPool

T = TypeVar("T")
V = TypeVar("V")

# Any: Twisted sends Deferreds' results of any type into a coroutine, one after the other.
AsyncCall: TypeAlias = Coroutine[Deferred[Any], Any, T]
"""A call of an ``async`` function that nothing has begun yet, as ``ensureDeferred`` takes it."""


class DelayedCall(Protocol):
    """Represent a call that is due later, as IDelayedCall."""

    def active(self) -> bool:
        """Return whether it was neither made nor cancelled."""

    def cancel(self) -> None:
        """Cancel it; :raises twisted.internet.error.AlreadyCalled: it was made."""

    def reset(self, secondsFromNow: float) -> None:
        """Make it due a number of seconds from now instead."""


class ReactorTime(Protocol):
    """Provide IReactorTime: a reactor, or a Clock."""

    def seconds(self) -> float:
        """Return the time in seconds since an arbitrary moment."""

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> DelayedCall:
        """Call a function after a delay in seconds."""


class ThreadedReactor(ReactorTime, Protocol):
    """Provide IReactorTime and IReactorFromThreads."""

    def callFromThread(self, callable: Callable[..., object], *args: object, **kw: object) -> None:
        """Call a function in the reactor's thread, soon; may be called from any thread."""


class Reactor(ThreadedReactor, Protocol):
    """Provide IReactorTime, IReactorThreads and IReactorCore: the reactor itself, no Clock."""

    def getDelayedCalls(self) -> Sequence[DelayedCall]:
        """List the calls that are due later."""

    def stop(self) -> None:
        """Stop the reactor; :raises twisted.internet.error.ReactorNotRunning: it does not run."""

    def callWhenRunning(
        self, callable: Callable[..., object], *args: object, **kw: object
    ) -> object:
        """Call a function once the reactor runs, at once if it does."""

    def addSystemEventTrigger(
        self, phase: str, event_type: str, callable: Callable[..., object], *args: object
    ) -> object:
        """Call a function before, during or after a system event such as ``shutdown``."""

    def getThreadPool(self) -> ThreadPool:
        """Return the pool of ``deferToThread``."""


def pause(reactor: ReactorTime, seconds: float) -> Deferred[None]:
    """Return a Deferred that fires after a pause, and can be cancelled."""
    return task.deferLater(cast("IReactorTime", reactor), seconds)


TURN_SECONDS = 0.005
"""Seconds after which long work lets the reactor do other things first."""


async def each_in_turns(
    reactor: ReactorTime, function: Callable[[V], T], values: Iterable[V]
) -> list[T]:
    """Call a function with each value, for ``TURN_SECONDS`` at most in one turn of the reactor."""
    found: list[T] = []
    end = reactor.seconds() + TURN_SECONDS
    for value in values:
        if reactor.seconds() >= end:
            await pause(reactor, 0)
            end = reactor.seconds() + TURN_SECONDS
        found.append(function(value))
    return found


def next_turn(reactor: ReactorTime) -> Callable[[Callable[[], object]], object]:
    """Return a function that calls another one in the reactor's next turn."""
    return partial(reactor.callLater, 0)


def in_pool(reactor: ThreadedReactor, pool: ThreadPool, work: Callable[[], T]) -> Deferred[T]:
    """Call a function in a thread of a pool."""
    return threads.deferToThreadPool(cast("IReactorFromThreads", reactor), pool, work)


def repeated(reactor: ReactorTime, work: Callable[..., object], *args: object) -> task.LoopingCall:
    """Return a LoopingCall of ``work`` on this clock; its ``start`` takes the interval."""
    loop = task.LoopingCall(work, *args)
    # A LoopingCall runs on the global reactor unless its clock is set [Twisted, LoopingCall].
    loop.clock = cast("IReactorTime", reactor)
    return loop


def timeout(
    deferred: Deferred[T],
    seconds: float,
    reactor: ReactorTime,
    late: Callable[[object, float], T] | None = None,
) -> Deferred[T]:
    """Cancel a Deferred after a time limit, which then fails with defer.TimeoutError.

    ``late`` is called instead with what the cancelled Deferred came to, and the limit.
    """
    return deferred.addTimeout(seconds, cast("IReactorTime", reactor), late)
