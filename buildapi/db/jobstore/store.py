"""Store job requests in SQL: in the table shared with old web processes, and in our own."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence, Set

import attrs
from twisted.logger import Logger

from buildapi.db.call_groups import (
    CallGroups,
    Later,
    at_once,
    rows_by_id,
    together_or_alone,
)
from buildapi.db.jobstore import asked_builds, keys, reads, rebuild_rows, search, writes
from buildapi.db.jobstore import progress as progress_rows
from buildapi.db.jobstore.writes import Beginning, Ending, NewJob
from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import (
    Database,
    DuplicateError,
    GuardFailedError,
    Read,
    Statement,
    ValueRefusedError,
    any_of,
)
from buildapi.errors import BadRequest, DatabaseUnavailable, InProgress
from buildapi.model.actions import OLD_WIDTH, full_name
from buildapi.model.rebuilds import Rebuild, RebuildLinks
from buildapi.model.records import (
    EVERY_JOB,
    AskedBuilds,
    Backlog,
    JobFilter,
    JobKey,
    JobRecord,
    KeyedJob,
    Progress,
)
from buildapi.model.row_marks import RowMarks

MSG_MAX = 4000
"""Characters kept of a report's message if the whole report does not fit."""

NOT_STORED = "The outcome could not be stored: check the farm before you submit it again"

IDS_AT_ONCE = 500
"""Maximum number of ids in one query."""


