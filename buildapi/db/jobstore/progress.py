"""Store the progress of unfinished jobs in SQL, one row each, deleted when the job finishes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from buildapi.db.sql import Ref, Statement, any_of
from buildapi.model.records import Progress
from buildapi.model.wire import readable_items

# REPLACE is the one upsert that MySQL and SQLite spell alike; it needs INSERT and DELETE [MySQL,
# "REPLACE Statement"].
NOTE = """REPLACE INTO buildapi_progress (request_id, total, items, updated_at)
 VALUES (:id, :total, :items, :now)"""
CLEAR = "DELETE FROM buildapi_progress WHERE request_id IN ({ids})"


def note(request_id: int, progress: Progress, now: int) -> Statement:
    """Return the statement that replaces the recorded progress of a job."""
    items = json.dumps([dict(item) for item in progress.items])
    row = {"id": request_id, "total": progress.total, "items": items, "now": now}
    return Statement(NOTE, row)


def clear(jobs: Sequence[int | Ref]) -> Statement:
    """Return the statement that deletes the progress of jobs."""
    ids, params = any_of("id", jobs)
    return Statement(CLEAR.format(ids=ids), params)


def noted(total: int | None, items: str | None) -> Progress | None:
    """Decode the columns of a progress row; they are NULL if there is none."""
    if total is None:
        return None
    try:
        found = json.loads(items or "[]")
    # As of the other columns of a job: what cannot be read must not hide the job.
    except (ValueError, RecursionError):
        found = []
    return Progress(total, readable_items(found))
