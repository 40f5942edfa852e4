"""A browser of few words: it sends exactly the bytes of a recorded request."""

from __future__ import annotations

import gzip
import io
import json
from http.client import HTTPResponse
from typing import Any

import attrs
from twisted.internet import defer
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.openapi.conformity import undocumented

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@attrs.frozen
class Answer:
    """A response, whole and uncompressed; names of headers are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Return the content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0]

    def undocumented(self, request: dict[str, Any]) -> list[str]:
        """List how it differs from what ``/openapi.json`` says of a recorded request."""
        asked = request["method"], request["path"]
        return [*undocumented(*asked, self.status, self.media_type, self.json)]

    @property
    def json(self) -> Any:
        """Return the JSON; None if it is none."""
        return json.loads(self.body) if self.media_type == JSON and self.body else None


class _Whole(Protocol):
    """Send one request and take all there is until the server hangs up."""

    def __init__(self) -> None:
        self.received = b""
        self.ended: defer.Deferred[bytes] = defer.Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(self.received)


class _Bytes:
    """What http.client takes for a socket."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


async def ask(port: int, request: dict[str, Any]) -> Answer:
    """Send a recorded request to a port of the loopback interface."""
    from twisted.internet import reactor

    endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    connection: Any = await endpoint.connect(Factory.forProtocol(_Whole))
    connection.transport.write(_message(request))
    return _answer(await connection.ended, request["method"])


def _message(request: dict[str, Any]) -> bytes:
    """Write a request; the recorder named the type of forms only where it is another one."""
    headers = {"Host": "127.0.0.1", "Connection": "close", **request["headers"]}
    body = request["body"]
    if body is not None:
        headers = {"Content-Type": FORM, **headers, "Content-Length": str(len(body.encode()))}
    lines = [f"{request['method']} {request['path']} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode("latin-1") + (body or "").encode()


def _answer(data: bytes, method: str) -> Answer:
    response = HTTPResponse(_Bytes(data), method=method)  # type: ignore[arg-type]  # socket enough
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    body = response.read()
    packed = headers.get("content-encoding") == "gzip"
    return Answer(response.status, headers, gzip.decompress(body) if packed else body)
