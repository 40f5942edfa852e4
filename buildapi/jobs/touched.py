"""Tell on which builders, and for which other requests, a job request would mean something.

The steps of its plan say so, and not the request alone: a build that is stopped may serve requests
of other pushes as well, and the cancel of a revision is for some of its builders only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from buildapi.jobs.decide import decide
from buildapi.model.actions import Action
from buildapi.model.facts import Facts, RequestFacts, RevisionFacts
from buildapi.model.rules import Rules
from buildapi.model.steps import (
    DropRequest,
    DropRequests,
    Rebuild,
    SetPriority,
    Sharer,
    Step,
    StopBuild,
    StopClaimed,
    SubmitBuilds,
)


@attrs.frozen
class Touch:
    """A builder that a job request touches; ``sharer`` is whose request, None for its own."""

    builder: str
    sharer: Sharer | None = None


def touched(action: Action, facts: Facts, rules: Rules) -> Sequence[Touch]:
    """List what an action touches, each once; builders that a master chooses later are missing.

    All requests that share a running build of its request count, whatever is done with it.
    """
    plan = decide(action, facts, "", rules)
    names = _names(facts)
    found = [touch for step in plan.steps for touch in _of_step(step, names)]
    if isinstance(facts, RequestFacts):
        found += _sharing(facts.request.buildername, _others(facts))
    return list(dict.fromkeys(found))


def _names(facts: Facts) -> Mapping[int, str]:
    """Return the names of builders by request."""
    match facts:
        case RequestFacts():
            return {facts.request.id: facts.request.buildername}
        case RevisionFacts():
            return {one.request.id: one.request.buildername for one in facts.requests}
        case _:
            return {}


def _of_step(step: Step, names: Mapping[int, str]) -> Sequence[Touch]:
    match step:
        case StopBuild():
            return [Touch(step.buildername), *_sharing(step.buildername, step.sharers)]
        case Rebuild():
            return [Touch(step.buildername)]
        case SubmitBuilds():
            return [Touch(name) for name in step.builders]
        case DropRequest() | SetPriority():
            return [Touch(names[step.brid])]
        case DropRequests() | StopClaimed():
            return [Touch(names[brid]) for brid in step.brids]
        case _:  # a clobber is of a build that is stopped, and a change of no builder yet
            return []


def _others(facts: RequestFacts) -> Iterable[Sharer]:
    sharers = (sharer for group in facts.sharers.values() for sharer in group)
    return (sharer for sharer in sharers if sharer.request_id != facts.request.id)


def _sharing(builder: str, sharers: Iterable[Sharer]) -> Sequence[Touch]:
    return [Touch(builder, sharer) for sharer in sharers]
