"""What is on the wire and in the broker, seen by another program on a real RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.threads import deferToThread

from buildapi.model.messages import DeadLetter, Delivery, Letter, LetterEnd, Nack
from buildapi.mq.amqp import AMQPBroker
from buildapi.mq.consumer import REASON, ROUTING_KEY
from buildapi.mq.topology import DELIVERY_LIMIT, dead_letters
from buildapi.testing import KEY, Recorder
from tests.mq.conftest import Names
from tests.reactor import sleep, twisted_test, until
from tests.services.rabbitmq import RabbitMQ

pytestmark = pytest.mark.rabbitmq

MakeAMQP = Callable[..., AMQPBroker]


async def take(client: Any, queue: str) -> Any:
    """Get one message of a queue, waiting for it."""
    channel = await client.open_channel()
    while True:
        message = await channel.basic_get(queue=queue, no_ack=True)
        if message.method.name == "get-ok":
            await channel.close_channel()
            return message
        await sleep(0.02)


async def connected(broker: AMQPBroker) -> None:
    await until(lambda: broker.status().connected, 20)


@twisted_test(20)
async def test_a_message_has_the_agreed_properties(
    make_amqp: MakeAMQP, names: Names, client: Any
) -> None:
    broker = make_amqp(names)
    await broker.publish(KEY, '{"who": "Zoë"}'.encode(), message_id="m-1", correlation_id="17")
    message = await take(client, names.agent_queue)
    properties = dict(message.content.properties)
    assert abs(properties.pop("timestamp") - time.time()) < 60
    assert properties.pop("headers") == {"x-delivery-count": 0}  # the broker's
    assert properties == {
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "delivery-mode": 2,
        "message-id": "m-1",
        "correlation-id": "17",
    }
    assert (message.exchange, message.routing_key) == (names.exchange, KEY)
    assert message.content.body == '{"who": "Zoë"}'.encode()


@twisted_test(20)
async def test_a_finished_message_goes_to_the_web_queue(
    make_amqp: MakeAMQP, names: Names, client: Any
) -> None:
    broker = make_amqp(names)
    await broker.publish("finished", b"{}", message_id="m")
    assert (await take(client, names.web_queue)).routing_key == "finished"


@twisted_test(20)
async def test_a_message_of_an_older_program_is_taken(
    make_amqp: MakeAMQP, names: Names, client: Any
) -> None:
    broker, got = make_amqp(names), Recorder()
    await connected(broker)
    channel = await client.open_channel(confirm=True)
    await channel.publish(
        names.exchange, KEY, b"{}", {"content-type": "application/json", "message-id": ""}
    )
    await broker.consume(names.agent_queue, got, prefetch=1)
    await until(lambda: bool(got.seen))
    assert (got.seen[0].routing_key, got.seen[0].correlation_id) == (KEY, None)


@twisted_test(20)
async def test_classic_queues_without_arguments_are_used_as_they_are(
    make_amqp: MakeAMQP, names: Names, client: Any, log_lines: list[str]
) -> None:
    channel = await client.open_channel()
    await channel.exchange_declare(exchange=names.exchange, type="topic", durable=True)
    for queue, key in ((names.agent_queue, KEY), (names.web_queue, "finished")):
        await channel.queue_declare(queue=queue, durable=True)
        await channel.queue_bind(queue=queue, exchange=names.exchange, routing_key=key)
    await channel.basic_publish(
        exchange=names.exchange, routing_key=KEY, content=_content(b"from before")
    )
    broker, got = make_amqp(names, tries=3), Recorder([Nack("busy")] * 3)
    await connected(broker)
    assert len([t for t in log_lines if "used as it is" in t and names.agent_queue in t]) == 1
    await broker.consume(names.agent_queue, got, prefetch=1)
    await until(lambda: len(got.seen) == 3)
    assert [(d.attempt, d.routing_key) for d in got.seen] == [(1, KEY), (2, KEY), (3, KEY)]
    dead = await take(client, dead_letters(names.agent_queue))
    assert dead.content.body == b"from before"
    assert dead.content.properties["headers"][ROUTING_KEY] == KEY
    await channel.queue_declare(queue=names.agent_queue, durable=True)  # still without arguments


@twisted_test(20)
async def test_queues_of_another_delivery_limit_are_used_as_they_are(
    make_amqp: MakeAMQP, names: Names, client: Any, log_lines: list[str]
) -> None:
    channel = await client.open_channel()
    for queue in (names.agent_queue, names.web_queue):
        await channel.queue_declare(queue=queue, durable=True, arguments=old_arguments(queue))
    broker, got = make_amqp(names, tries=2), Recorder([Nack("busy")] * 2)
    await broker.publish(KEY, b"{}", message_id="m")
    await broker.consume(names.agent_queue, got, prefetch=1)
    while (await broker.depth(names.agent_queue)).dead != 1:
        await sleep(0.02)
    assert [d.attempt for d in got.seen] == [1, 2]
    assert any("inequivalent arg 'x-delivery-limit'" in t for t in log_lines)


def old_arguments(queue: str) -> dict[str, Any]:
    """Declare as older versions did, with a delivery limit that lost connections reach."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_letters(queue),
        "x-delivery-limit": 4,
    }


