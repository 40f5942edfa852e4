"""Reports are stored once, whoever sends them and however often."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.task import Clock

from buildapi.errors import DatabaseUnavailable
from buildapi.model.actions import CancelRequest
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import JobState
from buildapi.model.wire import FINISHED, finished
from tests.agent.doubles import NOW, Gate, Rig, msg
from tests.reactor import sleep, twisted_test, until


async def report(rig: Rig, data: bytes) -> None:
    await rig.broker.inner.publish(FINISHED, data, message_id="m")


def encoded(job: int, text: str = "Ok", errors: bool = False) -> bytes:
    items = (Item("done", "stopped"),)
    return json.dumps(finished(job, Outcome(errors, text, items), "agent-x")).encode()


@twisted_test()
async def test_a_report_is_stored_whole(rig: Rig) -> None:
    rig.finisher()
    job = await rig.record(CancelRequest(7))
    await report(rig, encoded(job))
    done = await rig.finished(job)
    assert (done.state, done.completed_at) == (JobState.DONE, NOW + 1)
    assert done.complete_data == json.loads(encoded(job))
    assert rig.changes == 1


@twisted_test()
async def test_a_report_of_an_old_agent_is_stored(rig: Rig) -> None:
    rig.finisher()
    job = await rig.record(CancelRequest(7))
    old = {"body": {"errors": True, "msg": "7: Ok\nno luck"}, "request_id": job}
    await report(rig, json.dumps(old).encode())
    done = await rig.finished(job)
    assert (done.state, done.complete_data) == (JobState.FAILED, old)


@twisted_test()
async def test_the_first_of_two_reports_stays(rig: Rig) -> None:
    rig.finisher()
    job = await rig.record(CancelRequest(7))
    for text in ("first", "second"):
        await report(rig, encoded(job, text))
    await rig.idle()
    assert msg(await rig.get(job)) == "first"


@twisted_test()
async def test_a_report_of_a_job_that_is_not_ours_is_dropped(rig: Rig) -> None:
    rig.finisher()
    await report(rig, encoded(4711))
    await rig.idle()
    assert rig.dead("buildapi-web") == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"x", "not JSON"), (b"[]", "not a JSON object"), (b'{"body": {}}', "no whole number")],
)
@twisted_test()
async def test_a_malformed_report_is_put_aside(
    rig: Rig, logged_errors: list[Any], data: bytes, reason: str
) -> None:
    rig.finisher()
    await report(rig, data)
    await rig.idle()
    (dead,) = rig.dead("buildapi-web")
    assert dead.startswith(reason)
    assert len(logged_errors) == 1
    logged_errors.clear()


@twisted_test()
async def test_a_report_without_a_body_finishes_its_job_as_failed(
    rig: Rig, logged_errors: list[Any]
) -> None:
    rig.finisher()
    job = await rig.record(CancelRequest(7))
    await report(rig, json.dumps({"request_id": job}).encode())
    done = await rig.finished(job)
    await rig.idle()
    assert (done.state, msg(done)) == (
        JobState.FAILED,
        "The agent's report could not be read: no body",
    )
    assert rig.dead("buildapi-web") == ["no body"]
    logged_errors.clear()


@twisted_test()
async def test_a_database_away_for_minutes_loses_no_report(rig: Rig) -> None:
    clock = Clock()
    rig.store.script.plan("finish", *[DatabaseUnavailable("away")] * 12)
    rig.finisher(clock)
    jobs = [await rig.record(CancelRequest(7)) for _ in range(3)]
    for job in jobs:
        await report(rig, encoded(job))
    for job in jobs:
        await rig.finished(job, clock)
    assert rig.dead("buildapi-web") == []


@twisted_test()
async def test_stopping_stores_what_is_in_hand_and_leaves_the_rest(rig: Rig) -> None:
    gate = Gate()
    rig.store.script.plan("finish", gate)
    finisher = rig.finisher()
    job = await rig.record(CancelRequest(7))
    await report(rig, encoded(job))
    await until(lambda: "finish" in rig.store.script.calls)
    stopping = finisher.stopService()
    later = await rig.record(CancelRequest(8))
    await report(rig, encoded(later))
    await sleep(0.05)
    assert not stopping.called
    gate.callback(None)
    await stopping
    assert (await rig.get(job)).state is JobState.DONE
    assert (await rig.broker.depth("buildapi-web")).ready == 1
    rig.finisher()
    await rig.finished(later)


@twisted_test()
async def test_a_finisher_without_its_queue_says_so(rig: Rig, logged_errors: list[Any]) -> None:
    finisher = rig.finisher()
    await finisher.stopService()
    finisher._intake._queue = "missing"
    finisher.startService()
    assert "nothing is taken" in logged_errors[0]["log_format"]
    logged_errors.clear()
    await finisher.stopService()
