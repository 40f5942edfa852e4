"""The connection and its channels against a peer in memory."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from buildapi.mq.txamqp import codec
from buildapi.mq.txamqp.client import Client, ClientFactory, Credentials
from buildapi.mq.txamqp.errors import (
    ChannelClosed,
    Closed,
    ConnectionClosed,
    ConsumerCancelled,
    Nacked,
    ProtocolError,
    Unroutable,
    describe,
)
from tests.mq.peer import Endpoint, Peer, encode_content


@attrs.define
class Line:
    """A client and its peer."""

    clock: Clock
    client: Client
    peer: Peer

    def do(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Let something happen and give its result; it must end without time passing."""
        return result(self.start(step))

    def start(self, step: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        running = ensureDeferred(step)
        self.clock.advance(0)
        return running

    def channel(self, **options: Any) -> Any:
        return self.do(self.client.open_channel(**options))


def result(deferred: Deferred[Any]) -> Any:
    found: list[Any] = []
    deferred.addBoth(found.append)
    assert found, "not fired"
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]


def pending(deferred: Deferred[Any]) -> bool:
    return not deferred.called


def connect(heartbeat: int = 0, silent: set[str] | None = None) -> Line:
    clock = Clock()
    endpoint = Endpoint(clock, silent=silent or set())
    factory = ClientFactory(clock, Credentials("me", "geheim"), "/v", heartbeat, "label")
    client = result(endpoint.connect(factory))
    line = Line(clock, client, endpoint.peers[0])
    if not silent:
        line.do(client.open())
    return line


def properties(message_id: str = "m") -> dict[str, Any]:
    return {"message-id": message_id}


# --- handshake ------------------------------------------------------------------------------


def test_the_handshake_names_us_and_what_we_can() -> None:
    line = connect()
    (start_ok,) = line.peer.called("connection.start-ok")
    assert (start_ok["mechanism"], start_ok["response"]) == ("PLAIN", "\0me\0geheim")
    assert start_ok["client_properties"]["connection_name"] == "label"
    assert start_ok["client_properties"]["capabilities"]["connection.blocked"] is True
    assert line.peer.called("connection.open")[0]["virtual_host"] == "/v"


@pytest.mark.parametrize(("wanted", "agreed"), [(30, 30), (90, 60), (0, 0)])
def test_the_shorter_heartbeat_is_taken_and_none_stays_none(wanted: int, agreed: int) -> None:
    line = connect(heartbeat=wanted)
    assert line.peer.called("connection.tune-ok")[0]["heartbeat"] == agreed
    line.client.abort(Closed("end"))


def test_frames_stay_within_what_the_broker_offers() -> None:
    line = connect(silent={"connection.start-ok"})
    line.peer.send(0, "connection.tune", frame_max=4096)
    line.do(line.client.open())
    channel = line.channel()
    line.start(channel.publish("", "q", b"x" * 10_000, properties()))
    assert [len(b) for b in line.peer.bodies] == [4088, 4088, 1824]


def test_a_refused_login_fails_with_the_reason() -> None:
    line = connect(silent={"connection.start-ok"})
    opened = line.start(line.client.open())
    line.peer.send(0, "connection.close", reply_code=403, reply_text="ACCESS_REFUSED - no")
    with pytest.raises(ConnectionClosed) as caught:
        result(opened)
    assert describe(caught.value) == "403 ACCESS_REFUSED - no"
    assert "geheim" not in repr(line.client.credentials)


# --- calls ----------------------------------------------------------------------------------


def test_what_cannot_be_encoded_fails_before_a_byte_is_sent() -> None:
    line = connect()
    channel, before = line.channel(), bytes(line.peer.written)
    with pytest.raises(TypeError):
        result(channel.queue_declare(queue="q", arguments={"x": object()}))
    with pytest.raises(ValueError, match="do not fit"):
        line.do(channel.publish("", "q", b"", properties() | {"headers": {"x": "y" * 200_000}}))
    assert line.peer.written == before
    assert result_of_declare(line, channel).method.name == "declare-ok"


def result_of_declare(line: Line, channel: Any) -> Any:
    declared = channel.queue_declare(queue="q")
    line.clock.advance(0)
    return result(declared)


