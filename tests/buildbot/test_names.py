"""Names are compared to the letter, and any text may be asked for, whatever the database holds."""

from __future__ import annotations

from typing import Any

import pytest

from buildapi.buildbot.v08.build_reads import SQLBuilds
from buildapi.buildbot.v08.farm_reads import SQLFarmReads
from buildapi.buildbot.v08.lowered_plan import Written, lowered
from buildapi.buildbot.v08.scheduler_reports import SQLSchedulerReports
from buildapi.db.sql import any_of
from buildapi.jobs.decide import decide
from buildapi.model.actions import RebuildRequest
from buildapi.model.branches import Branches
from buildapi.model.farm_rows import BranchFilter, Portion
from buildapi.model.records import UserBuilds
from buildapi.model.report_rows import ChangeFilter, RowFilter, Span
from buildapi.model.revisions import RevisionMatch
from tests.buildbot.acting import make_farm
from tests.buildbot.conftest import OpenScheduler, Scheduler, create
from tests.buildbot.seed import T0
from tests.model.defaults import rules
from tests.model.values import job
from tests.reactor import twisted_test

REVISION = "abcdef012345"
BRANCHES = Branches.from_definitions({"Try": {}, "try": {}, "Try-Linux": {}})
ALL, DAY = Portion(), Span(T0 - 86400, T0 + 86400)
NAMES = {"Try": {"Try", "Try-linux"}, "try": {"try", "try-Linux"}, "Try-Linux": {"Try-Linux"}}
STORED = sorted(name for names in NAMES.values() for name in names)
FOREIGN = ("\u0141", "\u6f22\u5b57", "\u2075", "\U0001f680")


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("latin1", marks=pytest.mark.mariadb),
        pytest.param("utf8mb3", marks=pytest.mark.mariadb),
    ]
)
def farm(request: pytest.FixtureRequest, open_scheduler: OpenScheduler) -> Scheduler:
    """Return a database whose columns hold more or less of Unicode."""
    if request.param == "sqlite":
        return open_scheduler(request.getfixturevalue("sqlite_url"))
    url = request.getfixturevalue("mariadb").database("names", request.param)
    create(url, "mysql", request.param)
    return open_scheduler(url)


@pytest.fixture
def sqlite_url(tmp_path: Any) -> str:
    url = f"sqlite:///{tmp_path}/names.sqlite"
    create(url, "sqlite")
    return url


async def gathered(portions: Any) -> list[Any]:
    return [row async for portion in portions for row in portion]


@pytest.mark.parametrize("name", NAMES)
@twisted_test(20)
async def test_branches_that_differ_in_case_stay_apart(farm: Scheduler, name: str) -> None:
    """In lists, lists of the whole farm, and reports, also where rows are counted or cut in SQL."""
    seed, branch = farm.seed, BRANCHES.by_name[name]
    stamps = {stored: seed.stamp(stored, REVISION) for stored in STORED}
    for stored, stamp in stamps.items():
        change = seed.change("Ann", [stamp])
        seed.execute("UPDATE changes SET branch = %s WHERE changeid = %s", stored, change)
        for _ in range(2):
            seed.request(buildset=seed.buildset(stamp))
        seed.run(seed.request(buildset=seed.buildset(stamp)))
    wanted, chosen = NAMES[name], BranchFilter((branch,))
    builds, wide = SQLBuilds(farm.db), SQLFarmReads(farm.db)
    day = await builds.day(branch, T0 - 9, T0 + 99)
    assert {r.branch for r in day.pending} == wanted
    assert {b.requests[0].branch for b in day.builds} == wanted
    assert {r.branch for r in (await builds.user(branch, "Ann")).pending} == wanted
    assert {e.branch for e in await wide.pending(chosen, ALL)} == wanted
    assert {e.branch for e in await wide.pending(chosen, Portion(2 * len(wanted)))} == wanted
    assert {b.branch for b in await wide.running(chosen, ALL)} == wanted
    found = await wide.revision(chosen, RevisionMatch(REVISION))
    assert {e.branch for e in found} == wanted
    assert (await wide.pushes(chosen, 0, None)).by_author == {"Ann": len(wanted)}
    reports = SQLSchedulerReports(farm.db, 1000, 1000)
    rows = await gathered(reports.rows(RowFilter(DAY, chosen)))
    assert {row.branch for row in rows} == wanted


