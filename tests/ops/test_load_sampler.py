"""Samples of the load: one a minute, whoever takes it, and none of a farm that does not respond."""

from __future__ import annotations

import attrs
from twisted.internet.task import Clock

from buildapi.errors import BadRequest, BuildAPIError, DatabaseUnavailable
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.farm_load import LoadSample
from buildapi.model.farm_rows import PendingEntry
from buildapi.ops.load_sampler import LoadSampler
from tests.loads import MemoryLoads

START = 1_699_999_980
"""A whole minute."""


@attrs.define
class Farm:
    """A farm of which a summary can be read; ``error`` is why it cannot."""

    oldest: PendingEntry | None = None
    error: BuildAPIError | None = None
    reads: int = 0

    async def summarize(self) -> FarmSummary:
        self.reads += 1
        if self.error:
            raise self.error
        return FarmSummary(self.reads, 7, self.oldest, [], [], [])


@attrs.define
class Sampling:
    """A farm, its samples, a clock, and processes that take samples."""

    farm: Farm = attrs.field(factory=Farm)
    loads: MemoryLoads = attrs.field(factory=MemoryLoads)
    clock: Clock = attrs.field(factory=Clock)

    def process(self, second: float = 0.0, hours: int = 48) -> LoadSampler:
        sampler = LoadSampler(
            self.clock,
            self.loads,
            self.farm.summarize,
            lambda: START + self.clock.seconds(),
            hours,
            second,
        )
        sampler.startService()
        return sampler

    def turn(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)


def test_each_minute_has_a_sample() -> None:
    around = Sampling()
    around.process(second=20)
    around.turn(150)
    assert list(around.loads.stored) == [START, START + 60, START + 120]
    assert around.farm.reads == 3


def test_the_first_process_of_a_minute_reads_the_farm_for_all() -> None:
    around = Sampling()
    for second in (0, 9, 30):
        around.process(second)
    around.turn(600)
    assert len(around.loads.stored) == around.farm.reads == 11


def test_the_longest_wait_is_that_of_the_oldest_request() -> None:
    oldest = PendingEntry(
        id=1,
        branch="try",
        revision="a" * 12,
        buildername="b",
        submitted_at=START - 90,
    )
    around = Sampling(Farm(oldest))
    around.process()
    assert around.loads.stored[START] == LoadSample(START, 1, 7, 90)


def test_old_samples_are_deleted() -> None:
    around = Sampling()
    around.loads.stored = {at: LoadSample(at, 0, 0, None) for at in (START - 3660, START - 3600)}
    around.process(hours=1)
    assert sorted(around.loads.stored) == [START - 3600, START]


def test_an_outage_is_logged_once_and_leaves_no_sample(log: list[str]) -> None:
    around = Sampling()
    for error in (DatabaseUnavailable("no connection"), BadRequest("too many rows")):
        around.farm.error = error
    around.process()
    around.turn(180)
    assert around.loads.stored == {}
    assert [line for line in log if "load" in line] == [
        "no sample of the farm's load: too many rows"
    ]
    around.farm.error = None
    around.turn(60)
    assert len(around.loads.stored) == 1
