"""Execute one job: decide, write once, call the masters, conclude."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.agent.job_progress import ProgressRecorder
from buildapi.agent.trail_text import MasterCallTrail, decided, made_words
from buildapi.errors import BadRequest, Unavailable, Unconfirmed
from buildapi.interfaces import Farm, JobStore, Trail
from buildapi.jobs.decide import decide
from buildapi.jobs.plan_outcomes import Did, conclude, refused
from buildapi.model.ops import Part
from buildapi.model.outcome import Item, Outcome
from buildapi.model.rules import Rules
from buildapi.model.steps import (
    Clobber,
    Plan,
    Poke,
    SendChange,
    StopBuild,
    WatchDropped,
    Written,
)
from buildapi.model.wire import JobMessage

DECISIONS = 3
"""Maximum number of decisions on a job whose objects change before they are written."""


@attrs.define
class Executor:
    """Execute jobs; ``now`` returns epoch seconds, ``reactor`` is an IReactorTime."""

    _reactor: Any
    _farm: Farm
    _store: JobStore
    _rules: Rules
    _now: Callable[[], float]
    _trail: Trail
    _log = Logger()

    async def perform(self, job: JobMessage, written: Callable[[], None]) -> Outcome:
        """Execute a job, or return its earlier outcome; ``written`` is called after its writes."""
        recorded = await self._farm.recall(job.of)
        if recorded is None:
            plan, made = await self._write(job)
        elif recorded.outcome is not None:
            return recorded.outcome
        elif not recorded.whole:
            return INTERRUPTED
        else:
            plan, made = recorded.plan, AGAIN if recorded.plan.writes else ()
        written()
        if plan.writes:
            self._note(job, "written", made_words(made))
        outcome = conclude(plan, made, await self._pokes(plan, job))
        if plan.writes or plan.pokes:
            await self._settle(job, outcome)
        return outcome

    async def _settle(self, job: JobMessage, outcome: Outcome) -> None:
        """Record an outcome; one that cannot be recorded stands all the same.

        :raises Unavailable: the database is unavailable.
        """
        try:
            await self._farm.settle(job.of, outcome)
        except Unavailable:
            raise
        except Exception:
            self._log.failure("job {id}: its outcome is not in its marker", id=job.request_id)

    async def _write(self, job: JobMessage) -> tuple[Plan, Sequence[Item]]:
        """Decide and write, again if what the decision relies on has changed meanwhile."""
        for _ in range(DECISIONS):
            try:
                facts = await self._farm.read(job.action)
                plan = decide(job.action, facts, job.who, self._rules)
                self._note(job, "decided", decided(plan))
                if not plan.writes and not plan.pokes:
                    return plan, ()
                written, made = await self._farm.write(job.of, plan)
            except BadRequest as e:
                self._note(job, "decided", e.msg)
                return refused(e.msg), ()
            match written:
                case Written.APPLIED:
                    return plan, made
                case Written.BEFORE:
                    raise Unavailable("another agent has this job in hand")
                case Written.STALE:
                    self._log.info("job {id}: changed meanwhile, decided anew", id=job.request_id)
                    self._note(job, "not written", "it changed meanwhile and is decided anew")
        return Plan(CHANGING), ()

    async def _pokes(self, plan: Plan, job: JobMessage) -> Did:
        notes = ProgressRecorder(
            self._reactor, self._store, self._now, job.request_id, len(plan.lines)
        )
        asked = MasterCallTrail(lambda event, detail: self._note(job, event, detail))
        async with notes.kept():
            running = [
                defer.ensureDeferred(self._poke(step, job, notes, asked)) for step in plan.pokes
            ]
            ended = await defer.gatherResults(running)
        asked.end()
        for result in ended:
            if isinstance(result, Unavailable):
                raise result
        did = zip(plan.pokes, ended, strict=True)
        return [(step, items) for step, items in did if not isinstance(items, Unavailable)]

    async def _poke(
        self, step: Poke, job: JobMessage, notes: ProgressRecorder, asked: MasterCallTrail
    ) -> Sequence[Item] | Unavailable:
        """Execute one step; return Unavailable instead of raising it: the others must still end."""
        try:
            items = await self._farm.poke(job.of, step, job.who)
        except Unconfirmed as e:
            asked.waits(step, e.msg)
            await notes.open(e.item)
            return e
        except Unavailable as e:
            asked.waits(step, e.msg)
            return e
        except Exception:
            items = self._incident(step, job)
        notes.add(items)
        asked.of(step, items)
        return items

    def _note(self, job: JobMessage, event: str, detail: str) -> None:
        self._trail.note(job.request_id, Part.AGENT, event, detail)

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
