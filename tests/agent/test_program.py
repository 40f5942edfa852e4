"""The program starts its parts in order and stops them in the opposite one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.task import Clock

from buildapi.errors import DatabaseUnavailable
from buildapi.lifecycle import ADMIT_SECONDS, GRACE_SECONDS, Program, Stages
from buildapi.model.ops import ProcessState

DRAIN = 30


class Part(Service):
    """A service that notes when it starts and stops."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes
        self.starting: Exception | None = None
        self.stopping: Any = None

    def startService(self) -> None:
        if self.starting is not None:
            raise self.starting
        super().startService()  # type: ignore[no-untyped-call]  # Twisted
        self.notes.append(f"start {self.name}")

    def stopService(self) -> Any:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted
        self.notes.append(f"stop {self.name}")
        if isinstance(self.stopping, Exception):
            raise self.stopping
        return self.stopping


class Reactor(Clock):
    """A clock that can be told to stop."""

    stopped = False

    def stop(self) -> None:
        self.stopped = True


@attrs.define
class House:
    """A program of a few parts and what became of them."""

    reactor: Reactor = attrs.field(factory=Reactor)
    notes: list[str] = attrs.field(factory=list)
    parts: dict[str, Part] = attrs.field(factory=dict)
    preparing: list[Any] = attrs.field(factory=list)
    takers: Sequence[str] = ()
    admitted: list[float] = attrs.field(factory=list)
    turned: list[ProcessState] = attrs.field(factory=list)
    program: Program = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        names = ("door", "pool", "broker", "agent", "finisher")
        self.parts = {name: Part(name, self.notes) for name in names}
        door, pool, broker, agent, finisher = self.parts.values()
        stages = Stages(
            doors=[door],
            ground=[pool, broker],
            prepare=self._prepare,
            workers=[agent, finisher],
            ready=lambda: self.notes.append("ready"),
            admit=lambda: self.admitted.append(self.reactor.seconds()),
            takers=[self.parts[name] for name in self.takers],
            drain_seconds=DRAIN,
            turned=self.turned.append,
        )
        self.program = Program(self.reactor, stages)

    async def _prepare(self) -> None:
        self.notes.append("prepare")
        event = self.preparing.pop(0) if self.preparing else None
        if isinstance(event, Exception):
            raise event
        if event is not None:
            await event

    def stop(self) -> defer.Deferred[None]:
        self.notes.clear()
        return self.program.stopService()


GROUND = ["start door", "start pool", "start broker", "prepare"]
DOWN = ["stop door", "stop finisher", "stop agent", "stop broker", "stop pool"]
EARLY = ["stop door", "stop broker", "stop pool"]


def test_parts_start_in_order_once_all_is_prepared() -> None:
    house = House()
    house.program.startService()
    assert house.notes == [*GROUND, "start agent", "start finisher", "ready"]


def test_preparing_is_tried_again_less_and_less_often_until_it_works() -> None:
    house = House(preparing=[DatabaseUnavailable("away")] * 9)
    house.program.startService()
    times: list[float] = []
    for tenth in range(2000):
        if house.notes.count("prepare") > len(times):
            times.append(tenth / 10)
        house.reactor.advance(0.1)
        if "ready" in house.notes:
            break
    gaps = [round(b - a, 1) for a, b in itertools.pairwise(times)]
    assert gaps[0] == pytest.approx(0.5, abs=0.2)
    assert gaps == sorted(gaps)
    assert gaps[-1] <= 30.2
    assert house.notes[-3:] == ["start agent", "start finisher", "ready"]
    assert house.notes.count("start pool") == 1


def test_a_port_in_use_stops_the_program_before_anything_else() -> None:
    house = House()
    house.parts["door"].starting = OSError("address in use")
    with pytest.raises(OSError, match="address in use"):
        house.program.startService()
    assert house.notes == []


def test_an_error_nobody_expected_stops_the_program(logged_errors: list[Any]) -> None:
    house = House(preparing=[ZeroDivisionError()])
    house.program.failing = lambda: house.notes.append("failing")
    house.program.startService()
    house.reactor.advance(0)
    assert house.reactor.stopped
    assert "failing" in house.notes
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_parts_stop_in_the_opposite_order() -> None:
    house = House()
    house.program.startService()
    assert house.stop().called
    assert house.notes == DOWN


