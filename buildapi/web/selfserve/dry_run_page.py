"""Preview a job request: its plan as JSON, and a page with the form that confirms it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import attrs
import msgspec

from buildapi.interfaces import FactsReader
from buildapi.jobs.decide import decide
from buildapi.model.facts import Facts
from buildapi.model.rules import Rules
from buildapi.model.steps import (
    Clobber,
    DropRequest,
    DropRequests,
    Plan,
    Rebuild,
    SendChange,
    SetPriority,
    Step,
    StepsDocument,
    StopBuild,
    StopClaimed,
    SubmitBuilds,
)
from buildapi.model.wire import item_data
from buildapi.web.http.call import Call
from buildapi.web.http.csrf import FIELD
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.selfserve.documents import DryRunDocument, PlanDocument
from buildapi.web.selfserve.job_routes import CheckedRequest, JobRoute

LOST = (
    "Stopped builds lose their work so far. This cannot be undone: they can only be rebuilt from"
    " the start."
)
DROPPED = "A cancelled request is not restored: a new one goes to the end of the queue."
ASKED = "New requests can be cancelled while they are pending."
MOVED = "The priority can be changed again while the request is pending."

StepsJSON = Callable[[Plan, Facts], StepsDocument]
"""Encode the steps of a plan that was decided on these facts, as ``Dialect.steps_json``."""

# The confirming form must not ask for a dry run again; the template writes the CSRF token and the
# method itself.
NOT_SENT = {"dry_run", FIELD, "_method", "wait", "format"}


@attrs.frozen
class DryRun:
    """Plan job requests without doing anything; ``looking`` bounds the read of the facts.

    ``steps_json`` is the dialect's encoder of steps.
    """

    _facts: FactsReader
    _steps_json: StepsJSON
    _rules: Rules
    _looking: Deadline

    async def reply(self, route: JobRoute, call: Call, checked: CheckedRequest) -> Reply:
        """Return what a job request would do now; record and send nothing."""
        # The plan is that of decide(), which agents use as well: a preview of its own could promise
        # something else.
        facts = await self._looking.bound(self._facts.read(checked.action))
        plan = _warned(decide(checked.action, facts, call.user, self._rules), checked.warnings)
        words = f"{checked.words}: dry run, nothing was done"
        document = plan_json(plan, self._steps_json(plan, facts))
        told: DryRunDocument = {"status": "OK", "dry_run": True, "msg": words, "plan": document}
        page = Page("plan.html", checked.words, lambda: shown_plan(plan, call, route))
        return Reply(JSONBody.of(told), page, fresh=True)


def _warned(plan: Plan, warnings: Sequence[str]) -> Plan:
    """Return a plan with these warnings as well, each once."""
    both = tuple(dict.fromkeys((*plan.outcome.warnings, *warnings)))
    outcome = msgspec.structs.replace(plan.outcome, warnings=both)
    return msgspec.structs.replace(plan, outcome=outcome)


def plan_json(plan: Plan, steps: StepsDocument) -> PlanDocument:
    """Return a plan as JSON: the expected outcome and its steps, as the dialect encodes them."""
    outcome = plan.outcome
    return {
        "errors": outcome.errors,
        "msg": outcome.msg,
        "items": [item_data(item) for item in outcome.items],
        "warnings": list(outcome.warnings),
        "writes": steps["writes"],
        "pokes": steps["pokes"],
    }


@attrs.frozen
class PlanRow:
    """One row of the plan: a verb and its object."""

    what: str
    detail: str


def shown_plan(plan: Plan, call: Call, route: JobRoute) -> Mapping[str, object]:
    """Return the template context of a plan."""
    rows = [row for step in plan.steps for row in rows_of(step)]
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


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def warnings(plan: Plan) -> Sequence[str]:
    """List the warnings of a plan, and what of it can and cannot be undone."""
    steps = plan.steps
    told = {
        LOST: any(isinstance(s, StopBuild) for s in steps),
        DROPPED: any(isinstance(s, DropRequest | DropRequests) for s in steps),
        ASKED: any(isinstance(s, Rebuild | SubmitBuilds | SendChange) for s in steps),
        MOVED: any(isinstance(s, SetPriority) for s in steps),
    }
    return [*plan.outcome.warnings, *(words for words, holds in told.items() if holds)]


def rows_of(step: Step) -> Sequence[PlanRow]:
    """Describe a step as rows."""
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
        case Rebuild():
            rows = [("request", f"a build of {step.buildername}")]
        case SubmitBuilds():
            rows = [("request", f"a build of {name} at {step.revision}") for name in step.builders]
        case SendChange():
            change = f"{step.revision} on {step.branch} to {step.master}"
            rows = [("send change", change)]
        case StopClaimed():
            late = "once it has started"
            rows = [("stop", f"build of request {brid}, {late}") for brid in step.brids]
    return [PlanRow(*row) for row in rows]
