"""Decide who may do what: permission rules over users, groups, tokens, actions and branches.

A rule names whom it is about, what it lets them do, and where.  The first rule that fits a question
decides it; where none fits, the policy's default does.  Nothing here does I/O: a decision can be
asked for, explained and tested without a farm.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

import attrs

from buildapi.model.actions import ACTIONS


class Administration(enum.Enum):
    """What users may be permitted beside job requests.

    ``*`` in a rule's actions does not mean these, and no default permits them: a rule names them.
    """

    READ_AUDIT = "read_audit"
    MANAGE_TOKENS = "manage_tokens"


@attrs.frozen
class Actor:
    """Who asks: a user, None for nobody, with their groups, and the token they use.

    ``token`` is ``USER/LABEL``: users choose labels themselves, so a label alone is nobody's name.
    """

    who: str | None
    groups: frozenset[str] = frozenset()
    token: str | None = None


@attrs.frozen
class Question:
    """What is asked: an action on a branch.

    ``access`` is the access level of the branch in the branches file, None without one.
    ``builders`` are the names of the builders it touches, empty if they are not known yet.
    ``count`` is the number of builds it asks for.
    """

    action: str
    branch: str | None = None
    access: str | None = None
    builders: Sequence[str] = ()
    priority: int | None = None
    count: int = 1


@attrs.frozen(cache_hash=True)  # it is part of the keys of caches
class AccessRule:
    """Permit, or with ``deny`` refuse, some users some actions on some branches.

    All fields but the name are lists of patterns with ``*``, ``?`` and ``[...]``, upper and lower
    case told apart; an empty one matches everything.  A rule with users, groups and tokens is about
    whoever matches one of the three.  In the pattern of a token, ``USER/LABEL``, only the label is
    a pattern.  ``priorities`` is the range of priorities and ``count`` the most builds that it
    permits; a question outside of them is left to the next rules.
    """

    name: str
    deny: bool = False
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    builders: tuple[str, ...] = ()
    priorities: tuple[int, int] | None = None
    count: int | None = None

    def is_about(self, actor: Actor) -> bool:
        """Return whether an actor is one of those whom the rule names."""
        if not (self.users or self.groups or self.tokens):
            return actor.who is not None
        return (
            (actor.who is not None and _any(self.users, actor.who))
            or any(_any(self.groups, group) for group in actor.groups)
            or any(_is_token(pattern, actor) for pattern in self.tokens)
        )

    def covers(self, question: Question) -> bool:
        """Return whether the rule decides what is asked, whoever asks.

        A rule that denies covers a question of which one builder matches, or of which the builders
        are not known; one that permits, only if all of them match.
        """
        return all(is_covered(self, question) for is_covered in _CONDITIONS.values())

    def fits(self, actor: Actor, question: Question) -> Mapping[str, bool | None]:
        """Return for each part of a question whether the rule fits; None where any would.

        The rule decides if no part is False.
        """
        fits: dict[str, bool | None] = {"who": self.is_about(actor)}
        for name, is_covered in _CONDITIONS.items():
            any_would = getattr(self, _FIELDS.get(name, name)) in ((), None)
            covered = is_covered(self, question)
            fits[name] = None if any_would and covered else covered
        return fits

    def _covers_action(self, question: Question) -> bool:
        if question.action in ADMINISTRATION:
            return question.action in self.actions
        return not self.actions or _any(self.actions, question.action)

    def _covers_branch(self, question: Question) -> bool:
        return not self.branches or _matches(self.branches, question.branch)

    def _covers_access(self, question: Question) -> bool:
        return not self.access or _matches(self.access, question.access)

    def _covers_builders(self, question: Question) -> bool:
        if not self.builders:
            return True
        matched = [_any(self.builders, name) for name in question.builders]
        if self.deny:
            # Builders that are not known yet might be those: a refusal must not be walked around
            # by asking for everything at once.
            return not matched or any(matched)
        return bool(matched) and all(matched)

    def _covers_priority(self, question: Question) -> bool:
        if self.priorities is None:
            return True
        # None asked for: nothing of it needs permission, and nothing of it could be denied.
        if question.priority is None:
            return not self.deny
        low, high = self.priorities
        return low <= question.priority <= high

    def _covers_count(self, question: Question) -> bool:
        return self.count is None or question.count <= self.count


# By the keys of the configuration, in the order in which they are asked.
_CONDITIONS: Mapping[str, Callable[[AccessRule, Question], bool]] = {
    "actions": AccessRule._covers_action,
    "branches": AccessRule._covers_branch,
    "access": AccessRule._covers_access,
    "builders": AccessRule._covers_builders,
    "priority": AccessRule._covers_priority,
    "count": AccessRule._covers_count,
}
_FIELDS = {"priority": "priorities"}


@attrs.frozen
class Decision:
    """Whether something is permitted, and the name of the rule that says so; None is the default.

    ``needed`` says what would be needed instead, empty if nothing would help or it is permitted.
    """

    allowed: bool
    rule: str | None = None
    needed: str = ""


@attrs.frozen(cache_hash=True)
class AccessPolicy:
    """The rules in their order, and what is true where none of them fits."""

    rules: tuple[AccessRule, ...] = ()
    default_allow: bool = True

    @property
    def is_open(self) -> bool:
        """Return whether every user may send every job request, as without any rules."""
        return not self.rules and self.default_allow

    def decide(self, actor: Actor, question: Question) -> Decision:
        """Return the decision of the first rule that is about the actor and covers the question."""
        for rule in self.rules:
            if rule.is_about(actor) and rule.covers(question):
                needed = self._needed(question) if rule.deny else ""
                return Decision(not rule.deny, rule.name, needed)
        allowed = self.default_allow and question.action not in ADMINISTRATION
        if allowed and actor.who is not None:
            return Decision(True)
        return Decision(False, None, self._needed(question))

    def _needed(self, question: Question) -> str:
        """Return who may do it: the groups, users and tokens of the rules that would permit it."""
        permitting = [rule for rule in self.rules if not rule.deny and rule.covers(question)]
        kinds = (
            ("group", [name for rule in permitting for name in rule.groups]),
            ("user", [name for rule in permitting for name in rule.users]),
            ("token", [name for rule in permitting for name in rule.tokens]),
        )
        return "; ".join(
            f"{kind} {' or '.join(dict.fromkeys(names))}" for kind, names in kinds if names
        )


ADMINISTRATION = frozenset(one.value for one in Administration)
"""The names of what users may be permitted beside job requests."""

NAMES = (*ACTIONS, *sorted(ADMINISTRATION))
"""Every action that a rule can name."""


def _is_token(pattern: str, actor: Actor) -> bool:
    """Return whether an actor uses a token that a pattern ``USER/LABEL`` names."""
    # The user exactly: with wildcards, anybody could be one of them by a fitting name.
    user, slash, label = pattern.partition("/")
    return (
        bool(slash)
        and actor.token is not None
        and actor.who == user
        and fnmatchcase(actor.token.removeprefix(f"{user}/"), label)
    )


def _any(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _matches(patterns: Sequence[str], name: str | None) -> bool:
    return name is not None and _any(patterns, name)
