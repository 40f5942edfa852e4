"""Notes of what happens: kept in batches, over a database that goes away, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from buildapi import tracing
from buildapi.errors import DatabaseUnavailable
from buildapi.model.ops import Part, TrailEntry
from buildapi.ops import buffered_writer as module
from buildapi.ops.trail import BufferedTrail
from tests.contracts.ops import TrailContract
from tests.db.trailstore_contract import TrailStoreContract
from tests.reactor import twisted_test
from tests.trails import MemoryTrailStore

NOW = 1_795_819_765.5


@attrs.define
class Store(MemoryTrailStore):
    """Keep entries, unless the next events of ``ahead`` say otherwise."""

    batches: list[list[TrailEntry]] = attrs.field(factory=list)
    ahead: list[Any] = attrs.field(factory=list)
    forgotten: list[float] = attrs.field(factory=list)

    async def add(self, entries: Sequence[TrailEntry]) -> None:
        event = self.ahead.pop(0) if self.ahead else None
        if isinstance(event, Exception):
            raise event
        if event is not None:
            await event
        self.batches.append(list(entries))
        await MemoryTrailStore.add(self, entries)

    async def forget(self, before: float) -> None:
        self.forgotten.append(before)
        await MemoryTrailStore.forget(self, before)

    @property
    def details(self) -> list[str]:
        return [entry.detail for batch in self.batches for entry in batch]


class TestStore(TrailStoreContract):
    """The double keeps the contract."""

    @pytest.fixture
    def store(self) -> Store:
        return Store()


@attrs.define
class Buffered:
    """A trail on a clock, whose entries are in memory after their time."""

    trail: BufferedTrail
    clock: Clock
    store: MemoryTrailStore

    async def entries(self, job: int) -> Sequence[TrailEntry]:
        self.clock.advance(module.FLUSH_SECONDS)
        return await self.store.of_job(job, 0)


class TestBufferedTrail(TrailContract):
    """The contract."""

    @pytest.fixture
    def made(self) -> Iterator[Buffered]:
        clock, store = Clock(), MemoryTrailStore()
        trail = BufferedTrail(clock, store, lambda: NOW + clock.seconds(), "h1")
        trail.startService()
        yield Buffered(trail, clock, store)
        trail.stopService()


class Around:
    """A trail on a clock."""

    def __init__(self, days: int = 0) -> None:
        self.clock, self.store = Clock(), Store()
        self.trail = BufferedTrail(self.clock, self.store, self.now, "h1", days)
        self.trail.startService()

    def now(self) -> float:
        return NOW + float(self.clock.seconds())

    def note(self, *details: str) -> None:
        for detail in details:
            self.trail.note(7, Part.AGENT, "asked", detail)


def told(logged_errors: list[Any]) -> list[str]:
    """Return the errors that were logged, which are meant."""
    formats = [e["log_format"] for e in logged_errors]
    logged_errors.clear()
    return formats


@twisted_test()
async def test_a_note_says_when_where_and_in_whose_trace() -> None:
    around = Around()
    with tracing.about("rid-1"):
        around.trail.note(7, Part.HTTP, "recorded", "rebuild_build\n by  zoe")
    around.clock.advance(0.3)
    entry = TrailEntry(7, NOW, "h1", Part.HTTP, "recorded", "rebuild_build by zoe", "rid-1")
    assert around.store.batches == [[entry]]
    await around.trail.stopService()


@twisted_test()
async def test_notes_of_a_moment_go_in_one_batch() -> None:
    around = Around()
    around.note("a", "b")
    assert around.store.batches == []
    around.clock.advance(0.3)
    around.note("c")
    around.clock.advance(0.3)
    assert [len(batch) for batch in around.store.batches] == [2, 1]
    await around.trail.stopService()


@twisted_test()
async def test_a_batch_is_bounded() -> None:
    around = Around()
    around.note(*(str(n) for n in range(450)))
    around.clock.advance(0.3)
    assert [len(batch) for batch in around.store.batches] == [200, 200, 50]
    await around.trail.stopService()


@twisted_test()
async def test_what_cannot_be_kept_now_is_kept_later_and_once() -> None:
    around = Around()
    around.store.ahead = [DatabaseUnavailable("gone")] * 3
    around.note("a")
    around.clock.pump([0.3, 0.6])
    around.note("b")
    around.clock.pump([0.1] * 40)
    assert around.store.details == ["a", "b"]
    await around.trail.stopService()


@twisted_test()
async def test_pauses_grow_while_the_database_is_away() -> None:
    around = Around()
    around.store.ahead = [DatabaseUnavailable("gone")] * 1000
    around.note("a")
    around.clock.pump([0.1] * 6000)
    assert 55 < 1000 - len(around.store.ahead) < 80  # ten minutes, ten seconds each
    around.store.ahead = []
    await around.trail.stopService()
    assert around.store.details == ["a"]


@twisted_test()
async def test_what_does_not_fit_is_dropped_counted_and_told_once(logged_errors: list[Any]) -> None:
    around = Around()
    around.note(*["x"] * (module.MOST_WAITING + 3))
    assert around.trail.dropped == 3
    assert len(told(logged_errors)) == 1
    around.clock.advance(0.3)
    assert len(around.store.details) == module.MOST_WAITING
    assert told(logged_errors) == ["audit trail: {count} entries dropped"]
    await around.trail.stopService()


@twisted_test()
async def test_entries_that_no_store_takes_do_not_hold_up_the_rest(
    logged_errors: list[Any],
) -> None:
    around = Around()
    around.store.ahead = [ValueError("too odd")]
    around.note("a")
    around.clock.advance(0.3)
    around.note("b")
    around.clock.advance(0.3)
    assert around.store.details == ["b"]
    assert told(logged_errors) == ["audit trail: {count} entries cannot be stored"]
    await around.trail.stopService()


@twisted_test()
async def test_stopping_writes_what_waits() -> None:
    around = Around()
    around.note("a")
    await around.trail.stopService()
    assert around.store.details == ["a"]
    assert around.clock.getDelayedCalls() == []


@twisted_test()
async def test_stopping_takes_seconds_at_most(logged_errors: list[Any]) -> None:
    around = Around()
    hanging: defer.Deferred[None] = defer.Deferred()
    around.store.ahead = [hanging]
    around.note("a")
    stopping = around.trail.stopService()
    assert not stopping.called
    around.clock.advance(module.STOP_SECONDS)
    await stopping
    assert told(logged_errors) == ["audit trail: {count} entries lost"]


@twisted_test()
async def test_what_is_too_old_is_forgotten_once_a_minute() -> None:
    around = Around(days=30)
    around.clock.pump([0.3] * 500)
    old = [NOW + float(round(at, 1)) - 30 * 86_400 for at in (0.3, 60.3, 120.6)]
    assert around.store.forgotten == pytest.approx(old, abs=1)
    around.trail.keep(2)
    around.clock.pump([0.3] * 200)
    assert around.store.forgotten[-1] == pytest.approx(around.now() - 2 * 86_400, abs=60)
    await around.trail.stopService()


@twisted_test()
async def test_who_need_not_forget_does_not() -> None:
    around = Around(days=0)
    around.trail.keep(2)
    around.clock.pump([0.3] * 500)
    assert around.store.forgotten == []
    await around.trail.stopService()
