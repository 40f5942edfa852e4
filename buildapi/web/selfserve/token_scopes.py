"""Read the scope of a new token from a form, and say what is odd about it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import ClassVar

import attrs

from buildapi.errors import BadRequest
from buildapi.model.access import NAMES
from buildapi.model.actions import ACTIONS
from buildapi.model.token_scope import PATTERNS_MAX, TokenScope
from buildapi.model.validators import NAME_MAX
from buildapi.parameters.param import Param, Place
from buildapi.parameters.types import ParamType, Schema, Switch, Values
from buildapi.web.http.call import Call
from buildapi.web.http.parameter_names import nearest

_BETWEEN = re.compile(r"[,\s]+")
_WILD = re.compile(r"[*?\[]")


@attrs.frozen
class ScopePatterns(ParamType[tuple[str, ...]]):
    """Different patterns of names; one text may have several, with commas or blanks between."""

    repeats: ClassVar[bool] = True

    def parse(self, name: str, values: Values) -> tuple[str, ...] | None:
        """Return the patterns, each once."""
        if not all(isinstance(one, str) for one in values):
            raise BadRequest(f"Bad {name}: allowed are texts, or lists of texts")
        texts = [str(one) for one in values if one]  # a field of a form that was left empty
        found = dict.fromkeys(part for text in texts for part in _BETWEEN.split(text) if part)
        if texts and not found:
            raise BadRequest(f"Bad {name}: there is no pattern in it; leave it out for no limit")
        if len(found) > PATTERNS_MAX:
            raise BadRequest(f"Bad {name}: {len(found)} patterns (max {PATTERNS_MAX})")
        for pattern in found:
            if len(pattern) > NAME_MAX or not pattern.isprintable():
                raise BadRequest(f"Bad {name}: a pattern has up to {NAME_MAX} printable characters")
        return tuple(found) or None

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "array", "items": {"type": "string"}, "minItems": 1}

    def words(self) -> str:
        """Return how many there may be."""
        return f"patterns, up to {PATTERNS_MAX}, with commas between or repeated"


ACTION_PATTERNS = Param(
    "actions",
    "job requests that it may send, such as rebuild_*; all by default",
    ScopePatterns(),
    Place.BODY,
    default=(),
)
BRANCH_PATTERNS = Param(
    "branches",
    "branches that it may act on, such as try*; all by default",
    ScopePatterns(),
    Place.BODY,
    default=(),
)
READ_ONLY = Param("read_only", "it may change nothing", Switch(), Place.BODY, default=False)
SCOPE = (ACTION_PATTERNS, BRANCH_PATTERNS, READ_ONLY)
"""The parameters of a scope."""


def scope_of(call: Call) -> TokenScope:
    """Return the scope that a call describes.

    :raises BadRequest: a pattern is malformed or names no action, or they contradict each other.
    """
    for param in SCOPE:
        # A program that finds nothing to list must not get a token without limits.
        if [] in call.form.values.get(param.name, ()):
            raise BadRequest(f"Bad {param.name}: the list is empty; leave it out for no limit")
    actions, branches = ACTION_PATTERNS.of(call), BRANCH_PATTERNS.of(call)
    read_only = READ_ONLY.of(call)
    if read_only and (actions or branches):
        raise BadRequest(
            "Bad read_only: a read-only token has no actions, and may read all branches; leave out"
            " actions and branches, or read_only"
        )
    for pattern in actions:
        _require_action(pattern)
    return TokenScope(actions, branches, read_only)


def unmatched(scope: TokenScope, branches: Collection[str]) -> Sequence[str]:
    """Return a warning for each pattern of branches that matches none now."""
    return [
        f"{pattern} matches no branch of the branches file"
        for pattern in scope.branches
        if not any(fnmatchcase(name, pattern) for name in branches)
    ]


def words_of(scope: TokenScope) -> str:
    """Describe a scope in a few words; empty if it limits nothing."""
    if scope.read_only:
        return "read-only"
    parts = (("actions", scope.actions), ("branches", scope.branches))
    return "; ".join(f"{name} {', '.join(patterns)}" for name, patterns in parts if patterns)


def _require_action(pattern: str) -> None:
    """Raise BadRequest for a pattern of actions that can never match."""
    if pattern in NAMES or any(fnmatchcase(name, pattern) for name in ACTIONS):
        return
    allowed = f"allowed are {', '.join(NAMES)}, and patterns of the job requests among them"
    if _WILD.search(pattern):
        raise BadRequest(f"Bad actions: {pattern[:60]!r} matches no job request; {allowed}")
    near = nearest(pattern, NAMES)
    known = f"did you mean '{near}'?" if near else allowed
    raise BadRequest(f"Bad actions: unknown action {pattern[:60]!r}: {known}")
