"""Messages of a broker, and what a handler says should become of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs


@attrs.frozen
class Ack:
    """The message is dealt with."""


@attrs.frozen
class Requeue:
    """Deliver the message again, after ``delay`` seconds; ``reason`` is logged."""

    reason: str
    delay: float = 0.0


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
    """A message and how often it came: ``attempt`` is 1 for the first delivery."""

    body: bytes
    routing_key: str
    message_id: str | None
    correlation_id: str | None
    redelivered: bool
    attempt: int


Handler = Callable[[Delivery], Awaitable[Disposition]]


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
