"""Batches when something behind them fails, hangs, or their client leaves."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from buildapi.web.selfserve.batch import AT_ONCE, ENTRIES_MAX
from buildapi.web.selfserve.submission import LATE
from tests.reactor import twisted_test, until
from tests.web.batching import (
    BATCH,
    CANCEL,
    HEADERS,
    Hanging,
    Slow,
    answered,
    batch,
    entry,
)
from tests.web.client import request
from tests.web.conftest import Serve, Served
from tests.web.farm import broker_down, database_down


@twisted_test()
async def test_without_a_broker_each_entry_is_refused_for_good(
    served: Served, logged_errors: list[Any]
) -> None:
    served.broker.failing.error = broker_down()
    answers = await answered(served, [CANCEL, entry("reprioritize"), entry("cancel_build")])
    failed = {"status": "FAILED", "code": "broker_unavailable"}
    body = failed | {"msg": "Couldn't send message to broker"}
    assert answers == [{"status": 503, "body": body | {"request_id": n}} for n in (1, 2, 3)]
    assert [job.completed_at is not None for job in served.jobs.jobs.values()] == [True] * 3
    logged_errors.clear()


@twisted_test()
async def test_without_a_job_store_no_entry_is_sent(served: Served) -> None:
    served.jobs.adding.error = database_down()
    answers = await answered(served, [CANCEL] * 3)
    assert [a["status"] for a in answers] == [503] * 3
    assert {a["body"]["msg"] for a in answers} == {"Couldn't create JobRequest row"}
    assert not served.broker.failing.calls


@twisted_test(8)
async def test_what_is_late_is_refused_and_never_recorded(serve: Serve) -> None:
    served = serve(batch_seconds=2.5)  # long beside what a busy machine takes to begin
    served.jobs.adding = Slow(seconds=1)
    answers = await answered(served, [CANCEL] * 20)
    statuses = [a["status"] for a in answers]
    taken = statuses.index(503)
    assert 1 <= taken <= 4
    assert statuses == [202] * taken + [503] * (20 - taken)
    assert {a["body"]["msg"] for a in answers[taken:]} == {LATE}
    # One that comes later takes as long to be recorded as any that was begun before.
    assert (await served.ask("DELETE", CANCEL["path"], HEADERS)).status == 202
    assert len(served.jobs.jobs) == len(served.broker.published) == taken + 1


@twisted_test(8)
async def test_slow_checks_do_not_hold_up_a_batch_for_long(serve: Serve) -> None:
    """All entries that are looked at at once may take their time, but not all after each other."""
    served = serve(answer_seconds=0.4, batch_seconds=0.5, max_body=2**20)
    served.builds.failing = Hanging()
    answers = await answered(served, [CANCEL] * 300)
    assert {a["status"] for a in answers} == {503}
    assert len(served.builds.failing.calls) <= 4 * AT_ONCE
    assert not served.jobs.jobs


@twisted_test()
async def test_only_so_many_entries_are_looked_at_at_once(served: Served) -> None:
    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    wire = await served.wire()
    wire.send(request("POST", BATCH, HEADERS, json.dumps([CANCEL] * 40).encode()))
    await until(lambda: len(served.builds.failing.calls) >= AT_ONCE)
    await served.turn()
    assert len(served.builds.failing.calls) == AT_ONCE
    held.callback(None)
    await wire.closed
    assert {a["status"] for a in (await wire.answer("POST")).json} == {202}
    assert len(served.builds.failing.calls) == 40


@twisted_test()
async def test_a_client_that_leaves_before_anything_is_recorded_has_sent_nothing(
    served: Served,
) -> None:
    served.builds.failing = Hanging()
    wire = await served.wire()
    wire.send(request("POST", BATCH, HEADERS, json.dumps([CANCEL] * 40).encode()))
    await until(lambda: bool(served.builds.failing.calls))
    wire.close()
    await until(lambda: not served.in_flight)
    await served.turn()
    assert not served.jobs.adding.calls


@twisted_test()
async def test_a_client_that_leaves_later_does_not_stop_its_batch_halfway(served: Served) -> None:
    held: Deferred[None] = Deferred()
    served.jobs.adding.held = held
    wire = await served.wire()
    wire.send(request("POST", BATCH, HEADERS, json.dumps([CANCEL] * 3).encode()))
    await until(lambda: bool(served.jobs.adding.calls))
    wire.close()
    await until(lambda: not served.in_flight)
    held.callback(None)
    await until(lambda: served.jobs.sent_ids == {1, 2, 3})
    assert len(served.broker.published) == 3


@twisted_test()
async def test_a_fault_is_one_incident(served: Served, logged_errors: list[dict[str, Any]]) -> None:
    served.builds.failing.error = ZeroDivisionError("hunter2")
    answer = await batch(served, [CANCEL] * 40)
    assert answer.status == 500
    assert "incident" in answer.json["msg"]
    assert not served.jobs.jobs
    (event,) = logged_errors
    assert event["log_failure"].check(ZeroDivisionError)
    logged_errors.clear()


@twisted_test()
async def test_entries_that_are_refused_at_once_may_follow_slow_ones(serve: Serve) -> None:
    served = serve(max_body=2**20)
    served.builds.failing = Slow()
    answers = await answered(served, [CANCEL] * AT_ONCE + [None] * (ENTRIES_MAX - AT_ONCE))
    assert [a["status"] for a in answers] == [202] * AT_ONCE + [400] * (ENTRIES_MAX - AT_ONCE)
