"""Who stops a build or asks for one is warned: of others who lose it, of builders nobody has."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from buildapi.jobs.decide import decide
from buildapi.jobs.plan_outcomes import StepResult, conclude
from buildapi.jobs.warnings import SHARERS_NAMED, loses, shared
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    RebuildBuild,
    RebuildRequest,
)
from buildapi.model.facts import RequestFacts, RevisionFacts
from buildapi.model.outcome import Item
from buildapi.model.records import RequestBuild
from buildapi.model.steps import Plan, Sharer, StopBuild
from tests.model.defaults import rules
from tests.model.values import claimed, request

START = 1_700_000_101
OTHER = Sharer(8, "try", "0123456789abcdef", "joe@example.org")
WARNING = (
    "Build 41 is shared: stopping it also ends request 8 (try 0123456789ab by joe@example.org)"
)
UNLISTED = (
    "linux: the builders file does not list this builder; the request may stay pending for ever"
)


def facts(brid: int = 7, bid: int = 41, *sharers: Sharer, **more: Any) -> RequestFacts:
    """Return a request with a running build that others share."""
    build = RequestBuild(bid, 9, brid, START, None)
    own = Sharer(brid, "try", "abcdef012345")
    shares = {bid: (own, *sharers)} if sharers else {}
    return RequestFacts(claimed(id=brid), (build,), sharers=shares, **more)


def planned(action: Action, known: RequestFacts | RevisionFacts) -> Plan:
    return decide(action, known, "me@example.org", rules())


CANCELS: list[Any] = [CancelBuild(41), CancelRequest(7)]


@pytest.mark.parametrize("action", CANCELS)
def test_a_plan_that_stops_a_shared_build_says_whose_other_pushes_lose_it(action: Action) -> None:
    plan = planned(action, facts(7, 41, OTHER))
    assert list(plan.outcome.warnings) == [WARNING]
    (stop,) = plan.steps
    assert isinstance(stop, StopBuild)
    assert list(stop.sharers) == [OTHER]


@pytest.mark.parametrize("action", CANCELS)
def test_the_outcome_of_a_stop_says_it_as_well(action: Action) -> None:
    plan = planned(action, facts(7, 41, OTHER))
    done = StepResult([Item("done", "stopped", request_id=7)])
    assert list(conclude(plan.outcome, plan.lines, [done]).warnings) == [WARNING]


@pytest.mark.parametrize("action", CANCELS)
def test_a_build_of_one_request_is_nobody_elses(action: Action) -> None:
    assert list(planned(action, facts()).outcome.warnings) == []


def test_the_cancel_of_a_revision_names_only_requests_that_it_does_not_mean() -> None:
    """Two requests of the push share one build with a third of another push: one warning."""
    one = facts(7, 41, Sharer(9, "try", "abcdef012345"), OTHER)
    two = facts(9, 43, Sharer(7, "try", "abcdef012345"), OTHER)
    plan = planned(CancelRevision("try", "abcdef012345"), RevisionFacts([one, two]))
    assert list(plan.outcome.warnings) == [WARNING]


def test_the_cancel_of_a_revision_alone_in_its_build_warns_of_nobody() -> None:
    one = facts(7, 41, Sharer(9, "try", "abcdef012345"))
    two = facts(9, 43, Sharer(7, "try", "abcdef012345"))
    plan = planned(CancelRevision("try", "abcdef012345"), RevisionFacts([one, two]))
    assert list(plan.outcome.warnings) == []


def test_those_left_out_of_a_cancel_are_named() -> None:
    """A part of a push that the cancel excepts loses the shared build all the same."""
    kept = attrs.evolve(facts(9, 43), request=claimed(id=9, buildername="mac"))
    one = facts(7, 41, Sharer(9, "try", "abcdef012345"))
    action = CancelRevision("try", "abcdef012345", builders=("linux",))
    plan = planned(action, RevisionFacts([one, kept]))
    assert list(plan.outcome.warnings) == [
        "Build 41 is shared: stopping it also ends request 9 (try abcdef012345)"
    ]


@pytest.mark.parametrize(
    ("sharer", "words"),
    [
        (OTHER, "request 8 (try 0123456789ab by joe@example.org)"),
        (Sharer(8, "try", None), "request 8 (try)"),
        (Sharer(8, None, None), "request 8"),
        (Sharer(8, None, None, "joe"), "request 8 (by joe)"),
    ],
)
def test_a_request_is_named_with_what_is_known_of_its_push(sharer: Sharer, words: str) -> None:
    assert loses([sharer]).removeprefix("stopping it also ends ").replace("( ", "(") == words


def test_many_who_share_a_build_are_counted() -> None:
    many = [Sharer(n, None, None) for n in range(SHARERS_NAMED + 2)]
    assert loses(many).endswith(f"request {SHARERS_NAMED - 1} and 2 more")
    assert list(shared([])) == []


@pytest.mark.parametrize("action", [RebuildBuild(41), RebuildRequest(7, count=3)])
@pytest.mark.parametrize(("listed", "warnings"), [(False, [UNLISTED]), (True, []), (None, [])])
def test_a_rebuild_for_a_builder_that_no_builders_file_lists_is_accepted_with_a_warning(
    action: Action, listed: bool | None, warnings: list[str]
) -> None:
    plan = planned(action, RequestFacts(request(), (), listed=listed))
    assert (plan.outcome.errors, list(plan.outcome.warnings)) == (False, warnings)
    assert len(plan.steps) == getattr(action, "count", 1)
    assert list(conclude(plan.outcome, plan.lines, []).warnings) == warnings