@twisted_test(20)
async def test_names_that_differ_in_case_are_counted_apart(farm: Scheduler) -> None:
    """Authors of pushes, pushes of branches, builders."""
    seed = farm.seed
    for branch, author, builder in (("Try", "Ann", "Linux"), ("try", "ann", "linux")):
        stamp = seed.stamp(branch, REVISION)
        seed.change(author, [stamp])
        seed.run(seed.request(buildset=seed.buildset(stamp), builder=builder))
    builds, wide = SQLBuilds(farm.db), SQLFarmReads(farm.db)
    assert (await wide.pushes(BranchFilter(), 0, None)).by_author == {"Ann": 1, "ann": 1}
    reports = SQLSchedulerReports(farm.db, 1000, 1000)
    assert sorted(await reports.builders(DAY)) == ["Linux", "linux"]
    assert sorted(b for b, _, _ in await reports.claims(DAY)) == ["Linux", "linux"]
    pushed = await gathered(reports.pushes(ChangeFilter(DAY)))
    assert sorted(push.branch for push in pushed) == ["Try", "try"]
    assert await builds.has_builder("Linux", 0)
    assert not await builds.has_builder("LINUX", 0)
    assert await builds.user(BRANCHES.by_name["try"], "ANN") == UserBuilds([], [], [])


@pytest.mark.parametrize("text", FOREIGN)
@twisted_test(20)
async def test_a_text_that_the_database_cannot_hold_finds_nothing(
    farm: Scheduler, text: str
) -> None:
    """A read of such a branch, revision, author or builder is empty, and no failure."""
    farm.seed.run(farm.seed.request())
    branch = Branches.from_definitions({text: {}, f"{text}-x": {}}).by_name[text]
    chosen = BranchFilter((branch,), (text,))
    builds, wide = SQLBuilds(farm.db), SQLFarmReads(farm.db)
    reports = SQLSchedulerReports(farm.db, 1000, 1000)
    day = await builds.day(branch, T0 - 9, T0 + 99)
    assert (day.builds, day.pending) == ([], [])
    of_revision = await builds.revision(branch, RevisionMatch(text))
    assert not of_revision.builds
    assert await builds.revisions(branch, RevisionMatch(text)) == []
    assert await builds.builders(branch, 0) == []
    assert not await builds.has_builder(text, 0)
    assert await builds.user(branch, text) == UserBuilds([], [], [])
    assert await wide.pending(chosen, ALL) == await wide.running(chosen, ALL) == []
    assert await wide.revision(chosen, RevisionMatch(text)) == []
    assert (await wide.pushes(chosen, 0, None)).by_author == {}
    wanted = RowFilter(DAY, chosen, RevisionMatch(text), text)
    assert await gathered(reports.rows(wanted)) == await gathered(reports.attempts(wanted)) == []
    assert await reports.pending_changes(wanted) == []


@pytest.mark.parametrize("text", FOREIGN)
@twisted_test(20)
async def test_what_is_there_is_found_beside_a_text_that_the_database_cannot_hold(
    farm: Scheduler, text: str
) -> None:
    request = farm.seed.request()
    marks, params = any_of("name", [text, "linux", text + "x"])
    select = "SELECT id FROM buildrequests WHERE buildername"
    assert await farm.db.fetch(f"{select} IN ({marks})", params) == [(request,)]
    assert await farm.db.fetch(f"{select} NOT LIKE :text", {"text": f"%{text}%"}) == [(request,)]


@pytest.mark.parametrize(
    ("who", "stored"), [("\u0141uk\u00e1\u0161", "?ukas"), ("zo\u00eb", "zoe")]
)
@twisted_test(20)
async def test_a_reason_is_written_without_what_the_database_cannot_hold(
    farm: Scheduler, who: str, stored: str
) -> None:
    """A rebuild asked for by somebody whose name it cannot hold is done all the same."""
    whole = make_farm(farm)
    request = farm.seed.request()
    action = RebuildRequest(request)
    facts = await whole.read(action)
    plan = lowered(decide(action, facts, who, rules()), facts)
    assert (await whole.write(job(1), plan))[0] is Written.APPLIED
    (newest,) = farm.seed.rows("SELECT reason FROM buildsets ORDER BY id DESC LIMIT 1")
    assert newest["reason"] in (f"Self-serve: Rebuilt by {who}", f"Self-serve: Rebuilt by {stored}")