def test_the_late_reply_of_a_cancelled_call_is_nobody_elses() -> None:
    line = connect()
    channel = line.channel()
    line.peer.silent.add("queue.declare")
    first = channel.queue_declare(queue="a")
    first.cancel()
    second = channel.queue_declare(queue="b")
    line.peer.send(channel.id, "queue.declare-ok", queue="a")
    assert pending(second)
    line.peer.send(channel.id, "queue.declare-ok", queue="b")
    assert result(second).queue == "b"
    with pytest.raises(CancelledError):
        result(first)


def test_everything_in_flight_fails_when_the_connection_is_lost() -> None:
    line = connect()
    channel, ends = line.channel(), []
    line.do(channel.consume("q", lambda m: None, ends.append))
    line.peer.silent.add("queue.declare")
    flying = [
        channel.queue_declare(queue="q"),
        line.start(channel.publish("", "q", b"", properties())),
    ]
    closed = channel.when_closed()
    line.peer.abortConnection()
    line.clock.advance(0)
    for deferred in flying:
        with pytest.raises(Closed):
            result(deferred)
    assert isinstance(result(closed), Closed)
    assert [type(e) for e in ends] == [Closed]


def test_use_after_the_end_fails_at_once() -> None:
    line = connect()
    channel = line.channel()
    line.peer.loseConnection()
    line.clock.advance(0)
    with pytest.raises(Closed):
        result(channel.queue_declare(queue="q"))
    with pytest.raises(Closed):
        line.do(line.client.open_channel())
    assert isinstance(result(channel.when_closed()), Closed)


def test_an_error_on_a_channel_ends_that_channel_only() -> None:
    line = connect()
    bad, good = line.channel(), line.channel()
    line.peer.silent.add("queue.declare")
    declared = bad.queue_declare(queue="q")
    line.peer.send(bad.id, "channel.close", reply_code=406, reply_text="PRECONDITION_FAILED - x")
    with pytest.raises(ChannelClosed) as caught:
        result(declared)
    assert describe(caught.value) == "406 PRECONDITION_FAILED - x"
    line.peer.silent.clear()
    assert result_of_declare(line, good)
    assert line.peer.called("channel.close-ok")


def test_a_channel_number_is_not_used_again_at_once() -> None:
    line = connect()
    first = line.channel()
    line.do(first.close_channel())
    assert line.channel().id == first.id + 1
    line.peer.send(first.id, "channel.close-ok")  # late, and harmless
    assert not line.client.closed


def test_good_bye_waits_for_the_reply_but_not_for_ever() -> None:
    line = connect()
    line.do(line.client.shutdown(5))
    assert line.peer.called("connection.close")
    assert line.peer.lost
    hanging = connect()
    hanging.peer.silent.add("connection.close")
    gone = hanging.start(hanging.client.shutdown(5))
    assert pending(gone)
    hanging.clock.advance(5)
    result(gone)
    assert hanging.peer.lost


# --- messages -------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_message_may_come_in_any_pieces(step: int) -> None:
    line, got = connect(), []
    channel = line.channel()
    tag = line.do(channel.consume("q", got.append, lambda e: None))
    chunks, values = (b"\xff\x00", "ü".encode(), b"tail"), {"consumer_tag": tag, "delivery_tag": 1}
    data = encode_content(channel.id, "basic.deliver", {"message-id": "7"}, *chunks, **values)
    for start in range(0, len(data), step):
        line.peer.feed(data[start : start + step])
    assert [(m.content.body, m.delivery_tag) for m in got] == [(b"".join(chunks), 1)]


def test_an_empty_message_is_one_too() -> None:
    line, got = connect(), []
    channel = line.channel()
    tag = line.do(channel.consume("q", got.append, lambda e: None))
    line.peer.send_content(channel.id, "basic.deliver", {}, consumer_tag=tag)
    assert [m.content.body for m in got] == [b""]


def test_confirms_settle_one_or_all_up_to_a_tag() -> None:
    line = connect()
    channel = line.channel(confirm=True)
    sent = [line.start(channel.publish("", "q", b"", properties(str(n)))) for n in range(5)]
    line.peer.send(channel.id, "basic.ack", delivery_tag=4)
    assert [d.called for d in sent] == [False, False, False, True, False]
    line.peer.send(channel.id, "basic.ack", delivery_tag=2, multiple=True)
    assert [d.called for d in sent] == [True, True, False, True, False]
    assert channel.unconfirmed == 2
    line.peer.send(channel.id, "basic.nack", delivery_tag=0, multiple=True)
    for deferred in (sent[2], sent[4]):
        with pytest.raises(Nacked):
            result(deferred)
    assert channel.unconfirmed == 0


