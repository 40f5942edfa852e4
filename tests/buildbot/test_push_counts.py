"""Pushes by author since a time: counted once, then what is new, and never another answer."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from twisted.internet.task import Clock

from buildapi.buildbot.v08 import push_counts
from buildapi.buildbot.v08.push_counts import (
    FOLLOWING,
    FOREVER,
    RENEWED,
    PushCounter,
    counts,
    pushes,
)
from tests.buildbot.conftest import OpenScheduler, Scheduler
from tests.buildbot.recorded_selects import RecordedSelects
from tests.reactor import twisted_test

T0 = 1_700_000_000
ALL = "1 = 1"


def whole(counted: RecordedSelects) -> int:
    """Return how often all pushes were counted."""
    return sum("COUNT(*)" in text for text in counted.texts)


@pytest.fixture
def counted(scheduler: Scheduler) -> RecordedSelects:
    return RecordedSelects(scheduler.db)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counter(counted: RecordedSelects, clock: Clock) -> PushCounter:
    return PushCounter(counted, clock.seconds)  # type: ignore[arg-type]  # only what is read


async def at_once(scheduler: Scheduler, where: str, params: Mapping[str, object]) -> dict[str, int]:
    """Count in one statement, without what was kept."""
    wanted = {**FOLLOWING, "start": T0, "end": FOREVER, **params}
    return dict(await counts(where).many(scheduler.db, **wanted))


@twisted_test(60)
async def test_what_is_kept_and_what_is_new_are_all(
    scheduler: Scheduler,
    counted: RecordedSelects,
    counter: PushCounter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push_counts, "OPEN_STAMPS", 3)
    monkeypatch.setattr(push_counts, "STAMPS_MAX", 6)
    asked = [(ALL, {}), ("c.branch = :branch", {"branch": "try"})]
    chance = random.Random(7)
    for step in range(60):
        revision = chance.choice(["a", "b", "A", f"r{step}", None])
        stamp = scheduler.seed.stamp(chance.choice(["try", "cedar", None]), revision)
        for _ in range(chance.randrange(3)):
            author = chance.choice(["ann", "Ann", "bea", f"author{step}"])
            scheduler.seed.change(author, [stamp], at=T0 + chance.randrange(-1, 9))
        if step % 2 == 0:
            for where, params in asked:
                assert await counter.since(where, params, T0) == await at_once(
                    scheduler, where, params
                )
    assert whole(counted) == len(asked)


@twisted_test(10)
async def test_all_is_counted_again_after_an_hour_and_of_another_database(
    scheduler: Scheduler, counted: RecordedSelects, counter: PushCounter, clock: Clock
) -> None:
    for revision in ("a", "b"):
        scheduler.seed.change("ann", [scheduler.seed.stamp("try", revision)])
    for _ in range(3):
        assert await counter.since(ALL, {}, T0) == {"ann": 2}
    assert whole(counted) == 1
    clock.advance(RENEWED + 1)
    assert await counter.since(ALL, {}, T0) == {"ann": 2}
    assert whole(counted) == 2


@twisted_test(30)
async def test_what_was_deleted_is_not_counted_once_there_are_fewer(
    scheduler: Scheduler,
    counted: RecordedSelects,
    counter: PushCounter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push_counts, "OPEN_STAMPS", 1)
    stamps = [scheduler.seed.stamp("try", f"r{n}") for n in range(4)]
    for stamp in stamps:
        scheduler.seed.change("ann", [stamp])
    assert await counter.since(ALL, {}, T0) == {"ann": 4}
    for table, column in (("sourcestamp_changes", "sourcestampid"), ("sourcestamps", "id")):
        scheduler.seed.execute(f"DELETE FROM {table} WHERE {column} > %s", stamps[0])
    assert await counter.since(ALL, {}, T0) == {"ann": 1}
    assert whole(counted) == 2


@twisted_test(30)
async def test_more_new_rows_than_one_read_may_return_are_counted_again(
    scheduler: Scheduler, open_scheduler: OpenScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = open_scheduler(scheduler.url, max_rows=10)
    counted = RecordedSelects(small.db)
    counter = PushCounter(counted)  # type: ignore[arg-type]  # only what is read
    monkeypatch.setattr(push_counts, "OPEN_STAMPS", 0)
    assert await counter.since(ALL, {}, T0) == {}
    for n in range(11):
        small.seed.change("ann", [small.seed.stamp("try", f"r{n}")])
    assert await counter.since(ALL, {}, T0) == {"ann": 11}
    assert whole(counted) == 2


@twisted_test(10)
async def test_new_stamps_are_read_by_their_ids(scheduler: Scheduler, engine: str) -> None:
    for n in range(300):
        scheduler.seed.change("ann", [scheduler.seed.stamp("try", f"r{n}")])
    text = pushes(f"ss.id > :after AND ss.id <= :until AND {ALL}").text
    params = {**FOLLOWING, "start": 0, "end": FOREVER, "after": 298, "until": 300}
    if engine == "sqlite":
        plan = await scheduler.db.fetch(f"EXPLAIN QUERY PLAN {text}", params)
        assert "SEARCH ss USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in str(list(plan))
        assert "SCAN" not in str(list(plan))
        return
    plan = await scheduler.db.fetch(f"EXPLAIN {text}", params)
    table, kind = next(tuple(row)[2:4] for row in plan)
    assert (table in ("ss", "sc"), kind) == (True, "range")
