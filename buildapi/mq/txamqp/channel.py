"""Implement an AMQP channel: ordered replies, publisher confirms, consumers, notice of its end.

A channel is a numbered conversation within a connection. AMQP numbers no replies, so they match
calls by order only; any error closes the whole channel.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.internet.error import ConnectionDone
from txamqp.content import Content
from txamqp.message import Message
from txamqp.protocol import AMQChannel

from buildapi.mq.txamqp import codec
from buildapi.mq.txamqp.amqp_types import (
    AMQPClass,
    AMQPContent,
    AMQPMessage,
    AMQPMethod,
    Argument,
    Arguments,
    CloseReason,
)
from buildapi.mq.txamqp.errors import Closed, ConsumerCancelled, Nacked, Unroutable, closed_error

if TYPE_CHECKING:
    from buildapi.mq.txamqp.client import Client

OnMessage = Callable[[AMQPMessage], None]
OnEnd = Callable[[Exception], None]


def _stays_in_line(_: object) -> None:
    """Keep a cancelled call queued: its late reply still belongs to it and to no other call."""


@attrs.define
class _Incoming:
    """Collect a message with content from its method, header and body frames."""

    method: AMQPMethod
    args: Arguments
    size: int = 0
    properties: dict[str, object] = attrs.field(factory=dict)
    chunks: list[bytes] = attrs.field(factory=list)
    received: int = 0


class Channel(AMQChannel):  # type: ignore[misc]  # txAMQP has no types
    """Represent one channel; the client adds the methods of the specification.

    A call that the broker refuses fails with ChannelClosed or ConnectionClosed, and so does
    everything else in flight.
    """

    closed: bool

    def __init__(self, number: int, outgoing: None, client: Client) -> None:
        super().__init__(number, outgoing, client)
        self._calls: deque[tuple[list[object], Deferred[AMQPMessage]]] = deque()
        self._incoming: _Incoming | None = None
        self._consumers: dict[str, tuple[OnMessage, OnEnd]] = {}
        self._published = 0
        self._unconfirmed: dict[int, tuple[Deferred[None], str]] = {}
        self._returned: dict[str, Argument] = {}
        self._ended: list[Deferred[Exception]] = []

    # --- outgoing

    def invoke(
        self, method: AMQPMethod, args: Arguments, content: AMQPContent = None
    ) -> Deferred[AMQPMessage]:
        """Send a method; fire with its reply, or at once if it has none.

        Everything is encoded before the first byte is written, so that an encoding error fails this
        call only.
        """
        try:
            self._send(method, args, content)
        except Exception:
            return fail()
        if _wants_no_reply(method, args):
            return succeed(None)
        call: Deferred[AMQPMessage] = Deferred(_stays_in_line)
        self._calls.append((method.responses, call))
        return call

    def _send(self, method: AMQPMethod, args: Arguments, content: AMQPContent) -> None:
        if self.closed:
            raise closed_error(self.reason)
        data = codec.frame(codec.METHOD, self.id, codec.method(method, args))
        if method.content:
            data += self._content(method.klass, content)
        # In one write, past the queue of txAMQP: an error of its encoder ends the loop that writes,
        # and the connection stays open but silent.
        self.client.write(data)

    def _content(self, klass: AMQPClass, content: AMQPContent) -> bytes:
        body: bytes = content.body
        header = codec.header(klass, len(body), content.properties)
        # The negotiated size counts the whole frame [AMQP 0-9-1, connection.tune].
        step = self.client.MAX_LENGTH - codec.FRAME_OVERHEAD
        # Only a body may be split over frames [AMQP 0-9-1 4.2.6].
        if len(header) > step:
            raise ValueError("message properties do not fit into a frame")
        frames = [codec.frame(codec.HEADER, self.id, header)]
        for start in range(0, len(body), step):
            frames.append(codec.frame(codec.BODY, self.id, body[start : start + step]))
        return b"".join(frames)

    # --- incoming

    def on_method(self, method: AMQPMethod, args: Arguments) -> None:
        """Receive a method frame."""
        if method.content:
            self._incoming = _Incoming(method, args)
        else:
            self._complete(Message(method, args, None))

    def on_header(self, size: int, properties: dict[str, object]) -> None:
        """Receive a header frame."""
        incoming = self._expect_content()
        incoming.size, incoming.properties = size, properties
        # No body frame follows an empty body.
        if not size:
            self._complete_content(incoming)

    def on_body(self, data: bytes) -> None:
        """Receive a body frame."""
        incoming = self._expect_content()
        incoming.chunks.append(data)
        incoming.received += len(data)
        if incoming.received >= incoming.size:
            self._complete_content(incoming)

    def _expect_content(self) -> _Incoming:
        if self._incoming is None:
            raise ValueError("content without a method")
        return self._incoming

    def _complete_content(self, incoming: _Incoming) -> None:
        self._incoming = None
        content = Content(b"".join(incoming.chunks), properties=incoming.properties)
        self._complete(Message(incoming.method, incoming.args, content))

    def _complete(self, message: AMQPMessage) -> None:
        if not message.method.response:
            self.client.delegate.dispatch(self, message)
            return
        # One reply without its call, and all later ones would go to the wrong calls: the error ends
        # the connection (Client.dataReceived).
        if not self._calls or message.method not in self._calls[0][0]:
            raise ValueError(f"unexpected reply {message.method.name}")
        _, call = self._calls.popleft()
        if not call.called:
            call.callback(message)

    # --- the end

    def do_close(self, reason: CloseReason) -> None:
        """Fail everything in flight and notify consumers; the channel number becomes free."""
        if self.closed:
            return
        self.closed, self.reason = True, reason
        # txAMQP would keep the dead channel under its number, and return it for a new one.
        if self.client.channels.get(self.id) is self:
            del self.client.channels[self.id]
        error = closed_error(reason)
        waiting = [call for _, call in self._calls]
        waiting += [confirm for confirm, _ in self._unconfirmed.values()]
        consumers = list(self._consumers.values())
        self._calls.clear()
        self._unconfirmed.clear()
        self._consumers.clear()
        ended, self._ended = self._ended, []
        for end in ended:  # first, so that whoever tries again at once does not try here
            end.callback(error)
        for call in waiting:
            if not call.called:
                call.errback(error)
        for _, on_end in consumers:
            on_end(error)

    def when_closed(self) -> Deferred[Exception]:
        """Fire with the error that closed the channel."""
        if self.closed:
            return succeed(closed_error(self.reason))
        end: Deferred[Exception] = Deferred(self._ended.remove)
        self._ended.append(end)
        return end

    async def close_channel(self) -> None:
        """Close the channel; unacknowledged messages return to their queues."""
        if not self.closed:
            # 200 is reply-success [AMQP 0-9-1, "Constants"]. Its close-ok is a reply like others,
            # and closes nothing here: do_close does.
            await self.channel_close(reply_code=200, reply_text="")
            self.do_close(ConnectionDone())

    def release(self) -> None:
        """Close the channel without waiting."""
        ensureDeferred(self.close_channel()).addErrback(lambda f: f.trap(Closed))

    # --- publishing

    @property
    def unconfirmed(self) -> int:
        """Return the number of messages sent but neither confirmed nor refused."""
        return len(self._unconfirmed)

    async def publish(
        self, exchange: str, routing_key: str, body: bytes, properties: dict[str, Argument]
    ) -> None:
        """Publish a message; return when the broker has confirmed it. Needs confirm mode.

        ``properties`` must have a ``message-id``, unique among messages in flight: a returned
        message is recognized by it.

        :raises Nacked: the broker refused it.
        :raises Unroutable: no queue is bound for it.
        :raises Closed: the channel ended first; the message may have arrived.
        """
        # Mandatory: otherwise the broker drops what no queue takes, and confirms it [RabbitMQ,
        # "Consumer Acknowledgements and Publisher Confirms"].
        sent = self.basic_publish(
            exchange=exchange,
            routing_key=routing_key,
            mandatory=True,
            content=Content(body, properties=properties),
        )
        await sent  # done at once; raises what could not be encoded or sent
        # Confirms number the messages of a channel from 1 on: count only what was written.
        self._published += 1
        confirm: Deferred[None] = Deferred(_stays_in_line)
        self._unconfirmed[self._published] = (confirm, properties["message-id"])
        await confirm

    def on_return(self, message: AMQPMessage) -> None:
        """Receive a returned message; its confirm follows [RabbitMQ, "Publisher Confirms"]."""
        self._returned[message.content.properties.get("message-id")] = message

    def on_confirm(self, tag: int, multiple: bool, accepted: bool) -> None:
        """Settle one message, or all up to a tag (0: all)."""
        tags = [tag]
        # Tag 0 stands for all that are outstanding [AMQP 0-9-1, basic.ack].
        if multiple:
            tags = [t for t in self._unconfirmed if not tag or t <= tag]
        for t in tags:
            if t in self._unconfirmed:
                self._settle(*self._unconfirmed.pop(t), accepted)

    def _settle(self, confirm: Deferred[None], message_id: str, accepted: bool) -> None:
        returned = self._returned.pop(message_id, None)
        if confirm.called:
            return
        if not accepted:
            confirm.errback(Nacked(message_id))
        elif returned is not None:
            confirm.errback(Unroutable(f"{returned.reply_code} {returned.reply_text}"))
        else:
            confirm.callback(None)

    # --- consuming

    async def consume(self, queue: str, on_message: OnMessage, on_end: OnEnd) -> str:
        """Consume a queue; return the consumer tag.

        ``on_end`` is called at most once, with ConsumerCancelled or the error that closed the
        channel.
        """
        tag = f"buildapi-{uuid.uuid4().hex}"
        self._consumers[tag] = (on_message, on_end)  # before the reply: deliveries may be faster
        try:
            await self.basic_consume(queue=queue, consumer_tag=tag)
        except BaseException:
            self._consumers.pop(tag, None)
            raise
        return tag

    async def cancel(self, tag: str) -> None:
        """Cancel a consumer; delivered messages can still be acknowledged."""
        await self.basic_cancel(consumer_tag=tag)
        self._consumers.pop(tag, None)

    def on_deliver(self, message: AMQPMessage) -> None:
        """Pass a message to its consumer, if that still exists."""
        if consumer := self._consumers.get(message.consumer_tag):
            consumer[0](message)

    def on_cancel(self, tag: str) -> None:
        """Notify a consumer that the broker cancelled it."""
        # RabbitMQ does so if the queue is deleted or its node fails [RabbitMQ, "Consumer Cancel
        # Notification"]; the channel stays open.
        if consumer := self._consumers.pop(tag, None):
            consumer[1](ConsumerCancelled("the broker cancelled the consumer"))


def _wants_no_reply(method: AMQPMethod, args: Arguments) -> bool:
    nowait = method.fields.byname.get("nowait")
    return not method.responses or (nowait is not None and args[method.fields.index(nowait)])
