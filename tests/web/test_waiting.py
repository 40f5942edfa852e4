"""Answers that wait for a job to be finished, over HTTP."""

from __future__ import annotations

import time
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from buildapi.web.selfserve.job_waiter import SECONDS
from tests.reactor import twisted_test, until
from tests.web.client import JSON, Wire, request
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import NOW, broker_down, database_down
from tests.web.jobcases import ALL, BUILD, each

JOB = "/self-serve/jobs/1"
TOO_LONG = "Bad wait: allowed are 0 to 60 seconds"
both = pytest.mark.parametrize("asking", ["job request", "read"])


async def queue_job(served: Served) -> None:
    assert (await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)).status == 202


async def ask_and_wait(served: Served, asking: str, seconds: float = 60) -> Wire:
    """Ask for job 1 and wait; a job request is that job."""
    if asking == "read":
        await queue_job(served)
    method, path = ("GET", JOB) if asking == "read" else ("DELETE", f"{BUILD}/12")
    wire = await served.wire()
    wire.send(request(method, f"{path}?wait={seconds}", JSON | ZOE))
    await until(lambda: bool(served.watch._waiting))
    return wire


async def finish(served: Served, *, tell: bool) -> None:
    report = {"body": {"errors": False, "msg": "12: Ok"}, "request_id": 1}
    await served.jobs.finish(1, report, NOW + 3)
    if tell:
        served.watch.poll()


def job_of(asking: str, wire_answer: Any) -> Any:
    if asking == "read":
        assert wire_answer.status == 200
        return wire_answer.json
    assert (wire_answer.status, wire_answer.json["status"]) == (202, "OK")
    return wire_answer.json["job"]


@both
@pytest.mark.parametrize("tell", [True, False], ids=["told", "looked at"])
@twisted_test()
async def test_the_answer_comes_when_the_job_is_finished(
    served: Served, asking: str, monkeypatch: pytest.MonkeyPatch, *, tell: bool
) -> None:
    if tell:  # else than by looking, which would be too late
        monkeypatch.setattr("buildapi.web.selfserve.job_waiter.SECONDS", 600)
    wire = await ask_and_wait(served, asking)
    await served.turn()
    assert not wire.received
    await finish(served, tell=tell)
    await wire.closed
    job = job_of(asking, await wire.answer())
    assert (job["state"], job["completed_at"]) == ("done", NOW + 3)
    assert job["complete_data"]["body"]["msg"] == "12: Ok"
    assert not served.watch._waiting


@both
@twisted_test()
async def test_the_answer_comes_after_the_time_otherwise(served: Served, asking: str) -> None:
    began = time.monotonic()
    wire = await ask_and_wait(served, asking, 0.3)
    await wire.closed
    assert time.monotonic() - began > 0.25
    assert job_of(asking, await wire.answer())["state"] == "queued"


@both
@twisted_test(8)
async def test_waiting_may_take_longer_than_an_answer_usually_may(
    serve: Serve, asking: str
) -> None:
    served = serve(answer_seconds=0.3, idle_seconds=0.2, request_seconds=0.2)
    wire = await ask_and_wait(served, asking)
    idle, slow = await served.wire(), await served.wire()
    slow.send(b"GET /self-serve")
    served.builds.failing.held = Deferred()
    assert (await served.ask("GET", "/self-serve/try", JSON)).status == 503
    await gatherResults([idle.closed, slow.closed])  # all that began later is over
    assert not wire.is_closed
    await finish(served, tell=True)
    await wire.closed
    assert job_of(asking, await wire.answer())["state"] == "done"


@pytest.mark.parametrize("wait", ["0", ""])
@twisted_test()
async def test_no_time_is_no_waiting(served: Served, wait: str) -> None:
    answer = await served.ask("DELETE", f"{BUILD}/12?wait={wait}", JSON | ZOE)
    assert set(answer.json) == {"status", "request_id", "msg"}
    assert (await served.ask("GET", f"{JOB}?wait={wait}", JSON)).json["state"] == "queued"


