"""Decide what a job request means for the request or build it names."""

from __future__ import annotations

from collections.abc import Sequence

from buildapi.jobs.poison import poison
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.facts import RequestFacts
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import BuildRequest, Stage, Try
from buildapi.model.steps import DropRequest, Plan, Requeue, SetPriority, StopBuild, WatchDropped

REASON_MAX = 256
"""Characters of ``buildsets.reason``."""

OK = "Ok"
CANCEL_FAILED = "Error cancelling build"
NOTHING_CREATED = "No builds to create"


def decide(action: Action, facts: RequestFacts | None, who: str) -> Plan:
    """Plan an action against what is known; None stands for "no such request or build".

    The texts are read by other programs [docs/compatibility.md, "Texts"].
    """
    match action:
        case Reprioritize():
            return _reprioritize(action, facts)
        case CancelRequest():
            return _cancel_request(facts)
        case CancelBuild():
            return _cancel_build(action, facts)
        case RebuildBuild():
            return _rebuild(action, facts, who, "No build with that id")
        case RebuildRequest():
            return _rebuild(action, facts, who, "No request with that id")


def conclude(plan: Plan, items: Sequence[Item]) -> Outcome:
    """Tell how a plan ended, by what its pokes came to: all of them must have worked."""
    everything = (*plan.outcome.items, *items)
    if all(item.state in ("done", "nothing") for item in items):
        return Outcome(plan.outcome.errors, plan.outcome.msg, everything)
    return Outcome(True, plan.failure, everything)


def reason(verb: str, who: str) -> str:
    """Word the reason of what we create.

    Masters do not coalesce requests with ``Self-serve`` in their reason.
    """
    return f"Self-serve: {verb} by {who}"[:REASON_MAX]


def refused(msg: str, detail: str | None = None, *, brid: int | None = None) -> Plan:
    """Plan nothing and report an error."""
    return Plan(Outcome(True, msg, (Item("failed", detail or msg, request_id=brid),)))


def nothing(msg: str, detail: str, *, brid: int, bid: int | None = None) -> Plan:
    """Plan nothing and report that there is nothing to do."""
    return Plan(Outcome(False, msg, (Item("nothing", detail, request_id=brid, build_id=bid),)))


def _reprioritize(action: Reprioritize, facts: RequestFacts | None) -> Plan:
    if facts is None:
        return refused("No request with that id", f"there is no request {action.brid}")
    request = facts.request
    match request.stage:
        case Stage.COMPLETE:
            return nothing("Request is complete, nothing to do", "it is complete", brid=request.id)
        case Stage.CLAIMED:
            return refused(
                "Request is already running",
                f"claimed by {request.claimed_by_name}",
                brid=request.id,
            )
        case Stage.PENDING:
            detail = f"priority set from {request.priority} to {action.priority}"
            done = Item("done", detail, request_id=request.id)
            return Plan(Outcome(False, OK, (done,)), (SetPriority(request.id, action.priority),))


def _cancel_request(facts: RequestFacts | None) -> Plan:
    if facts is None:
        return refused("No request with that id")
    request = facts.request
    ok = Outcome(False, f"{request.id}: {OK}")
    failure = f"Error cancelling build (request {request.id})"
    if not request.complete and not request.claimed_at:
        drop = DropRequest(request.id, request.buildsetid)
        return Plan(ok, (drop,), (WatchDropped(request.id),), failure)
    stops = _stops(facts, facts.running)
    if stops and request.claimed_at:
        return Plan(ok, pokes=stops, failure=failure)
    if request.complete:
        msg = f"Request {request.id} is complete, nothing to do"
        return nothing(msg, "it is complete", brid=request.id)
    return refused(
        failure,
        f"claimed by {request.claimed_by_name}, but no build has started (slave not answering?)",
        brid=request.id,
    )


def _cancel_build(action: CancelBuild, facts: RequestFacts | None) -> Plan:
    build = facts.try_of(action.bid) if facts else None
    if facts is None or build is None:
        return refused("No build with that id", f"there is no build {action.bid}")
    request = facts.request
    if build.finish_time is not None or build not in facts.running:
        msg = "Build is complete, nothing to do"
        return nothing(msg, "it is complete", brid=request.id, bid=build.id)
    stops = _stops(facts, [build])
    if not stops:
        return refused(CANCEL_FAILED, "no master has claimed it", brid=request.id)
    return Plan(Outcome(False, OK), pokes=stops, failure=CANCEL_FAILED)


def _stops(facts: RequestFacts, tries: Sequence[Try]) -> Sequence[StopBuild]:
    request = facts.request
    if request.claimed_by_name is None:
        return ()
    return tuple(stop(request, t, request.claimed_by_name) for t in tries)


def stop(request: BuildRequest, build: Try, master: str) -> StopBuild:
    """Make the step that stops a try of a request."""
    return StopBuild(
        build_id=build.id,
        brid=request.id,
        number=build.number,
        buildername=request.buildername,
        start_time=build.start_time,
        revision=request.revision,
        master=master,
    )


def _rebuild(
    action: RebuildBuild | RebuildRequest, facts: RequestFacts | None, who: str, missing: str
) -> Plan:
    if facts is None:
        return refused(missing)
    if (found := poison(facts)) is not None:
        detail = f"a copy would keep masters from starting anything on its builder: {found}"
        return refused(NOTHING_CREATED, detail, brid=facts.request.id)
    step = Requeue(
        buildername=facts.request.buildername,
        priority=action.priority,
        reason=reason("Rebuilt", who),
        sourcestampid=facts.sourcestampid,
        external_idstring=facts.external_idstring,
        properties=facts.properties,
    )
    return Plan(Outcome(False, OK), (step,) * action.count)
