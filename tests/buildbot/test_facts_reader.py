"""What an action is about is read from the scheduler database and the directory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.buildbot.directory import Master
from buildapi.buildbot.v08.facts_reader import SQLFactsReader
from buildapi.buildbot.v08.lowered_plan import StoredRequestFacts
from buildapi.errors import BadRequest
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.builders import Builder, Builders
from buildapi.model.facts import BranchFacts, RequestFacts, RevisionFacts
from buildapi.model.steps import Sharer
from tests.buildbot.acting import ZONE, make_observer
from tests.buildbot.conftest import OpenScheduler, Scheduler
from tests.buildbot.doubles import Papers
from tests.buildbot.seed import MASTER_A, T0, Seed
from tests.contracts.facts import FactsReaderContract
from tests.db.scripted import ScriptedDatabase
from tests.reactor import twisted_test

REVISION = "abcdef012345"
DEFINITIONS = {
    "try": {"repo": "https://hg.example.org/try/"},
    "try-comm-central": {},
    "cedar": {"repo": "https://hg.example.org/projects/cedar"},
    "bare": {},
}
CEDAR = Builders(
    {
        b.name: b
        for b in (
            Builder("by branch", branch="cedar", path="elsewhere"),
            Builder("by path", path="projects/cedar"),
            Builder("Linux cedar build"),
            Builder("Linux cedarwood build"),
            Builder("of another", branch="try", path="projects/cedar"),
        )
    }
)


@pytest.fixture
def seed(scheduler: Scheduler) -> Seed:
    return scheduler.seed


@attrs.frozen
class Seen:
    """A reader of a scheduler database, and its rows."""

    scheduler: Scheduler

    @property
    def reader(self) -> SQLFactsReader:
        return make_observer(self.scheduler, Papers(DEFINITIONS))

    def pending(
        self,
        properties: Mapping[str, str] | None = None,
        *,
        branch: str = "try",
        revision: str = REVISION,
        priority: int = 3,
    ) -> int:
        seed = self.scheduler.seed
        return seed.request(branch, revision, priority=priority, stored=properties or {})

    def run(self, request: int) -> int:
        return self.scheduler.seed.run(request)

    def complete(self, request: int) -> None:
        self.scheduler.seed.complete(request)


class TestSQLFactsReader(FactsReaderContract):
    """The contract, on each engine."""

    @pytest.fixture
    def seen(self, scheduler: Scheduler) -> Seen:
        return Seen(scheduler)


async def open_of(
    scheduler: Scheduler, branch: str = "try", revision: str = REVISION, **more: Any
) -> list[int]:
    """List the requests found for a cancel."""
    observer = make_observer(scheduler, Papers(DEFINITIONS), **more)
    facts = await observer.read(CancelRevision(branch, revision))
    assert isinstance(facts, RevisionFacts)
    return [f.request.id for f in facts.requests]


class TestRequests:
    """Actions on one request."""

    @twisted_test()
    async def test_each_action_on_a_request_or_build_is_about_its_request(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        stamp = seed.stamp()
        set_ = seed.buildset(stamp, external="ext", properties={"b": 2, "a": 1})
        request = seed.request(buildset=set_)
        seed.run(seed.request())
        build = seed.run(request)
        actions: list[Action] = [
            Reprioritize(request, 1),
            CancelRequest(request),
            RebuildRequest(request),
            CancelBuild(build),
            RebuildBuild(build),
        ]
        for action in actions:
            facts = await make_observer(scheduler).read(action)
            assert isinstance(facts, StoredRequestFacts)
            assert (facts.request.id, [t.id for t in facts.tries]) == (request, [build])
            row = facts.buildset
            assert (row.sourcestampid, row.external_idstring) == (stamp, "ext")
            assert list(row.properties) == [("a", '[1, "test"]'), ("b", '[2, "test"]')]

    @twisted_test()
    async def test_many_requests_are_read_by_chunks_with_their_tries(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        set_ = seed.buildset(seed.stamp())
        requests = [seed.request(buildset=set_) for _ in range(600)]
        builds = {request: seed.run(request) for request in requests[::100]}
        observer = make_observer(scheduler)
        found = await observer.requests([*requests, 10**6])
        assert sorted(f.request.id for f in found) == requests
        assert {f.request.id: f.tries[0].id for f in found if f.tries} == builds
        assert await observer.requests([]) == []


class TestRevisions:
    """All that is open of a revision."""

    @twisted_test()
    async def test_pending_claimed_and_running_requests_are_found_with_all_their_tries(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        pending, claimed, running = (seed.request() for _ in range(3))
        seed.claim(claimed)
        lost = seed.run(running)
        seed.end(lost)
        seed.give_back(running)
        build = seed.run(running, at=T0 + 99)
        done = seed.request()
        seed.end(seed.run(done))
        seed.complete(done)
        dropped = seed.request()
        seed.complete(dropped, results=2)
        facts = await make_observer(scheduler).read(CancelRevision("try", REVISION))
        assert isinstance(facts, RevisionFacts)
        assert [(f.request.id, [t.id for t in f.tries]) for f in facts.requests] == [
            (pending, []),
            (claimed, []),
            (running, [lost, build]),
        ]
        assert [t.id for t in facts.requests[2].running] == [build]

    @twisted_test()
    async def test_a_complete_request_whose_build_runs_on_is_found_once(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        raced, other = seed.request(), seed.request()
        seed.run(raced)
        seed.start(raced, at=T0 + 12)
        seed.complete(raced, results=2)
        assert await open_of(scheduler) == [raced, other]

    @twisted_test()
    async def test_a_revision_is_named_by_its_beginning(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        whole, begins = seed.request(), seed.request(revision=REVISION + "6" * 28)
        for other in ("abcdef", "xabcdef012345", "bcdef012345", None):
            seed.run(seed.request(revision=other))
            seed.request(revision=other)
        assert await open_of(scheduler) == [whole, begins]
        assert await open_of(scheduler, revision="fedcba") == []

    @twisted_test()
    async def test_signs_of_patterns_in_a_revision_are_plain(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        hits = {}
        for revision in ("ab%d", "ab_d", "ab|d", "ab\\d", "ab'd"):
            hits[revision] = [seed.request(revision=revision) for _ in range(2)]
            seed.run(hits[revision][1])
        seed.request(revision="abcd")
        seed.run(seed.request(revision="abcd"))
        for revision, requests in hits.items():
            assert await open_of(scheduler, revision=revision) == requests
        for pattern in ("%%%%", "____", "%bcd", "a_cd"):
            assert await open_of(scheduler, revision=pattern) == []

    @twisted_test()
    async def test_a_number_is_not_the_beginning_of_another_one(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        """A cancel of change 1234 leaves change 12345 alone, and what differs in case."""
        seed.request(revision="12345")
        hit = seed.request(revision="1234")
        tag = seed.request(revision="Release")
        seed.request(revision="release")
        assert await open_of(scheduler, revision="1234") == [hit]
        assert await open_of(scheduler, revision="Release") == [tag]

    @twisted_test()
    async def test_a_hash_that_fits_two_revisions_is_not_decided(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        """Also where one of them is done; more of it decides."""
        one, other = REVISION + "1" * 28, REVISION + "2" * 28
        request = seed.request(revision=one)
        seed.complete(seed.request(revision=other))
        observer = make_observer(scheduler, Papers(DEFINITIONS))
        facts = await observer.read(CancelRevision("try", REVISION))
        assert facts == RevisionFacts((), [one, other])
        facts = await observer.read(CancelRevision("try", REVISION, full_revision=one))
        assert isinstance(facts, RevisionFacts)
        assert [f.request.id for f in facts.requests] == [request]

    @twisted_test()
    async def test_only_what_belongs_to_the_branch_is_found(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        names = ["try", "try-linux", "try-comm-central", "try-comm-central-x", "TRY", "tryst"]
        names += ["x/try", "projects/cedar", "projects/cedar-win", "cedar", "projects-cedar"]
        requests = {name: [seed.request(name), seed.request(name)] for name in names}
        for _, running in requests.values():
            seed.run(running)
        for branch, stored in (
            ("try", ["try", "try-linux"]),
            ("try-comm-central", ["try-comm-central", "try-comm-central-x"]),
            ("cedar", ["projects/cedar", "projects/cedar-win", "cedar"]),
            ("bare", []),
        ):
            wanted = [request for name in stored for request in requests[name]]
            assert await open_of(scheduler, branch) == wanted

    @twisted_test()
    async def test_signs_of_patterns_in_a_branch_are_plain(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        hit = seed.request("a_b%|-x")
        for name in ("aXb%|-x", "a_bZZ|-x", "a_b%-x"):
            seed.request(name)
        observer = make_observer(scheduler, Papers({"a_b%|": {}}))
        facts = await observer.read(CancelRevision("a_b%|", REVISION))
        assert isinstance(facts, RevisionFacts)
        assert [f.request.id for f in facts.requests] == [hit]

    @twisted_test(30)
    async def test_two_thousand_requests_cost_a_few_queries(
        self, scheduler: Scheduler, open_scheduler: OpenScheduler
    ) -> None:
        wide = open_scheduler(scheduler.url, max_rows=5000)
        seed = wide.seed
        set_ = seed.buildset(seed.stamp())
        seed.execute("BEGIN")
        requests = [seed.request(buildset=set_) for _ in range(2000)]
        seed.run(*requests[::4])
        seed.execute("COMMIT")
        counted = ScriptedDatabase(wide.db)
        observer = make_observer(Scheduler(wide.url, seed, counted), Papers(DEFINITIONS))  # type: ignore[arg-type]  # a database that counts
        facts = await observer.read(CancelRevision("try", REVISION))
        assert isinstance(facts, RevisionFacts)
        assert [f.request.id for f in facts.requests] == requests
        assert [bool(f.running) for f in facts.requests] == [True, False, False, False] * 500
        assert len(counted.texts) == 3 + 4 + 2, "with those who share builds, and their authors"

    @pytest.mark.parametrize("running", [True, False])
    @twisted_test()
    async def test_more_than_can_be_handled_is_refused_in_words(
        self, running: bool, scheduler: Scheduler, open_scheduler: OpenScheduler
    ) -> None:
        small = open_scheduler(scheduler.url, max_rows=10)
        requests = [small.seed.request() for _ in range(11)]
        if running:
            small.seed.run(*requests)
            small.seed.complete(*requests)
        with pytest.raises(BadRequest, match="Too many rows: more than 10 rows"):
            await open_of(small)

    @twisted_test()
    async def test_a_branch_nobody_knows_is_none(self, scheduler: Scheduler) -> None:
        assert await make_observer(scheduler).read(CancelRevision("nope", REVISION)) is None


# --- branches -------------------------------------------------------------------------------

NEW: list[Action] = [
    NewBuild("cedar", REVISION),
    NewPGOBuild("cedar", REVISION),
    NewNightly("cedar", REVISION),
    NewBuilderBuild("cedar-selfserve", REVISION, "by path"),
]


class NoDatabase:
    """Stand for a scheduler database that must not be asked."""

    url, seed, db = "", None, None


async def branch_facts(action: Action = NEW[0], **more: Any) -> BranchFacts:
    nobody: Any = NoDatabase
    papers = more.pop("papers", None) or Papers(DEFINITIONS, CEDAR)
    facts = await make_observer(nobody, papers, **more).read(action)
    assert isinstance(facts, BranchFacts)
    return facts


@pytest.mark.parametrize("action", NEW, ids=lambda a: a.name)
@twisted_test()
async def test_new_builds_are_about_their_branch(action: Action) -> None:
    facts = await branch_facts(action)
    assert (facts.path, facts.repository) == (
        "projects/cedar",
        "https://hg.example.org/projects/cedar",
    )
    assert list(facts.builders) == ["by branch", "by path", "Linux cedar build"]


@twisted_test()
async def test_a_branch_without_repository_is_stored_by_its_name() -> None:
    facts = await branch_facts(NewBuild("bare", REVISION))
    assert (facts.path, facts.repository, list(facts.builders)) == ("bare", None, [])


@twisted_test()
async def test_a_farm_that_lists_no_builders_has_none() -> None:
    assert list((await branch_facts(papers=Papers(DEFINITIONS))).builders) == []


@pytest.mark.parametrize(
    "action",
    [
        NewBuild("nope", "abc"),
        NewNightly("nope", "abc"),
        NewBuilderBuild("nope-selfserve", "abc", "x"),
    ],
)
@twisted_test()
async def test_new_builds_of_a_branch_nobody_knows_are_about_none(action: Action) -> None:
    nobody: Any = NoDatabase
    assert await make_observer(nobody, Papers(DEFINITIONS)).read(action) is None


@pytest.mark.parametrize(
    ("now", "buildid"),
    [
        (1_434_650_400, "20150618110000"),
        (1_434_650_400.999, "20150618110000"),
        (1_425_808_799, "20150308015959"),  # the last second of winter time
        (1_425_808_800, "20150308030000"),
        (1_446_367_000, "20151101013640"),  # this hour comes twice
        (1_446_370_600, "20151101013640"),
        (1_446_373_000, "20151101021640"),
    ],
)
@twisted_test()
async def test_the_buildid_is_the_time_in_the_zone_of_the_farm(now: float, buildid: str) -> None:
    assert (await branch_facts(now=now)).buildid == buildid


@given(st.integers(0, 2**32))
def test_any_buildid_is_a_time_within_the_second(now: int) -> None:
    local = datetime.fromtimestamp(now, ZONE)
    nobody: Any = NoDatabase
    facts = make_observer(nobody, Papers(DEFINITIONS), now=now + 0.5)._branch("cedar")
    assert facts is not None
    read = datetime.strptime(facts.buildid, "%Y%m%d%H%M%S").replace(tzinfo=ZONE, fold=local.fold)
    assert read.timestamp() == now


@twisted_test()
async def test_each_reading_has_a_builduid_of_its_own() -> None:
    found = [(await branch_facts()).builduid for _ in range(3)]
    assert len(set(found)) == 3
    assert all(len(one) == 32 and int(one, 16) for one in found)


def master(name: str, role: str | None, port: int | None = 9010) -> Master:
    return Master(f"{name}:/b", f"{name}.example.org", None, port, role, name)


BUILD, DEAF = master("build", "build"), master("deaf", "scheduler", None)
FIRST, SECOND = master("first", "scheduler"), master("second", "scheduler")
MASTERS = (BUILD, DEAF, FIRST, SECOND)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", "first:/b"),
        ("second", "second:/b"),
        ("second:/b", "second:/b"),
        ("build", "build:/b"),
        ("nobody", None),
        ("secon", None),
    ],
)
@twisted_test()
async def test_changes_go_to_the_master_that_is_named_or_else_schedules(
    wanted: str, found: str | None
) -> None:
    papers = Papers(DEFINITIONS, None, MASTERS)
    assert (await branch_facts(papers=papers, change_master=wanted)).change_master == found


@twisted_test()
async def test_without_a_master_that_schedules_none_takes_changes() -> None:
    papers = Papers(DEFINITIONS, None, (BUILD, DEAF))
    assert (await branch_facts(papers=papers)).change_master is None
    unnamed = Master(MASTER_A, "a.example.org", None, 9010, None)
    for wanted in ("", "None"):
        papers = Papers(DEFINITIONS, None, (unnamed,))
        assert (await branch_facts(papers=papers, change_master=wanted)).change_master is None


@pytest.mark.parametrize(
    ("wanted", "found"), [("", "second:/b"), ("first", None), ("second", "second:/b")]
)
@twisted_test()
async def test_a_master_that_is_disabled_takes_no_changes(wanted: str, found: str | None) -> None:
    papers = Papers(DEFINITIONS, None, (attrs.evolve(FIRST, enabled=False), SECOND))
    assert (await branch_facts(papers=papers, change_master=wanted)).change_master == found


class TestWhatAnActionTouches:
    """Who shares the build of a request, and whether anybody has its builder."""

    @twisted_test()
    async def test_those_who_share_a_running_build_are_known_with_their_pushes(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        theirs = seed.stamp(revision="fedcba987654")
        seed.change("joe@example.org", [theirs])
        mine, other = seed.request(), seed.request(buildset=seed.buildset(theirs))
        third = seed.request(branch="cedar", revision=None)
        build = seed.run(mine, other, third)
        seed.run(seed.request(), seed.request())
        expected = [
            Sharer(mine, "try", REVISION),
            Sharer(other, "try", "fedcba987654", "joe@example.org"),
            Sharer(third, "cedar", None),
        ]
        for action in (CancelBuild(build), CancelRequest(mine)):
            facts = await make_observer(scheduler).read(action)
            assert isinstance(facts, RequestFacts)
            assert facts.sharers == {build: expected}
        found = await make_observer(scheduler).read(CancelRevision("try", REVISION))
        assert isinstance(found, RevisionFacts)
        assert found.requests[0].sharers == {build: expected}

    @twisted_test()
    async def test_builds_of_the_same_number_are_not_taken_for_one(
        self, scheduler: Scheduler, seed: Seed
    ) -> None:
        """Of another builder, master or claim, or ended, or with a request that is complete."""
        mine, complete = seed.request(), seed.request()
        seed.run(mine, complete)
        seed.complete(complete)
        number = seed.count
        for builder, master, at in [
            ("mac", MASTER_A, T0 + 10),
            ("linux", "b:/b", T0 + 10),
            ("linux", MASTER_A, T0 + 900),
        ]:
            other = seed.request(builder=builder)
            seed.claim(other, master=master, at=at)
            seed.start(other, number=number)
        facts = await make_observer(scheduler).read(CancelRequest(mine))
        assert isinstance(facts, RequestFacts)
        assert len(facts.running) == 1
        assert facts.sharers == {}

    @pytest.mark.parametrize(
        ("builders", "listed"),
        [(None, None), (Builders({}), False), (Builders({"linux": Builder("linux")}), True)],
    )
    @twisted_test()
    async def test_whether_the_builders_file_lists_the_builder_of_a_request_is_known(
        self, scheduler: Scheduler, seed: Seed, builders: Builders | None, listed: bool | None
    ) -> None:
        request = seed.request()
        observer = make_observer(scheduler, Papers(DEFINITIONS, builders))
        facts = await observer.read(RebuildRequest(request))
        assert isinstance(facts, RequestFacts)
        assert facts.listed is listed
