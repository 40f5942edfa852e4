"""Which builders are a branch's, and which of them the words of the farm mean."""

from __future__ import annotations

import re

import pytest

from buildapi.model.branches import Branch, Branches
from buildapi.model.builders import Builder, Builders
from buildapi.model.rules import Choice
from tests.model.defaults import rules

CEDAR = Branches.from_definitions({"cedar": {"repo": "https://hg.example.org/projects/cedar"}})
BRANCH: Branch = CEDAR.by_name["cedar"]


@pytest.mark.parametrize(
    ("builder", "serves"),
    [
        (Builder("x", branch="cedar"), True),
        (Builder("Linux cedar build", branch="try"), False),
        (Builder("x", branch="cedar", path="projects/try"), True),
        (Builder("x", branch="try", path="projects/cedar"), False),
        (Builder("x", branch="projects/cedar"), False),
        (Builder("x", path="projects/cedar"), True),
        (Builder("Linux cedar build", path="cedar"), False),
        (Builder("Linux cedar build"), True),
        (Builder("cedar"), True),
        (Builder("Linux cedar-x build"), False),
        (Builder("Linux Cedar build"), False),
        (Builder("Linux projects/cedar build"), False),
        (Builder("linux_cedar_build"), False),
    ],
    ids=str,
)
def test_a_builder_serves_a_branch_by_what_the_file_says_else_by_a_word_of_its_name(
    builder: Builder, serves: bool
) -> None:
    assert builder.serves(BRANCH) is serves


def test_the_builders_of_a_branch_are_in_the_order_of_the_file() -> None:
    names = ["WINNT cedar build", "Linux try build", "Linux cedar build"]
    builders = Builders({name: Builder(name) for name in names})
    assert builders.of(BRANCH) == ["WINNT cedar build", "Linux cedar build"]
    assert "Linux try build" in builders
    assert "Linux" not in builders


@pytest.mark.parametrize(
    ("name", "pgo", "nightly", "builds"),
    [
        ("WINNT 5.2 try pgo-build", True, False, True),
        ("Linux try nightly", False, True, True),
        ("Linux try l10n nightly", False, False, True),
        ("Linux try build", False, False, True),
        ("Linux try leak test build", False, False, True),
        ("Linux try opt test mochitest-1", False, False, False),
        ("Linux try pgo-build test", False, False, False),
        ("pgo-build", False, False, True),
        ("nightly", False, False, False),
    ],
)
def test_the_rules_of_a_farm_that_configures_none(
    name: str, pgo: bool, nightly: bool, builds: bool
) -> None:
    farm = rules(clobbers=True)
    assert farm.clobber is not None
    assert [c.takes(name) for c in (farm.pgo, farm.nightly, farm.builds, farm.clobber)] == [
        pgo,
        nightly,
        builds,
        builds,
    ]


def test_a_farm_that_clobbers_nothing_has_no_rule_for_it() -> None:
    assert rules().clobber is None


def test_a_choice_is_of_whole_names_and_its_exclusion_too() -> None:
    choice = Choice(re.compile("Linux.*"), re.compile("Linux x"))
    assert [choice.takes(n) for n in ("Linux", "Linux x", "Linux x y", "a Linux")] == [
        True,
        False,
        True,
        False,
    ]
    assert choice.excludes("Linux x")
    assert not choice.excludes("Linux x y")
