"""Whose push a row is: the first change of its revision on its branch."""

from __future__ import annotations

from buildapi.jobs.push_index import NO_PUSHES, PushIndex
from buildapi.model.branches import Branches
from buildapi.model.pushes import Change

R1, R2 = "abcdef012345", "bbcdef012345"
BRANCHES = Branches.from_definitions(
    {"try": {}, "try-comm-central": {}, "cedar": {"repo": "https://hg.example.org/projects/cedar"}}
)


def change(id_: int, branch: str | None, author: str) -> Change:
    return Change(id_, branch, R1, author, f"comment of {author}\nmore", 1000 + id_)


INDEX = PushIndex(
    {
        R1: [
            change(1, "projects/cedar", "ann"),
            change(2, "try", "bea"),
            change(3, "try-linux-unittest", "sendchange"),
            change(4, "nowhere", "dan"),
            change(5, None, "eve"),
        ]
    },
    BRANCHES.owner,
)


def author(branch: str | None, revision: str | None = R1) -> str | None:
    first = INDEX.first(branch, revision)
    return None if first is None else first.author


def test_a_row_has_the_first_change_of_its_revision_on_its_branch() -> None:
    assert author("try") == author("try-linux-unittest") == "bea"
    assert author("cedar") == author("projects/cedar-linux") == "ann"
    assert [c.id for c in INDEX.push("try", R1)] == [2, 3]


def test_a_longer_name_is_another_branch() -> None:
    assert author("try-comm-central") is None


def test_what_belongs_to_no_branch_has_the_changes_of_the_same_stored_one() -> None:
    assert (author("nowhere"), author("elsewhere"), author(None)) == ("dan", None, "eve")


def test_a_row_without_a_known_change_has_none() -> None:
    assert (author("try", R2), author("try", None), author("try", "")) == (None, None, None)
    assert NO_PUSHES.first("try", R1) is None
