"""Run a consumer's handler for each delivery, and settle the delivery as the handler decides.

Every delivery is settled exactly once: acknowledged, requeued or dead-lettered. Until then it
counts against ``prefetch``, the number of unacknowledged messages that the broker sends ahead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredSemaphore,
    TimeoutError,
    ensureDeferred,
)
from twisted.logger import Logger, LogLevel

from buildapi.errors import BrokerUnavailable
from buildapi.model.messages import (
    Ack,
    DeadLetter,
    Delivery,
    Disposition,
    Handler,
    Nack,
    Release,
    exhausted,
)
from buildapi.reactor_time import ReactorTime, pause, timeout

FAILED_PAUSE = 1.0
"""Seconds before a message is delivered again if its handler raised."""

# RabbitMQ calls its limit consumer_timeout [RabbitMQ, "Consumers"].
LONGEST_PAUSE = 600.0
"""Maximum seconds to hold a message: RabbitMQ closes its channel after 30 minutes."""

RETRY_PAUSE = 2.0
"""Seconds between attempts to dead-letter or requeue a message while the broker takes none."""


class ChannelGone(Exception):
    """The channel of the delivery is gone; the broker delivers the message again."""


class Settlement(Protocol):
    """Settle one delivery.

    All methods raise Gone; ``requeue`` and ``dead_letter`` raise BrokerUnavailable if they publish.
    """

    def ack(self) -> None:
        """Acknowledge the message, which deletes it."""

    def requeue_unhandled(self) -> None:
        """Requeue a message that was not handled."""

    async def requeue(self, *, failed: bool) -> None:
        """Requeue a message at the end; ``failed`` adds one to its count of attempts."""

    async def dead_letter(self, reason: str) -> None:
        """Move the message to the dead letters, and acknowledge it only then."""


@attrs.define(eq=False)
class UnsettledDeliveries:
    """Handle the deliveries of one consumer, at most ``prefetch`` at a time.

    Deliveries with the same message id run one after the other: after a lost connection a message
    may be redelivered before its handler has ended.
    """

    log = Logger()

    clock: ReactorTime
    queue: str
    handler: Handler
    prefetch: int
    tries: int
    stopping: bool = attrs.field(default=False, init=False)
    _slots: DeferredSemaphore = attrs.field(init=False)
    _running: set[Deferred[None]] = attrs.field(factory=set, init=False)
    _turns: dict[str, Deferred[None]] = attrs.field(factory=dict, init=False)
    _pauses: set[Deferred[None]] = attrs.field(factory=set, init=False)
    _idle: list[Deferred[None]] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Create one slot for each concurrent message."""
        # The broker's prefetch is not enough: after a lost connection it delivers again while the
        # handlers of the old deliveries still run.
        self._slots = DeferredSemaphore(self.prefetch)

    def __len__(self) -> int:
        """Return the number of unsettled deliveries."""
        return len(self._running)

    def handle(self, delivery: Delivery, settlement: Settlement) -> None:
        """Start handling a delivery, or requeue it when stopping."""
        running = ensureDeferred(self._in_turn(delivery, settlement))
        self._running.add(running)
        running.addErrback(lambda f: self.log.failure("cannot settle a message", failure=f))
        running.addBoth(lambda _: self._ended(running))

    def refuse(self) -> None:
        """Accept no more deliveries, and end pauses early."""
        self.stopping = True
        for waiting in list(self._pauses):
            waiting.cancel()

    async def drain(self, seconds: float) -> bool:
        """Accept no more deliveries and wait for the rest; return whether all ended in time."""
        self.refuse()
        if not self._running:
            return True
        idle: Deferred[None] = Deferred(self._idle.remove)
        self._idle.append(idle)
        try:
            await timeout(idle, seconds, self.clock)
        except TimeoutError:
            return False
        return True

    def _ended(self, running: Deferred[None]) -> None:
        self._running.discard(running)
        if not self._running:
            idle, self._idle = self._idle, []
            for waiter in idle:
                waiter.callback(None)

    async def _in_turn(self, delivery: Delivery, settlement: Settlement) -> None:
        key = delivery.message_id
        if key is None:
            return await self._in_slot(delivery, settlement)
        # Before taking a slot: deliveries that wait for their turn must not occupy those of others.
        before, turn = self._turns.get(key), Deferred[None]()
        self._turns[key] = turn
        try:
            if before is not None:
                await before
            await self._in_slot(delivery, settlement)
        finally:
            # Otherwise a later delivery waits for this one, and its own turn stands there.
            if self._turns.get(key) is turn:
                del self._turns[key]
            turn.callback(None)

    async def _in_slot(self, delivery: Delivery, settlement: Settlement) -> None:
        async with self._slots:
            try:
                if self.stopping:
                    settlement.requeue_unhandled()
                else:
                    await self._settle(delivery, settlement, await self._ask(delivery))
            except ChannelGone:
                self.log.info(
                    "{queue}: message {id} will be redelivered",
                    queue=self.queue,
                    id=delivery.message_id,
                )

    async def _ask(self, delivery: Delivery) -> Disposition:
        try:
            answer = await self.handler(delivery)
        # Left unacknowledged, the message would count against the prefetch until the channel
        # closes.
        except Exception as e:
            self.log.failure(
                "{queue}: the handler of message {id} failed",
                level=LogLevel.error,
                queue=self.queue,
                id=delivery.message_id,
            )
            answer = Nack(f"the handler failed with {type(e).__name__}", FAILED_PAUSE)
        last = delivery.attempt >= self.tries
        if isinstance(answer, Nack) and answer.failed and last:
            return exhausted(delivery.attempt, answer.reason)
        return answer

    async def _settle(
        self, delivery: Delivery, settlement: Settlement, disposition: Disposition
    ) -> None:
        match disposition:
            case Ack():
                settlement.ack()
            case Release():
                # Nothing is sent: the broker redelivers it when our channel closes.
                self._say("is requeued for another consumer", delivery)
            case DeadLetter(reason):
                self._say("is dead-lettered", delivery, reason)
                await self._insist(lambda: settlement.dead_letter(reason))
            case Nack(reason, delay, failed):
                self._say("is requeued", delivery, reason)
                # AMQP 0-9-1 has no delayed redelivery: the message waits here, unacknowledged.
                await self._pause(min(delay, LONGEST_PAUSE))
                await self._insist(lambda: settlement.requeue(failed=failed))

    async def _insist(self, act: Callable[[], Awaitable[None]]) -> None:
        """Retry until the broker accepts; when stopping try once: the message is redelivered."""
        while True:
            try:
                return await act()
            except BrokerUnavailable as e:
                self.log.warn("{queue}: cannot move a message: {e}", queue=self.queue, e=e)
            if self.stopping:
                return None
            await self._pause(RETRY_PAUSE)

    async def _pause(self, seconds: float) -> None:
        if self.stopping or seconds <= 0:
            return
        waiting = pause(self.clock, seconds)
        self._pauses.add(waiting)
        try:
            await waiting
        except CancelledError:
            pass  # stopping
        finally:
            self._pauses.discard(waiting)

    def _say(self, what: str, delivery: Delivery, reason: str = "") -> None:
        self.log.info(
            "{queue}: message {id} (attempt {attempt}) {what} {reason}",
            queue=self.queue,
            id=delivery.message_id,
            attempt=delivery.attempt,
            what=what,
            reason=reason,
        )
