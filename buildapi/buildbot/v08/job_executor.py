"""Execute one job: decide, write once, call the masters, conclude.

The writes of a job and its marker are one transaction in the scheduler database; whoever executes
the job again finds the marker, and goes on with the calls to masters, which are safe to repeat.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.buildbot.v08.lowered_plan import (
    LoweredPlan,
    Performed,
    Poke,
    Recorded,
    WatchDropped,
    Written,
    lowered,
)
from buildapi.buildbot.v08.trail_text import MasterCallTrail, decided, made_words
from buildapi.errors import BadRequest, Unavailable, Unconfirmed
from buildapi.interfaces import ItemProgress, Journal
from buildapi.jobs.decide import decide
from buildapi.jobs.plan_outcomes import StepResult, conclude, refused
from buildapi.model.actions import Action
from buildapi.model.facts import Facts, Subject
from buildapi.model.job_identity import JobIdentity
from buildapi.model.outcome import Item, Outcome
from buildapi.model.rules import Rules
from buildapi.model.steps import Clobber, SendChange, StopBuild
from buildapi.model.wire import JobMessage

DECISIONS = 3
"""Maximum number of decisions on a job whose objects change before they are written."""


class MarkedFarm(Protocol):
    """Act on the farm: one transaction in the scheduler database, then pokes at masters.

    Facts are read from the scheduler database itself: a replica may lag behind.
    """

    async def subject(self, action: Action) -> Subject:
        """Return what an action is about; calls that wait share one SELECT."""

    async def read(self, action: Action) -> Facts:
        """Read the facts that an action is decided on."""

    async def forget(self, days: int) -> None:
        """Delete the markers of jobs that were settled so many days ago."""

    async def highest_job(self) -> int:
        """Return the highest id of a job with a marker; 0 if there is none."""

    async def recall(self, job: JobIdentity) -> Recorded | None:
        """Read the marker row of a job from the scheduler database; None if there is none.

        The marker of an earlier job with the same id does not count.
        """

    async def write(self, job: JobIdentity, plan: LoweredPlan) -> tuple[Written, Sequence[Item]]:
        """Execute the writes of a plan and insert its marker in one short transaction.

        Return an item per write if they were applied.  The marker of an earlier job with the same
        id is moved aside.  The transaction is short because masters of Buildbot 0.8 query in their
        reactor: a row lock that we hold stops all their work.

        :raises BadRequest: a value cannot be stored; nothing was written.
        """

    async def perform(
        self, job: JobIdentity, action: Action, planned: Callable[[Facts], LoweredPlan]
    ) -> Performed | None:
        """Do what ``recall``, ``read`` and ``write`` do, in one transaction.

        None: not possible, nothing was written; only step by step can be known why.
        """

    async def poke(self, job: JobIdentity, step: Poke, who: str) -> Sequence[Item]:
        """Execute one step at a master or service and verify its effect; safe to repeat.

        ``job`` tells its effect from the same effect of another job.
        """

    async def settle(self, job: JobIdentity, outcome: Outcome) -> None:
        """Record the final outcome in the marker row."""


@attrs.define
class JobExecutor:
    """Implement ``FarmActions``."""

    _farm: MarkedFarm
    _rules: Rules
    _log = Logger()

    async def subject(self, action: Action) -> Subject:
        """Return what a job is about, from one row at most."""
        return await self._farm.subject(action)

    async def forget(self, days: int) -> None:
        """Delete the markers of jobs settled so long ago that no message of theirs is left."""
        await self._farm.forget(days)

    async def highest_job(self) -> int:
        """Return the highest id of a job that has a marker; 0 if none has."""
        return await self._farm.highest_job()

    async def carry_out(self, job: JobMessage, journal: Journal) -> Outcome:
        """Execute a job, or return its earlier outcome.

        :raises Unavailable: a database or master is away; what is left is done by the next call.
        """
        done = await self._performed(job, journal)
        recorded, plan = done.recorded, done.recorded.plan
        # Which writes are missing is not known, so none is repeated
        # [docs/explanation/failure-model.md, "The scheduler database"].
        if not recorded.whole:
            return INTERRUPTED
        if recorded.outcome is not None and not done.is_new:
            return recorded.outcome
        # From here on only masters are asked, which may take minutes: other jobs on the revision
        # see the writes and need not wait for that.
        journal.written()
        made = done.made if done.is_new or not plan.writes else AGAIN
        if plan.writes:
            journal.note("written", made_words(made))
        if recorded.outcome is not None:
            return recorded.outcome
        results = [StepResult(made), *await self._pokes(plan, job, journal)]
        outcome = conclude(plan.outcome, plan.lines, results)
        if plan.writes or plan.pokes:
            await self._settle(job, outcome)
        return outcome

    async def _settle(self, job: JobMessage, outcome: Outcome) -> None:
        """Record an outcome; one that cannot be recorded is valid nevertheless.

        :raises Unavailable: the database is unavailable.
        """
        try:
            await self._farm.settle(job.of, outcome)
        except Unavailable:
            raise
        except Exception:
            # The effect is there, and another try would ask the masters again for nothing.
            self._log.failure("job {id}: cannot store the outcome in its marker", id=job.request_id)

    async def _performed(self, job: JobMessage, journal: Journal) -> Performed:
        """Decide and write a job, or recall how far it got before."""
        # _planned runs in a thread of the pool, which it may since deciding is pure.
        done = await self._farm.perform(job.of, job.action, partial(self._planned, job))
        if done is not None:
            if done.is_new:
                journal.note("decided", decided(done.recorded.plan))
            return done
        # None says nothing about why: another agent may have written the job in between.
        recorded = await self._farm.recall(job.of)
        if recorded is not None:
            return Performed(recorded, is_new=False)
        plan, made = await self._write(job, journal)
        return Performed(Recorded(plan), made)

    def _planned(self, job: JobMessage, facts: Facts) -> LoweredPlan:
        return lowered(decide(job.action, facts, job.who, self._rules), facts)

    async def _write(self, job: JobMessage, journal: Journal) -> tuple[LoweredPlan, Sequence[Item]]:
        """Decide and write, again if what the decision relies on has changed meanwhile."""
        for _ in range(DECISIONS):
            try:
                plan = self._planned(job, await self._farm.read(job.action))
                journal.note("decided", decided(plan))
                # No marker: deciding again does no harm.
                if not plan.writes and not plan.pokes:
                    return plan, ()
                written, made = await self._farm.write(job.of, plan)
            except BadRequest as e:
                journal.note("decided", e.msg)
                return LoweredPlan(refused(e.msg).outcome), ()
            match written:
                case Written.APPLIED:
                    return plan, made
                case Written.BEFORE:
                    # recall() found no marker: another agent has written it since, by its own plan.
                    raise Unavailable("another agent is executing this job")
                case Written.STALE:
                    self._log.info(
                        "job {id}: the facts changed meanwhile; deciding again", id=job.request_id
                    )
                    journal.note(
                        "not written", "the facts changed since the decision; deciding again"
                    )
        return LoweredPlan(CHANGING), ()

    async def _pokes(
        self, plan: LoweredPlan, job: JobMessage, journal: Journal
    ) -> Sequence[StepResult]:
        asked = MasterCallTrail(journal.note)
        async with journal.progress(len(plan.lines)) as progress:
            running = [
                defer.ensureDeferred(self._poke(step, job, progress, asked)) for step in plan.pokes
            ]
            ended = await defer.gatherResults(running)
        asked.end()
        for result in ended:
            # The marker stays open, and the next delivery repeats the pokes, which is safe.
            if isinstance(result, Unavailable):
                raise result
        did = zip(plan.pokes, ended, strict=True)
        return [
            # A clobberer that fails is no error of the job [docs/compatibility.md, "Operators"].
            StepResult(items, is_extra=isinstance(step, Clobber))
            for step, items in did
            if not isinstance(items, Unavailable)
        ]

    async def _poke(
        self, step: Poke, job: JobMessage, progress: ItemProgress, asked: MasterCallTrail
    ) -> Sequence[Item] | Unavailable:
        """Execute one step; return Unavailable instead of raising it: the others must still end."""
        try:
            items = await self._farm.poke(job.of, step, job.who)
        except Unconfirmed as e:
            asked.waits(step, e.msg)
            await progress.open(e.item)
            return e
        except Unavailable as e:
            asked.waits(step, e.msg)
            return e
        except Exception:
            items = self._incident(step, job)
        progress.add(items)
        asked.of(step, items)
        return items

    def _incident(self, step: Poke, job: JobMessage) -> Sequence[Item]:
        incident = uuid.uuid4().hex[:8]
        self._log.failure(
            "job {id}: {step} failed, incident {incident}",
            id=job.request_id,
            step=step,
            incident=incident,
        )
        return [Item("failed", f"incident {incident}", request_id=brid) for brid in touched(step)]


def touched(step: Poke) -> Sequence[int | None]:
    """List the requests that a step touches; None if it touches none."""
    match step:
        case StopBuild():
            return [step.brid]
        case Clobber():
            return [step.build.brid]
        case WatchDropped():
            return list(step.brids)
        case SendChange():
            return [None]


AGAIN = (Item("done", "already written when an agent was interrupted; not repeated"),)
INTERRUPTED = Outcome(
    True,
    "An agent died while it wrote this job: check the farm before you submit it again",
    (Item("failed", "the scheduler database has no transactions; the job is not repeated"),),
)
CHANGING = Outcome(
    True,
    "The request keeps changing, nothing was done",
    (Item("failed", f"it changed {DECISIONS} times during the decision; submit the job again"),),
)
