"""Consume the reports of agents and store the outcome of each job."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
from twisted.application.service import Service
from twisted.internet import defer
from twisted.logger import Logger

from buildapi import tracing
from buildapi.agent.queue_consumer import QueueConsumer
from buildapi.agent.retry import Retrier
from buildapi.interfaces import Broker, JobStore, Trail
from buildapi.jobs.message_check import report_refusal
from buildapi.jobs.rebuild_links import rebuilds_of
from buildapi.model.messages import Ack, DeadLetter, Delivery, Disposition
from buildapi.model.ops import Part
from buildapi.model.outcome import Outcome
from buildapi.model.wire import (
    Malformed,
    decode_finished,
    finished,
    revision_of,
    stored_report,
    trace_of,
)
from buildapi.reactor_time import ReactorTime

PREFETCH = 20

Changed = Callable[[str | None, str | None], None]
"""Called with a branch and a revision of which something has changed; None is any."""


@attrs.define(slots=False)
class ResultConsumer(Service):
    """Consume ``queue``; ``now`` returns epoch seconds, ``reactor`` is an IReactorTime.

    ``changed`` is called for every report with the branch and the revision that its job is about,
    each None if it is not known: cached reads of them may be out of date.
    """

    _reactor: ReactorTime
    _broker: Broker
    _store: JobStore
    _queue: str
    _drain_seconds: float
    _now: Callable[[], float]
    _changed: Changed
    _trail: Trail
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.name = "finisher"
        self._patience = Retrier(self._reactor)
        self._intake = QueueConsumer(self._broker, self._queue, PREFETCH, self._drain_seconds)

    def startService(self) -> None:
        """Start consuming."""
        Service.startService(self)
        self._patience.begin()
        self._intake.open(self.handle)

    def stopService(self) -> defer.Deferred[None]:
        """Stop accepting reports and store those in hand."""
        Service.stopService(self)
        self._patience.stop()
        return defer.ensureDeferred(self._intake.close())

    async def handle(self, delivery: Delivery) -> Disposition:
        """Store one report; return how to settle its message."""
        try:
            request_id, report = decode_finished(delivery.body)
        except Malformed as e:
            malformed = partial(self._malformed, e)
            with tracing.about("", e.request_id):
                return await self._patience.attempt("a malformed outcome", malformed)
        store = partial(self._store_report, request_id, report)
        with tracing.about(trace_of(report), request_id):
            return await self._patience.attempt(f"outcome of job {request_id}", store)

    async def _malformed(self, error: Malformed) -> Disposition:
        self._log.error(
            "malformed outcome (job {id}) dead-lettered: {reason}",
            id=error.request_id,
            reason=error.reason,
        )
        row = None if error.request_id is None else await self._store.get(error.request_id)
        if row is not None and report_refusal(error.message, row) is None:
            outcome = Outcome(True, f"The agent's outcome could not be read: {error.reason}")
            await self._store.finish(row.id, finished(row.id, outcome), int(self._now()))
            self._trail.note(row.id, Part.FINISHER, "put aside", error.reason)
            self._changed(row.branch, None)
        return DeadLetter(error.reason)

    async def _store_report(self, request_id: int, report: dict[str, object]) -> Disposition:
        row = await self._store.get(request_id)
        # What changes nothing needs no proof: a redelivered job is reported twice, and one is
        # enough.
        refusal = None if row is None or row.completed_at else report_refusal(report, row)
        if refusal is not None:
            return self._refused(request_id, refusal)
        rebuilds = () if row is None else rebuilds_of(row, report)
        fresh = await self._store.finish(
            request_id, stored_report(report), int(self._now()), rebuilds
        )
        self._changed(None if row is None else row.branch, revision_of(report))
        if fresh:
            self._trail.note(request_id, Part.FINISHER, "stored")
        else:
            self._log.info("job {id} is already finished, or has no row here", id=request_id)
            self._trail.note(request_id, Part.FINISHER, "late", "the job is already finished")
        return Ack()

    def _refused(self, request_id: int, refusal: str) -> Disposition:
        """Dead-letter a report that is not of the job it names; the job stays as it is."""
        self._log.error("outcome of job {id} dead-lettered: {why}", id=request_id, why=refusal)
        return DeadLetter(f"not the outcome of job {request_id}: {refusal}")
