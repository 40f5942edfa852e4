"""Store the idempotency keys of job requests in SQL, for a day each."""

from __future__ import annotations

from buildapi.db.sql import Column, Database, Query, Ref, Statement
from buildapi.model.records import KEY_SECONDS, JobKey, KeyedJob


def _keyed(*c: Column) -> KeyedJob:
    sent, state, completed_at = c[4:]
    # One that was begun or is finished was received, though the confirm of its message was lost.
    accepted = bool(sent) or state != "queued" or completed_at is not None
    return KeyedJob(JobKey(*c[:3]), c[3], accepted)


KEYED = Query(
    """SELECT k.name, k.content, k.words, k.request_id, s.sent, s.state, r.completed_at
 FROM buildapi_keys k JOIN buildapi_jobs s ON s.request_id = k.request_id
 JOIN jobrequests r ON r.id = k.request_id
 WHERE k.name = :name AND k.created_at >= :since AND s.state <> 'refused'""",
    _keyed,
)
TAKEN = Query(
    "SELECT request_id FROM buildapi_keys WHERE name = :name AND created_at >= :since", int
)
FORGET = "DELETE FROM buildapi_keys WHERE created_at < :before"
FREE = "DELETE FROM buildapi_keys WHERE request_id = :id"
EXPIRE = "DELETE FROM buildapi_keys WHERE name = :name AND created_at < :since"
TAKE = """INSERT INTO buildapi_keys (name, content, words, request_id, created_at)
 VALUES (:name, :content, :words, :id, :when)"""


async def taken(db: Database, name: str, when: int) -> bool:
    """Return whether a key still belongs to a job."""
    return await TAKEN.maybe(db, name=name, since=when - KEY_SECONDS) is not None


def expire(name: str, when: int) -> Statement:
    """Return the statement that deletes a key if it has expired."""
    return Statement(EXPIRE, {"name": name, "since": when - KEY_SECONDS})


def take(key: JobKey, job: Ref, when: int) -> Statement:
    """Return the statement that assigns a key to a job; a duplicate if another job has it."""
    row = {"name": key.name, "content": key.content, "words": key.words, "id": job, "when": when}
    return Statement(TAKE, row, 1)


def free(job: int | Ref) -> Statement:
    """Return the statement that removes a job's key, if it has one."""
    return Statement(FREE, {"id": job})
