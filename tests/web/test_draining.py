"""A stop loses nobody: not who waits at the port, nor who is just about to ask."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher

from tests.reactor import twisted_test, until
from tests.services.certificates import Certificates
from tests.web.client import JSON, Wire, connect, parse, request
from tests.web.conftest import Serve, Served

JOBS = "/self-serve/jobs"
ASKED = request("GET", JOBS, JSON, last=False)
WAITING = 30
TLS_WARNING = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
"""Twisted's own endpoint passes what pyOpenSSL would have otherwise."""


def stop(served: Served) -> Deferred[None]:
    """Begin to stop; fires in the end."""
    return ensureDeferred(_wait(served.listener.stopService()))


async def _wait(deferred: Deferred[None]) -> None:
    await deferred


async def used(served: Served) -> Wire:
    """Return a connection on which a request was answered, and another may follow."""
    wire = await served.wire()
    wire.send(ASKED)
    answer = await wire.answer()
    assert "connection" not in answer.headers
    wire.received = b""
    return wire


@twisted_test(8)
async def test_a_request_on_an_idle_connection_is_still_answered_and_is_the_last(
    serve: Serve,
) -> None:
    served = serve(linger_seconds=60, drain_seconds=60)
    wires = [await used(served), await served.wire()]
    await until(lambda: len(served.listener._traffic.channels) == 2)
    stopped = await served.begin_stop()
    assert not any(wire.is_closed for wire in wires)
    for wire in wires:
        wire.send(ASKED)
        await wire.closed
        answer = await wire.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
    await stopped


@twisted_test(8)
async def test_what_stays_idle_is_closed_after_a_while(serve: Serve) -> None:
    served = serve(linger_seconds=0.3, drain_seconds=60)
    idle = await used(served)
    began = time.monotonic()
    stopped = stop(served)
    await idle.closed
    assert time.monotonic() - began >= 0.3
    assert idle.received == b""
    await stopped


@twisted_test(8)
async def test_a_stop_without_connections_takes_no_time(serve: Serve) -> None:
    served = serve(linger_seconds=60, drain_seconds=60)
    wire = await used(served)
    wire.close()
    await until(lambda: not served.listener._traffic.channels)
    await stop(served)


@twisted_test(8)
async def test_clients_that_leave_by_themselves_end_the_wait(serve: Serve) -> None:
    served = serve(linger_seconds=60, drain_seconds=60)
    wire = await used(served)
    stopped = await served.begin_stop()
    assert not stopped.called
    wire.close()
    await stopped


@pytest.mark.parametrize("cut", [5, ASKED.index(b"\r\n") + 2, len(ASKED) - 3])
@twisted_test(8)
async def test_a_request_of_which_some_has_come_is_answered(serve: Serve, cut: int) -> None:
    served = serve(linger_seconds=0, drain_seconds=60)
    wire = await used(served)
    wire.send(ASKED[:cut])
    await until(lambda: not any(c.idle for c in served.listener._traffic.channels))
    idle = await used(served)
    stopped = stop(served)
    await idle.closed
    assert not wire.is_closed
    wire.send(ASKED[cut:])
    await wire.closed
    answer = await wire.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    await stopped


@twisted_test(8)
async def test_a_body_that_is_still_coming_is_waited_for(serve: Serve) -> None:
    served = serve(linger_seconds=0, drain_seconds=60, development_user="zoe@example.org")
    form = b"priority=3"
    whole = request("PUT", "/self-serve/try/request/21", {**JSON, "X-Buildapi": "1"}, form)
    head = whole[: -len(form)].replace(
        b"Content-Length", b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length"
    )
    wire = await served.wire()
    wire.send(head + form[:4])
    await until(lambda: bool(served.in_flight))
    stopped = await served.begin_stop()
    wire.send(form[4:])
    assert (await wire.answer("PUT")).status == 202
    await wire.closed
    await stopped


