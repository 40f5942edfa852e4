"""The broker's end of a connection, in memory and on a clock."""

from __future__ import annotations

import struct
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from buildapi.mq.txamqp import codec
from buildapi.mq.txamqp.client import Client
from buildapi.mq.txamqp.spec import SPEC

DEFAULTS: dict[str, Any] = {"bit": False, "shortstr": "", "longstr": "", "table": {}}

SERVER = {"product": "RabbitMQ", "version": "3.10.8"}

ANSWERS: dict[str, dict[str, Any]] = {
    "connection.start": {
        "server_properties": {"product": "RabbitMQ", "version": "3.10.8"},
        "version_minor": 9,
        "mechanisms": "PLAIN",
        "locales": "en_US",
    },
    "connection.tune": {"channel_max": 2047, "frame_max": 131072, "heartbeat": 60},
}


def method_of(name: str) -> Any:
    klass, method = name.split(".")
    return SPEC.classes.byname[klass].methods.byname[method]


def name_of(method: Any) -> str:
    return f"{method.klass.name}.{method.name}"


def encode(name: str, **values: Any) -> bytes:
    """Encode a method; fields not given have their defaults."""
    method = method_of(name)
    given = ANSWERS.get(name, {}) | values
    fields = [(f.name.replace("-", "_"), f.type) for f in method.fields]
    return codec.method(method, [given.get(n, DEFAULTS.get(kind, 0)) for n, kind in fields])


def encode_content(
    channel: int, name: str, properties: dict[str, Any], *chunks: bytes, **values: Any
) -> bytes:
    """Encode the frames of a method with content, one body frame per chunk."""
    header = codec.header(method_of(name).klass, sum(map(len, chunks)), properties)
    frames = [codec.frame(codec.METHOD, channel, encode(name, **values))]
    frames.append(codec.frame(codec.HEADER, channel, header))
    return b"".join(frames + [codec.frame(codec.BODY, channel, c) for c in chunks])


@attrs.define(eq=False)
class Peer:
    """Answer every call with its first reply, except those named in ``silent``.

    ``refused`` names queues that are not declared with arguments, and the text of the 406.
    ``calls`` lists what the client called: channel, name, arguments by name; ``bodies`` what it
    published.
    """

    clock: Clock
    silent: set[str] = attrs.field(factory=set)
    calls: list[tuple[int, str, dict[str, Any]]] = attrs.field(factory=list)
    headers: list[dict[str, Any]] = attrs.field(factory=list)
    bodies: list[bytes] = attrs.field(factory=list)
    written: bytearray = attrs.field(factory=bytearray)
    heartbeats: int = 0
    lost: bool = False
    refused: dict[str, str] = attrs.field(factory=dict)
    server: dict[str, str] = attrs.field(factory=lambda: dict(SERVER))
    protocol: Client = attrs.field(init=False)
    _buffer: bytearray = attrs.field(factory=bytearray)

    # --- the client's transport

    def write(self, data: bytes) -> None:
        assert not self.lost
        self.written += data
        self._buffer += data
        if self._buffer.startswith(b"AMQP"):
            del self._buffer[:8]
            self.later(0, "connection.start", server_properties=self.server)
        while len(self._buffer) >= 8:
            kind, channel, size = struct.unpack_from(">BHI", self._buffer)
            payload = bytes(self._buffer[7 : 7 + size])
            del self._buffer[: 8 + size]
            self._on_frame(kind, channel, payload)

    def loseConnection(self) -> None:
        self._end(ConnectionDone())

    def abortConnection(self) -> None:
        self._end(ConnectionAborted())

    def _end(self, error: Exception) -> None:
        if not self.lost:
            self.lost = True
            self.clock.callLater(0, self.protocol.connectionLost, Failure(error))

    # --- what it does

    def _on_frame(self, kind: int, channel: int, payload: bytes) -> None:
        if kind == codec.METHOD:
            method, args = codec.read_method(payload)
            names = [f.name.replace("-", "_") for f in method.fields]
            values = dict(zip(names, args, strict=True))
            self.calls.append((channel, name_of(method), values))
            text = self.refused.get(values.get("queue", ""), "")
            if text and values.get("arguments"):
                self.later(channel, "channel.close", reply_code=406, reply_text=text)
            else:
                self._answer(channel, method)
        elif kind == codec.HEADER:
            self.headers.append(codec.read_header(payload)[1])
        elif kind == codec.BODY:
            self.bodies.append(payload)
        else:
            self.heartbeats += 1

    def _answer(self, channel: int, method: Any) -> None:
        if name_of(method) in self.silent:
            return
        if name_of(method) == "connection.start-ok":
            self.later(channel, "connection.tune")
        elif method.responses:
            self.later(channel, name_of(method.responses[0]))

    def later(self, channel: int, name: str, **values: Any) -> None:
        self.clock.callLater(0, self.send, channel, name, **values)

    def send(self, channel: int, name: str, **values: Any) -> None:
        self.feed(codec.frame(codec.METHOD, channel, encode(name, **values)))

    def send_content(
        self, channel: int, name: str, properties: dict[str, Any], *chunks: bytes, **values: Any
    ) -> None:
        self.feed(encode_content(channel, name, properties, *chunks, **values))

    def feed(self, data: bytes) -> None:
        if not self.lost:
            self.protocol.dataReceived(data)

    def called(self, name: str) -> list[dict[str, Any]]:
        """List the arguments of calls of one method."""
        return [args for _, n, args in self.calls if n == name]


@attrs.define
class Endpoint:
    """Connect to a new peer each time, or fail with the first of ``errors``."""

    clock: Clock
    errors: list[Exception] = attrs.field(factory=list)
    silent: set[str] = attrs.field(factory=set)
    mute: bool = False
    peers: list[Peer] = attrs.field(factory=list, repr=False)
    refused: dict[str, str] = attrs.field(factory=dict)
    server: dict[str, str] = attrs.field(factory=lambda: dict(SERVER))
    attempts: list[float] = attrs.field(factory=list)

    def connect(self, factory: Any) -> Deferred[Any]:
        self.attempts.append(self.clock.seconds())
        if self.mute:
            return Deferred()
        if self.errors:
            return fail(self.errors.pop(0))
        peer = Peer(self.clock, silent=set(self.silent), refused=self.refused, server=self.server)
        self.peers.append(peer)
        peer.protocol = factory.buildProtocol(None)
        peer.protocol.makeConnection(peer)
        return succeed(peer.protocol)
