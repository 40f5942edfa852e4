"""Review the dead letters of a RabbitMQ queue.

A queue's dead letters are messages in a queue of their own. We move there what no handler could
handle, with the reason in a header of ours; the broker moves what was delivered too often, and
records that in the header ``x-death`` [RabbitMQ, "Dead Letter Exchanges"].
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs
from twisted.internet.defer import ensureDeferred

from buildapi.model.messages import Letter, LetterEnd, Review
from buildapi.mq.consumer import (
    ATTEMPT,
    DEATHS,
    REASON,
    RETURNS,
    ROUTING_KEY,
    copied,
    count_of,
    delivery_of,
    headers_of,
    kept_headers,
)
from buildapi.mq.publisher import Publisher
from buildapi.mq.topology import dead_letters
from buildapi.mq.txamqp.amqp_types import AMQPMessage
from buildapi.mq.txamqp.channel import Channel
from buildapi.mq.txamqp.client import Client
from buildapi.reactor_time import ReactorTime, timeout


def _death(headers: Mapping[str, object]) -> Mapping[str, object]:
    """Return what the broker recorded when it last dead-lettered a message [x-death]."""
    deaths = headers.get("x-death")
    # The most recent comes first [RabbitMQ, "Dead Letter Exchanges"].
    last = deaths[0] if isinstance(deaths, list) and deaths else None
    return last if isinstance(last, Mapping) else {}


def _key(headers: Mapping[str, object], death: Mapping[str, object]) -> str | None:
    """Return the original routing key: our header if we moved the message, else the broker's."""
    # The message itself has the key of its way here: the name of the dead-letter queue. In the
    # broker's record CC keys may follow the first one [RabbitMQ, "Dead Letter Exchanges"].
    keys = death.get("routing-keys")
    value = headers.get(ROUTING_KEY) or (keys[0] if isinstance(keys, list) and keys else None)
    return value if isinstance(value, str) else None


def _epoch(value: object) -> float | None:
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None


def letter_of(message: AMQPMessage) -> Letter:
    """Convert a message to a dead letter; other programs may have put anything into it."""
    delivery, headers = delivery_of(message), headers_of(message)
    death, ours = _death(headers), headers.get(REASON)
    by_broker = not isinstance(ours, str)
    stamp = _epoch(message.content.properties.get("timestamp"))
    return Letter(
        body=delivery.body,
        routing_key=_key(headers, death) or delivery.routing_key,
        message_id=delivery.message_id,
        correlation_id=delivery.correlation_id,
        reason=str(death.get("reason", "unknown")) if by_broker else str(ours),
        by_broker=by_broker,
        returns=count_of(headers, RETURNS),
        at=(_epoch(death.get("time")) or stamp) if by_broker else stamp,
    )


@attrs.define
class QueueReview:
    """Run one review; each operation of the broker may take ``seconds``."""

    reactor: ReactorTime
    publisher: Publisher
    queue: str
    seconds: float

    async def run(self, client: Client, judge: Review, limit: int) -> None:
        """Fetch letters until there are none, and release those that are kept.

        Letters are fetched with basic.get, not consumed: a kept letter stays unacknowledged until
        the channel is closed, and then returns to its place in the queue.

        :raises Closed: the broker refuses, or the connection is lost.
        """
        channel = await client.open_channel()
        try:
            for _ in range(limit):
                getting = channel.basic_get(queue=dead_letters(self.queue), no_ack=False)
                message = await timeout(ensureDeferred(getting), self.seconds, self.reactor)
                if message.method.name == "get-empty":
                    return
                await self._settle(channel, message, await judge(letter_of(message)))
        finally:
            channel.release()

    async def _settle(self, channel: Channel, message: AMQPMessage, end: LetterEnd) -> None:
        if end is LetterEnd.KEEP:
            return
        if end is not LetterEnd.DROP:
            # Confirmed before the letter is acknowledged, so that a crash in between loses nothing.
            await self._publish(message, again=end is LetterEnd.RETRY)
        channel.basic_ack(delivery_tag=message.delivery_tag)

    async def _publish(self, message: AMQPMessage, *, again: bool) -> None:
        """Publish a copy to the queue; ``again`` resets its count of attempts."""
        gone = {*DEATHS, REASON, *({ATTEMPT, RETURNS} if again else ())}
        headers = {k: v for k, v in kept_headers(message).items() if k not in gone}
        # To the default exchange a message is published with the queue's name as its key.
        headers[ROUTING_KEY] = letter_of(message).routing_key
        if not again:
            headers[RETURNS] = count_of(headers, RETURNS) + 1
        body = message.content.body
        await self.publisher.send("", self.queue, body, copied(message, headers))