@attrs.define(eq=False)
class SQLJobStore:
    """Implement ``JobStore`` on a jobs database.

    What is asked of many jobs at once is written and read in groups; ``later`` is as for them.
    """

    _db: Database = attrs.field(converter=JobsDatabase)
    _later: Later = at_once
    _adding: CallGroups[NewJob, int] = attrs.field(init=False)
    _sending: CallGroups[int, None] = attrs.field(init=False)
    _beginning: CallGroups[Beginning, bool] = attrs.field(init=False)
    _finishing: CallGroups[Ending, bool] = attrs.field(init=False)
    _getting: CallGroups[int, JobRecord | None] = attrs.field(init=False)
    _counting: CallGroups[tuple[str, int], Sequence[AskedBuilds]] = attrs.field(init=False)
    _has_rebuilds: bool = attrs.field(default=False, init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._adding = CallGroups(self._add_all, later=self._later)
        self._sending = CallGroups(self._sent_all, later=self._later)
        self._beginning = CallGroups(self._begin_all, later=self._later)
        self._finishing = CallGroups(self._finish_all, later=self._later)
        self._getting = rows_by_id(self._get_all, self._later)
        self._counting = CallGroups(self._asked_all, later=self._later)

    async def add(
        self,
        who: str,
        when: int,
        action: str,
        what: Mapping[str, object],
        key: JobKey | None = None,
        *,
        branch: str | None = None,
        identity: str | None = None,
    ) -> int:
        """Record a job request as queued and not yet sent; return its id.

        A key can be used again a day after it was assigned. Without ``identity`` a new one is made.

        :raises BadRequest: the database cannot store it.
        :raises InProgress: a job has this key already; nothing was recorded.
        """
        # json.dumps writes plain ASCII, which fits into the latin1 or three-byte utf8 of old
        # tables.
        row = {"action": action, "who": who, "when": when, "what": json.dumps(what)}
        try:
            return await self._adding.call(NewJob(row, branch, identity or new_identity(), key))
        except ValueRefusedError as e:
            raise BadRequest("the user name or the request cannot be stored") from e

    async def _add_all(self, jobs: Sequence[NewJob]) -> Sequence[int | Exception]:
        return await together_or_alone(jobs, self._added, self._add_cut)

    async def _added(self, jobs: Sequence[NewJob], *, clear: bool = False) -> Sequence[int]:
        statements = writes.insertion(jobs, clear=clear)
        ids = await self._db.transact(statements)
        return [id_ for s, id_ in zip(statements, ids, strict=True) if s.binds]

    async def _add_cut(self, job: NewJob) -> int:
        """Add a job; if an old table is too narrow for the action's name, with the name cut."""
        try:
            return await self._add_once(job)
        except ValueRefusedError:
            name, cut = job.row["action"], job.row["action"][:OLD_WIDTH]
            if name == cut or full_name(cut) != name:
                raise
            return await self._add_once(attrs.evolve(job, row={**job.row, "action": cut}))

    async def _add_once(self, job: NewJob) -> int:
        # With statement-based logging, deleting a missing row locks a gap, and two transactions
        # that do so cannot both insert: delete only what turned out to be in the way.
        for clear in (False, True):
            try:
                (id_,) = await self._added([job], clear=clear)
            except DuplicateError:
                earlier = await reads.BY_TOKEN.maybe(self._db, token=job.token)
                if earlier is not None:  # the commit whose answer was lost had been one
                    return earlier
                if job.key and await keys.taken(self._db, job.key.name, job.row["when"]):
                    break
            else:
                return id_
        raise InProgress("a job request with this key already exists")

    async def keyed(self, name: str, since: int) -> KeyedJob | None:
        """Find the job of a key that was recorded at ``since`` or later and not refused."""
        return await keys.KEYED.maybe(self._db, name=name, since=since)

    async def forget_keys(self, before: int) -> None:
        """Delete the keys of jobs recorded before a time."""
        await self._db.transact([Statement(keys.FORGET, {"before": before})])

    async def sent(self, request_id: int) -> None:
        """Record that the broker has confirmed the message of a job."""
        await self._sending.call(request_id)

    async def _sent_all(self, ids: Sequence[int]) -> Sequence[None]:
        await self._db.transact([writes.sent(sorted(ids))])
        return [None] * len(ids)

    async def refuse(self, request_id: int, report: Mapping[str, object], now: int) -> bool:
        """Finish a job that no agent has begun as failed, which prevents it, and free its key.

        Return False if it is known to be sent or an agent was faster, True if it was refused
        already.
        """
        if await self._guarded(request_id, writes.refusal(Ending(request_id, report, now))):
            return True
        return await reads.STATE.maybe(self._db, id=request_id) == "refused"

    async def begin(self, request_id: int, agent: str, now: int) -> bool:
        """Record that an agent begins an unfinished job, or begins it again after a redelivery.

        Return False if the job is finished, refused or unknown.
        """
        return await self._beginning.call(Beginning(request_id, agent, now))

    async def _begin_all(self, jobs: Sequence[Beginning]) -> Sequence[bool | Exception]:
        return await together_or_alone(jobs, self._begun, self._begin_one)

    async def _begun(self, jobs: Sequence[Beginning]) -> Sequence[bool]:
        await self._db.transact(writes.beginning(jobs))
        return [True] * len(jobs)

    async def _begin_one(self, job: Beginning) -> bool:
        return await self._guarded(job.id, writes.beginning([job]))

    async def progress(self, request_id: int, progress: Progress, now: int) -> None:
        """Record the progress of an unfinished job; ignore progress that cannot be stored."""
        unfinished = writes.unfinished(request_id)
        try:
            await self._applied([*unfinished, progress_rows.note(request_id, progress, now)])
        except ValueRefusedError as e:
            self._log.debug("job {id}: cannot store the progress: {error}", id=request_id, error=e)

    async def finished(self, request_ids: Sequence[int]) -> Set[int]:
        """Return the ids of those jobs that are finished or do not exist."""
        left = set(request_ids)
        for ids, params in _portions(sorted(left)):
            text = f"SELECT id FROM jobrequests WHERE id IN ({ids}) AND completed_at IS NULL"  # noqa: S608  # names of parameters
            left.difference_update(id_ for (id_,) in await self._db.fetch(text, params))
        return left

    async def finish(
        self,
        request_id: int,
        report: Mapping[str, object],
        now: int,
        rebuilds: Sequence[Rebuild] = (),
    ) -> bool:
        """Store the report of an unfinished job; return False if it was finished already.

        The job is finished without its rebuilds where their table is missing.
        """
        return await self._finishing.call(Ending(request_id, report, now, rebuilds))

    async def _finish_all(self, jobs: Sequence[Ending]) -> Sequence[bool | Exception]:
        return await together_or_alone(jobs, self._finished, self._finish_one)

    async def _finished(self, jobs: Sequence[Ending]) -> Sequence[bool]:
        await self._db.transact([*writes.finishing(jobs), *await self._rebuild_rows(jobs)])
        return [True] * len(jobs)

    async def _finish_one(self, job: Ending) -> bool:
        rebuilds = await self._rebuild_rows([job])
        for length in (None, MSG_MAX):
            short = attrs.evolve(job, report=_shortened(job.report, length))
            try:
                return await self._applied([*writes.finishing([short]), *rebuilds])
            except ValueRefusedError as e:  # old tables end at 64 kB, and packets somewhere
                self._log.warn(
                    "job {id}: outcome shortened to fit into its row: {error}", id=job.id, error=e
                )
        least = attrs.evolve(job, report=_shortened(job.report, 0))
        return await self._applied([*writes.finishing([least]), *rebuilds])

    async def _rebuild_rows(self, jobs: Sequence[Ending]) -> Sequence[Statement]:
        rows = [row for job in jobs for row in rebuild_rows.record(job.rebuilds, job.now)]
        return rows if rows and await self._rebuilds_usable() else []

    async def _rebuilds_usable(self) -> bool:
        """Return whether rebuilds can be recorded; once they can, nothing is asked again.

        Within the transaction that finishes a job, a table that is missing would keep the job from
        being finished.
        """
        if not self._has_rebuilds:
            try:
                await self._db.transact([rebuild_rows.PROBE])
            except DatabaseUnavailable as e:
                self._log.error(
                    "rebuilds are not linked with what they are of: table {table} is missing, or"
                    " this account has no privileges on it ({msg}): run buildapi db upgrade and"
                    " buildapi db grants",
                    table=rebuild_rows.TABLE,
                    msg=e.msg,
                )
            else:
                self._has_rebuilds = True
        return self._has_rebuilds

    async def rebuilds(self, builds: Sequence[int], requests: Sequence[int]) -> RebuildLinks:
        """Return the rebuilds of builds and requests, and what these requests are rebuilds of."""
        query, params = rebuild_rows.links_of(builds, requests)
        return rebuild_rows.links(await query.many(self._db, **params))

    async def get(self, request_id: int) -> JobRecord | None:
        """Return a job request with its progress, or None."""
        return await self._getting.call(request_id)

    async def _get_all(self, ids: Sequence[int]) -> Mapping[int, JobRecord]:
        query, params = reads.jobs_by_id(ids)
        return {job.id: job for job in await query.many(self._db, **params)}

    async def latest(
        self, limit: int, offset: int, wanted: JobFilter = EVERY_JOB
    ) -> Sequence[JobRecord]:
        """List the newest job requests first, without their progress, which may be long."""
        where, params = search.wanted(wanted)
        try:
            return await reads.latest(where).many(self._db, limit=limit, offset=offset, **params)
        except ValueRefusedError:  # nothing in the database can be equal to that
            return []

    async def backlog(self, since: int, failed_since: int) -> Backlog:
        """Count, as of one moment, the unfinished jobs recorded at ``since`` or later.

        The failed jobs counted are those finished at ``failed_since`` or later.
        """

        def reading(read: Read) -> Backlog:
            return Backlog(
                open=reads.OPEN.first_of(read, since=since) or 0,
                oldest=reads.OLDEST.first_of(read, since=since),
                failed=reads.FAILED.first_of(read, since=failed_since) or 0,
            )

        return await self._db.snapshot(reading)

    async def asked_builds(self, who: str, since: int) -> Sequence[AskedBuilds]:
        """List the builds a user's job requests asked for after ``since``, without refused ones."""
        return await self._counting.call((who, since))

    async def _asked_all(
        self, wanted: Sequence[tuple[str, int]]
    ) -> Sequence[Sequence[AskedBuilds] | Exception]:
        return await together_or_alone(wanted, self._asked, self._asked_one)

    async def _asked(self, wanted: Sequence[tuple[str, int]]) -> Sequence[Sequence[AskedBuilds]]:
        return await asked_builds.asked_builds(self._db, wanted)

    async def _asked_one(self, wanted: tuple[str, int]) -> Sequence[AskedBuilds]:
        (found,) = await self._asked([wanted])
        return found

    async def marks(self, limit: int) -> RowMarks:
        """Return the marks of the newest job requests."""
        return dict(await reads.MARKS.many(self._db, limit=limit))

    async def unsettled(
        self, *, sent: bool, before: int, limit: int, after: int = 0
    ) -> Sequence[JobRecord]:
        """List unfinished jobs recorded before a time, without their progress.

        They come in the order of their ids, which are higher than ``after``.
        """
        return await reads.UNSETTLED.many(
            self._db, sent=int(sent), before=before, limit=limit, after=after
        )

    async def _guarded(self, request_id: int, statements: Sequence[Statement]) -> bool:
        """Apply statements that need a row in buildapi_jobs; create it for old web processes."""
        if await self._applied(statements):
            return True
        with contextlib.suppress(DuplicateError):  # somebody else does in the same moment
            await self._db.transact([writes.adoption(request_id)])
        return await self._applied(statements)

    async def _applied(self, statements: Sequence[Statement]) -> bool:
        try:
            await self._db.transact(statements)
        except GuardFailedError:
            return False
        return True


def new_identity() -> str:
    """Generate the identity of a job request."""
    # 32 digits, as buildapi_jobs.token holds (docs/amqp.md, "Whose a message is").
    return secrets.token_hex(16)


def _portions(ids: Sequence[int]) -> Iterable[tuple[str, dict[str, object]]]:
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield any_of("id", ids[start : start + IDS_AT_ONCE])


def _shortened(report: Mapping[str, object], length: int | None) -> Mapping[str, object]:
    """Reduce a report to its message, cut to a length (0: a notice that it could not be stored).

    None leaves the report as it is.
    """
    if length is None:
        return report
    body = report.get("body")
    known = body if isinstance(body, dict) else {}
    msg = str(known.get("msg", ""))[:length] if length else NOT_STORED
    short = {"errors": bool(known.get("errors")), "msg": msg}
    return {"body": short, "request_id": report.get("request_id")}
