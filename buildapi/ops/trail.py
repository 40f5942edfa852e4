"""Record the events of job requests without delaying them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
from twisted.internet import defer

from buildapi import tracing
from buildapi.errors import Unavailable
from buildapi.interfaces import TrailStore
from buildapi.model.ops import Part, TrailEntry
from buildapi.periodic import Backoff, PeriodicService
from buildapi.reactor_time import timeout

FLUSH_SECONDS = 0.3
"""Seconds between an event and its row."""

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
DETAIL_MAX = 1000


@attrs.define(slots=False, eq=False)
class BufferedTrail(PeriodicService):
    """Implement ``Trail`` on a store, written to in batches.

    ``now`` returns epoch seconds. Entries older than ``days``
    are deleted; 0 leaves that to others. ``counted`` is called for each event.
    """

    trouble = "audit trail: cannot write entries"
    first_pause = FLUSH_SECONDS

    _store: TrailStore
    _now: Callable[[], float]
    _host: str
    _days: int = 0
    _counted: Callable[[int, Part, str], None] = lambda *_: None

    def __attrs_post_init__(self) -> None:
        self.name = "trail"
        self.interval = FLUSH_SECONDS
        self.backoff = Backoff(2 * FLUSH_SECONDS, LONGEST_PAUSE)
        self.dropped = 0
        self._told = 0
        self._waiting: deque[TrailEntry] = deque()
        self._forgot_at = float("-inf")

    def note(self, job_id: int, part: Part, event: str, detail: str = "") -> None:
        """Record an event, a short word, now; the trace is that of the running context."""
        self._counted(job_id, part, event)
        if len(self._waiting) >= MOST_WAITING:
            self._drop()
            return
        detail = " ".join(detail.split())[:DETAIL_MAX]
        entry = TrailEntry(job_id, self._now(), self._host, part, event, detail, tracing.trace())
        self._waiting.append(entry)

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped == self._told + 1:
            self._log.error(
                "audit trail: {waiting} entries wait for the database; new ones are dropped",
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
            self._log.error("audit trail: {count} entries lost", count=len(self._waiting))

    async def run_once(self) -> None:
        """Write waiting entries, and delete expired ones; :raises Unavailable: some still wait."""
        await self.flush()
        await self._forget()

    def unavailable(self, error: Unavailable, pause: float) -> None:
        """Log until when entries wait, for whoever debugs: the database's own status says more."""
        self._log.debug("audit trail: next attempt in {pause} s: {msg}", pause=pause, msg=error.msg)

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
                self._log.failure("audit trail: {count} entries cannot be stored", count=len(batch))
            for _ in batch:
                self._waiting.popleft()
        if self.dropped > self._told:
            self._log.error("audit trail: {count} entries dropped", count=self._lost())

    def _lost(self) -> int:
        lost, self._told = self.dropped - self._told, self.dropped
        return lost

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
            self._log.failure("audit trail: cannot delete old entries")
