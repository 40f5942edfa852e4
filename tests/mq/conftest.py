"""Brokers with names of their own on a RabbitMQ node."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.logger import eventAsText, globalLogPublisher

from buildapi.mq.amqp import AMQPBroker
from buildapi.mq.txamqp.client import ClientFactory, Credentials
from buildapi.mq.txamqp.service import AMQPService
from tests.patience import PATIENCE
from tests.services.rabbitmq import RabbitMQ

MakeAMQP = Callable[..., AMQPBroker]


@attrs.frozen
class Names:
    """Names that no other test uses."""

    exchange: str
    agent_queue: str
    web_queue: str

    @classmethod
    def fresh(cls) -> Names:
        tag = uuid.uuid4().hex[:12]
        return cls(f"control-{tag}", f"agent-{tag}", f"web-{tag}")


@pytest.fixture
def names() -> Names:
    return Names.fresh()


def endpoint_of(node: RabbitMQ) -> TCP4ClientEndpoint:
    from twisted.internet import reactor

    return TCP4ClientEndpoint(reactor, node.host, node.port)


def broker_on(node: RabbitMQ, names: Names, **options: Any) -> AMQPBroker:
    """Build a broker, not started."""
    from twisted.internet import reactor

    settings: dict[str, Any] = {
        "reactor": reactor,
        "endpoint": endpoint_of(node),
        "username": node.user,
        "password": node.password,
        **attrs.asdict(names),
        **options,
    }
    return AMQPBroker(**settings)


@pytest_twisted.async_yield_fixture
async def make_amqp(rabbitmq: RabbitMQ) -> AsyncIterator[Callable[..., AMQPBroker]]:
    """Start brokers that are stopped after the test."""
    started: list[AMQPBroker] = []

    def make(names: Names, **options: Any) -> AMQPBroker:
        broker = broker_on(rabbitmq, names, **options)
        broker.startService()
        started.append(broker)
        return broker

    yield make
    for broker in started:
        if broker.running:
            await broker.stopService()


Act = Callable[[Any], Awaitable[Any]]


@pytest_twisted.async_yield_fixture
async def client(rabbitmq: RabbitMQ) -> AsyncIterator[Any]:
    """Connect without a broker object: what another program would do."""
    from twisted.internet import reactor

    async def setup(_: object) -> None:
        pass

    factory = ClientFactory(reactor, Credentials(rabbitmq.user, rabbitmq.password), label="test")
    service = AMQPService(reactor, endpoint_of(rabbitmq), factory, setup)
    service.startService()
    yield await service.when_connected().addTimeout(PATIENCE, reactor)
    await service.stopService()


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Collect what is logged, as text."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        lines.append(eventAsText(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)
