"""A connection on which not even a request line may trickle in for ever."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel


@attrs.define
class Traffic:
    """What is going on: requests begun and not yet answered, and open connections."""

    requests: set[Any] = attrs.field(factory=set)
    channels: set[Any] = attrs.field(factory=set)


class Channel(HTTPChannel):
    """Give the first line of a request a deadline; the rest is up to the request itself.

    Twisted's own limit is on silence only, one byte a minute would do.
    """

    request_seconds: float
    traffic: Traffic
    callLater: Any
    transport: Any
    _first_line: Any = None

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
