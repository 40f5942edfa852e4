"""Builders with requests lately: read once, then what is new, and never another answer."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.buildbot.v08.builder_names import DAY, NEWEST, SLICES_MAX, BuilderNames
from buildapi.db.sql import Database, Params, Row
from buildapi.errors import DatabaseUnavailable
from tests.buildbot.conftest import Scheduler
from tests.reactor import twisted_test

T0 = 1_700_000_000


@attrs.define
class Counted:
    """A database that records its reads, of which it may fail the one of this number."""

    db: Database
    reads: list[Params] = attrs.field(factory=list)
    failing: int = -1

    async def fetch(self, text: str, params: Params) -> Sequence[Row]:
        if text == NEWEST.text:
            self.reads.append(params)
            if len(self.reads) == self.failing:
                raise DatabaseUnavailable("away")
        return await self.db.fetch(text, params)


@pytest.fixture
def counted(scheduler: Scheduler) -> Counted:
    return Counted(scheduler.db)


@pytest.fixture
def names(counted: Counted) -> BuilderNames:
    return BuilderNames(counted)  # type: ignore[arg-type]  # only what is read


@twisted_test(10)
async def test_what_is_known_is_not_read_again(
    scheduler: Scheduler, counted: Counted, names: BuilderNames
) -> None:
    for day in range(5):
        scheduler.seed.request("try", builder=f"b{day}", at=T0 + day * DAY)
    assert len(await names.since(T0)) == 5
    assert len(counted.reads) == 5
    scheduler.seed.request("cedar", builder="new", at=T0 + 4 * DAY + 60)
    assert ("new", "cedar") in await names.since(T0 + 1)
    assert len(counted.reads) == 6
    assert counted.reads[-1]["start"] == T0 + 4 * DAY


@twisted_test(10)
async def test_a_long_history_is_read_in_a_bounded_number_of_queries(
    scheduler: Scheduler, counted: Counted, names: BuilderNames
) -> None:
    scheduler.seed.request(builder="first", at=0)
    scheduler.seed.request(builder="last", at=T0)
    assert {name for name, _ in await names.since(0)} == {"first", "last"}
    assert len(counted.reads) <= SLICES_MAX


@twisted_test(10)
async def test_each_answer_is_exact_to_the_second(
    scheduler: Scheduler, names: BuilderNames
) -> None:
    for at in (T0, T0 + 9):
        scheduler.seed.request(builder="linux", at=at)
    scheduler.seed.request(builder="win", at=T0 + 5)
    assert sorted(await names.since(T0 + 5)) == [("linux", "try"), ("win", "try")]
    assert await names.since(T0 + 6) == [("linux", "try")]
    assert await names.since(T0 + 10) == []
    assert len(await names.since(T0)) == 2


@twisted_test(10)
async def test_names_differ_by_case_and_branch(scheduler: Scheduler, names: BuilderNames) -> None:
    for branch, builder in (("try", "Linux"), ("TRY", "Linux"), ("try", "linux"), (None, "linux")):
        scheduler.seed.request(branch, builder=builder, at=T0)
    found = await names.since(T0)
    assert set(found) == {
        ("Linux", "try"),
        ("Linux", "TRY"),
        ("linux", "try"),
        ("linux", None),
    }
    assert len(found) == 4


@twisted_test(10)
async def test_a_request_that_arrives_late_is_found(
    scheduler: Scheduler, names: BuilderNames
) -> None:
    scheduler.seed.request(builder="linux", at=T0 + 600)
    await names.since(T0)
    scheduler.seed.request(builder="late", at=T0 + 1)
    assert ("late", "try") in await names.since(T0)


@twisted_test(10)
async def test_what_was_deleted_is_forgotten_within_a_day(
    scheduler: Scheduler, names: BuilderNames
) -> None:
    scheduler.seed.request(builder="gone", at=T0)
    await names.since(T0)
    scheduler.seed.execute("DELETE FROM buildrequests")
    scheduler.seed.request(builder="linux", at=T0 + DAY + 1)
    await names.since(T0)
    scheduler.seed.request(builder="linux", at=T0 + DAY + 2)
    assert await names.since(T0) == [("linux", "try")]


@twisted_test(10)
async def test_callers_share_a_read_and_a_failed_one_keeps_nothing(
    scheduler: Scheduler, counted: Counted, names: BuilderNames
) -> None:
    for day in range(3):
        scheduler.seed.request(builder=f"b{day}", at=T0 + day * DAY)
    counted.failing = 2
    with pytest.raises(DatabaseUnavailable):
        await names.since(T0)
    counted.reads.clear()
    counted.failing = -1
    found = await gatherResults([ensureDeferred(names.since(T0 + n * DAY)) for n in range(3)])
    assert [len(pairs) for pairs in found] == [3, 2, 1]
    assert len(counted.reads) <= 4