def test_each_part_has_ended_before_the_next_is_stopped() -> None:
    house = House()
    house.program.startService()
    draining: defer.Deferred[None] = defer.Deferred()
    house.parts["agent"].stopping = draining
    stopping = house.stop()
    assert house.notes == DOWN[:3]
    assert not stopping.called
    draining.callback(None)
    assert house.notes == DOWN
    assert stopping.called


@pytest.mark.parametrize("later", [False, True])
def test_a_part_that_fails_to_stop_does_not_keep_the_others(
    later: bool, logged_errors: list[Any]
) -> None:
    house = House()
    house.program.startService()
    error = ZeroDivisionError()
    house.parts["agent"].stopping = defer.fail(error) if later else error
    assert house.stop().called
    assert house.notes == DOWN
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_a_program_stopped_while_it_waits_never_starts_its_workers() -> None:
    house = House(preparing=[DatabaseUnavailable("away")])
    house.program.startService()
    house.stop()
    assert house.notes == EARLY
    assert house.reactor.getDelayedCalls() == []
    assert not house.reactor.stopped


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_program_stopped_while_it_prepares_never_starts_its_workers(stubborn: bool) -> None:
    """Preparing may make of a cancellation what it likes."""
    preparing: defer.Deferred[None] = defer.Deferred()
    if stubborn:
        preparing.addErrback(lambda _: None)
    house = House(preparing=[preparing])
    house.program.startService()
    house.stop()
    assert house.notes == EARLY
    assert not house.reactor.stopped


def test_it_is_known_where_the_program_is_in_its_life() -> None:
    house = House(preparing=[DatabaseUnavailable("away")])
    house.program.startService()
    assert house.program.state is ProcessState.STARTING
    house.reactor.advance(1)
    assert house.program.state is ProcessState.RUNNING
    house.parts["agent"].stopping = defer.Deferred()
    house.stop()
    assert house.turned == [ProcessState.RUNNING, ProcessState.DRAINING]
    assert house.program.state is ProcessState.DRAINING


def test_what_takes_work_stops_at_once_and_before_all_else() -> None:
    house = House(takers=["door", "agent"])
    house.program.startService()
    waits = [defer.Deferred[None](), defer.Deferred[None]()]
    house.parts["door"].stopping, house.parts["agent"].stopping = waits
    stopping = house.stop()
    assert house.notes == ["stop door", "stop agent"]
    waits[1].callback(None)
    assert house.notes == ["stop door", "stop agent"]
    waits[0].callback(None)
    assert house.notes == ["stop door", "stop agent", "stop finisher", "stop broker", "stop pool"]
    assert stopping.called


def test_a_part_that_never_stops_is_given_up() -> None:
    house = House(takers=["door"])
    house.program.startService()
    for name in ("door", "finisher", "pool"):
        house.parts[name].stopping = defer.Deferred()
    stopping = house.stop()
    house.reactor.advance(DRAIN + GRACE_SECONDS - 0.1)
    assert house.notes == ["stop door"]
    house.reactor.advance(0.1)
    assert house.notes == ["stop door", "stop finisher"]
    house.reactor.pump([0.5] * 8)
    assert house.notes == ["stop door", "stop finisher", "stop agent", "stop broker", "stop pool"]
    assert stopping.called
    assert house.reactor.getDelayedCalls() == []


def test_people_are_let_in_once_the_program_is_ready() -> None:
    preparing: defer.Deferred[None] = defer.Deferred()
    house = House(preparing=[preparing])
    house.program.startService()
    house.reactor.advance(ADMIT_SECONDS / 2)
    assert house.admitted == []
    preparing.callback(None)
    assert house.admitted == [ADMIT_SECONDS / 2]
    house.reactor.advance(ADMIT_SECONDS)
    assert len(house.admitted) == 1


def test_people_are_let_in_when_something_is_away() -> None:
    house = House(preparing=[DatabaseUnavailable("away")])
    house.program.startService()
    assert house.admitted == [0.0]


def test_people_are_let_in_when_a_start_takes_long() -> None:
    house = House(preparing=[defer.Deferred()])
    house.program.startService()
    house.reactor.advance(ADMIT_SECONDS)
    assert house.admitted == [ADMIT_SECONDS]


def test_nobody_is_let_in_by_a_program_stopped_while_it_prepares() -> None:
    house = House(preparing=[defer.Deferred()])
    house.program.startService()
    house.stop()
    house.reactor.advance(ADMIT_SECONDS)
    assert house.admitted == []
