"""Job requests between the job store and the broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pymysql
import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock

from buildapi.db.jobstore import SQLJobStore
from buildapi.db.pool import open_database
from buildapi.db.schema import create_jobs_schema
from buildapi.errors import (
    BadRequest,
    BrokerUnavailable,
    BuildAPIError,
    DatabaseUnavailable,
    OutcomeUnknownError,
    Unavailable,
)
from buildapi.model.actions import CancelBuild, RebuildBuild
from buildapi.model.records import JobState
from buildapi.web.http.deadline import Deadline
from buildapi.web.selfserve.submission import NOT_RECORDED, NOT_SENT, JobDispatcher, shielded
from tests.reactor import twisted_test
from tests.trails import MemoryTrail
from tests.web.asking import failed, result
from tests.web.farm import NOW, MemoryBroker, MemoryJobs, broker_down, database_down

ACTION = RebuildBuild(11, -3, 2)


class Around:
    """A desk with everything around it in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.jobs, self.broker = MemoryJobs(), MemoryBroker()
        self.trail = MemoryTrail()
        self.owed: list[int] = []
        self.desk = JobDispatcher(
            self.jobs,
            self.broker,
            lambda: NOW + 0.9,
            Deadline(self.clock, 1),
            self.trail,
            self.owed.append,
        )

    def accept(self) -> Deferred[int]:
        return ensureDeferred(shielded(self.taken()))

    async def taken(self) -> int:
        message = await self.desk.record(ACTION, "zoë")
        await self.desk.send(message)
        return message.request_id


@pytest.fixture
def desk() -> Around:
    return Around()


def test_a_job_is_recorded_then_sent_then_noted(desk: Around) -> None:
    assert result(desk.accept()) == 1
    assert desk.jobs.jobs[1].what == {"bid": 11, "priority": -3, "count": 2}
    ((key, body, message_id, correlation),) = desk.broker.published
    assert (key, message_id, correlation) == ("requests", "job-1", "1")
    assert json.loads(body)["body"]["request_id"] == 1
    assert desk.jobs.sent_ids == {1}
    assert not desk.clock.getDelayedCalls()


def test_what_cannot_be_recorded_is_not_sent(desk: Around) -> None:
    desk.jobs.adding.error = database_down()
    error = failed(desk.accept())
    assert isinstance(error, DatabaseUnavailable)
    assert error.msg == NOT_RECORDED
    assert not desk.broker.published


def test_recording_takes_only_so_long(desk: Around) -> None:
    desk.jobs.adding.held = Deferred()
    accepting = desk.accept()
    desk.clock.advance(1)
    error = failed(accepting)
    assert isinstance(error, DatabaseUnavailable)
    assert error.msg == NOT_RECORDED
    assert not desk.broker.published


def test_what_the_store_refuses_to_keep_is_refused(desk: Around) -> None:
    desk.jobs.adding.error = BadRequest("the name cannot be stored")
    assert isinstance(failed(desk.accept()), BadRequest)


def test_what_cannot_be_sent_is_finished_as_failed(desk: Around, logged_errors: list[Any]) -> None:
    desk.broker.failing.error = broker_down()
    error = failed(desk.accept())
    assert isinstance(error, BrokerUnavailable)
    assert error.msg == NOT_SENT
    job = desk.jobs.jobs[1]
    assert (job.state, job.completed_at) == (JobState.FAILED, NOW)
    assert job.complete_data == {"body": {"errors": True, "msg": NOT_SENT}, "request_id": 1}
    assert not desk.jobs.sent_ids
    logged_errors.clear()


def test_what_an_agent_has_begun_counts_as_accepted(desk: Around, logged_errors: list[Any]) -> None:
    desk.broker.failing.error = broker_down()
    desk.jobs.faster = True
    assert result(desk.accept()) == 1
    assert desk.jobs.jobs[1].completed_at is None
    logged_errors.clear()


def test_with_broker_and_store_gone_nothing_is_promised(
    desk: Around, logged_errors: list[Any]
) -> None:
    desk.broker.failing.error = broker_down()
    desk.jobs.refusing.error = database_down()
    error = failed(desk.accept())
    assert isinstance(error, OutcomeUnknownError)
    assert "job 1" in error.msg
    assert desk.jobs.jobs[1].completed_at is None  # the outbox finishes it
    logged_errors.clear()


@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_a_job_that_is_sent_is_accepted_even_if_that_cannot_be_noted(
    desk: Around, how: str
) -> None:
    if how == "fails":
        desk.jobs.sending.error = database_down()
    else:
        desk.jobs.sending.held = Deferred()
    accepting = desk.accept()
    desk.clock.advance(1)
    assert result(accepting) == 1
    assert len(desk.broker.published) == 1
    assert desk.owed == [1], "it is to be noted later"


