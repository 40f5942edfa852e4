"""What each action means for a request at each stage of its life."""

from __future__ import annotations

import attrs
import pytest

from buildapi.jobs.decide import decide
from buildapi.jobs.plan_outcomes import StepResult, conclude
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.facts import Facts, RequestFacts, RevisionFacts
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import BuildRequest, RequestBuild
from buildapi.model.steps import (
    Clobber,
    DropRequest,
    Plan,
    Rebuild,
    SetPriority,
    Step,
    StopBuild,
    StopClaimed,
)
from tests.model.defaults import rules
from tests.model.values import MASTER, claimed, request

RULES = rules()
START = 1_700_000_101


def facts(of: BuildRequest, *tries: RequestBuild) -> RequestFacts:
    return RequestFacts(of, tries)


RUNNING, OTHER = RequestBuild(41, 9, 7, START, None), RequestBuild(42, 31, 7, START + 2, None)
ENDED = RequestBuild(40, 8, 7, START - 50, START - 10)
LEFT = RequestBuild(39, 9, 7, START - 90, None, left_over=True)  # by a master killed and restarted

PENDING = facts(request())
RETRIED = facts(request(), ENDED)
NEVER_CLAIMED = facts(request(claimed_at=None))
WAITING = facts(claimed())
BUILDING = facts(claimed(), ENDED, RUNNING)
DOUBLE = facts(claimed(), RUNNING, OTHER)
DONE = facts(claimed(complete=True, results=0), ENDED)
CANCELLED = facts(request(complete=True, results=2))
RACED = facts(claimed(complete=True, results=2), RUNNING)
KILLED = facts(claimed(), LEFT, RUNNING)
UNCLAIMED_BUILD = facts(request(), RUNNING)


def stop(build: RequestBuild) -> StopBuild:
    return StopBuild(
        build_id=build.id,
        brid=7,
        number=build.number,
        buildername="linux",
        start_time=build.start_time,
        revision="abcdef012345",
        master=MASTER,
    )


def copy(build_id: int | None = None) -> Rebuild:
    return Rebuild(7, build_id, "linux", 4, "Self-serve: Rebuilt by zoe")


DROP: tuple[Step, ...] = (DropRequest(7, 70),)
LATE: tuple[Step, ...] = (StopClaimed((7,)),)

# action, facts, errors, msg, steps
Case = tuple[Action, RequestFacts | None, bool, str, tuple[Step, ...]]
REPRIORITIZE = Reprioritize(7, 5)
UP: tuple[Step, ...] = (SetPriority(7, 5),)
COMPLETE = "Request is complete, nothing to do"
COMPLETE_7 = "Request 7 is complete, nothing to do"
TAKEN = "Request is already running"
FAILED_7 = "Error cancelling build (request 7)"
OVER = "Build is complete, nothing to do"
TABLE: dict[str, Case] = {
    "reprioritize missing": (REPRIORITIZE, None, True, "No request with that id", ()),
    "reprioritize pending": (REPRIORITIZE, PENDING, False, "Ok", UP),
    "reprioritize retried": (REPRIORITIZE, RETRIED, False, "Ok", UP),
    "reprioritize never claimed": (REPRIORITIZE, NEVER_CLAIMED, False, "Ok", UP),
    "reprioritize claimed": (REPRIORITIZE, WAITING, True, TAKEN, ()),
    "reprioritize running": (REPRIORITIZE, BUILDING, True, TAKEN, ()),
    "reprioritize complete": (REPRIORITIZE, DONE, False, COMPLETE, ()),
    "reprioritize raced": (REPRIORITIZE, RACED, False, COMPLETE, ()),
    "cancel missing request": (CancelRequest(7), None, True, "No request with that id", ()),
    "cancel pending": (CancelRequest(7), PENDING, False, "7: Ok", DROP),
    "cancel retried": (CancelRequest(7), RETRIED, False, "7: Ok", DROP),
    "cancel never claimed": (CancelRequest(7), NEVER_CLAIMED, False, "7: Ok", DROP),
    "cancel claimed, no build": (CancelRequest(7), WAITING, False, "7: Ok", LATE),
    "cancel running": (CancelRequest(7), BUILDING, False, "7: Ok", (stop(RUNNING),)),
    "cancel double claim": (
        CancelRequest(7),
        DOUBLE,
        False,
        "7: Ok",
        (stop(RUNNING), stop(OTHER)),
    ),
    "cancel after a kill": (CancelRequest(7), KILLED, False, "7: Ok", (stop(RUNNING),)),
    "cancel complete": (CancelRequest(7), DONE, False, COMPLETE_7, ()),
    "cancel cancelled": (CancelRequest(7), CANCELLED, False, COMPLETE_7, ()),
    "cancel raced": (CancelRequest(7), RACED, False, "7: Ok", (stop(RUNNING),)),
    "cancel missing build": (CancelBuild(41), None, True, "No build with that id", ()),
    "cancel build of another": (CancelBuild(99), BUILDING, True, "No build with that id", ()),
    "cancel build running": (CancelBuild(41), BUILDING, False, "Ok", (stop(RUNNING),)),
    "cancel one of two": (CancelBuild(42), DOUBLE, False, "Ok", (stop(OTHER),)),
    "cancel earlier try": (CancelBuild(40), BUILDING, False, OVER, ()),
    "cancel what a kill left": (CancelBuild(39), KILLED, False, OVER, ()),
    "cancel build complete": (CancelBuild(40), DONE, False, OVER, ()),
    "cancel build raced": (CancelBuild(41), RACED, False, "Ok", (stop(RUNNING),)),
    "cancel build unclaimed": (
        CancelBuild(41),
        UNCLAIMED_BUILD,
        True,
        "Error cancelling build",
        (),
    ),
    "rebuild missing build": (RebuildBuild(40), None, True, "No build with that id", ()),
    "rebuild missing request": (RebuildRequest(7), None, True, "No request with that id", ()),
    **{
        f"rebuild {name}": (RebuildRequest(7, 4), known, False, "Ok", (copy(),))
        for name, known in {
            "pending": PENDING,
            "claimed": WAITING,
            "running": BUILDING,
            "complete": DONE,
            "cancelled": CANCELLED,
        }.items()
    },
    "rebuild build": (RebuildBuild(40, 4), DONE, False, "Ok", (copy(40),)),
    "rebuild thrice": (RebuildBuild(40, 4, 3), DONE, False, "Ok", (copy(40),) * 3),
}


