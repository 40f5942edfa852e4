"""Implement one AMQP connection: handshake, frames, heartbeat, channels.

The client sends a protocol header, logs in, agrees on limits (tune) and opens a vhost. After that
the frames of all channels share the connection, and heartbeat frames show that the peer is alive.
"""

from __future__ import annotations

import struct
from typing import Any

import attrs
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from txamqp.client import TwistedDelegate
from txamqp.protocol import AMQClient

from buildapi.mq.txamqp import codec
from buildapi.mq.txamqp.amqp_types import AMQPMessage, CloseReason
from buildapi.mq.txamqp.channel import Channel
from buildapi.mq.txamqp.errors import Closed, ProtocolError, closed_error
from buildapi.mq.txamqp.spec import SPEC
from buildapi.reactor_time import ReactorTime, repeated, timeout

FRAME_MAX = 131072
"""Requested maximum size of a frame, in bytes; RabbitMQ's default."""

# An HTTP answer, read as a frame, has a length of more than a gigabyte: "P/1." of "HTTP/1.1".
FRAME_LIMIT = 2**20
"""Size in bytes above which a frame cannot be AMQP."""

# RabbitMQ tells only clients that ask for it here that a consumer was cancelled ["Consumer Cancel
# Notification"], that it reads nothing ["Blocked Connection Notifications"] and that the login is
# wrong, where it would just hang up ["Authentication Failure Notifications"].
CAPABILITIES = {
    "publisher_confirms": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "exchange_exchange_bindings": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
}


@attrs.frozen
class Credentials:
    """Hold user name and password; the password stays out of every repr."""

    username: str
    password: str = attrs.field(repr=False)

    def plain(self) -> str:
        """Return the response of SASL PLAIN."""
        # No authorization identity, then the user, then the password [RFC 4616 section 2].
        return f"\0{self.username}\0{self.password}"


class Delegate(TwistedDelegate):  # type: ignore[misc]  # txAMQP has no types
    """Handle the methods that the broker sends; named after the methods of the specification."""

    client: Any

    def connection_start(self, ch: Channel, msg: AMQPMessage) -> None:
        """Log in."""
        self.client.server_properties = msg.server_properties
        ch.connection_start_ok(
            client_properties={
                "product": "buildapi",
                # RabbitMQ shows it in its log and in list_connections.
                "connection_name": self.client.label,
                "capabilities": CAPABILITIES,
            },
            mechanism="PLAIN",
            response=self.client.credentials.plain(),
            locale="en_US",  # which every server supports [AMQP 0-9-1, connection.start]
        )

    def connection_tune(self, ch: Channel, msg: AMQPMessage) -> None:
        """Negotiate the limits; then the connection can be opened."""
        heartbeat = self.client.tune(msg.channel_max, msg.frame_max, msg.heartbeat)
        ch.connection_tune_ok(self.client.channel_max, self.client.MAX_LENGTH, heartbeat)
        self.client.started.fire()

    def connection_blocked(self, _: object, msg: AMQPMessage) -> None:
        """Record that the broker has stopped reading from this connection."""
        self.client.blocked = msg.reason

    def connection_unblocked(self, *_: object) -> None:
        """Record that the broker reads again."""
        self.client.blocked = None

    def basic_deliver(self, ch: Channel, msg: AMQPMessage) -> None:
        """Pass on a delivery."""
        ch.on_deliver(msg)

    # The underscore is txAMQP's, since return is a keyword of Python.
    def basic_return_(self, ch: Channel, msg: AMQPMessage) -> None:
        """Pass on a returned message."""
        ch.on_return(msg)

    def basic_ack(self, ch: Channel, msg: AMQPMessage) -> None:
        """Pass on a confirm."""
        ch.on_confirm(msg.delivery_tag, msg.multiple, True)

    def basic_nack(self, ch: Channel, msg: AMQPMessage) -> None:
        """Pass on a negative confirm."""
        ch.on_confirm(msg.delivery_tag, msg.multiple, False)

    def basic_cancel(self, ch: Channel, msg: AMQPMessage) -> None:
        """Pass on the cancellation of a consumer."""
        ch.on_cancel(msg.consumer_tag)


