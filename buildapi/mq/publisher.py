"""Publish with confirms over a connection that may be lost and replaced.

AMQP does not answer a ``basic.publish``. On a channel in confirm mode RabbitMQ acknowledges each
message by its number, for a durable queue once it is on disk; a mandatory message that no queue
takes comes back first [RabbitMQ, "Publisher Confirms"]. Without a confirm nobody knows whether it
arrived.
"""

from __future__ import annotations

import attrs
from twisted.internet.defer import TimeoutError, ensureDeferred
from twisted.logger import Logger

from buildapi.errors import BrokerUnavailable
from buildapi.mq.txamqp.channel import Channel
from buildapi.mq.txamqp.client import Client
from buildapi.mq.txamqp.errors import Closed, Nacked, Unroutable, describe
from buildapi.mq.txamqp.service import AMQPService
from buildapi.reactor_time import ReactorTime, timeout


@attrs.define(eq=False)
class Publisher:
    """Publish on one confirm channel; ``service`` must call ``prepare`` at every connect.

    A publish ends within ``seconds``; more than ``bound`` concurrent ones are refused.
    """

    log = Logger()

    reactor: ReactorTime
    seconds: float
    bound: int
    service: AMQPService = attrs.field(init=False)
    _channel: Channel | None = attrs.field(default=None, init=False)

    async def prepare(self, client: Client) -> None:
        """Open the confirm channel of a new connection."""
        channel = self._channel = await client.open_channel(confirm=True)
        channel.when_closed().addCallback(self._channel_closed, client)

    async def send(
        self, exchange: str, routing_key: str, body: bytes, properties: dict[str, object]
    ) -> None:
        """Publish a message; return when the broker has confirmed it.

        :raises BrokerUnavailable: there was no confirm; the text says why.
        """
        # The broker reads nothing from us now [RabbitMQ, "Blocked Connection Notifications"]: what
        # is written would pile up in the transport's buffer.
        if self.blocked is not None:
            raise BrokerUnavailable(self._blocked_text())
        if self._open() >= self.bound:
            raise BrokerUnavailable(f"too many messages wait for the broker ({self.bound})")
        try:
            confirmed = self._confirmed(exchange, routing_key, body, properties)
            await timeout(ensureDeferred(confirmed), self.seconds, self.reactor)
        except TimeoutError:
            raise BrokerUnavailable(self._late_text()) from None
        except Nacked:
            raise BrokerUnavailable("the broker refused the message") from None
        except Unroutable as e:
            raise BrokerUnavailable(f"no queue is bound to {routing_key!r}: {e}") from None
        except ValueError as e:  # nothing was written [txamqp.channel, invoke]
            raise BrokerUnavailable(f"the message cannot be encoded: {e}") from None
        except Closed as e:
            raise BrokerUnavailable(f"not confirmed: {describe(e)}") from None

    @property
    def blocked(self) -> str | None:
        """Return the broker's reason for blocking our connection, or None."""
        client = self.service.client
        return client.blocked if client is not None else None

    async def _confirmed(
        self, exchange: str, routing_key: str, body: bytes, properties: dict[str, object]
    ) -> None:
        # Within the deadline of the caller: a short loss of the connection refuses nothing.
        await self.service.when_connected()
        if self._channel is None:
            raise Closed("the channel is closed")
        await self._channel.publish(exchange, routing_key, body, properties)

    def _open(self) -> int:
        sent = self._channel.unconfirmed if self._channel is not None else 0
        # Those that wait for a connection hold their messages in memory as well.
        return self.service.waiting + int(sent)

    def _late_text(self) -> str:
        if self.blocked is not None:
            return self._blocked_text()
        if self.service.client is not None:
            return f"no confirm within {self.seconds:g} s"
        last = self.service.last_error or "connecting"
        return f"not connected within {self.seconds:g} s: {last}"

    def _blocked_text(self) -> str:
        return f"the broker accepts no messages: {self.blocked}"

    def _channel_closed(self, error: Exception, client: Client) -> None:
        """Reconnect if only the channel was closed: that declares everything again."""
        # A new channel alone would meet the same error, such as 404 for a deleted exchange.
        if not client.closed:
            self.log.warn("the publishing channel was closed: {error}", error=describe(error))
            client.abort(error)
