"""Settle job requests whose message may never have reached the broker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import defer, task
from twisted.logger import Logger

from buildapi import tracing
from buildapi.errors import Unavailable
from buildapi.interfaces import Broker, JobStore, Trail, TrailStore
from buildapi.model.ops import CLOCKS_APART, Part, first_trace
from buildapi.model.outcome import Outcome
from buildapi.model.records import KEY_SECONDS, JobRecord
from buildapi.model.values import InvalidValueError
from buildapi.model.wire import REQUESTS, JobMessage, action_from, encode_request, finished

GRACE = 60
"""Seconds during which a job recorded but not sent is somebody's in hand."""

INTERVAL = 30.0
"""Seconds between two sweeps."""
BATCH = 10_000
"""Most jobs settled at a time."""

UNSENT = "Couldn't send message to broker"

OWED_SECONDS = 1.0
"""Between two attempts to record that a job is sent."""

LAST_SECONDS = 2.0
"""What the last attempt is given when the process ends."""

OWED_MAX = 10_000
"""Jobs for which that is attempted at a time."""


@attrs.define(slots=False)
class Outbox(Service):
    """Look for such jobs at the start and then regularly, and forget old idempotency keys.

    One not known to be sent is finished as failed, guarded against an agent that has begun:
    nobody was told 202 for it.  Where the broker forgets its messages when it restarts, all
    unfinished ones are sent again at the start, which is safe: an agent does a job once.
    ``sweeps`` counts those that were made to the end.
    """

    _reactor: Any
    _broker: Broker
    _store: JobStore
    _now: Callable[[], float]
    _trail: Trail
    _trails: TrailStore
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.name = "outbox"
        self.sweeps = 0
        self._running: defer.Deferred[None] | None = None
        self._owed: set[int] = set()
        self._owing: defer.Deferred[None] | None = None

    def startService(self) -> None:
        """Begin to sweep."""
        Service.startService(self)
        self._running = defer.ensureDeferred(self._run())
        self._running.addErrback(lambda f: None if f.check(defer.CancelledError) else f)

    def stopService(self) -> defer.Deferred[None]:
        """Stop sweeping, and try a last time to record what is sent."""
        Service.stopService(self)
        for going in (self._running, self._owing):
            if going is not None:
                going.cancel()
        return defer.ensureDeferred(self._pay_last())

    def owe(self, request_id: int) -> None:
        """Record that a job is sent as soon as the database takes it: its sender was told 202."""
        if len(self._owed) >= OWED_MAX:
            self._log.error("job {id}: that it is sent will not be recorded", id=request_id)
            return
        self._owed.add(request_id)
        if self._owing is None:
            self._owing = defer.ensureDeferred(self._pay())
            self._owing.addErrback(lambda f: None if f.check(defer.CancelledError) else f)

    async def _pay(self) -> None:
        try:
            while self._owed:
                await task.deferLater(self._reactor, OWED_SECONDS)
                await self._pay_once()
        finally:
            self._owing = None

    async def _pay_last(self) -> None:
        if not self._owed:
            return
        paying = defer.ensureDeferred(self._pay_once())
        with contextlib.suppress(defer.TimeoutError):
            await paying.addTimeout(LAST_SECONDS, self._reactor)
        for request_id in sorted(self._owed):
            self._log.error("job {id}: that it is sent is not recorded", id=request_id)

    async def _pay_once(self) -> None:
        for request_id in sorted(self._owed):
            try:
                await self._store.sent(request_id)
            except Unavailable:
                return
            except defer.CancelledError:
                raise
            except Exception:  # it stays owed: its sender was told 202
                self._log.failure("job {id}: that it is sent is not recorded", id=request_id)
                continue
            self._owed.discard(request_id)

    async def _run(self) -> None:
        forgotten, started = not self._broker.keeps_messages, int(self._now())
        back = False
        while self.running:
            try:
                if forgotten:
                    await self.refuse_unsent(started)
                    await self.resend()
                forgotten = False
                # Others may just be recording what they sent while the database was away.
                if not back:
                    await self.refuse_unsent(int(self._now()) - GRACE)
                await self._store.forget_keys(int(self._now()) - KEY_SECONDS)
                self.sweeps, back = self.sweeps + 1, False
            except Unavailable as e:
                self._log.warn("outbox: not swept: {msg}", msg=e.msg)
                back = True
            except defer.CancelledError:
                raise
            except Exception:
                self._log.failure("outbox: not swept")
            await task.deferLater(self._reactor, INTERVAL)

    async def resend(self) -> None:
        """Send every unfinished job again that was sent before."""
        before = int(self._now()) + 1
        for job in await self._store.unsettled(sent=True, before=before, limit=BATCH):
            entries = await self._trails.of_job(job.id, job.when - CLOCKS_APART)
            with tracing.about(first_trace(entries), job.id):
                await self._send(job)

    async def refuse_unsent(self, before: int) -> None:
        """Finish as failed what was recorded before a time and is not known to be sent."""
        now = int(self._now())
        for job in await self._store.unsettled(sent=False, before=before, limit=BATCH):
            if job.id in self._owed:
                continue
            if await self._store.refuse(job.id, finished(job.id, Outcome(True, UNSENT)), now):
                with tracing.about(job=job.id):
                    self._log.warn("job {id} was never sent: finished as failed", id=job.id)
                    self._trail.note(job.id, Part.OUTBOX, "refused", "it was never sent")

    async def _send(self, job: JobRecord) -> None:
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
        self._log.info("job {id} sent again", id=job.id)
        self._trail.note(
            job.id, Part.OUTBOX, "sent again", "the broker keeps nothing over restarts"
        )
