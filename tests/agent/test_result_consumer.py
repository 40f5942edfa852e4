"""Reports are stored once, whoever sends them and however often."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.task import Clock

from buildapi.errors import DatabaseUnavailable
from buildapi.model.actions import CancelRequest, RebuildBuild
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import JobState
from buildapi.model.wire import FINISHED, REQUESTS, finished
from buildapi.testing import Recorder
from tests.agent.doubles import NOW, Gate, Rig, msg
from tests.reactor import twisted_test, until


async def report(rig: Rig, data: bytes) -> None:
    await rig.broker.inner.publish(FINISHED, data, message_id="m")


def encoded(job: int, text: str = "Ok", errors: bool = False) -> bytes:
    items = (Item("done", "stopped"),)
    return json.dumps(finished(job, Outcome(errors, text, items), "agent-x")).encode()


async def in_hand(rig: Rig, agent: str = "agent-x") -> int:
    """Record a job that an agent has begun."""
    job = await rig.record(CancelRequest(7))
    assert await rig.store.inner.begin(job, agent, NOW)
    return job


@twisted_test()
async def test_a_report_is_stored_whole(rig: Rig) -> None:
    rig.finisher()
    job = await in_hand(rig)
    await report(rig, encoded(job))
    done = await rig.finished(job)
    assert (done.state, done.completed_at) == (JobState.DONE, NOW + 1)
    assert done.complete_data == json.loads(encoded(job))
    assert rig.changed == [(None, None)], "whatever its branch is"


@twisted_test()
async def test_the_new_requests_of_a_rebuild_are_linked_with_the_old_build(rig: Rig) -> None:
    rig.finisher()
    job = await rig.record(RebuildBuild(11, count=2))
    assert await rig.store.inner.begin(job, "agent-x", NOW)
    items = [Item("done", "submitted", request_id=new, buildset_id=41) for new in (31, 32)]
    await report(rig, json.dumps(finished(job, Outcome(False, "Ok", items), "agent-x")).encode())
    await rig.finished(job)
    found = await rig.store.inner.rebuilds([11], [])
    assert [(r.request_id, r.job_id) for r in found.rebuilds] == [(32, job), (31, job)]


@twisted_test()
async def test_a_report_changes_the_branch_of_its_job(rig: Rig) -> None:
    rig.finisher()
    job = await rig.store.inner.add("zoe", NOW, "cancel_request", {"brid": 7}, branch="try")
    assert await rig.store.inner.begin(job, "agent-x", NOW)
    await report(rig, encoded(job))
    await rig.finished(job)
    assert rig.changed == [("try", None)], "whatever its revision is"


@pytest.mark.parametrize("named", ["abcdef1234567890", "4711"])
@twisted_test()
async def test_the_revision_of_a_report_is_told_and_not_stored(rig: Rig, named: str) -> None:
    rig.finisher()
    job = await rig.store.inner.add("zoe", NOW, "cancel_request", {"brid": 7}, branch="try")
    assert await rig.store.inner.begin(job, "agent-x", NOW)
    await report(rig, json.dumps(json.loads(encoded(job)) | {"revision": named}).encode())
    assert (await rig.finished(job)).complete_data == json.loads(encoded(job))
    assert rig.changed == [("try", named)]


@pytest.mark.parametrize("odd", [None, "", 7, ["a"]])
@twisted_test()
async def test_a_report_whose_revision_is_no_text_names_none(rig: Rig, odd: object) -> None:
    rig.finisher()
    job = await in_hand(rig)
    await report(rig, json.dumps(json.loads(encoded(job)) | {"revision": odd}).encode())
    await rig.finished(job)
    assert rig.changed == [(None, None)]


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
    job = await in_hand(rig)
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
    job = await in_hand(rig)
    await report(rig, json.dumps({"request_id": job, "agent": "agent-x"}).encode())
    done = await rig.finished(job)
    await rig.idle()
    assert (done.state, msg(done)) == (
        JobState.FAILED,
        "The agent's outcome could not be read: no body",
    )
    assert rig.dead("buildapi-web") == ["no body"]
    logged_errors.clear()


@twisted_test()
async def test_a_database_away_for_minutes_loses_no_report(rig: Rig) -> None:
    clock = Clock()
    rig.store.script.plan("finish", *[DatabaseUnavailable("away")] * 12)
    rig.finisher(clock)
    jobs = [await in_hand(rig) for _ in range(3)]
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
    job = await in_hand(rig)
    await report(rig, encoded(job))
    await until(lambda: "finish" in rig.store.script.calls)
    stopping = finisher.stopService()
    later = await in_hand(rig)
    await report(rig, encoded(later))
    other = Recorder()  # of a message that came even later
    await rig.broker.inner.consume("buildapi-agent", other, prefetch=1)
    await rig.broker.inner.publish(REQUESTS, b"x", message_id="x")
    await until(lambda: bool(other.seen))
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
    assert "cannot consume" in logged_errors[0]["log_format"]
    logged_errors.clear()
    await finisher.stopService()


# --- whose a report is ----------------------------------------------------------------------

FORGED = {"body": {"errors": False, "msg": "Ok"}, "items": [], "agent": "agent-x"}


@pytest.mark.parametrize(
    ("begun_by", "changes", "why"),
    [
        (None, {}, "no agent has begun the job"),
        ("agent-y", {}, "its sender is not the agent that executes the job"),
        ("agent-y", {"agent": None}, "its sender is not the agent that executes the job"),
        ("agent-y", {"agent": ["agent-y"]}, "its sender is not the agent that executes the job"),
        ("agent-x", {"identity": "0" * 32}, "it belongs to another job that had the same id"),
    ],
)
@twisted_test()
async def test_a_report_is_taken_only_from_who_has_the_job_in_hand(
    rig: Rig,
    logged_errors: list[Any],
    begun_by: str | None,
    changes: dict[str, Any],
    why: str,
) -> None:
    """A report for a job that its sender has not begun finishes nothing and is dead-lettered."""
    rig.finisher()
    job = await (rig.record(CancelRequest(7)) if begun_by is None else in_hand(rig, begun_by))
    await report(rig, json.dumps({"request_id": job, **FORGED, **changes}).encode())
    await rig.idle()
    record = await rig.get(job)
    assert (record.completed_at, record.complete_data) == (None, None)
    assert rig.dead("buildapi-web") == [f"not the outcome of job {job}: {why}"]
    assert len(logged_errors) == 1
    logged_errors.clear()


@twisted_test()
async def test_a_report_with_the_identity_of_the_job_is_taken_and_the_identity_not_shown(
    rig: Rig,
) -> None:
    rig.finisher()
    job = await in_hand(rig)
    identity = (await rig.get(job)).identity
    await report(rig, json.dumps({"request_id": job, **FORGED, "identity": identity}).encode())
    done = await rig.finished(job)
    assert done.complete_data == {"request_id": job, **FORGED}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"items": [1]}, "items must be a list of objects with state and detail"),
        ({"items": {"state": "done"}}, "items must be a list of objects with state and detail"),
        ({"items": [{"state": "done"}]}, "items must be a list of objects with state and detail"),
        (
            {"items": [{"state": "done", "detail": "x", "request_id": "7"}]},
            "items must be a list of objects with state and detail",
        ),
        ({"body": {"errors": "no", "msg": "Ok"}}, "body.errors must be true or false"),
        ({"body": {"errors": False, "msg": ["Ok"]}}, "body.msg must be a text"),
        ({"body": {"errors": False}}, "body.msg must be a text"),
    ],
)
@twisted_test()
async def test_a_report_of_another_shape_is_put_aside_and_breaks_no_page(
    rig: Rig, logged_errors: list[Any], changes: dict[str, Any], reason: str
) -> None:
    """Who has the job in hand and reports nonsense fails it; nobody else can do even that."""
    rig.finisher()
    job, other = await in_hand(rig), await in_hand(rig, "agent-y")
    for one in (job, other):
        await report(rig, json.dumps({"request_id": one, **FORGED, **changes}).encode())
    done = await rig.finished(job)
    await rig.idle()
    assert (done.state, msg(done)) == (
        JobState.FAILED,
        f"The agent's outcome could not be read: {reason}",
    )
    assert rig.dead("buildapi-web") == [reason, reason]
    assert (await rig.get(other)).completed_at is None
    logged_errors.clear()
