"""What asking for new builds means for a branch."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from buildapi.jobs.decide import decide
from buildapi.jobs.plan_outcomes import StepResult, conclude
from buildapi.model.actions import Action, NewBuild, NewBuilderBuild, NewNightly, NewPGOBuild
from buildapi.model.facts import BranchFacts
from buildapi.model.outcome import Item, Outcome
from buildapi.model.rules import Choice, Rules
from buildapi.model.steps import NewChange, Plan, SendChange, SubmitBuilds
from tests.model.defaults import rules

REVISION = "02532bc198f57b3a5b58be1d1d15bee61e8ef871"
BRANCH = BranchFacts(
    path="projects/cedar",
    repository="https://hg.example.org/projects/cedar",
    builders=(
        "WINNT 5.2 cedar pgo-build",
        "Linux cedar build",
        "Linux cedar nightly",
        "Linux cedar l10n nightly",
        "Linux cedar pgo-build",
        "Linux cedar pgo-build test",
    ),
    buildid="20150618112000",
    builduid="0123456789abcdef0123456789abcdef",
    change_master="host-s:/builds/scheduler",
)
IDS = {"buildid": "20150618112000", "builduid": "0123456789abcdef0123456789abcdef"}
BUILD = NewBuild("cedar", REVISION)
BUILDER = NewBuilderBuild("cedar-selfserve", REVISION, "Linux cedar build")


def plan(action: Action, known: BranchFacts | None = BRANCH, farm: Rules | None = None) -> Plan:
    return decide(action, known, "zoe", farm or rules())


def buildset(planned: Plan) -> SubmitBuilds:
    (step,) = planned.steps
    assert isinstance(step, SubmitBuilds)
    assert (planned.outcome.errors, planned.outcome.msg) == (False, "Ok")
    return step


@pytest.mark.parametrize(
    "action",
    [BUILD, NewPGOBuild("cedar", "a"), NewNightly("cedar", "a"), BUILDER],
    ids=lambda a: a.name,
)
def test_an_unknown_branch_is_refused_by_its_name(action: Action) -> None:
    planned = plan(action, None)
    assert planned.outcome == Outcome(
        True, "Branch cedar not found", (Item("failed", "Branch cedar not found"),)
    )
    assert planned.steps == ()


# --- a change -------------------------------------------------------------------------------


def test_a_new_build_is_a_change_for_the_schedulers() -> None:
    planned = plan(BUILD)
    link = f"https://hg.example.org/projects/cedar/rev/{REVISION}"
    step = SendChange("host-s:/builds/scheduler", "projects/cedar", REVISION, link)
    assert planned.steps == (step,)


@pytest.mark.parametrize(
    ("state", "errors", "msg"),
    [
        ("done", False, "Ok"),
        (
            "unconfirmed",
            True,
            "It is not known whether the change is stored: check before you submit it again",
        ),
        ("failed", True, "The change could not be sent"),
    ],
)
def test_a_new_build_is_ok_once_the_change_is_there(state: str, errors: bool, msg: str) -> None:
    planned = plan(BUILD)
    outcome = conclude(planned.outcome, planned.lines, [StepResult([Item(state, "seen")])])
    assert (outcome.errors, outcome.msg) == (errors, msg)


@pytest.mark.parametrize(
    "repository", [None, "", "https://hg.example.org/" + "x" * 250], ids=["none", "empty", "long"]
)
def test_a_link_that_there_is_none_for_or_that_is_too_long_to_store_is_left_out(
    repository: str | None,
) -> None:
    (step,) = plan(BUILD, attrs.evolve(BRANCH, repository=repository)).steps
    assert isinstance(step, SendChange)
    assert step.revlink is None


def test_a_farm_without_a_master_for_changes_refuses_them() -> None:
    planned = plan(BUILD, attrs.evolve(BRANCH, change_master=None))
    assert (planned.outcome.errors, planned.steps) == (True, ())
    assert planned.outcome.msg == "The change could not be sent"
    assert planned.outcome.items[0].detail == "no master that accepts changes is known"


# --- chosen builders ------------------------------------------------------------------------

CHOSEN = [
    (NewPGOBuild, ["WINNT 5.2 cedar pgo-build", "Linux cedar pgo-build"]),
    (NewNightly, ["Linux cedar nightly"]),
]


@pytest.mark.parametrize(("cls", "builders"), CHOSEN, ids=["pgo", "nightly"])
def test_the_builders_of_the_branch_that_the_rules_choose_are_asked(
    cls: Any, builders: list[str]
) -> None:
    assert buildset(plan(cls("cedar", REVISION, 4))) == SubmitBuilds(
        branch="projects/cedar",
        revision=REVISION,
        reason="Self-serve: Requested by zoe",
        priority=4,
        properties=IDS,
        builders=builders,
    )


@pytest.mark.parametrize("cls", [NewPGOBuild, NewNightly])
@pytest.mark.parametrize(
    "builders",
    [(), ("Linux cedar build",), ("Linux cedar l10n nightly", "cedar pgo-build-2")],
    ids=["none", "others", "nearly"],
)
def test_no_builder_of_the_kind_is_no_error(cls: Any, builders: tuple[str, ...]) -> None:
    planned = plan(cls("cedar", REVISION), attrs.evolve(BRANCH, builders=builders))
    assert (planned.outcome.errors, planned.outcome.msg) == (False, "No builds to create")
    assert planned.steps == ()
    assert [i.state for i in planned.outcome.items] == ["nothing"]


def test_a_farm_may_have_rules_of_its_own() -> None:
    own = attrs.evolve(
        rules(),
        pgo=Choice(re.compile("Linux .*")),
        nightly=Choice(re.compile(".*"), re.compile("(Linux|WINNT) .* pgo.*")),
    )
    assert buildset(plan(NewPGOBuild("cedar", "a"), farm=own)).builders == [
        n for n in BRANCH.builders if n.startswith("Linux")
    ]
    assert buildset(plan(NewNightly("cedar", "a"), farm=own)).builders == [
        n for n in BRANCH.builders if "pgo" not in n
    ]


@pytest.mark.parametrize("action", [BUILD, NewPGOBuild("cedar", "a"), NewNightly("cedar", "a")])
def test_a_branch_that_cannot_be_built_is_refused_with_the_reason(action: Action) -> None:
    planned = plan(action, attrs.evolve(BRANCH, build_refusal="masters fail on its path"))
    assert planned.outcome.errors
    assert planned.outcome.items[0].detail == "masters fail on its path"
    assert planned.steps == ()


# --- one builder ----------------------------------------------------------------------------


def test_a_build_of_one_builder_is_for_a_change_with_its_files() -> None:
    action = attrs.evolve(
        BUILDER, priority=-3, files=["http://x/y.tar.bz2"], properties={"n": 5, "e": "\xe9"}
    )
    assert buildset(plan(action)) == SubmitBuilds(
        branch="cedar",
        revision=REVISION,
        reason="Self-serve: Requested by zoe",
        priority=-3,
        properties={**IDS, "n": 5, "e": "\xe9"},
        builders=["Linux cedar build"],
        change=NewChange("zoe", "cedar-selfserve", REVISION, ("http://x/y.tar.bz2",)),
    )


def test_properties_given_replace_the_ids_of_the_build() -> None:
    given = {"builduid": "mine2", "buildid": "mine"}
    assert buildset(plan(attrs.evolve(BUILDER, properties=given))).properties == given
