"""Messages of a broker, and what a handler says should become of each."""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable

import attrs


@attrs.frozen
class Ack:
    """The message is dealt with."""


@attrs.frozen
class Requeue:
    """Deliver the message again, after ``delay`` seconds; ``reason`` is logged.

    ``failed``: this was a try that failed.  Waiting for what is away is none.
    """

    reason: str
    delay: float = 0.0
    failed: bool = True


@attrs.frozen
class DeadLetter:
    """Put the message aside, with the reason in a header."""

    reason: str


@attrs.frozen
class Leave:
    """Keep it unacknowledged until the connection ends, for the next consumer."""


Disposition = Ack | Requeue | DeadLetter | Leave


@attrs.frozen
class Delivery:
    """A message; ``attempt`` is 1 plus the number of its handlings that failed.

    A delivery that ended with its connection is no handling that failed.
    """

    body: bytes
    routing_key: str
    message_id: str | None
    correlation_id: str | None
    redelivered: bool
    attempt: int


Handler = Callable[[Delivery], Awaitable[Disposition]]

_EXHAUSTED = re.compile(r"(tried|delivered) \d+ times\b")


def exhausted(tries: int, reason: str) -> DeadLetter:
    """Dead-letter what failed as often as it may; ``reason`` is that of the last time."""
    return DeadLetter(f"tried {tries} times; the last time: {reason}")


@attrs.frozen
class Letter:
    """A message in a dead-letter queue.

    ``by_broker``: the broker dead-lettered it (``delivery_limit``, ``expired``, ``maxlen``), not a
    program of ours.  ``returns`` counts how often we returned it to its queue before, ``at`` is
    when it was dead-lettered, in seconds since the epoch, where that is known.
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
        """Whether it was tried as often as it may be, rather than refused as what it is."""
        return not self.by_broker and _EXHAUSTED.match(self.reason) is not None


class LetterEnd(enum.Enum):
    """What becomes of a dead letter."""

    KEEP = "kept"
    DROP = "dropped"
    RETURN = "returned"
    """To its queue, with the tries it has had."""
    RETRY = "retried"
    """To its queue, as if it were new."""


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
    """How many messages wait and are in hand, who takes them, and how many were put aside.

    ``unacked`` is None where the broker does not tell.
    """

    ready: int
    unacked: int | None
    consumers: int
    dead: int


@attrs.frozen
class BrokerStatus:
    """How the connection is; ``blocked`` is the broker's reason for taking no messages.

    ``last_error_at`` is in seconds since the epoch.
    """

    connected: bool
    blocked: str | None = None
    last_error: str | None = None
    last_error_at: float | None = None
