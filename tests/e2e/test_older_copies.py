"""After a jobs database was lost, restored or failed over, new jobs are done, whatever their ids.

Each job that is asked for afterwards has its effect in the scheduler database, and none is answered
with the outcome of an earlier one of the same id.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import MakeService, World
from tests.e2e.older_copy import NOWHERE, Desk, Files, Tables
from tests.e2e.service import Service, configured
from tests.farm.rows import SchedulerRows
from tests.services.mariadb import MariaDB

WARNING = "was the jobs database restored or lost?"


def until(what: str, holds: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not so after {seconds} s: {what}"
        time.sleep(0.05)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def numbers(service: Service) -> dict[str, Any] | None:
    """Read the part of the status that tells of ids of jobs; None where there is none."""
    parts = service.client.get("/status").body["parts"]
    return next((part for part in parts if part["name"] == "job numbers"), None)


def warned(service: Service, highest: int) -> None:
    """Check that log and status tell that ids began again, and where they go on."""
    assert WARNING in service.output()
    assert f"New ids continue after {highest}" in service.output()
    part = numbers(service)
    assert part is not None
    assert WARNING in part["last_error"]
    assert part["detail"] == f"warning: new ids continue after {highest}"


# --- SQLite files beside a sample farm


@pytest.fixture
def sample(tmp_path: Path) -> Iterator[Service]:
    """Run the sample farm; its masters take changes and stop builds."""
    service = configured(tmp_path / "service", {"sample": {"enabled": True, "builds": 300}})
    service.up()
    yield service
    service.kill()


def desk_of(service: Service) -> Desk:
    rows = SchedulerRows(f"sqlite:///{service.folder / 'data' / 'scheduler.sqlite'}")

    def running() -> int:
        """Find the build that has run for the shortest time."""
        text = (
            "SELECT b.brid FROM builds b JOIN buildrequests br ON br.id = b.brid"
            " JOIN buildsets bs ON bs.id = br.buildsetid"
            " JOIN sourcestamps ss ON ss.id = bs.sourcestampid"
            " WHERE b.finish_time IS NULL AND br.complete = 0 AND ss.branch LIKE '%%try%%'"
            " ORDER BY b.start_time DESC"
        )
        found: list[tuple[int]] = []

        def any_runs() -> bool:
            found[:] = rows.select(text)[:1]
            return bool(found)

        until("a build runs on try", any_runs)
        return found[0][0]

    return Desk(service.client, rows, running)


@pytest.mark.parametrize("copy", ["none", "older"])
def test_jobs_after_the_sqlite_files_were_lost_or_put_back_are_done(
    sample: Service, tmp_path: Path, copy: str
) -> None:
    desk, files = desk_of(sample), Files(sample.folder / "data", tmp_path / "kept")
    before = desk.one_of_each()
    if copy == "older":
        sample.stop()
        files.keep()
        sample.up()
        before += desk.one_of_each()
    assert numbers(sample) is None
    assert WARNING not in sample.output()
    sample.stop()

    if copy == "older":
        files.put_back()
    else:
        files.lose()
    sample.up()

    after = desk.one_of_each()
    assert min(after) > max(before), "ids go on past all that were given out"
    warned(sample, max(before))
    sample.stop()
    sample.up()
    assert min(desk.one_of_each()) > max(after)
    assert WARNING not in sample.output(), "it is mended, and nothing is said any more"
    assert "Traceback" not in sample.log()


# --- MariaDB and RabbitMQ, with real masters


def tables_of(world: World, mariadb: MariaDB) -> Tables:
    return Tables(mariadb, urlsplit(world.sections["databases"]["jobs"]["url"]).path[1:])


@pytest.fixture
def of_its_own(world: World, mariadb: MariaDB) -> World:
    """Create a jobs database, markers and queues for one test."""
    url = mariadb.database("older")
    own = url.rpartition("/")[2]
    sections = {
        **world.sections,
        "databases": {**world.sections["databases"], "jobs": {"url": url}},
        "broker": {
            **world.sections["broker"],
            "agent_queue": f"{own}-agent",
            "web_queue": f"{own}-web",
        },
        "agent": {**world.sections["agent"], "marker_table": f"markers_{own}"},
    }
    return World(world.farm, world.broker, sections)


def with_service(world: World, *roles: str, heartbeat_seconds: int) -> dict[str, Any]:
    service = {"data": "data", "roles": list(roles), "heartbeat_seconds": heartbeat_seconds}
    # A probe that finds something new asks for a sign of life out of turn.
    return {**world.sections, "service": service, "ops": {"probe_seconds": 0}}


def real_desk(world: World, service: Service) -> Desk:
    rows = world.farm.rows

    def running() -> int:
        request = rows.submit("long a", reason="Self-serve: runs")
        rows.wait_running(request)
        return request

    return Desk(service.client, rows, running)


@pytest.mark.buildbot
@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_jobs_after_a_failover_to_an_older_copy_are_done_though_their_ids_were_used(
    of_its_own: World, mariadb: MariaDB, make_service: MakeService
) -> None:
    """Until the next sign of life compares the numbers, ids are given out a second time."""
    sections = with_service(of_its_own, "api", "agent", heartbeat_seconds=300)
    service = make_service("service", sections)
    service.up()
    desk, tables = real_desk(of_its_own, service), tables_of(of_its_own, mariadb)
    first = desk.one_of_each()
    tables.keep()
    lost = desk.one_of_each()

    tables.put_back()

    assert desk.one_of_each() == lost, "the same ids, and each job done"
    service.stop()
    service.up()
    after = desk.one_of_each()
    assert min(after) > max(lost) > max(first)
    assert "Traceback" not in service.log()


@pytest.mark.buildbot
@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_a_failover_is_noticed_with_the_next_sign_of_life_and_ids_go_on(
    of_its_own: World, mariadb: MariaDB, make_service: MakeService
) -> None:
    sections = with_service(of_its_own, "api", "agent", heartbeat_seconds=1)
    service = make_service("service", sections)
    service.up()
    desk, tables = real_desk(of_its_own, service), tables_of(of_its_own, mariadb)
    tables.keep()
    lost = desk.one_of_each()
    assert numbers(service) is None

    tables.put_back()

    until("the ids are moved on", lambda: numbers(service) is not None)
    warned(service, max(lost))
    assert min(desk.one_of_each()) > max(lost)
    assert "Traceback" not in service.log()


@pytest.mark.buildbot
@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_the_first_job_after_a_restore_gets_a_higher_id_already(
    of_its_own: World, mariadb: MariaDB, make_service: MakeService
) -> None:
    sections = with_service(of_its_own, "api", "agent", heartbeat_seconds=300)
    service = make_service("service", sections)
    service.up()
    desk, tables = real_desk(of_its_own, service), tables_of(of_its_own, mariadb)
    tables.keep()
    lost = desk.one_of_each()
    service.stop()

    tables.put_back()
    request = of_its_own.farm.rows.submit(NOWHERE)
    service.begin()
    until("its port is open", lambda: is_open(service.port))
    early = service.client.delete(f"/self-serve/try/request/{request}")  # waits until it is ready

    assert early.status == 202
    assert early.body["request_id"] > max(lost)
    assert min(desk.one_of_each()) > early.body["request_id"]
    service.wait_ready()
    warned(service, max(lost))
    assert "Traceback" not in service.log()


@pytest.mark.buildbot
@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_a_message_of_a_job_that_is_lost_is_not_done_for_the_job_that_has_its_id(
    of_its_own: World, mariadb: MariaDB, make_service: MakeService
) -> None:
    """No marker tells of a job that no agent has begun, so its id is given out again."""
    rows = of_its_own.farm.rows
    api = make_service("api", with_service(of_its_own, "api", heartbeat_seconds=1))
    agent = make_service("agent", with_service(of_its_own, "agent", heartbeat_seconds=1))
    api.up()
    tables = tables_of(of_its_own, mariadb)
    tables.keep()
    one, other = (rows.submit(NOWHERE) for _ in range(2))
    lost = api.client.delete(f"/self-serve/try/request/{one}")
    assert lost.status == 202

    tables.put_back()
    new = api.client.delete(f"/self-serve/try/request/{other}")
    assert new.body["request_id"] == lost.body["request_id"]
    agent.up()

    job = api.client.done(new)
    assert (job["state"], job["what"]["brid"]) == ("done", other)
    assert [rows.request(request).complete for request in (one, other)] == [0, 1]
    until("it is told", lambda: "put aside" in agent.output() or "dead" in agent.output())
    assert "Traceback" not in api.log() + agent.log()
