"""Writes to a 0.8 scheduler database, the same on SQLite and MariaDB."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from twisted.internet import defer
from twisted.logger import LogLevel, globalLogPublisher

from buildapi.buildbot.v08 import lowering
from buildapi.buildbot.v08.job_executor import JobExecutor
from buildapi.buildbot.v08.lowered_plan import (
    CopyBuildset,
    LoweredPlan,
    Performed,
    Recorded,
    Written,
    lowered,
)
from buildapi.buildbot.v08.marked_farm import REBUILDS_MOST, TABLES, V08Farm
from buildapi.errors import BadRequest, DatabaseUnavailable
from buildapi.jobs.decide import decide
from buildapi.model.actions import Action, CancelRequest, RebuildRequest, Reprioritize
from buildapi.model.facts import BranchFacts, Facts
from buildapi.model.job_identity import JobIdentity
from buildapi.model.ops import CLOCKS_APART
from buildapi.model.outcome import Outcome
from buildapi.model.steps import NewChange
from buildapi.model.wire import decode_request
from tests.buildbot.acting import NOW, make_farm
from tests.buildbot.conftest import MARKERS, OpenScheduler, Scheduler, create, empty
from tests.buildbot.farm_contract import (
    ASKED,
    CHANGE,
    Copy,
    FarmActionsContract,
    MarkedFarmContract,
    facts_for,
    plan_for,
    same,
    writing,
    written,
)
from tests.buildbot.seed import T0, Seed, connect
from tests.contracts.facts import BRANCH, REVISION
from tests.db.scripted import ScriptedDatabase
from tests.model.defaults import rules
from tests.model.values import job
from tests.reactor import twisted_test, until
from tests.services.mariadb import MariaDB

WRITTEN_TABLES = (*TABLES, MARKERS)
GOLDEN = Path(__file__).parent.parent / "golden" / "data" / "jobs.json.gz"


@attrs.define
class Made:
    """A 0.8 farm and its rows."""

    scheduler: Scheduler
    farm: V08Farm

    @property
    def seed(self) -> Seed:
        return self.scheduler.seed

    @property
    def reader(self) -> V08Farm:
        return self.farm

    def pending(
        self,
        properties: Mapping[str, str] | None = None,
        *,
        branch: str = BRANCH,
        revision: str = REVISION,
        priority: int = 3,
    ) -> int:
        return self.seed.request(branch, revision, priority=priority, stored=properties or {})

    def complete(self, request: int) -> None:
        self.seed.complete(request)

    def together(self, count: int) -> list[int]:
        set_ = self.seed.buildset(self.seed.stamp())
        return [self.seed.request(buildset=set_, priority=3) for _ in range(count)]

    def run(self, request: int) -> int:
        return self.seed.run(request)

    def priority(self, request: int) -> int:
        return int(self.seed.row("buildrequests", request)["priority"])

    def is_dropped(self, request: int) -> bool:
        row = self.seed.row("buildrequests", request)
        set_ = self.seed.row("buildsets", row["buildsetid"])
        done = (1, 2, int(NOW))
        return all((r["complete"], r["results"], r["complete_at"]) == done for r in (row, set_))

    def is_complete(self, request: int) -> bool:
        return bool(self.seed.row("buildrequests", request)["complete"])

    def copies(self, request: int) -> list[Copy]:
        rows = self.seed.rows(
            "SELECT br.*, bs.reason, bs.sourcestampid, ss.branch, ss.revision FROM buildrequests br"
            " JOIN buildsets bs ON bs.id = br.buildsetid"
            " JOIN sourcestamps ss ON ss.id = bs.sourcestampid WHERE br.id > %s ORDER BY br.id",
            request,
        )
        return [
            Copy(
                r["buildername"],
                r["branch"],
                r["revision"],
                r["reason"],
                r["priority"],
                self.properties(r["buildsetid"]),
                self.changes(r["sourcestampid"]),
            )
            for r in rows
        ]

    def changes(self, stamp: int) -> list[NewChange]:
        rows = self.seed.rows(
            "SELECT c.* FROM changes c JOIN sourcestamp_changes sc ON sc.changeid = c.changeid"
            " WHERE sc.sourcestampid = %s",
            stamp,
        )
        return [
            NewChange(r["author"], r["branch"], r["revision"], self.files(r["changeid"]))
            for r in rows
        ]

    def files(self, change: int) -> tuple[str, ...]:
        rows = self.seed.rows("SELECT * FROM change_files WHERE changeid = %s", change)
        return tuple(sorted(r["filename"] for r in rows))

    def properties(self, buildset: int) -> dict[str, str]:
        rows = self.seed.rows("SELECT * FROM buildset_properties WHERE buildsetid = %s", buildset)
        return {r["property_name"]: r["property_value"] for r in rows}

    async def interrupt(self, of: JobIdentity, action: Action) -> None:
        await written(self.farm, of, action)

    def writes(self) -> object:
        return [self.seed.rows(f"SELECT * FROM {table}") for table in WRITTEN_TABLES]


@pytest.fixture
def made(scheduler: Scheduler) -> Made:
    return Made(scheduler, make_farm(scheduler))


@pytest.fixture
def actions(made: Made) -> JobExecutor:
    return JobExecutor(made.farm, rules())


class TestV08Farm(MarkedFarmContract):
    """The contract."""


class TestJobExecutor(FarmActionsContract):
    """The contract, on the rows of 0.8."""


def planned(action: Action) -> Callable[[Facts], LoweredPlan]:
    return lambda facts: lowered(decide(action, facts, "zoe", rules()), facts)


# --- rows of 0.8 ----------------------------------------------------------------------------


class TestRows:
    """What the rows of masters look like afterwards."""

    @twisted_test()
    async def test_a_copy_waits_for_a_master_as_one_of_a_scheduler_would(self, made: Made) -> None:
        stamp = made.seed.stamp()
        set_ = made.seed.buildset(stamp, external="ext", properties={"a": 1})
        request = made.seed.request(buildset=set_, builder="win")
        _, (item,) = await made.farm.write(
            job(1), await plan_for(made.farm, RebuildRequest(request, 4))
        )
        row = made.seed.row("buildrequests", item.request_id or 0)
        del row["id"]
        assert row == {
            "buildsetid": item.buildset_id,
            "buildername": "win",
            "priority": 4,
            "claimed_at": 0,
            "claimed_by_name": None,
            "claimed_by_incarnation": None,
            "complete": 0,
            "results": None,
            "submitted_at": int(NOW),
            "complete_at": None,
        }
        row = made.seed.row("buildsets", item.buildset_id or 0)
        del row["id"]
        assert row == {
            "external_idstring": "ext",
            "reason": "Self-serve: Rebuilt by zoe",
            "sourcestampid": stamp,
            "submitted_at": int(NOW),
            "complete": 0,
            "complete_at": None,
            "results": None,
        }

    @twisted_test()
    async def test_each_copy_has_a_buildset_of_its_own(self, made: Made) -> None:
        request = made.pending({"a": '["1", "x"]'})
        sets, properties = (made.seed.total(t) for t in ("buildsets", "buildset_properties"))
        _, items = await made.farm.write(
            job(1), await plan_for(made.farm, RebuildRequest(request, 0, 3))
        )
        assert made.seed.total("buildsets") == sets + 3
        assert made.seed.total("buildset_properties") == properties + 3
        assert len({i.buildset_id for i in items}) == 3

    @pytest.mark.parametrize("claimed_at", [0, None])
    @twisted_test()
    async def test_a_buildset_ends_with_its_last_request(
        self, made: Made, claimed_at: int | None
    ) -> None:
        set_ = made.seed.buildset(made.seed.stamp())
        first, second = (made.seed.request(buildset=set_) for _ in range(2))
        made.seed.execute("UPDATE buildrequests SET claimed_at = %s", claimed_at)
        await made.farm.write(job(1), await plan_for(made.farm, CancelRequest(first)))
        assert made.seed.row("buildrequests", first)["complete"] == 1
        assert made.seed.row("buildsets", set_)["complete"] == 0
        await made.farm.write(job(2), await plan_for(made.farm, CancelRequest(second)))
        assert made.is_dropped(second)

    @twisted_test()
    async def test_a_buildset_with_a_running_request_stays_open(self, made: Made) -> None:
        set_ = made.seed.buildset(made.seed.stamp())
        dropped, running = (made.seed.request(buildset=set_) for _ in range(2))
        made.seed.run(running)
        await made.farm.write(job(1), await plan_for(made.farm, CancelRequest(dropped)))
        row = made.seed.row("buildsets", set_)
        assert (row["complete"], row["results"], row["complete_at"]) == (0, None, None)

    @twisted_test()
    async def test_a_request_completed_meanwhile_is_stale(self, made: Made) -> None:
        request = made.pending()
        plan = await plan_for(made.farm, CancelRequest(request))
        made.seed.complete(request, results=0)
        assert await made.farm.write(job(1), plan) == (Written.STALE, ())
        assert made.seed.row("buildrequests", request)["results"] == 0

    @twisted_test()
    async def test_a_request_with_all_its_tries_is_read(self, made: Made) -> None:
        request = made.pending()
        lost = made.run(request)
        made.seed.end(lost, at=T0 + 40)
        made.seed.give_back(request)
        build = made.seed.run(request, at=T0 + 100)
        facts = await facts_for(made.farm, CancelRequest(request))
        assert [(t.id, t.start_time, t.finish_time) for t in facts.tries] == [
            (lost, T0 + 11, T0 + 40),
            (build, T0 + 100, None),
        ]
        assert facts.request.claimed_at == T0 + 99

    @twisted_test()
    async def test_a_text_that_cannot_be_stored_is_refused_and_nothing_written(
        self, made: Made
    ) -> None:
        plan = await plan_for(made.farm, RebuildRequest(made.pending()))
        (step,) = plan.writes
        assert isinstance(step, CopyBuildset)
        odd = msgspec.structs.replace(step, properties=[("note", "no \ud800 character")])
        plan = msgspec.structs.replace(plan, writes=(odd,))
        before = made.writes()
        with pytest.raises(BadRequest, match="cannot store"):
            await made.farm.write(job(1), plan)
        assert made.writes() == before

    @pytest.mark.parametrize(
        ("written", "is_own"), [(-CLOCKS_APART - 1, False), (-CLOCKS_APART, True), (1, True)]
    )
    @twisted_test()
    async def test_a_marker_that_names_no_job_is_of_one_that_was_accepted_before_it_was_written(
        self, made: Made, written: int, is_own: bool
    ) -> None:
        """Older versions wrote no identity; a job accepted after the marker is another one."""
        plan = await plan_for(made.farm, Reprioritize(made.pending(), 5))
        made.seed.insert(
            MARKERS,
            request_id=1,
            state="written",
            plan=msgspec.json.encode(plan).decode(),
            created_at=job(1).when + written,
        )
        assert (await made.farm.recall(job(1)) is not None) is is_own
        if is_own:
            assert await made.farm.write(job(1), plan) == (Written.BEFORE, ())
            await made.farm.settle(job(1), Outcome(False, "Ok"))
            assert same(await made.farm.recall(job(1)), Recorded(plan, Outcome(False, "Ok")))
        else:
            assert (await made.farm.write(job(1), plan))[0] is Written.APPLIED
            assert made.seed.total(MARKERS) == 2

    @twisted_test()
    async def test_a_marker_that_is_moved_aside_is_warned_about(
        self, made: Made, warnings: list[str]
    ) -> None:
        plan = await plan_for(made.farm, Reprioritize(made.pending(), 5))
        await made.farm.write(job(1), plan)
        await made.farm.write(job(1, life=1), plan)
        assert len([w for w in warnings if "an earlier job had this id" in w]) == 1

    @twisted_test()
    async def test_markers_are_forgotten_when_settled_and_old(self, made: Made) -> None:
        for id_ in (1, 2, 3):
            plan = await plan_for(made.farm, Reprioritize(made.pending(), id_))
            await made.farm.write(job(id_), plan)
        for id_ in (1, 2):
            await made.farm.settle(job(id_), Outcome(False, "Ok"))
        made.seed.execute(
            f"UPDATE {MARKERS} SET created_at = created_at - 86401 WHERE request_id <> 2"
        )
        await made.farm.forget(1)
        left = made.seed.rows(f"SELECT request_id FROM {MARKERS} ORDER BY request_id")
        assert [r["request_id"] for r in left] == [2, 3]


class TestPerform:
    """Recall, facts, decision, writes and marker are one transaction."""

    @twisted_test()
    async def test_what_needs_nobody_else_is_settled_with_its_writes(self, made: Made) -> None:
        request = made.pending({"a": '["1", "x"]'})
        action = RebuildRequest(request, 4, 2)
        done = await made.farm.perform(job(1), action, planned(action))
        assert done is not None
        assert (done.is_new, len(done.made), len(made.copies(request))) == (True, 2, 2)
        outcome = done.recorded.outcome
        assert outcome is not None
        assert list(outcome.items) == list(done.made)
        again = await made.farm.perform(job(1), action, planned(action))
        assert again is not None
        assert not again.is_new
        assert same(again.recorded, done.recorded)
        assert same(await made.farm.recall(job(1)), done.recorded)
        assert len(made.copies(request)) == 2

    @twisted_test()
    async def test_what_masters_are_asked_for_is_not_settled_yet(self, made: Made) -> None:
        request = made.pending()
        made.run(request)
        action = CancelRequest(request)
        done = await made.farm.perform(job(1), action, planned(action))
        assert done is not None
        assert done.recorded.plan.pokes
        assert done.recorded.outcome is None
        assert same(await made.farm.recall(job(1)), Recorded(done.recorded.plan))

    @twisted_test()
    async def test_what_is_refused_leaves_no_marker(self, made: Made) -> None:
        before = made.writes()
        action = RebuildRequest(4711)
        done = await made.farm.perform(job(1), action, planned(action))
        assert done is not None
        assert done.recorded.outcome is not None
        assert done.recorded.outcome.errors
        assert made.writes() == before

    @pytest.mark.parametrize("why", ["stale", "text", "id"])
    @twisted_test()
    async def test_what_is_not_possible_at_once_has_written_nothing(
        self, made: Made, why: str
    ) -> None:
        request = made.pending()
        action: Action = RebuildRequest(request)
        decided = planned(action)
        if why == "stale":
            action = Reprioritize(request, 5)
            plan = await plan_for(made.farm, action)
            made.run(request)
            decided = lambda _: plan  # noqa: E731  # decided on facts that changed
        elif why == "text":
            odd = CopyBuildset("linux", 0, "no \ud800 character", 1, None, ())
            decided = lambda _: LoweredPlan(Outcome(False, "Ok"), (odd,))  # noqa: E731  # as above
        else:
            await made.farm.write(job(1, life=1), await plan_for(made.farm, action))
        before = made.writes()
        assert await made.farm.perform(job(1), action, decided) is None
        assert made.writes() == before

    @twisted_test()
    async def test_a_commit_that_was_not_heard_of_is_found_again(
        self, made: Made, scheduler: Scheduler
    ) -> None:
        request = made.pending()
        forgetful = attrs.evolve(made.farm, db=ScriptedDatabase(scheduler.db, forgets=True))
        action = RebuildRequest(request)
        done = await forgetful.perform(job(1), action, planned(action))
        assert done is not None
        assert (done.is_new, len(made.copies(request))) == (False, 1)
        assert done.recorded.outcome is not None

    async def side_by_side(
        self,
        farm: V08Farm,
        jobs: Sequence[tuple[JobIdentity, RebuildRequest]],
        plans: Mapping[int, LoweredPlan] | None = None,
    ) -> Sequence[Performed | None]:
        """Perform jobs that come at the same time; ``plans`` replace what would be decided."""

        def decided(of: JobIdentity, action: RebuildRequest) -> Callable[[Facts], LoweredPlan]:
            plan = (plans or {}).get(of.id)
            return planned(action) if plan is None else lambda _: plan

        going = [
            defer.ensureDeferred(farm.perform(of, action, decided(of, action)))
            for of, action in jobs
        ]
        return await defer.gatherResults(going)

    @twisted_test()
    async def test_rebuilds_that_come_together_are_written_together_in_their_order(
        self, made: Made, scheduler: Scheduler
    ) -> None:
        one, other = made.pending({"a": '["1", "x"]'}), made.pending({"b": '["2", "x"]'})
        counted = ScriptedDatabase(scheduler.db)
        farm = make_farm(attrs.evolve(scheduler, db=counted))
        jobs = [(job(n), RebuildRequest(one if n % 3 else other, n)) for n in range(1, 12)]
        jobs.append((job(12), RebuildRequest(4711)))
        done = await self.side_by_side(farm, jobs)
        assert [copy.priority for copy in made.copies(other)] == list(range(1, 12))
        assert [copy.properties for copy in made.copies(other)][:3] == [
            *[{"a": '["1", "x"]'}] * 2,
            {"b": '["2", "x"]'},
        ]
        for (of, _), performed in zip(jobs[:-1], done, strict=False):
            assert performed is not None
            assert performed.is_new
            assert len(performed.made) == 1
            assert same(await made.farm.recall(of), performed.recorded)
        assert done[-1] is not None
        assert done[-1].recorded.outcome is not None
        assert done[-1].recorded.outcome.errors
        assert await made.farm.recall(job(12)) is None
        looked = [text for text in counted.texts if "SELECT request_id" in text]
        assert len(looked) == 1, "the first and the last alone, ten together"

    @pytest.mark.parametrize("why", ["again", "id", "text", "unheard"])
    @twisted_test()
    async def test_where_one_of_them_is_not_like_the_others_each_is_done_by_itself(
        self, made: Made, scheduler: Scheduler, why: str
    ) -> None:
        request, odd = made.pending(), made.pending()
        jobs = [(job(n), RebuildRequest(request, n)) for n in (1, 2, 3)]
        jobs.insert(2, (job(4), RebuildRequest(odd, 4)))
        farm, plans = made.farm, dict[int, LoweredPlan]()
        if why == "again":
            await self.side_by_side(farm, jobs[2:3])
        elif why == "id":
            earlier = RebuildRequest(odd, 9)
            await made.farm.write(job(4, life=1), await plan_for(made.farm, earlier))
        elif why == "text":
            step = CopyBuildset("linux", 0, "no \ud800 character", 1, None, ())
            plans[4] = LoweredPlan(Outcome(False, "Ok"), (step,))
        else:
            farm = make_farm(
                attrs.evolve(scheduler, db=ScriptedDatabase(scheduler.db, forgets=True))
            )
        done = await self.side_by_side(farm, jobs, plans)
        assert [copy.priority for copy in made.copies(odd) if copy.priority < 4] == [1, 2, 3]
        alone = why in ("id", "text")
        assert [performed is None for performed in done] == [False, False, alone, False]
        news = [performed.is_new for performed in done if performed is not None]
        assert news == {"again": [True, True, False, True], "unheard": [False] * 4}.get(
            why, [True] * len(news)
        )


# --- rows as they were written before -----------------------------------------------------------


def recorded() -> list[dict[str, Any]]:
    """List recorded jobs that made new builds, and what they wrote."""
    jobs = json.loads(gzip.decompress(GOLDEN.read_bytes()))
    return [
        job
        for job in jobs
        if job["name"].startswith(("new_build_for_builder/", "new_pgobuild", "new_nightly"))
        and "buildrequests" in job.get("scheduler_diff", {})
        and job["name"].rpartition("/")[2] in ("ok", "priority", "props-override", "inbound")
    ]


def counted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Count ids from 0 on and forget which row of a table without ids comes first."""
    ids = {"id", "buildsetid", "sourcestampid", "changeid"}
    least = {key: min(r[key] for r in rows) for key in ids if rows and key in rows[0]}
    as_counted = [{k: v - least.get(k, 0) if k in ids else v for k, v in r.items()} for r in rows]
    return sorted(as_counted, key=lambda row: repr(sorted(row.items())))


