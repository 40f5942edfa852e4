"""How far unfinished jobs are: one row each, gone when the job is finished, in SQL."""

from __future__ import annotations

import json

from buildapi.db.sql import Ref, Statement
from buildapi.model.records import Progress
from buildapi.model.wire import readable_items

NOTE = """REPLACE INTO buildapi_progress (request_id, total, items, updated_at)
 VALUES (:id, :total, :items, :now)"""
CLEAR = "DELETE FROM buildapi_progress WHERE request_id = :id"


def note(request_id: int, progress: Progress, now: int) -> Statement:
    """Put this in the place of what was noted before."""
    items = json.dumps([dict(item) for item in progress.items])
    row = {"id": request_id, "total": progress.total, "items": items, "now": now}
    return Statement(NOTE, row)


def clear(job: int | Ref) -> Statement:
    """Forget how far a job is."""
    return Statement(CLEAR, {"id": job})


def noted(total: int | None, items: str | None) -> Progress | None:
    """Read the columns of a row, NULL where there is none."""
    return None if total is None else Progress(total, readable_items(json.loads(items or "[]")))
