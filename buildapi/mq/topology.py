"""Declare the exchange, queues and bindings, and accept those that exist already.

Declaring is safe to repeat: the broker creates what is missing, and closes the channel with error
406 if the object exists with other arguments [AMQP 0-9-1, queue.declare].
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeVar

import attrs
from twisted.logger import Logger

from buildapi.mq.txamqp.channel import Channel
from buildapi.mq.txamqp.client import Client
from buildapi.mq.txamqp.errors import ChannelClosed, describe, reply_code

QueueType = Literal["quorum", "classic"]

# Reply codes with which a broker closes a channel [AMQP 0-9-1, "Constants"].
PRECONDITION_FAILED, ACCESS_REFUSED = 406, 403

DELIVERY_LIMIT = 100
"""Deliveries of one message that may end with their connection before it is dead-lettered.

We count failed attempts ourselves. This limit only stops a message that crashes every process that
takes it. It is set because the default of RabbitMQ 4 is 20 (before 4.0 there was no limit).
"""


def dead_letters(queue: str) -> str:
    """Return the name of a queue's dead-letter queue."""
    return f"{queue}.dead"


T = TypeVar("T")


def has_quorum_queues(server: Mapping[str, object]) -> bool:
    """Return whether a broker has quorum queues; older ones ignore ``x-queue-type``."""
    version = re.match(r"(\d+)\.(\d+)", str(server.get("version")))
    # Another broker may call the type otherwise, or refuse the argument: declare plain queues
    # there.
    if version is None or server.get("product") != "RabbitMQ":
        return False
    # The first release with them [RabbitMQ, "Quorum Queues"].
    return (int(version[1]), int(version[2])) >= (3, 8)


async def on_channel(client: Client, act: Callable[[Channel], Awaitable[T]]) -> T:
    """Run a function on its own channel: a broker closes the channel on error [AMQP 0-9-1]."""
    channel = await client.open_channel()
    try:
        return await act(channel)
    finally:
        channel.release()


@attrs.define
class Topology:
    """Declare a topic exchange, and a durable queue and dead-letter queue for each routing key.

    Objects that exist with other arguments cannot be changed and are used as they are; so are those
    that the account may not declare.
    """

    log = Logger()

    exchange: str
    queues: Mapping[str, str]
    queue_type: QueueType
    _reported: set[str] = attrs.field(factory=set, init=False)

    async def declare(self, client: Client) -> None:
        """Declare the exchange, queues and bindings.

        :raises Closed: the broker refuses, or the connection is lost.
        """
        await self._have_exchange(client)
        quorum = self.queue_type == "quorum" and has_quorum_queues(client.server_properties)
        for queue in self.queues.values():
            # First, since a message dead-lettered to a queue that does not exist is dropped
            # [RabbitMQ, "Dead Letter Exchanges"].
            await self._have_queue(client, dead_letters(queue), {})
            wanted = self._quorum_arguments(queue) if quorum else {}
            await self._have_queue(client, queue, wanted)
        await self._have_bindings(client)

    def _quorum_arguments(self, queue: str) -> dict[str, object]:
        return {
            "x-queue-type": "quorum",
            # The default exchange, to which each queue is bound by its name [AMQP 0-9-1,
            # queue.declare]: no exchange or binding that somebody can delete.
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead_letters(queue),
            "x-delivery-limit": DELIVERY_LIMIT,
        }

    async def _have_exchange(self, client: Client) -> None:
        name = self.exchange
        await self._have(
            client,
            f"exchange {name}",
            # As the Pylons program declares it: processes of both share the exchange
            # (docs/migration.md).
            lambda ch: ch.exchange_declare(exchange=name, type="topic", durable=True),
            lambda ch: ch.exchange_declare(exchange=name, passive=True),
        )

    async def _have_queue(self, client: Client, name: str, arguments: dict[str, object]) -> None:
        await self._have(
            client,
            f"queue {name}",
            lambda ch: ch.queue_declare(queue=name, durable=True, arguments=arguments),
            lambda ch: ch.queue_declare(queue=name, passive=True),
        )

    async def _have(
        self,
        client: Client,
        what: str,
        declare: Callable[[Channel], Awaitable[object]],
        look: Callable[[Channel], Awaitable[object]],
    ) -> None:
        """Declare an object; if one exists with other arguments, use it as it is."""
        try:
            await on_channel(client, declare)
        except ChannelClosed as e:
            if reply_code(e) == PRECONDITION_FAILED:
                self._report(what, describe(e))
            elif reply_code(e) != ACCESS_REFUSED:
                raise
            # A passive declare needs no privilege: it serves an account that may configure nothing.
            await on_channel(client, look)

    async def _have_bindings(self, client: Client) -> None:
        """Bind each queue; an account without the privilege works with existing bindings."""
        for routing_key, queue in self.queues.items():
            binding = {"queue": queue, "exchange": self.exchange, "routing_key": routing_key}
            try:
                await on_channel(client, lambda ch, b=binding: ch.queue_bind(**b))  # type: ignore[misc]  # the default of b
            except ChannelClosed as e:
                if reply_code(e) != ACCESS_REFUSED:
                    raise

    def _report(self, what: str, error: str) -> None:
        """Log the difference once, not at every connect."""
        if what not in self._reported:
            self._reported.add(what)
            self.log.warn(
                "{what} exists with other arguments and is used as it is: {error}",
                what=what,
                error=error,
            )
