"""What reports read from a scheduler database, on each engine."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from buildapi.buildbot.v08.scheduler_reports import SQLSchedulerReports
from buildapi.errors import BadRequest
from buildapi.model.report_rows import RowFilter, Span
from tests.buildbot.conftest import Scheduler
from tests.buildbot.seed import Seed
from tests.contracts.reports import DAY, HOURS, OURS, T0, SchedulerReportsContract, every
from tests.reactor import twisted_test


@attrs.frozen
class Farm:
    """A scheduler database, and what is read of it."""

    scheduler: Scheduler

    @property
    def seed(self) -> Seed:
        return self.scheduler.seed

    @property
    def reads(self) -> SQLSchedulerReports:
        return self.few(1000)

    def few(self, rows: int) -> SQLSchedulerReports:
        return SQLSchedulerReports(self.scheduler.db, rows, rows)

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


@pytest.fixture
def farm(scheduler: Scheduler) -> Farm:
    return Farm(scheduler)


class TestSQLSchedulerReports(SchedulerReportsContract):
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
