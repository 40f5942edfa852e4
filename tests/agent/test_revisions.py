"""Jobs of revisions keep their order with others, and a long one tells how far it is."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from twisted.internet.task import Clock

from buildapi.agent.journal import SECONDS, ProgressRecorder
from buildapi.buildbot.v08.lowered_plan import (
    BuildsetRow,
    CompleteRequests,
    CopyBuildset,
    Poke,
    StoredRequestFacts,
    WatchDropped,
)
from buildapi.errors import DatabaseUnavailable
from buildapi.model.actions import (
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewNightly,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.outcome import Item
from buildapi.model.records import JobState, Progress, RequestBuild
from buildapi.model.steps import Clobber, SendChange, StopBuild
from tests.agent.doubles import NOW, REVISION, Gate, Rig, msg, pending, stored
from tests.model.values import MASTER, claimed
from tests.reactor import twisted_test, until

AWAY = DatabaseUnavailable("the database is away")
CANCEL = CancelRevision("try", REVISION)


def running(brid: int, bid: int) -> StoredRequestFacts:
    build = RequestBuild(bid, 9, brid, NOW, None)
    return stored(claimed(id=brid), BuildsetRow(55), (build,))


def stop(brid: int, bid: int) -> StopBuild:
    return StopBuild(bid, brid, 9, "linux", NOW, REVISION, MASTER)


@pytest.fixture
def desk(rig: Rig) -> Rig:
    """Add a finisher to the rig, and two running builds of the revision."""
    rig.finisher()
    rig.farm.add(running(20, 41), running(30, 42))
    return rig


def dropped(rig: Rig) -> list[list[int]]:
    return [list(w.brids) for _, w in rig.farm.effects if isinstance(w, CompleteRequests)]


def poked(rig: Rig, job: int) -> list[Poke]:
    return [step for of, step in rig.farm.poked if of == job]


async def later_one(rig: Rig) -> int:
    """Carry out a job on a request of another revision, after all that were sent before."""
    job = await rig.submit(Reprioritize(8, 1))
    await rig.finished(job)
    return job


# --- one cancel -----------------------------------------------------------------------------


@twisted_test()
async def test_the_cancel_of_a_revision_says_of_each_request_how_it_ended(desk: Rig) -> None:
    desk.farm.answer(stop(20, 41), [Item("unconfirmed", "no", request_id=20, build_id=41)])
    desk.agent()
    done = await desk.finished(await desk.submit(CANCEL))
    assert done.state is JobState.FAILED
    assert msg(done) == "7: Ok\nError cancelling build (request 20)\n30: Ok"
    assert dropped(desk) == [[7]]


@twisted_test()
async def test_a_revision_there_is_nothing_of_is_no_error(desk: Rig) -> None:
    desk.agent()
    done = await desk.finished(await desk.submit(CancelRevision("try", "ffffffff")))
    assert (done.state, msg(done)) == (JobState.DONE, "")
    assert desk.farm.markers == {}


@twisted_test()
async def test_an_incident_in_a_step_about_many_requests_is_an_item_for_each(
    desk: Rig, logged_errors: list[Any]
) -> None:
    desk.farm.add(pending(9))
    desk.farm.answer(WatchDropped([7, 9]), ZeroDivisionError("secret innards"))
    desk.agent()
    done = await desk.finished(await desk.submit(CANCEL))
    assert done.complete_data is not None
    failed = [i for i in done.complete_data["items"] if i["state"] == "failed"]
    assert [i["request_id"] for i in failed] == [7, 9]
    assert {i["detail"] for i in failed} == {f"incident {logged_errors[0]['incident']}"}
    assert msg(done).split("\n") == [
        "Error cancelling build (request 7)",
        "Error cancelling build (request 9)",
        "20: Ok",
        "30: Ok",
    ]
    assert "secret" not in json.dumps(done.complete_data)
    assert len(logged_errors) == 1
    logged_errors.clear()


@twisted_test()
async def test_an_incident_in_a_change_fails_its_job(desk: Rig, logged_errors: list[Any]) -> None:
    link = f"https://hg.example.org/projects/try/rev/{REVISION}"
    change = SendChange("host-s:/builds/scheduler", "projects/try", REVISION, link)
    desk.farm.answer(change, ZeroDivisionError())
    desk.agent()
    done = await desk.finished(await desk.submit(NewBuild("try", REVISION)))
    assert (done.state, msg(done)) == (JobState.FAILED, "The change could not be sent")
    assert len(logged_errors) == 1
    logged_errors.clear()


@twisted_test()
async def test_an_incident_in_a_clobber_is_an_item_and_the_job_is_ok(
    rig: Rig, logged_errors: list[Any]
) -> None:
    rig.finisher()
    request = claimed(id=20, buildername="Linux try build")
    rig.farm.add(stored(request, BuildsetRow(55), (RequestBuild(41, 9, 20, NOW, None),)))
    step = msgspec.structs.replace(stop(20, 41), buildername="Linux try build")
    rig.farm.answer(Clobber(step), ZeroDivisionError())
    rig.agent(clobbers=True)
    done = await rig.finished(await rig.submit(CancelBuild(41)))
    assert (done.state, msg(done)) == (JobState.DONE, "Ok")
    assert done.complete_data is not None
    assert [i["state"] for i in done.complete_data["items"]] == ["done", "failed"]
    logged_errors.clear()


@twisted_test()
async def test_a_poke_that_was_unavailable_is_repeated_and_nothing_written_again(
    desk: Rig,
) -> None:
    clock = Clock()
    desk.farm.answer(stop(30, 42), AWAY, AWAY, None)
    desk.agent(clock)
    job = await desk.submit(CANCEL)
    done = await desk.finished(job, clock)
    assert (done.state, msg(done)) == (JobState.DONE, "7: Ok\n20: Ok\n30: Ok")
    assert poked(desk, job).count(stop(30, 42)) == 3
    assert dropped(desk) == [[7]]


@twisted_test()
async def test_a_redelivery_in_the_middle_pokes_again_and_writes_nothing_again(
    desk: Rig,
) -> None:
    """Also where another decision would be made by then."""
    gate = Gate()
    desk.farm.answer(stop(20, 41), gate, None)
    first = desk.agent()
    job = await desk.submit(CANCEL)
    await until(lambda: len(poked(desk, job)) == 3)
    await desk.kill(first)
    desk.farm.known.clear()
    desk.agent()
    done = await desk.finished(job)
    assert msg(done) == "7: Ok\n20: Ok\n30: Ok"
    assert dropped(desk) == [[7]]
    assert len(poked(desk, job)) == 6
    gate.callback(None)


# --- order ----------------------------------------------------------------------------------


@twisted_test()
async def test_a_rebuild_asked_for_before_a_cancel_is_cancelled(desk: Rig) -> None:
    gate = Gate()
    desk.farm.script.plan("write", gate)
    desk.agent()
    rebuild = await desk.submit(RebuildRequest(7))
    await until(lambda: "write" in desk.farm.script.calls)
    cancel = await desk.submit(CANCEL)
    await later_one(desk)
    gate.callback(None)
    for job in (rebuild, cancel):
        await desk.finished(job)
    (new,) = set(desk.farm.known) - {7, 8, 20, 30}
    assert dropped(desk) == [[7, new]]


@pytest.mark.parametrize(
    "action", [RebuildRequest(7), NewNightly("try", REVISION)], ids=lambda a: a.name
)
@twisted_test()
async def test_what_is_asked_for_after_a_cancel_is_not_cancelled(desk: Rig, action: Any) -> None:
    gate = Gate()
    desk.farm.script.plan("write", gate)
    desk.agent()
    cancel = await desk.submit(CANCEL)
    await until(lambda: "write" in desk.farm.script.calls)
    new = await desk.submit(action)
    later = await later_one(desk)
    assert [job for job, _ in desk.farm.effects] == [later]
    gate.callback(None)
    for job in (cancel, new):
        await desk.finished(job)
    assert [job for job, _ in desk.farm.effects] == [later, cancel, new]
    assert dropped(desk) == [[7]]


@twisted_test()
async def test_the_order_of_a_revision_does_not_mind_case_or_length(desk: Rig) -> None:
    """Databases compare without case, and a cancel names a revision by a prefix."""
    gate = Gate()
    desk.farm.script.plan("write", gate)
    desk.agent()
    cancel = await desk.submit(CancelRevision("try", REVISION[:12]))
    await until(lambda: "write" in desk.farm.script.calls)
    new = await desk.submit(NewNightly("try", REVISION.upper()))
    later = await later_one(desk)
    assert desk.farm.script.calls.count("write") == 2
    gate.callback(None)
    for job in (cancel, new):
        await desk.finished(job)
    assert [job for job, _ in desk.farm.effects] == [later, cancel, new]


@twisted_test()
async def test_a_cancel_that_hangs_in_its_pokes_delays_nobody(desk: Rig) -> None:
    gate = Gate()
    desk.farm.answer(stop(20, 41), gate)
    desk.agent()
    cancel = await desk.submit(CANCEL)
    await until(lambda: bool(desk.farm.poked))
    others = [
        await desk.submit(a)
        for a in (RebuildRequest(7), Reprioritize(7, 5), NewNightly("try", REVISION), CANCEL)
    ]
    for job in others[:3]:
        assert (await desk.finished(job)).state is JobState.DONE
    await until(lambda: len(dropped(desk)) == 2)
    assert (await desk.get(cancel)).completed_at is None
    gate.callback(None)
    for job in (cancel, others[3]):
        await desk.finished(job)


@twisted_test()
async def test_jobs_on_one_request_keep_their_order_where_the_first_hangs_in_its_pokes(
    desk: Rig,
) -> None:
    gate = Gate()
    desk.farm.answer(stop(20, 41), gate)
    desk.agent()
    first = await desk.submit(CancelRequest(20))
    await until(lambda: bool(desk.farm.poked))
    behind = await desk.submit(RebuildRequest(20))
    await later_one(desk)
    assert (await desk.get(behind)).state is JobState.QUEUED
    gate.callback(None)
    for job in (first, behind):
        assert (await desk.finished(job)).state is JobState.DONE
    assert [job for job, w in desk.farm.effects if isinstance(w, CopyBuildset)] == [behind]


# --- progress -------------------------------------------------------------------------------


@twisted_test()
async def test_a_long_job_tells_how_far_it_is_while_it_runs(desk: Rig) -> None:
    clock, gate = Clock(), Gate()
    desk.farm.answer(stop(20, 41), gate)
    desk.agent(clock)
    job = await desk.submit(CANCEL)
    await until(lambda: len(desk.farm.poked) == 3)
    await until(lambda: len(desk.store.noted) == 1)
    assert desk.store.noted == [(job, Progress(3, []))]
    clock.advance(SECONDS)
    await until(lambda: len(desk.store.noted) == 2)
    progress = (await desk.get(job)).progress
    assert progress is not None
    assert (progress.total, [i["request_id"] for i in progress.items]) == (3, [30, 7])
    clock.pump([SECONDS] * 5)
    assert desk.store.script.calls.count("progress") == 2, "nothing has changed"
    gate.callback(None)
    done = await desk.finished(job)
    assert done.progress is None
    assert clock.getDelayedCalls() == []


@twisted_test()
async def test_a_job_of_one_line_has_no_progress(desk: Rig) -> None:
    gate = Gate()
    desk.farm.answer(stop(20, 41), gate)
    desk.agent()
    job = await desk.submit(CancelRequest(20))
    await until(lambda: bool(desk.farm.poked))
    gate.callback(None)
    await desk.finished(job)
    assert "progress" not in desk.store.script.calls


@pytest.mark.parametrize("error", [AWAY, ZeroDivisionError()], ids=lambda e: type(e).__name__)
@twisted_test()
async def test_progress_that_cannot_be_noted_does_not_disturb_the_job(
    desk: Rig, logged_errors: list[Any], error: Exception
) -> None:
    desk.store.script.plan("progress", *[error] * 100)
    desk.agent()
    job = await desk.submit(CANCEL)
    done = await desk.finished(job)
    assert (done.state, msg(done)) == (JobState.DONE, "7: Ok\n20: Ok\n30: Ok")
    assert len(poked(desk, job)) == 3
    assert bool(logged_errors) is isinstance(error, ZeroDivisionError)
    logged_errors.clear()


@twisted_test()
async def test_notes_go_on_after_one_that_failed(rig: Rig) -> None:
    clock = Clock()
    store: Any = rig.store
    job = await rig.record(CANCEL)
    rig.store.script.plan("progress", AWAY, AWAY)
    notes = ProgressRecorder(clock, store, lambda: NOW, job, 2)
    async with notes.kept():
        notes.add([Item("done", "x", request_id=7)])
        clock.advance(SECONDS)
        notes.add([Item("done", "y", request_id=8)])
        clock.advance(SECONDS)
        await until(lambda: bool(rig.store.noted))
    assert [i["request_id"] for i in rig.store.noted[-1][1].items] == [7, 8]
    assert clock.getDelayedCalls() == []


@twisted_test()
async def test_notes_end_with_an_error_too(rig: Rig) -> None:
    clock = Clock()
    store: Any = rig.store
    notes = ProgressRecorder(clock, store, lambda: NOW, await rig.record(CANCEL), 2)
    with pytest.raises(ZeroDivisionError):
        async with notes.kept():
            raise ZeroDivisionError
    assert clock.getDelayedCalls() == []
