"""An HTTP connection: bounds on what trickles in and on what waits to be sent, and its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer  # type: ignore[import-untyped]  # it ships no types

from buildapi.errors import BadRequest, BuildAPIError
from buildapi.web.farewell import Farewell
from buildapi.web.sending import Outgoing, SendBudget

LINGER_SECONDS = 1.0
"""How long what a refused client still sends is dropped, so that it reads why [RFC 9112 9.6]."""

LINE_KEPT = 4096
"""Bytes of an endless first line that are looked at."""

GONE = 499
"""Noted where the client left before it had its answer, as nginx has it."""


class URITooLong(BuildAPIError):
    """Refuse a request line past its bound."""

    status, code = 414, "uri_too_long"


class HeadersTooLarge(BuildAPIError):
    """Refuse headers past their bounds."""

    status, code = 431, "headers_too_large"


@attrs.define
class Traffic:
    """What is going on: requests begun and not yet answered, and open connections.

    Once it is ``ending``, every answer is the last one of its connection.
    """

    requests: set[Any] = attrs.field(factory=set)
    channels: set[Any] = attrs.field(factory=set)
    ending: bool = False


@implementer(IHalfCloseableProtocol)
class Channel(HTTPChannel):
    """Give the first line of a request a deadline; the rest is up to the request itself.

    Twisted's own limit is on silence only, one byte a minute would do.  It would also hand whole
    answers to the transport, begin the next pipelined request while nobody reads those before,
    and take a client that closed its sending half for one that is gone.
    """

    request_seconds: float
    stalled_seconds: float
    traffic: Traffic
    budget: SendBudget
    callLater: Any
    transport: Any
    _networkProducer: Any
    _first_line: Any = None
    _leaving: Any = None
    _lingering: Any = None
    _turn: Any = None
    _farewell: Farewell | None = None
    _closing = _refused = _held = _eof = _gone = _ended = False
    _log = Logger()

    def __init__(self) -> None:
        HTTPChannel.__init__(self)
        self._untold: list[Any] = []
        self._outgoing = Outgoing(
            self.budget,
            write=self._hand_on,
            later=lambda stalled: self.callLater(self.stalled_seconds, stalled),
            cut=self._cut,
        )

    @property
    def idle(self) -> bool:
        """Tell whether nothing of a request has come, and no answer waits to be fetched.

        So is one that closes: over TLS, only the other side's goodbye may be missing.
        """
        return not (self.requests or self._first_line or self._held or self.unread)

    @property
    def unread(self) -> bool:
        """Tell whether the other side has to read before more is written or begun."""
        return self._outgoing.waits

    def leave(self, seconds: float) -> None:
        """Close, and do not wait longer than this for the other side to agree."""
        if self._leaving is None:
            self._leaving = self.callLater(seconds, self.transport.abortConnection)
            self.loseConnection()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Tell whether another request may follow: not when we are stopping."""
        persistent = bool(HTTPChannel.checkPersistence(self, request, version))
        if self.traffic.ending:
            request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return persistent and not self.traffic.ending

    # --- what comes in

    def connectionMade(self) -> None:
        """Count as open."""
        self.traffic.channels.add(self)
        HTTPChannel.connectionMade(self)

    def dataReceived(self, data: bytes) -> None:
        """Start the clock with the first byte of a request; drop what follows a refusal."""
        if self._refused:
            return
        if not self.requests and self._first_line is None:
            self._first_line = self.callLater(self.request_seconds, self._too_slow)
        HTTPChannel.dataReceived(self, data)

    def lineReceived(self, line: bytes) -> None:
        """Stop the clock: a request begins, with a clock of its own."""
        if self._refused:
            return
        self._stop_clock()
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self.lineLengthExceeded(line)
            return
        HTTPChannel.lineReceived(self, line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that is too long, or whose end does not come; ``line`` may hold more."""
        self._stop_clock()
        bound = f"more than {self.totalHeadersSize} bytes"
        if self.requests:
            last = getattr(self, "_HTTPChannel__header", b"")  # which Twisted keeps to itself
            if not last or self.headerReceived(last):
                self._refuse(HeadersTooLarge(f"The request's headers are {bound}"), line)
        else:
            self._refuse(URITooLong(f"The request's first line is {bound}"), line)

    def headerReceived(self, line: bytes) -> bool:
        """Take a header; refuse one too many."""
        if self._refused:
            return False
        if self._receivedHeaderCount >= self.maxHeaders:
            self._refuse(HeadersTooLarge(f"There are more than {self.maxHeaders} headers"))
            return False
        return bool(HTTPChannel.headerReceived(self, line))

    def rawDataReceived(self, data: bytes) -> None:
        """Keep what follows the request that is being answered, up to a bound.

        Twisted takes a connection whose other side does not read for paused already.
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
        """Go on with the next request; one that has come already waits for its turn.

        That is when the last answer is on its way, and all other connections had a turn as well.
        """
        more = extra or self._buffer  # what has come: Twisted's two layers keep it apart
        if not (more or self._outgoing.waits):
            self._next_request(b"")
            return
        self._held = self._handlingRequest = True
        self._dataBuffer = [extra]
        self._networkProducer.pauseProducing()
        if not self._outgoing.waits:
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
        if self._eof and not self._handlingRequest:  # what came last is no whole request
            self.loseConnection()

    # --- what goes out

    def write(self, data: bytes) -> None:
        """Send, as fast as the other side reads."""
        self._outgoing.add(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send, as fast as the other side reads."""
        self._outgoing.add(b"".join(iovec))

    def _hand_on(self, data: bytes) -> None:
        self.transport.write(data)

    def pauseProducing(self) -> None:
        """Write no more: the other side does not fetch as fast as we write."""
        self._outgoing.pause()
        HTTPChannel.pauseProducing(self)

    def resumeProducing(self) -> None:
        """Write on: the other side has fetched what was written."""
        self._outgoing.resume()
        if self._outgoing.waits:
            return
        if self._closing:
            self.loseConnection()
            return
        HTTPChannel.resumeProducing(self)
        self._go_on()

    def timeoutConnection(self) -> None:
        """Close what is idle; one whose answer is being fetched has a clock of its own."""
        if self._outgoing.waits:
            self.setTimeout(self.timeOut)  # type: ignore[no-untyped-call]  # Twisted
        else:
            HTTPChannel.timeoutConnection(self)

    def loseConnection(self) -> None:
        """Close after all that is to be sent."""
        if self._outgoing.queued:
            self._closing = True
        elif self._eof and not self._refused:
            self._part()
        else:
            HTTPChannel.loseConnection(self)

    def _cut(self, why: str) -> None:
        """Cut a connection whose other side does not read."""
        peer = getattr(self.transport.getPeer(), "host", "a UNIX socket")
        self._log.info("the connection of {peer} is cut: {why}", peer=peer, why=why)
        self._gone = True
        self.transport.abortConnection()

    # --- its end

    def readConnectionLost(self) -> None:
        """Answer what was asked, then close: the other side sends no more, but may well read.

        The transport tells it again each time it goes on reading.
        """
        self._eof = True
        if self._farewell is not None:
            return
        if not (self._handlingRequest or self._outgoing.waits) or self._refused:
            self._stop_clock()
            HTTPChannel.loseConnection(self)

    def writeConnectionLost(self) -> None:
        """Look what the other side says to the last answer."""
        if self._farewell is not None:
            self._farewell.sent()

    def _part(self) -> None:
        """Close our half as well, and see whether the other side is there to take the answer."""
        if self._farewell is None:
            self._networkProducer.unregisterProducer()
            self._farewell = Farewell(self.transport, self.callLater, self._parted)
            self._farewell.begin()

    def _parted(self, taken: bool) -> None:
        self._gone = not taken
        self.transport.abortConnection()

    def answered(self, request: Any) -> None:
        """Tell of an answer; one to who sends no more, when it is known whether he is there."""
        if self._eof and not self._ended:
            self._untold.append(request)
        else:
            self.factory.answered(request)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the clocks, and count no more."""
        self._stop_clock()
        self._outgoing.end()
        if self._farewell is not None:
            self._farewell.stop()
            self._gone |= not reason.check(ConnectionAborted, ConnectionDone)
        for clock in (self._leaving, self._lingering, self._turn):
            if clock is not None and clock.active():
                clock.cancel()
        self.traffic.channels.discard(self)
        HTTPChannel.connectionLost(self, reason)
        self._ended = True
        for request in self._untold:
            request.channel = self  # which Twisted takes from what is answered
            request.code = GONE if self._gone else request.code
            self.factory.answered(request)

    # --- refusals of what is no whole request

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Refuse what is no HTTP: Twisted would say 400 and nothing else."""
        self._refuse(BadRequest("This is no HTTP/1.1 request"))

    def _refuse(self, error: BuildAPIError, line: bytes = b"") -> None:
        """Answer before the request is whole, drop what still comes of it, and close.

        ``line`` is what there is of it beside, a first line if none has come yet.
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
        self.traffic.requests.discard(self.requests[-1])
        # To close while others are still sending would take the answer from them.
        self._lingering = self.callLater(LINGER_SECONDS, self.transport.abortConnection)
        if ISSLTransport.providedBy(self.transport):
            self.loseConnection()
        else:
            self._networkProducer.unregisterProducer()
            self.transport.loseWriteConnection()

    def _too_slow(self) -> None:
        self._first_line = None
        self.transport.abortConnection()

    def _stop_clock(self) -> None:
        if self._first_line is not None:
            self._first_line.cancel()
            self._first_line = None


def channel_class(
    request_seconds: float, stalled_seconds: float, traffic: Traffic, budget: SendBudget
) -> type[Channel]:
    """Make the class of a site's connections, which are noted in ``traffic``.

    One whose client reads nothing of an answer for ``stalled_seconds`` is cut.
    """
    attributes = {
        "request_seconds": request_seconds,
        "stalled_seconds": stalled_seconds,
        "traffic": traffic,
        "budget": budget,
    }
    return type("SiteChannel", (Channel,), attributes)
