"""Plan new builds of a revision: by a change, for chosen builders, or for one builder."""

from __future__ import annotations

from collections.abc import Mapping

from buildapi.jobs.plan_outcomes import NOTHING_CREATED, OK, nothing, reason, refused
from buildapi.model.actions import NewBuild, NewBuilderBuild, NewNightly, NewPGOBuild
from buildapi.model.facts import BranchFacts
from buildapi.model.outcome import Outcome
from buildapi.model.rules import Choice
from buildapi.model.steps import NewChange, OutcomeLine, Plan, SendChange, SubmitBuilds
from buildapi.model.validators import NAME_MAX

CHANGE_FAILED = "The change could not be sent"
CHANGE_OPEN = "It is not known whether the change is stored: check before you submit it again"


def new_build(action: NewBuild, facts: BranchFacts | None) -> Plan:
    """Plan to send a change; the schedulers of its master decide what to build."""
    if facts is None:
        return refused(f"Branch {action.branch} not found")
    if facts.change_master is None:
        return refused(CHANGE_FAILED, "no master that accepts changes is known")
    if facts.build_refusal is not None:
        return refused(CHANGE_FAILED, facts.build_refusal)
    step = SendChange(facts.change_master, facts.path, action.revision, _link(action, facts))
    return Plan(Outcome(False, ""), (step,), (OutcomeLine(None, OK, CHANGE_FAILED, CHANGE_OPEN),))


def _link(action: NewBuild, facts: BranchFacts) -> str | None:
    link = f"{facts.repository}/rev/{action.revision}"
    # changes.revlink is VARCHAR(256) in 0.8, and a change is worth more than its link.
    return link if facts.repository and len(link) <= NAME_MAX else None


def chosen_builds(
    action: NewPGOBuild | NewNightly, facts: BranchFacts | None, who: str, choice: Choice
) -> Plan:
    """Plan build requests for the builders of a branch that a rule of the farm chooses."""
    if facts is None:
        return refused(f"Branch {action.branch} not found")
    builders = [name for name in facts.builders if choice.takes(name)]
    if not builders:
        detail = f"no builder of {action.branch} matches {choice.pattern.pattern}"
        return nothing(NOTHING_CREATED, detail)
    if facts.build_refusal is not None:
        return refused(NOTHING_CREATED, facts.build_refusal)
    step = SubmitBuilds(
        # The path of the repository [docs/compatibility.md, "What stays the same"].
        branch=facts.path,
        revision=action.revision,
        reason=reason("Requested", who),
        priority=action.priority,
        properties=_properties(facts, {}),
        builders=builders,
    )
    return Plan(Outcome(False, OK), (step,))


def builder_build(action: NewBuilderBuild, facts: BranchFacts | None, who: str) -> Plan:
    """Plan a build request for one builder, with a change that names the files to install."""
    if facts is None:
        return refused(f"Branch {action.short_branch} not found")
    step = SubmitBuilds(
        # The short name [docs/compatibility.md, "What stays the same"]: build_refusal, which is
        # about the path, does not matter here.
        branch=action.short_branch,
        revision=action.revision,
        reason=reason("Requested", who),
        priority=action.priority,
        properties=_properties(facts, action.properties),
        builders=[action.builder_name],
        # Its branch ends with -selfserve, so that no scheduler of the branch builds the change.
        change=NewChange(who, action.branch, action.revision, action.files),
    )
    return Plan(Outcome(False, OK), (step,))


def _properties(facts: BranchFacts, given: Mapping[str, object]) -> Mapping[str, object]:
    """Return the properties; those of the client replace ``buildid`` and ``builduid``."""
    return {"buildid": facts.buildid, "builduid": facts.builduid, **given}
