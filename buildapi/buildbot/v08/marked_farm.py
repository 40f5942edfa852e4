"""Act on a 0.8 farm: one guarded transaction in the scheduler database, then its masters.

The transaction is short: masters query the database in their reactor thread, and a row lock held by
another process stops all their web pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.logger import Logger

from buildapi.buildbot.v08 import lowering
from buildapi.buildbot.v08.facts_reader import SQLFactsReader
from buildapi.buildbot.v08.lowered_plan import (
    LoweredPlan,
    Performed,
    Poke,
    Recorded,
    Written,
    in_ascii,
)
from buildapi.buildbot.v08.markers import Markers
from buildapi.buildbot.v08.step_runner import StepRunner
from buildapi.db.call_groups import CallGroups, Later, at_once, together_or_alone
from buildapi.db.sql import (
    Database,
    DuplicateError,
    GuardFailedError,
    MissingTableError,
    Params,
    Read,
    Row,
    RowLimitError,
    Statement,
    ValueRefusedError,
    Write,
)
from buildapi.errors import BadRequest
from buildapi.jobs.plan_outcomes import StepResult, conclude
from buildapi.model.actions import Action, RebuildBuild, RebuildRequest
from buildapi.model.facts import Facts, Subject
from buildapi.model.job_identity import JobIdentity
from buildapi.model.outcome import Item, Outcome

TABLES = (
    "sourcestamps",
    "changes",
    "change_files",
    "sourcestamp_changes",
    "buildsets",
    "buildset_properties",
    "buildrequests",
)
"""Tables that the writes of a plan touch."""

STEP_BY_STEP = (
    BadRequest,
    DuplicateError,
    GuardFailedError,
    RowLimitError,
    UnicodeEncodeError,
    ValueRefusedError,
)
"""Errors of a transaction that wrote nothing, each of which is met by a way of its own."""

MSG_MAX = 4000
"""Characters kept of an outcome's message if the whole outcome does not fit."""

REBUILDS_MOST = 10
"""Maximum number of rebuilds in one transaction, which then takes some milliseconds."""


class NotTogether(Exception):
    """Jobs cannot be decided and written in one transaction."""


@attrs.frozen(eq=False)
class Undecided:
    """A job to decide and write: how its facts are read, and the plan made of them."""

    job: JobIdentity
    reading: Callable[[Read], Facts]
    planned: Callable[[Facts], LoweredPlan]


