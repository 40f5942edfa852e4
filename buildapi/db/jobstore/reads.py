"""Read job requests: the queries, and what the columns of their rows mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import attrs

from buildapi.db.jobstore import progress as progress_rows
from buildapi.db.jobstore import search
from buildapi.db.sql import Column, Query, any_of
from buildapi.model.actions import SELF_SERVE, full_name
from buildapi.model.job_identity import derived_identity
from buildapi.model.records import JobRecord, JobState
from buildapi.model.row_marks import GROUP_BITS, group_of_marks


def _object(text: str | bytes | None) -> dict[str, object] | None:
    """Decode a JSON object; return None for anything else."""
    try:
        value = json.loads(text or "null")
    # RecursionError: JSON nested some thousand deep, from whoever may write to the table.
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _state(begun: str | None, completed_at: int | None, report: Mapping[str, object]) -> JobState:
    if completed_at is None:
        return JobState.RUNNING if begun == "running" else JobState.QUEUED
    body = report.get("body")
    failed = isinstance(body, dict) and body.get("errors")
    return JobState.FAILED if failed else JobState.DONE


def _record(*c: Column) -> JobRecord:
    report, action = _object(c[6]), full_name(c[1])
    return JobRecord(
        id=c[0],
        action=action,
        who=c[2],
        when=c[3],
        what=_object(c[4]) or {},
        completed_at=c[5],
        complete_data=report,
        state=_state(c[7], c[5], report or {}),
        agent=c[8],
        identity=c[9] or derived_identity(c[0], c[2], c[3], action),
    )


def _record_with_branch(*c: Column) -> JobRecord:
    job = _record(*c[:10])
    said = job.what.get("branch")
    named = said.removesuffix(SELF_SERVE) if isinstance(said, str) else None
    return attrs.evolve(job, branch=c[10] or named)


def _record_with_progress(*c: Column) -> JobRecord:
    return attrs.evolve(_record_with_branch(*c[:11]), progress=progress_rows.noted(*c[11:]))


_JOB = """SELECT r.id, r.action, r.who, r.`when`, r.what, r.completed_at, r.complete_data,
 s.state, s.agent, s.token"""
# LEFT JOIN, since jobs of old web processes have no row in our tables until an agent begins them.
_WITH_BESIDE = """FROM jobrequests r LEFT JOIN buildapi_jobs s ON s.request_id = r.id
 LEFT JOIN buildapi_branches l ON l.request_id = r.id"""
_PROGRESS = "LEFT JOIN buildapi_progress p ON p.request_id = r.id AND r.completed_at IS NULL"
_WITH_PROGRESS = f"{_JOB}, l.branch, p.total, p.items {_WITH_BESIDE} {_PROGRESS}"
_OURS = f"{_JOB} FROM buildapi_jobs s JOIN jobrequests r ON r.id = s.request_id"
_OPEN = """r.completed_at IS NULL AND r.`when` < :before AND r.id > :after
 ORDER BY r.id LIMIT :limit"""

MARKS: Query[tuple[int, tuple[str, ...]]] = Query(
    f"""SELECT r.id >> {GROUP_BITS}, GROUP_CONCAT(r.id), GROUP_CONCAT(COALESCE(r.completed_at, 0)),
 GROUP_CONCAT(COALESCE(s.state, '')), GROUP_CONCAT(COALESCE(p.updated_at, 0))
 FROM (SELECT id, completed_at FROM jobrequests ORDER BY id DESC LIMIT :limit) r
 LEFT JOIN buildapi_jobs s ON s.request_id = r.id {_PROGRESS} GROUP BY r.id >> {GROUP_BITS}""",  # noqa: S608  # constants
    group_of_marks,
)
"""The marks of the newest jobs, as ``buildapi.model.row_marks`` has them."""
UNSETTLED = Query(f"{_OURS} WHERE s.sent = :sent AND {_OPEN}", _record)
_WAITING = "r.completed_at IS NULL AND r.`when` >= :since"
OPEN = Query(f"SELECT COUNT(*) FROM jobrequests r WHERE {_WAITING}", int)  # noqa: S608  # a constant
OLDEST = Query(
    f"{_JOB}, l.branch {_WITH_BESIDE} WHERE {_WAITING} ORDER BY r.id LIMIT 1", _record_with_branch
)
FAILED = Query(
    "SELECT COUNT(*) FROM jobrequests r"  # noqa: S608  # constants
    f" WHERE {search.STATES[JobState.FAILED]} AND r.completed_at >= :since",
    int,
)
BY_TOKEN = Query("SELECT request_id FROM buildapi_jobs WHERE token = :token", int)
STATE = Query("SELECT state FROM buildapi_jobs WHERE request_id = :id", str)


def jobs_by_id(ids: Sequence[int]) -> tuple[Query[JobRecord], dict[str, object]]:
    """Return the query of job requests by their ids, with their progress."""
    names, params = any_of("id", ids)
    return Query(f"{_WITH_PROGRESS} WHERE r.id IN ({names})", _record_with_progress), params


def latest(where: str) -> Query[JobRecord]:
    """Return the query of the newest job requests that meet a condition."""
    return Query(
        f"{_JOB}, l.branch {_WITH_BESIDE} WHERE {where}"
        " ORDER BY r.id DESC LIMIT :limit OFFSET :offset",
        _record_with_branch,
    )
