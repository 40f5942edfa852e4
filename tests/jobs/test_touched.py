"""What a job request means for builders, and for the requests of others."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from buildapi.jobs.touched import Touch, touched
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.facts import BranchFacts, Facts, RequestFacts, RevisionFacts
from buildapi.model.records import RequestBuild
from buildapi.model.steps import Sharer
from tests.model.defaults import rules
from tests.model.values import claimed, request

OURS, THEIRS = Sharer(21, "try", "abcdef012345"), Sharer(77, "projects/cedar", "0123")
RUNNING = RequestFacts(
    claimed(id=21, buildername="linux"),
    [RequestBuild(41, 9, 21, 1_700_000_101, None)],
    sharers={41: [OURS, THEIRS]},
)
PENDING = RequestFacts(request(id=11, buildername="mac"), [])
BRANCH = BranchFacts("try", None, ["linux pgo-build", "linux"], "1", "2", "m1")


@pytest.mark.parametrize(
    "action",
    [CancelBuild(41), CancelRequest(21), RebuildBuild(41), RebuildRequest(21)],
    ids=lambda action: action.name,
)
def test_all_who_share_a_running_build_count(action: Action) -> None:
    found = touched(action, RUNNING, rules())
    assert found == [Touch("linux"), Touch("linux", THEIRS)]


@pytest.mark.parametrize(
    ("action", "facts", "names"),
    [
        (CancelRequest(11), PENDING, ["mac"]),
        (Reprioritize(11, 3), PENDING, ["mac"]),
        (RebuildRequest(11), PENDING, ["mac"]),
        (NewPGOBuild("try", "abcd"), BRANCH, ["linux pgo-build"]),
        (NewBuilderBuild("try-selfserve", "abcd", "win"), BRANCH, ["win"]),
        (NewBuild("try", "abcd"), BRANCH, []),
        (CancelBuild(41), None, []),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_builders_are_those_of_the_plan(action: Action, facts: Facts, names: Sequence[str]) -> None:
    assert touched(action, facts, rules()) == [Touch(name) for name in names]


def test_the_cancel_of_a_revision_touches_only_what_it_means() -> None:
    revision = CancelRevision("try", "abcdef012345")
    facts = RevisionFacts([PENDING, RUNNING])
    every = [Touch("mac"), Touch("linux"), Touch("linux", THEIRS)]
    assert touched(revision, facts, rules()) == every
    pending = attrs.evolve(revision, only="pending")
    assert touched(pending, facts, rules()) == [Touch("mac")]
    named = attrs.evolve(revision, builders=("m*",))
    assert touched(named, facts, rules()) == [Touch("mac")]
