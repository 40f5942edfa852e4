"""Ask the access rules whether a user may send a job request, where it is accepted.

Every job request passes here between its check and its record: single ones, entries of batches,
selected rows, forms and dry runs.  Nothing is read for it unless the rules that are about the user
can tell branches or builders apart; then the facts of the job request are, as an agent does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import attrs

from buildapi.errors import NotPermitted
from buildapi.interfaces import Directory, FactsReader
from buildapi.jobs.touched import Touch, touched
from buildapi.model.access import Question
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
)
from buildapi.model.branches import Branch, Branches
from buildapi.model.permissions import (
    BRANCHES,
    BUILDERS,
    NOTHING,
    Extent,
    Permissions,
    question_about,
)
from buildapi.model.rules import Rules
from buildapi.model.steps import Sharer
from buildapi.web.http.auth import Identity
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.page_permissions import WORDS, reason
from buildapi.web.selfserve.job_routes import CheckedRequest


@attrs.frozen
class _Part:
    """One thing that must be permitted; ``sharer`` is whose request it is, None for one's own."""

    question: Question
    sharer: Sharer | None = None


@attrs.frozen
class JobPermissions:
    """Refuse the job requests that the rules do not permit.

    ``permissions`` returns those in force for a user; ``looking`` bounds the read of the facts.
    """

    _permissions: Callable[[Identity], Permissions]
    _facts: FactsReader
    _rules: Rules
    _directory: Directory
    _looking: Deadline

    async def require(self, identity: Identity, checked: CheckedRequest, branch: Branch) -> None:
        """Refuse what the user may not do.

        :raises NotPermitted: a rule, or the default, refuses it or a part of it.
        :raises Unavailable: what it is about cannot be read now, and decides.
        """
        permissions = self._permissions(identity)
        if permissions.is_open:
            return
        action = checked.action
        unknown = _unknown(action)
        question = question_about(action, branch, checked.builders)
        # What is refused in any case costs no read, and neither does what is permitted anywhere.
        first = permissions.outlook(question, unknown & BUILDERS)
        if first.extent is Extent.NO:
            raise _refusal(permissions, _Part(question))
        if permissions.outlook(question, unknown).extent is Extent.YES:
            return
        touches: Sequence[Touch] = ()
        if unknown:
            facts = await self._looking.bound(self._facts.read(action))
            touches = touched(action, facts, self._rules)
        for part in _parts(question, touches, branch, self._directory.branches()):
            if not permissions.decide(part.question).allowed:
                raise _refusal(permissions, part)


def _unknown(action: Action) -> frozenset[str]:
    """Return what only the farm tells of an action, by the fields of rules that it decides."""
    match action:
        case RebuildBuild() | RebuildRequest() | CancelBuild() | CancelRequest():
            return BRANCHES  # of the requests that share the build; all of them are of one builder
        case CancelRevision():
            return BRANCHES | BUILDERS
        case NewPGOBuild() | NewNightly():
            return BUILDERS
        case _:  # a request whose priority is changed has no build yet
            return NOTHING


def _parts(
    question: Question, touches: Collection[Touch], branch: Branch, branches: Branches
) -> Iterator[_Part]:
    """Yield what must be permitted: each builder of the branch, and of others that share a build.

    Each builder is a question of its own, so that rules for two builders permit both together.
    """
    own = [touch.builder for touch in touches if touch.sharer is None] or question.builders
    for builder in dict.fromkeys(own):
        yield _Part(attrs.evolve(question, builders=(builder,)))
    if not own:
        yield _Part(question)
    for touch in touches:
        if touch.sharer is None or branch.owns(touch.sharer.branch):
            continue
        owner = branches.get(branches.owner(touch.sharer.branch) or "")
        # Of no branch of the file: then rules see the name that is stored.
        name = (touch.sharer.branch or "") if owner is None else owner.name
        access = None if owner is None else owner.access
        other = attrs.evolve(question, branch=name, access=access, builders=(touch.builder,))
        yield _Part(other, touch.sharer)


def _refusal(permissions: Permissions, part: _Part) -> NotPermitted:
    question, decision = part.question, permissions.decide(part.question)
    level = f" ({question.access})" if question.access else ""
    shared = f", whose request {part.sharer.request_id} has the same build" if part.sharer else ""
    return NotPermitted(
        f"{permissions.actor.who} may not {WORDS[question.action]} ({question.action}) on"
        f" {question.branch}{level}{shared}: {reason(decision.rule, decision.needed)}",
        decision.rule,
        decision.needed,
    )
