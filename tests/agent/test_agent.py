"""Jobs are carried out exactly once, in order, and reported, whatever ends in between."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from buildapi.agent.retry import PATIENCE
from buildapi.buildbot.v08.lowered_plan import BuildsetRow, Recorded, lowered
from buildapi.db.sql import ValueRefusedError
from buildapi.errors import (
    BadRequest,
    BrokerUnavailable,
    DatabaseUnavailable,
    UnclassifiedError,
    Unconfirmed,
)
from buildapi.jobs.decide import decide
from buildapi.model.actions import (
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.messages import DeadLetter, Delivery, Nack
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import JobState, RequestBuild
from buildapi.model.steps import SetPriority, StopBuild
from buildapi.model.wire import REQUESTS, JobMessage, encode_request, item_data
from tests.agent.doubles import NOW, REVISION, Gate, Rig, msg, pending, planned_for, stored
from tests.model.defaults import rules
from tests.model.values import MASTER, claimed
from tests.reactor import twisted_test, until

AWAY = DatabaseUnavailable("the database is away")
ODD = UnclassifiedError("the database fails with error 1105")
UP = Reprioritize(7, 5)
ONE, TWO = RequestBuild(41, 9, 7, NOW, None), RequestBuild(42, 31, 7, NOW + 2, None)
RUNNING = stored(claimed(id=7), BuildsetRow(55), (ONE, TWO))


def stop(build: RequestBuild) -> StopBuild:
    return StopBuild(build.id, 7, build.number, "linux", build.start_time, "abcdef012345", MASTER)


@pytest.fixture
def desk(rig: Rig) -> Rig:
    """Add a finisher to the rig."""
    rig.finisher()
    return rig


# --- a job ----------------------------------------------------------------------------------


@twisted_test()
async def test_a_job_is_carried_out_and_reported(desk: Rig) -> None:
    agent = desk.agent()
    job = await desk.submit(UP)
    done = await desk.finished(job)
    assert desk.farm.effects == [(job, SetPriority(7, 5))]
    assert done.state is JobState.DONE
    assert done.completed_at == NOW + 1
    assert desk.changed == [(None, REVISION)]
    assert done.complete_data == {
        "body": {"errors": False, "msg": "Ok"},
        "request_id": job,
        "items": [{"state": "done", "detail": "priority set from 3 to 5", "request_id": 7}],
        "agent": agent._agent_name,
    }
    await desk.idle()
    assert desk.farm.markers[job].outcome is not None


@twisted_test()
async def test_a_job_in_hand_is_running_under_the_name_of_its_agent(desk: Rig) -> None:
    gate = Gate()
    desk.farm.script.plan("write", gate)
    agent = desk.agent()
    job = await desk.submit(UP)
    await until(lambda: "write" in desk.farm.script.calls)
    record = await desk.get(job)
    assert (record.state, record.agent) == (JobState.RUNNING, agent._agent_name)
    gate.callback(None)
    await desk.finished(job)


@twisted_test()
async def test_a_job_there_is_nothing_to_do_for_needs_no_marker(desk: Rig) -> None:
    desk.agent()
    job = await desk.submit(Reprioritize(99, 5))
    done = await desk.finished(job)
    assert (done.state, msg(done)) == (JobState.FAILED, "No request with that id")
    assert desk.farm.markers == {}


def named(step: Any) -> str:
    """Write a step as text, without the id that builds of each decision have of their own."""
    return re.sub(r"[0-9a-f]{32}", "ID", str(step))


# --- exactly once ---------------------------------------------------------------------------

CRASHES = {
    "before the write": ("farm", "write"),
    "after the write": ("farm", "written"),
    "while it pokes": ("farm", "poke"),
    "before the outcome is settled": ("farm", "settle"),
    "before the report": ("broker", "publish"),
    "between report and acknowledgement": ("broker", "published"),
}


@pytest.mark.parametrize("where", CRASHES)
@pytest.mark.parametrize(
    "action",
    [
        UP,
        RebuildRequest(7, 1, 3),
        CancelRequest(7),
        CancelRevision("try", REVISION),
        NewBuild("try", "abcdef"),
        NewPGOBuild("try", "abcdef"),
        NewBuilderBuild("try-selfserve", "abcdef", "Linux try build", files=["x"]),
    ],
    ids=lambda a: a.name,
)
@twisted_test()
async def test_an_agent_that_dies_leaves_a_job_to_the_next_and_nothing_happens_twice(
    desk: Rig, where: str, action: Any
) -> None:
    part, method = CRASHES[where]
    planned = await planned_for(desk.farm, action)
    if method == "poke" and not planned.pokes:
        method = "settle"
    script = desk.farm.script if part == "farm" else desk.broker.script
    script.plan(method, Gate())  # which never opens
    first = desk.agent()
    job = await desk.submit(action)
    await until(lambda: method in script.calls)
    await desk.kill(first)
    desk.agent()
    done = await desk.finished(job)
    await desk.idle()
    assert done.state is JobState.DONE
    assert len(desk.farm.effects) == len(planned.writes)
    assert {str(step) for _, step in desk.farm.poked} == {str(step) for step in planned.pokes}
    assert desk.dead() == desk.dead("buildapi-web") == []


@twisted_test()
async def test_a_message_that_comes_twice_is_done_once(desk: Rig) -> None:
    desk.agent()
    job = await desk.record(UP)
    for _ in range(4):
        await desk.send(job, UP)
    await desk.finished(job)
    await desk.idle()
    await desk.send(job, UP)
    await desk.idle()
    assert len(desk.farm.effects) == 1


@twisted_test()
async def test_two_agents_do_a_doubled_message_once(desk: Rig) -> None:
    gate = Gate()
    desk.farm.script.plan("written", gate)
    clock = Clock()
    desk.agent(prefetch=1)
    job = await desk.record(UP)
    await desk.send(job, UP)
    await until(lambda: "written" in desk.farm.script.calls)
    desk.agent(clock, prefetch=1)
    await desk.broker.inner.publish(
        REQUESTS, json.dumps(message(job)).encode(), message_id="another id"
    )
    done = await desk.finished(job, clock)
    gate.callback(None)
    await desk.idle()
    assert len(desk.farm.effects) == 1
    assert done.state is JobState.DONE


def message(job: int, **changes: Any) -> dict[str, Any]:
    body = {"request_id": job, "when": NOW, "brid": 7, "priority": 5}
    return {"action": "reprioritize", "who": "zoe", "body": body} | changes


@twisted_test()
async def test_a_finished_job_is_not_executed(desk: Rig) -> None:
    job = await desk.record(UP)
    await desk.store.inner.finish(job, {"request_id": job, "body": {}}, NOW)
    await desk.send(job, UP)
    desk.agent()
    await desk.idle()
    assert "write" not in desk.farm.script.calls
    assert desk.dead() == []


@twisted_test()
async def test_a_refused_job_is_never_executed(desk: Rig) -> None:
    job = await desk.record(UP)
    assert await desk.store.inner.refuse(job, {"request_id": job, "body": {"errors": True}}, NOW)
    await desk.send(job, UP)
    desk.agent()
    await desk.idle()
    assert desk.farm.effects == []
    assert (await desk.get(job)).state is JobState.FAILED


@twisted_test()
async def test_a_job_nobody_recorded_is_put_aside(desk: Rig) -> None:
    desk.agent()
    await desk.send(4711, UP)
    await desk.idle()
    assert desk.dead() == ["there is no job 4711"]
    assert desk.farm.effects == []


@twisted_test()
async def test_a_job_cut_short_without_transactions_is_not_repeated(desk: Rig) -> None:
    job = await desk.record(CancelRequest(7))
    desk.farm.markers[job] = Recorded(
        lowered(decide(CancelRequest(7), pending(7), "zoe", rules()), None), whole=False
    )
    await desk.send(job, CancelRequest(7))
    desk.agent()
    done = await desk.finished(job)
    assert msg(done).startswith("An agent died while it wrote this job")
    assert done.state is JobState.FAILED
    assert (desk.farm.effects, desk.farm.poked) == ([], [])


# --- malformed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"who": None}, "no who"),
        ({"action": "make_coffee"}, "unknown action 'make_coffee'"),
        ({"action": "cancel_build"}, "cancel_build without bid"),
    ],
)
@twisted_test()
async def test_a_malformed_job_is_put_aside_and_its_row_finished(
    desk: Rig, logged_errors: list[Any], changes: dict[str, Any], reason: str
) -> None:
    desk.agent()
    job = await desk.record(UP)
    data = json.dumps(message(job, **changes)).encode()
    await desk.broker.inner.publish(REQUESTS, data, message_id="m")
    done = await desk.finished(job)
    await desk.idle()
    assert desk.dead() == [reason]
    assert done.state is JobState.FAILED
    assert msg(done) == f"The job request could not be read: {reason}"
    assert len(logged_errors) == 1
    logged_errors.clear()


# --- whose a message is ----------------------------------------------------------------------


def forged(job: int, **changes: Any) -> dict[str, Any]:
    """Return the message of a job with other values in it; those of its body by their names."""
    said = message(job)
    body = said["body"] | {k: v for k, v in changes.items() if k in ("priority", "brid", "when")}
    return said | {k: v for k, v in changes.items() if k not in body} | {"body": body}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"who": "mallory"}, "who"),
        ({"action": "cancel_request"}, "action"),
        ({"priority": 6}, "what"),
        ({"brid": 8}, "what"),
        ({"when": NOW - 3600}, "when"),
        ({"identity": "0" * 32}, "identity"),
    ],
)
@twisted_test()
async def test_a_message_that_differs_from_the_row_of_its_job_is_put_aside_and_the_job_left_alone(
    desk: Rig, logged_errors: list[Any], changes: dict[str, Any], what: str
) -> None:
    """Neither obeyed nor the end of the job: its own message is carried out afterwards."""
    desk.agent()
    job = await desk.record(UP)
    data = json.dumps(forged(job, **changes)).encode()
    await desk.broker.inner.publish(REQUESTS, data, message_id="m")
    await desk.idle()
    assert desk.dead() == [f"not the message of job {job}: its {what} differs"]
    assert (desk.farm.effects, (await desk.get(job)).completed_at) == ([], None)
    assert len(logged_errors) == 1
    logged_errors.clear()
    await desk.send(job, UP)
    assert (await desk.finished(job)).state is JobState.DONE
    assert desk.farm.effects == [(job, SetPriority(7, 5))]


@pytest.mark.parametrize(
    "changes",
    [
        {"who": None, "brid": 8},
        {"who": "mallory", "action": "make_coffee"},
        {"action": "make_coffee", "when": NOW - 3600},
        {"action": "make_coffee", "identity": "0" * 32},
        {"who": None, "body": {}},
    ],
)
@twisted_test()
async def test_a_malformed_message_that_is_not_of_the_job_does_not_finish_it(
    desk: Rig, logged_errors: list[Any], changes: dict[str, Any]
) -> None:
    desk.agent()
    job = await desk.record(UP)
    said = forged(job, **{k: v for k, v in changes.items() if k != "body"})
    if "body" in changes:
        said["body"] = {"request_id": job}
    await desk.broker.inner.publish(REQUESTS, json.dumps(said).encode(), message_id="m")
    await desk.idle()
    assert len(desk.dead()) == 1
    assert (await desk.get(job)).completed_at is None
    logged_errors.clear()


@twisted_test()
async def test_a_job_that_an_agent_has_in_hand_is_not_finished_by_a_malformed_message(
    desk: Rig, logged_errors: list[Any]
) -> None:
    gate = Gate()
    desk.farm.script.plan("write", gate)
    desk.agent()
    job = await desk.submit(UP)
    await until(lambda: "write" in desk.farm.script.calls)
    data = json.dumps(message(job, action="make_coffee")).encode()
    await desk.broker.inner.publish(REQUESTS, data, message_id="m")
    await until(lambda: desk.dead() != [])
    assert (await desk.get(job)).state is JobState.RUNNING
    gate.callback(None)
    assert (await desk.finished(job)).state is JobState.DONE
    logged_errors.clear()


@twisted_test()
async def test_a_message_of_an_older_web_process_without_identity_is_carried_out(desk: Rig) -> None:
    desk.agent()
    job = await desk.record(UP)
    data = json.dumps(message(job)).encode()
    await desk.broker.inner.publish(REQUESTS, data, message_id="m")
    assert (await desk.finished(job)).state is JobState.DONE


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "interrupted"])
@pytest.mark.parametrize(
    "action",
    [
        UP,
        RebuildRequest(7, 1, 3),
        RebuildBuild(41),
        CancelRequest(7),
        CancelBuild(41),
        CancelRevision("try", REVISION),
        NewBuild("try", "abcdef"),
        NewPGOBuild("try", "abcdef"),
        NewNightly("try", "abcdef"),
        NewBuilderBuild("try-selfserve", "abcdef", "Linux try build", files=["x"]),
    ],
    ids=lambda a: a.name,
)
@twisted_test()
async def test_a_job_whose_id_was_used_before_is_done_and_not_called_done(
    desk: Rig, action: Any, settled: bool
) -> None:
    """The marker of another job with the same id, of before a restore, is no success."""
    if isinstance(action, CancelBuild | RebuildBuild):
        desk.farm.add(attrs.evolve(RUNNING, tries=[ONE]))
    planned = await planned_for(desk.farm, action)
    job = await desk.record(action)
    outcome = Outcome(False, "Ok of another job") if settled else None
    desk.farm.markers[job] = Recorded(
        lowered(decide(UP, pending(7), "zoe", rules()), None), outcome
    )
    desk.farm.owners[job] = "f" * 32
    desk.agent()
    await desk.send(job, action)
    done = await desk.finished(job)
    assert done.state is JobState.DONE
    assert "another job" not in msg(done)
    assert [named(w) for _, w in desk.farm.effects] == [named(w) for w in planned.writes]
    assert [str(step) for _, step in desk.farm.poked] == [str(step) for step in planned.pokes]


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"body": {}}', b"[" * 100_000])
@twisted_test()
async def test_what_is_no_job_at_all_is_put_aside(
    desk: Rig, logged_errors: list[Any], data: bytes
) -> None:
    desk.agent()
    await desk.broker.inner.publish(REQUESTS, data, message_id="m")
    await desk.idle()
    assert len(desk.dead()) == 1
    assert len(logged_errors) == 1
    logged_errors.clear()


# --- things that are away -------------------------------------------------------------------


@pytest.mark.parametrize("method", ["read", "recall", "write", "settle"])
@twisted_test()
async def test_a_scheduler_database_away_for_minutes_loses_nothing(desk: Rig, method: str) -> None:
    clock = Clock()
    desk.farm.script.plan(method, *[AWAY] * 12)
    desk.agent(clock)
    job = await desk.submit(UP)
    done = await desk.finished(job, clock)
    assert done.state is JobState.DONE
    assert len(desk.farm.effects) == 1
    assert clock.seconds() > 60
    assert desk.dead() == []


@twisted_test()
async def test_a_write_whose_answer_is_lost_is_not_written_again(desk: Rig) -> None:
    clock = Clock()
    desk.farm.script.plan("written", AWAY)
    desk.agent(clock)
    done = await desk.finished(await desk.submit(CancelRequest(7)), clock)
    assert done.state is JobState.DONE
    assert (len(desk.farm.effects), len(desk.farm.poked)) == (1, 1)


@pytest.mark.parametrize("method", ["begin", "finish"])
@twisted_test()
async def test_a_jobs_database_away_for_minutes_loses_nothing(rig: Rig, method: str) -> None:
    clock = Clock()
    rig.store.script.plan(method, *[AWAY] * 12)
    rig.agent(clock)
    rig.finisher(clock)
    job = await rig.submit(UP)
    done = await rig.finished(job, clock)
    assert done.state is JobState.DONE
    assert len(rig.farm.effects) == 1
    assert clock.seconds() > 60


@twisted_test()
async def test_a_broker_away_while_reporting_delays_the_report_and_repeats_nothing(
    desk: Rig,
) -> None:
    clock = Clock()
    desk.broker.script.plan("publish", *[BrokerUnavailable("no")] * 5)
    desk.broker.script.plan("published", BrokerUnavailable("no confirm came"))
    desk.agent(clock)
    job = await desk.submit(UP)
    assert (await desk.finished(job, clock)).state is JobState.DONE
    assert desk.broker.script.calls.count("publish") >= 6
    assert len(desk.farm.effects) == 1


@twisted_test()
async def test_a_job_that_waits_too_long_goes_back_to_its_queue(desk: Rig) -> None:
    clock = Clock()
    desk.farm.script.plan("read", *[AWAY] * 500)
    agent = desk.agent(clock)
    await desk.submit(UP)
    await until(lambda: bool(clock.getDelayedCalls()))
    clock.pump([10] * int(PATIENCE / 10))
    assert clock.getDelayedCalls() == []
    asked = len(desk.farm.script.calls)
    clock.pump([10] * 10)
    assert len(desk.farm.script.calls) == asked
    await agent.stopService()
    assert (await desk.broker.depth("buildapi-agent")).ready == 1


@twisted_test()
async def test_jobs_that_wait_are_left_at_once_when_the_agent_stops(desk: Rig) -> None:
    clock = Clock()
    desk.farm.script.plan("read", *[AWAY] * 5)
    agent = desk.agent(clock)
    job = await desk.submit(UP)
    await until(lambda: bool(clock.getDelayedCalls()))
    await agent.stopService()
    assert clock.getDelayedCalls() == []
    assert (await desk.broker.depth("buildapi-agent")).ready == 1
    desk.farm.script.ahead.clear()
    desk.agent()
    await desk.finished(job)


# --- order ----------------------------------------------------------------------------------


def priorities(rig: Rig) -> list[int]:
    return [w.priority for _, w in rig.farm.effects if isinstance(w, SetPriority)]


@twisted_test()
async def test_jobs_on_one_request_keep_their_order(desk: Rig) -> None:
    first, third = Gate(), Gate()
    desk.farm.script.plan("write", first, None, None, third)
    desk.agent()
    jobs = [await desk.submit(Reprioritize(7, n)) for n in range(10)]
    await desk.finished(await desk.submit(Reprioritize(8, 99)))
    first.callback(None)
    await until(lambda: desk.farm.script.calls.count("write") == 4)
    third.callback(None)
    for job in jobs:
        await desk.finished(job)
    assert priorities(desk) == [99, *range(10)]


@twisted_test()
async def test_a_job_on_the_same_request_does_not_wait_for_the_report_of_the_one_before(
    desk: Rig,
) -> None:
    confirm = Gate()
    desk.broker.script.plan("published", confirm)
    desk.agent()
    first = await desk.submit(Reprioritize(7, 1))
    await desk.finished(await desk.submit(Reprioritize(7, 2)))
    assert priorities(desk) == [1, 2]
    assert "published" in desk.broker.script.calls
    confirm.callback(None)
    await desk.finished(first)


@twisted_test()
async def test_rebuilds_of_one_request_do_not_wait_for_each_other_but_others_do(desk: Rig) -> None:
    first = Gate()
    desk.farm.script.plan("write", first)
    desk.agent()
    jobs = [await desk.submit(RebuildRequest(7))]
    await until(lambda: "write" in desk.farm.script.calls)
    await desk.finished(await desk.submit(RebuildRequest(7)))
    jobs += [await desk.submit(UP), await desk.submit(RebuildRequest(7))]
    await desk.finished(await desk.submit(Reprioritize(8, 99)))
    assert desk.farm.script.calls.count("write") == 3
    first.callback(None)
    for job in jobs:
        await desk.finished(job)
    assert priorities(desk) == [99, UP.priority]


@pytest.mark.parametrize("method", ["recall", "write", "settle"])
@twisted_test()
async def test_jobs_on_one_request_keep_their_order_when_the_first_has_to_wait(
    desk: Rig, method: str
) -> None:
    clock = Clock()
    desk.farm.script.plan(method, *[AWAY] * 4)
    desk.agent(clock)
    jobs = [await desk.submit(Reprioritize(7, n)) for n in range(3)]
    for job in jobs:
        await desk.finished(job, clock)
    assert priorities(desk) == [0, 1, 2]


@twisted_test()
async def test_jobs_on_different_requests_run_at_once(desk: Rig) -> None:
    gate = Gate()
    desk.farm.script.plan("write", gate)
    desk.agent()
    slow = await desk.submit(Reprioritize(7, 1))
    await until(lambda: "write" in desk.farm.script.calls)
    behind = await desk.submit(Reprioritize(7, 2))
    quick = await desk.submit(Reprioritize(8, 3))
    await desk.finished(quick)
    assert (await desk.get(behind)).completed_at is None
    gate.callback(None)
    for job in (slow, behind):
        await desk.finished(job)
    assert priorities(desk) == [3, 1, 2]


@twisted_test()
async def test_a_build_and_its_request_are_one_thing(desk: Rig) -> None:
    desk.farm.add(RUNNING)
    gate = Gate()
    desk.farm.script.plan("poke", gate)
    desk.agent()
    first = await desk.submit(CancelBuild(41))
    await until(lambda: "poke" in desk.farm.script.calls)
    second = await desk.submit(CancelRequest(7))
    later = await desk.submit(Reprioritize(8, 5))
    await desk.finished(later)
    assert [job for job, _ in desk.farm.effects] == [later]
    assert desk.farm.script.calls.count("write") == 2
    gate.callback(None)
    for job in (first, second):
        await desk.finished(job)


# --- stopping -------------------------------------------------------------------------------


@twisted_test()
async def test_stopping_waits_for_what_is_begun_and_leaves_the_rest(desk: Rig) -> None:
    gate = Gate()
    desk.farm.script.plan("write", gate)
    agent = desk.agent(prefetch=2)
    begun = await desk.submit(Reprioritize(7, 1))
    await until(lambda: "write" in desk.farm.script.calls)
    behind = [await desk.submit(Reprioritize(7, n)) for n in (2, 3)]
    await until(lambda: len(agent.in_hand) == 2)
    stopping = agent.stopService()
    assert (await desk.get(begun)).completed_at is None
    assert not stopping.called
    gate.callback(None)
    await stopping
    await desk.finished(begun)
    assert (await desk.broker.depth("buildapi-agent")).ready == 2
    assert priorities(desk) == [1]
    desk.agent()
    for job in behind:
        await desk.finished(job)
    assert priorities(desk) == [1, 2, 3]


@twisted_test()
async def test_stopping_waits_no_longer_than_the_drain_time(desk: Rig) -> None:
    desk.farm.script.plan("write", Gate())
    agent = desk.agent(drain=0.2)
    job = await desk.submit(UP)
    await until(lambda: "write" in desk.farm.script.calls)
    await agent.stopService()
    assert (await desk.broker.depth("buildapi-agent")).ready == 1
    desk.agent()
    await desk.finished(job)
    assert len(desk.farm.effects) == 1


@twisted_test()
async def test_an_agent_can_be_started_again(desk: Rig) -> None:
    agent = desk.agent()
    await agent.stopService()
    agent.startService()
    await desk.finished(await desk.submit(UP))


@twisted_test()
async def test_an_agent_without_its_queue_says_so(rig: Rig, logged_errors: list[Any]) -> None:
    agent = rig.agent()
    await agent.stopService()
    agent._intake._queue = "missing"
    agent.startService()
    assert "cannot consume" in logged_errors[0]["log_format"]
    logged_errors.clear()
    await agent.stopService()


# --- what goes wrong ------------------------------------------------------------------------


@twisted_test()
async def test_an_incident_in_one_poke_is_one_failed_item(
    desk: Rig, logged_errors: list[Any]
) -> None:
    desk.farm.add(RUNNING)
    desk.farm.answer(stop(ONE), ZeroDivisionError("secret innards"))
    desk.agent()
    job = await desk.submit(CancelRequest(7))
    done = await desk.finished(job)
    assert done.complete_data is not None
    failed, stopped = done.complete_data["items"]
    assert (failed["state"], stopped["state"]) == ("failed", "done")
    assert msg(done) == "Error cancelling build (request 7)"
    assert "secret" not in json.dumps(done.complete_data)
    assert len(logged_errors) == 1
    assert failed["detail"] == f"incident {logged_errors[0]['incident']}"
    logged_errors.clear()


@twisted_test()
async def test_a_database_away_during_a_poke_lets_the_others_end_and_repeats_them(
    desk: Rig,
) -> None:
    clock = Clock()
    desk.farm.add(RUNNING)
    desk.farm.answer(stop(ONE), AWAY, None)
    desk.agent(clock)
    job = await desk.submit(CancelRequest(7))
    done = await desk.finished(job, clock)
    assert done.state is JobState.DONE
    assert sorted(p.build_id for _, p in desk.farm.poked if isinstance(p, StopBuild)) == [
        41,
        41,
        42,
        42,
    ]
    assert desk.farm.script.calls.count("write") == 1


@pytest.mark.parametrize("state", ["failed", "unconfirmed"])
@twisted_test()
async def test_a_stop_without_effect_fails_the_job(desk: Rig, state: str) -> None:
    desk.farm.add(attrs.evolve(RUNNING, tries=[ONE]))
    desk.farm.answer(stop(ONE), [Item(state, "no", request_id=7, build_id=41)])
    desk.agent()
    done = await desk.finished(await desk.submit(CancelBuild(41)))
    assert (done.state, msg(done)) == (JobState.FAILED, "Error cancelling build")


@twisted_test()
async def test_a_job_says_unconfirmed_while_nobody_can_tell_whether_its_change_is_stored(
    desk: Rig,
) -> None:
    """Neither failed nor Ok until the database can be read; then what it shows."""
    clock, action = Clock(), NewBuild("try", "abcdef")
    (step,) = (await planned_for(desk.farm, action)).pokes
    open_ = Item("unconfirmed", "not known now", master="m")
    desk.farm.answer(step, Unconfirmed("the database is away", open_), [Item("done", "stored")])
    desk.agent(clock)
    job = await desk.submit(action)
    await until(lambda: desk.store.noted != [])
    record = await desk.get(job)
    assert record.progress is not None
    assert (record.state, list(record.progress.items)) == (JobState.RUNNING, [item_data(open_)])
    done = await desk.finished(job, clock)
    assert (done.state, msg(done)) == (JobState.DONE, "Ok")


@twisted_test()
async def test_what_changed_meanwhile_is_decided_anew(desk: Rig) -> None:
    desk.farm.stale = 1

    def taken() -> None:
        desk.farm.add(attrs.evolve(RUNNING, tries=[ONE]))

    gate = Gate()
    desk.farm.script.plan("write", gate)
    desk.agent()
    job = await desk.submit(CancelRequest(7))
    await until(lambda: "write" in desk.farm.script.calls)
    taken()
    gate.callback(None)
    done = await desk.finished(job)
    assert msg(done) == "7: Ok"
    assert desk.farm.poked == [(job, stop(ONE))]
    assert desk.farm.effects == []


@twisted_test()
async def test_what_keeps_changing_is_given_up_after_three_decisions(desk: Rig) -> None:
    desk.farm.stale = 100
    desk.agent()
    done = await desk.finished(await desk.submit(UP))
    assert (done.state, msg(done)) == (
        JobState.FAILED,
        "The request keeps changing, nothing was done",
    )
    assert desk.farm.script.calls.count("write") == 3
    assert desk.farm.markers == {}


@twisted_test()
async def test_a_text_the_farm_cannot_store_fails_the_job_in_words(desk: Rig) -> None:
    desk.farm.script.plan("write", BadRequest("The scheduler database cannot store it"))
    desk.agent()
    done = await desk.finished(await desk.submit(UP))
    assert (done.state, msg(done)) == (JobState.FAILED, "The scheduler database cannot store it")


@twisted_test(10)
async def test_an_error_nobody_expected_is_tried_again(desk: Rig, logged_errors: list[Any]) -> None:
    desk.farm.script.plan("write", ZeroDivisionError("once"))
    desk.agent()
    done = await desk.finished(await desk.submit(UP))
    assert done.state is JobState.DONE
    assert len(logged_errors) == 1
    logged_errors.clear()


@twisted_test(10)
async def test_an_error_that_stays_puts_the_message_aside_and_finishes_the_row(
    desk: Rig, logged_errors: list[Any]
) -> None:
    desk.farm.script.plan("write", *[ZeroDivisionError("secret innards")] * 9)
    desk.agent()
    done = await desk.finished(await desk.submit(UP))
    await desk.idle()
    incident = logged_errors[-1]["incident"]
    assert done.state is JobState.FAILED
    assert (
        msg(done)
        == f"The agent failed, incident {incident}: check the farm before you submit it again"
    )
    assert desk.dead() == [f"incident {incident}"]
    assert len(logged_errors) == 3
    logged_errors.clear()


@pytest.mark.parametrize("error", [BadRequest("odd"), ValueRefusedError("too large"), KeyError()])
@twisted_test()
async def test_a_job_whose_outcome_cannot_be_settled_is_as_it_was_done(
    desk: Rig, logged_errors: list[Any], error: Exception
) -> None:
    desk.farm.script.plan("settle", error)
    desk.agent()
    job = await desk.submit(UP)
    assert (await desk.finished(job)).state is JobState.DONE
    assert len(desk.farm.effects) == 1
    await desk.idle()
    logged_errors.clear()


@pytest.mark.parametrize(("error", "counted"), [(ODD, True), (AWAY, False)])
@twisted_test(20)
async def test_an_unclassified_error_that_stays_ends_the_job_after_as_many_tries(
    desk: Rig, logged_errors: list[Any], error: DatabaseUnavailable, *, counted: bool
) -> None:
    clock, ends = Clock(), []
    desk.farm.script.plan("read", *[error] * 2000)
    agent = desk.agent(clock)
    job = await desk.record(UP)
    body = encode_request(JobMessage(job, "zoe", NOW, UP))
    for attempt in (1, 2, 3):
        came = Delivery(body, REQUESTS, "m", None, redelivered=False, attempt=attempt)
        handling = ensureDeferred(agent.handle(came))
        handling.addCallback(ends.append)

        async def over(number: int = attempt) -> bool:
            clock.advance(60)
            return len(ends) == number

        await until(over, 10)
    assert [end.failed for end in ends[:2]] == [counted] * 2
    if counted:
        assert isinstance(ends[2], DeadLetter)
        assert "The agent failed, incident" in msg(await desk.get(job))
    else:
        assert isinstance(ends[2], Nack)
        assert (await desk.get(job)).completed_at is None, "no outage is too long"
    logged_errors.clear()