class Client(AMQClient):  # type: ignore[misc]  # txAMQP has no types
    """Speak AMQP over one connection, which is never reused after its end.

    ``blocked`` is the broker's reason for not reading from us, such as a memory alarm.
    """

    channelClass = Channel
    log = Logger()
    closed: bool

    def __init__(
        self, credentials: Credentials, vhost: str, heartbeat: int, label: str, clock: ReactorTime
    ) -> None:
        # heartbeat=0 turns off txAMQP's own, which imposes its value instead of negotiating it and
        # resets a timer with every frame.
        super().__init__(Delegate(), vhost, SPEC, heartbeat=0, clock=clock)
        self.credentials, self.label = credentials, label
        self.heartbeat = heartbeat
        self.channel_max = 0
        self.blocked: str | None = None
        self.error: Exception | None = None
        self.server_properties: dict[str, object] = {}
        self._buffer = bytearray()
        self._last_number = 0
        self._beating = repeated(clock, self._beat)
        self._received_at = self._sent_at = 0.0

    # --- handshake and end

    def connectionMade(self) -> None:
        """Send the protocol header."""
        # Number 0 is of the connection itself [AMQP 0-9-1 4.2.3].
        self.channels[0] = self.channelFactory(0, None, self)
        # The header of 0-9-1 [AMQP 0-9-1 4.2.2]; txAMQP sends an older form.
        self.transport.write(b"AMQP\x00\x00\x09\x01")

    def tune(self, channel_max: int, frame_max: int, heartbeat: int) -> int:
        """Negotiate limits that both sides accept; return the heartbeat in seconds (0: none)."""
        # 0 means no limit, for both [AMQP 0-9-1, connection.tune]; channel numbers have 16 bits.
        self.MAX_LENGTH = min(frame_max or FRAME_MAX, FRAME_MAX)
        self.channel_max = channel_max or 65535
        # The smaller of the two; where the broker wants none, ours [RabbitMQ, "Detecting Dead TCP
        # Connections with Heartbeats"].
        if self.heartbeat and heartbeat:
            self.heartbeat = min(self.heartbeat, heartbeat)
        self._received_at = self._sent_at = self.clock.seconds()
        if self.heartbeat:
            self._beating.start(self.heartbeat / 2, now=False)
        return self.heartbeat

    async def open(self) -> None:
        """Wait for the login and open the vhost.

        :raises Closed: with the broker's reason.
        """
        await self.started.wait()
        await self.channels[0].connection_open(self.vhost)

    async def open_channel(self, *, prefetch: int = 0, confirm: bool = False) -> Channel:
        """Open a channel with the next free number."""
        if self.closed:
            raise closed_error(self.error)
        number = self._free_number()
        channel: Channel = self.channelFactory(number, None, self)
        self.channels[number] = channel
        try:
            await channel.channel_open()
            if prefetch:
                # Not global: quorum queues refuse that with 540, which ends the connection
                # [RabbitMQ, "Quorum Queues"].
                await channel.basic_qos(prefetch_count=prefetch)
            if confirm:
                await channel.confirm_select()
        except BaseException:
            # Otherwise the number would stay taken.
            channel.release()
            raise
        return channel

    async def shutdown(self, seconds: float) -> None:
        """Close the connection; after ``seconds`` abort it."""
        try:
            await timeout(ensureDeferred(self._leave()), seconds, self.clock)
        except (DeadlineError, Closed):
            self.abort(Closed("the broker did not confirm the close"))

    async def _leave(self) -> None:
        if not self.closed:
            await self.channels[0].connection_close(reply_code=200, reply_text="")
            self.do_close(ConnectionDone())
        await self.disconnected.wait()

    def abort(self, reason: Exception) -> None:
        """Drop the connection at once."""
        self._stop_beating()
        self.do_close(reason)
        if self.transport is not None:
            # loseConnection, in do_close, waits until all is written [Twisted, ITransport]: a peer
            # that reads nothing would keep the connection open for ever.
            self.transport.abortConnection()

    def do_close(self, reason: CloseReason) -> None:
        """Fail everything in flight on all channels."""
        if self.closed:
            return
        self.closed, self.error = True, closed_error(reason)
        self.started.fail_if_not_fired(self.error)
        for channel in list(self.channels.values()):
            channel.do_close(reason)
        self.channels.clear()
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        """Fail everything in flight."""
        self._stop_beating()
        self.do_close(reason)
        self.disconnected.fire()

    def _free_number(self) -> int:
        """Return the next free number in turn: late frames of a closed channel miss new ones."""
        for _ in range(self.channel_max):
            self._last_number = self._last_number % self.channel_max + 1
            if self._last_number not in self.channels:
                return self._last_number
        raise Closed("no free channel number")

    # --- frames

    def write(self, data: bytes) -> None:
        """Send complete frames."""
        self._sent_at = self.clock.seconds()
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        """Receive bytes; anything that is not AMQP ends the connection."""
        self._received_at = self.clock.seconds()
        self._buffer += data
        try:
            self._take_frames()
        # KeyError: a class or method that the specification lacks.
        except (ValueError, KeyError, struct.error) as e:
            self.abort(ProtocolError(f"protocol error: {e}"))
        except Exception as e:
            self.log.failure("{label}: cannot handle a frame", label=self.label)
            self.abort(ProtocolError(f"protocol error: {type(e).__name__}"))

    def _take_frames(self) -> None:
        start, size = 0, len(self._buffer)
        while size - start >= codec.FRAME_OVERHEAD - 1 and not self.closed:
            kind, channel, length = struct.unpack_from(">BHI", self._buffer, start)
            if length > FRAME_LIMIT:
                raise ValueError(f"a frame of {length} bytes; is this an AMQP port?")
            end = start + length + codec.FRAME_OVERHEAD
            if size < end:
                break
            if self._buffer[end - 1] != codec.FRAME_END:
                raise ValueError("a frame without its end")
            payload = bytes(self._buffer[start + 7 : end - 1])
            start = end
            self._on_frame(kind, channel, payload)
        # Once for all frames, since each deletion moves what is left.
        del self._buffer[:start]

    def _on_frame(self, kind: int, number: int, payload: bytes) -> None:
        channel = self.channels.get(number)
        if channel is None:
            return  # late, for a channel that we closed
        if kind == codec.METHOD:
            channel.on_method(*codec.read_method(payload))
        elif kind == codec.HEADER:
            channel.on_header(*codec.read_header(payload))
        elif kind == codec.BODY:
            channel.on_body(payload)

    # --- heartbeat

    def _stop_beating(self) -> None:
        if self._beating.running:
            self._beating.stop()

    def _beat(self) -> None:
        now = self.clock.seconds()
        silent = now - self._received_at
        # After two intervals without any traffic the peer counts as dead, and no close is sent
        # [AMQP 0-9-1 4.2.7]. Ours go out every half interval, as those of RabbitMQ.
        if silent > 2 * self.heartbeat:
            self.abort(Closed(f"the broker sent nothing for {silent:.0f} s"))
        elif now - self._sent_at >= self.heartbeat / 2:
            self.write(codec.frame(codec.HEARTBEAT, 0, b""))


@attrs.define(slots=False, eq=False)
class ClientFactory(Factory):
    """Build clients that log in with the same credentials."""

    noisy = False

    reactor: ReactorTime
    credentials: Credentials
    vhost: str = "/"
    heartbeat: int = 30
    label: str = "buildapi"

    def buildProtocol(self, addr: IAddress | None) -> Client:
        """Build a client."""
        del addr
        return Client(self.credentials, self.vhost, self.heartbeat, self.label, self.reactor)
