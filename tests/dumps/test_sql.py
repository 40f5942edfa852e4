"""What is read for dumps from the databases, on each engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from buildapi.buildbot.v08.ended_build_reads import SQLEndedBuilds, SQLStartedRequests
from buildapi.db.sql import Row, RowLimitError
from buildapi.model.ended_builds import DumpWindow, EndedBuild, StartedRequest
from tests.buildbot.conftest import Scheduler
from tests.buildbot.seed import T0
from tests.contracts.dump_reads import EndedBuildsContract, StartedRequestsContract
from tests.farmwide.conftest import Status
from tests.reactor import twisted_test


def at(seconds: int, fraction: str = "") -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") + fraction


@attrs.define
class Narrow:
    """A database whose answers have at most so many rows."""

    db: Any
    most: int

    async def fetch(self, text: str, params: dict[str, object]) -> Sequence[Row]:
        rows: Sequence[Row] = await self.db.fetch(text, params)
        if len(rows) > self.most:
            raise RowLimitError(f"more than {self.most} rows")
        return rows


@twisted_test()
async def test_both_ends_of_the_window_count_and_builds_come_by_their_start(status: Status) -> None:
    fraction = ".500000" if status.seed.dialect == "sqlite" else ""
    last = status.build(starttime=at(T0 + 9), endtime=at(T0 + 20, fraction))
    first = status.build(starttime=at(T0 + 1), endtime=at(T0 + 10))
    unknown = status.build(starttime=None, endtime=at(T0 + 15))
    same = status.build(starttime=at(T0 + 9), endtime=at(T0 + 10))
    for end in (None, at(T0 + 9), at(T0 + 21)):
        status.build(endtime=end)
    found = await SQLEndedBuilds(status.db).ids(DumpWindow(T0 + 10, T0 + 20))
    assert list(found) == [unknown, first, last, same]


@twisted_test()
async def test_a_build_with_its_properties_as_stored(status: Status) -> None:
    build = status.build(result=2, reason="it was due", endtime=at(T0 + 60))
    status.property(build, "branch", '"try"')
    status.property(build, "bad", "{")
    status.property(build, "branch", '"second"')
    other = status.build()
    row = status.seed.row("builds", build)
    found = await SQLEndedBuilds(status.db).builds([other, 10**6, build])
    assert [b.id for b in found] == [other, build]
    assert found[1] == EndedBuild(
        id=build,
        buildnumber=7,
        builder_id=row["builder_id"],
        slave_id=row["slave_id"],
        master_id=row["master_id"],
        starttime=T0,
        endtime=T0 + 60,
        result=2,
        reason="it was due",
        properties=[("branch", '"try"'), ("bad", "{"), ("branch", '"second"')],
    )
    assert found[0].properties == ()


@twisted_test(10)
async def test_what_is_more_than_one_answer_is_read_in_parts(status: Status) -> None:
    ids = [
        status.build(starttime=at(T0 + i), endtime=at(T0 + 100 + i // 2), reason="é")
        for i in range(9)
    ]
    for id_ in ids:
        for name in "ab":
            status.property(id_, name, "1")
    narrow = SQLEndedBuilds(Narrow(status.db, 2))  # type: ignore[arg-type]  # no more is needed
    assert list(await narrow.ids(DumpWindow(T0, T0 + 1000))) == ids
    found = await narrow.builds(ids)
    assert [b.id for b in found] == ids
    assert {(b.reason, tuple(b.properties)) for b in found} == {("é", (("a", "1"), ("b", "1")))}


@twisted_test()
async def test_a_second_or_a_build_that_is_too_much_is_refused(status: Status) -> None:
    ids = [status.build() for _ in range(3)]
    for name in "abc":
        status.property(ids[0], name, "1")
    narrow = SQLEndedBuilds(Narrow(status.db, 2))  # type: ignore[arg-type]  # no more is needed
    with pytest.raises(RowLimitError):
        await narrow.ids(DumpWindow(T0, T0 + 1000))
    with pytest.raises(RowLimitError):
        await narrow.builds(ids)


@twisted_test()
async def test_requests_of_builds_by_number_and_start(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    one, two = seed.request(at=T0), seed.request(at=T0 + 1)
    build = seed.run(one, two, at=T0 + 20)
    number = seed.row("builds", build)["number"]
    early, late = seed.request(), seed.request()
    seed.start(early, number=number, at=T0 + 5)
    seed.start(late, number=number, at=T0 + 40)
    seed.run(seed.request(), at=T0 + 20)
    reads = SQLStartedRequests(scheduler.db)
    start = seed.time(T0 + 20)
    assert await reads.started([number, number], T0 + 18, T0 + 23) == [
        StartedRequest(one, "linux", number, start, T0),
        StartedRequest(two, "linux", number, start, T0 + 1),
    ]
    assert len(await reads.started([number], T0, T0 + 50)) == 4
    assert await reads.started([], T0, T0 + 50) == []


@twisted_test()
async def test_many_numbers_are_asked_in_parts(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    numbers = [seed.row("builds", seed.run(seed.request()))["number"] for _ in range(5)]
    narrow = SQLStartedRequests(Narrow(scheduler.db, 2))  # type: ignore[arg-type]  # no more is needed
    found = await narrow.started([*numbers, *range(1000, 2000)], T0, T0 + 50)
    assert [s.number for s in found] == numbers


NONE: Mapping[str, str] = MappingProxyType({})


@attrs.define
class Ended:
    """Rows of a status database."""

    status: Status

    @property
    def reader(self) -> SQLEndedBuilds:
        return SQLEndedBuilds(self.status.db)

    def build(
        self,
        start: int | None,
        end: int | None,
        properties: Mapping[str, str] = MappingProxyType({}),
    ) -> int:
        times = {"starttime": start, "endtime": end}
        row = {name: None if when is None else at(when) for name, when in times.items()}
        build = self.status.build(**row)
        for name, value in properties.items():
            self.status.property(build, name, value)
        return build


class TestSQLEndedBuilds(EndedBuildsContract):
    """The contract."""

    @pytest.fixture
    def seen(self, status: Status) -> Ended:
        return Ended(status)


@attrs.define
class Started:
    """Rows of a scheduler database."""

    scheduler: Scheduler

    @property
    def reader(self) -> SQLStartedRequests:
        return SQLStartedRequests(self.scheduler.db)

    def start(self, number: int, at: int) -> int:
        request = self.scheduler.seed.request(at=at - 10)
        self.scheduler.seed.start(request, number=number, at=at)
        return request


class TestSQLStartedRequests(StartedRequestsContract):
    """The contract."""

    @pytest.fixture
    def seen(self, scheduler: Scheduler) -> Started:
        return Started(scheduler)
