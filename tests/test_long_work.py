"""Long work is done in many turns of the reactor."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from buildapi.reactor_time import TURN_SECONDS, each_in_turns


def test_others_have_a_turn_after_milliseconds_of_work() -> None:
    clock, done = Clock(), list[object]()

    def work(value: int) -> int:
        done.append(value)
        clock.rightNow += TURN_SECONDS / 2
        return -value

    clock.callLater(0, done.append, "another")
    all_ = ensureDeferred(each_in_turns(clock, work, range(5)))
    assert done == [0, 1]
    clock.advance(0)
    assert done[:4] == [0, 1, "another", 2]
    assert all_.result == [0, -1, -2, -3, -4]  # type: ignore[attr-defined]  # of a fired Deferred


def test_short_work_is_done_at_once() -> None:
    done = ensureDeferred(each_in_turns(Clock(), str, [1, 2]))
    assert done.result == ["1", "2"]  # type: ignore[attr-defined]  # of a fired Deferred
