"""Store job requests in SQL: in the table shared with old web processes, and in our own."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import attrs
from twisted.logger import Logger

from buildapi.db.jobstore import asked_builds, keys, reads, search
from buildapi.db.jobstore import progress as progress_rows
from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import (
    Database,
    DuplicateError,
    GuardFailedError,
    Read,
    Ref,
    Statement,
    ValueRefusedError,
    any_of,
)
from buildapi.errors import BadRequest, InProgress
from buildapi.model.actions import OLD_WIDTH, full_name
from buildapi.model.records import (
    EVERY_JOB,
    AskedBuilds,
    Backlog,
    JobFilter,
    JobKey,
    JobMark,
    JobRecord,
    KeyedJob,
    Progress,
)

MSG_MAX = 4000
"""Characters kept of a report's message if the whole report does not fit."""

NOT_STORED = "What was done could not be stored: look at what is there"

IDS_AT_ONCE = 500
"""Maximum number of ids in one query."""


# Every transaction that begins, refuses or finishes a job, or records its progress, locks its row
# in buildapi_jobs first: only one of them succeeds, and none deadlocks with another.
COLUMNS = ("action", "who", "when", "what")
INSERT = """INSERT INTO jobrequests (action, who, `when`, what)
 VALUES (:action, :who, :when, :what)"""
# InnoDB may give out an id again after rows were deleted and the server restarted (until MySQL 8.0
# the counter is in memory only): rows of the earlier job must not count for the new one.
CLEAR_BESIDE = "DELETE FROM buildapi_jobs WHERE request_id = :id"
INSERT_BRANCH = "INSERT INTO buildapi_branches (request_id, branch) VALUES (:id, :branch)"
CLEAR_BRANCH = "DELETE FROM buildapi_branches WHERE request_id = :id"
INSERT_BESIDE = """INSERT INTO buildapi_jobs (request_id, state, sent, token, created_at)
 VALUES (:id, 'queued', 0, :token, :when)"""
ADOPT = """INSERT INTO buildapi_jobs (request_id, state, sent, created_at)
 SELECT r.id, 'queued', 1, r.`when` FROM jobrequests r WHERE r.id = :id
 AND NOT EXISTS (SELECT 1 FROM buildapi_jobs s WHERE s.request_id = :id)"""
SENT = "UPDATE buildapi_jobs SET sent = 1 WHERE request_id = :id"
# Rows of old web processes have no token. They count as sent, since nobody can know.
REFUSE = """UPDATE buildapi_jobs SET state = 'refused'
 WHERE request_id = :id AND state = 'queued' AND (sent = 0 OR token IS NULL)"""
BEGIN = """UPDATE buildapi_jobs SET state = 'running', sent = 1, agent = :agent, begun_at = :now
 WHERE request_id = :id"""
HOLD = """UPDATE buildapi_jobs SET state = state
 WHERE request_id = :id AND state IN ('queued', 'running')"""
END = "UPDATE buildapi_jobs SET state = 'finished' WHERE request_id = :id"
STILL_OPEN = "UPDATE jobrequests SET completed_at = NULL WHERE id = :id AND completed_at IS NULL"
COMPLETE = """UPDATE jobrequests SET completed_at = :now, complete_data = :report
 WHERE id = :id AND completed_at IS NULL"""


