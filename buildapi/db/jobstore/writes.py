"""Write job requests: the statements of each transaction, for one job or for many.

Every transaction that begins, refuses or finishes jobs, or records their progress, locks their rows
in buildapi_jobs first, in the order of their ids: only one of them succeeds, and none deadlocks
with another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import attrs

from buildapi.db.jobstore import keys
from buildapi.db.jobstore import progress as progress_rows
from buildapi.db.sql import Ref, Statement, any_of
from buildapi.model.json_types import JSONObject
from buildapi.model.rebuilds import Rebuild
from buildapi.model.records import JobKey

COLUMNS = ("action", "who", "when", "what")
INSERT = """INSERT INTO jobrequests (action, who, `when`, what)
 VALUES (:action, :who, :when, :what)"""
# InnoDB may give out an id again after rows were deleted and the server restarted (until MySQL 8.0
# the counter is in memory only): rows of the earlier job must not count for the new one.
CLEAR_BESIDE = "DELETE FROM buildapi_jobs WHERE request_id = :id"
INSERT_BRANCH = "INSERT INTO buildapi_branches (request_id, branch) VALUES "
CLEAR_BRANCH = "DELETE FROM buildapi_branches WHERE request_id = :id"
INSERT_BESIDE = "INSERT INTO buildapi_jobs (request_id, state, sent, token, created_at) VALUES "
ADOPT = """INSERT INTO buildapi_jobs (request_id, state, sent, created_at)
 SELECT r.id, 'queued', 1, r.`when` FROM jobrequests r WHERE r.id = :id
 AND NOT EXISTS (SELECT 1 FROM buildapi_jobs s WHERE s.request_id = :id)"""
SENT = "UPDATE buildapi_jobs SET sent = 1 WHERE request_id IN ({ids})"
# Rows of old web processes have no token. They count as sent, since nobody can know.
REFUSE = """UPDATE buildapi_jobs SET state = 'refused'
 WHERE request_id = :id AND state = 'queued' AND (sent = 0 OR token IS NULL)"""
BEGIN = """UPDATE buildapi_jobs SET state = 'running', sent = 1, agent = :agent, begun_at = :now
 WHERE request_id IN ({ids})"""
# HOLD and STILL_OPEN change nothing: their row counts are guards, and they lock the rows as SELECT
# FOR UPDATE would, which SQLite lacks.
HOLD = """UPDATE buildapi_jobs SET state = state
 WHERE request_id = :id AND state IN ('queued', 'running')"""
END = "UPDATE buildapi_jobs SET state = 'finished' WHERE request_id IN ({ids})"
STILL_OPEN = """UPDATE jobrequests SET completed_at = NULL
 WHERE id IN ({ids}) AND completed_at IS NULL"""
COMPLETE = """UPDATE jobrequests SET completed_at = :now, complete_data = CASE id {reports} END
 WHERE id IN ({ids}) AND completed_at IS NULL"""


@attrs.frozen
class NewJob:
    """A job request to record; ``token`` is its identity."""

    row: JSONObject
    branch: str | None
    token: str
    key: JobKey | None = None


@attrs.frozen
class Beginning:
    """A job that an agent begins, at ``now``."""

    id: int
    agent: str
    now: int


@attrs.frozen
class Ending:
    """The report of a job that ends at ``now``, and the new requests of its rebuild."""

    id: int
    report: Mapping[str, object]
    now: int
    rebuilds: Sequence[Rebuild] = ()


def insertion(jobs: Sequence[NewJob], *, clear: bool = False) -> list[Statement]:
    """Return the statements that record jobs; each inserted id is bound to ``job`` and a number.

    ``clear`` deletes first what an expired key and an earlier job of the same id have left.
    """
    statements: list[Statement] = []
    if clear:  # first, so that others who want a key wait here, where they hold no other lock
        statements += [keys.expire(j.key.name, j.row["when"]) for j in jobs if j.key]
    # One INSERT for each job: of several rows MySQL returns the first id [LAST_INSERT_ID()], SQLite
    # the last [sqlite3_last_insert_rowid].
    for number, job in enumerate(jobs):
        row = {column: job.row[column] for column in COLUMNS}
        statements.append(Statement(INSERT, row, 1, binds=f"job{number}"))
        if clear:
            id_ = Ref(f"job{number}")
            left = [Statement(text, {"id": id_}) for text in (CLEAR_BESIDE, CLEAR_BRANCH)]
            statements += [*left, progress_rows.clear([id_]), keys.free(id_)]
    statements.append(_beside(jobs))
    statements += _branches(jobs)
    taken = ((Ref(f"job{n}"), job) for n, job in enumerate(jobs))
    statements += [keys.take(job.key, id_, job.row["when"]) for id_, job in taken if job.key]
    return statements


def _beside(jobs: Sequence[NewJob]) -> Statement:
    rows, params = [], dict[str, object]()
    for n, job in enumerate(jobs):
        rows.append(f"(:id{n}, 'queued', 0, :token{n}, :when{n})")
        params |= {f"id{n}": Ref(f"job{n}"), f"token{n}": job.token, f"when{n}": job.row["when"]}
    return Statement(INSERT_BESIDE + ", ".join(rows), params, len(jobs))


def _branches(jobs: Sequence[NewJob]) -> Iterable[Statement]:
    rows, params = [], dict[str, object]()
    for n, job in enumerate(jobs):
        if job.branch:
            rows.append(f"(:id{n}, :branch{n})")
            params |= {f"id{n}": Ref(f"job{n}"), f"branch{n}": job.branch}
    if rows:
        yield Statement(INSERT_BRANCH + ", ".join(rows), params, len(rows))


def sent(ids: Sequence[int]) -> Statement:
    """Return the statement that records that the messages of jobs are confirmed."""
    return _among(SENT, ids)


def beginning(jobs: Sequence[Beginning]) -> list[Statement]:
    """Return the statements that begin unfinished jobs of different ids; all of them or none."""
    ids = sorted(job.id for job in jobs)
    (agent,) = {job.agent for job in jobs}
    params = {"agent": agent, "now": max(job.now for job in jobs)}
    return [_among(BEGIN, ids, params, len(ids)), _among(STILL_OPEN, ids, rows=len(ids))]


def refusal(job: Ending) -> list[Statement]:
    """Return the statements that refuse a job and free its key."""
    refuse = Statement(REFUSE, {"id": job.id}, 1)
    return [refuse, *_completion([job]), keys.free(job.id)]


def finishing(jobs: Sequence[Ending]) -> list[Statement]:
    """Return the statements that finish unfinished jobs of different ids; all of them or none."""
    # No guard: a job of an old web process that no agent of ours has begun has no row there.
    return [_among(END, sorted(job.id for job in jobs)), *_completion(jobs)]


def unfinished(job_id: int) -> list[Statement]:
    """Return the statements that hold the row of an unfinished job."""
    return [Statement(HOLD, {"id": job_id}, 1), _among(STILL_OPEN, [job_id], rows=1)]


def adoption(job_id: int) -> Statement:
    """Return the statement that adds the row of a job recorded by an old web process."""
    return Statement(ADOPT, {"id": job_id})


def _completion(jobs: Sequence[Ending]) -> list[Statement]:
    params: dict[str, object] = {"now": max(job.now for job in jobs)}
    for n, job in enumerate(jobs):
        params |= {f"of{n}": job.id, f"report{n}": json.dumps(job.report)}
    reports = " ".join(f"WHEN :of{n} THEN :report{n}" for n in range(len(jobs)))
    ids = sorted(job.id for job in jobs)
    complete = _among(COMPLETE, ids, params, len(jobs), reports=reports)
    return [complete, progress_rows.clear(ids)]


def _among(
    text: str,
    ids: Sequence[int],
    params: Mapping[str, object] | None = None,
    rows: int | None = None,
    **parts: str,
) -> Statement:
    names, values = any_of("id", ids)
    return Statement(text.format(ids=names, **parts), {**values, **(params or {})}, rows)
