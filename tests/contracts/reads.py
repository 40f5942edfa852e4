"""What every reader of builds and requests must do: of one branch, and of the whole farm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import pytest

from buildapi.interfaces import Builds, FarmReads, RecentBuilds
from buildapi.model.branches import Branches
from buildapi.model.farm_rows import BranchFilter, OpenWork, Portion, PushCounts
from buildapi.model.records import BranchDay, Build, Stage, UserBuilds
from buildapi.model.revisions import RevisionMatch
from buildapi.model.row_marks import changed_ids, unpacked_all
from tests.reactor import twisted_test

T0 = 1_700_000_000
DAY = (T0, T0 + 86_400)
REVISION, LONGER, OTHER = "abcdef012345", "abcdef012345" + "1" * 28, "fedcba543210"
BRANCHES = Branches.from_definitions(
    {
        "try": {"repo": "https://hg.example.org/try"},
        "try-comm-central": {},
        "cedar": {"repo": "https://hg.example.org/projects/cedar"},
    }
)
TRY, CEDAR = BRANCHES.by_name["try"], BRANCHES.by_name["cedar"]
ANN, BEA = "ann@example.org", "bea@example.org"
MASTER = "host-a:/builds/a"


class FarmUnderTest(Protocol):
    """Readers of a farm, and what schedulers and masters do there; times are epoch seconds."""

    @property
    def builds(self) -> Builds:
        """Return the reader of a branch."""

    @property
    def farm(self) -> FarmReads:
        """Return the reader of the whole farm."""

    def request(
        self,
        branch: str | None = ...,
        revision: str | None = ...,
        *,
        builder: str = ...,
        at: int = ...,
        priority: int = ...,
        properties: Mapping[str, Any] | None = ...,
        author: str = ...,
    ) -> int:
        """Submit a request for a change of ``author`` (empty: for none); return its id."""

    def claim(self, *requests: int, at: int = ...) -> None:
        """Have a master claim requests."""

    def start(self, *requests: int, at: int = ...) -> int:
        """Have that master start one build for requests; return the id of the build."""

    def end(self, build: int, *, at: int = ...) -> None:
        """End a build."""

    def complete(self, *requests: int, results: int = ..., at: int = ...) -> None:
        """Complete requests."""

    def release(self, *requests: int) -> None:
        """Lose the slave: the requests are pending again."""

    def push(self, branch: str, author: str, at: int) -> None:
        """Push a change to a branch, of which it has a source of its own."""


def run(made: FarmUnderTest, *requests: int, at: int = T0 + 11) -> int:
    """Have requests claimed and built."""
    made.claim(*requests, at=at - 1)
    return made.start(*requests, at=at)


def of(found: BranchDay | UserBuilds) -> tuple[list[int], list[int]]:
    """Return the ids of builds and of pending requests."""
    return [b.id for b in found.builds], [r.id for r in found.pending]


def served(builds: Iterable[Build]) -> list[list[int]]:
    """Return the requests of each build."""
    return [sorted(r.id for r in build.requests) for build in builds]


class BuildsContract:
    """Tests of Builds; a subclass has the fixture ``made`` (see FarmUnderTest)."""

    # --- a day

    @twisted_test(10)
    async def test_a_day_lists_builds_and_pending_requests_newest_first(
        self, made: FarmUnderTest
    ) -> None:
        requests = [made.request(at=T0 + n) for n in range(4)]
        first, second = (run(made, r, at=T0 + 100) for r in requests[:2])
        found = await made.builds.day(TRY, *DAY)
        assert of(found) == ([second, first], [requests[3], requests[2]])

    @twisted_test(10)
    async def test_a_day_begins_at_its_start_and_ends_before_its_end(
        self, made: FarmUnderTest
    ) -> None:
        start, end = DAY
        early, within, late = (made.request(at=t) for t in (start - 1, start, end))
        runs = [
            run(made, made.request(at=start - 9), at=t) for t in (start - 1, start, end - 1, end)
        ]
        assert of(await made.builds.day(TRY, *DAY)) == ([runs[2], runs[1]], [within])
        assert of(await made.builds.day(TRY, end, end + 86400)) == ([runs[3]], [late])
        assert of(await made.builds.day(TRY, start - 1, start)) == ([runs[0]], [early])

    @twisted_test(10)
    async def test_where_nothing_was_there_is_nothing(self, made: FarmUnderTest) -> None:
        made.request("cedar")
        for found in (
            await made.builds.day(TRY, *DAY),
            await made.builds.revision(TRY, RevisionMatch(REVISION)),
            await made.builds.of_requests([]),
            await made.builds.of_requests([4711]),
        ):
            assert of(found) == ([], [])
        assert list(await made.builds.revisions(TRY, RevisionMatch(REVISION))) == []
        assert list(await made.builds.builders(TRY, 0)) == []
        user = await made.builds.user(TRY, ANN)
        assert (of(user), list(user.running)) == (([], []), [])

    @twisted_test(10)
    async def test_a_build_carries_all_there_is_to_know(self, made: FarmUnderTest) -> None:
        request = made.request("try-linux", "f" * 40, builder="l/n x", at=T0 + 5, priority=-3)
        build = run(made, request, at=T0 + 20)
        made.end(build, at=T0 + 90)
        made.complete(request, results=2, at=T0 + 91)
        (found,) = (await made.builds.day(TRY, *DAY)).builds
        assert (found.start_time, found.finish_time) == (T0 + 20, T0 + 90)
        (r,) = found.requests
        assert (r.id, r.buildername, r.branch, r.revision) == (
            request,
            "l/n x",
            "try-linux",
            "f" * 40,
        )
        assert (r.priority, r.stage, r.results) == (-3, Stage.COMPLETE, 2)
        assert (r.submitted_at, r.claimed_at, r.complete_at) == (T0 + 5, T0 + 19, T0 + 91)
        assert r.claimed_by_name == MASTER
        assert not found.left_over
        for row in (
            await made.builds.find_build(TRY, build),
            await made.builds.find_request(TRY, request),
        ):
            assert row is not None
            assert (row.id, row.buildername, row.branch, row.stage) == (
                request,
                "l/n x",
                "try-linux",
                Stage.COMPLETE,
            )
        assert await made.builds.find_build(CEDAR, build) is None
        assert await made.builds.find_request(CEDAR, request) is None
        assert await made.builds.find_build(TRY, 4711) is None
        assert await made.builds.find_request(TRY, 4711) is None

    @twisted_test(10)
    async def test_only_what_belongs_to_the_branch_is_listed(self, made: FarmUnderTest) -> None:
        names: list[str | None] = ["try", "try-linux", "try-comm-central", "try-comm-central-x"]
        names += ["TRY", "tryst", "x/try", "projects/cedar", "projects/cedar-win", "cedar", None]
        requests = {name: made.request(name) for name in names}
        runs = {name: run(made, made.request(name)) for name in names}
        mine, theirs = [await made.builds.day(branch, *DAY) for branch in (TRY, CEDAR)]
        assert of(mine) == (
            [runs["try-linux"], runs["try"]],
            [requests["try-linux"], requests["try"]],
        )
        assert {b.requests[0].branch for b in theirs.builds} == {
            "projects/cedar",
            "projects/cedar-win",
            "cedar",
        }

    # --- requests between their claim and their build, and retried ones

    @twisted_test(10)
    async def test_a_claimed_request_is_pending_until_its_build_is_there(
        self, made: FarmUnderTest
    ) -> None:
        claimed, running = made.request(author=ANN), made.request(author=ANN)
        made.claim(claimed)
        build = run(made, running)
        reads = made.builds
        details, user = await reads.request(TRY, claimed), await reads.user(TRY, ANN)
        for found in (
            await reads.day(TRY, *DAY),
            await reads.revision(TRY, RevisionMatch(REVISION)),
            await reads.of_requests([claimed, running]),
        ):
            assert of(found) == ([build], [claimed])
        assert ([b.id for b in user.running], of(user)) == ([build], ([], [claimed]))
        assert details is not None
        assert (details.starting, list(details.build_ids)) == (True, [])
        started = made.start(claimed)
        details = await reads.request(TRY, claimed)
        assert details is not None
        assert (details.starting, list(details.build_ids)) == (False, [started])
        assert of(await reads.day(TRY, *DAY))[1] == []
        assert of(await reads.revision(TRY, RevisionMatch(REVISION)))[1] == []
        assert list((await reads.user(TRY, ANN)).pending) == []

    @twisted_test(10)
    async def test_a_request_claimed_anew_is_listed_with_its_lost_build_until_it_builds_again(
        self, made: FarmUnderTest
    ) -> None:
        request = made.request()
        lost = run(made, request)
        made.end(lost, at=T0 + 60)
        made.release(request)
        made.claim(request, at=T0 + 70)
        wanted = RevisionMatch(REVISION)
        assert of(await made.builds.day(TRY, *DAY)) == ([lost], [request])
        assert of(await made.builds.revision(TRY, wanted)) == ([lost], [request])
        assert of(await made.builds.of_requests([request])) == ([lost], [request])
        again = made.start(request, at=T0 + 71)
        assert of(await made.builds.day(TRY, *DAY)) == ([again, lost], [])
        assert of(await made.builds.revision(TRY, wanted)) == ([again, lost], [])
        assert of(await made.builds.of_requests([request])) == ([again, lost], [])
        details = await made.builds.request(TRY, request)
        assert details is not None
        assert list(details.build_ids) == [lost, again]

    @twisted_test(10)
    async def test_a_build_that_a_dead_master_left_is_abandoned(self, made: FarmUnderTest) -> None:
        request = made.request()
        left = run(made, request)
        made.claim(request, at=T0 + 3700)
        taken = made.start(request, at=T0 + 3702)
        found = (await made.builds.day(TRY, *DAY)).builds
        assert {b.id: b.is_abandoned for b in found} == {left: True, taken: False}
        details = await made.builds.build(TRY, left)
        assert details is not None
        assert details.build.is_abandoned

    @twisted_test(10)
    async def test_a_complete_request_without_a_build_is_not_pending(
        self, made: FarmUnderTest
    ) -> None:
        pending, dropped = made.request(author=ANN), made.request(author=ANN)
        made.complete(dropped, results=2)
        assert of(await made.builds.day(TRY, *DAY)) == ([], [pending])
        assert of(await made.builds.revision(TRY, RevisionMatch(REVISION))) == ([], [pending])
        assert of(await made.builds.user(TRY, ANN)) == ([], [pending])
        of_ids = await made.builds.of_requests([pending, dropped])
        assert sorted(of(of_ids)[1]) == [pending, dropped], "asked for by their ids"

    @twisted_test(10)
    async def test_coalesced_requests_are_one_build(self, made: FarmUnderTest) -> None:
        requests = [made.request(at=T0 + n, properties={"n": n}) for n in range(3)]
        build = run(made, *requests)
        assert served((await made.builds.day(TRY, *DAY)).builds) == [requests]
        assert served((await made.builds.of_requests(requests)).builds) == [requests]
        details = await made.builds.build(TRY, build)
        assert details is not None
        assert served([details.build]) == [requests]
        assert [p["n"] for p in details.properties] == [
            requests.index(r.id) for r in details.build.requests
        ]

    # --- one of them

    @twisted_test(10)
    async def test_a_build_or_request_of_another_branch_is_not_there(
        self, made: FarmUnderTest
    ) -> None:
        request = made.request("try-linux")
        build = run(made, request)
        found = await made.builds.build(TRY, build), await made.builds.request(TRY, request)
        assert None not in found
        for branch, bid, brid in ((CEDAR, build, request), (TRY, 4711, 4711)):
            assert await made.builds.build(branch, bid) is None
            assert await made.builds.request(branch, brid) is None

    @twisted_test(10)
    async def test_a_request_and_a_build_have_their_properties(self, made: FarmUnderTest) -> None:
        properties = {"n": 1, "o": None, "w": "zo\xeb <&>", "l": ["x"]}
        request = made.request(properties=properties)
        build = run(made, request)
        details = await made.builds.request(TRY, request)
        assert details is not None
        assert (dict(details.properties), list(details.build_ids)) == (properties, [build])
        of_build = await made.builds.build(TRY, build)
        assert of_build is not None
        assert [dict(p) for p in of_build.properties] == [properties]

    @twisted_test(10)
    async def test_the_stored_branch_of_a_build_or_request_is_told(
        self, made: FarmUnderTest
    ) -> None:
        request = made.request("try-linux")
        build = run(made, request)
        assert await made.builds.branch_of("request", request) == "try-linux"
        assert await made.builds.branch_of("build", build) == "try-linux"
        assert await made.builds.branch_of("request", 4711) is None
        assert await made.builds.branch_of("build", 4711) is None

    # --- revisions

    @twisted_test(10)
    async def test_a_hash_is_found_by_its_first_digits_and_a_number_only_whole(
        self, made: FarmUnderTest
    ) -> None:
        whole, number = made.request(revision=LONGER), made.request(revision="1234")
        for revision in ("12345", OTHER, None):
            made.request(revision=revision)
        made.request("cedar", LONGER)
        for text in (LONGER, REVISION, REVISION.upper()):
            wanted = RevisionMatch(text)
            assert of(await made.builds.revision(TRY, wanted)) == ([], [whole])
            assert list(await made.builds.revisions(TRY, wanted)) == [LONGER]
        assert of(await made.builds.revision(TRY, RevisionMatch("1234"))) == ([], [number])
        for text in ("abcdef", "%", "abcdef_12345", "\U0001f600"):
            assert of(await made.builds.revision(TRY, RevisionMatch(text))) == ([], [])
            assert list(await made.builds.revisions(TRY, RevisionMatch(text))) == []

    @twisted_test(10)
    async def test_the_revisions_a_hash_fits_are_each_listed_once(
        self, made: FarmUnderTest
    ) -> None:
        second = REVISION + "2" * 28
        for revision in (second, LONGER, second, OTHER):
            made.complete(made.request(revision=revision))
        found = await made.builds.revisions(TRY, RevisionMatch(REVISION))
        assert list(found) == [LONGER, second]

    # --- builders, users

    @twisted_test(10)
    async def test_builders_are_those_with_requests_since_a_time(self, made: FarmUnderTest) -> None:
        made.request(builder="old", at=T0 - 10)
        for name in ("win", "linux", "win"):
            made.request(builder=name)
        made.request("cedar", builder="mac")
        assert list(await made.builds.builders(TRY, T0)) == ["linux", "win"]
        assert list(await made.builds.builders(TRY, T0 - 10)) == ["linux", "old", "win"]
        has = made.builds.has_builder
        assert [await has(name, T0) for name in ("mac", "old", "MAC", "ma")] == [
            True,
            False,
            False,
            False,
        ]
        assert await has("old", T0 - 10)

    @twisted_test(10)
    async def test_a_user_has_what_is_of_the_own_changes(self, made: FarmUnderTest) -> None:
        pending, running, done = (made.request(author=ANN, at=T0 + n) for n in range(3))
        theirs = made.request(author=BEA)
        made.request("cedar", author=ANN)
        made.request()
        builds = [run(made, r) for r in (running, done)]
        made.end(builds[1])
        made.complete(done)
        found = await made.builds.user(TRY, ANN)
        assert (of(found), [b.id for b in found.running]) == (
            ([builds[1]], [pending]),
            [builds[0]],
        )
        assert of(await made.builds.user(TRY, BEA)) == ([], [theirs])
        for nobody in ("ann", ANN.upper(), "%", ""):
            assert await made.builds.user(TRY, nobody) == UserBuilds([], [], [])

    @twisted_test(10)
    async def test_no_more_than_two_hundred_of_a_user_are_listed_the_newest(
        self, made: FarmUnderTest
    ) -> None:
        requests = [made.request(author=ANN, at=T0 + n) for n in range(203)]
        found = await made.builds.user(TRY, ANN)
        assert of(found)[1] == requests[:2:-1]

    # --- what changed

    @twisted_test(10)
    async def test_marks_are_of_all_that_is_open_once_for_each_build(
        self, made: FarmUnderTest
    ) -> None:
        waits, other = made.request(priority=4), made.request("cedar")
        retried, done = made.request(), made.request()
        lost = run(made, retried)
        made.end(lost)
        again = made.start(retried, at=T0 + 100)
        run(made, done)
        made.complete(done)
        marks = [tuple(map(int, mark)) for mark in unpacked_all(await made.builds.marks())]
        assert sorted(marks) == [
            (waits, 4, 0, 0, 0),
            (other, 0, 0, 0, 0),
            (retried, 0, 1, lost, 1),
            (retried, 0, 1, again, 0),
        ]

    @twisted_test(10)
    async def test_of_many_that_are_open_the_changed_ones_are_found(
        self, made: FarmUnderTest
    ) -> None:
        requests = [made.request() for _ in range(150)]
        before = await made.builds.marks()
        run(made, requests[70])
        made.complete(requests[149])
        now = await made.builds.marks()
        assert changed_ids(before, now) == {requests[70], requests[149]}
        assert changed_ids(now, now) == set()


OPEN, ALL = BranchFilter(), Portion()


class FarmReadsContract:
    """Tests of FarmReads; a subclass has the fixture ``made`` (see FarmUnderTest)."""

    @twisted_test(10)
    async def test_of_a_farm_without_requests_all_is_empty(self, made: FarmUnderTest) -> None:
        assert list(await made.farm.pending(OPEN, ALL)) == []
        assert list(await made.farm.running(OPEN, ALL)) == []
        assert list(await made.farm.revision(OPEN, RevisionMatch(REVISION))) == []
        assert await made.farm.pushes(OPEN, 0, None) == PushCounts({})
        work = await made.farm.open()
        assert (list(work.pending), list(work.running)) == ([], [])

    @twisted_test(10)
    async def test_pending_is_what_has_no_build_the_latest_first(self, made: FarmUnderTest) -> None:
        old, new = made.request(), made.request("cedar", None, builder="mac", at=T0 + 9, priority=2)
        same, claimed, done, runs = (made.request() for _ in range(4))
        made.claim(claimed)
        made.complete(done)
        run(made, runs)
        found = await made.farm.pending(OPEN, ALL)
        assert [(e.id, e.claimed_by_name) for e in found] == [
            (new, None),
            (claimed, MASTER),
            (same, None),
            (old, None),
        ]
        first = found[0]
        assert (first.buildername, first.submitted_at, first.branch) == ("mac", T0 + 9, "cedar")
        assert (first.revision, first.priority) == (None, 2)

    @twisted_test(10)
    async def test_running_are_builds_the_latest_started_first(self, made: FarmUnderTest) -> None:
        one, two, ended = made.request(at=T0), made.request(OTHER, at=T0 + 5), made.request()
        both = made.request(at=T0 + 6)
        first = run(made, one, at=T0 + 100)
        run(made, two, both, at=T0 + 200)
        made.end(run(made, ended))
        found = await made.farm.running(OPEN, ALL)
        assert [(b.request_ids, b.start_time) for b in found] == [
            ((two, both), T0 + 200),
            ((one,), T0 + 100),
        ]
        (_, build) = found
        assert (build.id, build.buildername, build.claimed_by_name) == (first, "linux", MASTER)
        assert (build.branch, build.revision) == ("try", REVISION)
        assert (build.submitted_at, build.master_seen_at) == (T0, T0 + 99)
        assert found[0].submitted_at == T0 + 5

    @twisted_test(10)
    async def test_what_a_dead_master_left_does_not_run(self, made: FarmUnderTest) -> None:
        request = made.request()
        run(made, request)
        made.claim(request, at=T0 + 3700)
        taken = made.start(request, at=T0 + 3702)
        assert [b.id for b in await made.farm.running(OPEN, ALL)] == [taken]
        made.release(request)
        assert list(await made.farm.running(OPEN, ALL)) == []

    @pytest.mark.parametrize(
        ("portion", "start", "end"),
        [
            (Portion(2), 0, 2),
            (Portion(2, 1), 1, 3),
            (Portion(None, 3), 3, 5),
            (Portion(9, 4), 4, 5),
            (Portion(2, 9), 5, 5),
        ],
        ids=str,
    )
    @twisted_test(10)
    async def test_a_portion_of_a_list(
        self, made: FarmUnderTest, portion: Portion, start: int, end: int
    ) -> None:
        for i in range(5):
            made.request(at=T0 + i)
            run(made, made.request(), at=T0 + i)
        for read in (made.farm.pending, made.farm.running):
            whole = list(await read(OPEN, ALL))  # type: ignore[operator]  # both
            assert len(whole) == 5
            assert list(await read(OPEN, portion)) == whole[start:end]  # type: ignore[operator]  # both

    @pytest.mark.parametrize(
        ("branches", "expected"),
        [
            (OPEN, ["cedar", "None", "try", "try-linux", "users/x/cedar"]),
            (BranchFilter((TRY,)), ["try", "try-linux"]),
            (BranchFilter((TRY, CEDAR)), ["cedar", "try", "try-linux"]),
            (BranchFilter((), ("x/",)), ["users/x/cedar"]),
            (BranchFilter((), ("%",)), []),
            (BranchFilter((TRY,), ("X/CEDAR",)), ["try", "try-linux", "users/x/cedar"]),
        ],
        ids=range(6),
    )
    @twisted_test(10)
    async def test_a_branch_is_what_belongs_to_it_and_a_text_what_has_it_inside(
        self, made: FarmUnderTest, branches: BranchFilter, expected: list[str]
    ) -> None:
        stored = ["try", "try-linux", "cedar", "users/x/cedar", None]
        for i, name in enumerate(stored):
            made.request(name)
            run(made, made.request(name))
            if name is not None:
                made.push(name, f"author{i}", T0)
        farm, wanted = made.farm, sorted(expected)
        assert sorted(str(e.branch) for e in await farm.pending(branches, ALL)) == wanted
        assert sorted(str(e.branch) for e in await farm.running(branches, ALL)) == wanted
        found = await farm.revision(branches, RevisionMatch(REVISION))
        assert sorted({str(e.branch) for e in found}) == wanted
        pushed = [f"author{stored.index(s)}" for s in wanted if s in stored]
        assert sorted((await farm.pushes(branches, T0, None)).by_author) == sorted(pushed)

    @twisted_test(10)
    async def test_all_that_is_open_is_either_waiting_or_running(self, made: FarmUnderTest) -> None:
        pending, claimed, running = made.request(), made.request("cedar"), made.request()
        made.claim(claimed)
        build = run(made, running)
        work = await made.farm.open()
        assert isinstance(work, OpenWork)
        assert [e.id for e in work.pending] == [claimed, pending]
        assert [b.id for b in work.running] == [build]

    @twisted_test(10)
    async def test_a_revision_has_an_entry_for_each_build_and_for_requests_without(
        self, made: FarmUnderTest
    ) -> None:
        retried, waits = made.request(at=T0), made.request(at=T0 + 1)
        first = run(made, retried)
        made.end(first)
        made.start(retried, at=T0 + 100)
        made.complete(retried, results=2)
        made.request(revision=OTHER)
        found = await made.farm.revision(OPEN, RevisionMatch(REVISION))
        assert [(e.id, e.start_time, e.finish_time) for e in found] == [
            (waits, None, None),
            (retried, T0 + 100, None),
            (retried, T0 + 11, T0 + 60),
        ]
        assert [(e.claimed_at, e.claimed_by_name, e.complete, e.results) for e in found[:2]] == [
            (0, None, False, None),
            (T0 + 10, MASTER, True, 2),
        ]
        assert found[0].number is None
        assert None not in (found[1].number, found[2].number)

    @pytest.mark.parametrize(
        ("text", "count"),
        [(REVISION, 1), (LONGER.upper(), 1), ("abc", 0), ("%", 0), ("abc_ef", 0)],
    )
    @twisted_test(10)
    async def test_a_revision_is_named_by_the_beginning_of_a_hash(
        self, made: FarmUnderTest, text: str, count: int
    ) -> None:
        made.request(revision=LONGER)
        made.request(revision=None)
        assert len(await made.farm.revision(OPEN, RevisionMatch(text))) == count

    @twisted_test(10)
    async def test_pushes_are_counted_by_author_within_a_time(self, made: FarmUnderTest) -> None:
        for author, at in ((ANN, T0 + 100), (ANN, T0 + 200), (BEA, T0 + 300)):
            made.push("try", author, at)
        made.push("cedar", BEA, T0 + 200)
        for ours in ("try-linux-unittest", "try-linux-talos"):
            made.push(ours, "a tester", T0 + 200)
        assert await made.farm.pushes(OPEN, T0, None) == PushCounts({ANN: 2, BEA: 2})
        within = await made.farm.pushes(OPEN, T0 + 150, T0 + 250)
        assert dict(within.by_author) == {ANN: 1, BEA: 1}
        assert await made.farm.pushes(BranchFilter((TRY,)), T0 + 250, None) == PushCounts({BEA: 1})


class RecentUnderTest(Protocol):
    """A reader of recent builds, and what masters record of them."""

    @property
    def reads(self) -> RecentBuilds:
        """Return what is tested."""

    def build(self, slave: str, *, result: int | None = ..., builder: str = ...) -> int:
        """Record a build that ended with a result, or runs; return its id."""


class RecentBuildsContract:
    """Tests of RecentBuilds; a subclass has the fixture ``masters`` (see RecentUnderTest)."""

    @twisted_test(10)
    async def test_of_masters_that_built_nothing_nothing_is_listed(
        self, masters: RecentUnderTest
    ) -> None:
        for slaves in ([], ["s1"]):
            assert list(await masters.reads.recent(slaves, greedy=True, limit=25)) == []

    @twisted_test(10)
    async def test_all_are_listed_the_newest_first_with_running_ones(
        self, masters: RecentUnderTest
    ) -> None:
        ids = [masters.build("s1", result=result) for result in (0, None, 2)]
        found = await masters.reads.recent([], greedy=False, limit=25)
        assert [(b.id, b.result) for b in found] == [(ids[2], 2), (ids[1], None), (ids[0], 0)]

    @twisted_test(10)
    async def test_no_more_are_listed_than_asked_for(self, masters: RecentUnderTest) -> None:
        ids = [masters.build("s1") for _ in range(4)]
        for slaves in ([], ["s1"]):
            for limit in (0, 2, 9):
                found = await masters.reads.recent(slaves, greedy=False, limit=limit)
                assert [b.id for b in found] == ids[::-1][:limit]

    @twisted_test(10)
    async def test_of_slaves_those_that_ended_are_listed(self, masters: RecentUnderTest) -> None:
        one, two, three = (masters.build(name) for name in ("slave-1", "slave-2", "slave-12"))
        masters.build("slave-1", result=None)

        async def found(*slaves: str, greedy: bool) -> list[int]:
            return [b.id for b in await masters.reads.recent(slaves, greedy=greedy, limit=25)]

        assert await found("slave-1", greedy=False) == [one]
        assert await found("slave-1", greedy=True) == [three, one]
        assert await found("slave-1", "slave-2", greedy=False) == [two, one]
        assert await found("slave", greedy=False) == []
        assert await found("slave_", "%", greedy=True) == []

    @twisted_test(10)
    async def test_builds_without_an_end_are_running_since_a_time(
        self, masters: RecentUnderTest
    ) -> None:
        ids = [masters.build(slave, result=None) for slave in ("s1", "s2", "s3")]
        masters.build("s4", result=0)
        found = await masters.reads.running(T0, 25)
        assert [(b.id, b.slavename) for b in found] == [
            (ids[2], "s3"),
            (ids[1], "s2"),
            (ids[0], "s1"),
        ]
        assert [b.id for b in await masters.reads.running(T0, 2)] == ids[:0:-1]
        assert list(await masters.reads.running(T0 + 1, 25)) == []

    @twisted_test(10)
    async def test_the_latest_build_of_a_slave_is_its_current_one_if_it_has_no_end(
        self, masters: RecentUnderTest
    ) -> None:
        masters.build("s1", result=None)  # its master was killed
        assert await masters.reads.current("nobody") is None
        masters.build("s1", result=0)
        assert await masters.reads.current("s1") is None
        current = masters.build("s1", result=None)
        masters.build("s12", result=None)
        found = await masters.reads.current("s1")
        assert found is not None
        assert (found.id, found.slavename) == (current, "s1")
        assert await masters.reads.current("s") is None

    @twisted_test(10)
    async def test_a_build_has_its_names(self, masters: RecentUnderTest) -> None:
        masters.build("s1", builder="Linux try build")
        (found,) = await masters.reads.recent([], greedy=False, limit=1)
        assert (found.slavename, found.buildername, found.result) == ("s1", "Linux try build", 0)
        assert found.starttime is not None
        assert found.master
