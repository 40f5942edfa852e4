"""Whatever number a database fails with, at whatever call: nothing is lost, and the id is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from buildapi.agent.reconciler import Reconciler
from buildapi.db.driver import ErrorKind
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.schema import create_jobs_schema
from buildapi.db.sql import ValueRefusedError
from buildapi.errors import BadRequest, BuildAPIError, DatabaseUnavailable, OutcomeUnknownError
from buildapi.model.actions import CancelRequest
from buildapi.model.records import JobRecord, JobState
from buildapi.mq.embedded import EmbeddedBroker
from buildapi.web.http.deadline import Deadline
from buildapi.web.selfserve.submission import NOT_RECORDED, JobDispatcher
from tests.agent.doubles import NOW, BrokerProxy, Rig, StoreProxy, msg, pending, reactor
from tests.db.faulty import SERVER, Faults, faulty_database
from tests.reactor import twisted_test, until

ACTION = CancelRequest(7)
NUMBERS = (1026, 1030, 1047, 1054, 1064, 1105, 1153, 1180, 1205, 1223, 1366, 1637, 2006, 4711)
"""Unknown ones, the statement's own fault, too large, locked, refused, lost."""

NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
"""Each example takes some of the pool's real pauses."""

STAGES = ("begin", "execute", "select", "commit")
TRIES = 3
"""How often a message is handled at most, as [agent] tries has it."""


async def life_of_a_job(number: int, stage: str, after: int, times: int) -> None:
    """Accept a job, carry it out, and settle it while calls of the jobs database fail."""
    faults = Faults()
    db = faulty_database(faults)
    await create_jobs_schema(db)
    broker = EmbeddedBroker(reactor())
    broker.startService()
    rig = Rig(db, BrokerProxy(broker, keeps_messages=True), StoreProxy(SQLJobStore(db)))
    rig.farm.add(pending(7))
    doubles: Any = (rig.store, rig.broker)
    outbox = Reconciler(Clock(), doubles[1], doubles[0], lambda: NOW + 600, rig.trail, rig.trail)
    desk = JobDispatcher(*doubles, lambda: NOW, Deadline(reactor(), 5), rig.trail, outbox._owed.add)
    try:
        faults.number, faults.stage, faults.after, faults.times = number, stage, after, times
        job, error = await _accept(desk)
        clock = Clock()
        rig.agent(clock)
        rig.finisher(clock)
        await _settled(rig, outbox, clock)
        faults.times = 0
        _judge(number, rig, job, error, [await rig.get(j.id) for j in await rig.store.latest(9, 0)])
    finally:
        await rig.close()


async def _accept(desk: JobDispatcher) -> tuple[int | None, BuildAPIError | None]:
    """Return the id that the sender is told, and the refusal; anything but those is a defect."""
    try:
        message = await desk.record(ACTION, "zoe")
    except BuildAPIError as e:
        return None, e
    try:
        await desk.send(message)
    except BuildAPIError as e:
        return e.job_id, e
    return message.request_id, None


async def _settled(rig: Rig, outbox: Reconciler, clock: Clock) -> None:
    """Let time pass until every row is finished and no message is left."""

    async def over() -> bool:
        clock.advance(15)
        try:
            await outbox._pay_once()
            await outbox.refuse_unsent(NOW + 300)
            rows = await rig.store.inner.latest(9, 0)
        except (BuildAPIError, ValueRefusedError, pymysql.MySQLError):
            return False
        depths = [await rig.broker.depth(q) for q in ("buildapi-agent", "buildapi-web")]
        return all(r.completed_at for r in rows) and not any(d.ready + d.unacked for d in depths)

    await until(over, 20)


def _passes(number: int) -> bool:
    """Return whether an error is of the server's condition, and not the statement's own fault."""
    verdict = SERVER.verdict(pymysql.OperationalError(number, ""))
    return verdict is not None and verdict.trouble is not ErrorKind.VALUE


def _judge(
    number: int, rig: Rig, job: int | None, error: BuildAPIError | None, rows: Sequence[JobRecord]
) -> None:
    effects = len(rig.farm.effects)
    if job is None:
        assert effects == 0
        refused = isinstance(error, BadRequest) and not _passes(number)
        assert refused or (isinstance(error, DatabaseUnavailable) and error.msg == NOT_RECORDED)
        assert all(row.state is JobState.FAILED for row in rows)
        return
    (row,) = rows
    assert row.id == job
    if error is None and row.state is JobState.FAILED and not _passes(number):
        assert "The agent failed, incident" in msg(row)
    elif error is None:
        assert (row.state, effects) == (JobState.DONE, 1)
    elif not isinstance(error, OutcomeUnknownError):
        assert (row.state, effects) == (JobState.FAILED, 0)


@twisted_test()
async def test_the_error_of_a_fault_carries_the_number_to_the_pool() -> None:
    db = faulty_database(Faults(1105, "select", 0, 100))
    try:
        with pytest.raises(DatabaseUnavailable, match="fails with error 1105"):
            await db.fetch("SELECT 1", {})
    finally:
        await db.stopService()


@settings(
    max_examples=20,
    phases=NO_SHRINKING,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    number=st.sampled_from(NUMBERS) | st.integers(1000, 4200),
    stage=st.sampled_from(STAGES),
    after=st.integers(0, 12),
    times=st.integers(1, 6),
)
@example(number=1030, stage="execute", after=4, times=5)  # sent
@example(number=1105, stage="commit", after=1, times=1)
@example(number=1064, stage="execute", after=4, times=1)
@twisted_test(30)
async def test_whatever_error_a_store_call_meets_nothing_is_lost_and_the_answer_carries_the_id(
    logged_errors: list[Any], number: int, stage: str, after: int, times: int
) -> None:
    # A fault of the statement itself that lasts is tried as often as it may be, and ends among the
    # dead letters, where the job is found again: tests/agent/test_dead_letter_review.py.
    lasting = times if _passes(number) else min(times, TRIES - 1)
    await life_of_a_job(number, stage, after, lasting)
    logged_errors.clear()
