"""The marker row of a job, in the same transaction as its writes."""

from __future__ import annotations

import msgspec

from buildapi.db.sql import Statement
from buildapi.model.steps import Plan

STARTED, WRITTEN, SETTLED = "started", "written", "settled"
"""States of a marker row; ``started`` is only ever seen on engines without transactions."""


def mark(marker: str, request_id: int, plan: Plan, state: str, now: int) -> Statement:
    """Insert the marker of a job; a second one is refused."""
    return Statement(
        f"INSERT INTO {marker} (request_id, state, plan, created_at)"  # noqa: S608  # checked name
        " VALUES (:request_id, :state, :plan, :now)",
        {
            "request_id": request_id,
            "state": state,
            "plan": msgspec.json.encode(plan).decode(),
            "now": now,
        },
    )


def set_state(marker: str, request_id: int, state: str) -> Statement:
    """Move a marker row on."""
    return Statement(
        f"UPDATE {marker} SET state = :state WHERE request_id = :request_id",  # noqa: S608  # checked name
        {"request_id": request_id, "state": state},
    )


def settle(marker: str, request_id: int, outcome: bytes) -> Statement:
    """Record the final outcome (encoded) in a marker row."""
    return Statement(
        f"UPDATE {marker} SET state = :state, outcome = :outcome"  # noqa: S608  # checked name
        " WHERE request_id = :request_id",
        {"request_id": request_id, "state": SETTLED, "outcome": outcome.decode()},
    )


def unmark(marker: str, request_id: int) -> Statement:
    """Remove the marker of a job that wrote nothing."""
    return Statement(
        f"DELETE FROM {marker} WHERE request_id = :request_id",  # noqa: S608  # checked name
        {"request_id": request_id},
    )


def forget(marker: str, before: int) -> Statement:
    """Remove markers of jobs that can no longer be delivered again."""
    return Statement(
        f"DELETE FROM {marker} WHERE state = :state AND created_at < :before",  # noqa: S608  # checked name
        {"state": SETTLED, "before": before},
    )
