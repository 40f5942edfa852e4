"""The RabbitMQ broker against a peer in memory: deadlines, bounds, and what it says."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from buildapi.errors import BrokerUnavailable
from buildapi.model.messages import DeadLetter, Nack
from buildapi.mq.amqp import AMQPBroker
from buildapi.mq.topology import DELIVERY_LIMIT
from buildapi.testing import KEY, Recorder
from tests.mq.peer import Endpoint, Peer

QUEUE = "buildapi-agent"
START = 1_700_000_000


@attrs.define
class Desk:
    """A broker, its clock and the peers it connected to: first to publish, then to consume."""

    endpoint: Endpoint
    broker: AMQPBroker

    @property
    def clock(self) -> Clock:
        return self.endpoint.clock

    @property
    def publisher(self) -> Peer:
        return self.endpoint.peers[0]

    @property
    def consumer(self) -> Peer:
        return self.endpoint.peers[1]

    def turn(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)

    def start(self, step: Awaitable[Any]) -> Deferred[Any]:
        running: Deferred[Any] = ensureDeferred(step)  # type: ignore[arg-type]  # a coroutine
        self.turn()
        return running

    def publish(self, message_id: str = "m") -> Deferred[Any]:
        return self.start(self.broker.publish(KEY, b"{}", message_id=message_id))

    def confirm(self, **values: Any) -> None:
        channel = self.publisher.calls[-1][0]
        self.publisher.send(channel, "basic.ack", **values)

    def deliver(self, properties: dict[str, Any], redelivered: bool = False) -> None:
        number, _, consume = next(c for c in self.consumer.calls[::-1] if c[1] == "basic.consume")
        self.consumer.send_content(
            number,
            "basic.deliver",
            properties,
            b"{}",
            consumer_tag=consume["consumer_tag"],
            delivery_tag=7,
            routing_key=KEY,
            redelivered=redelivered,
        )

    def stop(self) -> None:
        stopped = self.broker.stopService()
        for _ in range(3):
            self.turn(5)
        assert stopped.called
        assert not self.clock.getDelayedCalls()


def desk(endpoint: Endpoint | None = None, **options: Any) -> Desk:
    endpoint = endpoint or Endpoint(Clock())
    endpoint.clock.rightNow = START
    settings: dict[str, Any] = {"username": "me", "password": "geheim", "heartbeat": 0} | options
    broker = AMQPBroker(endpoint.clock, endpoint, now=endpoint.clock.seconds, **settings)
    broker.startService()
    endpoint.clock.advance(0)
    return Desk(endpoint, broker)


def consuming(handler: Recorder, **options: Any) -> Desk:
    d = desk(**options)
    d.start(d.broker.consume(QUEUE, handler, prefetch=4))
    return d


def refusal(deferred: Deferred[Any]) -> str:
    """Return the text of the refusal it must have ended with."""
    found: list[Any] = []
    deferred.addBoth(found.append)
    assert found, "still waiting"
    assert isinstance(found[0], Failure)
    return str(found[0].check(BrokerUnavailable) and found[0].value)


# --- what is declared -----------------------------------------------------------------------


def test_a_fresh_broker_gets_quorum_queues_with_dead_letters() -> None:
    d = desk()
    declared = {c["queue"]: c for c in d.publisher.called("queue.declare")}
    assert set(declared) == {QUEUE, f"{QUEUE}.dead", "buildapi-web", "buildapi-web.dead"}
    assert all(c["durable"] for c in declared.values())
    assert declared[QUEUE]["arguments"] == {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"{QUEUE}.dead",
        "x-delivery-limit": DELIVERY_LIMIT,
    }
    assert declared[f"{QUEUE}.dead"]["arguments"] == {}
    (exchange,) = d.publisher.called("exchange.declare")
    assert (exchange["exchange"], exchange["type"], exchange["durable"]) == (
        "buildapi.control",
        "topic",
        True,
    )
    bound = {(b["routing_key"], b["queue"]) for b in d.publisher.called("queue.bind")}
    assert bound == {("requests", QUEUE), ("finished", "buildapi-web")}
    d.stop()


def test_a_queue_that_is_there_already_is_used_as_it_is(log_lines: list[str]) -> None:
    d = desk(Endpoint(Clock(), refused={QUEUE: "PRECONDITION_FAILED - inequivalent arg"}))
    assert d.broker.status().connected
    looks = [c for c in d.publisher.called("queue.declare") if c["passive"]]
    assert [c["queue"] for c in looks] == [QUEUE]
    (line,) = [t for t in log_lines if "used as it is" in t]
    assert f"queue {QUEUE} exists with other arguments" in line
    assert "406 PRECONDITION_FAILED" in line
    d.stop()


def test_a_broker_without_quorum_queues_gets_classic_ones() -> None:
    d = desk(Endpoint(Clock(), server={"product": "RabbitMQ", "version": "2.8.4"}))
    assert {c["queue"]: c["arguments"] for c in d.publisher.called("queue.declare")}[QUEUE] == {}
    d.stop()


# --- publishing -----------------------------------------------------------------------------


def test_a_publish_ends_with_the_confirm() -> None:
    d = desk()
    sent = d.publish()
    assert not sent.called
    d.confirm(delivery_tag=1)
    assert sent.called
    assert d.publisher.headers == [
        {
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "delivery-mode": 2,
            "message-id": "m",
            "timestamp": START,
        }
    ]
    (call,) = d.publisher.called("basic.publish")
    assert (call["exchange"], call["routing_key"], call["mandatory"]) == (
        "buildapi.control",
        "requests",
        True,
    )
    d.stop()


def test_a_publish_waits_for_the_connection() -> None:
    d = desk(Endpoint(Clock(), errors=[Refused()]))
    sent = d.publish()
    d.turn(1)
    d.turn()
    assert not sent.called
    d.confirm(delivery_tag=1)
    assert sent.called
    d.stop()


def test_without_a_connection_a_publish_fails_in_time_with_the_last_error() -> None:
    d = desk(Endpoint(Clock(), errors=[Refused("port closed")] * 9))
    sent = d.publish()
    d.turn(2.9)
    assert not sent.called
    d.turn(0.2)
    text = refusal(sent)
    assert "not connected within 3 s" in text
    assert "port closed" in text
    d.stop()


def test_without_a_confirm_a_publish_fails_in_time() -> None:
    d = desk(publish_seconds=2)
    sent = d.publish()
    d.turn(2)
    assert refusal(sent) == "no confirm within 2 s"
    d.stop()


def test_a_blocked_broker_is_named_as_the_reason_and_then_asked_no_more() -> None:
    d = desk()
    sent = d.publish()
    d.publisher.send(0, "connection.blocked", reason="low on memory")
    d.turn(3)
    assert refusal(sent) == "the broker accepts no messages: low on memory"
    count = len(d.publisher.called("basic.publish"))
    assert refusal(d.publish()) == "the broker accepts no messages: low on memory"
    assert len(d.publisher.called("basic.publish")) == count
    assert d.broker.status().blocked == "low on memory"
    d.publisher.send(0, "connection.unblocked")
    assert d.broker.status().blocked is None
    again = d.publish()
    d.confirm(delivery_tag=2, multiple=True)
    assert again.called
    d.stop()


def test_more_than_the_bound_are_refused_even_after_their_callers_gave_up() -> None:
    d = desk(max_unconfirmed=2)
    given_up = [d.publish(str(n)) for n in range(2)]
    d.turn(3)
    assert all(refusal(s) for s in given_up)
    assert refusal(d.publish()) == "too many messages wait for the broker (2)"
    d.confirm(delivery_tag=2, multiple=True)
    sent = d.publish()
    d.confirm(delivery_tag=3)
    assert sent.called
    d.stop()


def test_those_who_wait_for_a_connection_are_bounded_too() -> None:
    d = desk(Endpoint(Clock(), errors=[Refused()] * 9), max_unconfirmed=2)
    for n in range(2):
        d.publish(str(n)).addErrback(lambda f: f.trap(BrokerUnavailable))
    assert refusal(d.publish()) == "too many messages wait for the broker (2)"
    d.stop()


def test_a_refused_message_and_a_lost_connection_are_told() -> None:
    d = desk()
    refused, lost = d.publish("1"), d.publish("2")
    d.publisher.send(d.publisher.calls[-1][0], "basic.nack", delivery_tag=1)
    assert refusal(refused) == "the broker refused the message"
    d.publisher.send(0, "connection.close", reply_code=320, reply_text="CONNECTION_FORCED - bye")
    assert refusal(lost) == "not confirmed: 320 CONNECTION_FORCED - bye"
    d.stop()


def test_a_message_that_no_frame_can_hold_is_refused_and_the_next_one_is_sent() -> None:
    d = desk()
    assert refusal(d.publish(300 * "x")).startswith("the message cannot be encoded: ")
    assert not d.publisher.called("basic.publish")
    sent = d.publish()
    d.confirm(delivery_tag=1)
    assert sent.called
    d.stop()


def test_a_closed_publishing_channel_is_replaced() -> None:
    d = desk()
    sent = d.publish()
    number = d.publisher.calls[-1][0]
    d.publisher.send(number, "channel.close", reply_code=404, reply_text="NOT_FOUND - no exchange")
    assert "NOT_FOUND - no exchange" in refusal(sent)
    d.turn()
    d.turn(1)
    d.turn()
    assert len(d.endpoint.peers) == 2
    assert d.broker.status().connected
    assert d.broker.status().last_error == "404 NOT_FOUND - no exchange"
    d.stop()


def test_stopping_fails_those_who_wait() -> None:
    d = desk(Endpoint(Clock(), errors=[Refused()]))
    waiting = d.publish()
    d.stop()
    assert "stopped" in refusal(waiting)
    assert "stopped" in refusal(d.publish())


# --- consuming ------------------------------------------------------------------------------


def test_consuming_has_a_connection_of_its_own_and_the_prefetch() -> None:
    d = consuming(Recorder())
    assert [c["prefetch_count"] for c in d.consumer.called("basic.qos")] == [4]
    assert not d.publisher.called("basic.consume")
    labels = [
        p.called("connection.start-ok")[0]["client_properties"]["connection_name"]
        for p in d.endpoint.peers
    ]
    assert labels == ["buildapi publisher", "buildapi consumer"]
    d.stop()


def test_lost_connections_are_not_counted_as_tries() -> None:
    got = Recorder([Nack("busy")])
    d = consuming(got)
    d.deliver({"message-id": "m", "headers": {"x-delivery-count": 12}})
    assert (got.seen[0].attempt, got.seen[0].redelivered) == (1, True)
    d.confirm(delivery_tag=1)
    d.stop()


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_a_copy_carries_the_count_and_the_original_is_acknowledged_after_it(
    queue_type: str,
) -> None:
    got = Recorder([Nack("busy")])
    d = consuming(got, queue_type=queue_type)
    headers = {"x-buildapi-attempt": 1, "x-death": [{"count": 1}], "CC": ["elsewhere"]}
    d.deliver({"message-id": "m", "expiration": "1", "user-id": "x", "headers": headers})
    assert got.seen[0].attempt == 2
    (call,) = d.publisher.called("basic.publish")
    assert (call["exchange"], call["routing_key"]) == ("", QUEUE)
    assert d.publisher.headers[-1] == {
        "message-id": "m",
        "delivery-mode": 2,
        "headers": {
            "x-buildapi-attempt": 2,
            "x-buildapi-routing-key": KEY,
            "x-death": [{"count": 1}],
        },
    }
    assert not d.consumer.called("basic.ack")
    d.confirm(delivery_tag=1)
    assert [c["delivery_tag"] for c in d.consumer.called("basic.ack")] == [7]
    d.stop()


def test_a_dead_letter_is_acknowledged_only_once_its_copy_is_safe() -> None:
    d = consuming(Recorder([DeadLetter("x" * 5000)]))
    d.deliver({"message-id": "m"})
    assert d.publisher.called("basic.publish")[0]["routing_key"] == f"{QUEUE}.dead"
    assert d.publisher.headers[-1]["headers"]["x-buildapi-reason"] == "x" * 1000
    assert not d.consumer.called("basic.ack")
    d.confirm(delivery_tag=1)
    assert d.consumer.called("basic.ack")
    d.stop()


@pytest.mark.parametrize("headers", [{"big": "x" * 50_000}, {"x-delivery-count": "many"}])
def test_odd_headers_of_others_do_not_keep_a_message_from_being_put_aside(
    headers: dict[str, Any],
) -> None:
    got = Recorder([DeadLetter("bad")])
    d = consuming(got)
    d.deliver({"headers": headers})
    assert (got.seen[0].message_id, got.seen[0].attempt) == (None, 1)
    d.confirm(delivery_tag=1)
    assert d.consumer.called("basic.ack")
    assert "big" not in d.publisher.headers[-1]["headers"]
    d.stop()


def test_a_cancelled_consumer_declares_everything_and_consumes_again(log_lines: list[str]) -> None:
    got = Recorder()
    d = consuming(got)
    number, _, consume = d.consumer.calls[-1]
    d.consumer.send(number, "basic.cancel", consumer_tag=consume["consumer_tag"])
    d.turn()
    before = len(d.consumer.called("queue.declare"))
    d.turn(1)
    assert len(d.consumer.called("queue.declare")) == before + 4
    assert len(d.consumer.called("basic.consume")) == 2
    d.deliver({"message-id": "m"})
    assert got.bodies == [b"{}"]
    assert any("not consuming" in t and "cancelled" in t for t in log_lines)
    d.stop()


def test_a_consumer_comes_back_with_the_connection() -> None:
    got = Recorder()
    d = consuming(got)
    d.consumer.abortConnection()
    d.turn()
    assert not d.broker.status().connected
    d.turn(1)
    d.turn()
    assert d.broker.status().connected
    assert d.endpoint.peers[2].called("basic.consume")
    d.stop()


def test_a_consumer_stopped_while_it_attaches_leaves_nothing_behind() -> None:
    d = desk()
    d.endpoint.silent = {"basic.consume"}
    consumer = d.start(d.broker.consume(QUEUE, Recorder(), prefetch=1)).result
    stopped = d.start(consumer.stop(5))
    assert stopped.result is True
    assert d.consumer.calls[-1][1] == "channel.close"
    d.stop()


def test_depth_asks_on_a_connection_that_is_not_blocked() -> None:
    d = consuming(Recorder())
    d.publisher.send(0, "connection.blocked", reason="low on memory")
    depth = d.start(d.broker.depth(QUEUE))
    assert (depth.result.ready, depth.result.unacked, depth.result.dead) == (0, None, 0)
    d.consumer.silent.add("queue.declare")
    late = d.start(d.broker.depth(QUEUE))
    d.turn(3)
    assert "no answer in time" in refusal(late)
    d.stop()


def test_the_password_is_in_no_representation_and_no_log(log_lines: list[str]) -> None:
    d = desk(Endpoint(Clock(), errors=[Refused()] * 3))
    d.turn(10)
    assert "geheim" not in repr(d.broker)
    assert log_lines
    assert not [t for t in log_lines if "geheim" in t]
    d.stop()
