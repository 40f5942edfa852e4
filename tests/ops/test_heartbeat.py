"""Signs of life: regular, out of turn, and none after the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from buildapi.errors import DatabaseUnavailable
from buildapi.model.ops import Heartbeat, ProcessState
from buildapi.ops.heartbeat import SILENT_DAY, HeartbeatSender, Sign
from tests.contracts.ops import ProcessRegistryContract

NOW = 1_700_000_000
ME = Heartbeat("a:1:1", "a", 1, "1.0", ["agent"], ProcessState.RUNNING, NOW, NOW)


@attrs.define
class MemoryRoster:
    """The role ProcessRegistry; ``said`` is what it was told, ``away`` why it cannot."""

    said: list[str] = attrs.field(factory=list)
    away: str | None = None
    hold: Deferred[None] | None = None
    beats: dict[str, Heartbeat] = attrs.field(factory=dict)

    async def beat(self, beat: Heartbeat) -> None:
        await self._note(f"beat {beat.instance}")
        self.beats[beat.instance] = beat

    async def leave(self, instance: str) -> None:
        await self._note(f"leave {instance}")
        self.beats.pop(instance, None)

    async def processes(self) -> Sequence[Heartbeat]:
        return sorted(self.beats.values(), key=lambda beat: beat.name)

    async def forget(self, before: int) -> None:
        await self._note(f"forget {before}")
        self.beats = {i: b for i, b in self.beats.items() if b.beat_at >= before}

    async def _note(self, what: str) -> None:
        if self.hold is not None:
            await self.hold
        if self.away is not None:
            raise DatabaseUnavailable(self.away)
        self.said.append(what)


class TestMemoryRoster(ProcessRegistryContract):
    """The double keeps the contract."""

    @pytest.fixture
    def roster(self) -> MemoryRoster:
        return MemoryRoster()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def roster() -> MemoryRoster:
    return MemoryRoster()


@pytest.fixture
def signs() -> list[int]:
    return []


@pytest.fixture
def heart(clock: Clock, roster: MemoryRoster, signs: list[int]) -> HeartbeatSender:
    async def sign(now: int) -> None:
        signs.append(now)

    return HeartbeatSender(
        clock, roster, lambda: ME, 10, lambda: NOW + clock.seconds(), [Sign("sign", sign)]
    )


def test_it_beats_at_once_and_then_regularly(
    heart: HeartbeatSender, clock: Clock, roster: MemoryRoster, signs: list[int]
) -> None:
    heart.startService()
    assert roster.said == [f"forget {NOW - SILENT_DAY}", "beat a:1:1"]
    clock.advance(9)
    assert roster.said.count("beat a:1:1") == 1
    clock.advance(1)
    clock.advance(10)
    assert roster.said.count("beat a:1:1") == 3
    assert signs == [NOW, NOW + 10, NOW + 20]
    heart.stopService()


def test_who_fell_silent_is_forgotten_now_and_then(
    heart: HeartbeatSender, clock: Clock, roster: MemoryRoster
) -> None:
    heart.startService()
    clock.pump([10] * 59)
    assert [said for said in roster.said if said.startswith("forget")] == [
        f"forget {NOW - SILENT_DAY}"
    ]
    clock.pump([10] * 60)
    assert f"forget {NOW + 600 - SILENT_DAY}" in roster.said
    heart.stopService()


def test_it_leaves_and_says_nothing_any_more(
    heart: HeartbeatSender, clock: Clock, roster: MemoryRoster
) -> None:
    heart.startService()
    left = heart.stopService()
    assert left.called
    heart.soon()
    clock.advance(60)
    assert roster.said[-2:] == ["beat a:1:1", "leave a:1:1"]
    assert not clock.getDelayedCalls()


def test_a_beat_under_way_ends_before_it_leaves(
    heart: HeartbeatSender, roster: MemoryRoster
) -> None:
    heart.startService()
    roster.hold = Deferred()
    heart.soon()
    left = heart.stopService()
    assert not left.called
    hold, roster.hold = roster.hold, None
    hold.callback(None)
    assert left.called
    assert roster.said[-2:] == ["beat a:1:1", "leave a:1:1"]


def test_stopping_during_the_first_beat_leaves_nothing_to_come(
    heart: HeartbeatSender, roster: MemoryRoster, clock: Clock
) -> None:
    roster.hold = Deferred()
    heart.startService()
    left = heart.stopService()
    hold, roster.hold = roster.hold, None
    hold.callback(None)
    assert left.called
    assert not clock.getDelayedCalls()


def test_something_new_is_told_out_of_turn(heart: HeartbeatSender, roster: MemoryRoster) -> None:
    heart.startService()
    heart.soon()
    assert roster.said.count("beat a:1:1") == 2
    heart.stopService()


def test_a_database_that_is_away_is_said_once_and_so_is_its_return(
    heart: HeartbeatSender, clock: Clock, roster: MemoryRoster, log: list[str], signs: list[int]
) -> None:
    roster.away = "the jobs database is away"
    heart.startService()
    for _ in range(5):
        clock.advance(10)
    roster.away = None
    for _ in range(2):
        clock.advance(10)
    heart.stopService()
    assert [line for line in log if "row of this process" in line] == [
        "heartbeat: cannot write the row of this process: the jobs database is away",
        "heartbeat: can write the row of this process again",
    ]
    assert len(signs) == 8, "what else is to be written does not depend on it"


def test_what_fails_for_no_known_reason_does_not_end_it(
    clock: Clock, roster: MemoryRoster, log: list[str], logged_errors: list[dict[str, Any]]
) -> None:
    odd = ["odd", "odd", "odder", ""]

    async def sign(_: int) -> None:
        if why := odd.pop(0):
            raise KeyError(why)

    signs = [Sign("renew the row", sign)]
    heart = HeartbeatSender(clock, roster, lambda: ME, 10, lambda: NOW, signs)
    heart.startService()
    for _ in range(3):
        clock.advance(10)
    heart.stopService()
    assert roster.said.count("beat a:1:1") == 4
    assert len(logged_errors) == 2, "not at every beat"
    assert [line for line in log if "renew" in line][-1] == "heartbeat: can renew the row again"
    logged_errors.clear()
