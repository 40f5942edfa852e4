"""One build or request, and those of an author: few statements, and what they read whole."""

from __future__ import annotations

import pytest

from buildapi.buildbot.v08 import queries
from buildapi.buildbot.v08.build_reads import SQLBuilds
from tests.buildbot.conftest import Scheduler
from tests.buildbot.recorded_selects import RecordedSelects
from tests.contracts.reads import TRY
from tests.reactor import twisted_test


@pytest.mark.parametrize("ended", [True, False])
@twisted_test(10)
async def test_a_build_is_read_with_two_statements(scheduler: Scheduler, *, ended: bool) -> None:
    seed, counted = scheduler.seed, RecordedSelects(scheduler.db)
    requests = [seed.request(builder="linux") for _ in range(3)]
    build = seed.run(*requests)
    other = seed.run(seed.request(builder="Linux"))
    seed.execute("UPDATE builds SET number = 7 WHERE id IN (%s, %s)", build, other)
    seed.execute("UPDATE builds SET number = 7 WHERE brid IN (%s, %s)", *requests[1:])
    if ended:
        seed.end(build)
    builds = SQLBuilds(counted)  # type: ignore[arg-type]  # only what is read
    found = await builds.build(TRY, build)
    assert found is not None
    assert sorted(r.id for r in found.build.requests) == requests
    assert found.build.requests[0].id == next(
        row["brid"] for row in seed.rows("SELECT brid FROM builds WHERE id = %s", build)
    )
    assert len(found.properties) == 3
    assert not found.build.left_over
    assert len(counted.texts) == 2


@twisted_test(10)
async def test_a_request_is_read_with_two_statements(scheduler: Scheduler) -> None:
    seed, counted = scheduler.seed, RecordedSelects(scheduler.db)
    request = seed.request()
    tries = [seed.run(request) for _ in range(3)]
    builds = SQLBuilds(counted)  # type: ignore[arg-type]  # only what is read
    found = await builds.request(TRY, request)
    assert found is not None
    assert list(found.build_ids) == tries
    assert len(counted.texts) == 2


@twisted_test(10)
async def test_neither_reads_a_whole_table(scheduler: Scheduler, engine: str) -> None:
    for number in range(300):
        build = scheduler.seed.run(scheduler.seed.request())
        scheduler.seed.execute("UPDATE builds SET number = %s WHERE id = %s", number, build)
    explain = "EXPLAIN QUERY PLAN" if engine == "sqlite" else "EXPLAIN"
    for text in (queries.BUILD_WITH_RELATED.text, queries.REQUEST_WITH_BUILDS.text):
        plan = await scheduler.db.fetch(f"{explain} {text}", {"bid": build, "brid": 1})
        if engine == "sqlite":
            assert "SCAN" not in str([tuple(row) for row in plan])
        else:
            assert "ALL" not in [tuple(row)[3] for row in plan]


@pytest.mark.parametrize("complete", [True, False])
@twisted_test(10)
async def test_of_the_builds_of_an_author_the_newest_alone_are_read_whole(
    scheduler: Scheduler, engine: str, *, complete: bool
) -> None:
    where, params = queries.of_branch(TRY)
    query = queries.builds_of_author(where, complete=complete)
    stamps = [scheduler.seed.stamp() for _ in range(300)]
    scheduler.seed.change("ann", stamps)
    brids = [scheduler.seed.request(buildset=scheduler.seed.buildset(s)) for s in stamps]
    found = [scheduler.seed.run(brid) for brid in brids]
    if complete:
        scheduler.seed.complete(*brids)
    rows = await query.many(scheduler.db, **params, author="ann")
    assert [row.build.id for row in rows] == found[:-201:-1]
    if engine == "sqlite":
        plan = await scheduler.db.fetch(
            f"EXPLAIN QUERY PLAN {query.text}", {**params, "author": "ann"}
        )
        assert "SEARCH b USING COVERING INDEX builds_brid" in str([tuple(row) for row in plan])
