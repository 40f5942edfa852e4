"""Consume a RabbitMQ queue across reconnects, consumer cancellations and closed channels.

A consumer lives on a channel, and its deliveries can be acknowledged on that channel only: once
the channel is gone, the broker delivers again what was not acknowledged [RabbitMQ, "Consumer
Acknowledgements"]. The broker itself may also cancel a consumer, as when its queue is deleted.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from functools import partial

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger

from buildapi.model.messages import Delivery
from buildapi.mq.publisher import Publisher
from buildapi.mq.settlement import ChannelGone, UnsettledDeliveries
from buildapi.mq.topology import Topology, dead_letters
from buildapi.mq.txamqp import codec
from buildapi.mq.txamqp.amqp_types import AMQPMessage
from buildapi.mq.txamqp.channel import Channel
from buildapi.mq.txamqp.client import Client
from buildapi.mq.txamqp.errors import Closed, DeadlineError, describe
from buildapi.mq.txamqp.service import AMQPService, backoff
from buildapi.reactor_time import AsyncCall, pause, timeout

DELIVERY_COUNT = "x-delivery-count"
"""Header of quorum queues: count of earlier deliveries, including those lost with a connection."""

ATTEMPT, REASON, ROUTING_KEY = "x-buildapi-attempt", "x-buildapi-reason", "x-buildapi-routing-key"
"""Our headers: failed attempts at a message, the reason it was dead-lettered, its routing key.

