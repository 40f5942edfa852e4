"""What waits to be read by clients: handed on as fast as they read, and bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

CHUNK = 2**16
"""Bytes that are handed to the transport at a time; it says that it is full above as many."""


@attrs.define
class SendBudget:
    """Bound the bytes that wait for one client, and for all of them together.

    ``waiting`` is how many there are, beside up to two chunks in the transport of each connection.
    """

    each: int
    total: int
    waiting: int = attrs.field(default=0, init=False)
    _sizes: dict[Outgoing, int] = attrs.field(factory=dict, init=False)
    """By connection; the one that has read nothing for the longest comes first."""

    def note(self, outgoing: Outgoing, *, progress: bool) -> None:
        """Count what waits on a connection now, and cut off whoever makes it too much."""
        self.waiting += outgoing.queued - self._sizes.get(outgoing, 0)
        if progress or not outgoing.queued:
            self._sizes.pop(outgoing, None)
        if outgoing.queued:
            self._sizes[outgoing] = outgoing.queued
        if outgoing.queued > self.each:
            outgoing.give_up(f"{outgoing.queued} bytes wait for it, {self.each} may")
        while self.waiting > self.total:
            why = f"{self.waiting} bytes wait for all clients, {self.total} may"
            next(iter(self._sizes)).give_up(f"{why}, and it has read nothing for the longest")


@attrs.define(eq=False)
class Outgoing:
    """The bytes for one client that its transport has no room for yet.

    ``write`` hands bytes to the transport, which says by ``pause`` and ``resume`` whether it has
    room.  ``later`` sets a clock to call a function where nothing is read for too long.  ``cut``
    ends the connection, for a reason.
    """

    _budget: SendBudget
    _write: Callable[[bytes], None]
    _later: Callable[[Callable[[], None]], Any]
    _cut: Callable[[str], None]
    full: bool = attrs.field(default=False, init=False)
    queued: int = attrs.field(default=0, init=False)
    _parts: deque[memoryview] = attrs.field(factory=deque, init=False)
    _clock: Any = attrs.field(default=None, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    @property
    def waits(self) -> bool:
        """Tell whether the other side has to read before more is begun."""
        return self.full or self.queued > 0

    def add(self, data: bytes) -> None:
        """Send this after what waits."""
        if self._ended or not data:
            return
        self._parts.append(memoryview(data))
        self.queued += len(data)
        self._send()
        self._budget.note(self, progress=False)

    def pause(self) -> None:
        """Hand nothing on: the transport is full."""
        self.full = True
        if self._clock is None and not self._ended:
            self._clock = self._later(self._stalled)

    def resume(self) -> None:
        """Hand on what waits: the other side has read."""
        self._stop_clock()
        self.full = False
        self._send()
        self._budget.note(self, progress=True)

    def give_up(self, why: str) -> None:
        """Drop what waits, and the connection."""
        self.end()
        self._cut(why)

    def end(self) -> None:
        """Drop what waits: the connection is closed."""
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
            self._write(bytes(part))

    def _stalled(self) -> None:
        self._clock = None
        self.give_up("it reads nothing")

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
