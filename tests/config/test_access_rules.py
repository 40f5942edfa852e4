"""The rules of who may do what: what they become, and every error in its exact words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildapi.config.access_rules import AccessRuleSection
from buildapi.config.reader import keys_of
from buildapi.model.access import AccessPolicy, AccessRule
from tests.config.documents import FARM, Document, farm_with, read, refused

PAGE = Path(__file__).parent.parent.parent / "docs" / "configuration.md"
LABELS = 'must be USER/LABEL with one slash, such as "zoe@example.org/nightly-*"'
RANGE = "must be [LOWEST, HIGHEST], two whole numbers"
ALL = "must be left out, which means all, or a list with at least 1 item"


def rules(*tables: Document, **access: Any) -> Document:
    return farm_with({"access": {"rules": list(tables)} | access})


def test_without_rules_all_is_permitted(farm: Path) -> None:
    access = read(farm, FARM).access
    assert access.policy == AccessPolicy()
    assert access.policy.is_open
    assert access.groups_file is None


def test_rules_are_read_in_their_order(farm: Path) -> None:
    level_1 = {
        "name": " level 1 ",
        "groups": ["scm_level_1", "cn=l1,ou=groups,*"],
        "actions": ["rebuild_*", "cancel_build", "reprioritize"],
        "branches": ["try"],
        "access": ["scm_level_?"],
        "builders": ["* build"],
        "priority": [-5, 5],
        "count": 10,
    }
    audit = {"name": "audit", "users": ["zoe"], "actions": ["read_audit", "manage_tokens"]}
    frozen = {"name": "frozen", "effect": "deny", "tokens": ["bot@x/night*"]}
    access = read(farm, rules(level_1, audit, frozen, default="deny")).access
    assert access.policy == AccessPolicy(
        (
            AccessRule(
                "level 1",
                groups=("scm_level_1", "cn=l1,ou=groups,*"),
                actions=("rebuild_*", "cancel_build", "reprioritize"),
                branches=("try",),
                access=("scm_level_?",),
                builders=("* build",),
                priorities=(-5, 5),
                count=10,
            ),
            AccessRule("audit", users=("zoe",), actions=("read_audit", "manage_tokens")),
            AccessRule("frozen", deny=True, tokens=("bot@x/night*",)),
        ),
        default_allow=False,
    )


WRONG = [
    ({"name": ""}, 'name = "": must be a name of 1 to 100 characters'),
    ({"name": "  "}, 'name = "": must be a name of 1 to 100 characters'),
    ({"effect": "refuse"}, 'effect = "refuse": must be "allow" or "deny"'),
    ({"users": "zoe"}, 'users = "zoe": must be a list in square brackets'),
    ({"users": []}, f"users = a list: {ALL}"),
    ({"actions": []}, f"actions = a list: {ALL}"),
    ({"users": ["zoe", "zoe"]}, 'users = "zoe": must be listed only once'),
    ({"users": [""]}, 'users = "": must be a pattern that is not empty'),
    ({"groups": [7]}, "groups = 7: must be a string in quotes"),
    ({"branches": [" "]}, 'branches = " ": must be a pattern that is not empty'),
    ({"tokens": ["nightly"]}, f'tokens = "nightly": {LABELS}'),
    ({"tokens": ["/nightly"]}, f'tokens = "/nightly": {LABELS}'),
    ({"tokens": ["zoe/"]}, f'tokens = "zoe/": {LABELS}'),
    ({"tokens": ["zoe/a/b"]}, f'tokens = "zoe/a/b": {LABELS}'),
    ({"tokens": ["*/a"]}, 'tokens = "*/a": must be USER/LABEL without wildcards in USER'),
    ({"tokens": ["z?e/a"]}, 'tokens = "z?e/a": must be USER/LABEL without wildcards in USER'),
    (
        {"actions": ["rebild_build"]},
        'actions = "rebild_build": must be an action or a pattern of some;'
        " did you mean rebuild_build?",
    ),
    (
        {"actions": ["rebild_*"]},
        'actions = "rebild_*": must be an action or a pattern of some; did you mean rebuild_build?',
    ),
    (
        {"actions": ["read_*"]},
        'actions = "read_*": must be the whole name of what no pattern includes: '
        "manage_tokens or read_audit",
    ),
    (
        {"actions": ["read_audits"]},
        'actions = "read_audits": must be an action or a pattern of some; did you mean read_audit?',
    ),
    ({"priority": 5}, f"priority = 5: {RANGE}"),
    ({"priority": [1]}, f"priority = a list: {RANGE}"),
    ({"priority": [1, True]}, f"priority = a list: {RANGE}"),
    (
        {"priority": [2, 1]},
        f"priority = a list: {RANGE}, the lower one first, -2147483648 to 2147483647",
    ),
    ({"count": 0}, "count = 0: must be a whole number from 1 to 1000"),
    ({"branch": ["try"]}, "branch: unknown key; did you mean branches?"),
    (
        {"actions": ["cancel_*"], "priority": [0, 1]},
        "priority: must not be set: none of the actions has one",
    ),
    (
        {"actions": ["cancel_*", "new_*"], "count": 1},
        "count: must not be set: none of the actions has one",
    ),
    (
        {"effect": "deny", "count": 1},
        'count: must not be set with effect = "deny"; permit fewer builds, then deny all',
    ),
    (
        {"actions": ["read_audit", "rebuild_build"], "branches": ["try"]},
        "branches: must not be set with read_audit, which has no branch or build",
    ),
    (
        {"actions": ["manage_tokens"], "count": 1},
        "count: must not be set with manage_tokens, which has no branch or build",
    ),
]


@pytest.mark.parametrize(("keys", "error"), WRONG)
def test_what_is_wrong_in_a_rule_is_told_with_its_place(
    farm: Path, keys: Document, error: str
) -> None:
    given = {"name": "level 1"} | keys
    name = f" ({given['name']})" if given["name"] else ""
    where = f"[access.rules 2{name}]"
    assert refused(farm, rules({"name": "first"}, given)) == f"{where} {error}"


@pytest.mark.parametrize(
    ("access", "error"),
    [
        ({"rules": "x"}, '[access] rules = "x": must be up to 500 tables [[access.rules]]'),
        (
            {"rules": [{"name": "a"}] * 501},
            "[access] rules = a list: must be up to 500 tables [[access.rules]]",
        ),
        ({"rules": [5]}, "[access.rules 1] is 5: must be a table"),
        ({"rules": [{}]}, '[access.rules 1] name = "": must be a name of 1 to 100 characters'),
        ({"rule": []}, "[access] rule: unknown key; did you mean rules?"),
        ({"default": "maybe"}, '[access] default = "maybe": must be "allow" or "deny"'),
        (
            {"groups_file": "none.toml"},
            '[access] groups_file = "none.toml": must be an existing, readable file',
        ),
    ],
)
def test_what_is_wrong_in_the_section_is_told(farm: Path, access: Document, error: str) -> None:
    assert refused(farm, farm_with({"access": access})) == error


def test_two_rules_must_not_have_one_name(farm: Path) -> None:
    assert refused(farm, rules({"name": "a"}, {"name": "b"}, {"name": "a "})) == (
        "[access.rules 3 (a )] name: must differ from that of rule 1"
    )


def test_all_errors_of_all_rules_are_told_at_once(farm: Path) -> None:
    told = refused(farm, rules({"users": ["a"]}, {"name": "b", "count": 0, "groups": [""]}))
    assert len(told.splitlines()) == 3


def test_the_groups_header_is_another_than_the_users(farm: Path) -> None:
    web = {"groups_header": "x-remote-user"}
    assert refused(farm, farm_with({"web": web})) == (
        '[web] groups_header = "x-remote-user": must differ from user_header'
    )


def test_the_page_explains_every_key_of_a_rule() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("The keys of a rule:")[2].partition("\n\nA rule")[0]
    rows = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert rows == list(keys_of(AccessRuleSection))
