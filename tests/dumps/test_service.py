"""Dumps that are written regularly: what is in the folder, and what a failure leaves."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from twisted.internet import task
from twisted.internet.defer import Deferred

from buildapi.admin.dump_writer import Dumper
from buildapi.admin.periodic_dumps import PeriodicDumps
from buildapi.atomic_file import STALE_SECONDS
from buildapi.config import DumpsSection as Settings
from buildapi.errors import DatabaseUnavailable
from buildapi.model.ended_builds import DumpWindow, EndedBuild, StartedRequest
from buildapi.model.farm_rows import BranchFilter, PendingEntry, Portion, RunningBuild
from tests.contracts.dump_reads import EndedBuildsContract, StartedRequestsContract
from tests.farmwide.doubles import RUNNING, WAITING
from tests.reactor import twisted_test, until

NOW = 1_700_000_000.5
NONE: Mapping[str, str] = MappingProxyType({})
BUILDS = [
    EndedBuild(i, i, 1, 1, 1, 1_699_999_000 + i, 1_699_999_900, 0, "due", PROPERTIES)
    for i, PROPERTIES in enumerate([(("buildername", '"linux"'), ("bad", "{"))] * 250)
]
REQUEST = StartedRequest(4711, "linux", 0, 1_699_999_000.84, 1_699_998_000)
NAMES = ["builds-4hr.js.gz", "builds-pending.js", "builds-running.js"]


@attrs.define
class MemoryFarm:
    """What dumps read, in memory; ``error`` is raised instead of ended builds."""

    error: Exception | None = None
    windows: list[DumpWindow] = attrs.field(factory=list)
    reads: list[int] = attrs.field(factory=list)
    hold: Deferred[None] | None = None
    known: list[EndedBuild] = attrs.field(factory=lambda: list(BUILDS))
    requests: list[StartedRequest] = attrs.field(factory=lambda: [REQUEST])

    async def ids(self, window: DumpWindow) -> Sequence[int]:
        if self.error is not None:
            raise self.error
        self.windows.append(window)
        ended = [b for b in self.known if window.start <= (b.endtime or 0) <= window.end]
        return [b.id for b in sorted(ended, key=lambda b: (b.starttime or 0, b.id))]

    async def builds(self, ids: Sequence[int]) -> Sequence[EndedBuild]:
        self.reads.append(len(ids))
        if self.hold is not None:
            await self.hold
        by_id = {b.id: b for b in self.known}
        return [by_id[id_] for id_ in ids if id_ in by_id]

    async def started(self, numbers: Sequence[int], low: int, high: int) -> list[StartedRequest]:
        return [r for r in self.requests if r.number in numbers and low <= r.start_time <= high]

    async def pending(self, _branches: BranchFilter, _portion: Portion) -> Sequence[PendingEntry]:
        return [WAITING]

    async def running(self, _branches: BranchFilter, _portion: Portion) -> Sequence[RunningBuild]:
        return [RUNNING]


@attrs.define
class EndedInMemory:
    """The double, without any builds."""

    reader: MemoryFarm = attrs.field(factory=lambda: MemoryFarm(known=[]))

    def build(
        self, start: int | None, end: int | None, properties: Mapping[str, str] = NONE
    ) -> int:
        id_ = len(self.reader.known) + 1
        pairs = tuple(properties.items())
        self.reader.known.append(EndedBuild(id_, 7, 1, 1, 1, start, end, 0, "due", pairs))
        return id_


class TestMemoryFarmEnded(EndedBuildsContract):
    """The contract, on the double."""

    @pytest.fixture
    def seen(self) -> EndedInMemory:
        return EndedInMemory()


@attrs.define
class StartedInMemory:
    """The double, without any requests."""

    reader: MemoryFarm = attrs.field(factory=lambda: MemoryFarm(requests=[]))

    def start(self, number: int, at: int) -> int:
        id_ = len(self.reader.requests) + 1
        self.reader.requests.append(StartedRequest(id_, "linux", number, at, at - 10))
        return id_


class TestMemoryFarmStarted(StartedRequestsContract):
    """The contract, on the double."""

    @pytest.fixture
    def seen(self) -> StartedInMemory:
        return StartedInMemory()


async def branches() -> Sequence[str]:
    return ["try", "cedar"]


def make(
    farm: MemoryFarm,
    folder: Path,
    clock: Any = None,
    now: Callable[[], float] = lambda: NOW,
    **settings: Any,
) -> PeriodicDumps:
    from twisted.internet import reactor

    source: Any = farm
    usual = {"folder": folder, "seconds": 300, "hours": 4, "days": 0, "compact": False}
    wanted = {**usual, **settings}
    dumper = Dumper(reactor, source, source, source, branches)
    return PeriodicDumps(clock or reactor, dumper, folder, Settings(**wanted), now)


async def rounds(dumps: PeriodicDumps, number: int) -> None:
    await until(lambda: dumps.rounds >= number)


Check = Callable[[PeriodicDumps], Awaitable[None]]


async def running(dumps: PeriodicDumps, check: Check) -> None:
    """Run a service until its first round, and while something is looked at."""
    dumps.startService()
    try:
        await rounds(dumps, 1)
        await check(dumps)
    finally:
        dumps.stopService()


@twisted_test(20)
async def test_the_folder_gets_three_files(
    tmp_path: Path, logged_errors: list[dict[str, Any]]
) -> None:
    farm, folder = MemoryFarm(), tmp_path / "made" / "dumps"

    async def check(dumps: PeriodicDumps) -> None:
        assert sorted(os.listdir(folder)) == NAMES
        builds = json.loads(gzip.decompress((folder / NAMES[0]).read_bytes()))
        assert farm.windows == [DumpWindow(int(NOW) - 4 * 3600, int(NOW))]
        assert (builds["starttime"], builds["endtime"]) == (int(NOW) - 4 * 3600, int(NOW))
        assert [b["id"] for b in builds["builds"]] == [b.id for b in BUILDS]
        first, second = builds["builds"][:2]
        assert first["properties"] == {"buildername": "linux"}
        assert (first["request_ids"], first["requesttime"]) == ([4711], 1_699_998_000)
        assert (second["request_ids"], second["requesttime"]) == ([], None)
        pending = json.loads((folder / NAMES[1]).read_text())
        assert list(pending["pending"]) == ["cedar"]
        assert list(json.loads((folder / NAMES[2]).read_text())["running"]) == ["try"]
        assert [(s.name, s.age(NOW + 5), s.last_error) for s in dumps.statuses()] == [
            (name, 5, None) for name in NAMES
        ]

    await running(make(farm, folder), check)


@twisted_test(20)
async def test_builds_are_read_a_hundred_at_a_time(tmp_path: Path) -> None:
    farm = MemoryFarm()

    async def check(_dumps: PeriodicDumps) -> None:
        assert farm.reads == [100, 100, 50]

    await running(make(farm, tmp_path), check)


@twisted_test(20)
async def test_a_dump_that_fails_leaves_the_last_good_one_and_the_others(tmp_path: Path) -> None:
    farm = MemoryFarm(DatabaseUnavailable("the status database does not answer"))
    good = tmp_path / NAMES[0]
    good.write_bytes(b"good")
    os.utime(good, (NOW - 60, NOW - 60))

    async def check(dumps: PeriodicDumps) -> None:
        assert good.read_bytes() == b"good"
        assert sorted(os.listdir(tmp_path)) == NAMES
        builds, pending, _ = dumps.statuses()
        assert (builds.age(NOW), builds.last_error, builds.last_error_at) == (
            60,
            "the status database does not answer",
            NOW,
        )
        assert (pending.age(NOW), pending.last_error) == (0, None)

    await running(make(farm, tmp_path), check)


@twisted_test(20)
async def test_what_nobody_expected_is_logged_and_the_rest_goes_on(
    tmp_path: Path, logged_errors: list[dict[str, Any]]
) -> None:
    async def check(dumps: PeriodicDumps) -> None:
        assert [e["log_format"] for e in logged_errors] == ["dumps: cannot write {name}"]
        logged_errors.clear()
        assert sorted(os.listdir(tmp_path)) == NAMES[1:]
        assert dumps.statuses()[0].age(NOW) is None

    await running(make(MemoryFarm(ZeroDivisionError()), tmp_path), check)


@twisted_test(20)
async def test_it_is_done_again_after_a_while(tmp_path: Path) -> None:
    clock = task.Clock()
    dumps = make(MemoryFarm(), tmp_path, clock, hours=24, compact=True)

    async def check(_dumps: PeriodicDumps) -> None:
        assert (tmp_path / "builds-24hr.js.gz").exists()
        assert (tmp_path / NAMES[1]).read_text().count("\n") == 1
        (tmp_path / NAMES[1]).write_text("old")
        await until(lambda: bool(clock.getDelayedCalls()))
        clock.advance(300)
        await rounds(dumps, 2)
        assert (tmp_path / NAMES[1]).read_text() != "old"
        await until(lambda: bool(clock.getDelayedCalls()))

    await running(dumps, check)
    assert not clock.getDelayedCalls()


@twisted_test(20)
async def test_what_a_killed_process_left_is_tidied_up(tmp_path: Path) -> None:
    old = time.time() - STALE_SECONDS - 60
    for name in (f".{NAMES[0]}.ab12.tmp", ".another.tmp"):
        (tmp_path / name).write_text("part")
        os.utime(tmp_path / name, (old, old))

    async def check(_dumps: PeriodicDumps) -> None:
        assert sorted(os.listdir(tmp_path)) == [".another.tmp", *NAMES]

    await running(make(MemoryFarm(), tmp_path), check)


@twisted_test(20)
async def test_stopping_in_the_middle_leaves_no_part(tmp_path: Path) -> None:
    farm = MemoryFarm(hold=Deferred())
    dumps = make(farm, tmp_path)
    dumps.startService()
    await until(lambda: bool(farm.reads))
    assert os.listdir(tmp_path) != []
    dumps.stopService()
    await until(lambda: not [n for n in os.listdir(tmp_path) if n.endswith(".tmp")])
    assert os.listdir(tmp_path) == []


@twisted_test(20)
async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def check(dumps: PeriodicDumps) -> None:
        assert all("file" in (s.last_error or "") for s in dumps.statuses())

    await running(make(MemoryFarm(), tmp_path / "file" / "dumps"), check)


@twisted_test(20)
async def test_a_folder_that_cannot_be_made_is_made_once_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    clock = task.Clock()
    dumps = make(MemoryFarm(), tmp_path / "file" / "dumps", clock)
    dumps.startService()
    try:
        await turned(dumps, clock, 1)
        (tmp_path / "file").unlink()
        await turned(dumps, clock, 2)
        assert sorted(os.listdir(tmp_path / "file" / "dumps")) == NAMES
    finally:
        await dumps.stopService()


TODAY, DAY_BEFORE, TWO_BEFORE = (f"builds-2023-11-{n}.js.gz" for n in (14, 13, 12))
MIDNIGHT = 1_699_920_000
"""The one that day began with."""


async def turned(dumps: PeriodicDumps, clock: task.Clock, number: int) -> None:
    """Go on until so many rounds are over."""
    while dumps.rounds < number:
        await until(lambda: bool(clock.getDelayedCalls()) or dumps.rounds >= number)
        if dumps.rounds < number:
            clock.advance(300)


@twisted_test(20)
async def test_the_files_of_days_are_written_too_and_the_old_ones_removed(tmp_path: Path) -> None:
    """Write builds-YYYY-MM-DD.js.gz of so many days of UTC, and keep no more of them."""
    clock, at = task.Clock(), [NOW]
    farm = MemoryFarm(known=[attrs.evolve(b, endtime=MIDNIGHT - 100) for b in BUILDS])
    dumps = make(farm, tmp_path, clock, lambda: at[0], days=3)
    (tmp_path / "builds-2020-01-01.js.gz").write_text("somebody's archive")
    dumps.startService()
    try:
        await turned(dumps, clock, 1)
        assert farm.windows[1:] == [
            DumpWindow(MIDNIGHT, MIDNIGHT + 86_400),
            DumpWindow(MIDNIGHT - 86_400, MIDNIGHT),
        ]
        await turned(dumps, clock, 2)
        days = {TODAY, DAY_BEFORE, TWO_BEFORE}
        archive = "builds-2020-01-01.js.gz"
        assert {n for n in os.listdir(tmp_path) if n.startswith("builds-20")} == {archive, *days}
        day = json.loads(gzip.decompress((tmp_path / DAY_BEFORE).read_bytes()))
        assert (day["starttime"], day["endtime"]) == (MIDNIGHT - 86_400, MIDNIGHT)
        assert len(day["builds"]) == len(BUILDS)
        status = dumps.statuses()[-1]
        assert (status.name, status.age(NOW), status.last_error) == (TODAY, 0, None)
        at[0] += 86_400
        await turned(dumps, clock, 3)
        names = {n for n in os.listdir(tmp_path) if n.startswith("builds-20")}
        assert names == {archive, "builds-2023-11-15.js.gz", TODAY, DAY_BEFORE}
    finally:
        dumps.stopService()


@twisted_test(20)
async def test_a_day_that_somebody_else_wrote_is_left_as_it_is(tmp_path: Path) -> None:
    """Neither remove nor write again what a cron job left in the folder."""
    (tmp_path / DAY_BEFORE).write_text("theirs")
    os.utime(tmp_path / DAY_BEFORE, (NOW, NOW))
    clock = task.Clock()
    dumps = make(MemoryFarm(), tmp_path, clock, days=2)
    dumps.startService()
    try:
        await turned(dumps, clock, 2)
        assert (tmp_path / DAY_BEFORE).read_text() == "theirs"
        assert (tmp_path / TODAY).exists()
    finally:
        dumps.stopService()


@twisted_test(20)
async def test_a_day_that_cannot_be_written_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    farm = MemoryFarm(DatabaseUnavailable("the status database does not answer"))

    async def check(dumps: PeriodicDumps) -> None:
        status = dumps.statuses()[-1]
        assert (status.name, status.age(NOW)) == (TODAY, None)
        assert "the status database does not answer" in (status.last_error or "")
        assert sorted(n for n in os.listdir(tmp_path) if n[0] != ".") == NAMES[1:]

    await running(make(farm, tmp_path, days=2), check)
