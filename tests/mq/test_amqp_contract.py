"""The contract on RabbitMQ: quorum queues, and classic queues that were there before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from buildapi.mq.amqp import AMQPBroker
from buildapi.mq.consumer import REASON, AMQPConsumer, ChannelSettlement
from buildapi.mq.topology import dead_letters
from buildapi.testing import BrokerContract, MakeBroker, Recorder
from tests.mq.conftest import Names
from tests.mq.settlement_contract import OfBroker, SettlementContract, blocking, taken_of
from tests.reactor import twisted_test, until

pytestmark = pytest.mark.rabbitmq


@attrs.define
class Made:
    """A broker on the test node."""

    broker: AMQPBroker
    queue: str
    client: Any

    async def dead_reasons(self) -> Sequence[str]:
        channel = await self.client.open_channel()
        reasons = []
        while True:
            message = await channel.basic_get(queue=dead_letters(self.queue), no_ack=True)
            if message.method.name == "get-empty":
                await channel.close_channel()
                return reasons
            reasons.append(message.content.properties["headers"][REASON])

    async def stop(self) -> None:
        await self.broker.stopService()

    async def start(self) -> None:
        self.broker.startService()
        await until(lambda: self.broker.status().connected)


@pytest.fixture
def make_quorum(make_amqp: Callable[..., AMQPBroker], client: Any, names: Names) -> MakeBroker:
    async def make(tries: int = 5) -> Made:
        broker = make_amqp(names, queue_type="quorum", tries=tries)
        await until(lambda: broker.status().connected)
        return Made(broker, names.agent_queue, client)

    return make


class TestChannelSettlement(SettlementContract):
    """A delivery of RabbitMQ."""

    @pytest.fixture
    def taken(self, make_quorum: MakeBroker) -> OfBroker:
        async def make() -> OfBroker:
            return await taken_of(await make_quorum())

        taken = blocking(make())
        assert isinstance(taken.settlement, ChannelSettlement)
        return taken


class TestQuorumQueues(BrokerContract):
    """As a fresh deployment has them."""

    queue_type = "quorum"

    @pytest.fixture
    def make_broker(
        self, make_amqp: Callable[..., AMQPBroker], client: Any, names: Names
    ) -> MakeBroker:
        async def make(tries: int = 5) -> Made:
            broker = make_amqp(names, queue_type=self.queue_type, tries=tries)
            await until(lambda: broker.status().connected)
            return Made(broker, names.agent_queue, client)

        return make

    @twisted_test(20)
    async def test_a_consumer_is_its_own(self, make_broker: MakeBroker) -> None:
        made = await make_broker()
        consumer = await made.broker.consume(made.queue, Recorder(), prefetch=1)
        assert isinstance(consumer, AMQPConsumer)


class TestClassicQueues(TestQuorumQueues):
    """As older deployments have them."""

    queue_type = "classic"
