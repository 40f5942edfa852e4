"""Create the broker for the scheme of its URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import ssl
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS

from buildapi.config import Config
from buildapi.config.addresses import AMQPAddress
from buildapi.errors import ConfigError
from buildapi.mq.amqp import AMQPBroker
from buildapi.mq.embedded import EmbeddedBroker


def _embedded(config: Config, reactor: Any) -> EmbeddedBroker:
    broker = config.broker
    return EmbeddedBroker(
        reactor,
        agent_queue=broker.agent_queue,
        web_queue=broker.web_queue,
        tries=config.agent.tries,
    )


def amqp(config: Config, reactor: Any) -> AMQPBroker:
    """Create the AMQP broker; :raises ConfigError: the URL has no host."""
    broker, address = config.broker, amqp_address(config)
    return AMQPBroker(
        reactor,
        amqp_endpoint(config, reactor),
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


def amqp_address(config: Config) -> AMQPAddress:
    """Return the address of the AMQP broker; :raises ConfigError: the URL has no host."""
    address = config.broker.address
    if address is None:
        raise ConfigError("[broker] url names no host")
    return address


def amqp_endpoint(config: Config, reactor: Any) -> Any:
    """Return the endpoint of the AMQP broker, with TLS if its URL asks for it."""
    address = amqp_address(config)
    endpoint: Any = HostnameEndpoint(reactor, address.host, address.port)
    if not address.tls:
        return endpoint
    trust = _trust(config.broker.tls_ca)
    return wrapClientTLS(ssl.optionsForClientTLS(address.host, trustRoot=trust), endpoint)


def _trust(ca: Path | None) -> Any:
    return None if ca is None else ssl.Certificate.loadPEM(ca.read_bytes())


BROKERS: dict[str, Callable[[Config, Any], Any]] = {
    "embedded": _embedded,
    "amqp": amqp,
    "amqps": amqp,
}
