"""Implement the broker inside this process, for a single host, samples and tests.

It keeps the promises of RabbitMQ that the rest relies on (redelivery, prefetch, dead letters) and
passes the same contract tests. It keeps nothing over a restart: at the start all unfinished jobs
are sent again, from the jobs database.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from buildapi.errors import BrokerUnavailable
from buildapi.model.messages import (
    BrokerStatus,
    Delivery,
    Handler,
    Letter,
    LetterEnd,
    QueueDepth,
    Review,
)
from buildapi.model.wire import FINISHED, REQUESTS
from buildapi.mq.settlement import ChannelGone, UnsettledDeliveries
from buildapi.reactor_time import ReactorTime

TURN = 100
"""Maximum number of messages of a queue delivered in one iteration of the reactor."""


@attrs.frozen
class EmbeddedDeadLetter:
    """Keep a dead letter: the last delivery of a message, and why it was the last."""

    delivery: Delivery
    reason: str

    def letter(self) -> Letter:
        """Return it in the form that all brokers share."""
        d = self.delivery
        return Letter(d.body, d.routing_key, d.message_id, d.correlation_id, self.reason)


@attrs.define(eq=False)
class _Queue:
    """Keep waiting deliveries, the number in hand, and the consumers in round-robin order."""

    waiting: deque[Delivery] = attrs.field(factory=deque)
    in_hand: int = 0
    consumers: deque[EmbeddedConsumer] = attrs.field(factory=deque)
    dead: deque[EmbeddedDeadLetter] = attrs.field(factory=deque)

    def __len__(self) -> int:
        return len(self.waiting) + self.in_hand

    def again(self, delivery: Delivery, *, first: bool, failed: bool) -> None:
        """Requeue a delivery at the front or the end."""
        attempt = delivery.attempt + int(failed)
        again = attrs.evolve(delivery, redelivered=True, attempt=attempt)
        if first:
            self.waiting.appendleft(again)
        else:
            self.waiting.append(again)

    def next_consumer(self) -> EmbeddedConsumer | None:
        """Return the next consumer with room in round-robin order, or None."""
        for _ in range(len(self.consumers)):
            consumer = self.consumers[0]
            self.consumers.rotate(-1)
            if consumer.has_room:
                return consumer
        return None


@attrs.define(eq=False)
class _Settlement:
    """Settle one delivery; raise Gone once its consumer was stopped."""

    broker: EmbeddedBroker
    consumer: EmbeddedConsumer
    delivery: Delivery

    def ack(self) -> None:
        self._take_out()

    def requeue_unhandled(self) -> None:
        # At the front, as RabbitMQ keeps its place if it can [RabbitMQ, "Negative
        # Acknowledgements"].
        self._take_out().again(self.delivery, first=True, failed=False)
        self.broker.pump()

    async def requeue(self, *, failed: bool) -> None:
        # At the end, as the copy that ChannelSettlement publishes: one that fails holds up no
        # other.
        self._take_out().again(self.delivery, first=False, failed=failed)
        self.broker.pump()

    async def dead_letter(self, reason: str) -> None:
        self.broker.dead_letter(self._take_out(), EmbeddedDeadLetter(self.delivery, reason))

    def _take_out(self) -> _Queue:
        if self not in self.consumer.open:
            raise ChannelGone
        self.consumer.open.remove(self)
        self.consumer.queue.in_hand -= 1
        self.broker.pump()
        return self.consumer.queue


@attrs.define(eq=False)
class EmbeddedConsumer:
    """Consume one queue."""

    broker: EmbeddedBroker
    queue: _Queue
    unsettled: UnsettledDeliveries
    open: list[_Settlement] = attrs.field(factory=list, init=False)

    @property
    def has_room(self) -> bool:
        """Return whether the consumer can take another message: unsettled ones count."""
        return not self.unsettled.stopping and len(self.open) < self.unsettled.prefetch

    def deliver(self, delivery: Delivery) -> None:
        """Deliver a message to the handler."""
        settlement = _Settlement(self.broker, self, delivery)
        self.open.append(settlement)
        self.queue.in_hand += 1
        self.unsettled.handle(delivery, settlement)

    async def stop(self, seconds: float) -> bool:
        """Stop consuming, wait for deliveries in hand, and return the rest to the queue.

        Return whether all of them ended within ``seconds``.
        """
        self.unsettled.refuse()
        done = await self.unsettled.drain(seconds)
        if self in self.queue.consumers:
            self.queue.consumers.remove(self)
        left, self.open = self.open, []
        self.queue.in_hand -= len(left)
        # Each goes to the front: the last one first keeps their order.
        for settlement in reversed(left):
            self.queue.again(settlement.delivery, first=True, failed=False)
        self.broker.pump()
        return done


@attrs.define(slots=False, eq=False)
class EmbeddedBroker(Service):
    """Keep messages in memory, at most ``max_messages`` in a queue and as many dead letters.

    ``reactor`` is an IReactorTime. A restart empties the queues.
    """

    keeps_messages = False  # the reconciler then sends unfinished jobs again at the start
    log = Logger()

    reactor: ReactorTime
    agent_queue: str = "buildapi-agent"
    web_queue: str = "buildapi-web"
    tries: int = 3
    max_messages: int = 10_000
    _queues: dict[str, _Queue] = attrs.field(init=False)
    _routes: dict[str, str] = attrs.field(init=False)
    _pumping: Any = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Create the two queues."""
        self._routes = {REQUESTS: self.agent_queue, FINISHED: self.web_queue}
        self._queues = {name: _Queue() for name in self._routes.values()}

    def startService(self) -> None:
        """Start delivering."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted
        self.pump()

    def stopService(self) -> Deferred[None]:
        """Return unsettled messages to the queues and stop delivering."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        for queue in self._queues.values():
            for consumer in list(queue.consumers):
                await consumer.stop(0)
        if self._pumping is not None:
            self._pumping.cancel()
            self._pumping = None

    async def publish(
        self, routing_key: str, body: bytes, *, message_id: str, correlation_id: str | None = None
    ) -> None:
        """Queue a message.

        :raises BrokerUnavailable: stopped, full, or without a queue for the routing key.
        """
        if not self.running:
            raise BrokerUnavailable("the embedded broker is stopped")
        if routing_key not in self._routes:
            # RabbitMQ returns a mandatory message that no queue takes [AMQP 0-9-1, basic.publish].
            raise BrokerUnavailable(f"no queue is bound to {routing_key!r}")
        queue = self._queues[self._routes[routing_key]]
        if len(queue) >= self.max_messages:
            raise BrokerUnavailable(f"the queue is full: {self.max_messages} messages wait")
        queue.waiting.append(
            Delivery(body, routing_key, message_id, correlation_id, redelivered=False, attempt=1)
        )
        self.pump()

    async def consume(self, queue: str, handler: Handler, *, prefetch: int) -> EmbeddedConsumer:
        """Start a consumer."""
        target = self._queue(queue)
        unsettled = UnsettledDeliveries(self.reactor, queue, handler, prefetch, self.tries)
        consumer = EmbeddedConsumer(self, target, unsettled)
        target.consumers.append(consumer)
        self.pump()
        return consumer

    def status(self) -> BrokerStatus:
        """Return whether the broker runs."""
        return BrokerStatus(connected=bool(self.running))

    async def depth(self, queue: str) -> QueueDepth:
        """Return the depth of a queue.

        :raises BrokerUnavailable: there is no such queue, or the broker is stopped.
        """
        if not self.running:
            raise BrokerUnavailable("the embedded broker is stopped")
        q = self._queue(queue)
        return QueueDepth(len(q.waiting), q.in_hand, len(q.consumers), len(q.dead))

    async def review(self, queue: str, judge: Review, *, limit: int) -> None:
        """Pass the dead letters of a queue to ``judge``, oldest first.

        :raises BrokerUnavailable: there is no such queue, or the broker is stopped.
        """
        if not self.running:
            raise BrokerUnavailable("the embedded broker is stopped")
        reviewed = self._queue(queue)
        letters = [reviewed.dead.popleft() for _ in range(min(limit, len(reviewed.dead)))]
        kept: list[EmbeddedDeadLetter] = []
        try:
            while letters:
                letter = letters.pop(0)
                # Kept until it is judged, so that no letter is lost where the judge raises.
                kept.append(letter)
                end = await judge(letter.letter())
                if end is not LetterEnd.KEEP:
                    kept.pop()
                if end in (LetterEnd.RETURN, LetterEnd.RETRY):
                    new = attrs.evolve(letter.delivery, redelivered=True)
                    again = new if end is LetterEnd.RETURN else attrs.evolve(new, attempt=1)
                    reviewed.waiting.append(again)
        finally:
            reviewed.dead.extendleft(reversed([*kept, *letters]))
            self.pump()

    def dead_letters(self, queue: str) -> list[EmbeddedDeadLetter]:
        """List the dead letters of a queue, oldest first."""
        return list(self._queue(queue).dead)

    def pump(self) -> None:
        """Schedule the delivery of waiting messages for a later iteration of the reactor."""
        if self.running and self._pumping is None:
            # Not at once: a handler would run within the publish or ack of its caller, and one that
            # publishes would recurse.
            self._pumping = self.reactor.callLater(0, self._deliver)

    def dead_letter(self, queue: _Queue, letter: EmbeddedDeadLetter) -> None:
        """Add a dead letter; beyond the limit drop the oldest, with a warning."""
        queue.dead.append(letter)
        if len(queue.dead) > self.max_messages:
            dropped = queue.dead.popleft()
            self.log.warn(
                "too many dead letters: {id} is dropped ({reason})",
                id=dropped.delivery.message_id,
                reason=dropped.reason,
            )

    def _queue(self, name: str) -> _Queue:
        try:
            return self._queues[name]
        except KeyError:
            raise BrokerUnavailable(f"no queue {name!r}") from None

    def _deliver(self) -> None:
        self._pumping = None
        for queue in self._queues.values():
            self._deliver_some(queue)

    def _deliver_some(self, queue: _Queue) -> None:
        for _ in range(TURN):
            if not queue.waiting or (consumer := queue.next_consumer()) is None:
                return
            consumer.deliver(queue.waiting.popleft())
        # The rest in the next iteration, so that the reactor serves others in between.
        self.pump()
