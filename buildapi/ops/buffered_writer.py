"""Write records to a database in batches, without delaying whoever makes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

import attrs
from twisted.internet import defer

from buildapi.errors import Unavailable
from buildapi.periodic import Backoff, PeriodicService
from buildapi.reactor_time import timeout

FLUSH_SECONDS = 0.3
"""Seconds between a record and its row."""

LONGEST_PAUSE = 10.0
"""Seconds between two attempts while the database is unavailable."""

BATCH = 200
MOST_WAITING = 10_000
"""Maximum number of entries that wait for the database; further ones are dropped and counted."""

STOP_SECONDS = 3.0
"""Seconds for the last flush."""

FORGET_SECONDS = 60.0
"""Seconds between two deletions of expired entries."""

DAY = 86_400

Entry = TypeVar("Entry")
Stored_contra = TypeVar("Stored_contra", contravariant=True)


class BatchStore(Protocol[Stored_contra]):
    """Store entries in batches, and delete those that are too old."""

    async def add(self, entries: Sequence[Stored_contra]) -> None:
        """Store entries, all or none."""

    async def forget(self, before: float) -> None:
        """Delete entries older than a time, at most some thousand in one call."""


@attrs.define(slots=False, eq=False)
class BufferedWriter(PeriodicService, Generic[Entry]):
    """Write entries to a store in batches, again until it takes them.

    Implementations set ``what``, the name of what is written, for the log.  ``now`` returns epoch
    seconds. Entries older than ``days`` are deleted; 0 leaves that to others.
    """

    what: ClassVar[str] = "entries"
    first_pause = FLUSH_SECONDS

    _store: BatchStore[Entry]
    _now: Callable[[], float]
    _host: str
    _days: int = 0

    def __attrs_post_init__(self) -> None:
        self.interval = FLUSH_SECONDS
        self.backoff = Backoff(2 * FLUSH_SECONDS, LONGEST_PAUSE)
        self.dropped = 0
        self._told = 0
        self._waiting: deque[Entry] = deque()
        self._forgot_at = float("-inf")

    def put(self, entry: Entry) -> None:
        """Write an entry soon; drop and count it if too many wait."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(entry)
            return
        self.dropped += 1
        if self.dropped == self._told + 1:
            self._log.error(
                f"{self.what}: {{waiting}} entries wait for the database; new ones are dropped",
                waiting=len(self._waiting),
            )

    def keep(self, days: int) -> None:
        """Set after how many days entries are deleted, if this process deletes any."""
        if self._days:
            self._days = days

    async def after_last_run(self) -> None:
        """Write waiting entries, within a few seconds."""
        flushing = defer.ensureDeferred(self.flush())
        try:
            await timeout(flushing, STOP_SECONDS, self._reactor)
        except (Unavailable, defer.TimeoutError):
            self._log.error(f"{self.what}: {{count}} entries lost", count=len(self._waiting))

    async def run_once(self) -> None:
        """Write waiting entries, and delete expired ones; :raises Unavailable: some still wait."""
        await self.flush()
        await self._forget()

    def unavailable(self, error: Unavailable, pause: float) -> None:
        """Log until when entries wait, for whoever debugs: the database's own status says more."""
        self._log.debug(
            f"{self.what}: next attempt in {{pause}} s: {{msg}}", pause=pause, msg=error.msg
        )

    async def flush(self) -> None:
        """Write waiting entries; :raises Unavailable: some still wait."""
        while self._waiting:
            # They keep their places until they are stored: a failed write loses none.
            batch = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]
            try:
                await self._store.add(batch)
            except (Unavailable, defer.CancelledError):
                raise
            except Exception:
                # Dropped, or they would hold up everything behind them.
                self._log.failure(
                    f"{self.what}: {{count}} entries cannot be stored", count=len(batch)
                )
            for _ in batch:
                self._waiting.popleft()
        if self.dropped > self._told:
            self._log.error(f"{self.what}: {{count}} entries dropped", count=self._untold())

    def _untold(self) -> int:
        untold, self._told = self.dropped - self._told, self.dropped
        return untold

    async def _forget(self) -> None:
        if not self._days or self._reactor.seconds() < self._forgot_at + FORGET_SECONDS:
            return
        # Before it is tried: a delete that fails must not be repeated with each flush.
        self._forgot_at = self._reactor.seconds()
        try:
            await self._store.forget(self._now() - self._days * DAY)
        except (Unavailable, defer.CancelledError):
            raise
        except Exception:
            self._log.failure(f"{self.what}: cannot delete old entries")
