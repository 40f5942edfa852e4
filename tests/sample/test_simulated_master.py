"""Simulated masters, driven by a clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from twisted.internet import defer, task

from buildapi.sample.catalog import BRANCHES, DEFAULT_BRANCHES, MASTERS, builders, builders_document
from buildapi.sample.push_generator import PushGenerator
from buildapi.sample.simulated_master import MasterSettings, SimulatedMaster
from buildapi.sample.status_builds import SHARED_PROPERTIES, StatusRecorder
from tests.sample.direct import (
    DirectDatabase,
    scheduler_database,
    status_database,
    submit,
)

START = 1_700_000_000
BUILD_MASTER = next(m for m in MASTERS if m.role == "build")
BUILDERS = {b.name: b for b in builders(["mozilla-central"]) if b.role == "build"}
LINUX, MAC, WINDOWS = (
    "Linux x86-64 mozilla-central build",
    "OS X 10.7 mozilla-central build",
    "WINNT 5.2 mozilla-central build",
)
TEST = "Ubuntu VM 12.04 x64 mozilla-central opt test reftest"
LONGEST = 15


@attrs.define
class Farm:
    """A clock, databases, and masters on them."""

    clock: task.Clock
    db: DirectDatabase
    status: DirectDatabase
    started: list[Any] = attrs.field(factory=list)

    def master(self, **settings: Any) -> SimulatedMaster:
        master = SimulatedMaster(
            self.clock,
            BUILD_MASTER,
            BUILDERS,
            self.db,
            status=StatusRecorder(self.status),
            settings=MasterSettings(**settings),
            now=self.clock.seconds,
        )
        master.startService()
        self.started.append(master)
        return master

    def request(self, brid: int) -> dict[str, Any]:
        names = ["claimed_at", "claimed_by_name", "complete", "results", "complete_at"]
        [row] = self.db.rows(f"SELECT {','.join(names)} FROM buildrequests WHERE id = ?", brid)
        return dict(zip(names, row, strict=True))

    def builds(self, *brids: int) -> list[Any]:
        marks = ",".join("?" * len(brids))
        return self.db.rows(
            f"SELECT brid, number, start_time, finish_time FROM builds WHERE brid IN ({marks})"
            " ORDER BY id",
            *brids,
        )

    def running(self) -> set[int]:
        rows = self.db.rows("SELECT brid FROM builds WHERE finish_time IS NULL")
        return {row[0] for row in rows}

    def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds * 4)):
            self.clock.advance(0.25)


@pytest.fixture
def farm() -> Iterator[Farm]:
    clock = task.Clock()
    clock.advance(START)
    made = Farm(clock, scheduler_database(), status_database())
    yield made
    for service in made.started:
        service.stopService()
    assert clock.getDelayedCalls() == []
    made.db.connection.close()
    made.status.connection.close()


def test_a_pending_request_is_claimed_by_name_and_incarnation_and_begun(farm: Farm) -> None:
    farm.master()
    farm.pass_time(3)
    [brid] = submit(farm.db, LINUX)
    farm.clock.advance(1)
    claim = farm.request(brid)
    assert claim["claimed_at"] == START + 4
    assert claim["claimed_by_name"] == "master1.example.org:/builds/buildbot/build1/master"
    assert claim["complete"] == 0
    incarnation = farm.db.one("SELECT claimed_by_incarnation FROM buildrequests")
    assert incarnation.endswith(f"-boot{START}")
    assert farm.builds(brid) == [(brid, 0, START + 4, None)]


def test_builders_of_others_and_unknown_builders_are_left_alone(farm: Farm) -> None:
    others = submit(farm.db, TEST, "no such builder")
    farm.master()
    farm.pass_time(5)
    assert [farm.request(b)["claimed_at"] for b in others] == [0, 0]


ALL = {b.name: b for b in builders(DEFAULT_BRANCHES)}


@pytest.mark.parametrize(
    "builder",
    [
        LINUX,
        "Linux x86-64 mozilla-inbound pgo-build",
        "WINNT 5.2 mozilla-central pgo-build",
        "Android armv7 API 15+ mozilla-inbound nightly",
        "Linux x86-64 try leak test build",
        "Windows 7 32-bit mozilla-inbound debug test mochitest-1",
        "Ubuntu VM 12.04 x64 try opt talos tp5o",
    ],
)
@pytest.mark.parametrize("branch", ["name", "path"])
def test_what_somebody_else_submits_is_built(farm: Farm, builder: str, branch: str) -> None:
    known = ALL[builder]
    owner = BRANCHES[known.branch]
    [brid] = submit(
        farm.db,
        builder,
        branch=owner.name if branch == "name" else owner.path,
        revision="default",
        reason="Self-serve: Requested by ada@example.org",
        properties={"buildid": ("20200101", "self-serve"), "x": ([1, None], "self-serve")},
        change_branch=f"{owner.name}-selfserve",
    )
    [master] = [m for m in MASTERS if m.role == known.role]
    simulated = SimulatedMaster(
        farm.clock,
        master,
        {b.name: b for b in ALL.values() if b.role == master.role},
        farm.db,
        status=StatusRecorder(farm.status),
        settings=MasterSettings(seed=1),
        now=farm.clock.seconds,
    )
    simulated.startService()
    farm.started.append(simulated)
    farm.clock.advance(0)
    assert farm.request(brid)["claimed_by_name"] == master.db_name
    farm.pass_time(4 * (LONGEST + 2))
    assert farm.request(brid)["complete"] == 1
    assert farm.db.one("SELECT complete FROM buildsets") == 1
    [reason] = {row[0] for row in farm.status.rows("SELECT reason FROM builds")}
    assert reason == "Self-serve: Requested by ada@example.org"


def test_every_builder_of_the_file_is_some_masters(farm: Farm) -> None:
    names = list(builders_document(DEFAULT_BRANCHES)["builders"])
    brids = submit(farm.db, *names)
    for master in MASTERS:
        simulated = SimulatedMaster(
            farm.clock,
            master,
            {b.name: b for b in ALL.values() if b.role == master.role},
            farm.db,
            status=None,
            settings=MasterSettings(slaves=len(names)),
            now=farm.clock.seconds,
        )
        simulated.startService()
        farm.started.append(simulated)
    farm.clock.advance(0)
    assert farm.running() == set(brids)
    claims = farm.db.rows("SELECT DISTINCT claimed_by_name FROM buildrequests")
    assert {row[0] for row in claims} == {m.db_name for m in MASTERS if m.role != "scheduler"}


def test_priority_goes_before_age_and_age_before_id(farm: Farm) -> None:
    [young] = submit(farm.db, LINUX, submitted_at=200, revision="a" * 40)
    [old] = submit(farm.db, LINUX, submitted_at=100, revision="b" * 40)
    [urgent] = submit(farm.db, LINUX, submitted_at=300, revision="c" * 40, priority=1)
    [never] = submit(farm.db, LINUX, submitted_at=50, revision="d" * 40, priority=-1)
    farm.master(slaves=1)
    farm.pass_time(4 * (LONGEST + 2))
    first = {brid: farm.builds(brid)[0][2] for brid in (urgent, old, young, never)}
    assert list(first) == sorted(first, key=first.__getitem__)
    assert len(set(first.values())) == 4


def test_no_more_is_built_at_once_than_there_are_slaves(farm: Farm) -> None:
    brids = [submit(farm.db, LINUX, revision=f"{i:040x}")[0] for i in range(6)]
    master = farm.master(slaves=2)
    farm.pass_time(2)
    assert farm.running() == set(brids[:2])
    assert len({b.slave for b in master.building.values()}) == 2


def test_a_build_ends_in_time_and_completes_request_and_buildset(farm: Farm) -> None:
    [brid] = submit(farm.db, LINUX)
    farm.master(seed=1)
    farm.pass_time(LONGEST + 1)
    done = farm.request(brid)
    [(_, _, start, finish)] = farm.builds(brid)
    assert 4 <= finish - start <= LONGEST
    assert (done["complete"], done["complete_at"]) == (1, finish)
    assert done["results"] in (0, 1)
    assert farm.db.rows("SELECT complete, complete_at, results FROM buildsets") == [(1, finish, 0)]


def test_a_buildset_waits_for_its_last_request_and_is_as_bad_as_the_worst(farm: Farm) -> None:
    short, other = submit(farm.db, LINUX, MAC)
    master = farm.master(shortest=10, longest=20)
    farm.clock.advance(1)
    assert master.stop(LINUX, 0)
    farm.clock.advance(0.1)
    assert farm.request(short)["results"] == 2
    assert farm.db.rows("SELECT complete, results FROM buildsets") == [(0, None)]
    farm.pass_time(21)
    assert farm.request(other)["complete"] == 1
    assert farm.db.rows("SELECT complete, results FROM buildsets") == [(1, 2)]


def test_how_a_build_goes_depends_on_the_seed_alone(farm: Farm) -> None:
    master, same, other = farm.master(seed=5), farm.master(seed=5), farm.master(seed=6)
    [brid] = submit(farm.db, LINUX)
    farm.clock.advance(1)
    [build] = master.building.values()
    assert build.requests[0].id == brid
    assert master._outcome(build) == same._outcome(build)
    assert master._outcome(build) != other._outcome(build)


def test_same_sources_on_one_builder_become_one_build(farm: Farm) -> None:
    first, *_ = submit(farm.db, LINUX, MAC)
    [second] = submit(farm.db, LINUX, reason="again", priority=3)
    [different] = submit(farm.db, LINUX, revision="b" * 40)
    master = farm.master()
    farm.clock.advance(0)
    (_, one, start, _), (_, two, same, _) = farm.builds(first, second)
    assert (one, start) == (two, same)
    assert farm.builds(different)[0][1] != one
    # The leader is the one with the higher priority.
    assert master.building[LINUX, one].reason == "again, scheduler"
    farm.pass_time(LONGEST + 1)
    assert farm.request(first)["results"] == farm.request(second)["results"]
    assert farm.db.one("SELECT COUNT(*) FROM builds WHERE number = ?", one) >= 2


def test_self_serve_requests_are_built_on_their_own(farm: Farm) -> None:
    [first] = submit(farm.db, LINUX)
    [again] = submit(farm.db, LINUX, reason="Self-serve: Rebuilt by ada@example.org")
    farm.master()
    farm.clock.advance(1)
    assert [row[1] for row in farm.builds(first, again)] == [0, 1]


def test_numbers_go_on_where_the_database_ends(farm: Farm) -> None:
    [old] = submit(farm.db, LINUX)
    farm.db.connection.execute(
        "UPDATE buildrequests SET claimed_at = 1, claimed_by_name = ?, complete = 1",
        (BUILD_MASTER.db_name,),
    )
    farm.db.connection.execute(
        "INSERT INTO builds (number, brid, start_time, finish_time) VALUES (41, ?, 1, 2)", (old,)
    )
    [brid] = submit(farm.db, LINUX)
    farm.master()
    farm.clock.advance(1)
    assert farm.builds(brid)[0][1] == 42


def test_a_request_cancelled_while_the_master_claims_is_not_built(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    [brid] = submit(farm.db, LINUX)
    transact = farm.db.transact

    async def cancelled_just_before(statements: Any) -> Any:
        farm.db.connection.execute("UPDATE buildrequests SET complete = 1, results = 2")
        return await transact(statements)

    monkeypatch.setattr(DirectDatabase, "transact", lambda _, s: cancelled_just_before(s))
    master = farm.master()
    farm.pass_time(2)
    assert farm.builds(brid) == []
    assert farm.request(brid)["claimed_at"] == 0
    assert master.building == {}


def test_a_stopped_build_fails_in_a_moment(farm: Farm) -> None:
    [brid] = submit(farm.db, LINUX)
    master = farm.master()
    farm.clock.advance(0)
    assert master.stop(LINUX, 0)
    assert farm.request(brid)["complete"] == 0
    farm.clock.advance(0.1)
    done = farm.request(brid)
    assert (done["complete"], done["results"]) == (1, 2)
    assert farm.builds(brid)[0][3] is not None
    assert farm.db.rows("SELECT complete, results FROM buildsets") == [(1, 2)]
    assert not master.stop(LINUX, 0)


def test_stopping_twice_stops_once(farm: Farm) -> None:
    [brid] = submit(farm.db, LINUX)
    master = farm.master()
    farm.clock.advance(0)
    assert master.stop(LINUX, 0)
    assert master.stop(LINUX, 0)
    farm.pass_time(LONGEST + 1)
    assert len(farm.builds(brid)) == 1


def test_a_lost_slave_gives_requests_back_for_another_build(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter([(5.0, 5), (5.0, 0)])
    monkeypatch.setattr(SimulatedMaster, "_outcome", lambda *_: next(outcomes))
    [brid] = submit(farm.db, LINUX)
    farm.master()
    farm.pass_time(5)
    given_back = farm.request(brid)
    assert farm.builds(brid)[0][3] is not None
    assert (given_back["complete"], given_back["results"]) == (0, None)
    farm.pass_time(8)
    assert [row[1] for row in farm.builds(brid)] == [0, 1]
    assert farm.request(brid)["results"] == 0


def test_a_restarted_master_begins_its_builds_again_with_their_numbers(farm: Farm) -> None:
    first, second = submit(farm.db, LINUX, MAC)
    [merged] = submit(farm.db, LINUX)
    master = farm.master()
    farm.pass_time(2)
    before = farm.db.one("SELECT claimed_by_incarnation FROM buildrequests WHERE id = ?", first)
    master.stopService()
    assert farm.running() == {first, second, merged}

    farm.master()
    farm.clock.advance(0)
    after = farm.db.one("SELECT claimed_by_incarnation FROM buildrequests WHERE id = ?", first)
    assert before != after
    old, new = farm.builds(first)
    assert old[1] == new[1]
    assert farm.builds(merged)[1][1] == new[1]
    farm.pass_time(LONGEST + 1)
    assert [farm.request(b)["complete"] for b in (first, second, merged)] == [1, 1, 1]
    ends = [row[3] is None for row in farm.builds(first)]
    assert ends == [True, False], "the row of the killed process never gets an end"


def test_a_claim_without_build_is_taken_over_too(farm: Farm) -> None:
    [brid] = submit(farm.db, LINUX)
    farm.db.connection.execute(
        "UPDATE buildrequests SET claimed_at = 5, claimed_by_name = ?", (BUILD_MASTER.db_name,)
    )
    farm.master()
    farm.pass_time(LONGEST + 1)
    assert farm.request(brid)["complete"] == 1


def test_what_another_master_runs_is_left_alone(farm: Farm) -> None:
    [brid] = submit(farm.db, LINUX)
    farm.db.connection.execute(
        "UPDATE buildrequests SET claimed_at = 5, claimed_by_name = 'other:/builds'"
    )
    farm.master()
    farm.pass_time(LONGEST)
    assert farm.builds(brid) == []


def test_a_stopping_master_starts_and_finishes_nothing_more(farm: Farm) -> None:
    [brid] = submit(farm.db, LINUX)
    master = farm.master()
    farm.clock.advance(0)
    stopped: list[None] = []
    master.stopService().addCallback(stopped.append)
    assert stopped == [None]
    [late] = submit(farm.db, MAC)
    farm.pass_time(LONGEST + 1)
    assert farm.request(brid)["complete"] == 0
    assert farm.request(late)["claimed_at"] == 0


def test_a_database_that_is_down_for_a_while_costs_no_build(farm: Farm) -> None:
    [brid] = submit(farm.db, LINUX)
    farm.master()
    farm.clock.advance(0)
    farm.db.down = True
    farm.pass_time(LONGEST + 5)
    farm.db.down = False
    assert farm.request(brid)["complete"] == 0
    farm.pass_time(2)
    assert farm.request(brid)["complete"] == 1


def test_a_turn_that_fails_is_logged_and_the_next_one_comes(
    farm: Farm, logged_errors: list[Any]
) -> None:
    farm.master()
    farm.db.connection.execute("ALTER TABLE builds RENAME TO hidden")
    [brid] = submit(farm.db, LINUX)
    farm.clock.advance(1)
    assert logged_errors
    logged_errors.clear()
    farm.db.connection.execute("ALTER TABLE hidden RENAME TO builds")
    farm.clock.advance(1)
    assert len(farm.builds(brid)) == 1


def test_finished_builds_are_recorded_in_the_status_database(farm: Farm) -> None:
    first, second = submit(farm.db, LINUX, MAC)
    [merged] = submit(farm.db, LINUX, reason="again")
    farm.master()
    farm.pass_time(LONGEST + 1)
    rows = farm.status.rows(
        """SELECT n.name, n.category, m.name, b.buildnumber, s.revision, b.reason,
        b.endtime > b.starttime FROM builds b JOIN builders n ON n.id = b.builder_id
        JOIN masters m ON m.id = b.master_id JOIN sourcestamps s ON s.id = b.source_id
        JOIN slaves l ON l.id = b.slave_id ORDER BY n.name"""
    )
    assert rows == [
        (LINUX, "mozilla-central", "bm01-build1", 0, "a" * 40, "scheduler, again", 1),
        (MAC, "mozilla-central", "bm01-build1", 0, "a" * 40, "scheduler", 1),
    ]
    links = farm.status.rows(
        "SELECT scheduler_request_id, scheduler_build_id FROM schedulerdb_requests"
    )
    assert dict(links).keys() == {first, second, merged}
    assert set(dict(links).values()) == {row[0] for row in farm.db.rows("SELECT id FROM builds")}


RECORDED = """SELECT b.id, l.name, b.endtime IS NULL, b.result IS NULL,
 (SELECT COUNT(*) FROM steps s WHERE s.build_id = b.id),
 (SELECT COUNT(*) FROM build_properties p WHERE p.build_id = b.id)
 FROM builds b JOIN slaves l ON l.id = b.slave_id"""


def test_a_running_build_is_in_the_status_database_and_ends_there(farm: Farm) -> None:
    submit(farm.db, LINUX)
    farm.master()
    farm.clock.advance(0)
    [(id_, slave, *running)] = farm.status.rows(RECORDED)
    assert running == [1, 1, 0, len(SHARED_PROPERTIES)]
    farm.pass_time(LONGEST + 1)
    [(same, on, *ended)] = farm.status.rows(RECORDED)
    assert (same, on, ended[:2]) == (id_, slave, [0, 0])
    assert ended[2] > 0
    assert ended[3] > len(SHARED_PROPERTIES)


def test_a_build_that_a_restarted_master_begins_again_is_recorded_once(farm: Farm) -> None:
    submit(farm.db, LINUX)
    master = farm.master()
    farm.clock.advance(0)
    master.stopService()
    farm.master()
    farm.pass_time(LONGEST + 1)
    assert [row[2:4] for row in farm.status.rows(RECORDED)] == [(0, 0)]


def test_names_are_in_the_status_database_once(farm: Farm) -> None:
    farm.master(slaves=1, shortest=1, longest=2)
    for i in range(3):
        submit(farm.db, LINUX, revision=f"{i:040x}")
    farm.pass_time(12)
    assert farm.status.one("SELECT COUNT(*) FROM builds") >= 3
    for table in ("masters", "builders", "slaves"):
        assert farm.status.one(f"SELECT COUNT(*) FROM {table}") == 1
    names = dict(farm.status.rows("SELECT name, COUNT(*) FROM properties GROUP BY name"))
    assert {names[name] for name in SHARED_PROPERTIES} == {1}


def test_a_finished_build_is_recorded_with_the_properties_that_readers_look_for(
    farm: Farm,
) -> None:
    """Record what real builds have: revision, slave, requests, product, platform, log."""
    farm.master(slaves=1, shortest=1, longest=2)
    submitted = {"buildid": ("20200101000000", "Scheduler"), "answer": (42, "self-serve")}
    [request] = submit(farm.db, LINUX, revision="ab" * 20, submitted_at=5, properties=submitted)
    farm.pass_time(6)
    rows = farm.status.rows(
        "SELECT p.name, p.value FROM properties p JOIN build_properties b ON b.property_id = p.id"
    )
    found = {name: json.loads(value) for name, value in rows}
    assert found["request_ids"] == [request]
    assert found["request_times"] == {str(request): 5}
    assert found["revision"] == found["got_revision"] == "ab" * 20
    assert (found["buildername"], found["buildnumber"]) == (LINUX, 0)
    assert (found["buildid"], found["answer"]) == ("20200101000000", 42)
    assert (found["product"], found["platform"]) == ("firefox", "linux64")
    assert found["slavename"] == farm.status.one("SELECT name FROM slaves")
    assert "20200101000000" in found["log_url"]


def pushing(farm: Farm, seconds: float) -> PushGenerator:
    pushes = PushGenerator(
        farm.clock, farm.db, ["try"], seed=1, seconds=seconds, now=farm.clock.seconds
    )
    pushes.startService()
    farm.started.append(pushes)
    return pushes


def test_pushes_come_in_about_the_pace_asked_for_the_first_one_earlier(farm: Farm) -> None:
    times = "SELECT COUNT(DISTINCT when_timestamp) FROM changes"
    pushing(farm, 75)
    farm.pass_time(5)
    assert farm.db.one(times) == 0
    farm.pass_time(4.5)
    assert farm.db.one(times) == 1
    farm.pass_time(50)
    assert farm.db.one(times) == 1
    farm.pass_time(750)
    assert 9 <= farm.db.one(times) <= 13


def test_a_push_asks_for_builds_and_tests_of_its_tip(farm: Farm) -> None:
    pushing(farm, 75)
    farm.pass_time(9.5)
    requests = farm.db.rows(
        """SELECT DISTINCT s.revision, s.branch, c.revision FROM buildrequests r
        JOIN buildsets b ON b.id = r.buildsetid JOIN sourcestamps s ON s.id = b.sourcestampid
        JOIN sourcestamp_changes sc ON sc.sourcestampid = s.id
        JOIN changes c ON c.changeid = sc.changeid WHERE c.revision = s.revision"""
    )
    assert {revision for revision, _, _ in requests} == {requests[0][0]}
    assert "try" in {branch for _, branch, _ in requests}
    assert any(branch.startswith("try-") for _, branch, _ in requests)
    assert farm.db.one("SELECT COUNT(*) FROM buildrequests") == 24
    names = {row[0] for row in farm.db.rows("SELECT buildername FROM buildrequests")}
    assert names <= {b.name for b in builders(["try"])}


def test_pushes_go_on_after_the_database_was_down(farm: Farm) -> None:
    pushing(farm, 10)
    farm.db.down = True
    farm.pass_time(13)
    farm.db.down = False
    farm.pass_time(13)
    assert farm.db.one("SELECT COUNT(*) FROM changes") > 0


def test_a_push_under_way_is_waited_for(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    writing: defer.Deferred[list[int]] = defer.Deferred()
    monkeypatch.setattr(DirectDatabase, "transact", lambda *_: writing)
    pushes = pushing(farm, 10)
    farm.pass_time(13)
    stopping = pushes.stopService()
    assert stopping is not None
    assert not stopping.called
    writing.callback([])
    assert stopping.called
