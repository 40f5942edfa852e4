"""Looking at all parts at once, whatever is away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from buildapi.errors import BrokerUnavailable, DatabaseUnavailable
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.health import PoolStatus
from buildapi.model.messages import BrokerStatus, QueueDepth
from buildapi.model.ops import Heartbeat, ProcessState
from buildapi.ops import status_parts as parts
from buildapi.ops.status_collector import (
    PART_SECONDS,
    BoundedReader,
    Readiness,
    StatusCollector,
    backlog,
)
from buildapi.ops.status_document import StatusPart
from buildapi.ops.status_parts import KnownMasters, ReplicationLag
from tests.web.farm import MemoryDirectory, MemoryJobs

NOW = 1_700_000_000
ME = Heartbeat("a:1:1", "a", 1, "1.0", ["api", "agent"], ProcessState.RUNNING, NOW, NOW)


@attrs.define
class MemoryPool:
    """A pool that connects, fails, or hangs."""

    name: str = "jobs"
    dialect: str = "sqlite"
    error: Exception | None = None
    hung: bool = False
    busy: bool = False

    def status(self) -> PoolStatus:
        return PoolStatus(0, 0, None, None)

    async def connecting(self, _seconds: float) -> float | None:
        if self.hung:
            await Deferred()
        if self.error is not None:
            raise self.error
        return None if self.busy else 0.25


@attrs.define
class World:
    """What a board looks at."""

    clock: Clock = attrs.field(factory=Clock)
    pools: list[MemoryPool] = attrs.field(factory=lambda: [MemoryPool(), MemoryPool("scheduler")])
    answers: Exception | QueueDepth = attrs.field(factory=lambda: QueueDepth(1, 0, 1, 0))
    ready: Exception | None = None
    farm: Exception | FarmSummary | None = attrs.field(
        factory=lambda: FarmSummary(0, 0, None, [], [], [])
    )
    lag: Callable[[], Any] | None = None

    def board(self) -> StatusCollector:
        reader, broker = BoundedReader(self.clock), self
        queues, lag = {"requests": "r", "finished": "f"}, self.lag

        async def nothing() -> None:
            return None

        some = [
            StatusPart(lambda: reader.value(self.reasons()), parts.show_readiness),
            StatusPart(dict, parts.show_process),
            StatusPart(
                lambda: reader.broker(broker, "embedded", queues),  # type: ignore[arg-type]  # the two methods it needs
                parts.show_broker,
                parts.judge_broker,
            ),
            StatusPart(
                lambda: reader.pools(self.pools), parts.show_databases, parts.judge_databases
            ),
            StatusPart(
                lambda: reader.value(lag() if lag else nothing()),
                parts.show_replica,
                parts.judge_replica,
            ),
            StatusPart(lambda: KnownMasters(1, ()), parts.show_masters, parts.judge_masters),
            StatusPart(
                lambda: reader.value(backlog(MemoryJobs(), NOW)), parts.show_jobs, parts.judge_jobs
            ),
            StatusPart(
                lambda: reader.value(nothing() if self.farm is None else self.look()),
                parts.show_farm,
                parts.judge_farm,
            ),
        ]
        return StatusCollector(reader, lambda: NOW, lambda: ME, self.processes, 10, some)

    def status(self) -> BrokerStatus:
        return BrokerStatus(connected=True)

    async def depth(self, _queue: str) -> QueueDepth:
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers

    async def reasons(self) -> Sequence[str]:
        if self.ready is not None:
            raise self.ready
        return []

    async def processes(self) -> Sequence[Heartbeat]:
        return [ME]

    async def look(self) -> FarmSummary:
        if isinstance(self.farm, Exception):
            raise self.farm
        assert self.farm is not None
        return self.farm


@pytest.fixture
def world() -> World:
    return World()


def read(world: World, after: float = 0) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    reading = ensureDeferred(world.board().read())
    reading.addCallback(found.append)
    if after:
        assert not found
        world.clock.advance(after)
    (one,) = found
    return one


def test_all_is_well(world: World) -> None:
    found = read(world)
    assert found["status"] == "OK", found["parts"]
    assert [q["ready"] for q in found["broker"]["queues"]] == [1, 1]
    assert [d["connect_seconds"] for d in found["databases"]] == [0.25, 0.25]


def test_one_part_that_fails_takes_no_other_away(world: World) -> None:
    world.answers = BrokerUnavailable("not connected")
    world.pools[1].error = DatabaseUnavailable("the scheduler database is away")
    world.farm = DatabaseUnavailable("the replica is away")
    found = read(world)
    assert [q["error"] for q in found["broker"]["queues"]] == ["not connected"] * 2
    assert [d["error"] for d in found["databases"]] == [None, "the scheduler database is away"]
    assert found["farm"]["error"] == "the replica is away"
    assert found["jobs"]["error"] is None


def test_what_readiness_does_not_know_takes_nothing_else_away(
    world: World, logged_errors: list[dict[str, Any]]
) -> None:
    world.ready = KeyError("odd")
    found = read(world)
    assert (found["ready"], found["reasons"]) == (False, ["it failed: KeyError"])
    assert [d["ok"] for d in found["databases"]] == [True, True]
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_a_pool_that_is_busy_is_well(world: World) -> None:
    world.pools[0].busy = True
    found = read(world)
    assert [(d["ok"], d["connect_seconds"]) for d in found["databases"]] == [
        (True, None),
        (True, 0.25),
    ]
    assert found["status"] == "OK"


def test_where_nobody_reads_the_farm_nothing_is_wrong_with_it(world: World) -> None:
    world.farm = None
    found = read(world)
    assert (found["farm"]["pending"], found["farm"]["error"]) == (None, None)
    assert found["status"] == "OK"


def test_what_hangs_is_given_a_bounded_time(world: World) -> None:
    world.pools[0].hung = True
    found = read(world, after=PART_SECONDS)
    assert [d["error"] for d in found["databases"]] == ["no answer within 3 s", None]


def test_what_fails_for_no_known_reason_is_logged_and_said(
    world: World, logged_errors: list[dict[str, Any]]
) -> None:
    world.farm = KeyError("odd")
    assert read(world)["farm"]["error"] == "it failed: KeyError"
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_the_lag_of_the_replica(world: World) -> None:
    async def behind() -> ReplicationLag:
        return ReplicationLag(7)

    async def away() -> ReplicationLag:
        raise DatabaseUnavailable("away")

    assert read(world)["replica"]["apart"] is False
    world.lag = behind
    assert read(world)["replica"]["lag_seconds"] == 7
    world.lag = away
    assert read(world)["replica"]["error"] == "away"


# --- readiness


@attrs.define
class Ready:
    """What readiness is asked of."""

    clock: Clock = attrs.field(factory=Clock)
    state: str = "running"
    pool: MemoryPool = attrs.field(factory=MemoryPool)
    broker: BrokerStatus = attrs.field(factory=lambda: BrokerStatus(connected=True))
    directory: MemoryDirectory = attrs.field(factory=MemoryDirectory)

    def reasons(self, after: float = 0) -> list[str]:
        readiness = Readiness(
            self.clock, lambda: self.state, [self.pool], lambda: self.broker, self.directory
        )
        found: list[Sequence[str]] = []
        ensureDeferred(readiness.reasons()).addCallback(found.append)
        self.clock.advance(after)
        return list(found[0])


def test_it_is_ready_when_it_can_take_job_requests() -> None:
    assert Ready().reasons() == []


def test_it_is_ready_while_its_connections_are_busy() -> None:
    assert Ready(pool=MemoryPool(busy=True)).reasons() == []


def test_what_nobody_expected_is_a_reason(logged_errors: list[dict[str, Any]]) -> None:
    ready = Ready(pool=MemoryPool(error=ZeroDivisionError()))
    assert ready.reasons() == ["the jobs database fails: ZeroDivisionError"]
    assert len(logged_errors) == 1
    logged_errors.clear()


@pytest.mark.parametrize("state", ["starting", "draining"])
def test_it_is_not_ready_before_and_after(state: str) -> None:
    assert Ready(state=state, pool=MemoryPool(hung=True)).reasons() == [state]


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        (
            {"pool": MemoryPool(error=DatabaseUnavailable("the jobs database is away"))},
            ["the jobs database is away"],
        ),
        (
            {"pool": MemoryPool(hung=True)},
            ["the jobs database gives no connection within 3 s"],
        ),
        ({"broker": BrokerStatus(connected=False)}, ["the broker: no connection yet"]),
        (
            {"broker": BrokerStatus(connected=True, blocked="low on memory")},
            ["the broker: low on memory"],
        ),
        (
            {"directory": MemoryDirectory(missing="The branches file has not been read yet")},
            ["The branches file has not been read yet"],
        ),
    ],
)
def test_it_says_what_it_lacks(changes: dict[str, Any], reasons: list[str]) -> None:
    assert Ready(**changes).reasons(after=PART_SECONDS) == reasons
