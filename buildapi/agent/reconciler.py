"""Reconcile job requests with the broker: some messages may never have reached it, or are lost."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence, Set

import attrs
from twisted.internet import defer

from buildapi import tracing
from buildapi.errors import BrokerUnavailable, Unavailable
from buildapi.interfaces import Broker, JobStore, ProcessRegistry, Trail, TrailStore
from buildapi.model.ops import CLOCKS_APART, Part, first_trace
from buildapi.model.outcome import Outcome
from buildapi.model.records import KEY_SECONDS, JobRecord
from buildapi.model.validators import InvalidValueError
from buildapi.model.wire import REQUESTS, JobMessage, action_from, encode_request, finished
from buildapi.periodic import PeriodicService
from buildapi.reactor_time import pause, timeout

GRACE = 60
"""Seconds during which a recorded but unsent job still belongs to the process that records it."""

INTERVAL = 30.0
"""Seconds between two sweeps."""
PAGE = 500
"""Number of jobs read at a time."""

FULL_SECONDS = 0.5
"""Seconds between two attempts to send to a broker that is full."""

LOST_SECONDS = 600
"""Seconds after which a job is lost that no agent has in hand and no message waits for."""

TOO_OLD = 7 * 86_400
"""Seconds after which an unfinished job is failed, not executed: nobody expects it any more.

