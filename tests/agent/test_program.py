"""The program starts its parts in order and stops them in the opposite one."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest
from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.task import Clock

from buildapi.errors import DatabaseUnavailable
from buildapi.program import Program, Stages


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
    house.program.startService()
    house.reactor.advance(0)
    assert house.reactor.stopped
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
