"""What one user may do, as decisions and as outlooks, over any rules."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildapi.model.access import AccessPolicy, AccessRule, Actor, Question
from buildapi.model.actions import (
    ACTIONS,
    CancelRevision,
    NewBuild,
    RebuildBuild,
    Reprioritize,
)
from buildapi.model.branches import Branch
from buildapi.model.permissions import (
    BRANCHES,
    BUILDERS,
    NOTHING,
    Extent,
    Permissions,
    question_about,
    unknown_of,
)
from buildapi.model.token_scope import NO_LIMITS, TokenScope

BRANCH = ("try", "central")
ACCESS = ("scm_level_1", "scm_level_3")
BUILDER = ("linux", "mac")


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


rules = st.builds(
    AccessRule,
    name=st.sampled_from(["a", "b", "c"]),
    deny=st.booleans(),
    users=some("zoe", "z*"),
    groups=some("level1", "sheriffs"),
    tokens=some("zoe/*"),
    actions=some("cancel_*", "rebuild_build", "*"),
    branches=some("try", "c*", "*"),
    access=some(*ACCESS, "*"),
    builders=some(*BUILDER, "*"),
    priorities=st.none() | st.just((0, 5)),
    count=st.none() | st.just(2),
)
policies = st.builds(
    AccessPolicy, rules=st.lists(rules, max_size=5).map(tuple), default_allow=st.booleans()
)
actors = st.builds(
    Actor,
    who=st.sampled_from(["zoe", "mo", None]),
    groups=st.frozensets(st.sampled_from(["level1", "sheriffs"])),
    token=st.sampled_from([None, "zoe/night"]),
)
scopes = st.builds(
    TokenScope, some("cancel_*", "rebuild_build", "*"), some("try", "c*", "*"), st.booleans()
)
permissions = st.builds(
    Permissions, actor=actors, policy=policies, scope=st.just(NO_LIMITS) | scopes
)
questions = st.builds(
    Question,
    action=st.sampled_from(sorted(ACTIONS)),
    branch=st.sampled_from(BRANCH),
    access=st.sampled_from([*ACCESS, None]),
    builders=st.sampled_from([(), *((name,) for name in BUILDER)]),
    priority=st.none() | st.integers(-1, 7),
    count=st.integers(0, 4),
)
unknowns = st.frozensets(
    st.sampled_from(["branches", "access", "builders", "priorities", "count"])
).map(lambda found: found | BRANCHES if found & BRANCHES else found)
OF = {
    "branches": ("branch", BRANCH),
    "access": ("access", (*ACCESS, None)),
    "builders": ("builders", tuple((name,) for name in BUILDER)),
    "priorities": ("priority", (0, 6)),
    "count": ("count", (1, 3)),
}


@given(permissions, questions)
def test_an_outlook_of_which_nothing_is_open_is_the_decision(
    found: Permissions, question: Question
) -> None:
    decision, outlook = found.decide(question), found.outlook(question, NOTHING)
    assert outlook.extent is (Extent.YES if decision.allowed else Extent.NO)


@given(permissions, questions, unknowns, st.data())
def test_a_sure_outlook_holds_whatever_turns_out(
    found: Permissions, question: Question, unknown: frozenset[str], data: st.DataObject
) -> None:
    outlook = found.outlook(question, unknown)
    known = question
    for name in sorted(unknown):
        field, values = OF[name]
        known = attrs.evolve(known, **{field: data.draw(st.sampled_from(values))})
    if outlook.extent is not Extent.PARTLY:
        assert found.decide(known).allowed == (outlook.extent is Extent.YES)


@given(permissions, questions)
def test_the_scope_of_a_token_only_narrows(found: Permissions, question: Question) -> None:
    user = attrs.evolve(found, scope=NO_LIMITS).decide(question)
    decision = found.decide(question)
    assert decision.allowed == (user.allowed and not found.scope.refusal_of(question))
    assert user.allowed or decision == user


@given(permissions, actors, questions)
@example(Permissions(Actor("zoe")), Actor(None), Question("cancel_build", "try"))
def test_who_has_the_same_key_may_do_the_same(
    one: Permissions, actor: Actor, question: Question
) -> None:
    other = attrs.evolve(one, actor=actor)
    if one.key == other.key:
        assert one.decide(question) == other.decide(question)
        assert one.outlook(question, BUILDERS) == other.outlook(question, BUILDERS)


@given(permissions, questions)
def test_builders_one_by_one_are_refused_if_any_of_them_is(
    found: Permissions, question: Question
) -> None:
    """Rules never refuse one by one what they permit together, so nothing is walked around."""
    together = found.decide(attrs.evolve(question, builders=BUILDER)).allowed
    each = [found.decide(attrs.evolve(question, builders=(name,))).allowed for name in BUILDER]
    if together:
        assert all(each)


def test_without_rules_everything_is_open() -> None:
    found = Permissions(Actor("zoe"))
    assert found.is_open
    assert found.key == Permissions(Actor("eve", frozenset({"any"}))).key
    assert found.outlook(Question("cancel_build", "try"), BUILDERS).extent is Extent.YES


def test_an_outlook_names_the_rules_that_may_decide_and_what_is_needed() -> None:
    linux = AccessRule("linux", builders=("linux*",), branches=("try",))
    central = AccessRule("central", deny=True, branches=("central",))
    sheriffs = AccessRule("sheriffs", groups=("sheriffs",))
    found = Permissions(Actor("zoe"), AccessPolicy((linux, central, sheriffs), False))
    partly = found.outlook(Question("cancel_build", "try"), BUILDERS)
    assert (partly.extent, partly.rules) == (Extent.PARTLY, (linux, None))
    never = found.outlook(Question("cancel_build", "central"), BUILDERS)
    assert (never.extent, never.rules, never.needed) == (Extent.NO, (central,), "group sheriffs")


def test_a_question_about_an_action_has_what_the_action_names() -> None:
    branch = Branch("try", ("try",), {"access": "scm_level_1"})
    rebuild = question_about(RebuildBuild(11, priority=3, count=4), branch, ("linux",))
    assert rebuild == Question("rebuild_build", "try", "scm_level_1", ("linux",), 3, 4)
    assert question_about(CancelRevision("try", "abcd"), branch).count == 0
    assert question_about(NewBuild("try", "abcd"), branch).count == 1
    assert question_about(Reprioritize(1, 9), branch).priority == 9


@pytest.mark.parametrize("definition", [{}, {"access": ""}, {"access": 3}, {"access": None}])
def test_a_branch_without_a_level_has_none(definition: dict[str, object]) -> None:
    assert Branch("try", ("try",), definition).access is None


def test_a_refusal_by_the_scope_names_the_token_and_the_limit() -> None:
    actor = Actor("zoe", token="zoe/night")
    found = Permissions(actor, scope=TokenScope(actions=("rebuild_*",)))
    assert not found.is_open
    decision = found.decide(Question("cancel_build", "try"))
    assert decision.rule == "the scope of token zoe/night"
    assert decision.needed == "a token without that limit (its actions are rebuild_*)"
    other = attrs.evolve(found, actor=Actor("mo", token="mo/night"))
    assert found.key != other.key


def test_what_is_open_of_an_action_follows_from_its_fields() -> None:
    assert unknown_of("rebuild_build") == {"builders", "priorities", "count"}
    assert unknown_of("cancel_build") == {"builders"}
    assert unknown_of("new_build_at_revision") == NOTHING
    assert unknown_of("read_audit") == NOTHING
