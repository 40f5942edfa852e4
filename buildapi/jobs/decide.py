"""Plan each action of a job request from the facts read about it."""

from __future__ import annotations

from buildapi.jobs.cancel import cancel_build, cancel_request, cancel_revision
from buildapi.jobs.new_builds import builder_build, chosen_builds, new_build
from buildapi.jobs.plan_outcomes import NOTHING_CREATED, OK, nothing, reason, refused
from buildapi.jobs.warnings import unlisted
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.facts import BranchFacts, Facts, RequestFacts, RevisionFacts
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import Stage
from buildapi.model.rules import Rules
from buildapi.model.steps import Plan, Rebuild, SetPriority


def decide(  # noqa: PLR0911  # one for each action
    action: Action, facts: Facts, who: str, rules: Rules
) -> Plan:
    """Return the plan of an action; facts of None mean "no such request, build or branch".

    Other programs read the messages of the outcome [docs/compatibility.md, "Texts"].
    """
    match action, facts:
        case Reprioritize(), RequestFacts() | None:
            return _reprioritize(action, facts)
        case CancelRequest(), RequestFacts() | None:
            return cancel_request(facts, rules)
        case CancelBuild(), RequestFacts() | None:
            return cancel_build(action, facts, rules)
        case RebuildBuild(), RequestFacts() | None:
            return _rebuild(action, facts, who, "No build with that id")
        case RebuildRequest(), RequestFacts() | None:
            return _rebuild(action, facts, who, "No request with that id")
        case CancelRevision(), RevisionFacts() | None:
            return cancel_revision(action, facts, rules)
        case NewBuild(), BranchFacts() | None:
            return new_build(action, facts)
        case NewPGOBuild(), BranchFacts() | None:
            return chosen_builds(action, facts, who, rules.pgo)
        case NewNightly(), BranchFacts() | None:
            return chosen_builds(action, facts, who, rules.nightly)
        case NewBuilderBuild(), BranchFacts() | None:
            return builder_build(action, facts, who)
        case _:  # a pair that no observer makes
            raise TypeError(f"{action.name} cannot be decided by {type(facts).__name__}")


def _reprioritize(action: Reprioritize, facts: RequestFacts | None) -> Plan:
    if facts is None:
        return refused("No request with that id", f"there is no request {action.brid}")
    request = facts.request
    match request.stage:
        case Stage.COMPLETE:
            return nothing(
                "Request is complete, nothing to do", "the request is complete", brid=request.id
            )
        case (
            Stage.CLAIMED
        ):  # masters read priorities when they choose what to claim, and never later
            return refused(
                "Request is already running",
                f"claimed by {request.claimed_by_name}",
                brid=request.id,
            )
        case Stage.PENDING:
            detail = f"priority set from {request.priority} to {action.priority}"
            done = Item("done", detail, request_id=request.id)
            return Plan(Outcome(False, OK, (done,)), (SetPriority(request.id, action.priority),))


def _rebuild(
    action: RebuildBuild | RebuildRequest, facts: RequestFacts | None, who: str, missing: str
) -> Plan:
    if facts is None:
        return refused(missing)
    # The request itself may be complete and harmless; its copy would be pending [docs/design.md,
    # "Acting on Buildbot 0.8"].
    if facts.rebuild_refusal is not None:
        return refused(NOTHING_CREATED, facts.rebuild_refusal, brid=facts.request.id)
    step = Rebuild(
        brid=facts.request.id,
        build_id=action.bid if isinstance(action, RebuildBuild) else None,
        buildername=facts.request.buildername,
        priority=action.priority,
        reason=reason("Rebuilt", who),
    )
    warnings = unlisted(facts.request.buildername, facts.listed)
    return Plan(Outcome(False, OK, warnings=warnings), (step,) * action.count)
