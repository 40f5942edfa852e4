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
from buildapi.model.token_scope import NO_LIMITS, TokenScope

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

    None among the rules is the default; ``effects`` are whether each permits it.  ``needed`` says
    what would be needed where it is refused.
    """

    extent: Extent
    rules: tuple[AccessRule | None, ...]
    effects: tuple[bool, ...]
    needed: str = ""


OPEN_POLICY = AccessPolicy()
"""No rules: every user may send every job request."""


@attrs.frozen
class Permissions:
    """What an actor may do: what the rules permit the user, and the scope of the token does.

    This is the one place where the two come together: pages, answers and refusals all ask here.
    """

    actor: Actor
    policy: AccessPolicy = OPEN_POLICY
    scope: TokenScope = NO_LIMITS
    _ours: tuple[AccessRule, ...] = attrs.field(init=False, repr=False)

    key: Hashable = attrs.field(init=False, repr=False, eq=False)
    """A value that is the same only for actors who may do the same, for caches."""

    @_ours.default
    def _those_about_the_actor(self) -> tuple[AccessRule, ...]:
        return tuple(rule for rule in self.policy.rules if rule.is_about(self.actor))

    @key.default
    def _what_decides(self) -> Hashable:
        if self.is_open:  # for every user, and nobody is none
            return self.actor.who is None
        # Refusals by the scope of a token name the token.
        token = self.actor.token if self.scope.is_limited else None
        return self.policy, self._ours, self.actor.who is None, self.scope, token

    @property
    def is_open(self) -> bool:
        """Return whether there is nothing to decide: every user may send every job request."""
        return self.policy.is_open and not self.scope.is_limited

    @property
    def names_builders(self) -> bool:
        """Return whether anything depends on builders."""
        return any(rule.builders for rule in self._ours)

    def decide(self, question: Question) -> Decision:
        """Return whether something is permitted of which everything is known."""
        decision = self.policy.decide(self.actor, question)
        why = self.scope.refusal_of(question) if decision.allowed else ""
        return Decision(False, self._scope_name, self._scope_needed(why)) if why else decision

    @property
    def _scope_name(self) -> str:
        return f"the scope of token {self.actor.token}"

    def _scope_needed(self, why: str) -> str:
        return f"a token without that limit ({why})"

    def outlook(self, question: Question, unknown: Collection[str]) -> Outlook:
        """Return what is permitted while the fields of rules named by ``unknown`` are open."""
        outlook = self._outlook(question, unknown)
        if outlook.extent is Extent.NO or not self.scope.is_limited:
            return outlook
        scope = self.scope
        is_of_some = "branches" in unknown and bool(scope.branches) and "*" not in scope.branches
        if is_of_some:
            scope = attrs.evolve(scope, branches=())
        if why := scope.refusal_of(question):
            refusing = AccessRule(self._scope_name, deny=True)
            return Outlook(Extent.NO, (refusing,), (False,), self._scope_needed(why))
        return attrs.evolve(outlook, extent=Extent.PARTLY) if is_of_some else outlook

    def _outlook(self, question: Question, unknown: Collection[str]) -> Outlook:
        possible = tuple(_possible(self._ours, question, unknown))
        default = attrs.evolve(self.policy, rules=()).decide(self.actor, question).allowed
        effects = tuple(default if rule is None else not rule.deny for rule in possible)
        if all(effects):
            return Outlook(Extent.YES, possible, effects)
        extent = Extent.PARTLY if any(effects) else Extent.NO
        return Outlook(extent, possible, effects, self.policy.decide(self.actor, question).needed)


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
