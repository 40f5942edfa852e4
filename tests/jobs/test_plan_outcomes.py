"""How a plan ends: in the words of its lines, by what came of its steps."""

from __future__ import annotations

import pytest

from buildapi.jobs.plan_outcomes import (
    REASON_MAX,
    StepResult,
    conclude,
    line,
    nothing,
    reason,
    refused,
)
from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import OutcomeLine, Plan, StopBuild

STOP = StopBuild(41, 7, 9, "linux", 1_700_000_000, "abcdef012345", "host-a:/builds/master-a")
FIRST = Item("done", "first")
ONE = Plan(Outcome(False, "", (FIRST,)), (STOP,), (OutcomeLine(7, "7: Ok", "No luck"),))
THREE = Plan(Outcome(False, ""), lines=(line(7), line(8), line(11)))


def concluded(plan: Plan, *results: StepResult) -> Outcome:
    return conclude(plan.outcome, plan.lines, results)


def item(state: str, brid: int | None) -> Item:
    return Item(state, "seen", request_id=brid)


@pytest.mark.parametrize(
    ("states", "errors", "msg"),
    [
        ([], False, "7: Ok"),
        (["done"], False, "7: Ok"),
        (["nothing", "done"], False, "7: Ok"),
        (["failed"], True, "No luck"),
        (["unconfirmed"], True, "No luck"),
        (["done", "failed"], True, "No luck"),
    ],
)
def test_a_job_is_ok_when_all_its_steps_are(states: list[str], errors: bool, msg: str) -> None:
    outcome = concluded(ONE, *(StepResult([item(state, 7)]) for state in states))
    assert (outcome.errors, outcome.msg) == (errors, msg)
    assert [i.state for i in outcome.items] == ["done", *states]


def test_there_is_a_line_for_each_request_in_their_order() -> None:
    seen = StepResult([item("done", 11), item("unconfirmed", 8), item("done", 7)])
    outcome = concluded(THREE, seen)
    assert outcome.errors
    assert outcome.msg == "7: Ok\nError cancelling build (request 8)\n11: Ok"


def test_what_failed_before_anything_was_done_counts() -> None:
    plan = Plan(Outcome(False, "", (item("failed", 11),)), lines=(line(7), line(11)))
    outcome = concluded(plan)
    assert (outcome.errors, outcome.msg) == (True, "7: Ok\nError cancelling build (request 11)")


@pytest.mark.parametrize(("state", "msg"), [("done", "7: Ok"), ("failed", "No luck")])
def test_an_extra_that_fails_is_an_item_and_nothing_else(state: str, msg: str) -> None:
    clobber = StepResult([item("failed", 7)], is_extra=True)
    outcome = concluded(ONE, StepResult([item(state, 7)]), clobber)
    assert (outcome.errors, outcome.msg) == (state == "failed", msg)
    assert [i.state for i in outcome.items] == ["done", state, "failed"]


@pytest.mark.parametrize(("state", "msg"), [("done", "Ok"), ("unconfirmed", "Not sent")])
def test_a_step_about_no_request_has_a_line_too(state: str, msg: str) -> None:
    plan = Plan(Outcome(False, ""), lines=(OutcomeLine(None, "Ok", "Not sent"),))
    outcome = concluded(plan, StepResult([item(state, None)]))
    assert (outcome.errors, outcome.msg) == (msg != "Ok", msg)


def test_a_plan_without_lines_keeps_its_message_and_lists_what_was_made() -> None:
    plan = Plan(Outcome(False, "Ok", (FIRST,)))
    made = Item("done", "submitted", buildset_id=3)
    assert concluded(plan, StepResult([made])) == Outcome(False, "Ok", (FIRST, made))


def test_a_refusal_and_nothing_to_do_stay_what_they_are() -> None:
    for plan in (refused("No", "why", brid=7), nothing("Nothing", "why", brid=7, bid=41)):
        assert concluded(plan) == plan.outcome


def test_a_refusal_without_detail_repeats_its_message() -> None:
    assert refused("No").outcome == Outcome(True, "No", (Item("failed", "No"),))


def test_reasons_fit_their_column_and_are_told_from_those_of_others() -> None:
    assert reason("Rebuilt", "zoe@example.org") == "Self-serve: Rebuilt by zoe@example.org"
    assert len(reason("Rebuilt", "z" * 1000)) == REASON_MAX == 256
