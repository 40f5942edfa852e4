"""Send HTTP requests with one deadline for all phases, size limits and no redirects."""

from __future__ import annotations

from typing import Any, cast

import attrs
from treq.client import HTTPClient
from twisted.internet import defer, protocol
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS, HTTP11ClientProtocol, Request
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone, _HTTP11ClientFactory
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer  # type: ignore[import-untyped]  # it ships no types

from buildapi.reactor_time import ReactorTime, timeout

CONNECT_SECONDS = 3.0

# A piece of deflated data grows at most 1032-fold (zlib), here to 4 MB, before its size is checked.
PIECE = 2**12
HEAD_MAX = 2**16
"""Maximum bytes before the body: status line, headers, and interim responses."""


class FetchError(Exception):
    """There is no complete response; the message says why.

    ``timed_out`` is true if the peer was silent, ``sent`` if the request may have reached it.
    """

    def __init__(self, msg: str, *, timed_out: bool = False, sent: bool = True) -> None:
        super().__init__(msg)
        self.timed_out, self.sent = timed_out, sent


@attrs.frozen
class FetchedAnswer:
    """Hold a complete HTTP response."""

    code: int
    body: bytes
    location: str | None


class _Collect(protocol.Protocol):
    transport: Any

    def __init__(self, limit: int) -> None:
        self.limit, self.size, self.parts = limit, 0, list[bytes]()
        self.done: defer.Deferred[bytes] = defer.Deferred(lambda _: self._drop())

    def _drop(self) -> None:
        # A body comes through a proxy of the transport that has no abortConnection (twisted.web,
        # TransportProxyProducer).
        self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        # loseConnection ends nothing at once: what has arrived is still passed on.
        if self.done.called:
            return
        self.size += len(data)
        self.parts.append(data)
        if self.size > self.limit:
            self.parts.clear()
            self.done.errback(FetchError(f"more than {self.limit} bytes"))
            self._drop()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        if self.done.called:
            return
        # PotentialDataLoss: without Content-Length and chunks the close ends the body (RFC 9112,
        # 6.3).
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self.parts))
        else:
            self.done.errback(reason)


class Fetcher:
    """Send HTTP requests; each has its own connection, so that nothing outlives it."""

    def __init__(self, reactor: ReactorTime) -> None:
        """Create a client; ``reactor`` provides IReactorTCP and IReactorTime."""
        self._reactor = reactor
        self._client = HTTPClient(_agent(reactor))

    async def request(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        limit: int = 2**20,
        data: dict[str, str] | None = None,
        document: object = None,
        token: str | None = None,
    ) -> FetchedAnswer:
        """Send a request and wait up to ``seconds``; ``limit`` bounds the bytes of the body.

        ``data`` is sent as a form, ``document`` as JSON, ``token`` as a bearer token.

        :raises FetchError: there is no complete response.
        """
        end = self._reactor.seconds() + seconds
        sent: dict[str, Any] = {"data": data, "headers": _authorization(token)}
        if document is not None:
            sent["json"] = document
        # Not the timeout of treq, which ends with the headers: a body that drips would never end.
        running = defer.ensureDeferred(self._go(method, url, limit, sent))
        try:
            return await _cancellable(timeout(running, seconds, self._reactor))
        except defer.CancelledError:
            raise
        except Exception as e:
            # Only the clock tells: a cancelled request fails with ResponseNeverReceived, and not
            # with TimeoutError (Twisted, Agent).
            if self._reactor.seconds() >= end:
                raise FetchError(f"no answer within {seconds:g} s", timed_out=True) from e
            raise _in_words(e) from e

    # Any: keywords of treq, each of a type of its own
    async def _go(self, method: str, url: str, limit: int, sent: dict[str, Any]) -> FetchedAnswer:
        # Redirects are for the caller: a stop and its refusal differ only in theirs. Unbuffered, or
        # treq keeps each body for a second read.
        response = await self._client.request(
            method, url, allow_redirects=False, unbuffered=True, **sent
        )
        collect = _Collect(limit)
        response.deliverBody(collect)
        body = await collect.done
        location = response.headers.getRawHeaders("location")
        return FetchedAnswer(response.code, body, location[0] if location else None)


