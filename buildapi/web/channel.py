"""A connection on which not even a request line may trickle in for ever."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel


@attrs.define
class Traffic:
    """What is going on: requests begun and not yet answered, and open connections.

    Once it is ``ending``, every answer is the last one of its connection.
    """

    requests: set[Any] = attrs.field(factory=set)
    channels: set[Any] = attrs.field(factory=set)
    ending: bool = False


class Channel(HTTPChannel):
    """Give the first line of a request a deadline; the rest is up to the request itself.

    Twisted's own limit is on silence only, one byte a minute would do.
    """

    request_seconds: float
    traffic: Traffic
    callLater: Any
    transport: Any
    _first_line: Any = None
    _leaving: Any = None
    _full = False

    @property
    def idle(self) -> bool:
        """Tell whether nothing of a request has come, and no answer waits to be fetched.

        So is one that closes: over TLS, only the other side's goodbye may be missing.
        """
        return not (self.requests or self._first_line or self._full)

    def leave(self, seconds: float) -> None:
        """Close, and do not wait longer than this for the other side to agree."""
        if self._leaving is None:
            self._leaving = self.callLater(seconds, self.transport.abortConnection)
            self.loseConnection()  # type: ignore[no-untyped-call]  # Twisted

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Tell whether another request may follow: not when we are stopping."""
        persistent = bool(HTTPChannel.checkPersistence(self, request, version))
        if self.traffic.ending:
            request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return persistent and not self.traffic.ending

    def pauseProducing(self) -> None:
        """Note that the other side does not fetch as fast as we write."""
        self._full = True
        HTTPChannel.pauseProducing(self)

    def resumeProducing(self) -> None:
        """Note that the other side has fetched what was written."""
        self._full = False
        HTTPChannel.resumeProducing(self)

    def dataReceived(self, data: bytes) -> None:
        """Start the clock with the first byte of a request."""
        if not self.requests and self._first_line is None:
            self._first_line = self.callLater(self.request_seconds, self._too_slow)
        HTTPChannel.dataReceived(self, data)

    def lineReceived(self, line: bytes) -> None:
        """Stop the clock: a request begins, with a clock of its own."""
        self._stop_clock()
        HTTPChannel.lineReceived(self, line)

    def connectionMade(self) -> None:
        """Count as open."""
        self.traffic.channels.add(self)
        HTTPChannel.connectionMade(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the clock, and count no more."""
        self._stop_clock()
        if self._leaving is not None and self._leaving.active():
            self._leaving.cancel()
        self.traffic.channels.discard(self)
        HTTPChannel.connectionLost(self, reason)

    def _too_slow(self) -> None:
        self._first_line = None
        self.transport.abortConnection()

    def _stop_clock(self) -> None:
        if self._first_line is not None:
            self._first_line.cancel()
            self._first_line = None


def channel_class(request_seconds: float, traffic: Traffic) -> type[Channel]:
    """Make the class of a site's connections, which are noted in ``traffic``."""
    attributes = {"request_seconds": request_seconds, "traffic": traffic}
    return type("SiteChannel", (Channel,), attributes)