@attrs.define
class V08Farm:
    """Write to the scheduler database and call masters; ``now`` returns epoch seconds.

    ``observer`` must read from the same database.
    """

    _db: Database
    _observer: SQLFactsReader
    _poker: StepRunner
    _marker: str
    _now: Callable[[], float]
    _later: Later = at_once
    _transactional: bool | None = None
    _rebuilding: CallGroups[Undecided, Performed | None] = attrs.field(init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._rebuilding = CallGroups(self._perform_all, REBUILDS_MOST, self._later)

    @property
    def _markers(self) -> Markers:
        return Markers(self._marker)

    async def recall(self, job: JobIdentity) -> Recorded | None:
        """Return how far a job got before, from its marker row."""
        return await self._markers.find(self._db, job)

    async def subject(self, action: Action) -> Subject:
        """Return what an action is about; calls that wait share one SELECT."""
        return await self._observer.subject(action)

    async def highest_job(self) -> int:
        """Return the highest id of a job with a marker; 0 if no agent has made the table yet."""
        try:
            return await self._markers.highest(self._db)
        except MissingTableError:
            return 0

    async def read(self, action: Action) -> Facts:
        """Read the facts that an action is decided on."""
        return await self._observer.read(action)

    async def write(self, job: JobIdentity, plan: LoweredPlan) -> tuple[Written, Sequence[Item]]:
        """Write a plan and its marker row in one short transaction, or nothing.

        A reason that the database cannot hold is written without accents, an author escaped.

        :raises BadRequest: a value cannot be stored; nothing was written.
        """
        try:
            return await self._write(job, plan)
        except BadRequest:
            # Databases of 0.8 masters are often latin1 or utf8mb3, and a reason names who asked.
            plain = in_ascii(plan)
            if plain == plan:
                raise
        return await self._write(job, plain)

    async def perform(
        self, job: JobIdentity, action: Action, planned: Callable[[Facts], LoweredPlan]
    ) -> Performed | None:
        """Recall a job, or read its facts, decide and write it, all in one transaction.

        Where nobody is to be asked for anything after it, the marker has the outcome at once; it
        then comes last, since the outcome names the rows that were inserted.
        """
        job_in_hand = Undecided(job, self._observer.reading(action), planned)
        # One new buildset each, and nobody waits for locks on new rows.
        if isinstance(action, RebuildBuild | RebuildRequest) and action.count == 1:
            return await self._rebuilding.call(job_in_hand)
        return await self._perform(job_in_hand)

    async def _perform(self, one: Undecided) -> Performed | None:
        # A marker that comes last guards nothing where writes before it cannot be rolled back.
        if not await self._has_transactions():
            return None
        now = int(self._now())

        def deciding(read: Read, write: Write) -> Performed:
            recorded = self._markers.find_in(read, one.job)
            if recorded is not None:
                return Performed(recorded, is_new=False)
            plan = one.planned(one.reading(read))
            if plan.pokes:
                statements = lowering.lower(plan, one.job, marker=self._marker, now=now)
                return Performed(Recorded(plan), lowering.made(statements, write(statements)))
            done = _written(plan, write, now)
            self._mark_settled(write, [(one.job, done)], now)
            return done

        try:
            return await self._db.decide(deciding)
        except STEP_BY_STEP as e:
            self._log.debug("job {id}: done step by step: {error}", id=one.job.id, error=e)
            return None

    async def _perform_all(
        self, some: Sequence[Undecided]
    ) -> Sequence[Performed | Exception | None]:
        return await together_or_alone(some, self._perform_together, self._perform)

    async def _perform_together(self, some: Sequence[Undecided]) -> Sequence[Performed]:
        """Decide and write rebuilds in one transaction, in their order.

        :raises NotTogether: only one by one; nothing was written.
        """
        if not await self._has_transactions():
            raise NotTogether
        now = int(self._now())

        def deciding(read: Read, write: Write) -> Sequence[Performed]:
            if self._markers.any_in(read, [one.job for one in some]):
                raise NotTogether
            # What a rebuild is decided on, no other one changes.
            once = _read_once(read)
            done: list[tuple[JobIdentity, Performed]] = []
            for one in some:
                plan = one.planned(one.reading(once))
                if plan.pokes:
                    raise NotTogether
                done.append((one.job, _written(plan, write, now)))
            self._mark_settled(write, done, now)
            return [performed for _, performed in done]

        return await self._db.decide(deciding)

    def _mark_settled(
        self, write: Write, done: Sequence[tuple[JobIdentity, Performed]], now: int
    ) -> None:
        settled = [
            (job, performed.recorded.plan, performed.recorded.outcome)
            for job, performed in done
            # Without writes there is no marker: deciding again does no harm.
            if performed.recorded.plan.writes and performed.recorded.outcome is not None
        ]
        if settled:
            write([self._markers.mark_settled(settled, now)])

    async def _write(self, job: JobIdentity, plan: LoweredPlan) -> tuple[Written, Sequence[Item]]:
        whole = await self._has_transactions()
        try:
            statements = lowering.lower(
                plan, job, marker=self._marker, now=int(self._now()), transactional=whole
            )
            ids = await self._transact(job, statements)
        except DuplicateError:
            return Written.BEFORE, ()
        except GuardFailedError:
            # MyISAM keeps what came before the failed guard: the marker, for no plan writes
            # anything else ahead of a guarded step.
            await self._unmark(job, whole=whole)
            return Written.STALE, ()
        except (ValueRefusedError, UnicodeEncodeError) as e:
            await self._unmark(job, whole=whole)
            raise BadRequest("The scheduler database cannot store a value of this job") from e
        return Written.APPLIED, lowering.made(statements, ids)

    async def _transact(self, job: JobIdentity, statements: Sequence[Statement]) -> Sequence[int]:
        """Write; move the marker of another job aside if that job had this one's id.

        :raises DuplicateError: this job has a marker already.
        """
        try:
            return await self._db.transact(statements)
        except DuplicateError:
            foreign = await self._markers.foreign(self._db, job)
            if foreign is None:
                raise
        self._log.warn(
            "job {id}: an earlier job had this id, and its marker now has another one. Was the"
            " jobs database restored or lost?",
            id=job.id,
        )
        # One transaction: neither job may be without a marker in between.
        _, *ids = await self._db.transact([self._markers.move_aside(job, foreign), *statements])
        return ids

    async def _unmark(self, job: JobIdentity, *, whole: bool) -> None:
        """Remove the marker if no transaction rolled it back."""
        if not whole:
            await self._db.transact([self._markers.unmark(job)])

    async def poke(self, job: JobIdentity, step: Poke, who: str) -> Sequence[Item]:
        """Execute one step outside the database and verify its effect; safe to repeat."""
        return await self._poker.poke(job, step, who)

    async def settle(self, job: JobIdentity, outcome: Outcome) -> None:
        """Record the final outcome in the marker row, without its items if it is too large."""
        try:
            await self._db.transact([self._markers.settle(job, outcome)])
        # Items of many requests may exceed max_allowed_packet [docs/explanation/failure-model.md,
        # "The jobs database"].
        except ValueRefusedError as e:
            self._log.warn(
                "job {id}: outcome shortened to fit into its marker: {error}", id=job.id, error=e
            )
            # The outcome that is published still has its items; only a redelivery gets this one.
            short = Outcome(outcome.errors, outcome.msg[:MSG_MAX])
            await self._db.transact([self._markers.settle(job, short)])

    async def forget(self, days: int) -> None:
        """Delete the markers of jobs settled so long ago that no message of theirs is left."""
        before = int(self._now()) - days * 86400
        await self._db.transact([self._markers.forget(before)])

    async def _has_transactions(self) -> bool:
        if self._transactional is None:
            self._transactional = await self._db.transactional((*TABLES, self._marker))
            if not self._transactional:
                self._log.warn(
                    "the scheduler database has no transactions (MyISAM): a job whose"
                    " agent dies while it writes is not repeated and needs a check by hand"
                )
        return self._transactional


def _written(plan: LoweredPlan, write: Write, now: int) -> Performed:
    """Do the writes of a plan without pokes; the job is done then."""
    statements = lowering.lower_settled(plan, now)
    made = lowering.made(statements, write(statements) if statements else ())
    outcome = conclude(plan.outcome, plan.lines, [StepResult(made)])
    return Performed(Recorded(plan, outcome), made)


def _read_once(read: Read) -> Read:
    """Return a function that runs each SELECT of a transaction once."""
    known: dict[object, Sequence[Row]] = {}

    def reading(text: str, params: Params) -> Sequence[Row]:
        key = (text, tuple(params.items()))
        if key not in known:
            known[key] = read(text, params)
        return known[key]

    return reading
