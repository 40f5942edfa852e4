"""Work that may take only so long."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from buildapi.errors import Unavailable
from buildapi.web.http.deadline import Deadline
from tests.web.asking import failed, result


def begin(work: Any) -> tuple[Clock, Deferred[Any]]:
    clock = Clock()
    return clock, ensureDeferred(Deadline(clock, 3).bound(work))


def test_work_in_time_gives_its_result() -> None:
    work: Deferred[int] = Deferred()
    clock, running = begin(work)
    clock.advance(2.9)
    work.callback(5)
    assert result(running) == 5
    assert not clock.getDelayedCalls()


def test_a_failure_in_time_is_passed_on() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    clock, running = begin(fail())
    assert isinstance(failed(running), ZeroDivisionError)
    assert not clock.getDelayedCalls()


def test_late_work_is_cancelled_and_reported() -> None:
    work: Deferred[int] = Deferred()
    clock, running = begin(work)
    clock.advance(3)
    assert isinstance(failed(running), Unavailable)
    assert work.called


def test_patient_work_may_take_longer() -> None:
    clock, work = Clock(), Deferred[None]()
    running = ensureDeferred(Deadline(clock, 3).bound(work, 10))
    clock.advance(12.9)
    assert not running.called
    clock.advance(0.1)
    assert isinstance(failed(running), Unavailable)


def test_work_that_ignores_being_cancelled_does_not_hold_up_the_answer() -> None:
    work: Deferred[int] = Deferred(lambda _: None)
    clock, running = begin(work)
    clock.advance(3)
    assert isinstance(failed(running), Unavailable)


def test_who_waits_may_go_away() -> None:
    work: Deferred[int] = Deferred()
    clock, running = begin(work)
    running.cancel()
    assert not isinstance(failed(running), Unavailable)
    assert work.called
    assert not clock.getDelayedCalls()


def test_the_text_of_the_refusal_is_for_people() -> None:
    clock, running = begin(Deferred())
    clock.advance(3)
    with pytest.raises(Unavailable, match="No answer within 3 s"):
        raise failed(running)
