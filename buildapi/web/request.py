"""The HTTP request before routing: limits, mount prefix, slashes, and the method it stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.parse import unquote_to_bytes

import attrs
from twisted.internet.address import UNIXAddress
from twisted.web import http
from twisted.web.server import Request

from buildapi import tracing
from buildapi.errors import BadRequest, BuildAPIError, TooLarge
from buildapi.web.accesslog import client_of
from buildapi.web.auth import Authenticator, Identity
from buildapi.web.channel import GONE
from buildapi.web.form import Form, parse_form
from buildapi.web.hosts import check_host
from buildapi.web.render import cors, early
from buildapi.web.segment import SLASH

OVERRIDES = {"PUT", "DELETE"}
PREFIX_END = (b"/", b"?", b"")
_ACCEPT = re.compile(rb"\r\naccept:([^\r\n]{0,1000})\r\n", re.IGNORECASE)
_ORIGIN = re.compile(rb"https?://[^/?]*", re.IGNORECASE)


@attrs.frozen
class Limits:
    """Bounds on a request; ``request_seconds`` is for all of it to arrive."""

    max_body: int
    request_seconds: float


class BuildAPIRequest(Request):
    """A request with a deadline, a body limit, a mount prefix and ``_method``.

    ``mount`` is the prefix it came in under, to be put before paths in answers.  ``refusal`` is
    why it cannot be routed, ``body`` its form or why that cannot be read, empty before
    ``read_body``.  ``identity`` is
    who asks, None while that is not known, ``auth`` tells whose words about others are taken.
    ``route`` is the path of the route that took it, ``streams`` whether its answer may last.
    """

    limits: Limits
    auth: Authenticator
    prefix: str = ""
    origins: Sequence[str] = ()
    hosts: Sequence[str] = ()
    reactor: Any = None
    in_flight: set[Any]
    channel: Any
    content: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Request.__init__(self, *args, **kwargs)
        self.mount = ""
        self.identity: Identity | None = None
        self.route, self.streams = "-", False
        self._began = self.reactor.seconds()
        self.refusal: BuildAPIError | None = None
        self.body: Form | BadRequest = Form({})
        self._received = 0
        self._refused = self._processing = False
        self._deadline = self.reactor.callLater(self.limits.request_seconds, self._too_slow)
        self.in_flight.add(self)

    def text_header(self, name: str) -> str:
        """Give a header as text, repeated ones joined; empty where it is missing.

        Twisted's own way takes the last one only, and fails on bytes that are not UTF-8.
        """
        values = self.requestHeaders.getRawHeaders(name.encode(), [])
        return b", ".join(values).decode(errors="replace")

    @cached_property
    def trace(self) -> str:
        """Give the id of the request: that of a trusted proxy, or a new one."""
        named = self.text_header("x-request-id") if self.auth.trusts(self.peer) else ""
        return tracing.acceptable(named) or tracing.new_trace()

    @property
    def seconds(self) -> float:
        """Tell for how long it has been there."""
        return float(self.reactor.seconds() - self._began)

    @property
    def client_address(self) -> str:
        """Give the address of who asks, as far as trusted proxies tell it."""
        forwarded = [part.strip() for part in self.text_header("x-forwarded-for").split(",")]
        return client_of(self.peer, forwarded, self.auth)

    def getRequestHostname(self) -> bytes:
        """Hide the Host header from the router, which fails on names it cannot encode."""
        return b"localhost"

    def close_after(self) -> None:
        """Let this be the last request of its connection."""
        self.channel.persistent = False
        if not self.startedWriting:
            self.responseHeaders.setRawHeaders(b"connection", [b"close"])

    def _too_slow(self) -> None:
        self.channel.transport.abortConnection()

    def _arrived(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()

    def connectionLost(self, reason: Any) -> None:
        """Forget the request with its connection; one whose answer was under way is told of."""
        self._arrived()
        if self._processing and self in self.in_flight:
            self._note(self.code if self.startedWriting else GONE, self.sentLength)
        self.in_flight.discard(self)
        Request.connectionLost(self, reason)

    def gotLength(self, length: int | None) -> None:
        """Refuse a body announced too large."""
        if length is not None and length > self.limits.max_body:
            self._refuse_body()
        Request.gotLength(self, 0 if self._refused else length)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep what arrives of a body, up to the limit."""
        self._received += len(data)
        if self._received > self.limits.max_body:
            self._refuse_body()
        if not self._refused:
            Request.handleContentChunk(self, data)

    def _refuse_body(self) -> None:
        """Answer 413 before the rest has come: the sender may have gigabytes to go."""
        if self._refused:
            return
        waits = bool(self.text_header("expect"))
        self.requestHeaders.removeHeader(b"expect")  # or Twisted would add 100 Continue
        self.refuse_early(TooLarge(f"The body is larger than {self.limits.max_body} bytes"))
        if waits:  # others are still sending: to close now would take the answer from them
            self.channel.loseConnection()

    def begins(self, method: bytes, uri: bytes) -> None:
        """Note what is known of a request whose first line has no end."""
        self.method, self.uri, self.clientproto = method, uri, b"HTTP/1.1"

    def look_ahead(self, text: bytes) -> None:
        """Take Accept from headers that are not read otherwise, to refuse in that format."""
        accept = _ACCEPT.search(text)
        if accept is not None:
            self.requestHeaders.addRawHeader(b"accept", accept[1])

    def refuse_early(self, error: BuildAPIError) -> None:
        """Answer a request that is not whole, and will never be."""
        if self._refused:
            return
        self._refused = True
        # Twisted tells these when the body is complete, which this one never is
        self.uri = getattr(self.channel, "_path", self.uri)
        self.method = getattr(self.channel, "_command", self.method)
        self.clientproto = getattr(self.channel, "_version", self.clientproto)
        head, body = early(error, self.uri, self.text_header("accept"))
        origin = self.text_header("origin")
        allowed = cors(origin) if origin in self.origins else {}
        head |= {"X-Request-Id": self.trace}
        lines = [f"{name}: {value}\r\n" for name, value in (head | allowed).items()]
        words = http.RESPONSES.get(error.status, b"Refused").decode()
        start = f"HTTP/1.1 {error.status} {words}\r\n{''.join(lines)}Connection: close\r\n\r\n"
        self.channel.write(start.encode() + body)
        self._note(error.status, len(body))

    def _note(self, status: int, length: int) -> None:
        """Tell of an answer that Twisted knows nothing of."""
        self.code, self.sentLength = status, length
        self.channel.factory.log(self)

    def process(self) -> None:
        """Settle path and method, then route; what cannot be settled is kept as the refusal."""
        self._arrived()
        self.responseHeaders.setRawHeaders(b"x-request-id", [self.trace.encode()])
        if self._refused:
            self.channel.loseConnection()
            return
        self._processing = True
        try:
            self._settle()
        except BuildAPIError as e:
            self.refusal, self.path = e, b"/"
        Request.process(self)

    def _settle(self) -> None:
        hosts = self.requestHeaders.getRawHeaders(b"host", [])
        check_host(hosts, self.hosts, needed=self.clientproto == b"HTTP/1.1")
        self.path = _ORIGIN.sub(b"", self.path, count=1) if self.path[:1] != b"/" else self.path
        self._strip_prefix()
        _check_path(self.path)
        self.path = b"/" + self.path.lstrip(b"/")
        mark = SLASH.encode()
        self.path = self.path.replace(b"%2F", mark).replace(b"%2f", mark)

    def read_body(self) -> None:
        """Parse the body, and become what it stands for; only for a user, on a route that takes it.

        Parsing costs time on the reactor, which is not for everybody to spend.
        """
        try:
            form = parse_form(self.text_header("content-type"), self.content)
        except BadRequest as e:  # raised where a value of it is wanted
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
        """Obey ``_method`` in the body of a POST only: a GET must not change things."""
        method = form.text("_method")
        if self.method == b"POST" and method and method.upper() in OVERRIDES:
            self.method = method.upper().encode()

    def finish(self) -> None:
        """End the answer."""
        self.in_flight.discard(self)
        Request.finish(self)

    @property
    def peer(self) -> str:
        """Give the address of who is connected, ``unix`` for a UNIX socket."""
        address = self.channel.getPeer() if self.channel is not None else self.client
        return "unix" if isinstance(address, UNIXAddress) else str(getattr(address, "host", ""))


def _check_path(path: bytes) -> None:
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError as e:
        raise BadRequest("The path is not UTF-8") from e


def request_class(
    *,
    limits: Limits,
    prefix: str,
    auth: Authenticator,
    origins: Sequence[str],
    hosts: Sequence[str],
    reactor: Any,
    in_flight: set[Any],
) -> type[BuildAPIRequest]:
    """Make the class of a site's requests; ``reactor`` provides IReactorTime.

    ``in_flight`` is kept to hold the requests begun and not yet answered.
    """
    attributes = {
        "limits": limits,
        "prefix": prefix,
        "auth": auth,
        "origins": origins,
        "hosts": hosts,
        "reactor": reactor,
        "in_flight": in_flight,
    }
    return type("SiteRequest", (BuildAPIRequest,), attributes)