@each
@twisted_test()
async def test_every_job_request_may_be_waited_for(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    answer = await served.ask(method, f"{path}?wait=0.01", JSON | ZOE, fields)
    assert (answer.status, answer.json["job"]["action"]) == (202, name)
    answer = await served.ask(method, path, JSON | ZOE, fields | {"wait": "0.01"})
    assert (answer.status, answer.json["job"]["id"]) == (202, 2)
    answer = await served.ask(method, f"{path}?wait=0.01", ZOE, fields)
    assert answer.status in (202, 302)


@pytest.mark.parametrize("wait", ["61", "60.5", "-1", "x", "nan", "1e1", "%201"])
@twisted_test()
async def test_another_time_is_refused_and_nothing_is_done(served: Served, wait: str) -> None:
    await queue_job(served)
    for method, path in (("DELETE", f"{BUILD}/12"), ("GET", JOB)):
        answer = await served.ask(method, f"{path}?wait={wait}", JSON | ZOE)
        assert (answer.status, answer.json["msg"]) == (400, TOO_LONG)
    assert len(served.jobs.jobs) == 1


@pytest.mark.parametrize("query", ["?wait=1&wait=1", "?wait=1"])
@twisted_test()
async def test_a_time_is_given_once(served: Served, query: str) -> None:
    fields = {} if "&" in query else {"wait": "1"}
    answer = await served.ask("DELETE", f"{BUILD}/12{query}", JSON | ZOE, fields)
    assert answer.status == 400
    assert not served.jobs.jobs


@twisted_test()
async def test_a_job_that_is_not_there_is_not_waited_for(served: Served) -> None:
    answer = await served.ask("GET", "/self-serve/jobs/99?wait=60", JSON)
    assert (answer.status, answer.json["msg"]) == (404, "Job 99 not found")
    assert (await served.ask("GET", "/self-serve/jobs/x?wait=60", JSON)).status == 404


@twisted_test()
async def test_a_refused_job_is_not_waited_for(served: Served) -> None:
    answer = await served.ask("DELETE", f"{BUILD}/99?wait=60", JSON | ZOE)
    assert answer.status == 404


@twisted_test()
async def test_a_plan_is_not_waited_for(served: Served) -> None:
    answer = await served.ask("DELETE", f"{BUILD}/12?wait=60&dry_run=1", JSON | ZOE)
    assert answer.status == 200


@both
@twisted_test()
async def test_a_client_that_goes_away_is_forgotten(served: Served, asking: str) -> None:
    wire = await ask_and_wait(served, asking)
    wire.close()
    await wire.closed
    await until(lambda: not served.watch._waiting)
    assert not served.in_flight
    assert served.jobs.sent_ids == {1}


@both
@twisted_test()
async def test_a_server_that_stops_answers_at_once(serve: Serve, asking: str) -> None:
    served = serve(drain_seconds=60)
    wire = await ask_and_wait(served, asking)
    await served.listener.stopService()
    assert job_of(asking, await wire.answer())["state"] == "queued"


@both
@twisted_test(8)
async def test_many_wait_with_one_query_at_a_time(serve: Serve, asking: str) -> None:
    served = serve(request_seconds=8)
    await queue_job(served)
    looks: list[int] = []
    look = served.jobs.finished

    async def counted(ids: Any) -> Any:
        looks.append(len(ids))
        return await look(ids)

    served.watch._store = type("Counted", (), {"finished": staticmethod(counted)})()
    method, path = ("GET", JOB) if asking == "read" else ("DELETE", f"{BUILD}/12")
    wires = [await served.wire() for _ in range(100)]
    for wire in wires:
        wire.send(request(method, f"{path}?wait=60", JSON | ZOE))
    await until(lambda: sum(map(len, served.watch._waiting.values())) == 100)
    looks.clear()
    began = time.monotonic()
    await until(lambda: len(looks) >= 2)
    assert len(looks) <= 2 + (time.monotonic() - began) / SECONDS, "one for all at each turn"
    served.watch.close()
    for wire in wires:
        await wire.closed
        assert (await wire.answer()).status in (200, 202)


# --- trouble with the database while waiting


@twisted_test()
async def test_an_accepted_job_is_accepted_even_if_it_cannot_be_read(served: Served) -> None:
    """A 503 would say that it is not executed, and never will be."""
    wire = await ask_and_wait(served, "job request")
    served.jobs.reading.error = database_down()
    await finish(served, tell=True)
    await wire.closed
    answer = await wire.answer()
    assert answer.status == 202
    assert answer.json.keys() == {"status", "request_id", "msg"}


@twisted_test()
async def test_an_accepted_job_is_accepted_even_if_reading_it_hangs(serve: Serve) -> None:
    served = serve(answer_seconds=0.4)
    wire = await ask_and_wait(served, "job request")
    served.jobs.reading.held = Deferred()
    await finish(served, tell=True)
    await wire.closed
    assert (await wire.answer()).status == 202


@twisted_test()
async def test_a_read_that_waited_says_that_the_database_is_away(served: Served) -> None:
    wire = await ask_and_wait(served, "read")
    served.jobs.reading.error = database_down()
    await finish(served, tell=True)
    await wire.closed
    assert (await wire.answer()).status == 503


@twisted_test()
async def test_a_job_that_is_not_sent_is_not_waited_for(
    served: Served, logged_errors: list[Any]
) -> None:
    served.broker.failing.error = broker_down()
    answer = await served.ask("DELETE", f"{BUILD}/12?wait=60", JSON | ZOE)
    assert answer.status == 503
    logged_errors.clear()
