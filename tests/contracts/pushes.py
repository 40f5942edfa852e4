"""What every reader of pushes must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from buildapi.interfaces import Pushes
from buildapi.model.branches import Branch
from buildapi.model.pushes import Push, PushFilter, PushPage, PushPlace
from tests.contracts.reads import ANN, BEA, BRANCHES, CEDAR, T0, TRY, FarmUnderTest, of, run
from tests.reactor import twisted_test

R1, R2, R3 = "abcdef012345", "bbcdef012345", "cbcdef012345"
BOTH = (TRY, CEDAR)


class PushesUnderTest(FarmUnderTest, Protocol):
    """Readers of a farm, and what change sources send there."""

    @property
    def pushes(self) -> Pushes:
        """Return the reader."""

    def change(
        self,
        revision: str,
        at: int = ...,
        *,
        branch: str = ...,
        author: str = ...,
        comments: str = ...,
        files: Sequence[str] = ...,
    ) -> int:
        """Send a change; return its id."""


def named(page: PushPage) -> list[tuple[str, str]]:
    """Return branch and revision of each push."""
    return [(push.branch.name, push.revision) for push in page.pushes]


async def listed(
    made: PushesUnderTest, *branches: Branch, limit: int = 10, **wanted: object
) -> list[str]:
    """Return the revisions of the pushes of branches."""
    found = await made.pushes.pushes(PushFilter(branches or (TRY,), **wanted), limit)  # type: ignore[arg-type]  # the fields of the filter
    return [push.revision for push in found.pushes]


class PushesContract:
    """Tests of Pushes; a subclass has the fixture ``made`` (see PushesUnderTest)."""

    @twisted_test(10)
    async def test_pushes_come_newest_first_with_the_changes_of_their_revision(
        self, made: PushesUnderTest
    ) -> None:
        first = made.change(R1, T0, author=ANN, comments="fix\n\nmore")
        made.change(R2, T0 + 5, author=BEA)
        later = made.change(R1, T0 + 9, branch="try-linux-unittest", author="sendchange")
        page = await made.pushes.pushes(PushFilter((TRY,)), 10)
        assert named(page) == [("try", R2), ("try", R1)]
        push = page.pushes[1]
        assert [c.id for c in push.changes] == [first, later]
        assert (push.first.author, push.first.subject, push.when) == (ANN, "fix", T0)
        assert not page.more

    @twisted_test(10)
    async def test_a_page_continues_after_the_last_push_of_the_one_before(
        self, made: PushesUnderTest
    ) -> None:
        for revision in (R1, R2, R3):
            made.change(revision, T0)
        page = await made.pushes.pushes(PushFilter((TRY,)), 2)
        assert (named(page), page.more) == ([("try", R3), ("try", R2)], True)
        assert await listed(made, after=PushPlace(T0, R2)) == [R1]
        assert await listed(made, after=PushPlace(T0, R1)) == []

    @twisted_test(10)
    async def test_pushes_are_selected_by_branch_author_revision_and_time(
        self, made: PushesUnderTest
    ) -> None:
        made.change(R1, T0, author=ANN)
        made.change(R2, T0 + 10, author=BEA)
        made.change(R2, T0 + 20, branch="cedar", author=ANN)
        made.change(R3, T0 + 30, branch="elsewhere", author=ANN)
        made.change(R1, T0 + 40, author=BEA)
        assert await listed(made, *BOTH) == [R2, R2, R1]
        assert await listed(made, CEDAR) == [R2]
        assert await listed(made, *BOTH, author=ANN) == [R2, R1]
        assert await listed(made, author=ANN.upper()) == []
        assert await listed(made, revision=R2) == [R2]
        assert await listed(made, since=T0 + 1) == [R2]
        assert await listed(made, until=T0 + 10) == [R1]

    @twisted_test(10)
    async def test_a_push_has_the_builds_and_requests_of_its_revision_on_its_branch(
        self, made: PushesUnderTest
    ) -> None:
        made.change(R1, T0)
        made.change(R1, T0 + 1, branch="cedar")
        built = run(made, made.request("try", R1))
        waiting = made.request("try-linux", R1)
        made.request("try", R2)
        other = made.request("cedar", R1)
        pushes: Sequence[Push] = (await made.pushes.pushes(PushFilter(BOTH), 10)).pushes
        found = await made.pushes.work(pushes)
        assert {key.branch: of(day) for key, day in found.items()} == {
            "try": ([built], [waiting]),
            "cedar": ([], [other]),
        }

    @twisted_test(10)
    async def test_a_push_without_builds_has_none(self, made: PushesUnderTest) -> None:
        made.change(R1, T0)
        pushes = (await made.pushes.pushes(PushFilter((TRY,)), 10)).pushes
        assert [of(day) for day in (await made.pushes.work(pushes)).values()] == [([], [])]
        assert await made.pushes.work([]) == {}

    @twisted_test(10)
    async def test_changes_are_found_by_whole_revisions(self, made: PushesUnderTest) -> None:
        one = made.change(R1, T0 + 1, files=["b.c", "a.c"])
        other = made.change(R1, T0, branch="cedar")
        found = await made.pushes.changes([R1, R2, R1[:6]])
        assert {r: [c.id for c in of] for r, of in found.items()} == {R1: [other, one]}
        assert await made.pushes.files([one, other]) == {one: ["a.c", "b.c"]}

    @twisted_test(10)
    async def test_the_latest_builds_of_a_builder_tell_its_median_and_results(
        self, made: PushesUnderTest
    ) -> None:
        builds = []
        for seconds in (10, 90, 50):
            request = made.request("try", R1, builder="linux")
            builds.append(run(made, request, at=T0 + 11))
            made.end(builds[-1], at=T0 + 11 + seconds)
            made.complete(request, results=0)
        made.request("try", R1, builder="mac")
        assert await made.pushes.medians() == {"linux": 50}
        found = await made.pushes.results(BRANCHES.by_name["try"], "linux", 2)
        assert [b.id for b in found] == [builds[2], builds[1]]
        assert await made.pushes.results(TRY, "mac", 2) == []
