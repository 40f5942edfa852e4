"""Publish and consume messages through RabbitMQ.

Job requests and their outcomes are published to one topic exchange, each with its own routing key,
which leads to one durable queue: the agents consume job requests, the web processes outcomes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, TimeoutError, ensureDeferred
from twisted.logger import Logger

from buildapi.errors import BrokerUnavailable
from buildapi.model.messages import BrokerStatus, Handler, QueueDepth, Review
from buildapi.model.wire import FINISHED, REQUESTS
from buildapi.mq.consumer import AMQPConsumer
from buildapi.mq.dead_letters import QueueReview
from buildapi.mq.publisher import Publisher
from buildapi.mq.settlement import UnsettledDeliveries
from buildapi.mq.topology import QueueType, Topology, dead_letters, on_channel
from buildapi.mq.txamqp.client import Client, ClientFactory, Credentials
from buildapi.mq.txamqp.errors import Closed, describe
from buildapi.mq.txamqp.service import AMQPService, Setup
from buildapi.reactor_time import ReactorTime, timeout


@attrs.define(slots=False, eq=False)
class AMQPBroker(MultiService):
    """Publish and consume over RabbitMQ.

    Publishing and consuming have a connection each: a broker under a memory alarm stops reading
    from connections that publish [RabbitMQ, "Memory and Disk Alarms"], and acknowledgements must
    still get through. The second connection is opened for the first consumer.

    ``endpoint`` is an IStreamClientEndpoint, with TLS or without; ``heartbeat`` and
    ``publish_seconds`` are in seconds; more than ``max_unconfirmed`` concurrent publishes fail.
    ``now`` returns epoch seconds, for the timestamps of messages.
    """

    keeps_messages = True
    log = Logger()

    reactor: ReactorTime
    endpoint: Any
    username: str
    password: str = attrs.field(repr=False)
    vhost: str = "/"
    exchange: str = "buildapi.control"
    agent_queue: str = "buildapi-agent"
    web_queue: str = "buildapi-web"
    queue_type: QueueType = "quorum"
    tries: int = 3
    heartbeat: int = 30
    publish_seconds: float = 3.0
    max_unconfirmed: int = 1000
    now: Callable[[], float] = time.time
    _topology: Topology = attrs.field(init=False)
    _publisher: Publisher = attrs.field(init=False)
    _publishing: AMQPService = attrs.field(init=False)
    _consuming: AMQPService = attrs.field(init=False)
    _consumers: list[AMQPConsumer] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Create the services of the two connections."""
        MultiService.__init__(self)
        queues = {REQUESTS: self.agent_queue, FINISHED: self.web_queue}
        self._topology = Topology(self.exchange, queues, self.queue_type)
        self._publisher = Publisher(self.reactor, self.publish_seconds, self.max_unconfirmed)
        self._publishing = self._service("publisher", self._prepare_publishing)
        self._consuming = self._service("consumer", self._topology.declare)
        # Set afterwards: the service's set-up opens the publisher's channel, so each needs the
        # other.
        self._publisher.service = self._publishing
        self._publishing.setServiceParent(self)  # type: ignore[no-untyped-call]  # Twisted

    def _service(self, name: str, setup: Setup) -> AMQPService:
        factory = ClientFactory(
            self.reactor,
            Credentials(self.username, self.password),
            self.vhost,
            self.heartbeat,
            f"buildapi {name}",
        )
        service = AMQPService(self.reactor, self.endpoint, factory, setup, now=self.now)
        service.setName(name)  # type: ignore[no-untyped-call]  # Twisted
        return service

    async def _prepare_publishing(self, client: Client) -> None:
        await self._topology.declare(client)
        # Only now: a publish to an exchange that does not exist closes its channel with 404 [AMQP
        # 0-9-1, basic.publish].
        await self._publisher.prepare(client)

    def stopService(self) -> Deferred[None]:
        """Return unsettled messages to their queues and close the connections."""
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        for consumer in self._consumers:
            await consumer.stop(0)
        self._consumers.clear()
        await super().stopService()  # type: ignore[no-untyped-call]  # Twisted

    async def connected(self, seconds: float) -> None:
        """Wait until the exchange, queues and bindings are declared.

        :raises BrokerUnavailable: they are not within ``seconds``.
        """
        try:
            await timeout(self._publishing.when_connected(), seconds, self.reactor)
        except (Closed, TimeoutError):
            error = self.status().last_error or f"no answer within {seconds:g} s"
            raise BrokerUnavailable(f"the broker cannot be used: {error}") from None

    async def publish(
        self, routing_key: str, body: bytes, *, message_id: str, correlation_id: str | None = None
    ) -> None:
        """Publish a message; return when the broker has confirmed it.

        :raises BrokerUnavailable: no confirm within ``publish_seconds``; the message may still
            arrive.
        """
        # No user-id: RabbitMQ refuses one that is not the account of the connection [RabbitMQ,
        # "Validated User-ID"], and no receiver needs it.
        properties = {
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "delivery-mode": 2,  # persistent [AMQP 0-9-1, basic]: kept over a restart of the broker
            "message-id": message_id,
            "correlation-id": correlation_id,
            "timestamp": int(self.now()),  # whole seconds [AMQP 0-9-1 4.2.5.4]
        }
        await self._publisher.send(self.exchange, routing_key, body, properties)

    async def consume(self, queue: str, handler: Handler, *, prefetch: int) -> AMQPConsumer:
        """Start a consumer on a channel of its own; messages come once there is a connection."""
        unsettled = UnsettledDeliveries(self.reactor, queue, handler, prefetch, self.tries)
        consumer = AMQPConsumer(self._consuming, self._topology, self._publisher, unsettled)
        # Forget stopped ones, which would pile up where a consumer is stopped and started again.
        self._consumers = [c for c in self._consumers if not c.unsettled.stopping] + [consumer]
        if self._consuming.parent is None:
            self._consuming.setServiceParent(self)  # type: ignore[no-untyped-call]  # Twisted
        consumer.start()
        return consumer

    def status(self) -> BrokerStatus:
        """Return the state of the connections; the last error is kept after a recovery."""
        services = [self._publishing]
        if self._consuming.parent is not None:
            services.append(self._consuming)
        last = max(services, key=lambda s: s.last_error_at or 0)
        return BrokerStatus(
            connected=all(s.client is not None for s in services),
            blocked=self._publisher.blocked,
            last_error=last.last_error,
            last_error_at=last.last_error_at,
        )

    async def depth(self, queue: str) -> QueueDepth:
        """Return the depth of a queue and of its dead-letter queue.

        :raises BrokerUnavailable: no connection, no such queue, or no answer in time.
        """
        # The consuming connection first: a broker under an alarm does not even read a queue.declare
        # from one that publishes [RabbitMQ, "Memory and Disk Alarms"].
        client = self._consuming.client or self._publishing.client
        if client is None:
            raise BrokerUnavailable(f"not connected: {self.status().last_error or 'connecting'}")
        try:
            return await timeout(
                ensureDeferred(_depth(client, queue)), self.publish_seconds, self.reactor
            )
        except (Closed, TimeoutError) as e:
            raise BrokerUnavailable(f"cannot read the depth of {queue}: {describe(e)}") from None

    async def review(self, queue: str, judge: Review, *, limit: int) -> None:
        """Pass the dead letters of a queue to ``judge``, oldest first; kept ones stay in order.

        :raises BrokerUnavailable: no connection, no such queue, or no answer in time.
        """
        # As in depth: basic.get and basic.ack must get through under an alarm too.
        client = self._consuming.client or self._publishing.client
        if client is None:
            raise BrokerUnavailable(f"not connected: {self.status().last_error or 'connecting'}")
        reviewing = QueueReview(self.reactor, self._publisher, queue, self.publish_seconds)
        try:
            await reviewing.run(client, judge, limit)
        except (Closed, TimeoutError) as e:
            raise BrokerUnavailable(
                f"cannot read the dead letters of {queue}: {describe(e)}"
            ) from None


async def _depth(client: Client, queue: str) -> QueueDepth:
    # A passive declare changes nothing, and its answer has the counts [AMQP 0-9-1, queue.declare].
    main = await on_channel(client, lambda ch: ch.queue_declare(queue=queue, passive=True))
    name = dead_letters(queue)
    dead = await on_channel(client, lambda ch: ch.queue_declare(queue=name, passive=True))
    return QueueDepth(
        ready=main.message_count,
        unacked=None,  # declare-ok counts ready messages only, and no other method tells
        consumers=main.consumer_count,
        dead=dead.message_count,
    )