@attrs.frozen
class SQLJobStore:
    """Implement ``JobStore`` on a jobs database."""

    _db: Database = attrs.field(converter=JobsDatabase)
    _log = Logger()

    async def add(
        self,
        who: str,
        when: int,
        action: str,
        what: Mapping[str, Any],
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
        job = {"action": action, "who": who, "when": when, "what": json.dumps(what)}
        job["branch"] = branch
        try:
            return await self._add_cut(job, identity or new_identity(), key)
        except ValueRefusedError as e:
            raise BadRequest("the name or the request cannot be stored") from e

    async def _add_cut(self, job: Mapping[str, Any], token: str, key: JobKey | None) -> int:
        """Add a job; if an old table is too narrow for the action's name, with the name cut."""
        try:
            return await self._add_once(job, token, key)
        except ValueRefusedError:
            name, cut = job["action"], job["action"][:OLD_WIDTH]
            if name == cut or full_name(cut) != name:
                raise
            return await self._add_once({**job, "action": cut}, token, key)

    async def _add_once(self, job: Mapping[str, Any], token: str, key: JobKey | None) -> int:
        # With statement-based logging, deleting a missing row locks a gap, and two transactions
        # that do so cannot both insert: delete only what turned out to be in the way.
        for statements in (_insertion(job, token, key), _insertion(job, token, key, clear=True)):
            try:
                ids = await self._db.transact(statements)
            except DuplicateError:
                earlier = await reads.BY_TOKEN.maybe(self._db, token=token)
                if earlier is not None:  # the commit whose answer was lost had been one
                    return earlier
                if key and await keys.taken(self._db, key.name, job["when"]):
                    break
            else:
                return next(id_ for s, id_ in zip(statements, ids, strict=True) if s.binds)
        raise InProgress("a job request with this key is there already")

    async def keyed(self, name: str, since: int) -> KeyedJob | None:
        """Find the job of a key that was recorded at ``since`` or later and not refused."""
        return await keys.KEYED.maybe(self._db, name=name, since=since)

    async def forget_keys(self, before: int) -> None:
        """Delete the keys of jobs recorded before a time."""
        await self._db.transact([Statement(keys.FORGET, {"before": before})])

    async def sent(self, request_id: int) -> None:
        """Record that the broker has confirmed the message of a job."""
        await self._db.transact([Statement(SENT, {"id": request_id})])

    async def refuse(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        """Finish a job that no agent has begun as failed, which prevents it, and free its key.

        Return False if it is known to be sent or an agent was faster, True if it was refused
        already.
        """
        refuse = Statement(REFUSE, {"id": request_id}, 1)
        rest = [*_completion(request_id, report, now), keys.free(request_id)]
        if await self._guarded(request_id, [refuse, *rest]):
            return True
        return await reads.STATE.maybe(self._db, id=request_id) == "refused"

    async def begin(self, request_id: int, agent: str, now: int) -> bool:
        """Record that an agent begins an unfinished job, or begins it again after a redelivery.

        Return False if the job is finished, refused or unknown.
        """
        begin = {"id": request_id, "agent": agent, "now": now}
        return await self._guarded(
            request_id, [Statement(BEGIN, begin, 1), Statement(STILL_OPEN, {"id": request_id}, 1)]
        )

    async def progress(self, request_id: int, progress: Progress, now: int) -> None:
        """Record the progress of an unfinished job; ignore progress that cannot be stored."""
        id_ = {"id": request_id}
        unfinished = [Statement(HOLD, id_, 1), Statement(STILL_OPEN, id_, 1)]
        try:
            await self._applied([*unfinished, progress_rows.note(request_id, progress, now)])
        except ValueRefusedError as e:
            self._log.debug("job {id}: progress not stored: {error}", id=request_id, error=e)

    async def finished(self, request_ids: Sequence[int]) -> Set[int]:
        """Return the ids of those jobs that are finished or do not exist."""
        left = set(request_ids)
        for ids, params in _portions(sorted(left)):
            text = f"SELECT id FROM jobrequests WHERE id IN ({ids}) AND completed_at IS NULL"  # noqa: S608  # names of parameters
            left.difference_update(id_ for (id_,) in await self._db.fetch(text, params))
        return left

    async def finish(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        """Store the report of an unfinished job; return False if it was finished already."""
        for length in (None, MSG_MAX):
            try:
                return await self._finish(request_id, _shortened(report, length), now)
            except ValueRefusedError as e:  # old tables end at 64 kB, and packets somewhere
                self._log.warn("job {id}: its report is shortened: {error}", id=request_id, error=e)
        return await self._finish(request_id, _shortened(report, 0), now)

    async def _finish(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        end = Statement(END, {"id": request_id})
        return await self._applied([end, *_completion(request_id, report, now)])

    async def get(self, request_id: int) -> JobRecord | None:
        """Return a job request with its progress, or None."""
        return await reads.ONE.maybe(self._db, id=request_id)

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
        return await asked_builds.asked_builds(self._db, who, since)

    async def marks(self, limit: int) -> Sequence[JobMark]:
        """List the states of the newest job requests, without their contents."""
        return await reads.MARKS.many(self._db, limit=limit)

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
            await self._db.transact([Statement(ADOPT, {"id": request_id})])
        return await self._applied(statements)

    async def _applied(self, statements: Sequence[Statement]) -> bool:
        try:
            await self._db.transact(statements)
        except GuardFailedError:
            return False
        return True


def new_identity() -> str:
    """Generate the identity of a job request."""
    return secrets.token_hex(16)


def _insertion(
    job: Mapping[str, Any], token: str, key: JobKey | None, *, clear: bool = False
) -> list[Statement]:
    """Return the statements that record a job.

    ``clear`` deletes first what an expired key and an earlier job of the same id have left.
    """
    id_, when = Ref("job"), job["when"]
    branch = job["branch"]
    left = [Statement(CLEAR_BESIDE, {"id": id_}), Statement(CLEAR_BRANCH, {"id": id_})]
    left += [progress_rows.clear(id_), keys.free(id_)]
    return [
        # first, so that others who want this key wait here, where they hold no other lock
        *([keys.expire(key.name, when)] if key and clear else ()),
        Statement(INSERT, {k: job[k] for k in COLUMNS}, 1, binds="job"),
        *(left if clear else ()),
        Statement(INSERT_BESIDE, {"id": id_, "token": token, "when": when}, 1),
        *([Statement(INSERT_BRANCH, {"id": id_, "branch": branch}, 1)] if branch else ()),
        *([keys.take(key, id_, when)] if key else ()),
    ]


def _completion(request_id: int, report: Mapping[str, Any], now: int) -> list[Statement]:
    complete = {"id": request_id, "now": now, "report": json.dumps(report)}
    return [Statement(COMPLETE, complete, 1), progress_rows.clear(request_id)]


def _portions(ids: Sequence[int]) -> Iterable[tuple[str, dict[str, Any]]]:
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield any_of("id", ids[start : start + IDS_AT_ONCE])


def _shortened(report: Mapping[str, Any], length: int | None) -> Mapping[str, Any]:
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
