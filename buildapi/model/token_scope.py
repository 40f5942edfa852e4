"""The scope of a token: what its bearer may do of all that its user may.

A scope only narrows. Whether the user may do a thing is for the rules of ``buildapi.model.access``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypedDict

import attrs

from buildapi.model.access import ADMINISTRATION, Question

PATTERNS_MAX = 20
"""Maximum number of patterns of actions, and of branches, in one scope."""


@attrs.frozen
class TokenScope:
    """Limit a token to some actions on some branches, or to reading; the default limits nothing.

    ``actions`` and ``branches`` are patterns with ``*``, ``?`` and ``[...]``, upper and lower case
    told apart; empty ones match everything.  No pattern but its name means an administration.
    """

    actions: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    read_only: bool = False

    @property
    def is_limited(self) -> bool:
        """Return whether the token may do less than its user."""
        return bool(self.actions or self.branches or self.read_only)

    def refusal_of(self, question: Question) -> str:
        """Return why the scope does not permit what is asked; empty if it does."""
        if self.read_only:
            return "it is read-only"
        if self.actions and not self._names(question.action):
            return f"its actions are {', '.join(self.actions)}"
        if self.branches and not _matches(self.branches, question.branch):
            return f"its branches are {', '.join(self.branches)}"
        return ""

    def _names(self, action: str) -> bool:
        if action in ADMINISTRATION:
            return action in self.actions
        return _matches(self.actions, action)


NO_LIMITS = TokenScope()
"""The scope of a token that may do all that its user may."""

NOT_UNDERSTOOD = TokenScope(read_only=True)
"""What is left of a scope that this version cannot read: a newer one may limit more than it."""


class ScopeDocument(TypedDict):
    """What a token is limited to; an empty list is no limit."""

    actions: list[str]
    branches: list[str]
    read_only: bool


def scope_json(scope: TokenScope) -> ScopeDocument | None:
    """Return a scope as a JSON object; None if it limits nothing."""
    if not scope.is_limited:
        return None
    return {
        "actions": list(scope.actions),
        "branches": list(scope.branches),
        "read_only": scope.read_only,
    }


def scope_from(document: object) -> TokenScope:
    """Return the scope in a JSON object, ``NOT_UNDERSTOOD`` if it has anything unknown."""
    if document is None:
        return NO_LIMITS
    if not isinstance(document, Mapping) or set(document) != {"actions", "branches", "read_only"}:
        return NOT_UNDERSTOOD
    actions, branches = document["actions"], document["branches"]
    read_only = document["read_only"]
    if not (_texts(actions) and _texts(branches) and isinstance(read_only, bool)):
        return NOT_UNDERSTOOD
    return TokenScope(tuple(actions), tuple(branches), read_only)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _matches(patterns: Sequence[str], name: str | None) -> bool:
    return name is not None and any(fnmatchcase(name, pattern) for pattern in patterns)
