"""What reports read from a scheduler and a status database, on each engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
import pytest

from buildapi.buildbot.v08.report_reads import SQLReports
from buildapi.buildbot.v08.scheduler_reports import SQLSchedulerReports
from buildapi.buildbot.v08.status_reports import SQLStatusReports
from buildapi.errors import BadRequest
from buildapi.model.report_rows import RowFilter, Span
from tests.buildbot.conftest import Scheduler
from tests.buildbot.seed import Seed
from tests.contracts.reports import DAY, HOURS, OURS, T0, ReportsContract, every
from tests.farmwide.conftest import Status
from tests.reactor import twisted_test


def utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


@attrs.frozen
class Farm:
    """Both databases, and what is read of them."""

    scheduler: Scheduler
    status: Status

    @property
    def seed(self) -> Seed:
        return self.scheduler.seed

    @property
    def reads(self) -> SQLReports:
        return self.few(1000)

    def few(self, rows: int) -> SQLReports:
        scheduler = SQLSchedulerReports(self.scheduler.db, rows, rows)
        return SQLReports(scheduler, SQLStatusReports(self.status.db, rows))

    def submit(
        self,
        builder: str,
        *,
        revision: str | None = "abcdef012345",
        reason: str | None = "scheduler",
        at: int = T0,
        comments: Sequence[str] = (),
        changed: int = T0,
    ) -> int:
        stamp = self.seed.stamp("try", revision)
        for text in comments:
            id_ = self.seed.change("ann", [stamp], changed)
            self.seed.execute("UPDATE changes SET comments = %s WHERE changeid = %s", text, id_)
        buildset = self.seed.buildset(stamp, reason=reason, at=at)
        return self.seed.request(builder=builder, buildset=buildset, at=at)

    def run(self, request: int, *, at: int = T0 + 11, master: str = OURS) -> int:
        return self.seed.run(request, at=at, master=master)

    def end(self, build: int, *, at: int) -> None:
        self.seed.end(build, at=at)

    def complete(self, request: int, *, results: int, at: int = T0 + 60) -> None:
        self.seed.complete(request, results=results, at=at)

    def push(self, author: str, branches: Sequence[str | None], at: int) -> int:
        return self.seed.change(author, [self.seed.stamp(branch) for branch in branches], at)

    def build(
        self,
        builder: str = "linux-build",
        *,
        slave: str = "s1",
        start: int = T0,
        took: int | None = 60,
        result: int | None = 0,
        category: str | None = None,
    ) -> int:
        end = None if took is None else utc(start + took)
        times = {"starttime": utc(start), "endtime": end}
        id_ = self.status.build(slave, name=builder, result=result, **times)
        text = "UPDATE builders SET category = %s WHERE name = %s"
        self.status.seed.execute(text, category, builder)
        return id_

    def step(self, build: int, name: str, *, start: int, took: int) -> None:
        order = "`order`" if self.status.seed.dialect == "mysql" else '"order"'
        times = {"starttime": utc(start), "endtime": utc(start + took)}
        columns = {"name": name, "build_id": build, order: 1, "description": "[]"}
        self.status.seed.insert("steps", **columns, **times)


@pytest.fixture
def farm(scheduler: Scheduler, status: Status) -> Farm:
    status.seed.execute("DELETE FROM steps")
    return Farm(scheduler, status)


class TestSQLReports(ReportsContract):
    """The contract, on each engine."""


@twisted_test(10)
async def test_a_refusal_names_the_setting_that_allows_more(farm: Farm) -> None:
    for i in range(6):
        farm.submit(f"b{i}", at=T0 + i * HOURS)
    with pytest.raises(BadRequest, match=r"choose a shorter time.*\[reports\] rows"):
        await every(farm.few(5).attempts(RowFilter(Span(T0, T0 + 10 * HOURS))))


@twisted_test(10)
async def test_a_claim_of_null_is_none(farm: Farm) -> None:
    farm.submit("b")
    farm.seed.execute("UPDATE buildrequests SET claimed_at = NULL")
    [row] = await every(farm.reads.rows(RowFilter(DAY)))
    assert row.claimed_at == 0


@twisted_test(10)
async def test_builders_of_two_masters_may_have_one_name(farm: Farm) -> None:
    seed = farm.status.seed
    other = seed.insert("builders", name="LinuxXa", master_id=2)
    farm.status.build("s1", name="LinuxXa", builder_id=other, starttime=utc(T0))
    farm.build("LinuxXa")
    found = await every(farm.reads.builds(DAY, builder="LinuxXa"))
    assert [b.builder for b in found] == ["LinuxXa", "LinuxXa"]
