"""Revisions that were pushed together are one push of a list."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from buildapi.jobs.push_summary import PushSummary
from buildapi.jobs.pushed_together import joined
from buildapi.model.branches import Branch
from buildapi.model.pushes import Change, Push

WHEN = 1_700_000_000


def pushed(
    id_: int, author: str = "ann", branch: str = "try", jobs: int = 0, when: int = WHEN
) -> PushSummary:
    change = Change(id_, branch, f"r{id_}", author, "fix", when)
    push = Push(Branch(branch, (branch,), {}), f"r{id_}", [change])
    counts = {"success": jobs} if jobs else {}
    return PushSummary(push, [], counts, False, False, None, None, None)


def shown(found: Sequence[PushSummary]) -> list[tuple[str, list[str]]]:
    return [(one.push.revision, [other.revision for other in one.others]) for one in joined(found)]


def test_those_without_jobs_belong_to_the_one_with_jobs() -> None:
    assert shown([pushed(1), pushed(3), pushed(2, jobs=5)]) == [("r2", ["r3", "r1"])]


def test_the_last_one_stands_for_all_until_there_are_jobs() -> None:
    assert shown([pushed(2), pushed(3), pushed(1)]) == [("r3", ["r2", "r1"])]


def test_each_one_with_jobs_is_shown() -> None:
    found = [pushed(1), pushed(2, jobs=1), pushed(3, jobs=1)]
    assert shown(found) == [("r3", ["r1"]), ("r2", [])]


def test_other_authors_and_branches_are_other_pushes() -> None:
    found = [pushed(1, jobs=1), pushed(2, author="bea"), pushed(3, branch="cedar")]
    assert shown(found) == [("r3", []), ("r2", []), ("r1", [])]


def test_those_of_another_second_are_other_pushes() -> None:
    assert shown([pushed(2, jobs=1), pushed(1, when=WHEN - 1)]) == [("r2", []), ("r1", [])]


@given(
    st.lists(
        st.builds(
            pushed,
            st.integers(1, 99),
            st.sampled_from(["ann", "bea"]),
            st.sampled_from(["try", "cedar"]),
            st.integers(0, 1),
        ),
        unique_by=lambda one: one.push.revision,
        max_size=12,
    )
)
def test_no_push_is_lost_and_none_is_there_twice(found: list[PushSummary]) -> None:
    revisions = [r for revision, others in shown(found) for r in (revision, *others)]
    assert sorted(revisions) == sorted(one.push.revision for one in found)
    for one in joined(found):
        for other in one.others:
            assert (other.branch.name, other.first.author) == (
                one.push.branch.name,
                one.push.first.author,
            )
