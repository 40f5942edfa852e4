"""Close a connection whose client has closed its sending half, and may have left altogether.

The two look the same until something is sent: a client that is there acknowledges the answer,
the kernel of one that has left resets the connection [tcp(7)].
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import attrs

LOOK_SECONDS = 0.02
WAIT_SECONDS = 2.0
"""How long to wait for the peer's acknowledgement or reset."""

TCP_CLOSE = 7
"""TCP state of a connection that both sides have closed [linux/tcp_states.h]."""


@attrs.define
class HalfClosedConnection:
    """Close our half, and call ``ended`` with whether the peer took what was sent."""

    _transport: Any
    _later: Callable[..., Any]
    _ended: Callable[[bool], None]
    _waited: float = attrs.field(default=0.0, init=False)
    _next: Any = attrs.field(default=None, init=False)

    def begin(self) -> None:
        """Close our half after all queued bytes; the transport then calls ``sent``."""
        self._transport.loseWriteConnection()

    def sent(self) -> None:
        """Poll the socket until the outcome is known or ``WAIT_SECONDS`` have passed."""
        self._next = None
        taken = answer_taken(self._transport.getHandle())
        if taken is None and self._waited < WAIT_SECONDS:
            self._waited += LOOK_SECONDS
            self._next = self._later(LOOK_SECONDS, self.sent)
        else:
            # Unknown by then counts as taken: 499 is logged of clients that are known to have left.
            self._ended(taken is not False)

    def stop(self) -> None:
        """Stop polling."""
        if self._next is not None:
            self._next.cancel()
            self._next = None


def answer_taken(connection: socket.socket) -> bool | None:
    """Return whether the peer took all that was sent; None while unknown."""
    # First, since a reset leads to the state CLOSE as well.
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        return False
    if connection.family == socket.AF_UNIX:
        return True  # a write to a closed peer fails at once
    # The first byte of struct tcp_info is the state [linux/tcp.h]. CLOSE follows LAST_ACK when the
    # peer has acknowledged our FIN, and with it all bytes before [RFC 9293 3.3.2].
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return True if state == TCP_CLOSE else None
