"""A client that sends bytes as they are: what no polite library would send must be tried too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol

JSON = {"Accept": "application/json"}
FORM = "application/x-www-form-urlencoded"


@attrs.frozen
class Answer:
    """One response; header names are in lower case, repeated ones joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json", self.headers
        return json.loads(self.body, parse_constant=_no_number)

    @property
    def text(self) -> str:
        return self.body.decode()


def _no_number(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


class Wire(Protocol):
    """A connection and all it received."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.closed: Deferred[None] = Deferred()
        self.is_closed = False
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._look()

    def connectionLost(self, reason: Any = None) -> None:
        self.is_closed = True
        self._look()
        self.closed.callback(None)

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def close(self) -> None:
        self.transport.abortConnection()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, or the connection is closed."""
        if not condition() and not self.is_closed:
            waiting: Deferred[None] = Deferred()
            self._waiting.append((condition, waiting))
            await waiting

    async def answers(self, *methods: str) -> list[Answer]:
        """Wait for the responses to these requests."""
        await self.until(lambda: len(parse(self.received, methods)) >= len(methods))
        return parse(self.received, methods)

    async def answer(self, method: str = "GET") -> Answer:
        """Wait for the response to one request."""
        (answer,) = await self.answers(method)
        return answer

    def _look(self) -> None:
        for entry in list(self._waiting):
            if entry[0]() or self.is_closed:
                self._waiting.remove(entry)
                entry[1].callback(None)


async def connect(where: str) -> Wire:
    """Connect to a client endpoint such as ``tcp:127.0.0.1:8010``."""
    from twisted.internet import reactor

    wire = Wire()
    await connectProtocol(clientFromString(reactor, where), wire)
    return wire


def request(
    method: str,
    path: str | bytes,
    headers: Mapping[str, str | bytes] | Sequence[tuple[str, str | bytes]] = (),
    body: bytes | Mapping[str, Any] | None = None,
    *,
    last: bool = True,
) -> bytes:
    """Spell a request; a mapping as body is sent as a form."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    names = {name.lower() for name, _ in pairs}
    if isinstance(body, Mapping):
        body = urlencode(body).encode()
        pairs += [] if "content-type" in names else [("Content-Type", FORM)]
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    pairs += [] if "host" in names else [("Host", "127.0.0.1")]
    pairs += [("Connection", "close")] if last else []
    target = path.encode() if isinstance(path, str) else path
    lines = [method.encode() + b" " + target + b" HTTP/1.1"]
    lines += [n.encode() + b": " + (v.encode() if isinstance(v, str) else v) for n, v in pairs]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def parse(data: bytes, methods: Sequence[str]) -> list[Answer]:
    """Read the complete responses in what was received."""
    found: list[Answer] = []
    for method in methods:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            break
        answer = _head(head)
        size = _size(answer, method, rest)
        if size is None:
            break
        body, data = rest[: size[0]], rest[size[1] :]
        if "chunked" in answer.headers.get("transfer-encoding", ""):
            body = _dechunked(body)
        found.append(attrs.evolve(answer, body=body))
    return found


def _head(head: bytes) -> Answer:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Answer(int(first.split()[1]), headers, b"")


def _size(answer: Answer, method: str, rest: bytes) -> tuple[int, int] | None:
    """Return where the body ends and where the next response begins; None where it is not whole."""
    if method == "HEAD" or answer.status in (100, 204, 304):
        return 0, 0
    if "chunked" in answer.headers.get("transfer-encoding", ""):
        end = rest.find(b"0\r\n\r\n")
        return (end + 5, end + 5) if end >= 0 else None
    length = int(answer.headers.get("content-length", len(rest)))
    return (length, length) if len(rest) >= length else None


def _dechunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body
