"""Who may do what, as a function of rules, actor and question."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from buildapi.model.access import (
    NAMES,
    AccessPolicy,
    AccessRule,
    Actor,
    Administration,
    Question,
)
from buildapi.model.actions import ACTIONS

TRY = Question("rebuild_build", "try", "scm_level_1", ("Linux try build",), 0, 1)
ADMINISTRATION = [one.value for one in Administration]

USERS = ("zoe", "zoé", "sue", "bot*", "[x]")
GROUPS = ("scm_level_1", "scm_level_3", "sheriffs")
BRANCHES = ("try", "mozilla-central", "mozilla-inbound")
BUILDERS = ("Linux try build", "Linux try test", "WINNT mozilla-central build")
LABELS = ("nightly", "night/ly", "x")


def patterns(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
    """Make lists of patterns of these names: whole ones, beginnings, and all."""
    wild = [f"{name[:3]}*" for name in names] + ["*", "?ry", "[a-z]*", "none"]
    some = st.lists(st.sampled_from([*names, *wild]), max_size=2).map(tuple)
    # Mostly left out, as in real rules: with all keys set, hardly one would ever fit.
    return st.one_of(st.just(()), st.just(()), some)


TOKENS = st.lists(
    st.sampled_from([f"{user}/{label}" for user in USERS for label in ("*", "nig*", "x")]),
    max_size=2,
).map(tuple)
WHERE: dict[str, Any] = {
    "actions": patterns(*NAMES),
    "branches": patterns(*BRANCHES),
    "access": patterns(*GROUPS),
    "builders": patterns(*BUILDERS),
    "priorities": st.none()
    | st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(lambda p: (min(p), max(p))),
    "count": st.none() | st.integers(1, 9),
}
RULES = st.builds(
    AccessRule,
    name=st.uuids().map(str),
    deny=st.booleans(),
    users=patterns(*USERS),
    groups=patterns(*GROUPS),
    tokens=TOKENS,
    **WHERE,
)
POLICIES = st.builds(AccessPolicy, st.lists(RULES, max_size=5).map(tuple), st.booleans())
WHO = st.none() | st.sampled_from(USERS)


@st.composite
def actors(draw: st.DrawFn) -> Actor:
    who = draw(WHO)
    label = draw(st.none() | st.sampled_from(LABELS))
    token = None if who is None or label is None else f"{who}/{label}"
    return Actor(who, draw(st.frozensets(st.sampled_from(GROUPS))) if who else frozenset(), token)


QUESTIONS = st.builds(
    Question,
    action=st.sampled_from(NAMES),
    branch=st.none() | st.sampled_from(BRANCHES),
    access=st.none() | st.sampled_from(GROUPS),
    builders=st.lists(st.sampled_from(BUILDERS), max_size=3).map(tuple),
    priority=st.none() | st.integers(-9, 9),
    count=st.integers(1, 9),
)


# --- the order of rules


@given(POLICIES, actors(), QUESTIONS)
def test_the_first_rule_that_fits_decides(
    policy: AccessPolicy, actor: Actor, question: Question
) -> None:
    fits = [r for r in policy.rules if r.is_about(actor) and r.covers(question)]
    decision = policy.decide(actor, question)
    if fits:
        assert (decision.rule, decision.allowed) == (fits[0].name, not fits[0].deny)
    else:
        assert decision.rule is None


@given(POLICIES, st.booleans(), RULES, WHO, QUESTIONS)
def test_a_rule_after_one_that_fits_changes_nothing(
    policy: AccessPolicy, deny: bool, more: AccessRule, who: str | None, question: Question
) -> None:
    rest = AccessRule("all the rest", deny, actions=("*", *ADMINISTRATION))
    policy = attrs.evolve(policy, rules=(*policy.rules, rest))
    before = policy.decide(Actor(who), question)
    after = attrs.evolve(policy, rules=(*policy.rules, more)).decide(Actor(who), question)
    assert (before.rule is None) == (who is None)
    assert (after.allowed, after.rule) == (before.allowed, before.rule)


@given(POLICIES, st.randoms(use_true_random=False), actors(), QUESTIONS)
def test_rules_that_do_not_fit_may_stand_anywhere(
    policy: AccessPolicy, random: Any, actor: Actor, question: Question
) -> None:
    fits = [r for r in policy.rules if r.is_about(actor) and r.covers(question)]
    others = [r for r in policy.rules if r not in fits]
    mixed = list(fits)
    for rule in others:
        mixed.insert(random.randint(0, len(mixed)), rule)
    after = attrs.evolve(policy, rules=tuple(mixed)).decide(actor, question)
    assert after.allowed == policy.decide(actor, question).allowed


@given(POLICIES, actors(), QUESTIONS)
def test_a_rule_that_permits_never_takes_away_by_a_default_of_deny(
    policy: AccessPolicy, actor: Actor, question: Question
) -> None:
    strict = attrs.evolve(policy, default_allow=False).decide(actor, question)
    lenient = attrs.evolve(policy, default_allow=True).decide(actor, question)
    assert lenient.allowed or not strict.allowed
    if strict.rule is not None:
        assert strict == lenient


# --- narrower


@given(RULES, st.data(), actors(), QUESTIONS)
def test_a_narrower_rule_never_permits_more(
    rule: AccessRule, data: st.DataObject, actor: Actor, question: Question
) -> None:
    rule = attrs.evolve(rule, deny=False)
    wide = AccessPolicy((rule,), default_allow=False)
    narrower = attrs.evolve(rule, **narrowed(rule, data.draw))
    narrow = AccessPolicy((narrower,), default_allow=False)
    assert wide.decide(actor, question).allowed or not narrow.decide(actor, question).allowed


def narrowed(rule: AccessRule, draw: Any) -> dict[str, Any]:
    """Restrict one key of a rule: a list that is left out gets items, another loses some."""
    key = draw(st.sampled_from(sorted(WHERE)))
    value = getattr(rule, key)
    if key == "count":
        return {key: draw(st.integers(1, value or 9))}
    if key == "priorities":
        low, high = value or (-9, 9)
        return {key: draw(st.tuples(st.integers(low, high), st.just(high)))}
    if not value:
        # Administration is named in full: not to name it is narrower, and to name it is wider.
        items = draw(WHERE[key].filter(lambda items: not set(items) & set(ADMINISTRATION)))
        return {key: items}
    return {key: value[: draw(st.integers(1, len(value)))]}


@given(RULES, actors(), QUESTIONS)
def test_fewer_groups_permit_no_more_without_denials(
    rule: AccessRule, actor: Actor, question: Question
) -> None:
    policy = AccessPolicy((attrs.evolve(rule, deny=False),), default_allow=False)
    without = attrs.evolve(actor, groups=frozenset())
    assert policy.decide(actor, question).allowed or not policy.decide(without, question).allowed


@given(RULES, actors(), QUESTIONS, st.integers(1, 9))
def test_fewer_builds_are_permitted_where_more_are(
    rule: AccessRule, actor: Actor, question: Question, fewer: int
) -> None:
    assume(fewer <= question.count)
    policy = AccessPolicy((attrs.evolve(rule, deny=False),), default_allow=False)
    if policy.decide(actor, question).allowed:
        assert policy.decide(actor, attrs.evolve(question, count=fewer)).allowed


# --- explained


@given(RULES, actors(), QUESTIONS)
def test_a_rule_decides_if_every_part_of_the_question_fits(
    rule: AccessRule, actor: Actor, question: Question
) -> None:
    fits = rule.fits(actor, question)
    assert all(fit is not False for fit in fits.values()) == (
        rule.is_about(actor) and rule.covers(question)
    )


def test_each_part_that_does_not_fit_is_named() -> None:
    rule = AccessRule(
        "level 1",
        groups=("scm_level_1",),
        actions=("rebuild_*",),
        branches=("try",),
        access=("scm_level_1",),
        builders=("* build",),
        priorities=(-1, 1),
        count=3,
    )
    somebody, other = (
        Actor("zoe"),
        Question("cancel_build", "x", "scm_level_3", ("y test",), 9, 9),
    )
    assert set(rule.fits(somebody, other).values()) == {False}
    member = Actor("zoe", frozenset({"scm_level_1"}))
    assert set(rule.fits(member, TRY).values()) == {True}
    assert list(rule.fits(member, TRY)) == [
        *("who", "actions", "branches", "access", "builders", "priority", "count")
    ]
    assert AccessRule("all").fits(member, TRY) == {"who": True} | dict.fromkeys(
        ("actions", "branches", "access", "builders", "priority", "count")
    )
    audit = AccessRule("all").fits(member, Question("read_audit"))
    assert audit["actions"] is False


# --- nobody, and everybody


@given(POLICIES, QUESTIONS)
def test_nobody_may_do_nothing(policy: AccessPolicy, question: Question) -> None:
    assert not policy.decide(Actor(None), question).allowed


@given(st.sampled_from(sorted(ACTIONS)), actors(), QUESTIONS)
def test_without_rules_every_user_may_send_every_job_request(
    action: str, actor: Actor, question: Question
) -> None:
    policy = AccessPolicy()
    assert policy.is_open
    decision = policy.decide(actor, attrs.evolve(question, action=action))
    assert decision.allowed == (actor.who is not None)


@given(POLICIES, actors(), st.sampled_from(ADMINISTRATION))
def test_administration_is_only_permitted_by_its_whole_name(
    policy: AccessPolicy, actor: Actor, name: str
) -> None:
    decision = policy.decide(actor, Question(name))
    if decision.allowed:
        (rule,) = [r for r in policy.rules if r.name == decision.rule]
        assert name in rule.actions


@pytest.mark.parametrize("pattern", ["*", "read_*", "*audit", "????_audit", "[r]ead_audit"])
def test_a_pattern_means_no_administration(pattern: str) -> None:
    policy = AccessPolicy((AccessRule("all", actions=(pattern,)),))
    assert not policy.decide(Actor("zoe"), Question("read_audit")).allowed
    assert (
        AccessPolicy((AccessRule("audit", actions=("read_audit",)),))
        .decide(Actor("zoe"), Question("read_audit"))
        .allowed
    )


# --- builders, priorities


def test_builders_that_are_not_known_are_denied_and_not_permitted() -> None:
    unknown = attrs.evolve(TRY, builders=())
    deny = AccessPolicy((AccessRule("no tests", deny=True, builders=("* test",)),))
    assert not deny.decide(Actor("zoe"), unknown).allowed
    assert deny.decide(Actor("zoe"), TRY).allowed
    allow = AccessPolicy((AccessRule("builds", builders=("* build",)),), default_allow=False)
    assert not allow.decide(Actor("zoe"), unknown).allowed
    assert allow.decide(Actor("zoe"), TRY).allowed


def test_all_builders_must_be_permitted_and_one_is_enough_to_deny() -> None:
    both = attrs.evolve(TRY, builders=("Linux try build", "Linux try test"))
    deny = AccessPolicy((AccessRule("no tests", deny=True, builders=("* test",)),))
    assert not deny.decide(Actor("zoe"), both).allowed
    allow = AccessPolicy((AccessRule("builds", builders=("* build",)),), default_allow=False)
    assert not allow.decide(Actor("zoe"), both).allowed


@pytest.mark.parametrize("deny", [False, True])
def test_a_range_of_priorities_is_about_those_that_are_asked_for(deny: bool) -> None:
    """Refuse high ones: a request that names none is neither permitted less nor denied."""
    policy = AccessPolicy((AccessRule("range", deny, priorities=(5, 9)),), default_allow=deny)
    assert [
        policy.decide(Actor("zoe"), attrs.evolve(TRY, priority=p)).allowed for p in (4, 5, 9, 10)
    ] == [deny, not deny, not deny, deny]
    assert policy.decide(Actor("zoe"), attrs.evolve(TRY, priority=None)).allowed


# --- tokens


@pytest.mark.parametrize(
    ("pattern", "who", "label", "fits"),
    [
        ("zoe/nightly", "zoe", "nightly", True),
        ("zoe/night*", "zoe", "nightly", True),
        ("zoe/*", "zoe", "a/b", True),
        ("zoe/a?b", "zoe", "a/b", True),
        ("zoe/nightly", "zoe", "Nightly", False),
        ("zoe/nightly", "sue", "nightly", False),
        # somebody whose name or label is chosen to look like another's
        ("zoe/*", "zoe/x", "y", False),
        ("zoe/x", "zo", "e/x", False),
        ("z*/nightly", "zoe", "nightly", False),
        ("*/nightly", "zoe", "nightly", False),
        ("nightly", "zoe", "nightly", False),
        ("zoe", "zoe", "nightly", False),
        ("*", "zoe", "nightly", False),
        # a user whose name has wildcards in it is one user
        ("bot*/x", "bot*", "x", True),
        ("bot*/x", "bots", "x", False),
    ],
)
def test_tokens_are_named_by_a_whole_user_and_a_pattern_of_labels(
    pattern: str, who: str, label: str, fits: bool
) -> None:
    rule = AccessRule("bot", tokens=(pattern,))
    assert rule.is_about(Actor(who, token=f"{who}/{label}")) is fits


@given(actors(), TOKENS)
def test_a_rule_about_tokens_is_about_nobody_without_one(
    actor: Actor, tokens: tuple[str, ...]
) -> None:
    assume(tokens)
    assert not AccessRule("bot", tokens=tokens).is_about(attrs.evolve(actor, token=None))


@given(actors(), st.text(max_size=9), st.text(max_size=9))
def test_a_label_never_makes_a_token_somebody_elses(actor: Actor, who: str, label: str) -> None:
    assume(who)
    rule = AccessRule("of one user", tokens=("zoe/*",))
    assert rule.is_about(Actor(who, token=f"{who}/{label}")) == (who == "zoe")


# --- what would be needed


@given(POLICIES, actors(), QUESTIONS)
def test_what_would_be_needed_is_only_told_with_a_refusal(
    policy: AccessPolicy, actor: Actor, question: Question
) -> None:
    decision = policy.decide(actor, question)
    assert not (decision.allowed and decision.needed)


def test_who_may_do_it_is_named() -> None:
    policy = AccessPolicy(
        (
            AccessRule("level 3", groups=("scm_level_3",), branches=("mozilla-*",)),
            AccessRule("sheriffs", groups=("sheriffs",), users=("root",)),
            AccessRule("bot", tokens=("bot/x",), branches=("mozilla-central",)),
            AccessRule("level 1", groups=("scm_level_1",), branches=("try",)),
            AccessRule("nobody else", deny=True),
        )
    )
    decision = policy.decide(
        Actor("zoe", frozenset({"scm_level_1"})), Question("rebuild_build", "mozilla-central")
    )
    assert (decision.allowed, decision.rule) == (False, "nobody else")
    assert decision.needed == "group scm_level_3 or sheriffs; user root; token bot/x"
