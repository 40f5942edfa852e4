"""Send at the end of a turn what was written in it, without waiting until epoll allows it.

Twisted buffers what is written, and asks epoll when the socket has room [FileDescriptor.write].  A
socket nearly always has: asking and ceasing to ask are two system calls for each answer, and each
gives up the interpreter lock, which the threads of the databases want.  Here the socket is tried
first, and epoll is asked about one that is full.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet import tcp, unix
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildapi.reactor_time import ReactorTime

TURN_SECONDS = 0.005
"""Seconds of one turn of the reactor that are spent on sending; the rest is for the next turn."""


@attrs.define(eq=False)
class PromptSends:
    """Collect the connections that have something to send, and send it in their order."""

    _reactor: ReactorTime
    _turn_seconds: float = TURN_SECONDS
    _waiting: dict[PromptConnection, None] = attrs.field(factory=dict, init=False)
    _due: bool = attrs.field(default=False, init=False)
    _log = Logger()

    def add(self, connection: PromptConnection) -> None:
        """Send what a connection has buffered, soon."""
        self._waiting[connection] = None
        if not self._due:
            self._due = True
            # Twisted makes this call in the same turn if it is of a thread or a timer, and before
            # the next look for events if it is of an event [ReactorBase.mainLoop].
            self._reactor.callLater(0, self._send)

    def discard(self, connection: PromptConnection) -> None:
        """Leave a connection out, which has ended."""
        self._waiting.pop(connection, None)

    def holds(self, connection: PromptConnection) -> bool:
        """Return whether a connection waits for its turn: its producer has just written more."""
        return connection in self._waiting

    def _send(self) -> None:
        self._due = False
        end = self._reactor.seconds() + self._turn_seconds
        while self._waiting:
            connection = next(iter(self._waiting))
            del self._waiting[connection]
            try:
                connection.send_now()
            except Exception:
                # As the reactor does with a connection that fails [_PollLikeMixin._doReadOrWrite].
                self._log.failure("cannot send an answer")
                connection.abortConnection()
            if self._reactor.seconds() >= end:
                break
        if self._waiting and not self._due:
            self._due = True
            self._reactor.callLater(0, self._send)


class PromptConnection:
    """Mix into a server connection of Twisted: send promptly what is written."""

    if TYPE_CHECKING:  # of Twisted's FileDescriptor, whose types others would contradict
        dataBuffer: Any
        doWrite: Any
        abortConnection: Any
        connectionLost: Any
        _tempDataBuffer: Any

    def __init__(self, sends: PromptSends, *arguments: object) -> None:
        self._sends = sends
        super().__init__(*arguments)

    def startWriting(self) -> None:
        """Send what is buffered at the end of this turn."""
        self._sends.add(self)

    def stopWriting(self) -> None:
        """Send nothing more."""
        self._sends.discard(self)
        super().stopWriting()  # type: ignore[misc]  # of Twisted

    def send_now(self) -> None:
        """Send what the socket has room for; let the reactor wait until it takes the rest."""
        ended = self.doWrite()
        if ended is not None:
            # As the reactor does with what doWrite returns [_DisconnectSelectableMixin].
            self.connectionLost(Failure(ended))
        elif (self.dataBuffer or self._tempDataBuffer) and not self._sends.holds(self):
            super().startWriting()  # type: ignore[misc]  # of Twisted


class PromptTCPConnection(PromptConnection, tcp.Server):
    """A TCP connection."""


class PromptUNIXConnection(PromptConnection, unix.Server):
    """A connection of a UNIX socket."""


KINDS: dict[Callable[..., object], type[PromptConnection]] = {
    tcp.Server: PromptTCPConnection,
    unix.Server: PromptUNIXConnection,
}
"""Ours for each of Twisted's."""


def send_promptly(
    port: Any,  # Any: an attribute of Twisted's Port is replaced
    reactor: ReactorTime,
) -> None:
    """Make the connections that a port accepts from now on send promptly."""
    kind = KINDS.get(port.transport)
    if kind is not None:
        port.transport = partial(kind, PromptSends(reactor))
