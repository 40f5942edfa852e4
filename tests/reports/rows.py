"""Rows to compute reports of."""

from __future__ import annotations

from typing import Any

from buildapi.model.report_rows import RequestRow, StatusBuild

START, END = 1_486_500_000, 1_486_586_400
REVISION = "0123456789abcdef"


def request_row(id_: int = 1, **more: Any) -> RequestRow:
    """Make a row of a request that is complete, with one change."""
    values: dict[str, Any] = {
        "request_id": id_,
        "build_id": id_ + 1000,
        "number": 3,
        "buildsetid": 5,
        "ssid": 6,
        "buildername": "Linux mozilla-central build",
        "reason": "scheduler",
        "branch": "mozilla-central",
        "revision": REVISION,
        "submitted_at": START + 10,
        "claimed_at": START + 20,
        "claimed_by_name": "m1",
        "start_time": START + 30,
        "finish_time": START + 90,
        "complete": True,
        "complete_at": START + 100,
        "results": 0,
        "change_ids": (7,),
        "authors": ("ann@example.org",),
        "change_revisions": (REVISION,),
        "when_timestamp": START,
        "comments": "fix",
        "revlink": None,
        "category": None,
        "repository": "",
        "project": "",
    }
    return RequestRow(**values | more)


def build(start: int | None, end: int | None, **more: Any) -> StatusBuild:
    """Make a build of the status database; times are seconds after ``START``."""
    values: dict[str, Any] = {
        "slave_id": 7,
        "slave": "t-w864-ix-001",
        "builder_id": 1,
        "builder": "b",
        "result": 0,
    }
    times = (None if t is None else START + t for t in (start, end))
    return StatusBuild(**dict(zip(("start", "end"), times, strict=True)), **values | more)
