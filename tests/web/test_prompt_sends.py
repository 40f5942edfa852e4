"""Sending what is written without waiting for epoll, in turns that are short."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol

from buildapi.web.http.prompt_sends import PromptConnection, PromptSends, send_promptly
from tests.reactor import sleep, twisted_test, until

LARGE = b"x" * 8_000_000
"""More than the buffers of a socket hold."""


class Speaking(Protocol):
    """A connection that notes how it ended."""

    ended = False

    def connectionMade(self) -> None:
        self.factory.made.append(self)  # type: ignore[union-attr]  # its own factory

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = True


class Accepting(Factory):
    """The connections of a port."""

    protocol = Speaking
    noisy = False

    def __init__(self) -> None:
        self.made: list[Any] = []


@attrs.define
class Place:
    """A port, and how often the reactor was asked to wait until a socket has room."""

    port: Any
    family: int
    address: Any
    factory: Accepting
    asked: list[object] = attrs.field(factory=list)
    clients: list[socket.socket] = attrs.field(factory=list)

    async def client(self) -> tuple[socket.socket, Any]:
        """Connect; return the client and the connection at the server."""
        before = len(self.factory.made)
        client = socket.socket(self.family)
        self.clients.append(client)
        client.connect(self.address)
        client.setblocking(False)
        await until(lambda: len(self.factory.made) > before)
        return client, self.factory.made[-1].transport


@contextmanager
def a_place(monkeypatch: pytest.MonkeyPatch, kind: str, folder: Path) -> Iterator[Place]:
    from twisted.internet import reactor

    own: Any = reactor
    factory = Accepting()
    if kind == "tcp":
        port = own.listenTCP(0, factory, interface="127.0.0.1")
        place = Place(port, socket.AF_INET, ("127.0.0.1", port.getHost().port), factory)
    else:
        path = str(folder / "socket")
        port = own.listenUNIX(path, factory)
        place = Place(port, socket.AF_UNIX, path, factory)
    send_promptly(port, own)
    ask = type(own).addWriter

    def asked(connection: object) -> None:
        if isinstance(connection, PromptConnection):
            place.asked.append(connection)
        ask(own, connection)

    monkeypatch.setattr(own, "addWriter", asked)
    yield place


@pytest.fixture(params=["tcp", "unix"])
def place(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Listen on a port of each kind."""
    with (
        tempfile.TemporaryDirectory() as folder,
        a_place(monkeypatch, request.param, Path(folder)) as made,
    ):
        yield made


def received(client: socket.socket) -> bytes:
    """Return what has arrived."""
    try:
        return client.recv(1_000_000)
    except BlockingIOError:
        return b""


async def whole(client: socket.socket, size: int) -> bytes:
    """Return the bytes that arrive, up to a number."""
    found = bytearray()
    while len(found) < size:
        found += received(client)
        await sleep(0)
    return bytes(found)


async def closed(place: Place) -> None:
    for client in place.clients:
        client.close()
    for protocol in place.factory.made:
        protocol.transport.abortConnection()
    await maybeDeferred(place.port.stopListening)


@twisted_test()
async def test_what_is_written_in_a_turn_is_sent_without_asking_epoll(place: Place) -> None:
    client, transport = await place.client()
    for part in (b"one ", b"two ", b"three"):
        transport.write(part)
    assert received(client) == b"", "sent together, at the end of the turn"
    assert await whole(client, 13) == b"one two three"
    assert place.asked == []
    await closed(place)


@twisted_test()
async def test_a_full_socket_is_left_to_epoll_and_gets_all(place: Place) -> None:
    client, transport = await place.client()
    transport.write(LARGE)
    transport.write(b"end")
    await until(lambda: bool(place.asked))
    assert await whole(client, len(LARGE) + 3) == LARGE + b"end"
    transport.write(b"more")
    assert await whole(client, 4) == b"more"
    await closed(place)


@twisted_test()
async def test_the_end_of_a_connection_comes_after_what_was_written(place: Place) -> None:
    client, transport = await place.client()
    transport.write(b"last")
    transport.loseConnection()
    assert await whole(client, 4) == b"last"
    await until(lambda: place.factory.made[-1].ended)
    assert client.recv(10) == b""
    await closed(place)


@twisted_test()
async def test_half_of_a_connection_ends_after_what_was_written(place: Place) -> None:
    client, transport = await place.client()
    transport.write(b"last")
    transport.loseWriteConnection()
    assert await whole(client, 4) == b"last"
    client.setblocking(True)
    assert client.recv(10) == b""
    assert not place.factory.made[-1].ended
    await closed(place)


@twisted_test()
async def test_a_connection_whose_client_has_left_ends(place: Place) -> None:
    client, transport = await place.client()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    transport.stopReading()  # so that only the send can notice
    client.close()
    transport.write(LARGE)
    await until(lambda: place.factory.made[-1].ended)
    await closed(place)


@twisted_test()
async def test_nothing_is_sent_by_an_aborted_connection(place: Place) -> None:
    client, transport = await place.client()
    transport.write(b"never")
    transport.abortConnection()
    await until(lambda: place.factory.made[-1].ended)
    client.setblocking(True)
    with suppress(ConnectionResetError):
        assert client.recv(10) == b""
    await closed(place)


@attrs.define
class Turns:
    """A reactor whose time passes only while something is sent."""

    now: float = 0.0
    due: list[Any] = attrs.field(factory=list)

    def seconds(self) -> float:
        return self.now

    def callLater(self, delay: float, call: Any) -> None:
        assert delay == 0
        self.due.append(call)

    def turn(self) -> None:
        """Make the calls that are due."""
        due, self.due = self.due, []
        for call in due:
            call()


@attrs.define(eq=False)
class Sending:
    """A connection of which a send takes 2 ms, or fails."""

    reactor: Turns
    error: Exception | None = None
    sent_at: list[float] = attrs.field(factory=list)
    aborted: bool = False

    def send_now(self) -> None:
        self.sent_at.append(self.reactor.now)
        self.reactor.now += 0.002
        if self.error is not None:
            raise self.error

    def abortConnection(self) -> None:
        self.aborted = True


def sends(reactor: Any, connections: list[Sending]) -> PromptSends:
    made = PromptSends(reactor, turn_seconds=0.005)
    for one in connections:
        connection: Any = one
        made.add(connection)
    return made


def test_many_sends_take_several_turns() -> None:
    reactor = Turns()
    connections = [Sending(reactor) for _ in range(7)]
    sends(reactor, connections)
    turns = []
    while reactor.due:
        assert len(reactor.due) == 1
        before = sum(len(one.sent_at) for one in connections)
        reactor.turn()
        turns.append(sum(len(one.sent_at) for one in connections) - before)
    assert turns == [3, 3, 1]
    order = [one.sent_at[0] for one in connections]
    assert order == sorted(order)


def test_one_that_writes_again_is_sent_once_and_one_that_ended_never() -> None:
    reactor = Turns()
    twice, ended = Sending(reactor), Sending(reactor)
    made: Any = sends(reactor, [twice, ended, twice])
    made.discard(ended)
    reactor.turn()
    assert (len(twice.sent_at), ended.sent_at, reactor.due) == (1, [], [])


def test_a_send_that_fails_ends_its_connection_alone(logged_errors: list[Any]) -> None:
    reactor = Turns()
    bad, good = Sending(reactor, ZeroDivisionError()), Sending(reactor)
    sends(reactor, [bad, good])
    reactor.turn()
    assert (bad.aborted, good.aborted, len(good.sent_at)) == (True, False, 1)
    assert len(logged_errors) == 1
    logged_errors.clear()