def test_a_returned_message_is_unroutable_and_the_others_are_not() -> None:
    line = connect()
    channel = line.channel(confirm=True)
    one, two = [line.start(channel.publish("", "q", b"", properties(i))) for i in ("1", "2")]
    line.peer.send_content(
        channel.id, "basic.return", properties("2"), reply_code=312, reply_text="NO_ROUTE"
    )
    line.peer.send(channel.id, "basic.ack", delivery_tag=2, multiple=True)
    result(one)
    with pytest.raises(Unroutable, match="312 NO_ROUTE"):
        result(two)


def test_a_confirm_that_nobody_waits_for_is_harmless() -> None:
    line = connect()
    channel = line.channel(confirm=True)
    sent = line.start(channel.publish("", "q", b"", properties()))
    sent.cancel()
    with pytest.raises(CancelledError):
        result(sent)
    assert channel.unconfirmed == 1
    line.peer.send(channel.id, "basic.ack", delivery_tag=1)
    line.peer.send(channel.id, "basic.ack", delivery_tag=1)
    assert channel.unconfirmed == 0
    assert not line.client.closed


def test_a_consumer_hears_that_the_broker_cancelled_it() -> None:
    line, ends = connect(), []
    channel = line.channel()
    tag = line.do(channel.consume("q", lambda m: None, ends.append))
    line.peer.send(channel.id, "basic.cancel", consumer_tag=tag)
    line.peer.loseConnection()
    line.clock.advance(0)
    assert [type(e) for e in ends] == [ConsumerCancelled]


def test_a_cancelled_consumer_hears_nothing_more() -> None:
    line, got = connect(), []
    channel = line.channel()
    tag = line.do(channel.consume("q", got.append, got.append))
    line.do(channel.cancel(tag))
    line.peer.send_content(channel.id, "basic.deliver", {}, b"1", consumer_tag=tag)
    line.peer.loseConnection()
    line.clock.advance(0)
    assert got == []


def test_blocked_is_known_and_forgotten() -> None:
    line = connect()
    line.peer.send(0, "connection.blocked", reason="low on memory")
    assert line.client.blocked == "low on memory"
    line.peer.send(0, "connection.unblocked")
    assert line.client.blocked is None


# --- a peer that misbehaves -----------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        codec.frame(codec.METHOD, 0, b"\x00\x0a\x00\x33")[:-1] + b"\x00",
        codec.frame(codec.METHOD, 0, b"\x00\x63\x00\x01"),
        codec.frame(codec.METHOD, 0, b"\x00"),
        codec.frame(codec.BODY, 0, b"content of nothing"),
        codec.frame(codec.METHOD, 0, b"\x00\x32\x00\x15"),
    ],
    ids=["not AMQP", "no frame end", "unknown class", "cut", "body alone", "reply to nothing"],
)
def test_garbage_ends_the_connection(data: bytes) -> None:
    line = connect()
    line.peer.feed(data)
    assert line.peer.lost
    assert isinstance(line.client.error, ProtocolError)


# --- heartbeat ------------------------------------------------------------------------------


def test_a_heartbeat_is_sent_when_nothing_else_is() -> None:
    line = connect(heartbeat=10)
    for _ in range(4):
        line.clock.advance(5)
        line.peer.feed(codec.frame(codec.HEARTBEAT, 0, b""))
    assert line.peer.heartbeats == 4
    line.client.abort(Closed("end"))


def test_a_silent_peer_is_given_up_and_calls_fail() -> None:
    line = connect(heartbeat=10)
    channel = line.channel()
    line.peer.silent.add("queue.declare")
    declared = channel.queue_declare(queue="q")
    for _ in range(4):
        line.clock.advance(5)
    assert not line.peer.lost
    line.clock.advance(5)
    assert line.peer.lost
    with pytest.raises(Closed, match="sent nothing for 25 s"):
        result(declared)
    assert not line.clock.getDelayedCalls()
