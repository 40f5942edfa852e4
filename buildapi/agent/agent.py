"""Consume job requests from the queue, execute each exactly once, and report its outcome."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import attrs
from twisted.application.service import Service
from twisted.internet import defer
from twisted.logger import Logger

from buildapi import tracing
from buildapi.agent.journal import JobJournal
from buildapi.agent.locks import KeyedLocks, Lease, LockKeys
from buildapi.agent.queue_consumer import QueueConsumer
from buildapi.agent.retry import Retrier
from buildapi.errors import Unavailable, UnclassifiedError
from buildapi.interfaces import Broker, FarmActions, JobStore, Trail
from buildapi.jobs.message_check import difference, is_of_job
from buildapi.model.actions import Action, CancelRevision, RebuildBuild, RebuildRequest
from buildapi.model.facts import Subject
from buildapi.model.messages import Ack, DeadLetter, Delivery, Disposition, Nack, Release
from buildapi.model.ops import Part
from buildapi.model.outcome import Outcome
from buildapi.model.revisions import revision_key
from buildapi.model.wire import (
    FINISHED,
    JobMessage,
    Malformed,
    decode_request,
    encode_finished,
    finished,
)
from buildapi.reactor_time import ReactorTime

T = TypeVar("T")


@attrs.define(slots=False)
class Agent(Service):
    """Consume ``queue``; ``now`` returns epoch seconds, ``reactor`` is an IReactorTime.

    A job that failed ``tries`` times for an unknown reason is finished as failed.
    """

    _reactor: ReactorTime
    _broker: Broker
    _store: JobStore
    _farm: FarmActions
    _queue: str
    _agent_name: str
    _prefetch: int
    _drain_seconds: float
    _now: Callable[[], float]
    _trail: Trail
    _tries: int = 3
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.name = "agent"
        self._locks = KeyedLocks()
        self._patience = Retrier(self._reactor, self._waits)
        self._intake = QueueConsumer(self._broker, self._queue, self._prefetch, self._drain_seconds)
        self._in_hand: list[Delivery] = []

    @property
    def in_hand(self) -> Sequence[Delivery]:
        """List the unsettled messages, oldest first."""
        return tuple(self._in_hand)

    def startService(self) -> None:
        """Start consuming."""
        Service.startService(self)
        self._patience.begin()
        self._intake.open(self._hold)

    def stopService(self) -> defer.Deferred[None]:
        """Stop accepting jobs and end those begun, within the drain time."""
        Service.stopService(self)
        self._patience.stop()
        return defer.ensureDeferred(self._intake.close())

    async def _hold(self, delivery: Delivery) -> Disposition:
        # Heartbeats report it: the outbox sends a job again that no agent has in hand.
        self._in_hand.append(delivery)
        try:
            return await self.handle(delivery)
        finally:
            self._in_hand.remove(delivery)

    async def handle(self, delivery: Delivery) -> Disposition:
        """Execute the job of one message; return how to settle the message."""
        try:
            job = decode_request(delivery.body)
        except Malformed as e:
            malformed = partial(self._malformed, e)
            with tracing.about("", e.request_id):
                return await self._patience.attempt("a malformed message", malformed)
        with tracing.about(job.trace, job.request_id):
            try:
                disposition = await self._carry_out(job, delivery)
            except _NotOurs as e:
                return DeadLetter(e.reason)
            self._note_end(job.request_id, disposition)
            return disposition

    async def _carry_out(self, job: JobMessage, delivery: Delivery) -> Disposition:
        try:
            return await self._in_order(job, delivery)
        # Tried again, it would differ from the row again: this is no try that failed.
        except _NotOurs:
            raise
        except Exception as e:
            self._note(
                job.request_id, "failed", f"{type(e).__name__} at attempt {delivery.attempt}"
            )
            # Raised, it is logged and counted as a try [docs/amqp.md, How tries are counted].
            if delivery.attempt < self._tries:
                raise
            return await self._incident(job)

    def _note(self, job_id: int, event: str, detail: str = "") -> None:
        self._trail.note(job_id, Part.AGENT, event, detail)

    def _waits(self, why: str) -> None:
        job_id = tracing.job()
        if job_id is not None:
            self._note(job_id, "waits", why)

    def _note_end(self, job_id: int, disposition: Disposition) -> None:
        """Record in the trail how a message ended, unless it was acknowledged."""
        match disposition:
            case DeadLetter(reason):
                self._note(job_id, "put aside", reason)
            case Nack(reason, delay):
                self._note(job_id, "left", f"{reason}; redelivered in {delay:g} s")
            case Release():
                self._note(job_id, "left", "this agent stops; requeued for another agent")
            # Its end is in the trail already, as "reported" or "not executed".
            case Ack():
                pass

    async def _in_order(self, job: JobMessage, delivery: Delivery) -> Disposition:
        """Execute a job in its turn, which it keeps while a database or broker is unavailable.

        A service known to be unavailable is waited for however long it takes; an unclassified error
        of a database, which may be this job's own fault, only as many times as a job is tried.

        :raises _NotOurs: the message is not of the job it names.
        """
        what, end = f"job {job.request_id}", self._patience.end()

        def insist(do: Callable[[], Awaitable[T]]) -> Awaitable[T]:
            return self._patience.insist(what, do, end)

        subject = Subject()

        async def keys() -> LockKeys:
            nonlocal job, subject
            with tracing.about(""):  # nothing that a foreign message says belongs in the trail
                job = await insist(partial(self._verified, job))
            self._note(job.request_id, "taken", _times(delivery))
            subject = await insist(partial(self._farm.subject, job.action))
            return _keys(job.action, subject)

        try:
            async with self._locks.hold(keys) as lease:
                outcome = await insist(partial(self._job, job, lease))
            if outcome is None:
                return self._finished_before(job)
            # Outside the locks: later jobs see what is written, and need not wait for a confirm.
            report = partial(self._report, job, outcome, subject.revision)
            try:
                await report()  # by an agent that stops as well
            except Unavailable:
                await insist(report)
            return Ack()
        except UnclassifiedError as e:
            # At the last try it is raised: the job ends with an incident, like one that failed
            # otherwise.
            if delivery.attempt < self._tries or self._patience.stopping:
                return self._patience.given_up(e)
            raise
        except Unavailable as e:
            return self._patience.given_up(e)

    async def _verified(self, job: JobMessage) -> JobMessage:
        """Return the message completed from its row; :raises _NotOurs: it is not of that job.

        The row is left as it is: its own message may still come.
        """
        row = await self._store.get(job.request_id)
        if row is None:
            raise _NotOurs(f"there is no job {job.request_id}")
        differing = difference(job, row)
        if differing is not None:
            reason = f"not the message of job {row.id}: its {differing} differs"
            self._log.error("message dead-lettered: {reason}", reason=reason)
            raise _NotOurs(reason)
        # Messages of older web processes have no identity [docs/amqp.md, Whose a message is].
        return attrs.evolve(job, identity=row.identity, when=row.when)

    async def _incident(self, job: JobMessage) -> Disposition:
        incident = uuid.uuid4().hex[:8]
        self._log.failure(
            "job {id} failed, incident {incident}", id=job.request_id, incident=incident
        )
        outcome = Outcome(
            True,
            f"The agent failed, incident {incident}: check the farm before you submit it again",
        )
        self._note(job.request_id, "failed", f"incident {incident}")
        finish = partial(self._finish, job.request_id, outcome, f"incident {incident}")
        return await self._patience.attempt(f"outcome of job {job.request_id}", finish)

    async def _malformed(self, error: Malformed) -> Disposition:
        self._log.error(
            "malformed job request (job {id}) dead-lettered: {reason}",
            id=error.request_id,
            reason=error.reason,
        )
        if error.request_id is None:
            return DeadLetter(error.reason)
        row = await self._store.get(error.request_id)
        # Anybody who may publish can name any id, and ids are reused after a restore: an id alone
        # finishes no job [docs/amqp.md, Whose a message is].
        if row is None or not is_of_job(error.message, row):
            return DeadLetter(error.reason)
        self._note(error.request_id, "put aside", error.reason)
        outcome = Outcome(True, f"The job request could not be read: {error.reason}")
        return await self._finish(error.request_id, outcome, error.reason)

    async def _finish(self, request_id: int, outcome: Outcome, reason: str) -> Disposition:
        """Finish the job of a message that is dead-lettered."""
        report = finished(request_id, outcome, self._agent_name, tracing.trace())
        await self._store.finish(request_id, report, int(self._now()))
        return DeadLetter(reason)

    async def _job(self, job: JobMessage, lease: Lease) -> Outcome | None:
        """Begin and carry out a job; return its outcome, None if it is finished already."""
        # A guarded update, like the refusal of a job: only one of them wins, so that a job whose
        # client got 503 never runs [docs/design.md, The life of a job request].
        if not await self._store.begin(job.request_id, self._agent_name, int(self._now())):
            return None
        self._note(job.request_id, "begun")
        journal = JobJournal(
            self._reactor, self._store, self._now, self._trail, job.request_id, lease.written
        )
        outcome = await self._farm.carry_out(job, journal)
        self._log.info(
            "job {id} {action} by {who}: {msg}",
            id=job.request_id,
            action=job.action.name,
            who=job.who,
            msg=_in_short(outcome),
        )
        return outcome

    def _finished_before(self, job: JobMessage) -> Disposition:
        self._log.info("job {id} is already finished: not executed", id=job.request_id)
        self._note(job.request_id, "not executed", "the job is already finished")
        return Ack()

    async def _report(self, job: JobMessage, outcome: Outcome, revision: str | None) -> None:
        """Publish an outcome, which happens before the ack.

        If the agent dies in between, both are repeated, and a second outcome changes nothing.
        """
        message = finished(
            job.request_id, outcome, self._agent_name, job.trace, job.identity, revision=revision
        )
        await self._broker.publish(
            FINISHED,
            encode_finished(message),
            message_id=f"finished-{job.request_id}",
            correlation_id=str(job.request_id),
        )
        self._note(job.request_id, "reported", _in_short(outcome))


class _NotOurs(Exception):
    """Dead-letter a message that is not of the job it names."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _keys(action: Action, subject: Subject) -> LockKeys:
    """Return the lock keys of a job: its request, and its revision until it has written.

    So the cancel of a revision cancels builds asked for before it and none asked for after it; jobs
    that cancel no revision do not wait for each other's revisions, nor rebuilds, which leave the
    request as it is, for each other.
    """
    # Different revisions with one key wait for each other without need, which harms nobody.
    revision = [revision_key(subject.revision)] if subject.revision else []
    if isinstance(action, CancelRevision):
        # Only until it has written: what it asks of masters afterwards may take long.
        return LockKeys(exclusive_until_written=revision)
    requests = [] if subject.request_id is None else [subject.request_id]
    if isinstance(action, RebuildBuild | RebuildRequest):
        return LockKeys(shared=[*requests, *revision])
    return LockKeys(requests, shared=revision)


def _times(delivery: Delivery) -> str:
    """Describe how often a message was delivered."""
    again = ", redelivered" if delivery.redelivered else ""
    return f"attempt {delivery.attempt}{again}"


def _in_short(outcome: Outcome) -> str:
    """Describe an outcome in one line."""
    lines = outcome.msg.splitlines()
    if len(lines) < 2:
        return outcome.msg
    failed = sum(item.state in ("failed", "unconfirmed") for item in outcome.items)
    return f"{len(lines)} requests, {len(outcome.items)} items, {failed} failed or unconfirmed"
