"""A real master hangs with a change while the scheduler database is away: it is stored once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.conftest import MakeService, World
from tests.services.mariadb import MariaDB, start_mariadb

pytestmark = [pytest.mark.buildbot, pytest.mark.mariadb, pytest.mark.rabbitmq]


@pytest.fixture
def apart() -> Iterator[MariaDB]:
    """Run a server for the jobs database alone, which goes on while the other is away."""
    server = start_mariadb()
    yield server
    server.remove()


def until(what: str, holds: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not so after {seconds} s: {what}"
        time.sleep(0.05)


def test_a_change_that_a_hung_master_got_is_stored_once_though_the_database_was_away(
    world: World, mariadb: MariaDB, apart: MariaDB, make_service: MakeService
) -> None:
    sections = {
        **world.sections,
        "databases": {**world.sections["databases"], "jobs": {"url": apart.database("jobs")}},
        "broker": {
            **world.sections["broker"],
            "agent_queue": "hung-agent",
            "web_queue": "hung-web",
        },
        "agent": {**world.sections["agent"], "marker_table": "markers_hung"},
    }
    service = make_service("service", sections)
    service.up()
    rows, client, master = world.farm.rows, service.client, world.farm.masters[0]
    revision = f"{time.time_ns():x}".ljust(40, "0")
    sent: list[tuple[str]] = []
    # The master has the change and waits while it stores it; reads go on.
    database = rows.url.rpartition("/")[2]
    holder = mariadb.connect(database)
    holder.cursor().execute("SELECT GET_LOCK('change', 5)")
    holder.cursor().execute(
        "CREATE TRIGGER held BEFORE INSERT ON changes FOR EACH ROW"
        " SET @held = GET_LOCK('change', 90)"
    )
    try:
        accepted = client.post(f"/self-serve/mozilla-central/rev/{revision}")
        assert accepted.status == 202, accepted

        def sending() -> bool:
            sent[:] = rows.select("SELECT state FROM markers_hung WHERE request_id > 0")
            return sent == [("sending",)]

        def stores() -> bool:
            waits = "SELECT id FROM information_schema.processlist WHERE state = 'User lock'"
            return bool(rows.select(waits))

        until("the change is being sent", sending)
        until("the master stores it", stores)
        master.suspend()
        mariadb.suspend()
        try:
            path = f"/self-serve/jobs/{accepted.body['request_id']}"

            def unconfirmed() -> bool:
                job = client.get(path).body
                assert (job["completed_at"], job["state"]) == (None, "running"), job
                return [item["state"] for item in job["items"] or []] == ["unconfirmed"]

            until("whether it is stored is told to be unknown", unconfirmed)
        finally:
            mariadb.resume()
    finally:
        master.resume()
        holder.close()
    job = client.wait_job(accepted.body["request_id"], 60)
    until(
        "the change is stored",
        lambda: bool(rows.select("SELECT changeid FROM changes WHERE revision = %s", revision)),
    )
    mariadb.execute("DROP TRIGGER held", database=database)
    assert len(rows.select("SELECT changeid FROM changes WHERE revision = %s", revision)) == 1
    if job["state"] == "done":
        assert job["complete_data"]["body"] == {"errors": False, "msg": "Ok"}
    else:
        assert "not known" in str(job), job
