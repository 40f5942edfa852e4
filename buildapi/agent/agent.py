"""Take job requests from the queue, carry each out exactly once, and report back."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Any, TypeVar

import attrs
from twisted.application.service import Service
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.agent.intake import Intake
from buildapi.agent.order import InOrder
from buildapi.agent.patience import Patience
from buildapi.errors import BadRequest, Unavailable
from buildapi.interfaces import Broker, Farm, JobStore
from buildapi.jobs.decide import conclude, decide, refused
from buildapi.model.messages import Ack, DeadLetter, Delivery, Disposition
from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import Plan, Poke, Written
from buildapi.model.wire import (
    FINISHED,
    JobMessage,
    Malformed,
    decode_request,
    encode_finished,
    finished,
)

T = TypeVar("T")

DECISIONS = 3
"""How often a job is decided anew when what it is about changes in between."""

FAILURES = 3
"""Deliveries after which a job that fails for no known reason is reported as failed."""


@attrs.define(slots=False)
class Agent(Service):
    """Consume ``queue``; ``now`` gives seconds since the epoch, ``reactor`` IReactorTime."""

    _reactor: Any
    _broker: Broker
    _store: JobStore
    _farm: Farm
    _queue: str
    _agent_name: str
    _prefetch: int
    _drain_seconds: float
    _now: Callable[[], float]
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.name = "agent"
        self._order = InOrder()
        self._patience = Patience(self._reactor)
        self._intake = Intake(self._broker, self._queue, self._prefetch, self._drain_seconds)

    def startService(self) -> None:
        """Begin to consume."""
        Service.startService(self)
        self._patience.begin()
        self._intake.open(self.handle)

    def stopService(self) -> defer.Deferred[None]:
        """Take no more jobs and end those begun, within the drain time."""
        Service.stopService(self)
        self._patience.stop()
        return defer.ensureDeferred(self._intake.close())

    async def handle(self, delivery: Delivery) -> Disposition:
        """Carry out one message, and say what is to become of it."""
        try:
            job = decode_request(delivery.body)
        except Malformed as e:
            return await self._patience.attempt("a malformed message", partial(self._malformed, e))
        try:
            return await self._in_order(job)
        except Exception:
            if delivery.attempt < FAILURES:
                raise
            return await self._incident(job)

    async def _in_order(self, job: JobMessage) -> Disposition:
        """Carry a job out in its turn, which it keeps while something is away."""
        what, end = f"job {job.request_id}", self._patience.end()

        def insist(do: Callable[[], Awaitable[T]]) -> Awaitable[T]:
            return self._patience.insist(what, do, end)

        try:
            async with self._order.turn(lambda: insist(partial(self._subject, job))):
                return await insist(partial(self._job, job))
        except Unavailable:
            return self._patience.given_up()

    async def _incident(self, job: JobMessage) -> Disposition:
        incident = uuid.uuid4().hex[:8]
        self._log.failure(
            "job {id} failed, incident {incident}", id=job.request_id, incident=incident
        )
        outcome = Outcome(True, f"The agent failed, incident {incident}: look at what is there")
        finish = partial(self._finish, job.request_id, outcome, f"incident {incident}")
        return await self._patience.attempt(f"the end of job {job.request_id}", finish)

    async def _malformed(self, error: Malformed) -> Disposition:
        self._log.error(
            "malformed job request (job {id}) put aside: {reason}",
            id=error.request_id,
            reason=error.reason,
        )
        if error.request_id is None:
            return DeadLetter(error.reason)
        outcome = Outcome(True, f"The job request could not be read: {error.reason}")
        return await self._finish(error.request_id, outcome, error.reason)

    async def _finish(self, request_id: int, outcome: Outcome, reason: str) -> Disposition:
        """Finish the job of a message that is put aside."""
        report = finished(request_id, outcome, self._agent_name)
        await self._store.finish(request_id, report, int(self._now()))
        return DeadLetter(reason)

    async def _subject(self, job: JobMessage) -> Hashable:
        facts = await self._farm.read(job.action)
        return facts.request.id if facts else None

    async def _job(self, job: JobMessage) -> Disposition:
        if not await self._store.begin(job.request_id, self._agent_name, int(self._now())):
            return await self._not_ours(job)
        outcome = await self._perform(job)
        self._log.info(
            "job {id} {action} by {who}: {msg}",
            id=job.request_id,
            action=job.action.name,
            who=job.who,
            msg=outcome.msg,
        )
        await self._report(job, outcome)
        return Ack()

    async def _not_ours(self, job: JobMessage) -> Disposition:
        if await self._store.get(job.request_id) is None:
            return DeadLetter(f"no job {job.request_id} is recorded")
        self._log.info("job {id} is finished: not executed", id=job.request_id)
        return Ack()

    async def _perform(self, job: JobMessage) -> Outcome:
        recorded = await self._farm.recall(job.request_id)
        if recorded is None:
            plan, made = await self._write(job)
        elif recorded.outcome is not None:
            return recorded.outcome
        elif not recorded.whole:
            return INTERRUPTED
        else:
            plan, made = recorded.plan, AGAIN if recorded.plan.writes else ()
        outcome = conclude(plan, [*made, *await self._pokes(plan.pokes, job)])
        if plan.writes or plan.pokes:
            await self._farm.settle(job.request_id, outcome)
        return outcome

    async def _write(self, job: JobMessage) -> tuple[Plan, Sequence[Item]]:
        """Decide and write, again where what was decided about has changed in between."""
        for _ in range(DECISIONS):
            plan = decide(job.action, await self._farm.read(job.action), job.who)
            if not plan.writes and not plan.pokes:
                return plan, ()
            try:
                written, made = await self._farm.write(job.request_id, plan)
            except BadRequest as e:
                return refused(e.msg), ()
            match written:
                case Written.APPLIED:
                    return plan, made
                case Written.BEFORE:
                    raise Unavailable("another agent has this job in hand")
                case Written.STALE:
                    self._log.info("job {id}: changed meanwhile, decided anew", id=job.request_id)
        return Plan(CHANGING), ()

    async def _pokes(self, pokes: Sequence[Poke], job: JobMessage) -> Sequence[Item]:
        running = [defer.ensureDeferred(self._poke(step, job)) for step in pokes]
        ended = await defer.gatherResults(running)
        for result in ended:
            if isinstance(result, Unavailable):
                raise result
        return [result for result in ended if isinstance(result, Item)]

    async def _poke(self, step: Poke, job: JobMessage) -> Item | Unavailable:
        """Do one step; give Unavailable back, so that the others still end."""
        try:
            return await self._farm.poke(step, job.who)
        except Unavailable as e:
            return e
        except Exception:
            incident = uuid.uuid4().hex[:8]
            self._log.failure(
                "job {id}: {step} failed, incident {incident}",
                id=job.request_id,
                step=step,
                incident=incident,
            )
            return Item("failed", f"incident {incident}", request_id=step.brid)

    async def _report(self, job: JobMessage, outcome: Outcome) -> None:
        message = finished(job.request_id, outcome, self._agent_name)
        await self._broker.publish(
            FINISHED,
            encode_finished(message),
            message_id=f"finished-{job.request_id}",
            correlation_id=str(job.request_id),
        )


AGAIN = (Item("done", "written before an agent was interrupted; not written again"),)
INTERRUPTED = Outcome(
    True,
    "An agent died while it wrote this job: look at what is there before asking again",
    (Item("failed", "the scheduler database has no transactions; the job is not repeated"),),
)
CHANGING = Outcome(
    True,
    "The request keeps changing, nothing was done",
    (Item("failed", f"it changed {DECISIONS} times while this was decided; ask again"),),
)