@pytest.mark.parametrize("was", recorded(), ids=lambda was: str(was["name"]))
@twisted_test()
async def test_new_builds_are_the_rows_that_they_were_before(
    was: dict[str, Any], scheduler: Scheduler
) -> None:
    wrote = {table: diff["added"] for table, diff in was["scheduler_diff"].items()}
    message = decode_request(was["message"][0]["body_raw"].encode())
    values = {r["property_name"]: r["property_value"] for r in wrote["buildset_properties"]}
    facts = BranchFacts(
        path=wrote["sourcestamps"][0]["branch"],
        repository=None,
        builders=[r["buildername"] for r in wrote["buildrequests"]],
        buildid=json.loads(values["buildid"])[0],
        builduid=json.loads(values["builduid"])[0],
        change_master=None,
    )
    plan = lowered(decide(message.action, facts, message.who, rules()), facts)
    then = float(wrote["buildsets"][0]["submitted_at"])
    await make_farm(scheduler, now=then).write(job(1), plan)
    for table in TABLES:
        rows = scheduler.seed.rows(f"SELECT * FROM {table}")
        assert counted(rows) == counted(wrote.get(table, [])), table


def test_jobs_with_and_without_changes_were_recorded() -> None:
    with_changes = ["changes" in job["scheduler_diff"] for job in recorded()]
    assert {True, False} == set(with_changes)


