"""Ports: opened, announced, and closed without cutting anybody off."""

from __future__ import annotations

import errno
import select
import socket
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogPublisher

from buildapi.web.http.listener import ACCEPTED_MOST, accept_few
from tests.reactor import sleep, twisted_test, until
from tests.web.client import JSON, connect, request
from tests.web.conftest import Serve, Served, Settings, build

PATH = "/self-serve/try"


async def held_request(served: Served) -> tuple[Any, Deferred[None]]:
    """Send a request whose answer waits."""
    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    wire = await served.wire()
    wire.send(request("GET", PATH, JSON, last=False))
    await until(lambda: bool(served.builds.failing.calls))
    return wire, held


@twisted_test(8)
async def test_a_stop_waits_for_what_is_being_answered(served: Served) -> None:
    port = served.listener.ports[0].getHost().port
    idle = await served.wire()
    wire, held = await held_request(served)
    stopped = await served.begin_stop()
    await idle.closed
    assert not stopped.called
    with socket.socket() as late:
        assert late.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    held.callback(None)
    await wire.closed
    answer = await wire.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    await stopped


@twisted_test(8)
async def test_a_stop_closes_idle_connections_at_once(served: Served) -> None:
    idle = await served.wire()
    idle.send(request("GET", "/self-serve/jobs", JSON, last=False))
    await idle.answer()
    fresh = await served.wire()
    wire, held = await held_request(served)
    stopped = await served.begin_stop()
    await idle.closed
    await fresh.closed
    assert not wire.is_closed
    held.callback(None)
    await stopped
    assert wire.is_closed


@twisted_test(8)
async def test_no_further_request_is_taken_from_a_connection_while_stopping(
    served: Served,
) -> None:
    wire, held = await held_request(served)
    stopped = await served.begin_stop()
    wire.send(request("GET", "/self-serve/jobs", JSON))
    held.callback(None)
    await stopped
    await wire.closed
    assert len(await wire.answers("GET")) == 1
    assert wire.received.count(b"HTTP/1.1 ") == 1


@twisted_test(8)
async def test_a_connection_ends_with_its_last_answer_while_others_still_wait(
    serve: Serve,
) -> None:
    served = serve(drain_seconds=60, answer_seconds=60, idle_seconds=60)
    first, held = await held_request(served)
    served.jobs.reading.held = longer = Deferred()
    second = await served.wire()
    second.send(request("GET", "/self-serve/jobs", JSON, last=False))
    await until(lambda: bool(served.jobs.reading.calls))
    stopped = await served.begin_stop()
    held.callback(None)
    await first.closed
    assert not second.is_closed
    longer.callback(None)
    await stopped


@twisted_test(8)
async def test_a_stop_does_not_wait_for_ever(serve: Serve) -> None:
    served = serve(drain_seconds=0.2)
    wire, _ = await held_request(served)
    await served.listener.stopService()
    await wire.closed
    assert wire.received == b""
    assert not served.in_flight


@twisted_test(8)
async def test_a_client_that_does_not_read_does_not_hold_up_a_stop(serve: Serve) -> None:
    served = serve(drain_seconds=0.2)
    properties: Any = served.builds.requests[21].properties
    properties["large"] = "x" * 2**23  # more than a socket takes
    wire = await served.wire()
    wire.transport.pauseProducing()
    wire.send(request("GET", "/self-serve/try/request/21", JSON, last=False))
    await until(lambda: any(c.unread for c in served.listener._traffic.channels))
    await served.listener.stopService()
    assert not served.listener._traffic.channels
    wire.close()
    await wire.closed


@twisted_test(8)
async def test_answers_during_a_stop_are_in_the_access_log(serve: Serve, tmp_path: Path) -> None:
    served = serve(access_log=tmp_path / "access.log")
    wire, held = await held_request(served)
    stopped = await served.begin_stop()
    held.callback(None)
    await wire.closed
    await stopped
    (line,) = (tmp_path / "access.log").read_text().splitlines()
    assert '"GET /self-serve/try HTTP/1.1" 200' in line


