"""Which tries at a request may be running."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from buildapi.model.facts import RequestFacts
from buildapi.model.records import RequestBuild, Stage
from tests.model.values import request

START = 1_700_000_000


def attempt(id_: int, number: int, start: int = 0, finish: int | None = None) -> RequestBuild:
    end = None if finish is None else START + finish
    return RequestBuild(id_, number, 1, START + start, end)


def test_builds_without_an_end_may_be_running_unless_their_master_died() -> None:
    left = replace(attempt(1, 9), left_over=True)
    ended, one, two = attempt(2, 10, finish=60), attempt(3, 11), attempt(4, 31, 2)
    facts = RequestFacts(request(), [left, ended, one, two])
    assert facts.running == [one, two]


def test_a_try_is_found_by_its_build_id() -> None:
    tries = [attempt(1, 9), attempt(2, 10)]
    facts = RequestFacts(request(), tries)
    assert facts.try_of(2) == tries[1]
    assert facts.try_of(3) is None


@pytest.mark.parametrize(
    ("complete", "claimed_at", "stage"),
    [
        (False, 0, Stage.PENDING),
        (False, 17, Stage.CLAIMED),
        (False, None, Stage.PENDING),
        (True, 0, Stage.COMPLETE),
        (True, 17, Stage.COMPLETE),
    ],
)
def test_stages(complete: bool, claimed_at: int | None, stage: Stage) -> None:
    assert request(complete=complete, claimed_at=claimed_at).stage is stage
