"""What the cancel of a revision means for each of its requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.jobs.cancel import cancel_revision
from buildapi.jobs.decide import decide
from buildapi.jobs.plan_outcomes import StepResult, conclude
from buildapi.model.actions import CancelRequest, CancelRevision
from buildapi.model.facts import RequestFacts, RevisionFacts
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import BuildRequest, RequestBuild
from buildapi.model.steps import (
    Clobber,
    DropRequest,
    DropRequests,
    Plan,
    Step,
    StopBuild,
    StopClaimed,
)
from tests.model.defaults import rules
from tests.model.values import MASTER, claimed, request

ALL = CancelRevision("try", "abcdef012345")
START = 1_700_000_101


def facts(of: BuildRequest, *tries: RequestBuild) -> RequestFacts:
    return RequestFacts(of, tries)


def running(id_: int, bid: int, **changes: Any) -> RequestFacts:
    """Return a claimed request with a running build."""
    return facts(claimed(id=id_, buildsetid=id_, **changes), RequestBuild(bid, 9, id_, START, None))


def pending(id_: int, **changes: Any) -> RequestFacts:
    return facts(request(**{"id": id_, "buildsetid": id_} | changes))


def stop(id_: int, bid: int, **changes: Any) -> StopBuild:
    at = {"revision": "abcdef012345", "master": MASTER}
    fields = {"buildername": "linux", **at, **changes}
    return StopBuild(build_id=bid, brid=id_, number=9, start_time=START, **fields)


PENDING = pending(11)
SAME_SET = pending(12, buildsetid=11)
NEVER_CLAIMED = pending(13, claimed_at=None)
UNCLAIMED_BUILD = facts(request(id=14, buildsetid=14), RequestBuild(44, 9, 14, START, None))
CLAIMED = facts(claimed(id=21, buildsetid=21))
BUILDING = running(31, 41)
DOUBLE = facts(
    claimed(id=32), RequestBuild(42, 9, 32, START, None), RequestBuild(43, 31, 32, START + 2, None)
)
RACED = running(33, 45, complete=True, results=2)
LOST = facts(claimed(id=34, claimed_by_name=None), RequestBuild(46, 9, 34, START, None))
LOST_IDLE = facts(claimed(id=35, claimed_by_name=None))
COMPLETE = facts(claimed(id=51, complete=True), RequestBuild(47, 9, 51, START, START + 5))
CANCELLED = pending(52, complete=True)
LEFT_OVER = facts(request(id=53, complete=True), RequestBuild(48, 9, 53, START, None))
EVERYTHING = [
    BUILDING,
    PENDING,
    RACED,
    SAME_SET,
    CLAIMED,
    COMPLETE,
    CANCELLED,
    LEFT_OVER,
    NEVER_CLAIMED,
    UNCLAIMED_BUILD,
    DOUBLE,
]


def plan(found: Sequence[RequestFacts], action: CancelRevision = ALL, **kind: bool) -> Plan:
    return decide(action, RevisionFacts(found), "zoe", rules(**kind))


def ended(plan: Plan, **states: str) -> Outcome:
    """Conclude a plan whose steps came to ``done``, or what ``r7="failed"`` says."""
    seen = [
        StepResult([Item(states.get(f"r{brid}", "done"), "seen", request_id=brid)])
        for step in plan.steps
        for brid in about(step)
    ]
    return conclude(plan.outcome, plan.lines, seen)


def about(step: Step) -> Sequence[int]:
    assert isinstance(step, StopBuild | StopClaimed | DropRequests)
    return [step.brid] if isinstance(step, StopBuild) else step.brids


def cancelled(plan: Plan) -> tuple[list[int], list[int], list[int]]:
    """List the requests that are dropped, those awaited, and the builds that are stopped."""
    dropped = [b for s in plan.steps if isinstance(s, DropRequests) for b in s.brids]
    awaited = [b for s in plan.steps if isinstance(s, StopClaimed) for b in s.brids]
    return dropped, awaited, [s.build_id for s in plan.steps if isinstance(s, StopBuild)]


# request, dropped, awaited, stopped, in the words of the job
TABLE: dict[str, tuple[RequestFacts, bool, bool, list[int], str]] = {
    "pending": (PENDING, True, False, [], "11: Ok"),
    "never claimed": (NEVER_CLAIMED, True, False, [], "13: Ok"),
    "pending with a build of nobody": (UNCLAIMED_BUILD, True, False, [], "14: Ok"),
    "claimed, no build yet": (CLAIMED, False, True, [], "21: Ok"),
    "running": (BUILDING, False, False, [41], "31: Ok"),
    "running twice": (DOUBLE, False, False, [42, 43], "32: Ok"),
    "complete, but running": (RACED, False, False, [45], "33: Ok"),
    "running, claimed by nobody": (
        LOST,
        False,
        False,
        [],
        "Error cancelling build (request 34)",
    ),
    "claimed by nobody": (LOST_IDLE, False, False, [], "Error cancelling build (request 35)"),
    "complete": (COMPLETE, False, False, [], ""),
    "cancelled before": (CANCELLED, False, False, [], ""),
    "complete, build left by a killed master": (LEFT_OVER, False, False, [], ""),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    known, dropped, awaited, stopped, msg = TABLE[name]
    planned = plan([known])
    ids = [known.request.id]
    assert cancelled(planned) == (ids if dropped else [], ids if awaited else [], stopped)
    outcome = ended(planned)
    assert (outcome.msg, outcome.errors) == (msg, msg.startswith("Error"))


def test_all_that_is_pending_is_dropped_in_one_step_and_its_buildsets_once() -> None:
    planned = plan([PENDING, SAME_SET, NEVER_CLAIMED, BUILDING])
    assert planned.steps == (DropRequests([11, 12, 13], [11, 13]), stop(31, 41))


def test_there_is_a_line_for_each_request_in_the_order_of_their_ids() -> None:
    planned = plan([DOUBLE, PENDING, LOST, BUILDING])
    outcome = ended(planned, r31="unconfirmed")
    assert outcome.errors
    assert outcome.msg.split("\n") == [
        "11: Ok",
        "Error cancelling build (request 31)",
        "32: Ok",
        "Error cancelling build (request 34)",
    ]


@pytest.mark.parametrize("found", [[], [COMPLETE, CANCELLED, LEFT_OVER]])
def test_nothing_to_cancel_is_an_empty_message_and_no_error(found: list[RequestFacts]) -> None:
    planned = plan(found)
    outcome = ended(planned)
    assert (outcome.errors, outcome.msg, planned.steps) == (False, "", ())
    assert [i.state for i in outcome.items] == ["nothing"]


def test_an_unknown_branch_is_refused() -> None:
    outcome = ended(decide(ALL, None, "zoe", rules()))
    assert (outcome.errors, outcome.msg) == (True, "Branch try not found")


def test_only_pending_leaves_all_that_a_master_has() -> None:
    planned = plan(EVERYTHING, attrs.evolve(ALL, only="pending"))
    assert cancelled(planned) == ([11, 12, 13, 14], [], [])


def test_only_pending_does_not_stop_what_a_master_claims_in_between() -> None:
    (drop,) = plan([PENDING], attrs.evolve(ALL, only="pending")).steps
    assert drop == DropRequests([11], [11], claimed=False)
    (drop,) = plan([PENDING]).steps
    assert drop == DropRequests([11], [11], claimed=True)


def test_only_running_leaves_what_is_pending() -> None:
    planned = plan(EVERYTHING, attrs.evolve(ALL, only="running"))
    assert cancelled(planned) == ([], [21], [41, 45, 42, 43])


NAMED = [
    pending(11, buildername="Linux try build"),
    running(12, 41, buildername="WINNT 5.2 try pgo-build"),
    pending(13, buildername="Linux try opt test mochitest"),
    running(14, 42, buildername="Linux try l10n nightly"),
    pending(15, buildername="linux_try_build"),
]


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, [11, 12, 13, 14, 15]),
        ({"builders": ["*"]}, [11, 12, 13, 14, 15]),
        ({"builders": ["*pgo*"]}, [12]),
        ({"builders": ["*pgo*", "Linux*build"]}, [11, 12]),
        ({"builders": ["linux*"]}, [15]),
        ({"builders": ["Linux try build"]}, [11]),
        ({"builders": ["try"]}, []),
        ({"builders": ["Linux try [bo]*"]}, [11, 13]),
        ({"exclude_builds": True}, [13, 15]),
        ({"exclude_builds": True, "builders": ["*build*"]}, [15]),
        ({"exclude_builds": True, "only": "running"}, []),
        ({"only": "running", "builders": ["Linux*"]}, [14]),
    ],
    ids=str,
)
def test_a_cancel_may_name_its_builders(changes: dict[str, Any], left: list[int]) -> None:
    """As patterns that match whole names; some are builds, by the rules of the farm."""
    planned = plan(NAMED, attrs.evolve(ALL, **changes))
    assert [line.brid for line in planned.lines] == left


def test_the_reason_is_shown_with_all_that_is_stopped() -> None:
    planned = plan([BUILDING, PENDING, CLAIMED], attrs.evolve(ALL, reason="bad push"))
    assert planned.steps == (
        DropRequests([11], [11], note="bad push"),
        stop(31, 41, note="bad push"),
        StopClaimed([21], note="bad push"),
    )


def test_builds_that_compile_are_clobbered_once_stopped() -> None:
    known = [running(31, 41, buildername="Linux try build"), BUILDING]
    first, second, clobber = plan(known, clobbers=True).steps
    assert clobber == Clobber(stop(31, 41, buildername="Linux try build"))
    assert [first, second] == list(plan(known).steps)


ANY = st.sampled_from([*EVERYTHING, LOST, LOST_IDLE])
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "only": st.sampled_from(["pending", "running"]),
        "builders": st.lists(st.text(min_size=1, max_size=12), max_size=3),
        "exclude_builds": st.booleans(),
        "reason": st.text("ab ", max_size=9),
    },
)


@given(st.lists(ANY, unique_by=lambda f: f.request.id), CHANGES)
def test_each_request_has_one_line_and_a_step_or_an_item(
    found: list[RequestFacts], changes: dict[str, Any]
) -> None:
    planned = cancel_revision(attrs.evolve(ALL, **changes), RevisionFacts(found), rules())
    dropped, awaited, stopped = cancelled(planned)
    stopping = {s.brid for s in planned.steps if isinstance(s, StopBuild)}
    handled = stopping | {*dropped, *awaited}
    failed = {i.request_id for i in planned.outcome.items if i.state == "failed"}
    lines = [line.brid for line in planned.lines]
    assert lines == sorted(set(lines), key=lambda n: n or 0)
    assert set(lines) == handled | failed
    assert not handled & failed
    assert not set(dropped) & {*awaited, *stopping}
    assert len(set(stopped)) == len(stopped)
    assert msgspec.json.decode(msgspec.json.encode(planned), type=Plan)


@given(ANY)
def test_a_cancel_of_its_revision_does_to_a_request_what_its_own_cancel_does(
    known: RequestFacts,
) -> None:
    """Excepted those claimed without a build: a revision waits for it."""
    alone = decide(CancelRequest(known.request.id), known, "zoe", rules())
    dropped = [w.brid for w in alone.steps if isinstance(w, DropRequest)]
    stopped = [p.build_id for p in alone.steps if isinstance(p, StopBuild)]
    assert cancelled(plan([known]))[::2] == (dropped, stopped)


def test_a_hash_that_fits_two_revisions_cancels_nothing_and_names_both() -> None:
    plan = decide(ALL, RevisionFacts((), ("abcdef0123451", "abcdef0123452")), "zoe", rules())
    said = "Revision abcdef012345 fits 2 revisions: abcdef0123451, abcdef0123452"
    assert (plan.outcome.errors, plan.outcome.msg) == (True, said)
    assert not plan.steps
