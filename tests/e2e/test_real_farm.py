"""Real Buildbot 0.8.2 masters and slaves, MariaDB, RabbitMQ, and our program as a process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.conftest import MakeService, World
from tests.e2e.service import Service

pytestmark = [pytest.mark.buildbot, pytest.mark.mariadb, pytest.mark.rabbitmq]

REVISION = "0123456789abcdef0123456789abcdef01234567"


def with_roles(world: World, *roles: str) -> Mapping[str, Any]:
    return {**world.sections, "service": {"data": "data", "roles": list(roles)}}


def test_a_rebuild_runs_on_the_real_master(world: World, service: Service) -> None:
    rows, client = world.farm.rows, service.client
    first = rows.submit("short", revision=REVISION, properties={"answer": 42, "text": "ü"})
    rows.wait_complete(first)
    build = rows.builds(first)[0]

    job = client.done(client.post("/self-serve/try/build", build_id=build.id, count=3))

    assert job["state"] == "done"
    assert job["complete_data"]["body"] == {"errors": False, "msg": "Ok"}
    made = [item["request_id"] for item in job["items"]]
    assert len(made) == 3
    for request_id in made:
        assert rows.wait_complete(request_id).results == 0
        details = client.get(f"/self-serve/try/request/{request_id}").body
        assert details["properties"] == {"answer": 42, "text": "ü"}
        assert details["reason"] == "Self-serve: Rebuilt by sheriff@example.org"
        assert details["revision"] == REVISION
    assert len({b.number for r in made for b in rows.builds(r)}) == 3, "they were not coalesced"


def test_a_pending_request_is_cancelled_and_never_built(world: World, service: Service) -> None:
    rows, client = world.farm.rows, service.client
    running = [rows.submit("long a", reason=f"Self-serve: {n}") for n in range(2)]
    for request_id in running:
        rows.wait_running(request_id)
    waiting = rows.submit("long a", reason="Self-serve: waits")

    job = client.done(client.delete(f"/self-serve/try/request/{waiting}"))

    assert job["complete_data"]["body"]["msg"] == f"{waiting}: Ok"
    row = rows.request(waiting)
    assert (row.complete, row.results, row.claimed_at) == (1, 2, 0)
    buildset = "SELECT complete, results FROM buildsets WHERE id = %s"
    assert rows.select(buildset, row.buildsetid) == [(1, 2)]
    for request_id in running:
        assert (
            client.done(client.delete(f"/self-serve/try/request/{request_id}"))["state"] == "done"
        )
    later = rows.submit("long a", reason="Self-serve: comes later")
    rows.wait_running(later)  # the master had a slave for the one that waited, too
    assert rows.builds(waiting) == []
    client.done(client.delete(f"/self-serve/try/request/{later}"))


@pytest.mark.parametrize("builder", ["long a", "a/b%c"])
def test_a_running_build_is_stopped(world: World, service: Service, builder: str) -> None:
    rows, client = world.farm.rows, service.client
    request_id = rows.submit(builder, revision=REVISION)
    build = rows.wait_running(request_id)

    job = client.done(client.delete(f"/self-serve/try/build/{build.id}"))

    assert job["complete_data"]["body"] == {"errors": False, "msg": "Ok"}
    (item,) = job["items"]
    assert (item["state"], item["master"]) == ("done", world.farm.masters[0].claimed_by_name)
    assert rows.request(request_id).complete == 1
    assert rows.builds(request_id)[0].finish_time is not None
    again = client.done(client.delete(f"/self-serve/try/build/{build.id}"))
    assert again["complete_data"]["body"]["msg"] == "Build is complete, nothing to do"


def test_a_build_that_is_not_the_one_meant_is_left_alone(world: World, service: Service) -> None:
    """After a double claim, builds.number may be another build's."""
    rows, client = world.farm.rows, service.client
    request_id = rows.submit("long a")
    build = rows.wait_running(request_id)
    rows.execute("UPDATE builds SET start_time = start_time - 3600 WHERE id = %s", build.id)

    job = client.done(client.delete(f"/self-serve/try/build/{build.id}"))

    assert job["state"] == "failed"
    assert job["complete_data"]["body"]["msg"] == "Error cancelling build"
    assert "no master has this build" in job["items"][0]["detail"]
    assert rows.request(request_id).complete == 0
    rows.execute("UPDATE builds SET start_time = start_time + 3600 WHERE id = %s", build.id)
    assert client.done(client.delete(f"/self-serve/try/build/{build.id}"))["state"] == "done"


