"""What can go wrong between us and a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet import ssl
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.threads import deferToThread

from buildapi.errors import BrokerUnavailable
from buildapi.model.messages import Ack, Delivery
from buildapi.mq.amqp import AMQPBroker
from buildapi.testing import KEY, Recorder, refusal
from tests.mq.conftest import Names
from tests.reactor import sleep, twisted_test, until
from tests.services.rabbitmq import RabbitMQ

pytestmark = pytest.mark.rabbitmq

MakeAMQP = Callable[..., AMQPBroker]


def now() -> float:
    from twisted.internet import reactor

    return reactor.seconds()  # type: ignore[attr-defined, no-any-return]  # the module


async def connected(broker: AMQPBroker) -> None:
    await until(lambda: broker.status().connected, 30)


async def failed(broker: AMQPBroker) -> str:
    """Wait for the first error and give its text."""
    await until(lambda: broker.status().last_error is not None, 15)
    return broker.status().last_error or ""


# --- login ----------------------------------------------------------------------------------


@twisted_test(20)
async def test_a_wrong_password_is_told_in_words_once_per_attempt_and_never_itself(
    make_amqp: MakeAMQP, names: Names, log_lines: list[str]
) -> None:
    broker = make_amqp(names, password="falsch-geheim")
    assert "403 ACCESS_REFUSED - Login was refused" in await failed(broker)
    at = broker.status().last_error_at
    await until(lambda: broker.status().last_error_at != at, 15)
    told = [t for t in log_lines if "ACCESS_REFUSED" in t]
    assert len(told) == 2
    assert not [t for t in log_lines if "falsch-geheim" in t]
    assert not broker.status().connected


@twisted_test(20)
async def test_an_unknown_vhost_is_told_in_words(make_amqp: MakeAMQP, names: Names) -> None:
    broker = make_amqp(names, vhost="nowhere", publish_seconds=1)
    assert "530 NOT_ALLOWED - vhost nowhere not found" in await failed(broker)
    text = await refusal(broker.publish(KEY, b"{}", message_id="m"))
    assert "not connected within 1 s: 530 NOT_ALLOWED" in text


# --- TLS ------------------------------------------------------------------------------------


def tls(node: RabbitMQ, name: str, ca: bytes) -> Any:
    from twisted.internet import reactor

    options = ssl.optionsForClientTLS(name, trustRoot=ssl.Certificate.loadPEM(ca))
    return wrapClientTLS(options, TCP4ClientEndpoint(reactor, node.host, node.tls_port))


@twisted_test(20)
async def test_tls_with_the_right_authority_and_name_works(
    make_amqp: MakeAMQP, names: Names, rabbitmq: RabbitMQ
) -> None:
    broker, got = (
        make_amqp(names, endpoint=tls(rabbitmq, "localhost", rabbitmq.certificates.ca)),
        Recorder(),
    )
    await broker.consume(names.agent_queue, got, prefetch=1)
    await broker.publish(KEY, b"x" * 200_000, message_id="m")
    await until(lambda: bool(got.seen))


@twisted_test(20)
async def test_tls_with_a_wrong_name_fails_in_words(
    make_amqp: MakeAMQP, names: Names, rabbitmq: RabbitMQ
) -> None:
    ca = rabbitmq.certificates.ca
    broker = make_amqp(names, endpoint=tls(rabbitmq, "mq.example.org", ca))
    text = await failed(broker)
    assert "VerificationError" in text
    assert "mq.example.org" in text


@twisted_test(20)
async def test_tls_with_an_unknown_authority_fails_in_words(
    make_amqp: MakeAMQP, names: Names, rabbitmq: RabbitMQ
) -> None:
    stranger = rabbitmq.certificates.stranger_ca
    broker = make_amqp(names, endpoint=tls(rabbitmq, "localhost", stranger))
    assert await failed(broker) == "TLS: certificate verify failed"


@twisted_test(20)
async def test_a_port_that_speaks_something_else_fails_in_words(
    make_amqp: MakeAMQP, names: Names, rabbitmq: RabbitMQ
) -> None:
    from twisted.internet import reactor

    plain_to_tls = TCP4ClientEndpoint(reactor, rabbitmq.host, rabbitmq.tls_port)
    text = await failed(make_amqp(names, endpoint=plain_to_tls))
    assert "Connection to the other side was lost" in text


# --- trouble in the broker ------------------------------------------------------------------


@twisted_test(20)
async def test_a_deleted_queue_is_declared_and_consumed_again(
    make_amqp: MakeAMQP, names: Names, client: Any
) -> None:
    broker, got = make_amqp(names), Recorder()
    await broker.consume(names.agent_queue, got, prefetch=1)
    await broker.publish(KEY, b"1", message_id="1")
    await until(lambda: len(got.seen) == 1)
    channel = await client.open_channel()
    await channel.queue_delete(queue=names.agent_queue)
    assert "no queue is bound to" in await refusal(broker.publish(KEY, b"2", message_id="2"))
    await until(lambda: len(got.seen) == 1)
    while True:
        try:
            await broker.publish(KEY, b"3", message_id="3")
            break
        except BrokerUnavailable:
            await sleep(0.05)
    await until(lambda: got.bodies == [b"1", b"3"])


@twisted_test(20)
async def test_a_deleted_exchange_is_declared_again(
    make_amqp: MakeAMQP, names: Names, client: Any
) -> None:
    broker = make_amqp(names)
    await connected(broker)
    channel = await client.open_channel()
    await channel.exchange_delete(exchange=names.exchange)
    assert "NOT_FOUND" in await refusal(broker.publish(KEY, b"1", message_id="1"))
    await broker.publish(KEY, b"2", message_id="2")


@twisted_test(30)
async def test_a_memory_alarm_stops_publishing_but_not_consuming(
    make_amqp: MakeAMQP, names: Names, rabbitmq: RabbitMQ
) -> None:
    broker, got = make_amqp(names, publish_seconds=1), Recorder(hold=True)
    await broker.publish(KEY, b"before", message_id="before")
    await broker.consume(names.agent_queue, got, prefetch=1)
    await until(lambda: bool(got.held))
    await deferToThread(rabbitmq.ctl, "set_vm_memory_high_watermark", "0")
    try:
        await sleep(0.2)
        start = now()
        text = await refusal(broker.publish(KEY, b"caught", message_id="caught"))
        assert text == "the broker accepts no messages: low on memory"
        assert 0.9 < now() - start < 2
        assert broker.status().blocked == "low on memory"
        start = now()
        assert "low on memory" in await refusal(broker.publish(KEY, b"no", message_id="no"))
        assert now() - start < 0.2
        got.hold = False
        got.release(b"before")
        assert (await broker.depth(names.agent_queue)).ready == 0
    finally:
        await deferToThread(rabbitmq.ctl, "set_vm_memory_high_watermark", "0.4")
    await until(lambda: broker.status().blocked is None, 10)
    await broker.publish(KEY, b"after", message_id="after")
    await until(lambda: got.bodies == [b"before", b"caught", b"after"])


@twisted_test(30)
async def test_it_comes_back_when_the_broker_does(
    make_amqp: MakeAMQP, names: Names, rabbitmq: RabbitMQ, log_lines: list[str]
) -> None:
    broker, got = make_amqp(names, publish_seconds=1), Recorder()
    await broker.consume(names.agent_queue, got, prefetch=1)
    await connected(broker)
    await deferToThread(rabbitmq.ctl, "stop_app")
    try:
        await until(lambda: not broker.status().connected)
        # The last error may be that of the next attempt by now.
        assert [t for t in log_lines if "CONNECTION_FORCED" in t]
        text = await refusal(broker.publish(KEY, b"1", message_id="1"))
        assert "not connected within 1 s" in text
        assert "not connected" in await refusal(broker.depth(names.agent_queue))
    finally:
        await deferToThread(rabbitmq.ctl, "start_app")
    await connected(broker)
    await broker.publish(KEY, b"2", message_id="2")
    await until(lambda: got.bodies == [b"2"])
    pauses = [t for t in log_lines if "next attempt in" in t]
    assert len(pauses) >= 2


@twisted_test(60)
async def test_a_killed_broker_under_load_loses_nothing_that_was_confirmed(
    make_amqp: MakeAMQP, names: Names, rabbitmq: RabbitMQ
) -> None:
    sender, taker = make_amqp(names, publish_seconds=2), make_amqp(names)
    confirmed: list[bytes] = []
    arrived: dict[bytes, int] = {}
    failures: list[str] = []

    async def publish_until_confirmed(number: int) -> None:
        body = b"%d" % number
        while True:
            try:
                await sender.publish(KEY, body, message_id=body.decode())
            except BrokerUnavailable as e:
                failures.append(e.msg)
                await sleep(0.1)
            else:
                confirmed.append(body)
                return

    async def publish_many(first: int) -> None:
        for number in range(first, first + 100):
            await publish_until_confirmed(number)
            await sleep(0.005)

    async def take(delivery: Delivery) -> Ack:
        await sleep(0.002)
        arrived[delivery.body] = arrived.get(delivery.body, 0) + 1
        return Ack()

    await taker.consume(names.agent_queue, take, prefetch=10)
    running = gatherResults([ensureDeferred(publish_many(n * 100)) for n in range(4)])
    await until(lambda: len(arrived) > 40, 20)
    await deferToThread(rabbitmq.kill)
    try:
        await until(lambda: not sender.status().connected)
    finally:
        await deferToThread(rabbitmq.start)
    await running
    await until(lambda: set(confirmed) <= set(arrived), 20)
    assert sorted(confirmed) == sorted(b"%d" % n for n in range(400))
    assert set(arrived) == set(confirmed)
    assert failures


# --- permissions ----------------------------------------------------------------------------

MAY = {
    # role: what it may write to besides the default exchange, its topics, what it may read
    "api": ("requests", r"^({web}|{web}\.dead|{agent}\.dead)$"),
    "agent": ("finished", r"^{agent}$"),
}
"""As docs/amqp.md gives them, with the names of the test."""


def grant(rabbitmq: RabbitMQ, names: Names, role: str) -> str:
    """Make the account of a role; return its name, which is its password too."""
    user, (topic, read) = f"{role}-{names.exchange}", MAY[role]
    reads = read.format(agent=names.agent_queue, web=names.web_queue)
    rabbitmq.ctl("add_user", user, user)
    writes = rf"^({names.exchange}|amq\.default)$"
    rabbitmq.ctl("set_permissions", user, "^$", writes, reads)
    rabbitmq.ctl("set_topic_permissions", user, names.exchange, f"^{topic}$", "^$")
    return user


@twisted_test(90)
async def test_each_role_works_with_the_least_permissions_and_can_do_no_more(
    rabbitmq: RabbitMQ, make_amqp: MakeAMQP, names: Names
) -> None:
    """An account per role: nothing to configure, one routing key to publish with, its own queue."""
    setup = make_amqp(names)
    await connected(setup)
    await setup.stopService()
    users = [await deferToThread(grant, rabbitmq, names, role) for role in ("api", "agent")]
    api, agent = (make_amqp(names, username=user, password=user) for user in users)
    await gatherResults([ensureDeferred(connected(one)) for one in (api, agent)])
    at_agent, at_api = Recorder(), Recorder()
    await agent.consume(names.agent_queue, at_agent, prefetch=5)
    await api.consume(names.web_queue, at_api, prefetch=5)
    await api.publish("requests", b"job", message_id="1")
    await agent.publish("finished", b"report", message_id="2")
    await until(lambda: bool(at_agent.seen and at_api.seen), 10)
    assert (await api.depth(names.agent_queue)).consumers == 1
    assert (await agent.depth(names.web_queue)).consumers == 1
    for one, key in ((api, "finished"), (agent, "requests")):
        with pytest.raises(BrokerUnavailable):
            await one.publish(key, b"forged", message_id="3")
    stolen = Recorder()
    await connected(api)
    await ensureDeferred(api.consume(names.agent_queue, stolen, prefetch=5))
    await sleep(0.5)
    await api.publish("requests", b"another", message_id="4")
    await until(lambda: len(at_agent.seen) == 2, 10)
    assert [d.body for d in at_api.seen] == [b"report"]
    assert stolen.seen == []
