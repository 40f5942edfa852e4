"""Job requests in SQL: the table old web processes share, and one beside it for the rest."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from buildapi.db.sql import (
    Database,
    DuplicateError,
    GuardFailedError,
    Query,
    Ref,
    Statement,
    ValueRefusedError,
)
from buildapi.errors import BadRequest
from buildapi.model.records import JobRecord, JobState

MSG_MAX = 4000
"""Characters kept of a report's message where the whole report does not fit."""


def _object(text: str | bytes | None) -> dict[str, Any] | None:
    """Decode a JSON object; None for whatever else somebody stored."""
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _state(begun: str | None, completed_at: int | None, report: Mapping[str, Any]) -> JobState:
    if completed_at is None:
        return JobState.RUNNING if begun == "running" else JobState.QUEUED
    body = report.get("body")
    failed = isinstance(body, dict) and body.get("errors")
    return JobState.FAILED if failed else JobState.DONE


def _record(*c: Any) -> JobRecord:
    report = _object(c[6])
    return JobRecord(
        id=c[0],
        action=c[1],
        who=c[2],
        when=c[3],
        what=_object(c[4]) or {},
        completed_at=c[5],
        complete_data=report,
        state=_state(c[7], c[5], report or {}),
        agent=c[8],
    )


_JOB = """SELECT r.id, r.action, r.who, r.`when`, r.what, r.completed_at, r.complete_data,
 s.state, s.agent"""
_ALL = f"{_JOB} FROM jobrequests r LEFT JOIN buildapi_jobs s ON s.request_id = r.id"
_OURS = f"{_JOB} FROM buildapi_jobs s JOIN jobrequests r ON r.id = s.request_id"
_OPEN = "r.completed_at IS NULL AND r.`when` < :before ORDER BY r.id LIMIT :limit"

ONE = Query(f"{_ALL} WHERE r.id = :id", _record)
LATEST = Query(f"{_ALL} ORDER BY r.id DESC LIMIT :limit OFFSET :offset", _record)
UNSETTLED = Query(f"{_OURS} WHERE s.sent = :sent AND {_OPEN}", _record)
BY_TOKEN = Query("SELECT request_id FROM buildapi_jobs WHERE token = :token", int)
STATE = Query("SELECT state FROM buildapi_jobs WHERE request_id = :id", str)

# Whoever begins, refuses or finishes a job locks the row beside it first: no two can succeed
# where only one may, and none waits for the other crosswise.
INSERT = """INSERT INTO jobrequests (action, who, `when`, what)
 VALUES (:action, :who, :when, :what)"""
# an id given out again, as InnoDB may do after rows were deleted
CLEAR_BESIDE = "DELETE FROM buildapi_jobs WHERE request_id = :id"
INSERT_BESIDE = """INSERT INTO buildapi_jobs (request_id, state, sent, token, created_at)
 VALUES (:id, 'queued', 0, :token, :when)"""
ADOPT = """INSERT INTO buildapi_jobs (request_id, state, sent, created_at)
 SELECT r.id, 'queued', 1, r.`when` FROM jobrequests r WHERE r.id = :id
 AND NOT EXISTS (SELECT 1 FROM buildapi_jobs s WHERE s.request_id = :id)"""
SENT = "UPDATE buildapi_jobs SET sent = 1 WHERE request_id = :id"
REFUSE = "UPDATE buildapi_jobs SET state = 'refused' WHERE request_id = :id AND state = 'queued'"
BEGIN = """UPDATE buildapi_jobs SET state = 'running', sent = 1, agent = :agent, begun_at = :now
 WHERE request_id = :id"""
END = "UPDATE buildapi_jobs SET state = 'finished' WHERE request_id = :id"
STILL_OPEN = "UPDATE jobrequests SET completed_at = NULL WHERE id = :id AND completed_at IS NULL"
COMPLETE = """UPDATE jobrequests SET completed_at = :now, complete_data = :report
 WHERE id = :id AND completed_at IS NULL"""


@attrs.frozen
class SQLJobStore:
    """The role ``JobStore`` over a jobs database."""

    _db: Database

    async def add(self, who: str, when: int, action: str, what: Mapping[str, Any]) -> int:
        """Record a job request as queued and not yet sent; return its id.

        :raises BadRequest: the database cannot store it.
        """
        token = secrets.token_hex(16)
        job = {"action": action, "who": who, "when": when, "what": json.dumps(what)}
        beside = {"id": Ref("job"), "token": token, "when": when}
        statements = [
            Statement(INSERT, job, 1, binds="job"),
            Statement(CLEAR_BESIDE, {"id": Ref("job")}),
            Statement(INSERT_BESIDE, beside, 1),
        ]
        try:
            return (await self._db.transact(statements))[0]
        except DuplicateError:  # the commit whose answer was lost had been one
            (request_id,) = await BY_TOKEN.many(self._db, token=token)
            return request_id
        except ValueRefusedError as e:
            raise BadRequest("the name or the request cannot be stored") from e

    async def sent(self, request_id: int) -> None:
        """Note that the message is safe with the broker."""
        await self._db.transact([Statement(SENT, {"id": request_id})])

    async def refuse(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        """Finish a job nobody has begun as failed, so that it is never executed.

        Return False where an agent was faster, True where it was refused before.
        """
        complete = {"id": request_id, "now": now, "report": json.dumps(report)}
        if await self._guarded(
            request_id, [Statement(REFUSE, {"id": request_id}, 1), Statement(COMPLETE, complete, 1)]
        ):
            return True
        return await STATE.maybe(self._db, id=request_id) == "refused"

    async def begin(self, request_id: int, agent: str, now: int) -> bool:
        """Let an agent start, or start again after a redelivery, on a job that is not finished.

        Return False where it is finished, refused or unknown.
        """
        begin = {"id": request_id, "agent": agent, "now": now}
        return await self._guarded(
            request_id, [Statement(BEGIN, begin, 1), Statement(STILL_OPEN, {"id": request_id}, 1)]
        )

    async def finish(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        """Store the report of an unfinished job; return False where it was finished already."""
        try:
            return await self._finish(request_id, report, now)
        except ValueRefusedError:  # old tables end at 64 kB
            return await self._finish(request_id, _shortened(report), now)

    async def _finish(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        complete = {"id": request_id, "now": now, "report": json.dumps(report)}
        return await self._applied(
            [Statement(END, {"id": request_id}), Statement(COMPLETE, complete, 1)]
        )

    async def get(self, request_id: int) -> JobRecord | None:
        """Find one."""
        return await ONE.maybe(self._db, id=request_id)

    async def latest(self, limit: int, offset: int) -> Sequence[JobRecord]:
        """List the newest first."""
        return await LATEST.many(self._db, limit=limit, offset=offset)

    async def unsettled(self, *, sent: bool, before: int, limit: int) -> Sequence[JobRecord]:
        """List unfinished jobs recorded before a time, oldest first."""
        return await UNSETTLED.many(self._db, sent=int(sent), before=before, limit=limit)

    async def _guarded(self, request_id: int, statements: Sequence[Statement]) -> bool:
        """Apply statements that need the row beside; make it for jobs of old web processes."""
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


def _shortened(report: Mapping[str, Any]) -> dict[str, Any]:
    body = report.get("body")
    known = body if isinstance(body, dict) else {}
    short = {"errors": bool(known.get("errors")), "msg": str(known.get("msg", ""))[:MSG_MAX]}
    return {"body": short, "request_id": report.get("request_id")}
