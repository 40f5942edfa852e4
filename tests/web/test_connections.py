"""Clients that close their half, that do not read, and that send more than a request."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from buildapi.web.http.assets import File
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import Route
from buildapi.web.http.send_budget import CHUNK, Outgoing, SendBudget
from tests.reactor import twisted_test, until
from tests.web.client import JSON, Wire, connect, parse, request
from tests.web.conftest import Serve, Served

SLOW = "/self-serve/try"
LARGE = "/self-serve/try/request/21"


def hold(served: Served) -> Deferred[None]:
    """Have reads wait."""
    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    return held


def half_closed(served: Served) -> bool:
    """Return whether it is known of a connection that its client sends no more."""
    return any(channel._eof for channel in served.listener._traffic.channels)


def log_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- who closes his sending half


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@twisted_test(8)
async def test_who_closes_his_sending_half_after_the_request_is_answered(
    serve: Serve, tmp_path: Path, kind: str
) -> None:
    """As nc -N and socat do."""
    path, at = tmp_path / "access.log", tmp_path / "s"
    listen = {"unix": [f"unix:{at}"], "tcp": ["tcp:0:interface=127.0.0.1"]}[kind]
    served = serve(access_log=path, listen=listen)
    held = hold(served)
    wire = await connect(f"unix:{at}" if kind == "unix" else served.where)
    wire.send(request("GET", SLOW, JSON, last=False))
    wire.transport.loseWriteConnection()
    await until(lambda: bool(served.builds.failing.calls))
    await until(lambda: half_closed(served))
    held.callback(None)
    await wire.closed
    assert (await wire.answer()).status == 200
    await until(path.exists)
    assert " 200 " in path.read_text()
    await until(lambda: not served.listener._traffic.channels)


@twisted_test(8)
async def test_what_was_asked_before_the_half_was_closed_is_answered_too(served: Served) -> None:
    held = hold(served)
    wire = await served.wire()
    paths = [SLOW, "/self-serve/jobs", "/nowhere"]
    wire.send(b"".join(request("GET", path, JSON, last=False) for path in paths) + b"GET /half")
    wire.transport.loseWriteConnection()
    await until(lambda: bool(served.builds.failing.calls))
    held.callback(None)
    await wire.closed
    assert [a.status for a in parse(wire.received, ["GET"] * 3)] == [200, 200, 404]


@twisted_test(8)
async def test_a_large_answer_reaches_who_has_closed_his_half_and_reads_slowly(
    served: Served,
) -> None:
    served.builds.requests[21].properties["large"] = "x" * 2**23
    wire = await served.wire()
    wire.transport.pauseProducing()
    wire.send(request("GET", LARGE, JSON, last=False))
    await until(lambda: any(c.unread for c in served.listener._traffic.channels))
    wire.transport.loseWriteConnection()
    await served.turn()
    wire.transport.resumeProducing()
    await wire.closed
    assert len((await wire.answer()).body) > 2**23


@twisted_test(8)
async def test_who_is_gone_has_his_line_with_499(serve: Serve, tmp_path: Path) -> None:
    """Closing the whole connection looks like closing a half, until something is sent."""
    path = tmp_path / "access.log"
    served = serve(access_log=path)
    held = hold(served)
    port = served.listener.ports[0].getHost().port
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(request("GET", SLOW, JSON, last=False))
        await until(lambda: bool(served.builds.failing.calls))
    await until(lambda: half_closed(served))
    held.callback(None)
    await until(lambda: path.exists() and bool(path.read_text()))
    assert " 499 " in path.read_text()
    await until(lambda: not served.listener._traffic.channels and not served.in_flight)


@pytest.mark.parametrize("sent", [b"", b"GET /self", request("GET", SLOW)[:-2]])
@twisted_test(4)
async def test_who_closes_his_half_before_the_request_is_whole_is_let_go(
    served: Served, sent: bytes
) -> None:
    wire = await served.wire()
    wire.send(sent)
    await until(lambda: [c.idle for c in served.listener._traffic.channels] == [not sent])
    wire.transport.loseWriteConnection()
    await wire.closed
    await until(lambda: not served.listener._traffic.channels and not served.in_flight)


# --- who does not read


def buffered(served: Served) -> int:
    """Count the bytes of answers that this process holds for its clients."""
    channels = served.listener._traffic.channels
    transports = [channel.transport for channel in channels]
    handed = sum(len(t.dataBuffer) - t.offset + t._tempDataLen for t in transports)
    return handed + sum(channel._outgoing.queued for channel in channels)


async def greedy(served: Served, times: int) -> socket.socket:
    """Ask for a large answer many times on one connection, and read none."""
    port = served.listener.ports[0].getHost().port
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    client.send(request("GET", LARGE, JSON, last=False) * times)
    await until(lambda: any(c.unread for c in served.listener._traffic.channels))
    return client


@twisted_test(12)
async def test_no_pipelined_request_is_begun_while_nobody_reads(serve: Serve) -> None:
    served = serve(idle_seconds=30)
    size = 2**22
    served.builds.requests[21].properties["large"] = "x" * size
    client = await greedy(served, 100)
    most = 0
    for _ in range(20):
        await served.turn()
        most = max(most, buffered(served))
    assert 0 < most < size + 2 * CHUNK + 2**12
    client.setblocking(True)
    client.settimeout(5)
    client.close()


@twisted_test(12)
async def test_who_pipelines_many_requests_does_not_keep_others_waiting(served: Served) -> None:
    """Between two requests of one connection every other connection has a turn."""
    many = 100
    wire = await served.wire()
    other = await served.wire()
    sent = [request("GET", "/self-serve/jobs", JSON, last=n == many - 1) for n in range(many)]
    wire.send(b"".join(sent))
    other.send(request("GET", "/self-serve/jobs", JSON))
    await other.closed
    assert len(parse(wire.received, ["GET"] * many)) < many // 2
    await wire.closed
    assert len(parse(wire.received, ["GET"] * many)) == many


@twisted_test(20)
async def test_pipelined_requests_go_on_as_their_answers_are_read(served: Served) -> None:
    served.builds.requests[21].properties["large"] = "x" * 2**21
    wire = await served.wire()
    wire.transport.pauseProducing()
    sent = [request("GET", LARGE, JSON, last=n == 5) for n in range(6)]
    wire.send(b"".join(sent))
    await until(lambda: any(c.unread for c in served.listener._traffic.channels))
    await served.turn()
    wire.transport.resumeProducing()
    await wire.closed
    answers = parse(wire.received, ["GET"] * 6)
    assert [len(a.body) > 2**21 for a in answers] == [True] * 6


@twisted_test(12)
async def test_what_waits_for_all_clients_is_bounded_and_who_reads_least_is_cut(
    serve: Serve,
) -> None:
    total = 3 * 2**22
    served = serve(idle_seconds=30, unread_bytes=2**23, unread_bytes_total=total)
    served.builds.requests[21].properties["large"] = "x" * 2**22
    clients, most = [], 0
    for _ in range(12):
        clients.append(await greedy(served, 2))
        await served.turn()
        most = max(most, buffered(served))
    assert most < total + 12 * 2 * CHUNK
    assert 0 < len(served.listener._traffic.channels) < 12
    answer = await served.ask("GET", "/self-serve/jobs", JSON)
    assert answer.status == 200
    for client in clients:
        client.close()


@twisted_test(8)
async def test_who_reads_nothing_of_an_answer_is_cut_in_time(serve: Serve) -> None:
    served = serve(idle_seconds=0.5)
    served.builds.requests[21].properties["large"] = "x" * 2**23
    for last in (False, True):
        port = served.listener.ports[0].getHost().port
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(request("GET", LARGE, JSON, last=last))
            await until(lambda: any(c.unread for c in served.listener._traffic.channels))
            await until(lambda: not served.listener._traffic.channels)


@twisted_test(8)
async def test_an_answer_larger_than_may_wait_is_refused_and_says_so(serve: Serve) -> None:
    served = serve(unread_bytes=2**20)
    served.builds.requests[21].properties["large"] = "x" * 2**21
    answer = await served.ask("GET", LARGE, JSON)
    assert (answer.status, answer.json["code"]) == (413, "too_large")
    assert answer.json["msg"] == "The answer exceeds 1048576 bytes: request less at a time"
    assert "etag" not in answer.headers


@twisted_test(8)
async def test_the_refusal_of_a_file_is_not_saved_as_the_file(serve: Serve) -> None:
    async def large(_call: Call) -> Reply:
        reply = Reply.data("Large", JSONBody.of(None))
        return attrs.evolve(reply, attached=File("x.csv", "text/csv", b"x" * 2**21))

    served = serve(unread_bytes=2**20, more_routes=[Route("GET", "/large", large, "Large.")])
    answer = await served.ask("GET", "/large", JSON)
    assert answer.status == 413
    assert "content-disposition" not in answer.headers


class Transport:
    """It takes so many chunks, and then says that it is full."""

    def __init__(self, budget: SendBudget, room: int) -> None:
        self.room, self.written, self.why = room, b"", ""
        self.clock = Clock()
        self.outgoing = Outgoing(budget, self.write, 30, self.clock.callLater, self.cut)

    def write(self, data: bytes) -> None:
        self.written += data
        self.room -= 1
        if self.room <= 0:
            self.outgoing.pause()

    def cut(self, why: str) -> None:
        self.why = why


def test_bytes_are_handed_on_in_order_as_there_is_room() -> None:
    budget = SendBudget(2**20, 2**20)
    transport = Transport(budget, 2)
    data = bytes(range(256)) * 2048
    transport.outgoing.add(data[:1000])
    transport.outgoing.add(data[1000:])
    assert transport.written == data[: 1000 + CHUNK]
    assert budget.waiting == transport.outgoing.queued == len(data) - 1000 - CHUNK
    while transport.outgoing.waits:
        transport.room = 1
        transport.outgoing.resume()
        if not transport.outgoing.queued:
            transport.room = 5
            transport.outgoing.resume()
    assert transport.written == data
    assert budget.waiting == 0


def test_a_client_has_the_whole_time_for_each_chunk() -> None:
    transport = Transport(SendBudget(2**24, 2**24), 1)
    transport.outgoing.add(b"x" * CHUNK * 5)
    for _ in range(3):
        transport.clock.advance(29)
        transport.room = 1
        transport.outgoing.resume()
    assert len(transport.clock.calls) == 1
    assert not transport.why
    transport.clock.advance(30)
    assert transport.why == "it does not read its answer"
    assert transport.outgoing.queued == 0


def test_a_client_that_has_read_everything_may_rest() -> None:
    transport = Transport(SendBudget(2**24, 2**24), 1)
    transport.outgoing.add(b"x" * CHUNK * 2)
    transport.room = 5
    transport.outgoing.resume()
    assert transport.clock.calls == []
    assert not transport.outgoing.waits


def test_a_client_with_too_much_waiting_is_cut_and_leaves_nothing() -> None:
    budget = SendBudget(1000, 10**6)
    transport = Transport(budget, 1)
    transport.outgoing.add(b"x" * (CHUNK + 1000))
    assert not transport.why
    transport.outgoing.add(b"x")
    assert transport.why == "1001 unread bytes (max 1000)"
    assert budget.waiting == 0
    transport.outgoing.add(b"more")
    assert budget.waiting == 0


def test_of_all_clients_the_one_that_has_read_nothing_for_the_longest_is_cut() -> None:
    budget = SendBudget(1000, 2500)
    one, two, three = (Transport(budget, 1) for _ in range(3))
    for transport in (one, two):
        transport.outgoing.add(b"x" * (CHUNK + 1000))
    one.room, full = 1, one.outgoing.queued
    one.outgoing.resume()
    assert one.outgoing.queued < full
    one.outgoing.add(b"x" * 900)
    three.outgoing.add(b"x" * (CHUNK + 900))
    assert "2800 unread bytes of all clients" in two.why
    assert not one.why
    assert not three.why


# --- who sends too much before there is a request

LONG = "y" * 17_000
REFUSED = [
    (f"GET /{LONG} HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n", 414, "uri_too_long"),
    (f"GET /{LONG * 9}", 414, "uri_too_long"),
    (f"GET / HTTP/1.1\r\nX: {LONG}\r\n\r\n", 431, "headers_too_large"),
    (f"GET / HTTP/1.1\r\nHost: h\r\nX: {LONG * 9}", 431, "headers_too_large"),
    ("GET / HTTP/1.1\r\n" + f"X: {'y' * 1000}\r\n" * 20 + "\r\n", 431, "headers_too_large"),
    ("GET / HTTP/1.1\r\n" + "X: y\r\n" * 501 + "\r\n", 431, "headers_too_large"),
    ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "bad_request"),
    ("GARBAGE\r\n\r\n", 400, "bad_request"),
]


async def refused(served: Served, sent: bytes) -> Wire:
    wire = await served.wire()
    wire.send(sent)
    await wire.closed
    await until(lambda: not served.listener._traffic.channels)
    return wire


@pytest.mark.parametrize(("sent", "status", "code"), REFUSED)
@twisted_test(6)
async def test_an_over_long_line_or_header_is_refused_with_its_status_and_closed(
    serve: Serve, tmp_path: Path, sent: str, status: int, code: str
) -> None:
    path = tmp_path / "access.log"
    served = serve(access_log=path)
    wire = await refused(served, sent.encode())
    (answer,) = parse(wire.received, ["GET"])
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert wire.received.count(b"\r\nConnection: close\r\n") == 1
    if "Accept" in sent:
        assert answer.json["code"] == code
    else:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "<h1>" in answer.text
    (line,) = path.read_text().splitlines()
    assert f" {status} " in line
    assert len(line) < 3000


@twisted_test(6)
async def test_a_json_client_reads_why_its_headers_are_refused(served: Served) -> None:
    sent = request("GET", "/", JSON | {"X-Long": LONG})
    wire = await refused(served, sent)
    (answer,) = parse(wire.received, ["GET"])
    assert wire.received.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert answer.json == {
        "status": "FAILED",
        "msg": "The request's headers are more than 16384 bytes",
        "code": "headers_too_large",
    }


@twisted_test(6)
async def test_who_still_sends_reads_why_he_is_refused(served: Served) -> None:
    """Closing at once would reset the connection, and take the answer away."""
    wire = await served.wire()
    for _ in range(50):
        wire.send(b"GET /" + b"y" * 20_000)
    await wire.closed
    assert wire.received.startswith(b"HTTP/1.1 414 ")
    assert not served.in_flight
