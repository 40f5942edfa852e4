"""Which stored branch belongs to which branch of the directory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.branches import Branches, repository_path

FILE: dict[str, dict[str, Any]] = {
    "mozilla-central": {"repo": "https://hg.example.org/mozilla-central"},
    "try": {"repo": "https://hg.example.org/try"},
    "try-comm-central": {"repo": "https://hg.example.org/try-comm-central"},
    "cedar": {"repo": "https://hg.example.org/projects/cedar"},
    "addonsdk": {},
}


@pytest.mark.parametrize(
    ("stored", "owner"),
    [
        ("mozilla-central", "mozilla-central"),
        ("mozilla-central-linux-opt-unittest", "mozilla-central"),
        ("mozilla-centrally", None),
        ("Mozilla-Central", None),
        ("users/x/mozilla-central", None),
        ("addontester-mozilla-central", None),
        ("try", "try"),
        ("try-linux", "try"),
        ("try-comm-central", "try-comm-central"),
        ("try-comm-central-linux", "try-comm-central"),
        ("try-comm", "try"),
        ("projects/cedar", "cedar"),
        ("projects/cedar-win32", "cedar"),
        ("cedar", "cedar"),
        ("projects", None),
        ("jetpack", "addonsdk"),
        ("", None),
        (None, None),
    ],
)
def test_the_rules(stored: str | None, owner: str | None) -> None:
    branches = Branches.from_definitions(FILE, {"addonsdk": ["jetpack"]})
    owners = [b.name for b in branches.by_name.values() if b.owns(stored)]
    assert owners == ([owner] if owner else [])


def test_a_name_the_configuration_adds_can_take_a_part_of_another_branch() -> None:
    branches = Branches.from_definitions(FILE, {"addonsdk": ["try-sdk"]})
    owners = {
        stored: [b.name for b in branches.by_name.values() if b.owns(stored)]
        for stored in ("try-sdk", "try-sdk-linux", "try-sd", "try-sdkx")
    }
    assert owners == {
        "try-sdk": ["addonsdk"],
        "try-sdk-linux": ["addonsdk"],
        "try-sd": ["try"],
        "try-sdkx": ["try"],
    }


@pytest.mark.parametrize(
    ("repo", "path"),
    [
        ("https://hg.example.org/projects/cedar", "projects/cedar"),
        ("https://hg.example.org/projects/cedar/", "projects/cedar"),
        ("ssh://hg.example.org:22/a?x=1", "a"),
        ("try", "try"),
        ("https://hg.example.org/", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_the_repository_path(repo: object, path: str | None) -> None:
    assert repository_path({"repo": repo}) == path


@pytest.mark.parametrize(
    ("definition", "path", "repository"),
    [
        (
            {"repo": "https://hg.example.org/projects/cedar"},
            "projects/cedar",
            "https://hg.example.org/projects/cedar",
        ),
        (
            {"repo": "https://hg.example.org/projects/cedar/"},
            "projects/cedar",
            "https://hg.example.org/projects/cedar",
        ),
        ({"repo_path": "projects/cedar"}, "projects/cedar", None),
        ({"repo": "projects/cedar"}, "projects/cedar", None),
        (
            {"repo": "https://hg.example.org/a", "repo_path": "b"},
            "a",
            "https://hg.example.org/a",
        ),
        ({}, "cedar", None),
        ({"repo": "https://hg.example.org/"}, "cedar", "https://hg.example.org"),
        ({"repo": None}, "cedar", None),
        ({"repo": 5, "repo_path": []}, "cedar", None),
    ],
    ids=str,
)
def test_a_branch_knows_its_repository_by_both_kinds_of_files(
    definition: dict[str, Any], path: str, repository: str | None
) -> None:
    """Newer ones give URLs, older ones paths."""
    branch = Branches.from_definitions({"cedar": definition}).by_name["cedar"]
    assert (branch.path, branch.repository) == (path, repository)


def test_definitions_are_given_back_as_they_are() -> None:
    assert Branches.from_definitions(FILE, {"try": ["x"]}).definitions() == FILE


def test_a_branch_is_found_by_its_exact_name() -> None:
    branches = Branches.from_definitions(FILE)
    assert branches.get("try") is branches.by_name["try"]
    assert branches.get("Try") is None
    assert branches.get("projects/cedar") is None


# --- against a naive reading of the rule ----------------------------------------------------

NAMES = st.lists(st.sampled_from(["a", "b", "ab", "x/a"]), min_size=1, max_size=4).map("-".join)
TABLES = st.dictionaries(NAMES, st.lists(NAMES, max_size=2), min_size=1, max_size=5)
STORED = NAMES | st.text("abx/-", max_size=8)


def longest(stored: str, names: list[str]) -> int:
    """Return the length of the longest name the stored value equals or continues; 0 for none."""
    return max((len(n) for n in names if stored == n or stored[: len(n) + 1] == n + "-"), default=0)


def build(table: dict[str, list[str]]) -> Branches:
    return Branches.from_definitions({name: {} for name in table}, table)


@given(TABLES, STORED)
def test_the_longest_name_of_all_wins(table: dict[str, list[str]], stored: str) -> None:
    lengths = {name: longest(stored, [name, *more]) for name, more in table.items()}
    best = max(lengths.values())
    expected = {name for name, length in lengths.items() if length and length == best}
    owners = {b.name for b in build(table).by_name.values() if b.owns(stored)}
    assert owners == expected


@given(TABLES, STORED)
def test_a_stored_name_belongs_to_two_branches_only_if_both_list_the_same_text(
    table: dict[str, list[str]], stored: str
) -> None:
    owners = [b for b in build(table).by_name.values() if b.owns(stored)]
    if len(owners) > 1:
        shared = set.intersection(*(set(b.names) for b in owners))
        assert any(longest(stored, [text]) for text in shared)


def test_the_owner_of_a_stored_name_is_the_branch_that_owns_it() -> None:
    branches = Branches.from_definitions({"try": {}, "try-comm-central": {}})
    names = ["try", "try-linux", "try-comm-central-x", "tryst", None]
    wanted = ["try", "try", "try-comm-central", None, None]
    for _ in range(2):
        assert [branches.owner(name) for name in names] == wanted
