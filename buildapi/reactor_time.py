"""Type the part of a reactor that tells and keeps time, which Twisted's `Clock` has as well.

Twisted describes it as the zope interface IReactorTime, whose methods type checkers cannot call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from twisted.internet import task

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")


class DelayedCall(Protocol):
    """Represent a call that is due later, as IDelayedCall."""

    def active(self) -> bool:
        """Return whether it was neither made nor cancelled."""

    def cancel(self) -> None:
        """Cancel it; :raises twisted.internet.error.AlreadyCalled: it was made."""


class ReactorTime(Protocol):
    """Provide IReactorTime: a reactor, or a Clock."""

    def seconds(self) -> float:
        """Return the time in seconds since an arbitrary moment."""

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kw: object
    ) -> DelayedCall:
        """Call a function after a delay in seconds."""


def pause(reactor: ReactorTime, seconds: float) -> Deferred[None]:
    """Return a Deferred that fires after a pause, and can be cancelled."""
    return task.deferLater(cast("IReactorTime", reactor), seconds)


def timeout(deferred: Deferred[T], seconds: float, reactor: ReactorTime) -> Deferred[T]:
    """Cancel a Deferred after a time limit, which then fails with defer.TimeoutError."""
    return deferred.addTimeout(seconds, cast("IReactorTime", reactor))