@twisted_test(8)
async def test_an_old_client_that_asks_to_keep_its_connection_is_answered(serve: Serve) -> None:
    served = serve(linger_seconds=60, drain_seconds=60)
    wire = await served.wire()
    await until(lambda: bool(served.listener._traffic.channels))
    stopped = stop(served)
    old = ASKED.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n")
    wire.send(old)
    await wire.closed
    assert wire.received.startswith(b"HTTP/1.0 200 OK\r\n")
    await stopped


@twisted_test(8)
async def test_the_first_of_pipelined_requests_says_that_the_others_are_not_done(
    serve: Serve,
) -> None:
    served = serve(linger_seconds=60, drain_seconds=60)
    wire = await used(served)
    stopped = stop(served)
    wire.send(ASKED * 3)
    await wire.closed
    (answer,) = parse(wire.received, ["GET"] * 3)
    assert answer.headers["connection"] == "close"
    await stopped


@twisted_test(8)
async def test_an_answer_is_fetched_to_its_end_however_long_it_takes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildapi.web.http.listener.CLOSE_SECONDS", 0.1)
    served = serve(linger_seconds=0, drain_seconds=60)
    properties: Any = served.builds.requests[21].properties
    properties["large"] = "x" * 2**23  # more than a socket takes
    wire = await served.wire()
    wire.transport.pauseProducing()
    wire.send(request("GET", "/self-serve/try/request/21", JSON, last=False))
    await until(lambda: any(c.unread for c in served.listener._traffic.channels))
    assert not served.in_flight
    port = served.listener.ports[0].getHost().port
    with socket.create_connection(("127.0.0.1", port)):  # it never agrees to be closed
        await until(lambda: len(served.listener._traffic.channels) == 2)
        stopped = stop(served)
        # Who has all of his answer was given his time.
        await until(lambda: len(served.listener._traffic.channels) == 1)
    wire.transport.resumeProducing()
    await wire.closed
    assert len((await wire.answer()).body) > 2**23
    await stopped


@attrs.define
class Crowd:
    """Clients that connect and ask, all within one turn of the reactor."""

    family: socket.AddressFamily
    where: Any
    sockets: list[socket.socket] = attrs.field(factory=list)

    def come(self, count: int) -> None:
        for _ in range(count):
            s = socket.socket(self.family)
            s.settimeout(5)
            s.connect(self.where)
            s.sendall(ASKED)
            self.sockets.append(s)

    async def answers(self) -> list[bytes]:
        """Read what each received up to the end of its connection."""
        return await deferToThread(lambda: [_read(s) for s in self.sockets])

    def leave(self) -> None:
        for s in self.sockets:
            s.close()


def _read(s: socket.socket) -> bytes:
    text = b""
    while data := s.recv(65536):
        text += data
    return text


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    made = Crowd(socket.AF_INET, None)
    yield made
    made.leave()


def of_tcp(served: Served, crowd: Crowd) -> None:
    host = served.listener.ports[0].getHost()
    crowd.where = (host.host, host.port)


def last_ones(answers: list[bytes]) -> int:
    """Count those who got an answer that says that the connection ends."""
    got = [parse(text, ["GET"]) for text in answers]
    return sum(
        bool(g) and (g[0].status, g[0].headers.get("connection")) == (200, "close") for g in got
    )


@twisted_test(8)
async def test_who_is_connected_and_not_accepted_is_answered(serve: Serve, crowd: Crowd) -> None:
    served = serve(linger_seconds=60, drain_seconds=60)
    (await used(served)).close()  # the port now expects one at a time
    of_tcp(served, crowd)
    crowd.come(WAITING)
    stopped = stop(served)
    assert last_ones(await crowd.answers()) == WAITING
    await stopped


@twisted_test(8)
async def test_who_waits_at_a_unix_socket_is_answered(
    serve: Serve, crowd: Crowd, tmp_path: Path
) -> None:
    path = tmp_path / "http.sock"
    served = serve(listen=[f"unix:{path}"], linger_seconds=60, drain_seconds=60)
    crowd.family, crowd.where = socket.AF_UNIX, str(path)
    crowd.come(WAITING)
    stopped = stop(served)
    assert last_ones(await crowd.answers()) == WAITING
    assert not path.exists()
    await stopped


