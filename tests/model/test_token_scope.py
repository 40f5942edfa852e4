"""Scopes of tokens: what they permit, and how they are written down."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.access import NAMES, Question
from buildapi.model.token_scope import (
    NO_LIMITS,
    NOT_UNDERSTOOD,
    TokenScope,
    scope_from,
    scope_json,
)

BOT = TokenScope(("rebuild_*", "cancel_build"), ("try*", "projects/a?h"))

patterns = st.lists(st.sampled_from(["*", "rebuild_*", "cancel_build", "try", "t?y"]), max_size=3)
scopes = st.builds(TokenScope, patterns.map(tuple), patterns.map(tuple), st.booleans())
questions = st.builds(
    Question, st.sampled_from(NAMES), st.none() | st.sampled_from(["try", "tty", "mozilla-central"])
)


@pytest.mark.parametrize("name", NAMES)
def test_a_token_without_limits_may_ask_for_anything(name: str) -> None:
    assert not NO_LIMITS.is_limited
    assert NO_LIMITS.refusal_of(Question(name, "try")) == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_read_only_token_may_change_nothing(name: str) -> None:
    scope = TokenScope(read_only=True)
    assert scope.is_limited
    assert scope.refusal_of(Question(name, "try")) == "it is read-only"


@pytest.mark.parametrize(
    ("action", "branch", "refusal"),
    [
        ("rebuild_build", "try", ""),
        ("rebuild_request", "try-comm", ""),
        ("cancel_build", "projects/ash", ""),
        ("cancel_request", "try", "its actions are rebuild_*, cancel_build"),
        ("Rebuild_build", "try", "its actions are rebuild_*, cancel_build"),
        ("rebuild_build", "mozilla-central", "its branches are try*, projects/a?h"),
        ("rebuild_build", "Try", "its branches are try*, projects/a?h"),
        ("rebuild_build", None, "its branches are try*, projects/a?h"),
    ],
)
def test_actions_and_branches_are_patterns(action: str, branch: str | None, refusal: str) -> None:
    assert BOT.refusal_of(Question(action, branch)) == refusal


def test_administration_is_permitted_by_its_name_alone() -> None:
    asked = Question("manage_tokens")
    assert TokenScope(("*",)).refusal_of(asked)
    assert TokenScope(("manage_*",)).refusal_of(asked)
    assert not TokenScope(("manage_tokens",)).refusal_of(asked)
    assert TokenScope(("manage_tokens",), ("try",)).refusal_of(asked)


@given(scopes, questions)
def test_a_scope_only_narrows(scope: TokenScope, question: Question) -> None:
    """Fewer patterns of one kind, but not none of them, never permit more."""
    fewer = TokenScope(scope.actions[:1], scope.branches[:1], read_only=scope.read_only)
    if not fewer.refusal_of(question):
        assert not scope.refusal_of(question)
    if not scope.refusal_of(question):
        assert not NO_LIMITS.refusal_of(question)


@given(scopes)
def test_a_scope_is_read_as_it_was_written(scope: TokenScope) -> None:
    assert scope_from(json.loads(json.dumps(scope_json(scope)))) == scope


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["actions", "branches", "read_only", "x"]), inner)
        ),
    )
)
def test_what_is_not_understood_permits_no_change(document: object) -> None:
    scope = scope_from(document)
    assert scope == NOT_UNDERSTOOD or scope_json(scope) in (document, None)
    if document is not None and scope_json(scope) is None:
        assert document == {"actions": [], "branches": [], "read_only": False}
