"""Waiting for jobs, with a clock that is moved by hand."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock

from buildapi.web.selfserve.job_waiter import SECONDS, WAITING_MAX, JobWaiter
from tests.web.asking import failed, outcome, result
from tests.web.farm import NOW, MemoryJobs, database_down


class Around:
    """A watch over jobs 1 and 2, both unfinished."""

    def __init__(self) -> None:
        self.clock, self.jobs = Clock(), MemoryJobs()
        self.watch = JobWaiter(self.clock, self.jobs)
        for _ in range(2):
            result(ensureDeferred(self.jobs.add("zoë", NOW, "cancel_build", {"bid": 11})))

    def wait(self, job_id: int = 1, seconds: float = 60) -> Deferred[None]:
        return ensureDeferred(self.watch.finished(job_id, seconds))

    def finish(self, job_id: int = 1) -> None:
        report = {"body": {"errors": False, "msg": "Ok"}, "request_id": job_id}
        result(ensureDeferred(self.jobs.finish(job_id, report, NOW)))

    def looks(self) -> list[tuple[int, ...]]:
        looks, self.jobs.looking.calls = self.jobs.looking.calls, []
        return looks

    def check_quiet(self) -> None:
        assert not self.clock.getDelayedCalls()
        assert not self.watch._waiting


@pytest.fixture
def around() -> Around:
    return Around()


def test_a_job_that_is_finished_is_not_waited_for(around: Around) -> None:
    around.finish()
    assert result(around.wait()) is None
    assert around.looks() == [(1,)]
    around.check_quiet()


def test_a_job_that_is_not_there_is_not_waited_for(around: Around) -> None:
    assert result(around.wait(99)) is None
    around.check_quiet()


@pytest.mark.parametrize("seconds", [0, -1])
def test_who_does_not_want_to_wait_costs_no_query(around: Around, seconds: float) -> None:
    assert result(around.wait(1, seconds)) is None
    assert not around.looks()
    around.check_quiet()


def test_a_look_finds_what_is_finished_and_leaves_the_others(around: Around) -> None:
    first, second = around.wait(1), around.wait(2)
    around.finish(1)
    around.watch.poll()
    assert result(first) is None
    assert not second.called
    second.cancel()
    failed(second)
    around.check_quiet()


def test_what_nobody_tells_of_is_found_by_looking_now_and_then(around: Around) -> None:
    waiting = around.wait()
    around.finish()
    around.clock.advance(SECONDS - 0.01)
    assert not waiting.called
    around.clock.advance(0.01)
    assert result(waiting) is None
    around.check_quiet()


def test_waiting_ends_after_its_time(around: Around) -> None:
    waiting = around.wait(1, 2)
    for _ in range(19):
        around.clock.advance(0.1)
    assert not waiting.called
    around.clock.advance(0.1)
    assert result(waiting) is None
    around.check_quiet()


def test_hundreds_of_waiters_are_one_query_each_time(around: Around) -> None:
    waiting = [around.wait(1 + n % 2) for n in range(400)]
    around.looks()
    for _ in range(10):
        around.clock.advance(SECONDS)
    assert [sorted(look) for look in around.looks()] == [[1, 2]] * 10
    around.finish(1)
    around.watch.poll()
    assert [w.called for w in waiting] == [True, False] * 200
    around.finish(2)
    around.watch.poll()
    assert all(result(w) is None for w in waiting)
    around.check_quiet()


def test_no_look_begins_while_one_is_under_way(around: Around) -> None:
    held: Deferred[None] = Deferred()
    around.jobs.looking.held = held
    waiting = [around.wait() for _ in range(300)]
    around.clock.advance(SECONDS)
    assert around.looks() == [(1,)]
    around.finish()
    held.callback(None)
    assert all(result(w) is None for w in waiting)
    around.check_quiet()


def test_who_goes_away_is_forgotten(around: Around) -> None:
    gone, stays = around.wait(), around.wait()
    gone.cancel()
    assert isinstance(failed(gone), CancelledError)
    around.finish()
    around.clock.advance(SECONDS)
    assert result(stays) is None
    around.check_quiet()


def test_who_goes_away_during_a_look_is_forgotten(around: Around) -> None:
    held: Deferred[None] = Deferred()
    around.jobs.looking.held = held
    gone = around.wait()
    gone.cancel()
    assert isinstance(failed(gone), CancelledError)
    around.check_quiet()
    around.finish()
    held.callback(None)
    assert not around.looks()[1:]


def test_trouble_with_the_database_is_waited_out(around: Around) -> None:
    around.jobs.looking.error = database_down()
    waiting = around.wait()
    around.finish()
    around.clock.advance(SECONDS)
    assert not waiting.called
    around.jobs.looking.error = None
    around.clock.advance(SECONDS)
    assert result(waiting) is None
    around.check_quiet()


def test_trouble_with_the_database_does_not_lengthen_the_waiting(around: Around) -> None:
    around.jobs.looking.held = Deferred()
    waiting = around.wait(1, 3)
    around.clock.advance(3)
    assert result(waiting) is None
    around.check_quiet()


def test_a_closed_watch_answers_everybody_at_once(around: Around) -> None:
    waiting = [around.wait(1), around.wait(2)]
    around.watch.close()
    assert [result(w) for w in waiting] == [None, None]
    assert result(around.wait()) is None
    around.check_quiet()


def test_there_is_a_bound_on_those_who_wait(around: Around) -> None:
    waiting = [around.wait() for _ in range(WAITING_MAX)]
    assert result(around.wait()) is None
    assert not any(w.called for w in waiting)
    around.watch.close()
    assert [outcome(w) for w in waiting] == [None] * WAITING_MAX
    around.check_quiet()