# --- engines without transactions -----------------------------------------------------------


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    texts: list[str] = []

    def observe(event: Any) -> None:
        if event["log_level"] is LogLevel.warn:
            texts.append(str(event["log_format"]))

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]  # as in conftest
    yield texts
    globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]  # as in conftest


@pytest.fixture(scope="session")
def myisam_url(mariadb: MariaDB) -> str:
    url = mariadb.database("myisam", "utf8")
    create(url, "mysql")
    connection = connect(url)
    cursor = connection.cursor()
    for table in (*WRITTEN_TABLES, "builds"):
        cursor.execute(f"ALTER TABLE {table} ENGINE=MyISAM")
    connection.close()
    return url


@pytest.fixture
def old(myisam_url: str, open_scheduler: OpenScheduler) -> Made:
    scheduler = open_scheduler(myisam_url)
    for table in (*WRITTEN_TABLES, "builds"):
        scheduler.seed.execute(f"DELETE FROM {table}")
    return Made(scheduler, make_farm(scheduler))


@pytest.mark.mariadb
class TestMyISAM:
    """Without transactions a crash may leave half a job: seen, told, never repeated."""

    @twisted_test()
    async def test_a_job_is_written_and_told_about_once(
        self, old: Made, warnings: list[str]
    ) -> None:
        request = old.pending()
        for id_ in (1, 2):
            plan = await plan_for(old.farm, RebuildRequest(request))
            assert (await old.farm.write(job(id_), plan))[0] is Written.APPLIED
        assert same(await old.farm.recall(job(1)), Recorded(plan))
        assert [w for w in warnings if "MyISAM" in w] == [
            "the scheduler database has no transactions (MyISAM): a job whose"
            " agent dies while it writes is not repeated and needs a check by hand"
        ]
        assert (await old.farm.write(job(1), plan))[0] is Written.BEFORE
        assert (await old.farm.write(job(1, life=1), plan))[0] is Written.APPLIED
        assert (await old.farm.write(job(1, life=1), plan))[0] is Written.BEFORE
        assert len(old.copies(request)) == 3

    @twisted_test()
    async def test_a_stale_job_leaves_no_marker(self, old: Made) -> None:
        request = old.pending()
        plan = await plan_for(old.farm, CancelRequest(request))
        old.run(request)
        assert await old.farm.write(job(1), plan) == (Written.STALE, ())
        assert await old.farm.recall(job(1)) is None

    @pytest.mark.parametrize("kind", ["copies", "new"])
    @twisted_test()
    async def test_a_job_cut_short_is_not_whole_and_shows_masters_nothing(
        self, old: Made, kind: str
    ) -> None:
        request = old.pending()
        before = old.seed.total("buildrequests")
        plan = await plan_for(old.farm, RebuildRequest(request, 0, 2))
        if kind == "new":
            plan = writing(msgspec.structs.replace(ASKED, change=CHANGE))
        statements = lowering.lower(plan, job(1), marker=MARKERS, now=int(NOW), transactional=False)
        for upto in range(1, len(statements) - 2):  # the last three: two requests, the marker
            old.seed.execute(f"DELETE FROM {MARKERS}")
            await old.scheduler.db.transact(statements[:upto])
            assert same(await old.farm.recall(job(1)), Recorded(plan, None, whole=False))
            assert old.seed.total("buildrequests") == before
            assert await old.farm.write(job(1), plan) == (Written.BEFORE, ())

    @pytest.mark.parametrize("table", ["buildset_properties", "changes", "change_files"])
    @twisted_test()
    async def test_one_table_without_transactions_is_enough(
        self, table: str, warnings: list[str], url: str, open_scheduler: OpenScheduler
    ) -> None:
        scheduler = open_scheduler(url)
        farm = make_farm(scheduler)
        plan = lowered(decide(CancelRequest(1), None, "zoe", rules()), None)
        try:
            scheduler.seed.execute(f"ALTER TABLE {table} ENGINE=MyISAM")
            await farm.write(job(99), plan)
        finally:
            scheduler.seed.execute(f"ALTER TABLE {table} ENGINE=InnoDB")
        assert any("MyISAM" in w for w in warnings)