def ended(plan: Plan, state: str = "done") -> Outcome:
    """Conclude a plan all of whose steps came to this."""
    seen = StepResult([Item(state, "seen", request_id=7)])
    return conclude(plan.outcome, plan.lines, [seen] * len(plan.steps))


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    action, known, errors, msg, steps = TABLE[name]
    plan = decide(action, known, "zoe", RULES)
    outcome = ended(plan)
    assert (outcome.errors, outcome.msg) == (errors, msg)
    assert tuple(plan.steps) == steps


@pytest.mark.parametrize("name", TABLE)
def test_a_plan_without_steps_says_why_in_an_item(name: str) -> None:
    action, known, errors, *_ = TABLE[name]
    plan = decide(action, known, "zoe", RULES)
    if not plan.steps:
        (item,) = plan.outcome.items
        assert item.state == ("failed" if errors else "nothing")
        assert item.detail


@pytest.mark.parametrize(
    "name", [n for n, case in TABLE.items() if n.startswith("cancel") and case[4]]
)
def test_a_plan_that_cancels_has_a_message_for_their_failure(name: str) -> None:
    action, known, *_ = TABLE[name]
    expected = "Error cancelling build" if isinstance(action, CancelBuild) else FAILED_7
    outcome = ended(decide(action, known, "zoe", RULES), "failed")
    assert (outcome.errors, outcome.msg) == (True, expected)


@pytest.mark.parametrize(
    ("action", "known"),
    [
        (RebuildRequest(7), RevisionFacts(())),
        (CancelRevision("try", "abcd"), PENDING),
        (NewBuild("try", "abcd"), PENDING),
    ],
    ids=lambda x: type(x).__name__,
)
def test_facts_of_another_kind_are_an_error_of_ours(action: Action, known: Facts) -> None:
    with pytest.raises(TypeError, match=action.name):
        decide(action, known, "zoe", RULES)


@pytest.mark.parametrize("action", [CancelRequest(7), CancelBuild(41)], ids=lambda a: a.name)
def test_where_the_farm_clobbers_builds_that_are_stopped_are_clobbered_after_it(
    action: Action,
) -> None:
    compiles = attrs.evolve(BUILDING, request=claimed(buildername="Linux try build"))
    stopping, clobbering = decide(action, compiles, "zoe", rules(clobbers=True)).steps
    assert isinstance(stopping, StopBuild)
    assert clobbering == Clobber(stopping)
    tests = attrs.evolve(BUILDING, request=claimed(buildername="Linux try opt test mochitest"))
    assert len(decide(action, tests, "zoe", rules(clobbers=True)).steps) == 1
    assert len(decide(action, compiles, "zoe", RULES).steps) == 1


def test_a_new_priority_is_told_beside_the_old_one() -> None:
    (item,) = decide(REPRIORITIZE, PENDING, "zoe", RULES).outcome.items
    assert item == Item("done", "priority set from 3 to 5", request_id=7)


def test_what_may_not_be_rebuilt_is_refused_with_the_reason() -> None:
    known = attrs.evolve(DONE, rebuild_refusal="its branch is odd")
    plan = decide(RebuildRequest(7), known, "zoe", RULES)
    assert (plan.outcome.errors, plan.outcome.msg) == (True, "No builds to create")
    assert not plan.steps
    assert plan.outcome.items[0].detail == "its branch is odd"
