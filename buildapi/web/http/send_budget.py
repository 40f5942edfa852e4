"""Bound the bytes that wait for slow clients, and send them as fast as they read.

A transport buffers without bound what its peer does not read, and only asks its producer to pause.
What is written then waits here, where it is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from buildapi.reactor_time import DelayedCall

# Twisted's FileDescriptor.SEND_LIMIT: less is sent in more turns of the reactor, more is not sent
# in fewer.
CHUNK = 2**17
"""Bytes handed to the transport at once; it pauses us when it holds more than half as many."""


@attrs.define
class SendBudget:
    """Bound the bytes queued for each client and for all of them together.

    ``waiting`` is their sum; each transport holds up to a chunk and a half more.
    """

    each: int
    total: int
    waiting: int = attrs.field(default=0, init=False)
    _sizes: dict[Outgoing, int] = attrs.field(factory=dict, init=False)
    """Queued bytes by connection, first the one that has read nothing for longest."""

    def note(self, outgoing: Outgoing, *, progress: bool) -> None:
        """Update the count of a connection; cut connections that exceed a bound."""
        self.waiting += outgoing.queued - self._sizes.get(outgoing, 0)
        # A dict keeps the order of insertion: who has read something is added again at the end.
        if progress or not outgoing.queued:
            self._sizes.pop(outgoing, None)
        if outgoing.queued:
            self._sizes[outgoing] = outgoing.queued
        if outgoing.queued > self.each:
            outgoing.abort(f"{outgoing.queued} unread bytes (max {self.each})")
        while self.waiting > self.total:
            why = f"{self.waiting} unread bytes of all clients (max {self.total})"
            next(iter(self._sizes)).abort(
                f"{why}, and it is the client that has read nothing for longest"
            )


@attrs.define(eq=False)
class Outgoing:
    """The bytes queued for one client while its transport is full.

    ``write`` hands bytes to the transport, which calls ``pause`` and ``resume``.  A client that
    reads nothing for ``seconds`` by the timers of ``later`` is cut; ``cut`` ends the connection,
    with a reason.
    """

    _budget: SendBudget
    _write: Callable[[bytes], None]
    _seconds: float
    _later: Callable[[float, Callable[[], None]], DelayedCall]
    _cut: Callable[[str], None]
    full: bool = attrs.field(default=False, init=False)
    queued: int = attrs.field(default=0, init=False)
    _parts: deque[memoryview] = attrs.field(factory=deque, init=False)
    _clock: DelayedCall | None = attrs.field(default=None, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    @property
    def waits(self) -> bool:
        """Return whether the client must read before the next request begins."""
        return self.full or self.queued > 0

    def add(self, data: bytes) -> None:
        """Send bytes after those that are queued."""
        if self._ended or not data:
            return
        if not (self.full or self._parts) and len(data) <= CHUNK:
            self._write(data)
            return
        self._parts.append(memoryview(data))
        self.queued += len(data)
        self._send()
        self._budget.note(self, progress=False)

    def pause(self) -> None:
        """Stop writing: the transport is full."""
        self.full = True
        if self._clock is None and not self._ended:
            self._clock = self._later(self._seconds, self._stalled)

    def resume(self) -> None:
        """Write queued bytes: the client has read some."""
        self.full = False
        self._send()
        if not self.full:
            self._stop_clock()
        elif self._clock is not None:
            # A long answer has many chunks; a timer for each took a tenth of the time to send it.
            self._clock.reset(self._seconds)
        self._budget.note(self, progress=True)

    def abort(self, why: str) -> None:
        """Drop the queued bytes and cut the connection."""
        self.end()
        self._cut(why)

    def end(self) -> None:
        """Drop the queued bytes: the connection is closed."""
        self._ended, self.queued = True, 0
        self._parts.clear()
        self._stop_clock()
        self._budget.note(self, progress=True)

    def _send(self) -> None:
        while self._parts and not self.full:
            part = self._parts.popleft()
            if len(part) > CHUNK:
                self._parts.appendleft(part[CHUNK:])
                part = part[:CHUNK]
            self.queued -= len(part)
            # Views spare copies of the rest for each chunk, but transports accept bytes only.
            self._write(bytes(part))

    def _stalled(self) -> None:
        self._clock = None
        self.abort("it does not read its answer")

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