def _authorization(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


class _Bounded(HTTP11ClientProtocol):
    """Limit the number of header lines; Twisted limits their length only.

    Bytes are passed on in small pieces, so that compressed data grow only a little before they are
    checked: gzip expands up to a thousandfold.
    """

    transport: Any
    _head = 0

    def request(self, request: Request) -> defer.Deferred[IResponse]:
        answer = HTTP11ClientProtocol.request(self, request)
        if self._parser is not None:
            self._parser.MAX_LENGTH = HEAD_MAX  # or long lines would end without a word
        return answer

    def dataReceived(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE):
            # A limit was passed in an earlier piece, or the response is complete.
            if self.transport.disconnecting:
                return
            self._piece_received(data[at : at + PIECE])

    def _piece_received(self, piece: bytes) -> None:
        # Interim responses (RFC 9110, 15.2) count as well: a server may send any number of them.
        if self._in_head():
            self._head += len(piece)
            if self._head > HEAD_MAX:
                self._giveUp(Failure(FetchError(f"more than {HEAD_MAX} bytes of headers")))  # type: ignore[no-untyped-call]  # Twisted
                # loseConnection, which _giveUp calls, waits for a peer that does not read our
                # request.
                self.transport.abortConnection()
                return
        HTTP11ClientProtocol.dataReceived(self, piece)

    def _in_head(self) -> bool:
        return self._parser is not None and self._parser.state in (STATUS, HEADER)


class _Quiet(_HTTP11ClientFactory):
    noisy = False

    def buildProtocol(self, addr: object) -> HTTP11ClientProtocol:  # noqa: ARG002  # as Twisted calls it
        return _Bounded(self._quiescentCallback)  # type: ignore[no-untyped-call]  # Twisted


@implementer(IAgent)
@attrs.frozen
class _OneCoding:
    """Refuse bodies that are compressed more than once, which could grow a millionfold."""

    _agent: Agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> defer.Deferred[IResponse]:
        return self._agent.request(method, uri, headers, bodyProducer).addCallback(self._checked)

    def _checked(self, response: Any) -> Any:  # Any: IResponse does not have its transport
        # Several codings may be in one line or in several (RFC 9110, 8.4 and 5.3).
        coding = b",".join(response.headers.getRawHeaders(b"content-encoding", []))
        if b"," in coding:
            response._transport.loseConnection()
            raise FetchError("the body is packed more than once")
        return response


def _agent(reactor: ReactorTime) -> IAgent:
    # A kept connection that the peer has closed meanwhile fails the next POST, which Twisted does
    # not repeat (HTTPConnectionPool, retryAutomatically).
    pool = HTTPConnectionPool(reactor, persistent=False)
    pool._factory = (
        _Quiet  # how Twisted's documentation says to keep two log lines per request away
    )
    agent = _OneCoding(Agent(reactor, connectTimeout=CONNECT_SECONDS, pool=pool))
    return cast("IAgent", agent)  # which zope knows and mypy does not


def _cancellable(running: defer.Deferred[FetchedAnswer]) -> defer.Deferred[FetchedAnswer]:
    """Deliver CancelledError to a cancelled caller, whatever the inner Deferreds make of it."""
    cancelled: list[bool] = []

    def cancel(_: object) -> None:
        cancelled.append(True)
        running.cancel()

    answer: defer.Deferred[FetchedAnswer] = defer.Deferred(cancel)

    def pass_on(result: FetchedAnswer | Failure) -> None:
        # A cancelled Deferred fails with CancelledError by itself (Twisted, Deferred.cancel).
        if cancelled:
            return
        if isinstance(result, Failure):
            answer.errback(result)
        else:
            answer.callback(result)

    running.addBoth(pass_on)
    return answer


def _in_words(error: Exception) -> FetchError:
    cause = _innermost(error)
    if isinstance(cause, FetchError):
        return cause
    return FetchError(
        str(cause) or type(cause).__name__,
        timed_out=isinstance(cause, ConnectTimeout),
        # Without an address or a connection nothing can have left; after any other error it may.
        sent=not isinstance(cause, ConnectError | DNSLookupError),
    )


def _innermost(error: BaseException) -> BaseException:
    """Unwrap the reasons that Twisted's client collects (``ResponseFailed`` and similar)."""
    reasons = getattr(error, "reasons", None)
    if not reasons or reasons[0].value is None:
        return error
    return _innermost(reasons[0].value)