@pytest.mark.parametrize("stage", ["adding", "sending", "publishing"])
def test_a_job_goes_on_when_its_client_goes_away(desk: Around, stage: str) -> None:
    failing = desk.broker.failing if stage == "publishing" else getattr(desk.jobs, stage)
    held: Deferred[None] = Deferred()
    failing.held = held
    accepting = desk.accept()
    accepting.cancel()
    assert isinstance(failed(accepting), CancelledError)
    assert not held.called
    held.callback(None)
    assert desk.jobs.sent_ids == {1}
    assert len(desk.broker.published) == 1


def test_a_job_whose_client_is_gone_is_refused_like_any_other(
    desk: Around, logged_errors: list[Any]
) -> None:
    held: Deferred[None] = Deferred()
    desk.broker.failing.held = held
    desk.broker.failing.error = broker_down()
    accepting = desk.accept()
    accepting.cancel()
    assert isinstance(failed(accepting), CancelledError)
    held.callback(None)
    assert desk.jobs.jobs[1].state is JobState.FAILED
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_a_fault_after_the_client_is_gone_is_logged(
    desk: Around, logged_errors: list[dict[str, Any]]
) -> None:
    held: Deferred[None] = Deferred()
    desk.broker.failing.held = held
    desk.broker.failing.error = ZeroDivisionError()
    accepting = desk.accept()
    accepting.cancel()
    assert isinstance(failed(accepting), CancelledError)
    held.callback(None)
    (event,) = logged_errors
    assert event["log_failure"].check(ZeroDivisionError)
    logged_errors.clear()


def test_shielded_work_gives_its_result_and_its_failure() -> None:
    async def work(error: Exception | None) -> str:
        if error is not None:
            raise error
        return "done"

    assert result(ensureDeferred(shielded(work(None)))) == "done"
    assert isinstance(failed(ensureDeferred(shielded(work(Unavailable("x"))))), Unavailable)


@twisted_test()
async def test_a_refused_row_is_never_begun(tmp_path: Path, logged_errors: list[Any]) -> None:
    from twisted.internet import reactor

    database = open_database(
        f"sqlite:{tmp_path / 'jobs.sqlite'}",
        reactor=reactor,
        name="jobs",
        size=2,
        max_waiting=10,
        statement_seconds=5,
        max_rows=100,
    )
    try:
        await create_jobs_schema(database)
        store, broker = SQLJobStore(database), MemoryBroker()
        desk = JobDispatcher(store, broker, lambda: NOW, Deadline(reactor, 5), MemoryTrail())
        good = await desk.record(CancelBuild(11), "zoë")
        await desk.send(good)
        broker.failing.error = broker_down()
        with pytest.raises(BrokerUnavailable):
            await desk.send(await desk.record(CancelBuild(12), "zoë"))
        newest, oldest = await store.latest(10, 0)
        assert (oldest.id, oldest.state) == (good.request_id, JobState.QUEUED)
        assert (newest.state, newest.completed_at) == (JobState.FAILED, NOW)
        assert await store.begin(good.request_id, "agent", NOW)
        assert not await store.begin(newest.id, "agent", NOW)
    finally:
        await database.stopService()
    logged_errors.clear()


ODD = pymysql.OperationalError(1064, "an error that is no matter of being away")


@pytest.mark.parametrize("method", ["sending", "refusing", "publishing"])
def test_what_a_client_is_told_once_there_is_a_row_carries_the_id_of_the_job(
    desk: Around, logged_errors: list[Any], method: str
) -> None:
    if method == "publishing":
        desk.broker.failing.error = ZeroDivisionError()
    elif method == "refusing":
        desk.broker.failing.error = broker_down()
    failing = desk.broker.failing if method == "publishing" else getattr(desk.jobs, method)
    failing.error = failing.error or ODD
    if method == "sending":
        assert result(desk.accept()) == 1
        assert desk.owed == [1], "it runs, and is to be noted as sent later"
    else:
        error = failed(desk.accept())
        assert isinstance(error, BuildAPIError)
        assert error.job_id == 1
        assert error.document()["request_id"] == 1
    logged_errors.clear()


def test_a_fault_in_recording_is_told_as_never_executed(
    desk: Around, logged_errors: list[Any]
) -> None:
    desk.jobs.adding.error = ODD
    error = failed(desk.accept())
    assert isinstance(error, DatabaseUnavailable)
    assert (error.msg, error.job_id) == (NOT_RECORDED, None)
    assert not desk.broker.published
    logged_errors.clear()