The count travels with the message, so that it holds for all agents and both queue types.
"""

RETURNS = "x-buildapi-returns"
"""Our header: how often a message was returned from the dead letters."""

DEATHS = {"x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason"}
# RabbitMQ routes a message to the queues that CC and BCC name as well ["Sender-Selected
# Distribution"], drops it after its expiration ["Time-To-Live"], and refuses a user-id that is not
# our account's ["Validated User-ID"].
DROPPED_HEADERS = {DELIVERY_COUNT, "CC", "BCC"}
DROPPED_PROPERTIES = {"user-id", "expiration"}
"""Left out of copies: a copy must reach its queue only, not expire there, and be allowed to us."""

# Properties must fit into one frame, which is never split [AMQP 0-9-1 4.2.6]: a quarter of the
# usual limit leaves room for our headers and all other properties.
HEADERS_LENGTH = 32768
REASON_LENGTH = 1000
CLOSE_SECONDS = 1.0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def count_of(headers: Mapping[str, object], name: str) -> int:
    value = headers.get(name)
    # Not isinstance, for which True is an int as well.
    return max(value, 0) if type(value) is int else 0


def headers_of(message: AMQPMessage) -> dict[str, object]:
    headers = message.content.properties.get("headers")
    return dict(headers) if headers else {}


def copied(message: AMQPMessage, headers: Mapping[str, object]) -> dict[str, object]:
    """Return the properties for a copy of a message."""
    theirs = message.content.properties
    return {k: v for k, v in theirs.items() if k not in DROPPED_PROPERTIES} | {
        "headers": dict(headers),
        "delivery-mode": 2,
        # Older programs set none, but Channel.publish knows a returned message by its id only.
        "message-id": _text(theirs.get("message-id")) or uuid.uuid4().hex,
    }


def kept_headers(message: AMQPMessage) -> dict[str, object]:
    """Return the headers for a copy; empty if they cannot be encoded or are too long."""
    kept = {k: v for k, v in headers_of(message).items() if k not in DROPPED_HEADERS}
    try:
        return kept if len(codec.table(kept)) <= HEADERS_LENGTH else {}
    # An AMQP timestamp is read as an unsigned number, which may be too large for a signed one.
    except (TypeError, ValueError, struct.error):
        return {}


def delivery_of(message: AMQPMessage) -> Delivery:
    """Convert a message to a Delivery; other programs may have set its properties to anything."""
    properties, headers = message.content.properties, headers_of(message)
    failed = count_of(headers, ATTEMPT)
    # A copy that we published is a new message to the broker, whose own flag is then false.
    came = failed or count_of(headers, DELIVERY_COUNT) or count_of(headers, RETURNS)
    return Delivery(
        body=message.content.body,
        routing_key=_text(headers.get(ROUTING_KEY)) or str(message.routing_key),
        message_id=_text(properties.get("message-id")),
        correlation_id=_text(properties.get("correlation-id")),
        redelivered=bool(message.redelivered or came),
        attempt=1 + failed,
    )


@attrs.frozen
class ChannelSettlement:
    """Settle a delivery that came over a channel."""

    channel: Channel
    message: AMQPMessage
    delivery: Delivery
    queue: str
    publisher: Publisher

    def ack(self) -> None:
        """Acknowledge the message."""
        self._open_channel().basic_ack(delivery_tag=self.message.delivery_tag)

    def requeue_unhandled(self) -> None:
        """Requeue the message.

        RabbitMQ 4.3 counts basic.reject, but not basic.nack, towards the delivery limit.
        """
        self._open_channel().basic_nack(delivery_tag=self.message.delivery_tag, requeue=True)

    async def requeue(self, *, failed: bool) -> None:
        """Publish a copy with our count of attempts; the broker counts only lost connections."""
        await self._move(self.queue, {ATTEMPT: self.delivery.attempt - 1 + int(failed)})

    async def dead_letter(self, reason: str) -> None:
        """Publish a copy with the reason to the dead-letter queue."""
        ours = {ATTEMPT: self.delivery.attempt, REASON: reason[:REASON_LENGTH]}
        await self._move(dead_letters(self.queue), ours)

    async def _move(self, queue: str, headers: dict[str, object]) -> None:
        """Publish a copy, wait for its confirm, then acknowledge the original."""
        # If the channel is gone the broker delivers the message again: a copy would double it.
        self._open_channel()
        ours = {ROUTING_KEY: self.delivery.routing_key} | headers
        properties = copied(self.message, kept_headers(self.message) | ours)
        # To the default exchange, which reaches this queue only. Confirmed before the original is
        # acknowledged: a crash in between leaves two messages, the other order none.
        await self.publisher.send("", queue, self.delivery.body, properties)
        self.ack()

    def _open_channel(self) -> Channel:
        if self.channel.closed:
            raise ChannelGone
        return self.channel


@attrs.define(eq=False)
class AMQPConsumer:
    """Consume a queue, and resume after every failure until stopped."""

    log = Logger()

    service: AMQPService
    topology: Topology
    publisher: Publisher
    unsettled: UnsettledDeliveries
    _loop: Deferred[None] | None = attrs.field(default=None, init=False)
    _channel: Channel | None = attrs.field(default=None, init=False)
    _tag: str = attrs.field(default="", init=False)

    def start(self) -> None:
        """Start consuming as soon as there is a connection."""
        self._loop = ensureDeferred(self._run())
        self._loop.addErrback(lambda f: None if f.check(CancelledError) else f)
        self._loop.addErrback(lambda f: self.log.failure("AMQP consumer ended", failure=f))

    async def stop(self, seconds: float) -> bool:
        """Stop consuming, wait for deliveries in hand, and return the rest to the queue.

        Return whether all of them ended within ``seconds``.
        """
        clock = self.unsettled.clock
        end = clock.seconds() + seconds
        self.unsettled.refuse()
        channel = self._channel
        # This order: a cancelled consumer gets nothing new but can still acknowledge [AMQP 0-9-1,
        # basic.cancel]; once the channel is closed, the rest returns to the queue.
        if channel is not None:
            await self._within(seconds, channel.cancel(self._tag))
        done = await self.unsettled.drain(max(0.0, end - clock.seconds()))
        if self._loop is not None:
            self._loop.cancel()
        if channel is not None:
            await self._within(CLOSE_SECONDS, channel.close_channel())
        return done

    async def _within(self, seconds: float, step: AsyncCall[None]) -> None:
        try:
            await timeout(ensureDeferred(step), seconds, self.unsettled.clock)
        except (Closed, DeadlineError):
            self.log.debug("{queue}: the channel is already closed", queue=self.unsettled.queue)

    async def _run(self) -> None:
        failures = 0
        while not self.unsettled.stopping:
            try:
                client = await self.service.when_connected()
            except Closed:
                return  # the broker is stopped
            try:
                if failures:
                    # The set-up of the connection has declared the queue; it may have been deleted
                    # since (docs/explanation/failure-model.md, "The broker").
                    await self.topology.declare(client)
                error = await self._consume(client)
                failures = 0
            except Closed as e:
                error = e
            # If the connection was lost, the service makes the pause.
            if not client.closed and not self.unsettled.stopping:
                failures += 1
                await self._wait(error, failures)

    async def _consume(self, client: Client) -> Exception:
        """Consume on a channel until it or the consumer ends; return the reason."""
        ended: Deferred[Exception] = Deferred()
        channel = await client.open_channel(prefetch=self.unsettled.prefetch)
        try:
            self._tag = await channel.consume(
                self.unsettled.queue, partial(self._take, channel), ended.callback
            )
            self._channel = channel
            return await ended
        finally:
            # stop() closes the channel that it has seen, after the drain; any other would stay
            # open.
            stopper_closes = self.unsettled.stopping and self._channel is channel
            self._channel = None
            if not stopper_closes:
                channel.release()

    def _take(self, channel: Channel, message: AMQPMessage) -> None:
        delivery, queue = delivery_of(message), self.unsettled.queue
        settlement = ChannelSettlement(channel, message, delivery, queue, self.publisher)
        self.unsettled.handle(delivery, settlement)

    async def _wait(self, error: Exception, failures: int) -> None:
        seconds = backoff(failures)
        self.log.warn(
            "{queue}: not consuming: {error}; next attempt in {seconds:.1f} s",
            queue=self.unsettled.queue,
            error=describe(error),
            seconds=seconds,
        )
        await pause(self.unsettled.clock, seconds)
