"""What reports read from a status database, on each engine."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from buildapi.buildbot.v08.status_reports import SQLStatusReports
from tests.contracts.reports import DAY, T0, StatusReportsContract, every
from tests.farmwide.conftest import Status
from tests.reactor import twisted_test


def utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


@attrs.frozen
class Masters:
    """A status database, and what is read of it."""

    status: Status

    @property
    def reads(self) -> SQLStatusReports:
        return self.few(1000)

    def few(self, rows: int) -> SQLStatusReports:
        return SQLStatusReports(self.status.db, rows)

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
def masters(status: Status) -> Masters:
    status.seed.execute("DELETE FROM steps")
    return Masters(status)


class TestSQLStatusReports(StatusReportsContract):
    """The contract, on each engine."""


@twisted_test(10)
async def test_builders_of_two_masters_may_have_one_name(masters: Masters) -> None:
    seed = masters.status.seed
    other = seed.insert("builders", name="LinuxXa", master_id=2)
    masters.status.build("s1", name="LinuxXa", builder_id=other, starttime=utc(T0))
    masters.build("LinuxXa")
    found = await every(masters.reads.builds(DAY, builder="LinuxXa"))
    assert [b.builder for b in found] == ["LinuxXa", "LinuxXa"]
