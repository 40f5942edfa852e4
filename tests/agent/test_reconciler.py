"""No recorded job is forgotten: it is sent, or finished as failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from buildapi import tracing
from buildapi.agent.reconciler import (
    FULL_SECONDS,
    GRACE,
    INTERVAL,
    LAST_SECONDS,
    LOST_SECONDS,
    OWED_MAX,
    OWED_SECONDS,
    TOO_OLD,
    Reconciler,
    SweepLimits,
)
from buildapi.errors import BrokerUnavailable, DatabaseUnavailable
from buildapi.model.actions import CancelRequest, RebuildRequest, Reprioritize
from buildapi.model.ops import Heartbeat, Part, ProcessState
from buildapi.model.records import JobState
from tests.agent.doubles import NOW, Gate, Rig, msg
from tests.reactor import twisted_test, until


@attrs.define
class Sweeper:
    """An outbox on a clock that also tells the time of day."""

    rig: Rig
    clock: Clock = attrs.field(factory=Clock)
    outbox: Reconciler = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        broker: Any = self.rig.broker
        store: Any = self.rig.store
        self.outbox = Reconciler(
            self.clock,
            broker,
            store,
            lambda: NOW + self.clock.seconds(),
            self.rig.trail,
            self.rig.trail,
        )
        self.rig.services.append(self.outbox)

    async def swept(self, times: int = 1) -> None:
        """Wait until the outbox rests after so many sweeps."""
        calls = self.rig.store.script.calls
        for _ in range(times):
            await until(lambda: bool(self.clock.getDelayedCalls()))
            assert "unsettled" in calls
            self.clock.advance(INTERVAL)
        await until(lambda: bool(self.clock.getDelayedCalls()))


@pytest.fixture
def sweeper(rig: Rig) -> Sweeper:
    return Sweeper(rig)


UP = Reprioritize(7, 5)


@twisted_test()
async def test_a_job_not_known_to_be_sent_is_failed_after_the_grace(
    rig: Rig, sweeper: Sweeper
) -> None:
    rig.broker.keeps_messages = True
    job = await rig.record(UP)
    sweeper.outbox.startService()
    await sweeper.swept(int(GRACE / INTERVAL))
    assert (await rig.get(job)).completed_at is None
    await sweeper.swept()
    done = await rig.get(job)
    assert (done.state, msg(done)) == (JobState.FAILED, "Couldn't send message to broker")
    assert done.completed_at == NOW + GRACE + INTERVAL


@twisted_test()
async def test_a_job_is_not_failed_while_a_slow_process_may_still_send_it(
    rig: Rig, sweeper: Sweeper
) -> None:
    rig.broker.keeps_messages = True
    sweeper.outbox._limits = SweepLimits.of(answer_seconds=300, heartbeat_seconds=10)
    job = await rig.record(UP)
    sweeper.outbox.startService()
    await sweeper.swept(int(600 / INTERVAL))
    assert (await rig.get(job)).completed_at is None
    await sweeper.swept()
    assert (await rig.get(job)).state is JobState.FAILED


@twisted_test()
async def test_a_job_refused_so_is_not_executed_when_its_message_comes_after_all(
    rig: Rig, sweeper: Sweeper
) -> None:
    job = await rig.record(UP)
    await sweeper.outbox.refuse_unsent(NOW + 1)
    rig.agent()
    await rig.send(job, UP)
    await rig.idle()
    assert rig.farm.effects == []


@twisted_test()
async def test_a_job_that_was_sent_or_begun_is_not_failed(rig: Rig, sweeper: Sweeper) -> None:
    sent, begun = await rig.record(UP), await rig.record(UP)
    await rig.store.inner.sent(sent)
    await rig.store.inner.begin(begun, "agent-x", NOW)
    await sweeper.outbox.refuse_unsent(NOW + 1)
    assert (await rig.get(sent)).state is JobState.QUEUED
    assert (await rig.get(begun)).state is JobState.RUNNING


@twisted_test()
async def test_after_a_restart_of_a_forgetful_broker_all_that_was_sent_is_sent_again(
    rig: Rig,
) -> None:
    waiting = [await rig.submit(RebuildRequest(7, n)) for n in range(3)]
    begun = await rig.submit(UP)
    await rig.store.inner.begin(begun, "agent-x", NOW)
    over = await rig.record(UP)
    await rig.store.inner.finish(over, {"request_id": over, "body": {}}, NOW)
    queue = rig.broker.inner._queues["buildapi-agent"]
    queue.waiting.clear()  # as a restart does
    sweeper = Sweeper(rig)
    sweeper.outbox.startService()
    await sweeper.swept()
    rig.agent()
    rig.finisher()
    for job in (*waiting, begun):
        assert (await rig.finished(job)).state is JobState.DONE
    assert [job for job, _ in rig.farm.effects].count(over) == 0
    assert len(rig.farm.effects) == 4


@twisted_test()
async def test_what_was_never_sent_is_failed_after_such_a_restart_at_once(
    rig: Rig, sweeper: Sweeper
) -> None:
    """Nobody was told 202 for it, and perhaps 503, which promises that it is never done."""
    unsent = await rig.record(CancelRequest(8))
    sweeper.clock.advance(1)
    sweeper.outbox.startService()
    late = await rig.store.inner.add("zoe", NOW + 1, UP.name, {"brid": 7, "priority": 5})
    await until(lambda: bool(sweeper.clock.getDelayedCalls()))
    rig.agent()
    await rig.idle()
    assert (await rig.get(unsent)).state is JobState.FAILED
    assert (await rig.get(late)).state is JobState.QUEUED, "it is being accepted just now"
    assert rig.farm.effects == []


@twisted_test()
async def test_jobs_sent_again_while_their_message_is_in_hand_are_done_once(
    rig: Rig, sweeper: Sweeper
) -> None:
    gate = Gate()
    rig.farm.script.plan("written", gate)
    rig.agent()
    rig.finisher()
    job = await rig.submit(UP)
    await until(lambda: "written" in rig.farm.script.calls)
    await sweeper.outbox.resend()
    gate.callback(None)
    await rig.finished(job)
    await rig.idle()
    assert len(rig.farm.effects) == 1


@twisted_test()
async def test_a_job_sent_again_keeps_the_id_of_its_request(rig: Rig, sweeper: Sweeper) -> None:
    with tracing.about("rid-7"):
        job = await rig.record(UP)
        rig.trail.note(job, Part.HTTP, "recorded")
    await rig.store.inner.sent(job)
    await sweeper.outbox.resend()
    rig.agent()
    rig.finisher()
    await rig.finished(job)
    assert rig.trail.events(job)[:3] == ["recorded", "sent again", "taken"]
    assert {entry.trace for entry in rig.trail.noted} == {"rid-7"}
    assert tracing.trace() == ""


@twisted_test()
async def test_a_broker_that_keeps_its_messages_is_sent_nothing_again(
    rig: Rig, sweeper: Sweeper
) -> None:
    rig.broker.keeps_messages = True
    await rig.store.inner.sent(await rig.record(UP))
    sweeper.outbox.startService()
    await sweeper.swept()
    assert rig.broker.script.calls == []


@twisted_test()
async def test_a_job_that_cannot_be_sent_again_is_failed(rig: Rig, sweeper: Sweeper) -> None:
    jobs = [
        await rig.store.inner.add("zoe", NOW, name, body)
        for name, body in (
            ("make_coffee", {}),
            ("reprioritize", {"brid": 7}),
            ("cancel_build", {"bid": 0}),
        )
    ]
    for job in jobs:
        await rig.store.inner.sent(job)
    await sweeper.outbox.resend()
    assert [
        msg(await rig.get(job)).removeprefix("Couldn't send message to broker: ") for job in jobs
    ] == [
        "unknown action 'make_coffee'",
        "reprioritize without priority",
        "bid must be a whole number from 1 to 2147483647",
    ]


@pytest.mark.parametrize(
    "fail",
    [
        lambda rig: rig.store.script.plan("unsettled", DatabaseUnavailable("away")),
        lambda rig: rig.broker.script.plan("publish", BrokerUnavailable("away")),
    ],
    ids=["database", "broker"],
)
@twisted_test()
async def test_what_is_away_delays_a_sweep(
    rig: Rig, sweeper: Sweeper, fail: Callable[[Rig], None]
) -> None:
    job = await rig.record(UP)
    await rig.store.inner.sent(job)
    fail(rig)
    sweeper.outbox.startService()
    await sweeper.swept(2)
    rig.agent()
    rig.finisher()
    await rig.finished(job)


@twisted_test()
async def test_an_error_nobody_expected_does_not_end_the_sweeps(
    rig: Rig, sweeper: Sweeper, logged_errors: list[Any]
) -> None:
    rig.store.script.plan("unsettled", ZeroDivisionError())
    job = await rig.record(UP)
    await rig.store.inner.sent(job)
    sweeper.outbox.startService()
    await sweeper.swept(2)
    assert len(logged_errors) == 1
    logged_errors.clear()
    assert rig.broker.script.calls.count("published") == 1
    assert (await rig.get(job)).completed_at is None


@twisted_test()
async def test_it_sweeps_at_the_start_and_every_half_minute(rig: Rig, sweeper: Sweeper) -> None:
    rig.broker.keeps_messages = True
    job = await rig.record(UP)
    sweeper.outbox.startService()
    await sweeper.swept(1 + int(GRACE / INTERVAL))
    assert rig.store.script.calls.count("unsettled") == 4
    assert (await rig.get(job)).state is JobState.FAILED


@twisted_test()
async def test_stopping_ends_the_sweeps(rig: Rig, sweeper: Sweeper) -> None:
    sweeper.outbox.startService()
    await sweeper.swept()
    sweeper.outbox.stopService()
    assert sweeper.clock.getDelayedCalls() == []


@twisted_test()
async def test_stopping_ends_a_sweep_under_way(rig: Rig, sweeper: Sweeper) -> None:
    rig.store.script.plan("unsettled", Gate())
    sweeper.outbox.startService()
    sweeper.outbox.stopService()
    assert sweeper.clock.getDelayedCalls() == []


@twisted_test()
async def test_what_was_sent_is_recorded_once_the_database_takes_it(
    rig: Rig, sweeper: Sweeper
) -> None:
    """Its sender was told 202: it must not be taken for one that was never sent."""
    job = await rig.record(UP)
    rig.store.script.plan("sent", DatabaseUnavailable("away"), DatabaseUnavailable("away"))
    sweeper.outbox.owe(job)
    for _ in range(2):
        sweeper.clock.advance(OWED_SECONDS)
        await sweeper.outbox.refuse_unsent(NOW + 1)
        assert (await rig.get(job)).state is JobState.QUEUED
    sweeper.clock.advance(OWED_SECONDS)
    await until(lambda: not sweeper.clock.getDelayedCalls())
    await sweeper.outbox.refuse_unsent(NOW + 1)
    assert (await rig.get(job)).state is JobState.QUEUED
    assert rig.store.script.calls.count("sent") == 3


@twisted_test()
async def test_what_was_sent_is_recorded_before_the_process_ends(
    rig: Rig, sweeper: Sweeper
) -> None:
    job = await rig.record(UP)
    sweeper.outbox.startService()
    sweeper.outbox.owe(job)
    await sweeper.outbox.stopService()
    assert not sweeper.clock.getDelayedCalls()
    await sweeper.outbox.refuse_unsent(NOW + 1)
    assert (await rig.get(job)).state is JobState.QUEUED


@twisted_test()
async def test_what_is_being_recorded_when_the_process_ends_is_recorded_anew(
    rig: Rig, sweeper: Sweeper
) -> None:
    jobs = [await rig.record(UP) for _ in range(2)]
    rig.store.script.plan("sent", Gate())
    for job in jobs:
        sweeper.outbox.owe(job)
    sweeper.clock.advance(OWED_SECONDS)
    await until(lambda: "sent" in rig.store.script.calls)
    await sweeper.outbox.stopService()
    assert rig.store.script.calls.count("sent") == 3, "one was cancelled, then both"
    assert not sweeper.clock.getDelayedCalls()
    await sweeper.outbox.refuse_unsent(NOW + 1)
    assert [(await rig.get(job)).state for job in jobs] == [JobState.QUEUED] * 2


@twisted_test()
async def test_what_cannot_be_recorded_at_the_end_is_told(
    rig: Rig, sweeper: Sweeper, logged_errors: list[dict[str, Any]]
) -> None:
    jobs = [await rig.record(UP) for _ in range(3)]
    rig.store.script.plan("sent", Gate())
    for job in jobs:
        sweeper.outbox.owe(job)
    ended = sweeper.outbox.stopService()
    await until(lambda: "sent" in rig.store.script.calls)
    sweeper.clock.advance(LAST_SECONDS)
    await ended
    assert [event["id"] for event in logged_errors] == jobs
    logged_errors.clear()


@twisted_test()
async def test_a_database_that_is_back_leaves_others_time_to_record_what_they_sent(
    rig: Rig, sweeper: Sweeper
) -> None:
    rig.broker.keeps_messages = True
    job = await rig.record(UP)
    sweeper.clock.advance(GRACE + 1)
    rig.store.script.plan("unsettled", DatabaseUnavailable("away"))
    sweeper.outbox.startService()
    await sweeper.swept()
    assert sweeper.outbox.sweeps == 1
    assert (await rig.get(job)).state is JobState.QUEUED
    await sweeper.swept()
    assert (await rig.get(job)).state is JobState.FAILED


@twisted_test(20)
async def test_so_many_are_noted_later_and_stopping_ends_that(
    rig: Rig, sweeper: Sweeper, logged_errors: list[dict[str, Any]]
) -> None:
    sweeper.outbox.startService()
    for job in range(OWED_MAX + 1):
        sweeper.outbox.owe(job)
    assert len(logged_errors) == 1
    logged_errors.clear()
    await sweeper.outbox.stopService()
    assert not sweeper.clock.getDelayedCalls()


# --- many, and lost ones --------------------------------------------------------------------


@attrs.define
class Agents:
    """A roster of agents: what each has in hand."""

    hands: list[list[int]] = attrs.field(factory=list)
    at: float = NOW

    async def processes(self) -> list[Heartbeat]:
        return [
            Heartbeat(
                instance=str(n),
                name="host",
                pid=n,
                version="1",
                roles=("agent",),
                state=ProcessState.RUNNING,
                started_at=NOW,
                beat_at=int(self.at),
                in_hand=len(jobs),
                jobs=jobs,
            )
            for n, jobs in enumerate(self.hands)
        ]


@twisted_test(30)
async def test_a_start_with_more_unfinished_jobs_than_the_broker_holds_takes_all_up_in_order(
    rig: Rig,
) -> None:
    jobs = [await rig.record(Reprioritize(7, n)) for n in range(40)]
    for job in jobs:
        await rig.store.inner.sent(job)
    rig.broker.inner.max_messages = 5
    sweeper = Sweeper(rig)
    resending = ensureDeferred(sweeper.outbox.resend())
    await until(lambda: bool(sweeper.clock.getDelayedCalls()))
    assert (await rig.broker.depth("buildapi-agent")).ready == 5
    rig.agent(prefetch=1)
    rig.finisher()

    async def taken_up() -> bool:
        sweeper.clock.advance(FULL_SECONDS)
        return resending.called

    await until(taken_up, 20)
    for job in jobs:
        assert (await rig.finished(job)).state is JobState.DONE
    assert [job for job, _ in rig.farm.effects] == jobs
    assert not sweeper.clock.getDelayedCalls()


@twisted_test()
async def test_pages_of_unfinished_jobs_are_read_one_after_the_other(rig: Rig) -> None:
    jobs = [await rig.record(UP) for _ in range(5)]
    found, after = [], 0
    while page := await rig.store.inner.unsettled(sent=False, before=NOW + 1, limit=2, after=after):
        found += [job.id for job in page]
        after = page[-1].id
    assert found == jobs


def driver(rig: Rig, agents: Agents) -> Sweeper:
    """Make an outbox that knows who is there, long after the jobs were recorded."""
    sweeper = Sweeper(rig)
    sweeper.outbox._roster = agents
    sweeper.clock.advance(LOST_SECONDS + 1)
    agents.at = NOW + sweeper.clock.seconds()
    return sweeper


@twisted_test()
async def test_a_job_whose_queue_was_deleted_is_driven_again_and_ends(rig: Rig) -> None:
    job = await rig.submit(UP)
    rig.broker.inner._queues["buildapi-agent"].waiting.clear()  # as a deletion does
    sweeper = driver(rig, Agents([[]]))
    await sweeper.outbox.drive_lost()
    assert (await rig.broker.depth("buildapi-agent")).ready == 0, "not before it was so twice"
    await sweeper.outbox.drive_lost()
    rig.agent()
    rig.finisher()
    assert (await rig.finished(job)).state is JobState.DONE
    assert len(rig.farm.effects) == 1


@twisted_test()
async def test_a_job_is_lost_only_when_agents_with_slow_heartbeats_had_time_to_say_otherwise(
    rig: Rig,
) -> None:
    await rig.submit(UP)
    queue = rig.broker.inner._queues["buildapi-agent"]
    queue.waiting.clear()
    sweeper = driver(rig, agents := Agents([[]]))
    sweeper.outbox._limits = SweepLimits.of(answer_seconds=5, heartbeat_seconds=300)
    agents.at -= 890  # seconds ago, for which SILENT_SECONDS is too short
    for seconds, sent in ((0, 0), (590, 0), (11, 1)):
        sweeper.clock.advance(seconds)
        agents.at += seconds
        await sweeper.outbox.drive_lost()
        assert len(queue.waiting) == sent


@twisted_test()
async def test_a_job_that_is_done_and_whose_report_was_lost_ends_without_another_effect(
    rig: Rig,
) -> None:
    rig.agent()
    job = await rig.submit(UP)

    async def reported() -> bool:
        return (await rig.broker.depth("buildapi-web")).ready == 1

    await until(reported)
    rig.broker.inner._queues["buildapi-web"].waiting.clear()
    sweeper = driver(rig, Agents([[]]))
    await sweeper.outbox.drive_lost()
    await sweeper.outbox.drive_lost()
    rig.finisher()
    assert (await rig.finished(job)).state is JobState.DONE
    assert len(rig.farm.effects) == 1


@pytest.mark.parametrize("why", ["in hand", "waiting", "no agent", "old agent", "young"])
@twisted_test()
async def test_a_job_that_may_be_somewhere_is_not_driven_again(rig: Rig, why: str) -> None:
    job = await rig.submit(UP)
    queue = rig.broker.inner._queues["buildapi-agent"]
    if why != "waiting":
        queue.waiting.clear()
    agents = {"in hand": [[job]], "no agent": []}.get(why, [[]])
    sweeper = driver(rig, Agents(agents))
    if why == "young":
        sweeper.outbox._now = lambda: NOW + 5
    if why == "old agent":
        rig.farm.script.plan("read", Gate())
        rig.agent()
        rig.agent()
        sweeper.outbox._roster = Agents([[]], at=NOW + sweeper.clock.seconds())
    for _ in range(3):
        await sweeper.outbox.drive_lost()
    assert len(queue.waiting) == (1 if why == "waiting" else 0)


@pytest.mark.parametrize("why", ["tries", "age"])
@twisted_test()
async def test_a_job_that_is_lost_again_and_again_or_too_old_ends_as_failed(
    rig: Rig, why: str
) -> None:
    job = await rig.submit(UP)
    sweeper = driver(rig, agents := Agents([[]]))
    if why == "age":
        sweeper.clock.advance(TOO_OLD)
        agents.at = NOW + sweeper.clock.seconds()
    for _ in range(9):
        rig.broker.inner._queues["buildapi-agent"].waiting.clear()
        await sweeper.outbox.drive_lost()
    done = await rig.get(job)
    assert done.state is JobState.FAILED
    expected = "sent again 3 times" if why == "tries" else "within 7 days"
    assert expected in msg(done)
