"""Consume a queue from the start of a service to its end."""

from __future__ import annotations

import attrs
from twisted.internet import defer
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildapi.interfaces import Broker, Consumer
from buildapi.model.messages import Handler

log = Logger()


@attrs.define
class QueueConsumer:
    """Consume ``queue``, at most ``prefetch`` messages at a time."""

    _broker: Broker
    _queue: str
    _prefetch: int
    _drain_seconds: float
    _starting: defer.Deferred[Consumer | None] | None = attrs.field(default=None, init=False)

    def open(self, handler: Handler) -> None:
        """Start consuming; log a failure to do so."""
        consuming = self._broker.consume(self._queue, handler, prefetch=self._prefetch)
        # Kept, since a stop may come before the consumer is there.
        self._starting = defer.ensureDeferred(consuming).addErrback(self._not_consuming)

    def _not_consuming(self, failure: Failure) -> None:
        log.failure("cannot consume from {queue}", failure=failure, queue=self._queue)

    async def close(self) -> None:
        """Stop consuming, and wait up to the drain time for messages in hand."""
        consumer = await self._starting if self._starting is not None else None
        if consumer is not None and not await consumer.stop(self._drain_seconds):
            log.warn("requeueing the unsettled messages of {queue}", queue=self._queue)
