"""Reads of a 0.8 farm, the same on SQLite and MariaDB."""

from __future__ import annotations

import itertools

import pytest

from buildapi.buildbot.v08.build_reads import SQLBuilds, property_value
from buildapi.buildbot.v08.farm_reads import SQLFarmReads
from buildapi.errors import BadRequest
from buildapi.jobs.completeness import is_done
from buildapi.model.branches import Branches
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.records import BranchDay, Stage, UserBuilds
from buildapi.model.revisions import RevisionMatch
from buildapi.model.row_marks import unpacked_all
from buildapi.web.selfserve.serializers import list_json
from tests.buildbot.conftest import OpenScheduler, Scheduler
from tests.buildbot.seed import MASTER_A, MASTER_B, T0, Seed
from tests.reactor import twisted_test

BRANCHES = Branches.from_definitions(
    {
        "try": {"repo": "https://hg.example.org/try"},
        "try-comm-central": {},
        "cedar": {"repo": "https://hg.example.org/projects/cedar"},
    }
)
TRY, CEDAR = BRANCHES.by_name["try"], BRANCHES.by_name["cedar"]
DAY = (T0, T0 + 86400)


@pytest.fixture
def seed(scheduler: Scheduler) -> Seed:
    return scheduler.seed


@pytest.fixture
def builds(scheduler: Scheduler) -> SQLBuilds:
    return SQLBuilds(scheduler.db)


def ids(found: BranchDay) -> tuple[list[int], list[int]]:
    return [b.id for b in found.builds], [r.id for r in found.pending]


