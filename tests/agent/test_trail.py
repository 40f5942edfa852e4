"""What is noted of a job on its way, and in whose name it is carried out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.logger import globalLogPublisher

from buildapi import tracing
from buildapi.errors import DatabaseUnavailable
from buildapi.model.actions import Action, CancelRequest, Reprioritize
from buildapi.model.messages import Nack
from buildapi.model.ops import Part
from buildapi.model.wire import FINISHED, REQUESTS, JobMessage, encode_finished, encode_request
from tests.agent.doubles import NOW, Rig
from tests.reactor import twisted_test, until

UP = Reprioritize(7, 5)
RID = "rid-1"


async def submitted(rig: Rig, action: Action, trace: str = RID) -> int:
    job = await rig.record(action)
    data = encode_request(JobMessage(job, "zoe", NOW, action, trace))
    await rig.broker.inner.publish(REQUESTS, data, message_id=f"job-{job}")
    await rig.store.inner.sent(job)
    return job


def told(rig: Rig, job: int) -> list[tuple[str, str]]:
    return [(e.part.value, e.event) for e in rig.trail.noted if e.job_id == job]


@twisted_test()
async def test_each_step_of_a_job_is_noted_with_the_id_of_its_request(rig: Rig) -> None:
    rig.finisher()
    rig.agent()
    job = await submitted(rig, UP)
    done = await rig.finished(job)
    await rig.idle()
    agent = [("agent", e) for e in ("taken", "begun", "decided", "written", "reported")]
    assert told(rig, job) == [*agent, ("finisher", "stored")]
    assert {e.trace for e in rig.trail.noted} == {RID}
    assert done.complete_data is not None
    assert done.complete_data["trace"] == RID
    assert rig.trail.details("taken") == ["attempt 1"]
    assert rig.trail.details("reported") == ["Ok"]
    assert rig.trail.details("decided") == ["1 write, 0 requests to masters"]


@twisted_test()
async def test_a_job_of_an_old_process_has_no_id_and_is_noted_all_the_same(rig: Rig) -> None:
    rig.finisher()
    rig.agent()
    job = await rig.submit(UP)
    done = await rig.finished(job)
    await rig.idle()
    assert "trace" not in (done.complete_data or {})
    assert {e.trace for e in rig.trail.noted} == {""}
    assert "reported" in rig.trail.events(job)


@twisted_test()
async def test_lines_of_the_log_know_the_job_and_the_request(rig: Rig) -> None:
    seen: list[tuple[str, int | None]] = []

    def observe(event: Any) -> None:
        if event.get("id") is not None:
            seen.append((tracing.trace(), tracing.job()))

    observer: Any = observe
    globalLogPublisher.addObserver(observer)
    rig.finisher()
    rig.agent()
    job = await submitted(rig, UP)
    await rig.finished(job)
    await rig.idle()
    globalLogPublisher.removeObserver(observer)
    assert set(seen) == {(RID, job)}
    assert (tracing.trace(), tracing.job()) == ("", None)


@twisted_test()
async def test_a_job_that_changes_nothing_tells_why(rig: Rig) -> None:
    rig.finisher()
    rig.agent()
    job = await submitted(rig, CancelRequest(99))
    await rig.finished(job)
    await rig.idle()
    assert rig.trail.events(job) == ["taken", "begun", "decided", "reported", "stored"]
    assert rig.trail.details("decided") == rig.trail.details("reported")


@twisted_test()
async def test_what_it_waits_for_is_noted_once_for_each_reason(rig: Rig) -> None:
    rig.finisher()
    away = DatabaseUnavailable("the database is away")
    rig.farm.script.plan("read", away)
    rig.agent()
    job = await submitted(rig, UP)
    await rig.finished(job)
    await rig.idle()
    assert rig.trail.details("waits") == ["the database is away"]
    assert rig.trail.events(job).count("reported") == 1


@twisted_test()
async def test_what_cannot_be_read_is_noted_as_put_aside(
    rig: Rig, logged_errors: list[Any]
) -> None:
    rig.agent()
    job = await rig.record(UP)
    data = json.dumps({"action": "dance", "who": "zoe", "body": {"request_id": job}})
    await rig.broker.inner.publish(REQUESTS, data.encode(), message_id=f"job-{job}")
    await rig.finished(job)
    logged_errors.clear()
    assert told(rig, job) == [("agent", "put aside")]


@twisted_test()
async def test_a_message_of_another_farm_leaves_no_word_in_the_trail_of_a_job(
    rig: Rig, logged_errors: list[Any]
) -> None:
    """Its job may have the same id, and its HTTP request another one."""
    rig.agent()
    foreign = encode_request(JobMessage(1, "mallory", NOW - 50, UP, "rid-of-another"))
    await rig.broker.inner.publish(REQUESTS, foreign, message_id="job-1")
    await until(lambda: bool(rig.dead()))
    job = await submitted(rig, UP)
    assert job == 1
    await until(lambda: "reported" in rig.trail.events(job))
    await rig.broker.inner.publish(REQUESTS, foreign, message_id="job-1")
    await until(lambda: len(rig.dead()) == 2)
    logged_errors.clear()
    assert {e.trace for e in rig.trail.noted} == {RID}
    assert "put aside" not in rig.trail.events(job)


@twisted_test()
async def test_a_failure_is_noted_with_its_incident(rig: Rig, logged_errors: list[Any]) -> None:
    rig.finisher()
    rig.farm.script.plan("read", *[ZeroDivisionError()] * 9)
    rig.agent()
    job = await submitted(rig, UP)
    done = await rig.finished(job)
    await rig.idle()
    logged_errors.clear()
    events = rig.trail.events(job)
    assert events[-1] == "put aside"
    assert "ZeroDivisionError at attempt 1" in rig.trail.details("failed")
    incident = rig.trail.details("failed")[-1]
    assert incident in json.dumps(done.complete_data)
    assert (done.complete_data or {})["trace"] == RID


@twisted_test()
async def test_a_report_that_comes_twice_is_late(rig: Rig) -> None:
    rig.finisher()
    job = await rig.record(UP)
    report = {"request_id": job, "body": {"errors": False, "msg": "Ok"}, "trace": RID}
    for number in range(2):
        data = encode_finished(report)
        await rig.broker.inner.publish(FINISHED, data, message_id=f"f-{number}")
    await until(lambda: len(rig.trail.noted) == 2)
    await rig.idle()
    assert rig.trail.events(job) == ["stored", "late"]
    assert {(e.part, e.trace) for e in rig.trail.noted} == {(Part.FINISHER, RID)}


@pytest.mark.parametrize("odd", [5, None, "a b", "x" * 65, "a\nb", ["x"], ""])
@twisted_test()
async def test_an_odd_id_in_a_message_is_none(rig: Rig, odd: Any) -> None:
    rig.finisher()
    rig.agent()
    job = await rig.record(UP)
    message = json.loads(encode_request(JobMessage(job, "zoe", NOW, UP))) | {"trace": odd}
    await rig.broker.inner.publish(REQUESTS, json.dumps(message).encode(), message_id=f"job-{job}")
    done = await rig.finished(job)
    await rig.idle()
    assert (done.complete_data or {})["body"]["msg"] == "Ok"
    assert {e.trace for e in rig.trail.noted} == {""}


def test_a_message_that_is_left_says_when_it_comes_again(rig: Rig) -> None:
    rig.agent()._note_end(3, Nack("the broker is away", 2.5))
    assert rig.trail.details("left") == ["the broker is away; redelivered in 2.5 s"]
