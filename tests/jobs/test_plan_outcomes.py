"""How a plan ends: in the words of its lines, by what came of its steps."""

from __future__ import annotations

import pytest

from buildapi.jobs.plan_outcomes import (
    REASON_MAX,
    conclude,
    in_ascii,
    line,
    nothing,
    reason,
    refused,
)
from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import (
    Clobber,
    NewBuildset,
    NewChange,
    OutcomeLine,
    Plan,
    Poke,
    RebuildStep,
    SendChange,
    SetPriority,
    StopBuild,
    WatchDropped,
)

STOP = StopBuild(41, 7, 9, "linux", 1_700_000_000, "abcdef012345", "host-a:/builds/master-a")
FIRST = Item("done", "first")
ONE = Plan(Outcome(False, "", (FIRST,)), pokes=(STOP,), lines=(OutcomeLine(7, "7: Ok", "No luck"),))
THREE = Plan(Outcome(False, ""), lines=(line(7), line(8), line(11)))


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
def test_a_job_is_ok_when_all_its_pokes_are(states: list[str], errors: bool, msg: str) -> None:
    outcome = conclude(ONE, (), [(STOP, [item(state, 7)]) for state in states])
    assert (outcome.errors, outcome.msg) == (errors, msg)
    assert [i.state for i in outcome.items] == ["done", *states]


def test_there_is_a_line_for_each_request_in_their_order() -> None:
    watch = WatchDropped((7, 8, 11))
    did: list[tuple[Poke, list[Item]]] = [
        (watch, [item("done", 11), item("unconfirmed", 8), item("done", 7)])
    ]
    outcome = conclude(THREE, (), did)
    assert outcome.errors
    assert outcome.msg == "7: Ok\nError cancelling build (request 8)\n11: Ok"


def test_what_failed_before_anything_was_done_counts() -> None:
    plan = Plan(Outcome(False, "", (item("failed", 11),)), lines=(line(7), line(11)))
    outcome = conclude(plan, (), [])
    assert (outcome.errors, outcome.msg) == (True, "7: Ok\nError cancelling build (request 11)")


@pytest.mark.parametrize(("state", "msg"), [("done", "7: Ok"), ("failed", "No luck")])
def test_a_clobber_that_fails_is_an_item_and_nothing_else(state: str, msg: str) -> None:
    clobber = (Clobber(STOP), [item("failed", 7)])
    outcome = conclude(ONE, (), [(STOP, [item(state, 7)]), clobber])
    assert (outcome.errors, outcome.msg) == (state == "failed", msg)
    assert [i.state for i in outcome.items] == ["done", state, "failed"]


@pytest.mark.parametrize(("state", "msg"), [("done", "Ok"), ("unconfirmed", "Not sent")])
def test_a_step_about_no_request_has_a_line_too(state: str, msg: str) -> None:
    step = SendChange("m", "try", "abcd", None)
    plan = Plan(Outcome(False, ""), pokes=(step,), lines=(OutcomeLine(None, "Ok", "Not sent"),))
    outcome = conclude(plan, (), [(step, [item(state, None)])])
    assert (outcome.errors, outcome.msg) == (msg != "Ok", msg)


def test_a_plan_without_lines_keeps_its_message_and_lists_what_was_made() -> None:
    plan = Plan(Outcome(False, "Ok", (FIRST,)), (SetPriority(7, 5),))
    made = Item("done", "submitted", buildset_id=3)
    assert conclude(plan, [made], []) == Outcome(False, "Ok", (FIRST, made))


def test_a_refusal_and_nothing_to_do_stay_what_they_are() -> None:
    for plan in (refused("No", "why", brid=7), nothing("Nothing", "why", brid=7, bid=41)):
        assert conclude(plan, (), []) == plan.outcome


def test_a_refusal_without_detail_repeats_its_message() -> None:
    assert refused("No").outcome == Outcome(True, "No", (Item("failed", "No"),))


def test_reasons_fit_their_column_and_are_told_from_those_of_others() -> None:
    assert reason("Rebuilt", "zoe@example.org") == "Self-serve: Rebuilt by zoe@example.org"
    assert len(reason("Rebuilt", "z" * 1000)) == REASON_MAX == 256


def test_a_plan_for_any_database_escapes_names_and_rewords_reasons() -> None:
    """A name without its accents would be the name of somebody else."""
    change = NewChange("zo\u00eb", "try-selfserve", "abcdef", ["f\u0141"])
    build = NewBuildset("try", "abcdef", "by zo\u00eb", 0, [], ["linux"], change)
    requeue = RebuildStep("linux", 0, "by \u0141uk\u00e1\u0161", 1, None, [])
    plan = Plan(Outcome(False, ""), (build, requeue, SetPriority(7, 1)))
    first, second, third = in_ascii(plan).writes
    assert isinstance(first, NewBuildset)
    assert (first.reason, first.change) == (
        "by zoe",
        NewChange("zo\\xeb", "try-selfserve", "abcdef", ["f\u0141"]),
    )
    assert isinstance(second, RebuildStep)
    assert second.reason == "by ?ukas"
    assert third == SetPriority(7, 1)
