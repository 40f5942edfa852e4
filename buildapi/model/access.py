"""Decide who may do what: permission rules over users, groups, tokens, actions and branches.

A rule names whom it is about, what it lets them do, and where.  The first rule that fits a question
decides it; where none fits, the policy's default does.  Nothing here does I/O: a decision can be
asked for, explained and tested without a farm.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
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


@attrs.frozen
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
        if not self._names_action(question.action):
            return False
        if self.branches and not _matches(self.branches, question.branch):
            return False
        if self.access and not _matches(self.access, question.access):
            return False
        return self._covers_builders(question.builders) and self._covers_amount(question)

    def _names_action(self, action: str) -> bool:
        if action in ADMINISTRATION:
            return action in self.actions
        return not self.actions or _any(self.actions, action)

    def _covers_builders(self, builders: Sequence[str]) -> bool:
        if not self.builders:
            return True
        matched = [_any(self.builders, name) for name in builders]
        if self.deny:
            # Builders that are not known yet might be those: a refusal must not be walked around
            # by asking for everything at once.
            return not matched or any(matched)
        return bool(matched) and all(matched)

    def _covers_amount(self, question: Question) -> bool:
        if self.priorities is not None:
            low, high = self.priorities
            # None asked for: nothing of it needs permission, and nothing of it could be denied.
            if question.priority is None:
                inside = not self.deny
            else:
                inside = low <= question.priority <= high
            if not inside:
                return False
        return self.count is None or question.count <= self.count


@attrs.frozen
class Decision:
    """Whether something is permitted, and the name of the rule that says so; None is the default.

    ``needed`` says what would be needed instead, empty if nothing would help or it is permitted.
    """

    allowed: bool
    rule: str | None = None
    needed: str = ""


@attrs.frozen
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
        """Say who may do it: the groups, users and tokens of the rules that would permit it."""
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
