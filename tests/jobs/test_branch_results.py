"""Which pushes tell that a branch is red."""

from __future__ import annotations

from buildapi.jobs.branch_results import by_branch, is_finished, latest_finished
from buildapi.jobs.push_summary import PushSummary
from buildapi.model.branches import Branch
from buildapi.model.pushes import Change, Push


def push(branch: str, revision: str) -> Push:
    change = Change(1, branch, revision, "ann", "", 100)
    return Push(Branch(branch, (branch,), {}), revision, [change])


def summed(revision: str, **counts: int) -> PushSummary:
    return PushSummary(
        push=push("try", revision),
        jobs=[],
        counts=counts,
        complete=False,
        passed=False,
        started=None,
        ended=None,
        expected=None,
    )


def test_a_push_without_jobs_or_with_open_ones_is_not_finished() -> None:
    assert not is_finished(summed("a"))
    assert not is_finished(summed("a", success=3, pending=1))
    assert not is_finished(summed("a", failure=3, running=1))
    assert is_finished(summed("a", success=1))
    assert is_finished(summed("a", failure=2, retry=1))


def test_the_first_that_is_finished_counts_whatever_is_newer() -> None:
    pushes = [summed("a", running=1), summed("b"), summed("c", failure=1), summed("d", success=1)]
    found = latest_finished(pushes)
    assert found is not None
    assert found.push.revision == "c"
    assert latest_finished(pushes[:2]) is None


def test_a_busy_branch_takes_no_place_from_others() -> None:
    pushes = [push("try", f"{n}") for n in range(9)]
    found = by_branch([*pushes, push("cedar", "x"), push("fig", "y"), push("cedar", "z")], 2, 3)
    assert [[(p.branch.name, p.revision) for p in group] for group in found] == [
        [("try", "0"), ("try", "1"), ("try", "2")],
        [("cedar", "x"), ("cedar", "z")],
    ]