@twisted_test(8)
async def test_without_an_access_log_requests_are_not_logged(served: Served) -> None:
    events: Any = []
    globalLogPublisher.addObserver(events.append)
    await served.ask("GET", "/self-serve/jobs")
    globalLogPublisher.removeObserver(events.append)
    assert not [e for e in events if "/self-serve/jobs" in str(e)]


@twisted_test(8)
async def test_a_unix_socket_serves_like_a_port(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "buildapi.sock"
    served = serve(listen=[f"unix:{path}", "tcp:0:interface=127.0.0.1"])
    wire = await connect(f"unix:{path}")
    wire.send(request("GET", "/self-serve/jobs", JSON))
    await wire.closed
    assert (await wire.answer()).json == []
    await served.listener.stopService()
    assert not path.exists()


def test_a_port_in_use_ends_the_program_with_one_clear_line(
    logged_errors: list[dict[str, Any]],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        listener = build(Settings(listen=[text])).listener
        with pytest.raises(SystemExit) as raised:
            listener.startService()
    (event,) = logged_errors
    line = event["log_format"].format(**event)
    assert text in line
    assert "in use" in line
    assert "\n" not in line
    assert raised.value.code == 1
    logged_errors.clear()
    listener._site.doStop()


def test_the_addresses_of_pages_are_announced(serve: Serve) -> None:
    served = serve()
    port = served.listener.ports[0].getHost().port
    events: Any = []
    globalLogPublisher.addObserver(events.append)
    served.listener.announce("/self-serve")
    globalLogPublisher.removeObserver(events.append)
    assert [e["url"] for e in events] == [f"http://127.0.0.1:{port}/self-serve"]


@twisted_test()
async def test_many_connections_wait_at_a_port_that_is_busy(serve: Serve) -> None:
    """Where there is no room, a client tries again after a second, or gives up here."""
    served = serve(held=True)
    port = served.listener.ports[0].getHost().port
    clients = [socket.socket() for _ in range(300)]
    for client in clients:
        client.setblocking(False)
        assert client.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS)
    _, connected, _ = select.select([], clients, [], 0)
    assert len(connected) == len(clients)
    for client in clients:
        client.close()


@twisted_test()
async def test_a_port_accepts_few_connections_in_a_turn(serve: Serve) -> None:
    served = serve(held=True)
    port = served.listener.ports[0].getHost().port
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    channels, seen = served.listener._traffic.channels, [0]
    served.listener.admit()
    while seen[-1] < len(clients):
        await sleep(0)
        seen.append(len(channels))
    assert max(now - before for before, now in pairwise(seen)) <= ACCEPTED_MOST
    for client in clients:
        client.close()


@twisted_test()
async def test_those_who_share_a_socket_get_even_shares() -> None:
    shared = socket.create_server(("127.0.0.1", 0), backlog=100)
    shared.setblocking(False)  # which IReactorSocket needs
    clients = [socket.create_connection(shared.getsockname()) for _ in range(60)]
    factories = [Accepting(), Accepting()]
    ports = [adopted(shared, factory) for factory in factories]
    for port in ports:
        accept_few(port)
    await until(lambda: sum(factory.accepted for factory in factories) == len(clients))
    shares = [factory.accepted for factory in factories]
    assert max(shares) - min(shares) <= ACCEPTED_MOST, shares
    for client in (*clients, shared):
        client.close()
    for port in ports:
        await maybeDeferred(port.stopListening)


class Accepting(Factory):
    """A factory that counts its connections."""

    protocol = Protocol
    noisy = False

    def __init__(self) -> None:
        self.accepted = 0

    def buildProtocol(self, addr: Any) -> Any:
        self.accepted += 1
        return Factory.buildProtocol(self, addr)


def adopted(shared: socket.socket, factory: Factory) -> Any:
    """Return a port of the reactor on the socket of others."""
    from twisted.internet import reactor

    adopt: Any = reactor
    return adopt.adoptStreamPort(shared.fileno(), socket.AF_INET, factory)