@twisted_test(8)
async def test_who_comes_before_anybody_is_let_in_waits(serve: Serve, crowd: Crowd) -> None:
    served = serve(held=True)
    of_tcp(served, crowd)
    crowd.come(3)
    await serve().turn()  # another site of the same process
    assert not served.listener._traffic.channels
    served.listener.admit()
    served.listener.admit()
    await until(lambda: len(served.listener._traffic.channels) == 3)
    await until(lambda: not served.in_flight)
    stopped = stop(served)
    assert [text[:15] for text in await crowd.answers()] == 3 * [b"HTTP/1.1 200 OK"]
    await stopped


@twisted_test(8)
async def test_who_was_never_let_in_is_answered_at_the_stop(serve: Serve, crowd: Crowd) -> None:
    served = serve(held=True, linger_seconds=60, drain_seconds=60)
    of_tcp(served, crowd)
    crowd.come(3)
    stopped = stop(served)
    assert last_ones(await crowd.answers()) == 3
    await stopped
    served.listener.admit()


@TLS_WARNING
@twisted_test(8)
async def test_tls_connections_end_like_others(serve: Serve, tmp_path: Path) -> None:
    Certificates.make().write(tmp_path)
    key, cert = tmp_path / "server.key", tmp_path / "server.pem"
    where = f"ssl:0:privateKey={key}:certKey={cert}:interface=127.0.0.1"
    served = serve(listen=[where], linger_seconds=0.5, drain_seconds=60)
    port = served.listener.ports[0].getHost().port
    asking, idle = await deferToThread(lambda: [_secure(port), _secure(port)])
    await until(lambda: len(served.listener._traffic.channels) == 2)
    stopped = await served.begin_stop()
    assert not stopped.called
    asking.sendall(ASKED)
    assert last_ones([await deferToThread(_read, asking)]) == 1
    assert await deferToThread(_read, idle) == b""
    await stopped
    asking.close()
    idle.close()


def _secure(port: int) -> ssl.SSLSocket:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    s = socket.create_connection(("127.0.0.1", port), 5)
    return anybody.wrap_socket(s)


@TLS_WARNING
@twisted_test(8)
async def test_a_tls_client_that_does_not_say_goodbye_is_cut(serve: Serve, tmp_path: Path) -> None:
    Certificates.make().write(tmp_path)
    key, cert = tmp_path / "server.key", tmp_path / "server.pem"
    where = f"ssl:0:privateKey={key}:certKey={cert}:interface=127.0.0.1"
    served = serve(listen=[where], linger_seconds=0, drain_seconds=60)
    silent = await deferToThread(_secure, served.listener.ports[0].getHost().port)
    await until(lambda: len(served.listener._traffic.channels) == 1)
    await stop(served)
    silent.close()


@twisted_test(8)
async def test_what_is_given_up_is_told(serve: Serve) -> None:
    served = serve(drain_seconds=0.2)
    served.builds.failing.held = Deferred()
    wire = await served.wire()
    wire.send(request("GET", "/self-serve/try", JSON, last=False))
    await until(lambda: bool(served.in_flight))
    events: Any = []
    globalLogPublisher.addObserver(events.append)
    await stop(served)
    globalLogPublisher.removeObserver(events.append)
    told = [e["log_format"].format(**e) for e in events if "late" in e]
    assert told == ["closed 1 connections at shutdown, 1 requests unanswered"]
    await wire.closed


@twisted_test(8)
async def test_streams_of_events_end_with_their_connections(serve: Serve) -> None:
    served = serve(linger_seconds=60, drain_seconds=60)
    wire = await connect(served.where)
    wire.send(request("GET", "/self-serve/events", {"Accept": "text/event-stream"}, last=False))
    await wire.until(lambda: b"\r\n\r\n" in wire.received)
    stopped = stop(served)
    await wire.closed
    await stopped