async def lost(client: Any, queue: str, times: int) -> None:
    """Take a message, and lose the channel with it in hand."""
    for _ in range(times):
        channel = await client.open_channel()
        while (await channel.basic_get(queue=queue)).method.name != "get-ok":
            await sleep(0.02)
        await channel.close_channel()


@twisted_test(20)
async def test_a_letter_of_the_brokers_says_so_and_is_returned_with_its_key(
    make_amqp: MakeAMQP, names: Names, client: Any
) -> None:
    channel = await client.open_channel()
    queue = names.agent_queue
    await channel.queue_declare(queue=queue, durable=True, arguments=old_arguments(queue))
    broker, seen, got = make_amqp(names), list[Letter](), Recorder()
    await broker.publish(KEY, b"x", message_id="m", correlation_id="17")

    async def judge(letter: Letter) -> LetterEnd:
        seen.append(letter)
        return LetterEnd.RETURN

    for returns in range(2):
        await lost(client, queue, 5)
        while (await broker.depth(queue)).dead != 1:
            await sleep(0.02)
        await broker.review(queue, judge, limit=10)
        letter = seen.pop()
        assert attrs.evolve(letter, at=None) == Letter(
            b"x", KEY, "m", "17", "delivery_limit", by_broker=True, returns=returns
        )
        assert letter.at is not None
        assert abs(letter.at - time.time()) < 60
    await broker.consume(queue, got, prefetch=1)
    await until(lambda: bool(got.seen))
    assert got.seen == [Delivery(b"x", KEY, "m", "17", redelivered=True, attempt=1)]


@twisted_test(60)
async def test_messages_that_are_never_settled_are_put_aside_by_the_broker(
    make_amqp: MakeAMQP, names: Names, client: Any
) -> None:
    broker = make_amqp(names)
    await broker.publish(KEY, b"deadly", message_id="m")
    await lost(client, names.agent_queue, DELIVERY_LIMIT)
    assert (await broker.depth(names.agent_queue)).dead == 0
    await lost(client, names.agent_queue, 1)
    message = await take(client, dead_letters(names.agent_queue))
    (death,) = message.content.properties["headers"]["x-death"]
    assert (death["queue"], death["reason"]) == (names.agent_queue, "delivery_limit")


@twisted_test(20)
async def test_a_message_with_a_death_certificate_is_read_and_passed_on(
    make_amqp: MakeAMQP, names: Names, client: Any
) -> None:
    broker, queue = make_amqp(names), names.agent_queue
    await broker.publish(KEY, b"{}", message_id="m", correlation_id="c")
    channel = await client.open_channel()
    while (message := await channel.basic_get(queue=queue)).method.name != "get-ok":
        await sleep(0.02)
    channel.basic_reject(delivery_tag=message.delivery_tag, requeue=False)
    got = Recorder([Nack("look again")])
    await broker.consume(dead_letters(queue), got, prefetch=1)
    await until(lambda: len(got.seen) == 2)
    assert {(d.body, d.message_id, d.correlation_id) for d in got.seen} == {(b"{}", "m", "c")}


@twisted_test(20)
async def test_a_dead_letter_says_why_and_where_from(
    make_amqp: MakeAMQP, names: Names, client: Any
) -> None:
    broker, queue = make_amqp(names), names.agent_queue
    await broker.publish(KEY, b"not JSON", message_id="m", correlation_id="c")
    await broker.consume(queue, Recorder([DeadLetter("not JSON: ü")]), prefetch=1)
    properties = (await take(client, dead_letters(queue))).content.properties
    assert properties["headers"][REASON] == "not JSON: ü"
    assert properties["headers"][ROUTING_KEY] == KEY
    assert (properties["message-id"], properties["correlation-id"]) == ("m", "c")
    assert (properties["content-type"], properties["delivery-mode"]) == ("application/json", 2)


@twisted_test(30)
async def test_the_heartbeat_is_the_one_asked_for(
    make_amqp: MakeAMQP, names: Names, rabbitmq: RabbitMQ
) -> None:
    broker = make_amqp(names, heartbeat=7)
    await connected(broker)
    listed = await deferToThread(
        rabbitmq.ctl, "list_connections", "timeout", "client_properties", "--silent"
    )
    ours = [line for line in listed.splitlines() if "buildapi publisher" in line]
    assert [line.split()[0] for line in ours] == ["7"]


def _content(body: bytes) -> Any:
    from txamqp.content import Content

    return Content(body, properties={"content-type": "application/json"})
