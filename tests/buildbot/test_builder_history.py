"""The results of a builder are found near a build, however long a farm has existed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from buildapi.buildbot.v08.builder_history import HistoryBounds, requests_within, results
from buildapi.db.sql import Read
from buildapi.model.records import Build
from tests.buildbot.conftest import Scheduler
from tests.contracts.reads import TRY
from tests.reactor import twisted_test

BUSY = HistoryBounds(requests=3, busy=4, span=10)
RARE = HistoryBounds(requests=3, busy=99, span=10)


def built(scheduler: Scheduler, builder: str, count: int) -> list[int]:
    """Add ended builds of a builder; return their ids, which are those of their requests."""
    seed, builds = scheduler.seed, []
    buildset = seed.buildset(seed.stamp("try"))
    for _ in range(count):
        builds.append(seed.run(seed.request(builder=builder, buildset=buildset)))
        seed.end(builds[-1])
    return builds


async def found(
    scheduler: Scheduler, bounds: HistoryBounds, around: int | None, builder: str = "linux"
) -> list[int]:
    def reading(read: Read) -> Sequence[Build]:
        return results(read, TRY, builder, 5, around, bounds)

    return [build.id for build in await scheduler.db.snapshot(reading)]


@pytest.mark.parametrize("bounds", [BUSY, RARE], ids=["busy", "rare"])
@twisted_test(20)
async def test_results_of_busy_and_rare_builders_are_those_next_to_a_build(
    scheduler: Scheduler, bounds: HistoryBounds
) -> None:
    builds = built(scheduler, "linux", 9)
    built(scheduler, "Linux", 2)
    assert await found(scheduler, bounds, builds[4]) == builds[6:1:-1]
    assert await found(scheduler, bounds, builds[0]) == builds[2::-1]
    assert await found(scheduler, bounds, builds[8]) == builds[8:5:-1]
    assert await found(scheduler, bounds, None) == builds[8:5:-1]
    assert await found(scheduler, bounds, 99) == []


@twisted_test(20)
async def test_a_busy_builder_without_recent_requests_is_not_looked_for_in_all_of_the_farm(
    scheduler: Scheduler,
) -> None:
    builds = built(scheduler, "linux", 5)
    built(scheduler, "mac", 20)
    builds += built(scheduler, "linux", 1)
    assert await found(scheduler, BUSY, builds[4]) == builds[4:1:-1]
    assert await found(scheduler, RARE, builds[4]) == builds[5:1:-1]
    built(scheduler, "mac", 20)
    assert await found(scheduler, BUSY, None) == []
    assert await found(scheduler, RARE, None) == builds[:2:-1]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
@twisted_test(20)
async def test_requests_of_a_busy_builder_are_read_by_their_ids(
    scheduler: Scheduler, engine: str, order: str
) -> None:
    built(scheduler, "linux", 100)
    built(scheduler, "mac", 100)
    text = requests_within(order).text
    params = {"builder": "linux", "start": 10, "end": 20, "rows": 5}
    if engine == "sqlite":
        plan = await scheduler.db.fetch(f"EXPLAIN QUERY PLAN {text}", params)
        assert "SEARCH br USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in str(list(plan))
        return
    ((_, _, table, kind, _, key, *_),) = await scheduler.db.fetch(f"EXPLAIN {text}", params)
    assert (table, kind, key) == ("br", "range", "PRIMARY")
