"""AMQP deliveries, the dispositions a handler returns, and dead letters."""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable

import attrs


@attrs.frozen
class Ack:
    """Acknowledge the message: it is handled."""


@attrs.frozen
class Nack:
    """Requeue the message after ``delay`` seconds; ``reason`` is logged.

    ``failed`` counts the attempt; it is false while the handler only waits for a service that is
    away.
    """

    reason: str
    delay: float = 0.0
    # No outage is too long: only failures count [docs/amqp.md, "How tries are counted"].
    failed: bool = True


@attrs.frozen
class DeadLetter:
    """Dead-letter the message, with the reason in a header."""

    reason: str


@attrs.frozen
class Release:
    """Leave the message unacknowledged: it is redelivered when its consumer or connection ends."""


Disposition = Ack | Nack | DeadLetter | Release


@attrs.frozen
class Delivery:
    """A delivered message; ``attempt`` is 1 plus the number of attempts that failed.

    A delivery that ended with its connection did not fail.
    """

    body: bytes
    routing_key: str
    message_id: str | None
    correlation_id: str | None
    redelivered: bool
    attempt: int


Handler = Callable[[Delivery], Awaitable[Disposition]]

# "delivered" is what older versions wrote, whose letters may still be there.
_EXHAUSTED = re.compile(r"(tried|delivered) \d+ times\b")


def exhausted(tries: int, reason: str) -> DeadLetter:
    """Return the dead-lettering after the last attempt; ``reason`` is why that one failed."""
    return DeadLetter(f"tried {tries} times; the last time: {reason}")


@attrs.frozen
class Letter:
    """A message in a dead-letter queue.

    ``by_broker``: RabbitMQ dead-lettered it (``delivery_limit``, ``expired``, ``maxlen``), not this
    program.  ``returns`` counts how often a review returned it to its queue; ``at`` is when it was
    dead-lettered, in seconds since the epoch, None if unknown.
    """

    body: bytes
    routing_key: str
    message_id: str | None
    correlation_id: str | None
    reason: str
    by_broker: bool = False
    returns: int = 0
    at: float | None = None

    @property
    def exhausted(self) -> bool:
        """Return whether its attempts were used up, rather than the message refused."""
        return not self.by_broker and _EXHAUSTED.match(self.reason) is not None


class LetterEnd(enum.Enum):
    """What a review decides about a dead letter."""

    KEEP = "kept"
    DROP = "dropped"
    RETURN = "returned"
    """Returned to its queue; its failed attempts still count."""
    RETRY = "retried"
    """Returned to its queue as a new message, at its first attempt."""


Review = Callable[[Letter], Awaitable[LetterEnd]]


class SettledAs(enum.Enum):
    """How a dead letter was settled without a person."""

    RETURNED = "returned"
    """It is in its queue again."""
    FAILED = "failed"
    """Its job was finished as failed."""
    DROPPED = "dropped"
    """Its job had ended."""


@attrs.frozen
class SettledLetter:
    """A dead letter of ``queue`` that was settled; ``at`` is in seconds since the epoch."""

    queue: str
    end: SettledAs
    job_id: int | None
    reason: str
    at: float


@attrs.frozen
class QueueDepth:
    """The numbers of ready, unacknowledged and dead-lettered messages, and of consumers.

    ``unacked`` is None if the broker does not report it.
    """

    ready: int
    unacked: int | None
    consumers: int
    dead: int


@attrs.frozen
class BrokerStatus:
    """The state of the connection; ``blocked`` is the broker's reason to block publishers.

    ``last_error_at`` is in seconds since the epoch.
    """

    connected: bool
    blocked: str | None = None
    last_error: str | None = None
    last_error_at: float | None = None
