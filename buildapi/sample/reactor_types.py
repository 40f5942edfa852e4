"""Name what the sample farm needs of a reactor; mypy cannot check the interfaces of zope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred


class DelayedCall(Protocol):
    """A call that is due later, as in IDelayedCall."""

    def active(self) -> bool:
        """Return whether it is neither made nor cancelled."""

    def cancel(self) -> None:
        """Cancel the call; :raises AlreadyCalled: it was made."""


class TimeReactor(Protocol):
    """Make calls later, as in IReactorTime."""

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object
    ) -> DelayedCall:
        """Call after ``delay`` seconds."""


class SampleReactor(TimeReactor, Protocol):
    """Make calls later, and calls from other threads, as in IReactorFromThreads."""

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:
        """Call in the reactor's thread."""


class ListeningPort(Protocol):
    """A port that is listened on, as in IListeningPort."""

    def getHost(self) -> Any:  # IPv4Address and the like, of which only TCP's have a port
        """Return its address."""

    def stopListening(self) -> Deferred[None] | None:
        """Stop; fire when it is closed."""


class Endpoint(Protocol):
    """A place to listen at, as in IStreamServerEndpoint."""

    def listen(self, protocolFactory: Any) -> Deferred[Any]:  # untyped in Twisted
        """Start listening; fire with a :class:`ListeningPort`."""
