"""HTTP connections with bounds on slow requests and unread answers, and an orderly close.

Twisted's ``HTTPChannel`` parses; this class bounds what a client can make the process hold. A
client may send its next requests before it has the answer to the last [pipelining, RFC 9112
9.3.2], read no answer, send half a request, or close its sending half and still wait for the
answer [RFC 9112 9.6].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer  # type: ignore[import-untyped]  # it ships no types

from buildapi.errors import BadRequest, BuildAPIError
from buildapi.reactor_time import DelayedCall
from buildapi.web.http.client_limits import ClientLimits
from buildapi.web.http.half_closed import HalfClosedConnection
from buildapi.web.http.send_budget import Outgoing, SendBudget

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

LINGER_SECONDS = 1.0
"""How long to discard the input of a refused client, so that it reads why [RFC 9112 9.6]."""

LINE_KEPT = 4096
"""Bytes of an endless request line that are parsed."""

GONE = 499
"""Status logged for a client that left before its answer, as in nginx."""


class URITooLong(BuildAPIError):
    """The request line is too long."""

    status, code = 414, "uri_too_long"


class HeadersTooLarge(BuildAPIError):
    """The headers are too many or too long."""

    status, code = 431, "headers_too_large"


@attrs.define
class Traffic:
    """Unanswered requests and open connections of a site.

    Once ``ending`` is set, every answer is the last one of its connection.  ``limits`` bound what
    each client may send.
    """

    requests: set[BuildAPIRequest] = attrs.field(factory=set)
    channels: set[HTTPConnection] = attrs.field(factory=set)
    ending: bool = False
    limits: ClientLimits = attrs.field(factory=ClientLimits)


@implementer(IHalfCloseableProtocol)
class HTTPConnection(HTTPChannel):
    """An HTTP connection; a request must arrive within ``request_seconds`` of its first byte.

    Twisted's own timeout is on silence only: one byte a minute would do.  It would also hand whole
    answers to the transport, begin the next pipelined request before the last answer is read,
    and treat a half-closed connection as lost.
    """

    request_seconds: float
    stalled_seconds: float
    traffic: Traffic
    budget: SendBudget
    callLater: Callable[..., DelayedCall]
    # Any: TCP, UNIX and TLS transports have no common type with what we call of them
    transport: Any
    _networkProducer: Any
    _arriving: DelayedCall | None = None
    _leaving: DelayedCall | None = None
    _lingering: DelayedCall | None = None
    _turn: DelayedCall | None = None
    _farewell: HalfClosedConnection | None = None
    _closing = _refused = _held = _eof = _gone = _ended = False
    _log = Logger()

    def __init__(self) -> None:
        HTTPChannel.__init__(self)
        self._untold: list[BuildAPIRequest] = []
        self._outgoing = Outgoing(
            self.budget,
            write=self._hand_on,
            seconds=self.stalled_seconds,
            later=self._later,
            cut=self._cut,
        )

    @property
    def idle(self) -> bool:
        """Return whether no part of a request has arrived, and no answer waits to be read.

        A closing connection is idle, too: over TLS, only the peer's close_notify may be missing.
        """
        return not (self.requests or self._arriving or self._held or self.unread)

    @property
    def unread(self) -> bool:
        """Return whether the peer must read before more is written or begun."""
        return self._outgoing.waits

    def leave(self, seconds: float) -> None:
        """Close the connection; abort it after ``seconds`` if the peer does not agree."""
        if self._leaving is None:
            self._leaving = self.callLater(seconds, self.transport.abortConnection)
            self.loseConnection()

    def checkPersistence(self, request: BuildAPIRequest, version: bytes) -> bool:
        """Return whether another request may follow; False during shutdown."""
        persistent = bool(HTTPChannel.checkPersistence(self, request, version))
        # The client reads that it must connect again, so its next request meets no closed
        # connection (docs/deploys.md, What happens at SIGTERM).
        if self.traffic.ending:
            request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return persistent and not self.traffic.ending

    # --- input

    def connectionMade(self) -> None:
        """Register the open connection."""
        self.traffic.channels.add(self)
        HTTPChannel.connectionMade(self)

    def dataReceived(self, data: bytes) -> None:
        """Parse input, and start the deadline of a request that is incomplete."""
        if self._refused:
            return
        HTTPChannel.dataReceived(self, data)
        self._await_rest()

    def _await_rest(self) -> None:
        """Start the deadline if a part of a request has arrived, stop it if the whole has.

        Most requests arrive at once, and need no timer.
        """
        # Pipelined input has no deadline yet: it is parsed when its turn comes.
        begun = not self._handlingRequest and bool(self.requests or self._buffer)
        if not begun or self._refused:
            self._stop_clock()
        elif self._arriving is None:
            self._arriving = self.callLater(self.request_seconds, self._too_slow)

    def lineReceived(self, line: bytes) -> None:
        """Parse a line; refuse one that makes the headers too long."""
        if self._refused:
            return
        # Checked before Twisted does, which would send a bare 400 [HTTPChannel.lineReceived].
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self.lineLengthExceeded(line)
            return
        HTTPChannel.lineReceived(self, line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that is too long or has no end; ``line`` may hold more than that line."""
        self._stop_clock()
        bound = f"more than {self.totalHeadersSize} bytes"
        if self.requests:
            # Twisted parses a header with the next line, which may continue it; the last one may be
            # the Accept that the refusal needs.
            last = getattr(self, "_HTTPChannel__header", b"")  # private in Twisted
            if not last or self.headerReceived(last):
                self._refuse(HeadersTooLarge(f"The request's headers are {bound}"), line)
        else:
            self._refuse(URITooLong(f"The request's first line is {bound}"), line)

    def headerReceived(self, line: bytes) -> bool:
        """Accept a header; refuse the request if there are too many."""
        if self._refused:
            return False
        if self._receivedHeaderCount >= self.maxHeaders:
            self._refuse(HeadersTooLarge(f"There are more than {self.maxHeaders} headers"))
            return False
        return bool(HTTPChannel.headerReceived(self, line))

    def rawDataReceived(self, data: bytes) -> None:
        """Buffer what follows the current request, up to a bound.

        Twisted believes that a connection whose peer does not read is paused already.
        """
        if self._refused:
            return
        HTTPChannel.rawDataReceived(self, data)
        if (
            self._handlingRequest
            and sum(map(len, self._dataBuffer)) > self._optimisticEagerReadSize
        ):
            self._networkProducer.pauseProducing()

    def setLineMode(self, extra: bytes = b"") -> None:
        """Begin the next request; delay one that has already arrived.

        It begins when the last answer is written and all other connections had a turn.
        """
        more = extra or self._buffer  # input that has arrived: Twisted's two layers buffer it apart
        if not (more or self._outgoing.waits):
            self._next_request(b"")
            return
        # Twisted stays in raw mode, and so buffers further input [HTTPChannel.rawDataReceived].
        self._held = self._handlingRequest = True
        self._dataBuffer = [extra]
        self._networkProducer.pauseProducing()
        if not self._outgoing.waits:
            # With 50 connections of hundreds of pipelined requests each, all others waited for 5
            # seconds.
            self._turn = self.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._turn = None
        if self._held and not self._outgoing.waits:
            self._held = self._handlingRequest = False
            data, self._dataBuffer = b"".join(self._dataBuffer), []
            self._networkProducer.resumeProducing()
            self._next_request(data)

    def _next_request(self, data: bytes) -> None:
        HTTPChannel.setLineMode(self, data)
        self._await_rest()
        if self._eof and not self._handlingRequest:  # the rest is not a whole request
            self.loseConnection()

    # --- output

    def write(self, data: bytes) -> None:
        """Send, as fast as the other side reads."""
        # Headers go to the transport directly [HTTPChannel.writeHeaders]: they overtake nothing,
        # since the queue is empty when a request begins.
        self._outgoing.add(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send, as fast as the other side reads."""
        self._outgoing.add(b"".join(iovec))

    # Methods of their own, since these are set only after __init__.
    def _hand_on(self, data: bytes) -> None:
        self.transport.write(data)

    def _later(self, seconds: float, call: Callable[[], None]) -> DelayedCall:
        return self.callLater(seconds, call)

    def pauseProducing(self) -> None:
        """Stop writing: the peer reads more slowly than we write."""
        self._outgoing.pause()
        HTTPChannel.pauseProducing(self)

    def resumeProducing(self) -> None:
        """Continue writing: the peer has read what was written."""
        self._outgoing.resume()
        # The producer goes on when the queue is empty; it would fill it up to the bound otherwise.
        if self._outgoing.waits:
            return
        if self._closing:
            self.loseConnection()
            return
        HTTPChannel.resumeProducing(self)
        self._go_on()

    def timeoutConnection(self) -> None:
        """Close an idle connection; while an answer is being read, restart the timeout instead."""
        # When Twisted starts this timeout, the answer may still be in our queue.
        if self._outgoing.waits:
            self.setTimeout(self.timeOut)  # type: ignore[no-untyped-call]  # Twisted
        else:
            HTTPChannel.timeoutConnection(self)

    def loseConnection(self) -> None:
        """Close the connection after everything queued is sent."""
        if self._outgoing.queued:
            self._closing = True
        elif self._eof and not self._refused:
            self._part()
        else:
            HTTPChannel.loseConnection(self)

    def _cut(self, why: str) -> None:
        """Abort a connection whose peer does not read."""
        peer = getattr(self.transport.getPeer(), "host", "a UNIX socket")
        self._log.info("closed the connection of {peer}: {why}", peer=peer, why=why)
        self._gone = True
        self.transport.abortConnection()

    # --- closing

    def readConnectionLost(self) -> None:
        """Answer pending requests, then close: the peer sends no more, but may still read.

        The transport calls this again each time it resumes reading.
        """
        if not self._eof:
            for request in self.requests:
                request.half_closed()
        self._eof = True
        if self._farewell is not None:
            return
        if not (self._handlingRequest or self._outgoing.waits) or self._refused:
            self._stop_clock()
            HTTPChannel.loseConnection(self)

    def writeConnectionLost(self) -> None:
        """Begin to watch how the peer takes the last answer."""
        if self._farewell is not None:
            self._farewell.sent()

    def _part(self) -> None:
        """Close our half, too, and find out whether the peer is there to read the answer."""
        if self._farewell is None:
            # A paused producer would be resumed in place of the half-close
            # [FileDescriptor.doWrite].
            self._networkProducer.unregisterProducer()
            self._farewell = HalfClosedConnection(self.transport, self.callLater, self._parted)
            self._farewell.begin()

    def _parted(self, taken: bool) -> None:
        self._gone = not taken
        self.transport.abortConnection()

    def answered(self, request: BuildAPIRequest) -> None:
        """Report an answered request; after a half-close, once it is known if the peer is there."""
        if self._eof and not self._ended:
            self._untold.append(request)
        else:
            self.factory.answered(request)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop all timers, unregister the connection and report what was held back."""
        self._stop_clock()
        self._outgoing.end()
        if self._farewell is not None:
            self._farewell.stop()
            # After a reset or any other error the answer counts as not taken.
            self._gone |= not reason.check(ConnectionAborted, ConnectionDone)
        for clock in (self._leaving, self._lingering, self._turn):
            if clock is not None and clock.active():
                clock.cancel()
        self.traffic.channels.discard(self)
        # It reports the requests that are cut, by `answered`, which holds them back until `_ended`.
        HTTPChannel.connectionLost(self, reason)
        self._ended = True
        for request in self._untold:
            request.channel = self  # Twisted removes it from answered requests
            request.code = GONE if self._gone else request.code
            self.factory.answered(request)

    # --- refusals of incomplete requests

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Refuse input that is not HTTP with a message; Twisted would send a bare 400."""
        self._refuse(BadRequest("Not an HTTP/1.1 request"))

    def _refuse(self, error: BuildAPIError, line: bytes = b"") -> None:
        """Answer an incomplete request, discard the rest of it, and close.

        ``line`` is its input that is not parsed yet: the request line if none is complete.
        """
        if self._refused:
            return
        self._stop_clock()
        if not self.requests:
            self.requests.append(self.requestFactory(self))
            method, _, uri = line[:LINE_KEPT].partition(b" ")
            self.requests[-1].begins(method, uri.partition(b" ")[0])
        self.requests[-1].look_ahead(line)
        self._refused, self.persistent = True, False
        self.requests[-1].refuse_early(error)
        # Answered already; Request.finish, which would remove it, is never called.
        self.traffic.requests.discard(self.requests[-1])
        # Closing while the client still sends resets the connection, and the answer is lost.
        self._lingering = self.callLater(LINGER_SECONDS, self.transport.abortConnection)
        # TLS has no half-closed connections; over TCP we read on, and discard, until the client
        # closes.
        if ISSLTransport.providedBy(self.transport):
            self.loseConnection()
        else:
            self._networkProducer.unregisterProducer()
            self.transport.loseWriteConnection()

    def _too_slow(self) -> None:
        self._arriving = None
        self.transport.abortConnection()

    def _stop_clock(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None


def channel_class(
    request_seconds: float, stalled_seconds: float, traffic: Traffic, budget: SendBudget
) -> type[HTTPConnection]:
    """Return the connection class of a site, registering connections in ``traffic``.

    A connection whose client reads nothing of an answer for ``stalled_seconds`` is cut.
    """
    attributes = {
        "request_seconds": request_seconds,
        "stalled_seconds": stalled_seconds,
        "traffic": traffic,
        "budget": budget,
    }
    return type("SiteChannel", (HTTPConnection,), attributes)
