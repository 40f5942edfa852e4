"""What every reader of pushes must do."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random
from typing import Protocol

import attrs
import pytest

from buildapi.interfaces import Pushes
from buildapi.model.branches import Branch
from buildapi.model.pushes import Push, PushFilter, PushKey, PushPage, PushPlace
from tests.contracts.reads import (
    ANN,
    BEA,
    BRANCHES,
    CEDAR,
    LONGER,
    REVISION,
    T0,
    TRY,
    FarmUnderTest,
    of,
    run,
)
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


async def every_page(
    made: PushesUnderTest, wanted: PushFilter, limit: int
) -> list[tuple[str, str]]:
    """Return branch and revision of each push of all pages."""
    found: list[tuple[str, str]] = []
    for _ in range(999):
        page = await made.pushes.pushes(wanted, limit)
        found += named(page)
        if page.next is None:
            return found
        wanted = attrs.evolve(wanted, after=page.next)
    raise AssertionError("the list does not end")


async def listed(
    made: PushesUnderTest, *branches: Branch, limit: int = 10, **wanted: object
) -> list[str]:
    """Return the revisions of the pushes of branches, of all pages."""
    filter_ = PushFilter(branches or (TRY,), **wanted)  # type: ignore[arg-type]  # its fields
    return [revision for _, revision in await every_page(made, filter_, limit)]


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

    @twisted_test(20)
    async def test_pages_of_any_size_make_up_the_whole_list(self, made: PushesUnderTest) -> None:
        """Many changes are of one second, and pushes are of several revisions and branches."""
        dice = Random(18)
        stored = ["try", "try-linux-unittest", "projects/cedar", "cedar", "elsewhere"]
        for _ in range(60):
            revision = f"{dice.randrange(25):040x}"
            made.change(revision, T0 + dice.randrange(4), branch=dice.choice(stored))
        for branches in (BOTH, (TRY,)):
            whole = await every_page(made, PushFilter(branches), 99)
            assert len(whole) == len(set(whole)) > 10
            for limit in range(1, len(whole) + 2):
                assert await every_page(made, PushFilter(branches), limit) == whole

    @twisted_test(10)
    async def test_a_revision_that_two_branches_have_of_one_second_is_on_one_page(
        self, made: PushesUnderTest
    ) -> None:
        for branch in ("try", "cedar"):
            made.change(R2, T0, branch=branch)
        made.change(R1, T0)
        made.change(R3, T0)
        page = await made.pushes.pushes(PushFilter(BOTH), 2)
        assert named(page) == [("try", R3), ("try", R2), ("cedar", R2)]
        assert page.next == PushPlace(T0, R2)
        assert await listed(made, *BOTH, after=page.next) == [R1]

    @twisted_test(10)
    async def test_the_last_page_says_that_it_is_the_last(self, made: PushesUnderTest) -> None:
        made.change(R1, T0)
        made.change(R2, T0 + 1)
        assert (await made.pushes.pushes(PushFilter((TRY,)), 1)).next == PushPlace(T0 + 1, R2)
        assert (await made.pushes.pushes(PushFilter((TRY,)), 2)).next is None
        nothing = await made.pushes.pushes(PushFilter((TRY,), after=PushPlace(T0)), 1)
        assert (list(nothing.pushes), nothing.next) == ([], None)

    @twisted_test(10)
    async def test_a_place_without_a_revision_is_before_earlier_seconds(
        self, made: PushesUnderTest
    ) -> None:
        made.change(R1, T0)
        made.change(R2, T0 + 1)
        assert await listed(made, after=PushPlace(T0 + 1)) == [R1]

    @twisted_test(10)
    async def test_of_no_branch_and_of_an_empty_farm_nothing_is_listed(
        self, made: PushesUnderTest
    ) -> None:
        pushes = made.pushes
        assert await pushes.pushes(PushFilter(BOTH), 5) == PushPage([])
        assert await pushes.changes([]) == {}
        assert await pushes.changes([R1]) == {}
        assert await pushes.files([]) == {}
        assert await pushes.files([7]) == {}
        assert await pushes.medians() == {}
        assert await pushes.results(TRY, "linux", 5) == []
        made.change(R1, T0)
        assert await pushes.pushes(PushFilter(()), 5) == PushPage([])

    @twisted_test(10)
    async def test_a_branch_has_no_pushes_of_a_branch_whose_name_begins_with_its_own(
        self, made: PushesUnderTest
    ) -> None:
        comm = BRANCHES.by_name["try-comm-central"]
        made.change(R1, T0, branch="try-comm-central")
        made.change(R2, T0, branch="try-comm-central-linux")
        made.change(R3, T0, branch="try-comm")
        made.change(R3, T0 + 1, branch="Try")
        assert await listed(made) == [R3]
        assert await listed(made, comm) == [R2, R1]
        (push,) = (await made.pushes.pushes(PushFilter((TRY,)), 5)).pushes
        assert [change.branch for change in push.changes] == ["try-comm"]

    @twisted_test(10)
    async def test_changes_without_a_revision_are_of_no_push(self, made: PushesUnderTest) -> None:
        made.change("", T0)
        made.change("  ", T0 + 1)
        made.change(R1, T0 + 2)
        assert await listed(made) == [R1]
        assert await made.pushes.changes([""]) == {}

    @twisted_test(10)
    async def test_names_that_differ_in_case_or_blanks_are_others(
        self, made: PushesUnderTest
    ) -> None:
        at = itertools.count(T0)
        for revision in ("tip", "Tip", "tip "):
            made.change(revision, next(at), author="ann")
        for author in ("Ann", "ann "):
            made.change(R1, next(at), author=author)
        assert await listed(made, revision="tip") == ["tip"]
        assert await listed(made, author="ann") == ["tip ", "Tip", "tip"]
        assert await listed(made, author="Ann") == [R1]
        found = await made.pushes.changes(["tip", R1])
        assert {r: [c.revision for c in of] for r, of in found.items()} == {
            "tip": ["tip"],
            R1: [R1, R1],
        }
        tip = made.request("try", "tip")
        made.request("try", "TIP")
        page = await made.pushes.pushes(PushFilter((TRY,), revision="tip"), 5)
        assert [of(day) for day in (await made.pushes.work(page.pushes)).values()] == [([], [tip])]

    @pytest.mark.parametrize("text", ["\u0141uk", "\U0001f680", "\ud800", "%", "'"], ids=ascii)
    @twisted_test(10)
    async def test_texts_that_no_column_holds_are_of_nothing(
        self, made: PushesUnderTest, text: str
    ) -> None:
        made.change(R1, T0)
        assert await listed(made, author=text) == []
        assert await listed(made, revision=text) == []
        assert await made.pushes.changes([text]) == {}
        assert await made.pushes.results(TRY, text, 5) == []

    @twisted_test(10)
    async def test_a_hash_and_its_abbreviation_are_one_revision(
        self, made: PushesUnderTest
    ) -> None:
        """Masters may send back 12 digits of what was pushed, and people ask for new builds so."""
        first = made.change(LONGER, T0, author=ANN)
        second = made.change(REVISION, T0 + 5, branch="try-linux-unittest", author=BEA)
        made.change(REVISION + "2" * 28, T0 + 6, branch="cedar", author=BEA)
        made.change("1234", T0 + 7, author=BEA)
        made.change("12345", T0 + 8, author=BEA)
        page = await made.pushes.pushes(PushFilter((TRY,)), 5)
        assert named(page) == [("try", "12345"), ("try", "1234"), ("try", LONGER)]
        push = page.pushes[2]
        assert [change.id for change in push.changes] == [first, second]
        whole, short = made.request("try", LONGER), made.request("try", REVISION)
        made.request("try", REVISION + "2" * 28)
        work = await made.pushes.work([push])
        assert of(work[push.key])[1] == [short, whole]
        for revision in (LONGER, REVISION):
            assert await listed(made, revision=revision) == [LONGER]
            assert await listed(made, revision=revision, author=BEA) == []
        found = await made.pushes.changes([LONGER, REVISION, "1234"])
        assert {r: len(of) for r, of in found.items()} == {LONGER: 2, REVISION: 3, "1234": 1}
        assert found[LONGER] == push.changes

    @twisted_test(10)
    async def test_a_push_whose_first_change_is_abbreviated_has_the_whole_hash(
        self, made: PushesUnderTest
    ) -> None:
        made.change(REVISION, T0, author=ANN)
        made.change(LONGER, T0 + 5, author=BEA)
        assert await listed(made) == [LONGER]
        assert await listed(made, author=ANN) == [LONGER]
        assert await listed(made, author=BEA) == []
        assert await listed(made, after=PushPlace(T0, LONGER)) == []

    @twisted_test(10)
    async def test_a_push_belongs_to_whoever_sent_its_first_change(
        self, made: PushesUnderTest
    ) -> None:
        made.change(R1, T0, author=ANN)
        made.change(R1, T0, author=BEA)
        made.change(R2, T0 + 1, author=BEA, branch="cedar")
        made.change(R2, T0 + 2, author=ANN)
        assert await listed(made, *BOTH, author=BEA) == [R2]
        assert await listed(made, *BOTH, author=ANN) == [R2, R1]
        assert await listed(made, author=BEA) == []
        assert await listed(made, author="ann") == []

    @twisted_test(10)
    async def test_the_earlier_of_two_pushes_of_a_revision_keeps_its_builds(
        self, made: PushesUnderTest
    ) -> None:
        """Long after it was pushed to one branch, a revision is pushed to another."""
        made.change(R1, T0, branch="cedar")
        old = made.request("cedar", R1, at=T0 + 1)
        made.change(R1, T0 + 90 * 86_400)
        new = made.request("try", R1, at=T0 + 90 * 86_400)
        page = await made.pushes.pushes(PushFilter(BOTH), 5)
        found = await made.pushes.work(page.pushes)
        assert {key: of(day) for key, day in found.items()} == {
            PushKey("cedar", R1): ([], [old]),
            PushKey("try", R1): ([], [new]),
        }

    @twisted_test(10)
    async def test_builds_are_found_though_the_clock_of_the_change_source_is_ahead(
        self, made: PushesUnderTest
    ) -> None:
        request = made.request("try", R1, at=T0)
        made.change(R1, T0 + 12 * 86_400)
        page = await made.pushes.pushes(PushFilter((TRY,)), 5)
        assert [of(day)[1] for day in (await made.pushes.work(page.pushes)).values()] == [[request]]

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

    @twisted_test(10)
    async def test_results_around_a_build_are_the_builds_before_and_after_it(
        self, made: PushesUnderTest
    ) -> None:
        requests = [made.request("try", R1, builder="linux") for _ in range(6)]
        builds = [run(made, request, at=T0 + 11 + n) for n, request in enumerate(requests)]
        run(made, made.request("cedar", R1, builder="linux"))
        run(made, made.request("try", R1, builder="mac"))

        async def around(number: int, limit: int) -> list[int]:
            found = await made.pushes.results(TRY, "linux", limit, builds[number])
            return [builds.index(build.id) for build in found]

        assert await around(3, 3) == [4, 3, 2]
        assert await around(2, 4) == [4, 3, 2, 1]
        assert await around(5, 3) == [5, 4, 3]
        assert await around(0, 4) == [2, 1, 0]
        assert await around(1, 1) == [1]
        assert await around(4, 20) == [5, 4, 3, 2, 1, 0]