def test_reprioritizing_changes_the_order_in_which_a_master_starts(
    world: World, service: Service
) -> None:
    rows, client = world.farm.rows, service.client
    blocking = [rows.submit("long b", reason=f"Self-serve: {n}") for n in range(2)]
    for request_id in blocking:
        rows.wait_running(request_id)
    early, late = (rows.submit("long b", reason=f"Self-serve: {w}") for w in ("early", "late"))

    job = client.done(client.put(f"/self-serve/try/request/{late}", priority=7))

    assert job["complete_data"]["body"]["msg"] == "Ok"
    assert client.done(client.delete(f"/self-serve/try/request/{blocking[0]}"))["state"] == "done"
    rows.wait_running(late)
    assert rows.builds(early) == []
    refused = client.put(f"/self-serve/try/request/{late}", priority=1)
    assert (refused.status, refused.body["msg"]) == (400, "Request is already running")
    for request_id in (early, late, blocking[1]):
        assert (
            client.done(client.delete(f"/self-serve/try/request/{request_id}"))["state"] == "done"
        )


def test_a_kill_between_commit_and_ack_makes_no_second_rebuild(
    world: World, make_service: MakeService
) -> None:
    rows = world.farm.rows
    first = rows.submit("short", revision=REVISION)
    rows.wait_complete(first)
    api = make_service("api", with_roles(world, "api"))
    agent = make_service("agent", with_roles(world, "agent"))
    api.up()
    accepted = api.client.post("/self-serve/try/request", request_id=first, count=2)
    assert accepted.status == 202
    before = len(rows.select("SELECT id FROM buildrequests"))
    alarm = "vm_memory_high_watermark"
    usual = world.broker.ctl("eval", f"vm_memory_monitor:get_{alarm}().").strip()
    world.broker.ctl(f"set_{alarm}", "0")  # deliveries go on, nothing published is taken
    try:
        agent.up()
        end = time.monotonic() + 180
        while len(rows.select("SELECT id FROM buildrequests")) == before:
            assert time.monotonic() < end, f"nothing was written: {agent.output()}"
            time.sleep(0.05)
        agent.kill()
        job = api.client.get(f"/self-serve/jobs/{accepted.body['request_id']}").body
        assert job["state"] == "running"
    finally:
        world.broker.ctl(f"set_{alarm}", usual)
    agent.up()

    job = api.client.wait_job(accepted.body["request_id"])

    assert job["complete_data"]["body"] == {"errors": False, "msg": "Ok"}
    assert len(rows.select("SELECT id FROM buildrequests")) == before + 2


def test_without_a_broker_the_answer_is_503_in_seconds_and_the_job_is_never_run(
    world: World, service: Service
) -> None:
    rows, client = world.farm.rows, service.client
    first = rows.submit("short")
    rows.wait_complete(first)
    before = len(rows.select("SELECT id FROM buildrequests"))
    world.broker.stop()
    try:
        refused = client.post("/self-serve/try/request", request_id=first)
        assert refused.status == 503
        assert refused.body["msg"] == "Couldn't send message to broker"
        assert client.get("/self-serve/try/builders").status == 200
    finally:
        world.broker.start()
    job = client.get("/self-serve/jobs?num=1").body[0]
    assert (job["state"], job["what"]["brid"]) == ("failed", first)

    end = time.monotonic() + 180
    while (accepted := client.post("/self-serve/try/request", request_id=first)).status != 202:
        assert time.monotonic() < end, f"no reconnect: {service.output()}"
        time.sleep(0.5)

    assert client.done(accepted)["state"] == "done"
    assert len(rows.select("SELECT id FROM buildrequests")) == before + 1


def test_a_stopped_master_delays_no_other_job(world: World, service: Service) -> None:
    rows, client = world.farm.rows, service.client
    hung, fine = world.farm.masters
    at_hung = [rows.submit("long a", reason=f"Self-serve: {n}") for n in range(2)]
    at_fine = [rows.submit("long b", reason=f"Self-serve: {n}") for n in range(2)]
    for request_id in (*at_hung, *at_fine):
        rows.wait_running(request_id)
    hung.suspend()
    try:
        slow = [client.delete(f"/self-serve/try/request/{r}") for r in at_hung]
        quick = [client.delete(f"/self-serve/try/request/{r}") for r in at_fine]
        last = max(client.done(answer)["completed_at"] for answer in quick)
        for answer in slow:
            job = client.done(answer)
            assert job["state"] == "failed"
            assert "no answer within 5 s" in job["items"][0]["detail"]
            assert job["completed_at"] > last
    finally:
        hung.resume()
    for request_id in at_hung:
        client.done(client.delete(f"/self-serve/try/request/{request_id}"))
        assert rows.request(request_id).complete == 1
    assert fine.running


def test_a_stop_that_a_hung_slave_does_not_obey_is_not_called_done(
    world: World, service: Service
) -> None:
    rows, client = world.farm.rows, service.client
    master = world.farm.masters[1]
    request_id = rows.submit("long b")
    rows.wait_running(request_id)
    for slave in master.slaves:
        slave.suspend()
    try:
        job = client.done(client.delete(f"/self-serve/try/request/{request_id}"))
        assert job["state"] == "failed"
        assert job["items"][0]["state"] == "unconfirmed"
    finally:
        for slave in master.slaves:
            slave.resume()
    rows.wait_complete(request_id)
