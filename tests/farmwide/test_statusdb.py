"""What is read of recent builds from a status database, on each engine."""

from __future__ import annotations

import pytest

from buildapi.buildbot.v08.recent_builds import SLAVES_MAX, UNENDED, SQLRecentBuilds, utc_seconds
from buildapi.db.sql import Row
from buildapi.model.farm_rows import RecentBuild
from tests.buildbot.seed import T0
from tests.farmwide.conftest import Status
from tests.reactor import twisted_test


@twisted_test()
async def test_a_build_with_all_that_is_known_of_it(status: Status) -> None:
    build = status.build(result=2)
    status.property(build, "branch", '"try"')
    status.property(build, "buildername", '"Linux "x" build"')
    status.property(build, "buildername", '"another"')
    expected = RecentBuild(
        id=build,
        buildname="linux-build",
        buildername='Linux "x" build',
        buildnumber=7,
        starttime=T0,
        endtime=T0 + 60,
        result=2,
        slavename="slave1",
        master="bm1",
    )
    found = await SQLRecentBuilds(status.db).recent((), greedy=True, limit=25)
    assert found == [expected]


@pytest.mark.parametrize(
    ("stored", "ids"),
    [
        ("[2896]", (2896,)),
        ("[1, 2]", (1, 2)),
        (None, ()),
        ("", ()),
        ("7", ()),
        ('["7", null, true, -1, 1.5, 9223372036854775808, 8]', (8,)),
        ("[" * 100_000, ()),
    ],
)
@twisted_test()
async def test_the_requests_of_a_build_are_those_that_its_property_has(
    status: Status, stored: str | None, ids: tuple[int, ...]
) -> None:
    build = status.build()
    if stored is not None:
        status.property(build, "request_ids", stored[:60_000])
    (found,) = await SQLRecentBuilds(status.db).recent((), greedy=True, limit=25)
    assert found.request_ids == ids


@twisted_test()
async def test_running_builds_are_listed_unless_a_slave_is_asked_for(status: Status) -> None:
    ended, running = status.build(), status.build(endtime=None, result=None)
    recent = SQLRecentBuilds(status.db)
    found = await recent.recent((), greedy=True, limit=25)
    assert [(b.id, b.endtime, b.result, b.buildername) for b in found] == [
        (running, None, None, ""),
        (ended, T0 + 60, 0, ""),
    ]
    assert [b.id for b in await recent.recent(("slave1",), greedy=True, limit=25)] == [ended]


@twisted_test()
async def test_a_result_of_minus_one_is_none_and_its_build_has_not_ended(status: Status) -> None:
    """Buildbot 0.8.4 stores -1 for a build that runs."""
    running = status.build(endtime=None, result=-1)
    recent = SQLRecentBuilds(status.db)
    found = await recent.recent((), greedy=True, limit=25)
    assert [(b.id, b.result) for b in found] == [(running, None)]
    assert await recent.recent(("slave1",), greedy=True, limit=25) == []


SLAVES = ["bld-1", "bld-10", "BLD-2", "tst_1", "tst-1", "xbld-1"]


@pytest.mark.parametrize(
    ("asked", "greedy", "names"),
    [
        (["bld-1"], True, ["bld-1", "bld-10"]),
        (["bld-1"], False, ["bld-1"]),
        (["bld"], False, []),
        (["bld-10", "tst"], True, ["bld-10", "tst_1", "tst-1"]),
        (["bld-10", "tst-1"], False, ["bld-10", "tst-1"]),
        (["tst_"], True, ["tst_1"]),
        (["%", "|", "'", "山\U0001f600"], True, []),
        (["%", "|", "'", "山\U0001f600"], False, []),
    ],
)
@twisted_test()
async def test_builds_of_slaves(
    status: Status, asked: list[str], *, greedy: bool, names: list[str]
) -> None:
    for name in SLAVES:
        status.build(name)
    found = await SQLRecentBuilds(status.db).recent(asked, greedy=greedy, limit=25)
    assert [b.slavename for b in found] == names[::-1]


@pytest.mark.parametrize("slaves", [(), ("slave",)], ids=["all", "slave"])
@pytest.mark.parametrize("limit", [0, 2, 9])
@twisted_test()
async def test_the_newest_are_listed_newest_first(
    status: Status, slaves: tuple[str, ...], limit: int
) -> None:
    ids = [status.build() for _ in range(4)]
    found = await SQLRecentBuilds(status.db).recent(slaves, greedy=True, limit=limit)
    assert [b.id for b in found] == ids[::-1][:limit]


@twisted_test()
async def test_a_list_takes_three_queries_at_most(status: Status) -> None:
    for _ in range(3):
        status.property(status.build(), "buildername", '"linux"')
    counting = Counting(status)
    found = await SQLRecentBuilds(counting).recent(("slave1",), greedy=False, limit=25)  # type: ignore[arg-type]  # no more is needed
    # One for the slaves, one for the builds of all of them, and one for the properties of these.
    assert ([b.buildername for b in found], counting.count) == (["linux"] * 3, 3)
    await SQLRecentBuilds(counting).recent((), greedy=False, limit=25)  # type: ignore[arg-type]  # no more is needed
    assert counting.count == 5


@twisted_test()
async def test_of_several_values_of_a_property_the_first_counts(status: Status) -> None:
    build = status.build()
    for value in ('"linux"', '"mac"'):
        status.property(build, "buildername", value)
    status.property(build, "request_ids", "[7, 8]")
    (found,) = await SQLRecentBuilds(status.db).recent((), greedy=True, limit=25)
    assert (found.buildername, found.request_ids) == ("linux", (7, 8))


@twisted_test(20)
async def test_builds_that_killed_masters_left_are_not_read(status: Status, engine: str) -> None:
    for _ in range(200):
        status.build(result=None)
    params = {"first": 199, "since": "2000-01-01 00:00:00", "limit": 9}
    if engine == "sqlite":
        plan = str(list(await status.db.fetch(f"EXPLAIN QUERY PLAN {UNENDED}", params)))
        assert "SCAN" not in plan
        assert "rowid>" in plan
        return
    ((_, _, table, kind, *_, rows, _),) = await status.db.fetch(f"EXPLAIN {UNENDED}", params)
    assert (table, kind, int(rows) < 10) == ("b", "range", True)


@twisted_test(20)
async def test_the_newest_of_many_slaves_are_listed_in_order(status: Status) -> None:
    slaves = [f"slave{n % (SLAVES_MAX + 20)}" for n in range(SLAVES_MAX + 40)]
    ended = [status.build(slave, result=0) for slave in slaves]
    status.build("slave3", result=None)
    status.build("other", result=0)
    counting = Counting(status)
    reads = SQLRecentBuilds(counting)  # type: ignore[arg-type]  # no more is needed
    found = await reads.recent(("slave",), greedy=True, limit=25)
    assert ([b.id for b in found], counting.count) == (ended[:-26:-1], 4)


class Counting:
    """A database that counts what it is asked."""

    def __init__(self, status: Status) -> None:
        self.status, self.count = status, 0

    async def fetch(self, text: str, params: dict[str, object]) -> list[Row]:
        self.count += 1
        return list(await self.status.db.fetch(text, params))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2023-11-14 22:13:20", T0),
        ("2023-11-14 22:13:20.999999", T0),
        ("0000-00-00 00:00:00", None),
        ("", None),
        (None, None),
    ],
)
def test_stored_times_are_utc(text: str | None, seconds: int | None) -> None:
    assert utc_seconds(text) == seconds
