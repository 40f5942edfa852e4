"""The page that previews a job request: its plan, and the form that confirms it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from buildapi.model.steps import (
    Clobber,
    DropRequest,
    DropRequests,
    NewBuildset,
    Plan,
    Poke,
    RebuildStep,
    SendChange,
    SetPriority,
    StopBuild,
    WatchDropped,
    Write,
)
from buildapi.web.http.call import Call
from buildapi.web.http.csrf import FIELD
from buildapi.web.http.json_body import JSONBody
from buildapi.web.selfserve.job_routes import JobRoute

LOST = (
    "Stopped builds lose their work so far. This cannot be undone: they can only be rebuilt from"
    " the start."
)
DROPPED = "A cancelled request is not restored: a new one goes to the end of the queue."
ASKED = "New requests can be cancelled while they are pending."
MOVED = "The priority can be changed again while the request is pending."

NOT_SENT = {"dry_run", FIELD, "_method", "wait", "format"}


@attrs.frozen
class PlanRow:
    """One row of the plan: a verb and its object."""

    what: str
    detail: str


def shown_plan(plan: Plan, call: Call, route: JobRoute, document: JSONBody) -> Mapping[str, Any]:
    """Return the template context of a plan."""
    rows = [row for step in (*plan.writes, *plan.pokes) for row in rows_of(step, _dropped(plan))]
    counts = Counter(row.what for row in rows)
    return {
        "rows": rows,
        "counts": counts,
        "outcome": plan.outcome,
        "warnings": warnings(plan),
        "action": call.here,
        "method": route.method,
        "fields": _fields(call),
        "cancels": route.method == "DELETE",
        "act": act_of(rows, cancels=route.method == "DELETE"),
        "document": document,
    }


def act_of(rows: Sequence[PlanRow], *, cancels: bool) -> str:
    """Return the label of the confirm button."""
    dropped, stopped = (sum(row.what == what for row in rows) for what in ("cancel", "stop"))
    if not cancels:
        return "Confirm"
    counts = [(dropped, "request"), (stopped, "build")]
    told = [f"{n} {kind}{'s' if n > 1 else ''}" for n, kind in counts if n]
    return f"Cancel {' and '.join(told)}" if told else "Cancel"


def _fields(call: Call) -> Sequence[tuple[str, str]]:
    """List the hidden fields that submit the previewed job request."""
    values = {**call.query, **call.form.values}
    return [(n, _text(v)) for n, vs in values.items() if n not in NOT_SENT for v in vs]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def warnings(plan: Plan) -> Sequence[str]:
    """List the warnings of a plan, and what of it can and cannot be undone."""
    steps = (*plan.writes, *plan.pokes)
    told = {
        LOST: any(isinstance(s, StopBuild) for s in steps),
        DROPPED: any(isinstance(s, DropRequest | DropRequests) for s in steps),
        ASKED: any(isinstance(s, RebuildStep | NewBuildset | SendChange) for s in steps),
        MOVED: any(isinstance(s, SetPriority) for s in steps),
    }
    return [*plan.outcome.warnings, *(words for words, holds in told.items() if holds)]


def _dropped(plan: Plan) -> set[int]:
    """Return the requests that a plan cancels in the database."""
    found: set[int] = set()
    for step in plan.writes:
        match step:
            case DropRequest():
                found.add(step.brid)
            case DropRequests():
                found.update(step.brids)
            case SetPriority() | RebuildStep() | NewBuildset():
                pass
    return found


def rows_of(step: Write | Poke, dropped: Collection[int]) -> Sequence[PlanRow]:
    """Describe a step as rows; ``dropped`` are the requests that the plan cancels."""
    rows: Sequence[tuple[str, str]] = ()
    match step:
        case StopBuild():
            rows = [("stop", f"build {step.number} of {step.buildername} on {step.master}")]
        case Clobber():
            rows = [("clobber", f"{step.build.buildername} on the slave of this build")]
        case DropRequest():
            rows = [("cancel", f"request {step.brid}")]
        case DropRequests():
            rows = [("cancel", f"request {brid}") for brid in step.brids]
        case SetPriority():
            rows = [("reprioritize", f"request {step.brid} to {step.priority}")]
        case RebuildStep():
            rows = [("request", f"a build of {step.buildername}")]
        case NewBuildset():
            rows = [("request", f"a build of {name} at {step.revision}") for name in step.builders]
        case SendChange():
            change = f"{step.revision} on {step.branch} to {step.master}"
            rows = [("send change", change)]
        case WatchDropped():
            # Of a dropped request it is a check for Buildbot 0.8's claim race, not an action.
            claimed = [brid for brid in step.brids if brid not in dropped]
            rows = [("stop", f"build of request {brid}, once it has started") for brid in claimed]
    return [PlanRow(*row) for row in rows]
