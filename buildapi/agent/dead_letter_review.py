"""Review dead letters: retry open jobs, or finish them as failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from twisted.internet import defer

from buildapi import tracing
from buildapi.agent.reconciler import TOO_OLD
from buildapi.errors import Unavailable
from buildapi.interfaces import Broker, JobStore, Trail
from buildapi.jobs.dead_letter_rules import decide
from buildapi.model.messages import Letter, LetterEnd, SettledAs, SettledLetter
from buildapi.model.ops import Part
from buildapi.model.outcome import Outcome
from buildapi.model.wire import finished, job_of
from buildapi.periodic import PeriodicService

INTERVAL = 5.0
"""Seconds between two checks of the number of dead letters."""

AGAIN_SECONDS = 600
"""Seconds after which letters that were kept are reviewed again, though they are as many as before.

Their jobs end meanwhile, and one may have taken the place of another.
"""

REVIEW_MOST = 100_000
"""Maximum number of dead letters in one review: those that stay come first in every review."""


@attrs.define(slots=False, eq=False)
class DeadLetterReview(PeriodicService):
    """Review the dead letters of queues, by routing key, when their number changes and regularly.

    ``now`` returns epoch seconds; ``settled`` is called with each letter that is retried, dropped
    or failed. A letter under review at the stop returns to its place.
    """

    trouble = "cannot review the dead letters"

    _broker: Broker
    _store: JobStore
    _queues: Mapping[str, str]
    _now: Callable[[], float]
    _trail: Trail
    _settled: Callable[[SettledLetter], None]

    def __attrs_post_init__(self) -> None:
        self.name = "dead letters"
        self.interval = INTERVAL
        self._kept: dict[str, int] = {}
        self._due: dict[str, float] = {}

    async def run_once(self) -> None:
        """Review every queue; a failure in one does not keep the others."""
        for routing_key in self._queues:
            await self._look(routing_key)

    async def _look(self, routing_key: str) -> None:
        try:
            await self.review(routing_key)
        except Unavailable as e:
            self._log.debug(f"{self.trouble}: {{msg}}", msg=e.msg)
        except defer.CancelledError:
            raise
        except Exception:
            self._log.failure(self.trouble)

    async def review(self, routing_key: str) -> None:
        """Review the dead letters of a queue, unless they are as many as the last review kept.

        :raises Unavailable: the broker or the jobs database is unavailable.
        """
        queue = self._queues[routing_key]
        dead = (await self._broker.depth(queue)).dead
        now = self._reactor.seconds()
        if dead == self._kept.get(queue, 0) and (not dead or now < self._due[queue]):
            return
        # If the review fails half-way, nobody knows how many stay: the next look has to review
        # again.
        self._kept.pop(queue, None)
        kept = 0

        async def judge(letter: Letter) -> LetterEnd:
            nonlocal kept
            end, is_final = await self._judge(routing_key, queue, letter)
            # One that is not final is not counted: the number differs then, and the letter is
            # reviewed again.
            kept += end is LetterEnd.KEEP and is_final
            return end

        await self._broker.review(queue, judge, limit=REVIEW_MOST)
        if kept >= REVIEW_MOST:
            self._log.error("{queue}: too many dead letters to review all of them", queue=queue)
            # Those beyond the limit stay unread, or every look would review all the others again.
            kept = dead
        self._kept[queue], self._due[queue] = kept, now + AGAIN_SECONDS

    async def _judge(self, routing_key: str, queue: str, letter: Letter) -> tuple[LetterEnd, bool]:
        """Return how to settle a letter, and whether the next review need not decide again."""
        job_id = job_of(routing_key, letter.body)
        job = None if job_id is None else await self._store.get(job_id)
        old = job is not None and job.when < self._now() - TOO_OLD
        decision = decide(routing_key, letter, job, too_old=old)
        if job_id is not None and decision.failure is not None:
            report = finished(job_id, Outcome(True, decision.failure))
            if not await self._store.finish(job_id, report, int(self._now())):
                return LetterEnd.KEEP, False  # the job has ended meanwhile
            self._tell(queue, job_id, letter, SettledAs.FAILED)
        elif decision.end is not LetterEnd.KEEP:
            self._tell(queue, job_id, letter, SettledAs(decision.end.value))
        return decision.end, True

    def _tell(self, queue: str, job_id: int | None, letter: Letter, end: SettledAs) -> None:
        self._settled(SettledLetter(queue, end, job_id, letter.reason, self._now()))
        with tracing.about("", job_id):
            self._log.warn(
                "{queue}: the dead letter of job {id} ({reason}) is {ended}",
                queue=queue,
                id=job_id,
                reason=letter.reason,
                ended=end.value,
            )
        # A letter is dropped when its job has ended: the trail of the job is complete.
        if job_id is not None and end is not SettledAs.DROPPED:
            self._trail.note(job_id, Part.OUTBOX, end.value, f"dead letter: {letter.reason}")
