"""Choose the broker by the scheme of its URL, and open it.

Only the chosen one is loaded: the methods of AMQP alone are made of a table in 3 % of a start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
from twisted.internet import ssl
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS

from buildapi.config import AMQPAddress, Config
from buildapi.errors import ConfigError
from buildapi.reactor_time import Reactor

if TYPE_CHECKING:
    from buildapi.mq.amqp import AMQPBroker
    from buildapi.mq.embedded import EmbeddedBroker

ServiceBroker: TypeAlias = "AMQPBroker | EmbeddedBroker"
"""A broker that starts and stops with the program."""


@attrs.frozen
class BrokerDefinition:
    """Describe how a broker is opened by the service, and tried and reached by commands.

    ``connect`` is None where only the service itself reaches the queues.
    """

    open: Callable[[Config, Reactor], ServiceBroker]
    check: Callable[[Config, Reactor], Awaitable[str]]
    connect: Callable[[Config, Reactor], AMQPBroker] | None


def _embedded(config: Config, reactor: Reactor) -> EmbeddedBroker:
    from buildapi.mq.embedded import EmbeddedBroker

    broker = config.broker
    return EmbeddedBroker(
        reactor,
        agent_queue=broker.agent_queue,
        web_queue=broker.web_queue,
        tries=config.agent.tries,
    )


async def _check_embedded(_config: Config, _reactor: Reactor) -> str:
    return "embedded"


def _amqp(config: Config, reactor: Reactor) -> AMQPBroker:
    from buildapi.mq.amqp import AMQPBroker

    broker, address = config.broker, _address(config)
    return AMQPBroker(
        reactor,
        _endpoint(config, reactor),
        vhost=address.vhost,
        username=address.username,
        password=broker.password.reveal() if broker.password else "",
        exchange=broker.exchange,
        agent_queue=broker.agent_queue,
        web_queue=broker.web_queue,
        queue_type=broker.queue_type,
        tries=config.agent.tries,
        heartbeat=broker.heartbeat,
        publish_seconds=broker.publish_seconds,
    )


async def _check_amqp(config: Config, reactor: Reactor) -> str:
    from buildapi.admin.config_checks import check_amqp
    from buildapi.mq.txamqp.client import Credentials

    broker, address = config.broker, _address(config)
    login = Credentials(address.username, broker.password.reveal() if broker.password else "")
    queues = (broker.agent_queue, broker.web_queue)
    return await check_amqp(_endpoint(config, reactor), login, address.vhost, queues, reactor)


def _address(config: Config) -> AMQPAddress:
    address = config.broker.address
    if address is None:
        raise ConfigError("[broker] url names no host")
    return address


def _endpoint(config: Config, reactor: Reactor) -> Any:
    """Return the endpoint of the AMQP broker, with TLS if its URL asks for it."""
    address = _address(config)
    endpoint: Any = HostnameEndpoint(reactor, address.host, address.port)
    if not address.tls:
        return endpoint
    trust = _trust(config.broker.tls_ca)
    return wrapClientTLS(ssl.optionsForClientTLS(address.host, trustRoot=trust), endpoint)


def _trust(ca: Path | None) -> Any:
    # With None, Twisted trusts the authorities of the platform [optionsForClientTLS].
    return None if ca is None else ssl.Certificate.loadPEM(ca.read_bytes())


AMQP = BrokerDefinition(_amqp, _check_amqp, _amqp)

BROKERS: Mapping[str, BrokerDefinition] = {
    "embedded": BrokerDefinition(_embedded, _check_embedded, None),
    "amqp": AMQP,
    "amqps": AMQP,
}
"""Broker for each URL scheme; ``buildapi.config.addresses.BROKER_KINDS`` has what URLs say."""