# --- locks ----------------------------------------------------------------------------------


@pytest.fixture
def url(mysql_urls: list[str]) -> str:
    empty(mysql_urls[0])
    return mysql_urls[0]


@pytest.mark.mariadb
class TestLocks:
    """Masters stand still while we hold a lock, and we must not stand still with them."""

    @twisted_test(20)
    async def test_a_lock_of_a_master_delays_a_job_no_longer_than_the_statement_limit(
        self, url: str, open_scheduler: OpenScheduler, mariadb: MariaDB
    ) -> None:
        made = Made(s := open_scheduler(url, statement_seconds=2), make_farm(s))
        request = made.pending()
        plan = await plan_for(made.farm, Reprioritize(request, 9))
        made.seed.execute("BEGIN")
        made.seed.execute("SELECT * FROM buildrequests WHERE id = %s FOR UPDATE", request)
        with pytest.raises(DatabaseUnavailable, match="blocked by locks"):
            await made.farm.write(job(1), plan)
        assert await made.farm.recall(job(1)) is None
        patient = make_farm(open_scheduler(url, statement_seconds=12))  # each try waits for 4 s
        writing = defer.ensureDeferred(patient.write(job(1), plan))
        waits: set[int] = set()

        def is_tried_again() -> bool:
            waits.update(mariadb.lock_waits())
            return len(waits) >= 2

        await until(is_tried_again)
        assert not writing.called
        made.seed.execute("COMMIT")
        assert (await writing)[0] is Written.APPLIED
        assert made.priority(request) == 9

    @twisted_test(20)
    async def test_a_lock_does_not_delay_jobs_on_other_requests(
        self, url: str, open_scheduler: OpenScheduler
    ) -> None:
        made = Made(s := open_scheduler(url, statement_seconds=6), make_farm(s))
        held, free = made.pending(), made.pending()
        plans = [
            await plan_for(made.farm, action)
            for action in (CancelRequest(free), RebuildRequest(held, 0, 5))
        ]
        made.seed.execute("BEGIN")
        made.seed.execute("SELECT * FROM buildrequests WHERE id = %s FOR UPDATE", held)
        try:
            for id_, plan in enumerate(plans):
                written, _ = await made.farm.write(job(id_), plan)  # else it is blocked by locks
                assert written is Written.APPLIED
        finally:
            made.seed.execute("COMMIT")

    @twisted_test(20)
    async def test_our_own_locks_last_a_few_statements(
        self, url: str, open_scheduler: OpenScheduler
    ) -> None:
        """Count what a transaction asks of the server, where a millisecond is one statement."""
        made = Made(s := open_scheduler(url), make_farm(s))
        requests = [made.pending({"a": '["1", "x"]'}) for _ in range(2)]

        def asked() -> int:
            return int(made.seed.rows("SHOW GLOBAL STATUS LIKE 'Questions'")[0]["Value"])

        counts: dict[str, int] = {}
        for id_, (name, action) in enumerate(
            (
                ("reprioritize", Reprioritize(requests[0], 5)),
                ("cancel", CancelRequest(requests[0])),
                ("100 copies", RebuildRequest(requests[1], 0, 100)),
            )
        ):
            plan = await plan_for(made.farm, action)
            before = asked()
            await made.farm.write(job(1000 + id_), plan)
            counts[name] = asked() - before
        copying = RebuildRequest(requests[1])
        before = asked()
        going = [
            defer.ensureDeferred(made.farm.perform(job(2000 + n), copying, planned(copying)))
            for n in range(1 + REBUILDS_MOST)
        ]
        await defer.gatherResults(going)
        counts["ten rebuilds"] = asked() - before
        assert counts["ten rebuilds"] <= 4 * REBUILDS_MOST + 25
        assert counts["reprioritize"] <= 10
        assert counts["cancel"] <= 10
        assert counts["100 copies"] <= 4 * 100 + 10