class TestSQLBuilds:
    """All of it runs on both engines."""

    # --- results

    @twisted_test()
    async def test_a_result_of_minus_one_is_null(
        self, scheduler: Scheduler, seed: Seed, builds: SQLBuilds
    ) -> None:
        """What Buildbot 0.8.4 stores for a request that runs is null in lists and of a revision."""
        request = seed.request()
        seed.run(request)
        seed.execute("UPDATE buildrequests SET results = -1 WHERE id = %s", request)
        (found,) = list_json(await builds.day(TRY, *DAY))
        assert (found["status"], found["endtime"]) == (None, None)
        farm = SQLFarmReads(scheduler.db)
        (entry,) = await farm.revision(BranchFilter(), RevisionMatch("abcdef012345"))
        assert entry.results is None

    # --- a day

    @twisted_test()
    async def test_a_day_lists_builds_and_pending_requests_newest_first(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        requests = [seed.request(at=T0 + n) for n in range(4)]
        first, second = (seed.run(r, at=T0 + 100) for r in requests[:2])
        found = await builds.day(TRY, *DAY)
        assert ids(found) == ([second, first], [requests[3], requests[2]])

    @twisted_test()
    async def test_a_day_begins_at_its_start_and_ends_before_its_end(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        start, end = DAY
        early, within, late = (seed.request(at=t) for t in (start - 1, start, end))
        runs = [
            seed.run(seed.request(at=start - 9), at=t) for t in (start - 1, start, end - 1, end)
        ]
        assert ids(await builds.day(TRY, *DAY)) == ([runs[2], runs[1]], [within])
        assert ids(await builds.day(TRY, end, end + 86400)) == ([runs[3]], [late])
        assert ids(await builds.day(TRY, start - 1, start))[0] == [runs[0]]
        assert early in ids(await builds.day(TRY, start - 1, start))[1]

    @twisted_test()
    async def test_a_build_carries_all_there_is_to_know(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        request = seed.request("try-linux", "f" * 40, builder="l/n x", at=T0 + 5, priority=-3)
        build = seed.run(request, at=T0 + 20)
        seed.end(build, at=T0 + 90)
        seed.complete(request, results=2, at=T0 + 91)
        (found,) = (await builds.day(TRY, *DAY)).builds
        assert (found.start_time, found.finish_time) == (T0 + 20, T0 + 90)
        (r,) = found.requests
        assert (r.id, r.buildername, r.branch, r.revision) == (
            request,
            "l/n x",
            "try-linux",
            "f" * 40,
        )
        assert (r.priority, r.reason, r.complete, r.results) == (-3, "The push", True, 2)
        assert (r.submitted_at, r.claimed_at, r.complete_at) == (T0 + 5, T0 + 19, T0 + 91)
        assert (r.claimed_by_name, r.claimed_by_incarnation) == (MASTER_A, "pid1-boot1")
        times = (found.start_time, found.finish_time, r.submitted_at, r.claimed_at, r.complete_at)
        assert {type(t) for t in times} == {int}

    @twisted_test()
    async def test_only_what_belongs_to_the_branch_is_listed(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        names: list[str | None] = [
            "try",
            "try-linux",
            "try-comm-central",
            "try-comm-central-x",
            "TRY",
            "tryst",
        ]
        names += ["x/try", "projects/cedar", "projects/cedar-win", "cedar", "projects-cedar", None]
        requests = {name: seed.request(name) for name in names}
        runs = {name: seed.run(seed.request(name)) for name in names}
        mine = await builds.day(TRY, *DAY)
        assert {b.id for b in mine.builds} == {runs["try"], runs["try-linux"]}
        assert {r.id for r in mine.pending} == {requests["try"], requests["try-linux"]}
        theirs = await builds.day(CEDAR, *DAY)
        assert {b.requests[0].branch for b in theirs.builds} == {
            "projects/cedar",
            "projects/cedar-win",
            "cedar",
        }

    @twisted_test()
    async def test_a_name_inside_a_rival_is_found_nevertheless(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        table = Branches.from_definitions({"a": {}, "a-b": {}}, {"a": ["a-b-c"]})
        runs = {name: seed.run(seed.request(name)) for name in ("a", "a-b", "a-b-c-d", "a-x")}
        found = {
            name: {b.id for b in (await builds.day(branch, *DAY)).builds}
            for name, branch in table.by_name.items()
        }
        assert found == {"a": {runs["a"], runs["a-b-c-d"], runs["a-x"]}, "a-b": {runs["a-b"]}}

    @twisted_test()
    async def test_signs_of_patterns_in_a_branch_name_are_plain(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        odd = Branches.from_definitions({"a_b%|": {}}).by_name["a_b%|"]
        hit = seed.run(seed.request("a_b%|-x"))
        for name in ("aXb%|-x", "a_bZZ|-x", "a_b%-x"):
            seed.run(seed.request(name))
        assert ids(await builds.day(odd, *DAY))[0] == [hit]

    @twisted_test()
    async def test_completed_requests_are_not_pending(self, seed: Seed, builds: SQLBuilds) -> None:
        pending, cancelled = (seed.request() for _ in range(2))
        seed.complete(cancelled, results=2)
        assert ids(await builds.day(TRY, *DAY)) == ([], [pending])

    # --- claimed, and no build yet

    @twisted_test()
    async def test_a_claimed_request_whose_build_has_no_row_yet_is_in_every_list(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        """A master claims, prepares the slave and only then inserts the row of the build."""
        stamp = seed.stamp()
        seed.change("zoe@example.org", [stamp])
        claimed, running = (seed.request(buildset=seed.buildset(stamp)) for _ in range(2))
        seed.claim(claimed)
        build = seed.run(running)
        user = await builds.user(TRY, "zoe@example.org")
        details = await builds.request(TRY, claimed)
        assert ids(await builds.day(TRY, *DAY)) == ([build], [claimed])
        assert ids(await builds.revision(TRY, RevisionMatch("abcdef012345"))) == (
            [build],
            [claimed],
        )
        assert ids(await builds.of_requests([claimed, running])) == ([build], [claimed])
        assert ([b.id for b in user.running], [r.id for r in user.pending]) == ([build], [claimed])
        assert details is not None
        assert details.starting
        assert (details.request.claimed_by_name, details.request.claimed_at) == (MASTER_A, T0 + 10)
        seed.start(claimed)
        assert ids(await builds.day(TRY, *DAY))[1] == []
        assert ids(await builds.revision(TRY, RevisionMatch("abcdef012345")))[1] == []
        assert (await builds.user(TRY, "zoe@example.org")).pending == []

    @twisted_test()
    async def test_a_request_claimed_anew_after_its_slave_was_lost_is_listed_until_it_builds(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        request = seed.request()
        lost = seed.run(request)
        seed.end(lost, at=T0 + 60)
        seed.give_back(request)
        seed.claim(request, master=MASTER_B, at=T0 + 70)
        for found in (
            await builds.day(TRY, *DAY),
            await builds.revision(TRY, RevisionMatch("abcdef012345")),
            await builds.of_requests([request]),
        ):
            assert ids(found) == ([lost], [request])
        again = seed.start(request, at=T0 + 71)
        for found in (
            await builds.day(TRY, *DAY),
            await builds.revision(TRY, RevisionMatch("abcdef012345")),
            await builds.of_requests([request]),
        ):
            assert ids(found) == ([again, lost], [])

    @twisted_test()
    async def test_a_heartbeat_of_a_claim_does_not_make_a_running_build_start_anew(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        request = seed.request()
        build = seed.run(request, at=T0 + 20)
        seed.execute("UPDATE buildrequests SET claimed_at = %s WHERE id = %s", T0 + 620, request)
        assert ids(await builds.day(TRY, *DAY)) == ([build], [])
        assert ids(await builds.revision(TRY, RevisionMatch("abcdef012345"))) == ([build], [])
        seed.end(build, at=T0 + 700)
        assert ids(await builds.day(TRY, *DAY)) == ([build], [])
        assert ids(await builds.revision(TRY, RevisionMatch("abcdef012345"))) == ([build], [])

    @twisted_test()
    async def test_a_push_with_a_claimed_request_is_not_done(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        """One green request with a finished build, and one claimed without a build."""
        green, claimed = seed.request(), seed.request()
        seed.end(seed.run(green))
        seed.complete(green)
        seed.claim(claimed)
        found = await builds.revision(TRY, RevisionMatch("abcdef012345"))
        assert is_done(found, 180, T0 + 9999) == (False, False)
        seed.complete(claimed)
        found = await builds.revision(TRY, RevisionMatch("abcdef012345"))
        assert is_done(found, 180, T0 + 9999) == (True, True)

    # --- what a dead master left

    @twisted_test()
    async def test_a_build_that_never_got_its_end_does_not_keep_a_push_open(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        """Another master took over and completed the request: the row is abandoned."""
        request = seed.request()
        left = seed.run(request)
        seed.claim(request, master=MASTER_B, at=T0 + 3700)
        taken = seed.start(request, at=T0 + 3702)
        found = await builds.revision(TRY, RevisionMatch("abcdef012345"))
        assert {b.id: b.is_abandoned for b in found.builds} == {left: True, taken: False}
        assert is_done(found, 180, T0 + 9999) == (False, False)
        seed.end(taken, at=T0 + 4000)
        seed.complete(request, at=T0 + 4000)
        for found in (
            await builds.revision(TRY, RevisionMatch("abcdef012345")),
            await builds.day(TRY, *DAY),
        ):
            assert {b.id: b.is_abandoned for b in found.builds} == {left: True, taken: False}
            assert is_done(found, 180, T0 + 9999) == (True, True)

    # --- coalesced, retried, left over

    @twisted_test()
    async def test_coalesced_requests_are_one_build(self, seed: Seed, builds: SQLBuilds) -> None:
        requests = [seed.request(at=T0 + n) for n in range(3)]
        first = seed.run(*requests)
        (found,) = (await builds.day(TRY, *DAY)).builds
        assert found.id == first + 2
        assert [r.id for r in found.requests] == requests[::-1]

    @twisted_test()
    async def test_a_build_names_its_own_request_first(self, seed: Seed, builds: SQLBuilds) -> None:
        requests = [seed.request(properties={"n": n}) for n in range(3)]
        first = seed.run(*requests)
        details = await builds.build(TRY, first + 1)
        assert details is not None
        own, *others = [r.id for r in details.build.requests]
        assert (details.build.id, own, sorted(others)) == (
            first + 1,
            requests[1],
            [requests[0], requests[2]],
        )
        assert [p["n"] for p in details.properties] == [
            requests.index(r.id) for r in details.build.requests
        ]

    @twisted_test()
    async def test_builds_of_other_masters_with_the_same_number_stay_apart(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        one, two, other = (seed.request(builder=b) for b in ("linux", "linux", "win"))
        seed.claim(one, other, master=MASTER_A)
        seed.claim(two, master=MASTER_B)
        runs = [seed.start(r, number=9) for r in (one, two, other)]
        assert ids(await builds.day(TRY, *DAY))[0] == runs[::-1]
        details = await builds.build(TRY, runs[0])
        assert details is not None
        assert [r.id for r in details.build.requests] == [one]

    @twisted_test()
    async def test_tries_at_requests_given_back_stay_apart(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        """Without a claim nothing tells that two requests shared a build."""
        one, two = seed.request(), seed.request()
        seed.claim(one, master=MASTER_A)
        seed.claim(two, master=MASTER_B)
        runs = [seed.start(one, number=9), seed.start(two, number=9, at=T0 + 500)]
        for run in runs:
            seed.end(run)
        seed.give_back(one, two)
        found = await builds.day(TRY, *DAY)
        assert ids(found) == (runs[::-1], [two, one])
        assert [len(b.requests) for b in found.builds] == [1, 1]

    @twisted_test()
    async def test_tries_of_a_retried_request_are_items_of_their_own(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        request = seed.request()
        lost = seed.run(request)
        seed.end(lost)
        seed.give_back(request)
        again = seed.run(request, at=T0 + 100, master=MASTER_B)
        found = (await builds.day(TRY, *DAY)).builds
        assert [(b.id, [r.id for r in b.requests]) for b in found] == [
            (again, [request]),
            (lost, [request]),
        ]
        details = await builds.request(TRY, request)
        assert details is not None
        assert details.build_ids == [lost, again]

    @twisted_test()
    async def test_the_row_a_killed_master_left_names_its_request_once(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        request = seed.request()
        seed.claim(request)
        left, again = (seed.start(request, number=9, at=T0 + t) for t in (20, 50))
        (found,) = (await builds.day(TRY, *DAY)).builds
        assert (found.id, [r.id for r in found.requests]) == (again, [request])
        details = await builds.build(TRY, left)
        assert details is not None
        assert (details.build.id, len(details.build.requests)) == (left, 1)

    # --- a revision

    @twisted_test()
    async def test_a_revision_is_found_by_its_beginning(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        run = seed.run(seed.request(revision="abcdef012345" + "6" * 28))
        pending = seed.request(revision="abcdef012345")
        for other in ("0abcdef012345", "abcdef012346", None):
            seed.run(seed.request(revision=other))
            seed.request(revision=other)
        assert ids(await builds.revision(TRY, RevisionMatch("abcdef012345"))) == ([run], [pending])
        assert ids(await builds.revision(CEDAR, RevisionMatch("abcdef012345"))) == ([], [])

    @twisted_test()
    async def test_a_character_the_database_cannot_hold_finds_nothing(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        seed.request()
        assert ids(await builds.revision(TRY, RevisionMatch("abc\U0001f680"))) == ([], [])
        assert await builds.user(TRY, "\U0001f680") == UserBuilds([], [], [])

    @twisted_test()
    async def test_signs_of_patterns_in_a_revision_are_plain(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        hits = {r: seed.request(revision=r) for r in ("a%c", "a_c", "a|c", "a\\c", "a'c")}
        seed.request(revision="abc")
        for revision, request in hits.items():
            assert ids(await builds.revision(TRY, RevisionMatch(revision)))[1] == [request]
        assert ids(await builds.revision(TRY, RevisionMatch("%"))) == ([], [])

    @twisted_test()
    async def test_hexadecimal_digits_may_be_of_any_case(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        request = seed.request(revision="abcdef012345")
        assert ids(await builds.revision(TRY, RevisionMatch("ABCDEF012345"))) == ([], [request])

    # --- one build, one request

    @twisted_test()
    async def test_a_build_of_another_branch_is_not_found(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        build = seed.run(seed.request("try-comm-central"))
        for branch, branch_found in ((TRY, False), (BRANCHES.by_name["try-comm-central"], True)):
            assert (await builds.build(branch, build) is not None) == branch_found
        assert await builds.build(TRY, build + 1) is None

    @twisted_test()
    async def test_a_request_carries_its_properties_and_builds(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        values = {"n": 3, "list": [1, {"a": None}], "who": "Zo\xeb \u2603", "no": None}
        odd = {"bad": "('a', 'b')", "str": '"abc"', "empty": "", "three": "[1, 2, 3]"}
        request = seed.request(properties=values, stored=odd)
        details = await builds.request(TRY, request)
        assert details is not None
        assert details.properties == values | odd
        assert details.request.id == request
        assert details.build_ids == []
        assert await builds.request(CEDAR, request) is None
        assert await builds.request(TRY, request + 1) is None

    @twisted_test()
    async def test_a_request_without_a_source_stamp_is_not_found(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        request = seed.request(buildset=seed.buildset(4711))
        assert await builds.request(TRY, request) is None

    @twisted_test()
    async def test_no_time_of_a_claim_is_as_0(self, seed: Seed, builds: SQLBuilds) -> None:
        """NULL in the row is a request that no master has: pending, everywhere."""
        stamp = seed.stamp()
        seed.change("zoe@example.org", [stamp])
        request = seed.request(buildset=seed.buildset(stamp))
        seed.execute("UPDATE buildrequests SET claimed_at = NULL WHERE id = %s", request)
        assert ids(await builds.day(TRY, *DAY)) == ([], [request])
        assert ids(await builds.revision(TRY, RevisionMatch("abcdef012345"))) == ([], [request])
        assert [r.id for r in (await builds.user(TRY, "zoe@example.org")).pending] == [request]
        assert unpacked_all(await builds.marks()) == {(str(request), "0", "0", "0", "0")}
        details = await builds.request(TRY, request)
        assert details is not None
        assert (details.request.claimed_at, details.starting) == (0, False)
        assert details.request.stage is Stage.PENDING

    # --- builders, users

    @twisted_test()
    async def test_a_builder_is_there_since_its_last_request(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        seed.request(builder="l/n x 50%", at=T0 + 100)
        seed.complete(seed.request(builder="done", at=T0 + 100))
        for name in ("l/n x 50%", "done"):
            assert await builds.has_builder(name, T0 + 100)
            assert not await builds.has_builder(name, T0 + 101)
        for other in ("l/n x 50", "l/n x 50%%", "%", "", "l/n x"):
            assert not await builds.has_builder(other, T0)

    @twisted_test()
    async def test_a_builder_the_replica_lacks_is_looked_for_in_the_primary(
        self, scheduler: Scheduler, replica: Scheduler
    ) -> None:
        scheduler.seed.request(builder="new", at=T0)
        assert await SQLBuilds(replica.db, scheduler.db).has_builder("new", T0)
        assert not await SQLBuilds(replica.db, scheduler.db).has_builder("newer", T0)

    @twisted_test()
    async def test_builders_are_sorted_and_named_once(self, seed: Seed, builds: SQLBuilds) -> None:
        for builder in ("win", "linux", "a%b", "linux"):
            seed.request(builder=builder)
        seed.request(builder="old", at=T0 - 1)
        seed.request("try-comm-central", builder="comm")
        assert await builds.builders(TRY, T0) == ["a%b", "linux", "win"]

    @twisted_test()
    async def test_a_user_sees_done_running_and_pending_each_once(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        stamps = [seed.stamp() for _ in range(4)]
        for stamp in stamps[:3]:
            seed.change("zoe@example.org", [stamp])
            seed.change("zoe@example.org", [stamp])
        seed.change("kim@example.org", [stamps[3]])
        requests = [seed.request(buildset=seed.buildset(s)) for s in stamps]
        runs = [seed.run(r) for r in requests[:2]]
        seed.end(runs[0])
        seed.complete(requests[0])
        found = await builds.user(TRY, "zoe@example.org")
        assert [b.id for b in found.builds] == [runs[0]]
        assert [b.id for b in found.running] == [runs[1]]
        assert [r.id for r in found.pending] == [requests[2]]
        assert (await builds.user(CEDAR, "zoe@example.org")).builds == []
        nobody = await builds.user(TRY, "zo%")
        assert (nobody.builds, nobody.running, nobody.pending) == ([], [], [])

    @twisted_test()
    async def test_a_user_sees_the_newest_200_of_each_kind(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        stamp = seed.stamp()
        seed.change("zoe@example.org", [stamp])
        set_ = seed.buildset(stamp)
        seed.execute("BEGIN")
        requests = [seed.request(buildset=set_, at=T0 + n) for n in range(203)]
        seed.execute("COMMIT")
        found = await builds.user(TRY, "zoe@example.org")
        assert [r.id for r in found.pending] == requests[:2:-1]

    @twisted_test()
    async def test_rows_of_rival_branches_do_not_count_among_the_200(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        mine, theirs = seed.stamp(), seed.stamp("try-comm-central")
        seed.change("zoe@example.org", [mine, theirs])
        own = seed.request(buildset=seed.buildset(mine))
        set_ = seed.buildset(theirs)
        seed.execute("BEGIN")
        for n in range(201):
            seed.request(buildset=set_, at=T0 + 1 + n)
        seed.execute("COMMIT")
        found = await builds.user(TRY, "zoe@example.org")
        assert [r.id for r in found.pending] == [own]

    # --- replica and primary, bounds

    # --- what changes

    @twisted_test()
    async def test_the_marks_of_a_request_change_with_it(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        request, other = seed.request(), seed.request("cedar")
        seen = [unpacked_all(await builds.marks())]
        seed.execute("UPDATE buildrequests SET priority = 9 WHERE id = %s", request)
        seen.append(unpacked_all(await builds.marks()))
        build = seed.run(request)
        seen.append(unpacked_all(await builds.marks()))
        seed.execute("UPDATE buildrequests SET claimed_at = %s WHERE id = %s", T0 + 600, request)
        assert unpacked_all(await builds.marks()) == seen[-1], "a heartbeat is no news"
        seed.end(build)
        seen.append(unpacked_all(await builds.marks()))
        seed.complete(request)
        seen.append(unpacked_all(await builds.marks()))
        changed = [{int(mark[0]) for mark in a ^ b} for a, b in itertools.pairwise(seen)]
        assert changed == [{request}] * 4
        assert {int(mark[0]) for mark in seen[-1]} == {other}

    @twisted_test()
    async def test_requests_are_found_with_their_builds_or_alone(
        self, seed: Seed, builds: SQLBuilds
    ) -> None:
        pending, dropped, running, other = [seed.request() for _ in range(4)]
        seed.complete(dropped, results=2)
        build = seed.run(running)
        back = seed.request()
        tried = seed.run(back)
        seed.end(tried)
        seed.execute(
            "UPDATE buildrequests SET claimed_at = 0, claimed_by_name = NULL WHERE id = %s", back
        )
        found = await builds.of_requests([pending, dropped, running, back, 10**6])
        assert [b.id for b in found.builds] == [tried, build]
        assert [r.id for r in found.pending] == [pending, dropped, back]
        assert other not in {r.id for r in found.pending}
        many = await builds.of_requests(range(10**6, 10**6 + 1200))
        assert (many.builds, many.pending) == ([], [])

    @twisted_test()
    async def test_the_branch_of_an_id_is_told(self, seed: Seed, builds: SQLBuilds) -> None:
        request = seed.request("projects/cedar-win")
        build = seed.run(request)
        assert await builds.branch_of("request", request) == "projects/cedar-win"
        assert await builds.branch_of("build", build) == "projects/cedar-win"
        assert await builds.branch_of("build", build + 1) is None

    @twisted_test()
    async def test_what_the_replica_lacks_is_asked_of_the_primary(
        self, scheduler: Scheduler, replica: Scheduler
    ) -> None:
        request = scheduler.seed.request(revision="fedcba")
        build = scheduler.seed.run(request)
        builds = SQLBuilds(replica.db, scheduler.db)
        assert (await builds.build(TRY, build)) is not None
        assert (await builds.request(TRY, request)) is not None
        assert ids(await builds.revision(TRY, RevisionMatch("fedcba"))) == ([build], [])
        assert ids(await builds.day(TRY, *DAY)) == ([], [])
        assert await SQLBuilds(replica.db).build(TRY, build) is None

    @twisted_test()
    async def test_what_the_replica_has_is_not_asked_of_the_primary(
        self, scheduler: Scheduler, replica: Scheduler
    ) -> None:
        request = replica.seed.request(reason="Read here")
        scheduler.seed.request(reason="Not read")
        found = await SQLBuilds(replica.db, scheduler.db).request(TRY, request)
        assert found is not None
        assert found.request.reason == "Read here"

    @twisted_test()
    async def test_too_many_rows_are_refused_in_words(
        self, scheduler: Scheduler, open_scheduler: OpenScheduler
    ) -> None:
        small = open_scheduler(scheduler.url, max_rows=10)
        for n in range(11):
            small.seed.request(builder=f"b{n}")
        builds = SQLBuilds(small.db)
        for read in (
            builds.day(TRY, *DAY),
            builds.revision(TRY, RevisionMatch("abcdef012345")),
            builds.builders(TRY, T0),
        ):
            with pytest.raises(
                BadRequest, match="Too many rows: more than 10 rows; request less at a time"
            ):
                await read


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ('["v", "Change"]', "v"),
        ("[null, 1]", None),
        ('[{"a": [1]}, "x"]', {"a": [1]}),
        ("[1]", "[1]"),
        ("[1, 2, 3]", "[1, 2, 3]"),
        ("{}", "{}"),
        ("not JSON", "not JSON"),
        ("[" * 100_000, "[" * 100_000),
    ],
    ids=lambda x: repr(x)[:20],
)
def test_a_property_that_is_no_pair_is_given_as_it_is(stored: str, value: object) -> None:
    assert property_value(stored) == value
