"""Regular work: its pauses, its failures, what is asked for out of turn, and its stop."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from buildapi import tracing
from buildapi.errors import Unavailable
from buildapi.periodic import STOP_SECONDS, Backoff, PeriodicService
from buildapi.reactor_time import pause, timeout


@attrs.define(slots=False, eq=False)
class Work(PeriodicService):
    """Note when runs begin; ``ahead`` holds how the next ones go: an error, or what they await."""

    trouble = "work: not done"

    ahead: list[Any] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.name, self.interval = "work", 10
        self.began = list[float]()
        self.contexts = list[tuple[str, int | None]]()
        self.cancelled = self.most = self.current = 0
        self.last: list[str] = []

    async def run_once(self) -> None:
        self.began.append(self._reactor.seconds())
        self.contexts.append((tracing.trace(), tracing.job()))
        self.current += 1
        self.most = max(self.most, self.current)
        try:
            await self._go()
        except CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.current -= 1

    async def _go(self) -> None:
        event = self.ahead.pop(0) if self.ahead else None
        if isinstance(event, Deferred):
            await event
        elif event is not None:
            raise event

    async def after_last_run(self) -> None:
        self.last.append("left")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def work(clock: Clock) -> Work:
    return Work(clock)


def hanging() -> Deferred[None]:
    return Deferred()


# --- when it runs -------------------------------------------------------------------------------


def test_it_runs_at_the_start_and_after_each_interval(work: Work, clock: Clock) -> None:
    work.startService()
    clock.pump([1] * 35)
    assert work.began == [0, 10, 20, 30]
    assert work.stopService().called
    assert clock.getDelayedCalls() == []


def test_the_first_run_can_wait(clock: Clock) -> None:
    class Later(Work):
        first_pause = 3.0

    later = Later(clock)
    later.startService()
    clock.pump([1] * 25)
    assert later.began == [3, 13, 23]
    later.stopService()


def test_the_interval_begins_with_the_end_of_a_run(work: Work, clock: Clock) -> None:
    held = hanging()
    work.ahead = [held]
    work.startService()
    clock.advance(60)
    assert work.began == [0]
    held.callback(None)
    clock.advance(9)
    assert work.began == [0]
    clock.advance(1)
    assert work.began == [0, 70]
    work.stopService()


# --- failures -----------------------------------------------------------------------------------


def test_what_is_not_possible_is_logged_and_tried_again(
    work: Work, clock: Clock, log: list[str]
) -> None:
    work.ahead = [Unavailable("gone"), Unavailable("gone")]
    work.startService()
    clock.pump([10] * 3)
    assert work.began == [0, 10, 20, 30]
    assert log == ["work: not done: gone"] * 2
    work.stopService()


def test_an_error_that_nobody_expected_is_logged_and_does_not_end_it(
    work: Work, clock: Clock, logged_errors: list[Any]
) -> None:
    work.ahead = [ValueError("odd")]
    work.startService()
    clock.advance(10)
    assert work.began == [0, 10]
    assert [e["log_format"] for e in logged_errors] == ["work: not done"]
    assert logged_errors[0]["log_namespace"] == f"{__name__}.Work"
    logged_errors.clear()
    work.stopService()


def test_what_a_run_awaits_may_be_cancelled_by_others(work: Work, clock: Clock) -> None:
    held = hanging()
    work.ahead = [held]
    work.startService()
    held.cancel()
    clock.advance(10)
    assert work.began == [0, 10]
    work.stopService()


def test_a_failure_to_log_is_logged(clock: Clock, logged_errors: list[Any]) -> None:
    class Silent(Work):
        def unavailable(self, error: Unavailable, pause: float) -> None:
            raise LookupError(error.msg)

    silent = Silent(clock, [Unavailable("gone")])
    silent.startService()
    clock.advance(10)
    assert silent.began == [0, 10]
    assert [e["log_failure"].type for e in logged_errors] == [LookupError]
    logged_errors.clear()
    silent.stopService()


def test_pauses_grow_with_failures_in_a_row_up_to_a_bound(
    work: Work, clock: Clock, logged_errors: list[Any]
) -> None:
    work.backoff = Backoff(1, 6)
    work.ahead = [Unavailable("gone"), ValueError("odd"), *[Unavailable("gone")] * 3, None]
    work.ahead += [Unavailable("gone")]
    work.startService()
    clock.pump([1] * 42)
    assert work.began == [0, 1, 3, 7, 13, 19, 29, 30, 40]
    logged_errors.clear()
    work.stopService()


def test_whoever_overrides_the_log_knows_the_pause(clock: Clock) -> None:
    pauses = list[tuple[str, float]]()

    class Noting(Work):
        def unavailable(self, error: Unavailable, pause: float) -> None:
            pauses.append((error.msg, pause))

    noting = Noting(clock, [Unavailable("gone")] * 3)
    noting.backoff = Backoff(2, 5)
    noting.startService()
    clock.pump([1] * 10)
    assert pauses == [("gone", 2), ("gone", 4), ("gone", 5)]
    noting.stopService()


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1), (3, 2), (5, 8), (6, 10)])
def test_a_backoff_doubles(failures: int, seconds: float) -> None:
    assert Backoff(0.5, 10).pause(failures) == seconds


def test_a_backoff_can_be_asked_after_any_number_of_failures() -> None:
    assert Backoff(0.5, 10).pause(10**6) == 10
    assert Backoff(5, 2).pause(1) == 2


# --- out of turn --------------------------------------------------------------------------------


def test_soon_runs_at_once_and_begins_the_interval_anew(work: Work, clock: Clock) -> None:
    work.startService()
    clock.advance(4)
    work.soon()
    assert work.began == [0, 4]
    clock.pump([1] * 10)
    assert work.began == [0, 4, 14]
    work.stopService()


def test_soon_during_a_run_asks_for_one_more(work: Work, clock: Clock) -> None:
    held = hanging()
    work.ahead = [held]
    work.startService()
    work.soon()
    work.soon()
    assert work.began == [0]
    held.callback(None)
    clock.advance(0)
    assert work.began == [0, 0]
    clock.advance(10)
    assert work.began == [0, 0, 10]
    assert work.most == 1
    work.stopService()


def test_a_run_may_ask_for_another(clock: Clock) -> None:
    class Greedy(Work):
        async def run_once(self) -> None:
            await Work.run_once(self)
            if len(self.began) < 3:
                self.soon()

    greedy = Greedy(clock)
    greedy.startService()
    clock.pump([0, 0, 0])
    assert greedy.began == [0, 0, 0]
    assert greedy.most == 1
    greedy.stopService()


def test_a_run_out_of_turn_is_not_logged_as_of_the_request_that_asked_for_it(
    work: Work, clock: Clock
) -> None:
    work.startService()
    with tracing.about("rid-1", 7):
        work.soon()
    assert work.contexts == [("", None)] * 2
    work.stopService()


def test_soon_before_the_start_and_after_the_stop_does_nothing(work: Work, clock: Clock) -> None:
    work.soon()
    work.startService()
    work.stopService()
    work.soon()
    clock.advance(60)
    assert work.began == [0]


# --- stopping -----------------------------------------------------------------------------------


def test_a_stop_cancels_the_run_in_hand(work: Work, clock: Clock) -> None:
    work.ahead = [hanging()]
    work.startService()
    work.soon()
    assert work.stopService().called
    assert (work.cancelled, work.last) == (1, ["left"])
    clock.advance(60)
    assert work.began == [0]
    assert clock.getDelayedCalls() == []


def test_a_stop_waits_for_a_run_that_ends_itself(clock: Clock) -> None:
    class Patient(Work):
        finishes = True

    held = hanging()
    patient = Patient(clock, [held])
    patient.startService()
    stopped = patient.stopService()
    clock.advance(STOP_SECONDS - 1)
    assert not stopped.called
    assert patient.last == []
    held.callback(None)
    assert stopped.called
    assert (patient.cancelled, patient.last) == (0, ["left"])
    assert clock.getDelayedCalls() == []


def test_a_stop_waits_within_a_bound(clock: Clock, log: list[str]) -> None:
    class Patient(Work):
        finishes = True

    patient = Patient(clock, [hanging()])
    patient.startService()
    stopped = patient.stopService()
    clock.advance(STOP_SECONDS)
    assert stopped.called
    assert (patient.cancelled, patient.last) == (1, ["left"])
    assert log == ["work: its unfinished work did not end in time"]


def test_a_stop_waits_for_what_a_cancelled_run_cleans_up_and_a_start_does_so_too(
    clock: Clock,
) -> None:
    cleaning = hanging()

    class Clean(Work):
        async def _go(self) -> None:
            try:
                await Work._go(self)
            except CancelledError:
                await cleaning

    clean = Clean(clock, [hanging()])
    clean.startService()
    stopped = clean.stopService()
    assert not stopped.called
    clean.startService()
    clock.advance(1)
    assert clean.began == [0]
    cleaning.callback(None)
    assert stopped.called
    clock.advance(0)
    assert clean.began == [0, 1]
    assert clean.most == 1
    clean.stopService()


def test_a_service_that_never_started_stops(work: Work) -> None:
    assert work.stopService().called


def test_it_can_be_started_again(work: Work, clock: Clock) -> None:
    for _ in range(2):
        work.startService()
        clock.advance(10)
        work.stopService()
        clock.advance(100)
    assert work.began == [0, 10, 110, 120]


def test_a_start_forgets_earlier_failures(work: Work, clock: Clock) -> None:
    work.backoff = Backoff(1, 60)
    work.ahead = [Unavailable("gone")] * 4
    work.startService()
    clock.pump([1] * 3)
    work.stopService()
    work.startService()
    clock.advance(1)
    assert work.began == [0, 1, 3, 3, 4]
    work.stopService()


# --- what it stands on --------------------------------------------------------------------------


def test_a_pause_ends_in_time_and_can_be_cancelled(clock: Clock) -> None:
    ended, cancelled = pause(clock, 2), pause(clock, 2)
    cancelled.addErrback(lambda failure: failure.trap(CancelledError) and None)
    cancelled.cancel()
    clock.advance(1)
    assert not ended.called
    clock.advance(1)
    assert ended.called
    assert clock.getDelayedCalls() == []


def test_a_timeout_cancels(clock: Clock) -> None:
    failures = list[Any]()
    timeout(hanging(), 2, clock).addErrback(failures.append)
    clock.advance(2)
    assert [str(f.type.__name__) for f in failures] == ["TimeoutError"]
