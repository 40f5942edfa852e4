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
        ([build(None)], [], (True, False)),
        ([build(0), build(None, None)], [], (False, False)),
        ([build(0), build(0, JUST_NOW)], [], (False, False)),
    ],
)
def test_is_done(
    builds: list[Build], pending: list[BuildRequest], expected: tuple[bool, bool]
) -> None:
    assert is_done(BranchDay(builds, pending), DELAY, NOW) == expected
