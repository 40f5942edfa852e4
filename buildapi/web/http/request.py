"""Handle an HTTP request before routing: limits, mount prefix, slashes and ``_method``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import attrs
from twisted.internet.address import UNIXAddress
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.server import Request
from twisted.web.server import version as SERVER

from buildapi import tracing
from buildapi.errors import BadRequest, BuildAPIError, TooLarge
from buildapi.reactor_time import ReactorTime
from buildapi.web.http.access_log import client_of
from buildapi.web.http.auth import Authenticator, Identity
from buildapi.web.http.client_limits import ClientLimits
from buildapi.web.http.connection import GONE
from buildapi.web.http.form import Form, parse_form
from buildapi.web.http.host_header import check_host
from buildapi.web.http.path_converter import SLASH
from buildapi.web.http.rendering import cors, early, phrase

OVERRIDES = {"PUT", "DELETE"}
PREFIX_END = (b"/", b"?", b"")
_ACCEPT = re.compile(rb"\r\naccept:([^\r\n]{0,1000})\r\n", re.IGNORECASE)
# A request target may be a whole URL, as it is sent to proxies [RFC 9112 3.2.2].
_ORIGIN = re.compile(rb"https?://([^/?]*)", re.IGNORECASE)


@attrs.frozen
class RequestLimits:
    """Limits of a request; all of it must arrive within ``request_seconds``."""

    max_body: int
    request_seconds: float


class BuildAPIRequest(Request):
    """A request with a body limit, a mount prefix and ``_method``.

    ``mount`` is the prefix it came with, which goes before paths in the answer.  ``refusal`` is the
    error of a request that cannot be routed.  ``body`` is its form or the error of parsing it, and
    empty before ``read_body``.  ``identity`` is its user, None before authentication; ``auth``
    knows the trusted proxies.  ``route`` is the path of its route, ``path_values`` are the values
    in it, ``streams`` says whether its answer is a stream, ``ready`` whether it was answered before
    routing, by ``answer_ready``, which returns whether it did that.  ``admits`` returns whether
    there is room for it, and answers it otherwise; ``entered_from`` is the address under which it
    counts as in flight, by ``clients``, and ``rate_lines`` are its ``RateLimit`` headers if it is
    answered before routing.  ``half_closed`` is called when the client has closed its sending half.
    """

    limits: RequestLimits
    auth: Authenticator
    prefix: str = ""
    origins: Sequence[str] = ()
    hosts: Sequence[str] = ()
    reactor: ReactorTime
    in_flight: set[BuildAPIRequest]
    answer_ready: Callable[[BuildAPIRequest], bool]
    admits: Callable[[BuildAPIRequest], bool]
    clients: ClientLimits
    channel: Any
    content: Any

    if TYPE_CHECKING:  # Twisted leaves these without types

        def setHeader(self, name: str, value: str | bytes) -> None: ...
        def setResponseCode(self, code: int, message: bytes | None = None) -> None: ...
        def write(self, data: bytes) -> None: ...
        def registerProducer(self, producer: object, streaming: bool) -> None: ...
        def unregisterProducer(self) -> None: ...

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Request.__init__(self, *args, **kwargs)
        self.mount = ""
        self.identity: Identity | None = None
        self.route, self.streams, self.ready = "-", False, False
        self.path_values: Mapping[str, str] = {}
        self.entered_from: str | None = None
        self.rate_lines = b""
        self.half_closed: Callable[[], None] = lambda: None
        self._began = self.reactor.seconds()
        self.refusal: BuildAPIError | None = None
        self.body: Form | BadRequest = Form({})
        self._received = 0
        self._refused = self._processing = False
        self.in_flight.add(self)

    def text_header(self, name: str) -> str:
        """Return a header as text, repeated ones joined; empty if missing.

        Twisted's ``getHeader`` returns the last one only, and fails on bytes that are not UTF-8.
        """
        values = self.requestHeaders.getRawHeaders(name.encode(), [])
        return b", ".join(values).decode(errors="replace")

    @cached_property
    def trace(self) -> str:
        """Return the request id: that of a trusted proxy, or a new one."""
        named = self.text_header("x-request-id") if self.auth.trusts(self.peer) else ""
        return tracing.acceptable(named) or tracing.new_trace()

    @property
    def who(self) -> str | None:
        """Return the user; None for nobody, and before authentication."""
        return None if self.identity is None else self.identity.who

    @property
    def seconds(self) -> float:
        """Return the seconds since the request began."""
        return float(self.reactor.seconds() - self._began)

    @property
    def client_address(self) -> str:
        """Return the client's address, as forwarded by trusted proxies."""
        text = self.text_header("x-forwarded-for")
        if not text:
            return self.peer
        return client_of(self.peer, [part.strip() for part in text.split(",")], self.auth)

    def getRequestHostname(self) -> bytes:
        """Return a constant: the router fails on host names that it cannot encode."""
        return b"localhost"

    def close_after(self) -> None:
        """Close the connection after this request."""
        self.channel.persistent = False
        if not self.startedWriting:
            self.responseHeaders.setRawHeaders(b"connection", [b"close"])

    def connectionLost(self, reason: Failure) -> None:
        """Unregister the request; log one whose answer was not complete."""
        if self._processing and self in self.in_flight:
            # docs/logging.md, The access log: 499 is for an answer that had not begun.
            self._note(self.code if self.startedWriting else GONE, self.sentLength)
        self.in_flight.discard(self)
        self.leave()
        Request.connectionLost(self, reason)

    def gotLength(self, length: int | None) -> None:
        """Refuse a body whose Content-Length is too large."""
        if length is not None and length > self.limits.max_body:
            self._refuse_body()
        # 0, or Twisted would open a temporary file for a long body [twisted.web.http,
        # _getContentFile].
        Request.gotLength(self, 0 if self._refused else length)

    def handleContentChunk(self, data: bytes) -> None:
        """Buffer a chunk of the body, up to the limit."""
        self._received += len(data)
        if self._received > self.limits.max_body:
            self._refuse_body()
        if not self._refused:
            Request.handleContentChunk(self, data)

    def _refuse_body(self) -> None:
        """Answer 413 before the rest has arrived: the sender may have gigabytes to go."""
        if self._refused:
            return
        waits = bool(self.text_header("expect"))
        self.requestHeaders.removeHeader(b"expect")  # or Twisted would add 100 Continue
        self.refuse_early(TooLarge(f"The body is larger than {self.limits.max_body} bytes"))
        if waits:  # others still send their body: closing now would lose the answer
            self.channel.loseConnection()

    def begins(self, method: bytes, uri: bytes) -> None:
        """Set the method and URI of a request whose request line has no end."""
        self.method, self.uri, self.clientproto = method, uri, b"HTTP/1.1"

    def look_ahead(self, text: bytes) -> None:
        """Find Accept in headers that are not parsed, for the format of the refusal."""
        accept = _ACCEPT.search(text)
        if accept is not None:
            self.requestHeaders.addRawHeader(b"accept", accept[1])

    def refuse_early(self, error: BuildAPIError) -> None:
        """Answer a request that is incomplete, and stays so."""
        if self._refused:
            return
        self._refused = True
        # Twisted sets these when the body is complete, which it never is here
        self.uri = getattr(self.channel, "_path", self.uri)
        self.method = getattr(self.channel, "_command", self.method)
        self.clientproto = getattr(self.channel, "_version", self.clientproto)
        head, body = early(error, self.uri, self.text_header("accept"))
        origin = self.text_header("origin")
        allowed = cors(origin) if origin in self.origins else {}
        head |= {"X-Request-Id": self.trace}
        lines = [f"{name}: {value}\r\n" for name, value in (head | allowed).items()]
        words = phrase(error.status)
        start = f"HTTP/1.1 {error.status} {words}\r\n{''.join(lines)}Connection: close\r\n\r\n"
        self.channel.write(start.encode() + body)
        self._note(error.status, len(body))

    def _note(self, status: int, length: int) -> None:
        """Log an answer that was written without Twisted's Request."""
        self.code, self.sentLength = status, length
        self.channel.factory.log(self)

    def process(self) -> None:
        """Normalize the path, then route; an error is kept in ``refusal``."""
        if self._refused:
            self.channel.loseConnection()
            return
        self._processing = True
        try:
            self._settle()
        except BuildAPIError as e:
            # A path that Klein can decode: it answers others itself, in plain text
            # [KleinResource.render].
            self.refusal, self.path = e, b"/"
        if not self.answer_ready(self):
            self.responseHeaders.setRawHeaders(b"x-request-id", [self.trace.encode()])
            if self.admits(self):
                Request.process(self)

    def leave(self) -> None:
        """Count no longer as in flight: it is answered, or waits, which has a bound of its own."""
        if self.entered_from is not None:
            self.clients.leave(self)

    def send(self, code: int, head: bytes, body: bytes) -> None:
        """Send a whole answer, with headers as they go over the wire; no body if it is a HEAD."""
        body = b"" if self.method == b"HEAD" else body
        self.setResponseCode(code)
        self.startedWriting, self.sentLength = True, len(body)
        start = b"%b %d %b\r\n%b\r\n" % (self.clientproto, code, self.code_message, head)
        self.channel.write(start)
        self.channel.write(body)  # apart, since a long one is shared by all who get it
        self.finish()

    def send_refusal(self, body: bytes) -> None:
        """Send an error before routing; its status and headers are set, but for those of each."""
        self.setHeader("server", SERVER)
        self.setHeader("date", datetimeToString())
        self.write(body)
        self.finish()

    def _settle(self) -> None:
        self._check_host()
        self._strip_prefix()
        _check_path(self.path)
        # Links and Location are made of it, where // would name another host [RFC 3986 4.2].
        self.path = b"/" + self.path.lstrip(b"/")
        # Here, since Twisted decodes the segments next [twisted.web.server, Request.process].
        mark = SLASH.encode()
        self.path = self.path.replace(b"%2F", mark).replace(b"%2f", mark)

    def _check_host(self) -> None:
        hosts, authority = self.requestHeaders.getRawHeaders(b"host", []), None
        if self.path[:1] != b"/" and (absolute := _ORIGIN.match(self.path)) is not None:
            authority, self.path = absolute[1], self.path[absolute.end() :]
            # Compared with Origin, as Host is of other requests.
            self.requestHeaders.setRawHeaders(b"host", [authority])
        needed = self.clientproto == b"HTTP/1.1"
        check_host(hosts, self.hosts, needed=needed, authority=authority)

    def read_body(self) -> None:
        """Parse the body and obey its ``_method``; called only for users who may send one.

        Parsing takes time on the reactor, which strangers must not spend.
        """
        try:
            form = parse_form(self.text_header("content-type"), self.content)
        except BadRequest as e:  # raised when the body is used
            self.body = e
            return
        self.body = form
        self._override_method(form)

    def _strip_prefix(self) -> None:
        prefix = self.prefix.encode()
        rest = self.path[len(prefix) :]
        if prefix and self.path.startswith(prefix) and rest[:1] in PREFIX_END:
            self.mount, self.path = self.prefix, rest or b"/"

    def _override_method(self, form: Form) -> None:
        """Obey ``_method`` in the body of a POST only: a GET must not change anything."""
        method = form.text("_method")
        if self.method == b"POST" and method and method.upper() in OVERRIDES:
            self.method = method.upper().encode()

    def finish(self) -> None:
        """Unregister the request and end its answer."""
        self.in_flight.discard(self)
        self.leave()
        Request.finish(self)

    @property
    def peer(self) -> str:
        """Return the address of the peer, ``unix`` for a UNIX socket."""
        # Twisted clears the channel when the client has left, and keeps its address.
        address = self.channel.getPeer() if self.channel is not None else self.client
        return "unix" if isinstance(address, UNIXAddress) else str(getattr(address, "host", ""))


def _check_path(path: bytes) -> None:
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError as e:
        raise BadRequest("The path is not UTF-8") from e


def request_class(
    *,
    limits: RequestLimits,
    prefix: str,
    auth: Authenticator,
    origins: Sequence[str],
    hosts: Sequence[str],
    reactor: ReactorTime,
    in_flight: set[BuildAPIRequest],
    answer_ready: Callable[[BuildAPIRequest], bool],
    admits: Callable[[BuildAPIRequest], bool],
    clients: ClientLimits,
) -> type[BuildAPIRequest]:
    """Return the request class of a site; ``reactor`` provides IReactorTime.

    ``in_flight`` tracks the requests begun and not yet answered.  ``answer_ready`` answers a
    request before routing if it can, and returns whether it did.  ``admits`` returns whether a
    request may be routed, and answers it otherwise; ``clients`` counts it.
    """
    attributes = {
        "limits": limits,
        "prefix": prefix,
        "auth": auth,
        "origins": origins,
        "hosts": hosts,
        "reactor": reactor,
        "in_flight": in_flight,
        "answer_ready": answer_ready,
        "admits": admits,
        "clients": clients,
    }
    return type("SiteRequest", (BuildAPIRequest,), attributes)