The markers that prevent a second execution are kept for 30 days only.
"""

SILENT_SECONDS = 60
"""Seconds without a heartbeat after which a process does not count."""

UNSENT = "Couldn't send message to broker"

OWED_SECONDS = 1.0
"""Seconds between two attempts to record that a job is sent."""

LAST_SECONDS = 2.0
"""Seconds for the last attempt at shutdown."""

OWED_MAX = 10_000
"""Maximum number of jobs that are still to be recorded as sent."""


@attrs.frozen
class SweepLimits:
    """How long, in seconds, a sweep waits before it takes a job for unsent or lost.

    An unsent job is at least ``grace`` old. A process without a heartbeat for ``silent`` does not
    count, and a job is missing for at least ``missing`` before it is lost.
    """

    grace: float = GRACE
    silent: float = SILENT_SECONDS
    missing: float = 0.0

    @classmethod
    def of(cls, answer_seconds: float, heartbeat_seconds: float) -> SweepLimits:
        """Return limits that other processes keep to, if they have these settings as well."""
        return cls(
            # A job is recorded, sent and recorded as sent while its request is answered; the last
            # write goes on after that.
            grace=max(GRACE, 2 * answer_seconds),
            silent=max(SILENT_SECONDS, 3 * heartbeat_seconds),
            # An agent that has just taken the job says so with its next heartbeat.
            missing=2 * heartbeat_seconds,
        )


@attrs.define(slots=False, eq=False)
class Reconciler(PeriodicService):
    """Sweep for such jobs at the start and then regularly, and delete old idempotency keys.

    A job not known to be sent is finished as failed, guarded against an agent that has begun: no
    client got 202 for it. If the broker loses its messages when it restarts, all unfinished jobs
    are sent again at the start, which is safe: an agent executes a job once. ``sweeps`` counts the
    complete sweeps.
    """

    trouble = "outbox: cannot look for unsent and lost jobs"

    _broker: Broker
    _store: JobStore
    _now: Callable[[], float]
    _trail: Trail
    _trails: TrailStore
    _roster: ProcessRegistry | None = None
    _queue: str = "buildapi-agent"
    _tries: int = 3
    _limits: SweepLimits = SweepLimits()

    def __attrs_post_init__(self) -> None:
        self.name = "outbox"
        self._resent = 0
        self._missing: dict[int, float] = {}
        self._driven: dict[int, int] = {}
        self.interval = INTERVAL
        self.sweeps = 0
        self._forgotten = False
        self._started_at = 0
        self._was_away = False
        self._owed: set[int] = set()
        self._owing: defer.Deferred[None] | None = None

    def startService(self) -> None:
        """Start sweeping; the first sweep makes up for a broker that keeps nothing."""
        # A broker that keeps nothing is inside this process, which has both roles: what was
        # recorded before the start and not sent will never be sent by anybody.
        self._forgotten, self._started_at = not self._broker.keeps_messages, int(self._now())
        self._was_away = False
        PeriodicService.startService(self)

    def stopService(self) -> defer.Deferred[None]:
        """Stop sweeping, and try a last time to record jobs as sent."""
        if self._owing is not None:
            self._owing.cancel()
        return PeriodicService.stopService(self)

    def owe(self, request_id: int) -> None:
        """Record that a job is sent as soon as the database accepts it: its client got 202."""
        if len(self._owed) >= OWED_MAX:
            self._log.error("job {id}: sent, but this will not be recorded", id=request_id)
            return
        self._owed.add(request_id)
        if self._owing is None:
            self._owing = defer.ensureDeferred(self._pay())
            self._owing.addErrback(lambda f: None if f.check(defer.CancelledError) else f)

    async def _pay(self) -> None:
        try:
            while self._owed:
                await pause(self._reactor, OWED_SECONDS)
                await self._pay_once()
        finally:
            self._owing = None

    async def after_last_run(self) -> None:
        """Try a last time to record jobs as sent, and log those that cannot be."""
        if not self._owed:
            return
        paying = defer.ensureDeferred(self._pay_once())
        with contextlib.suppress(defer.TimeoutError):
            await timeout(paying, LAST_SECONDS, self._reactor)
        for request_id in sorted(self._owed):
            self._log.error("job {id}: sent, but this could not be recorded", id=request_id)

    async def _pay_once(self) -> None:
        for request_id in sorted(self._owed):
            try:
                await self._store.sent(request_id)
            except Unavailable:
                return
            except defer.CancelledError:
                raise
            except Exception:  # it stays owed: its sender was told 202
                self._log.failure("job {id}: sent, but this could not be recorded", id=request_id)
                continue
            self._owed.discard(request_id)

    async def run_once(self) -> None:
        """Sweep once; :raises Unavailable: the rest of the sweep is not possible now."""
        if self._forgotten:
            await self.refuse_unsent(self._started_at)
            await self.resend()
        # Only now: a sweep that ended early resumes this at the next one.
        self._forgotten = False
        # Other processes may still be recording what they sent during the database outage.
        if not self._was_away:
            await self.refuse_unsent(int(self._now() - self._limits.grace))
        await self._drive()
        await self._store.forget_keys(int(self._now()) - KEY_SECONDS)
        self.sweeps, self._was_away = self.sweeps + 1, False

    def unavailable(self, error: Unavailable, pause: float) -> None:
        """Log that the sweep was not possible; the next one spares what others may have sent."""
        PeriodicService.unavailable(self, error, pause)
        self._was_away = True

    async def _unsettled(
        self, *, sent: bool, before: int, after: int = 0
    ) -> AsyncIterator[JobRecord]:
        """Iterate over unfinished jobs by id, a page at a time."""
        while page := await self._store.unsettled(
            sent=sent, before=before, limit=PAGE, after=after
        ):
            for job in page:
                yield job
            if len(page) < PAGE:
                return
            after = page[-1].id

    async def resend(self) -> None:
        """Send every unfinished job that was sent before again, in order.

        Jobs beyond the broker's limit wait for room; after an error the next call goes on from
        there.
        """
        # Times of jobs are whole seconds and the bound is exclusive: include those of this second.
        before = int(self._now()) + 1
        async for job in self._unsettled(sent=True, before=before, after=self._resent):
            await self._send_again(job, "the broker keeps no messages across restarts", wait=True)
            self._resent = job.id

    async def _send_again(self, job: JobRecord, why: str, *, wait: bool = False) -> None:
        # The row has no id of the HTTP request, but the trail of the job has.
        entries = await self._trails.of_job(job.id, job.when - CLOCKS_APART)
        with tracing.about(first_trace(entries), job.id):
            while True:
                try:
                    return await self._send(job, why)
                except BrokerUnavailable:
                    if not wait:
                        raise
                await pause(self._reactor, FULL_SECONDS)

    async def _drive(self) -> None:
        """Send lost jobs again if the broker answers; the rest of a sweep does not need it."""
        try:
            await self.drive_lost()
        except BrokerUnavailable as e:
            self._log.info("outbox: cannot look for lost jobs: {msg}", msg=e.msg)

    async def drive_lost(self) -> None:
        """Send jobs again whose message is gone: purged, or deleted together with its queue.

        A job is lost if it is old, no message waits, and no agent has it in hand, both now and at
        the sweeps before, for ``SweepLimits.missing``. The marker makes this safe: nothing is
        executed twice.
        """
        # Twice in a row, because heartbeats are seconds old: a message may be on its way to an
        # agent.
        missing, now, earlier = await self._lost(), self._now(), self._missing
        self._missing = {job.id: earlier.get(job.id, now) for job in missing}
        latest = now - self._limits.missing
        for job in [job for job in missing if job.id in earlier and earlier[job.id] <= latest]:
            times = self._driven.get(job.id, 0)
            if job.when < self._now() - TOO_OLD:
                await self._fail(job, "It was not executed within 7 days")
            elif times >= self._tries:
                await self._fail(job, f"It was sent again {times} times and never finished")
            else:
                await self._send_again(job, "its message was lost")
                self._driven[job.id] = times + 1
                del self._missing[job.id]
        ids = {job.id for job in missing}
        self._driven = {id_: n for id_, n in self._driven.items() if id_ in ids}

    async def _lost(self) -> Sequence[JobRecord]:
        """List the jobs that no queue and no agent has, as far as that is known."""
        hand = await self._in_hand()
        if hand is None:
            return ()
        before = int(self._now()) - LOST_SECONDS
        page = await self._store.unsettled(sent=True, before=before, limit=PAGE)
        return [job for job in page if job.id not in hand]

    async def _in_hand(self) -> Set[int] | None:
        """List the jobs that agents have in hand; None if a message may be anywhere else.

        An agent of an older program reports nothing, and may have any job in hand.
        """
        if self._roster is None:
            return None
        # AMQP cannot list messages without taking them: one that waits may be that of any job.
        depth = await self._broker.depth(self._queue)
        since = self._now() - self._limits.silent
        beats = [b for b in await self._roster.processes() if b.beat_at >= since]
        agents = [beat for beat in beats if "agent" in beat.roles]
        # A heartbeat names a bounded number of jobs; an agent that has more may have any.
        told = all(beat.in_hand <= len(beat.jobs) for beat in agents)
        if depth.ready or not agents or depth.consumers > len(agents) or not told:
            return None
        return {job for beat in agents for job in beat.jobs}

    async def _fail(self, job: JobRecord, why: str) -> None:
        outcome = Outcome(True, f"{why}: check the farm before you submit it again")
        if await self._store.finish(job.id, finished(job.id, outcome), int(self._now())):
            self._log.warn("job {id} is finished as failed: {why}", id=job.id, why=why)
            self._trail.note(job.id, Part.OUTBOX, "failed", why)

    async def refuse_unsent(self, before: int) -> None:
        """Finish jobs as failed that were recorded before a time and are not known to be sent."""
        now = int(self._now())
        async for job in self._unsettled(sent=False, before=before):
            # The broker has confirmed its message, and its client got 202: only the record is
            # missing.
            if job.id in self._owed:
                continue
            if await self._store.refuse(job.id, finished(job.id, Outcome(True, UNSENT)), now):
                with tracing.about(job=job.id):
                    self._log.warn("job {id} was never sent: finished as failed", id=job.id)
                    self._trail.note(job.id, Part.OUTBOX, "refused", "it was never sent")

    async def _send(self, job: JobRecord, why: str) -> None:
        try:
            action = action_from(job.action, job.what)
        except (LookupError, InvalidValueError) as e:
            self._log.warn("job {id} cannot be sent again: {error}", id=job.id, error=str(e))
            outcome = Outcome(True, f"{UNSENT}: {e.args[0]}")
            self._trail.note(job.id, Part.OUTBOX, "refused", outcome.msg)
            await self._store.finish(job.id, finished(job.id, outcome), int(self._now()))
            return
        message = JobMessage(job.id, job.who, job.when, action, tracing.trace(), job.identity)
        await self._broker.publish(
            REQUESTS,
            encode_request(message),
            message_id=f"job-{job.id}",
            correlation_id=str(job.id),
        )
        await self._store.sent(job.id)
        self._log.info("job {id} sent again: {why}", id=job.id, why=why)
        self._trail.note(job.id, Part.OUTBOX, "sent again", why)
