"""Define the errors of brokers, and describe them in words."""

from __future__ import annotations

from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from txamqp.client import ChannelClosed, Closed, ConnectionClosed
from txamqp.message import Message

from buildapi.mq.txamqp.amqp_types import CloseReason

__all__ = [
    "ChannelClosed",
    "Closed",
    "ConnectionClosed",
    "ConsumerCancelled",
    "DeadlineError",
    "Nacked",
    "ProtocolError",
    "Unroutable",
    "closed_error",
    "describe",
    "reply_code",
]


class Nacked(Exception):
    """The broker refused a message."""


class Unroutable(Exception):
    """A mandatory message was returned: no queue is bound for it."""


class ConsumerCancelled(Exception):
    """The broker cancelled a consumer, because its queue was deleted or moved."""


class ProtocolError(Closed):  # type: ignore[misc]  # txAMQP has no types
    """The peer sent something that is not AMQP 0-9-1."""


def closed_error(reason: CloseReason) -> Exception:
    """Return the error for everything in flight on a channel or connection that was closed."""
    if isinstance(reason, Exception) and isinstance(reason, Closed):
        return reason
    kind: type[Exception] = Closed
    if isinstance(reason, Message):
        of_channel = reason.method.klass.name == "channel"
        kind = ChannelClosed if of_channel else ConnectionClosed
    return kind(reason)


def reply_code(error: BaseException) -> int | None:
    """Return the broker's reply code, such as 406, if it closed a channel or the connection."""
    reason = error.args[0] if error.args else None
    return reason.reply_code if isinstance(reason, Message) else None


def describe(error: object) -> str:
    """Describe an error in one line, without credentials."""
    error = _cause(error)
    if isinstance(error, Message):
        return f"{error.reply_code} {error.reply_text}"
    if isinstance(error, ConnectionDone):
        return "the connection was closed without a reason"
    if isinstance(error, DeadlineError):
        return "no answer in time"
    # By name, so that nothing of TLS is imported for a plain connection; its argument is a list of
    # (library, function, reason).
    if type(error).__module__.startswith("OpenSSL"):
        return f"TLS: {', '.join(str(e[-1]) for e in getattr(error, 'args', [[]])[0])}"
    if isinstance(error, Closed | str):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _cause(error: object) -> object:
    """Return the innermost reason of a closed connection or channel."""
    if isinstance(error, Failure):
        return _cause(error.value)
    if isinstance(error, Closed) and error.args:
        return _cause(error.args[0])
    return error
