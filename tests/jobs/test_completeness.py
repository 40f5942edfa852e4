"""When a push is done, and when it passed."""

from __future__ import annotations

import pytest

from buildapi.jobs.completeness import is_done
from buildapi.model.records import BranchDay, Build, BuildRequest
from tests.model.values import claimed, request

NOW, DELAY = 1_700_010_000, 180
LONG_AGO, JUST_NOW = NOW - DELAY, NOW - DELAY + 1


def build(results: int | None, finish: int | None = LONG_AGO) -> Build:
    served = claimed(complete=results is not None, results=results)
    return Build(1, 1, NOW - 5000, finish, (served,))


@pytest.mark.parametrize(
    ("builds", "pending", "expected"),
    [
        ([], [], (False, False)),
        ([], [request()], (False, False)),
        ([build(0)], [], (True, True)),
        ([build(0)], [request()], (False, False)),
        ([build(0), build(5)], [], (True, True)),
        ([build(0), build(1)], [], (True, False)),
        ([build(2)], [], (True, False)),
        ([build(4)], [], (True, False)),
        ([build(None)], [], (False, False)),
        ([build(0), build(None, None)], [], (False, False)),
        ([build(0), build(0, JUST_NOW)], [], (False, False)),
        ([build(0)], [claimed()], (False, False)),
        ([build(0, None)], [], (True, True)),
        ([build(0), build(0, None)], [], (True, True)),
        ([build(2, None)], [], (True, False)),
        ([build(0, None), build(0, JUST_NOW)], [], (False, False)),
    ],
)
def test_is_done(
    builds: list[Build], pending: list[BuildRequest], expected: tuple[bool, bool]
) -> None:
    assert is_done(BranchDay(builds, pending), DELAY, NOW) == expected


def test_a_request_that_a_build_serves_beside_its_own_keeps_a_push_open() -> None:
    """Coalesced requests are completed one after the other: the last one counts."""
    first, last = claimed(id=8, complete=True, results=0), claimed()
    shared = Build(1, 1, NOW - 5000, LONG_AGO, (first, last))
    assert is_done(BranchDay([shared], []), DELAY, NOW) == (False, False)


CLAIM = 1_700_000_100


@pytest.mark.parametrize(
    ("served", "ends", "awaited"),
    [
        (request(), [], True),
        (request(claimed_at=None), [], True),
        (request(), [CLAIM - 50], True),
        (request(complete=True), [], False),
        (claimed(), [], True),
        (claimed(), [None], False),
        (claimed(), [CLAIM - 50], True),
        (claimed(), [CLAIM], True),
        (claimed(), [CLAIM + 1], False),
        (claimed(), [CLAIM - 50, None], False),
        (claimed(complete=True), [], False),
    ],
)
def test_a_request_awaits_a_build_until_one_of_its_present_claim_has_begun(
    served: BuildRequest, ends: list[int | None], awaited: bool
) -> None:
    """A build that ended before the claim was of an earlier one: its slave was lost."""
    assert served.awaits_build(ends) == awaited


@pytest.mark.parametrize(
    ("finish", "requests", "left_over", "abandoned"),
    [
        (None, [claimed()], False, False),
        (None, [claimed(complete=True)], False, True),
        (None, [claimed(complete=True), claimed(id=8)], False, False),
        (None, [request()], False, True),
        (None, [claimed()], True, True),
        (LONG_AGO, [claimed(complete=True)], False, False),
        (LONG_AGO, [claimed()], True, False),
    ],
)
def test_a_build_without_an_end_that_nobody_works_on_is_abandoned(
    finish: int | None, requests: list[BuildRequest], left_over: bool, abandoned: bool
) -> None:
    """A dead master never writes the end of its build; others complete what it was for."""
    assert Build(1, 1, NOW, finish, requests, left_over).is_abandoned == abandoned
