"""Turn a plan into guarded SQL statements on the scheduler database of Buildbot 0.8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from buildapi.db.sql import Ref, Statement
from buildapi.model.outcome import Item
from buildapi.model.records import FAILURE
from buildapi.model.steps import DropRequest, Plan, Requeue, SetPriority, Write

REQUEST = "-request"
"""Ends the name that an inserted build request is bound to."""

STARTED, WRITTEN, SETTLED = "started", "written", "settled"
"""States of a marker row; ``started`` is only ever seen on engines without transactions."""


def lower(
    plan: Plan, request_id: int, *, marker: str, now: int, transactional: bool = True
) -> Sequence[Statement]:
    """List all writes of a plan, in the order in which a crash between two does no harm.

    The marker comes first, so that a second delivery fails before it changes anything; build
    requests come last, because a buildset without requests is inert.
    """
    state = WRITTEN if transactional else STARTED
    statements = [_mark(marker, request_id, plan, state, now), *_writes(plan.writes, now)]
    if not transactional:
        statements.append(set_state(marker, request_id, WRITTEN))
    return statements


def made(statements: Sequence[Statement], ids: Sequence[int]) -> Sequence[Item]:
    """List the requests that statements made; ``ids`` are the last inserted ids of each."""
    bound = {s.binds: i for s, i in zip(statements, ids, strict=True) if s.binds}
    return [
        Item("done", "submitted", request_id=i, buildset_id=bound[name.removesuffix(REQUEST)])
        for name, i in bound.items()
        if name.endswith(REQUEST)
    ]


def _mark(marker: str, request_id: int, plan: Plan, state: str, now: int) -> Statement:
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


def _writes(writes: Sequence[Write], now: int) -> Iterable[Statement]:
    last: list[Statement] = []
    for number, step in enumerate(writes):
        match step:
            case SetPriority():
                yield _set_priority(step)
            case DropRequest():
                yield _complete_request(step, now)
                yield _complete_buildset(step, now)
            case Requeue():
                name = f"buildset-{number}"
                yield _buildset(step, name, now)
                if step.properties:
                    yield _properties(step, name)
                last.append(_request(step, name, now))
    yield from last


def _set_priority(step: SetPriority) -> Statement:
    return Statement(
        "UPDATE buildrequests SET priority = :priority"
        " WHERE id = :brid AND complete = 0 AND claimed_at = 0",
        {"brid": step.brid, "priority": step.priority},
        rows=1,
    )


def _complete_request(step: DropRequest, now: int) -> Statement:
    return Statement(
        "UPDATE buildrequests SET complete = 1, results = :results, complete_at = :now"
        " WHERE id = :brid AND complete = 0 AND (claimed_at = 0 OR claimed_at IS NULL)",
        {"brid": step.brid, "results": FAILURE, "now": now},
        rows=1,
    )


def _complete_buildset(step: DropRequest, now: int) -> Statement:
    return Statement(
        "UPDATE buildsets SET complete = 1, results = :results, complete_at = :now"
        " WHERE id = :buildsetid AND complete = 0 AND NOT EXISTS"
        " (SELECT 1 FROM buildrequests WHERE buildsetid = :buildsetid AND complete = 0)",
        {"buildsetid": step.buildsetid, "results": FAILURE, "now": now},
    )


def _buildset(step: Requeue, name: str, now: int) -> Statement:
    return Statement(
        "INSERT INTO buildsets (external_idstring, reason, sourcestampid, submitted_at, complete)"
        " VALUES (:external_idstring, :reason, :sourcestampid, :now, 0)",
        {
            "external_idstring": step.external_idstring,
            "reason": step.reason,
            "sourcestampid": step.sourcestampid,
            "now": now,
        },
        binds=name,
    )


def _properties(step: Requeue, name: str) -> Statement:
    rows = ", ".join(f"(:buildsetid, :name{i}, :value{i})" for i in range(len(step.properties)))
    params: dict[str, object] = {"buildsetid": Ref(name)}
    for i, (key, value) in enumerate(step.properties):
        params |= {f"name{i}": key, f"value{i}": value}
    return Statement(
        "INSERT INTO buildset_properties (buildsetid, property_name, property_value)"  # noqa: S608  # numbered parameters
        f" VALUES {rows}",
        params,
    )


def _request(step: Requeue, name: str, now: int) -> Statement:
    return Statement(
        "INSERT INTO buildrequests (buildsetid, buildername, priority, claimed_at, complete,"
        " submitted_at) VALUES (:buildsetid, :buildername, :priority, 0, 0, :now)",
        {
            "buildsetid": Ref(name),
            "buildername": step.buildername,
            "priority": step.priority,
            "now": now,
        },
        binds=f"{name}{REQUEST}",
    )
