"""What one user may do: the rules that are about them, asked for a decision or for an outlook.

A *decision* is the answer to a question of which everything is known.  An *outlook* is what can be
said before: while builders, priority or count are open, several rules may still turn out to decide.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from buildapi.model.access import AccessPolicy, AccessRule, Actor, Decision, Question
from buildapi.model.actions import ACTIONS, ASKING, Action, NewBuild
from buildapi.model.branches import Branch

BRANCHES = frozenset({"branches", "access"})
BUILDERS = frozenset({"builders"})
NOTHING: frozenset[str] = frozenset()

_NO_CONDITION: Mapping[str, object] = {
    "branches": (),
    "access": (),
    "builders": (),
    "priorities": None,
    "count": None,
}
"""Fields of rules whose values may be open, and the value that is no condition."""

_FIELD_OF = {"priority": "priorities", "count": "count"}


class Extent(enum.Enum):
    """How far something is permitted; ``PARTLY`` depends on what is open."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


@attrs.frozen
class Outlook:
    """How far something is permitted, and the rules that may decide it, in order.

    None among the rules is the default.  ``needed`` says what would be needed where it is refused.
    """

    extent: Extent
    rules: tuple[AccessRule | None, ...] = (None,)
    needed: str = ""


@attrs.frozen
class Permissions:
    """What an actor may do: whatever all of the policies permit.

    The first policy is that of the farm; further ones narrow it, as the scope of a token does.
    This is the one place where they come together: pages, answers and refusals all ask here.
    """

    actor: Actor
    policies: tuple[AccessPolicy, ...] = (AccessPolicy(),)
    _ours: tuple[tuple[AccessRule, ...], ...] = attrs.field(init=False, repr=False)

    @_ours.default
    def _those_about_the_actor(self) -> tuple[tuple[AccessRule, ...], ...]:
        return tuple(
            tuple(rule for rule in policy.rules if rule.is_about(self.actor))
            for policy in self.policies
        )

    @property
    def is_open(self) -> bool:
        """Return whether there is nothing to decide: every user may send every job request."""
        return all(policy.is_open for policy in self.policies)

    @property
    def key(self) -> Hashable:
        """Return a value that is the same only for actors who may do the same, for caches."""
        return () if self.is_open else (self.policies, self._ours, self.actor.who is None)

    def decide(self, question: Question) -> Decision:
        """Return the decision: that of the first policy that refuses, else that of the first."""
        decisions = [policy.decide(self.actor, question) for policy in self.policies]
        return next((one for one in decisions if not one.allowed), decisions[0])

    def outlook(self, question: Question, unknown: Collection[str]) -> Outlook:
        """Return what is permitted while the fields of rules named by ``unknown`` are open."""
        outlooks = [
            self._outlook(policy, ours, question, unknown)
            for policy, ours in zip(self.policies, self._ours, strict=True)
        ]
        for extent in (Extent.NO, Extent.PARTLY):
            for one in outlooks:
                if one.extent is extent:
                    return one
        return outlooks[0]

    def _outlook(
        self,
        policy: AccessPolicy,
        ours: Sequence[AccessRule],
        question: Question,
        unknown: Collection[str],
    ) -> Outlook:
        possible = tuple(_possible(ours, question, unknown))
        default = attrs.evolve(policy, rules=()).decide(self.actor, question).allowed
        allowed = {default if rule is None else not rule.deny for rule in possible}
        if allowed == {True}:
            return Outlook(Extent.YES, possible)
        extent = Extent.PARTLY if len(allowed) > 1 else Extent.NO
        return Outlook(extent, possible, policy.decide(self.actor, question).needed)


def _possible(
    ours: Sequence[AccessRule], question: Question, unknown: Collection[str]
) -> Iterator[AccessRule | None]:
    """Yield the rules that may decide a question; the last one does if no other."""
    for rule in ours:
        conditions = [name for name in unknown if _restricts(rule, name)]
        changes: dict[str, Any] = {name: _NO_CONDITION[name] for name in conditions}
        known = attrs.evolve(rule, **changes) if conditions else rule
        if not known.covers(question):
            continue
        yield rule
        if not conditions:
            return
    yield None


def _restricts(rule: AccessRule, name: str) -> bool:
    value = getattr(rule, name)
    # Every branch has a name, and matches this pattern; not every branch has an access level.
    if name == "branches" and "*" in value:
        return False
    return bool(value != _NO_CONDITION[name])


def question_about(action: Action, branch: Branch, builders: Sequence[str] = ()) -> Question:
    """Return the question whether an action may be done on a branch."""
    return Question(
        action.name,
        branch.name,
        branch.access,
        builders,
        priority=getattr(action, "priority", None),
        count=getattr(action, "count", int(action.name in ASKING)),
    )


def unknown_of(name: str) -> frozenset[str]:
    """Return what is open of an action, by the fields of rules, until a job request names it."""
    action = ACTIONS.get(name)
    if action is None:
        return NOTHING
    fields = {field.name for field in attrs.fields(action)}
    amounts = {of_rule for field, of_rule in _FIELD_OF.items() if field in fields}
    # The schedulers of a master choose the builders of a new build: they are never known here.
    return frozenset(amounts) | (NOTHING if action is NewBuild else BUILDERS)
