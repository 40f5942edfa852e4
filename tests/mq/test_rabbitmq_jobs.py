"""Accepted jobs on a real RabbitMQ whose connections are lost, and whose queues are deleted."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted

from buildapi.agent.dead_letter_review import DeadLetterReview
from buildapi.agent.reconciler import LOST_SECONDS, Reconciler
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.pool import open_database
from buildapi.db.schema import create_jobs_schema
from buildapi.errors import DatabaseUnavailable
from buildapi.model.actions import Reprioritize
from buildapi.model.records import JobState
from buildapi.model.wire import FINISHED, REQUESTS
from buildapi.mq.amqp import AMQPBroker
from buildapi.mq.topology import dead_letters
from buildapi.mq.txamqp.errors import Closed
from tests.agent.doubles import NOW, BrokerProxy, Rig, StoreProxy, pending, reactor
from tests.agent.test_reconciler import Agents
from tests.mq.conftest import Names
from tests.mq.test_rabbitmq_wire import old_arguments
from tests.reactor import sleep, twisted_test, until

pytestmark = pytest.mark.rabbitmq

AGENT, WEB = "buildapi-agent", "buildapi-web"
AWAY = DatabaseUnavailable("the scheduler database is away")


async def emptied(client: Any, *, old: bool) -> None:
    """Delete the queues that another test may have left; declare them as older versions did."""
    for queue in (AGENT, WEB):
        for name in (queue, dead_letters(queue)):
            channel = await client.open_channel()
            await channel.queue_delete(queue=name)
            if old and name == queue:
                arguments = old_arguments(queue)
                await channel.queue_declare(queue=queue, durable=True, arguments=arguments)
            await channel.close_channel()


@pytest_twisted.async_yield_fixture
async def rig(make_amqp: Callable[..., AMQPBroker]) -> AsyncIterator[Rig]:
    """Build a rig; its broker is made by ``on_rabbitmq``."""
    db = open_database(
        "sqlite::memory:",
        reactor=reactor(),
        name="jobs",
        size=1,
        max_waiting=100,
        statement_seconds=5,
        max_rows=1000,
    )
    await create_jobs_schema(db)
    names = Names(f"control-{uuid.uuid4().hex[:8]}", AGENT, WEB)

    def start() -> AMQPBroker:
        return make_amqp(names)

    later: Any = start
    rig = Rig(db, BrokerProxy(later, keeps_messages=True), StoreProxy(SQLJobStore(db)))
    rig.farm.add(pending(7))
    yield rig
    for service in rig.services:
        if service.running:
            stopped = service.stopService()
            if stopped is not None:
                await stopped
    await rig.db.stopService()


async def on_rabbitmq(rig: Rig, client: Any, *, old: bool) -> AMQPBroker:
    """Start the broker of a rig, over queues of an older version or of this one."""
    await emptied(client, old=old)
    start: Any = rig.broker.inner
    broker: AMQPBroker = start()
    rig.broker.inner = broker  # type: ignore[assignment]  # the double is typed for the embedded one
    await until(lambda: broker.status().connected, 10)
    return broker


def reviewing(rig: Rig) -> DeadLetterReview:
    doubles: Any = (rig.broker, rig.store)
    queues = {REQUESTS: AGENT, FINISHED: WEB}
    return rig._started(
        DeadLetterReview(reactor(), *doubles, queues, lambda: NOW, rig.trail, lambda *_: None)
    )


async def _lose(broker: AMQPBroker) -> None:
    """Lose the connection that consumes, once messages are in hand again."""
    await until(lambda: broker._consuming.client is not None, 15)
    await sleep(0.4)
    client = broker._consuming.client
    if client is not None:
        client.abort(Closed("cut by the test"))


@pytest.mark.parametrize("old", [True, False], ids=["limit of 4", "ours"])
@twisted_test(90)
async def test_connections_lost_with_jobs_in_hand_drop_none_on_a_queue_of_an_older_version(
    rig: Rig, client: Any, log_lines: list[str], *, old: bool
) -> None:
    broker = await on_rabbitmq(rig, client, old=old)
    rig.farm.script.plan("read", *[AWAY] * 5000)
    reviewing(rig)
    rig.finisher()
    agent = rig.agent()
    jobs = [await rig.submit(Reprioritize(7, n)) for n in range(10)]
    for _ in range(6):
        await _lose(broker)
    await until(lambda: broker._consuming.client is not None, 15)
    await agent.stopService()
    rig.farm.script.ahead.clear()
    rig.agent()
    end = time.monotonic() + 180
    for job in jobs:
        while (await rig.get(job)).completed_at is None:
            assert time.monotonic() < end, "not so in time"
            await sleep(0.1)
        assert (await rig.get(job)).state is JobState.DONE
    assert sorted(job for job, _ in rig.farm.effects) == jobs, "each of them once"

    async def no_letters() -> bool:
        return (await broker.depth(AGENT)).dead == 0

    await until(no_letters, 15)
    returned = [t for t in log_lines if "is returned" in t and "delivery_limit" in t]
    assert bool(returned) is old, "what the broker dead-letters is in our log"


@twisted_test(60)
async def test_jobs_whose_queue_was_deleted_with_messages_in_it_are_carried_out(
    rig: Rig, client: Any
) -> None:
    broker = await on_rabbitmq(rig, client, old=False)
    jobs = [await rig.submit(Reprioritize(7, n)) for n in range(10)]
    channel = await client.open_channel()
    await channel.queue_purge(queue=AGENT)
    agents, clock = Agents([[]], at=NOW + LOST_SECONDS + 1), reactor()
    doubles: Any = (rig.broker, rig.store)
    outbox = Reconciler(clock, doubles[0], doubles[1], lambda: agents.at, rig.trail, rig.trail)
    outbox._roster = agents
    rig.agent()
    rig.finisher()

    async def consumed() -> bool:
        return (await broker.depth(AGENT)).consumers == 1

    await until(consumed, 10)
    for _ in range(2):
        await outbox.drive_lost()
    for job in jobs:
        assert (await rig.finished(job)).state is JobState.DONE
    assert sorted(job for job, _ in rig.farm.effects) == jobs
