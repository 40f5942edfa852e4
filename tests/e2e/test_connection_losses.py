"""Connections to a real RabbitMQ are lost with jobs in hand, while a real MariaDB is away."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.restarting import Process, Site
from tests.e2e.service import Client
from tests.patience import eventually
from tests.plugins.running import run
from tests.services.mariadb import MariaDB, start_mariadb
from tests.services.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.mariadb, pytest.mark.rabbitmq]

JOBS, LOSSES = 10, 6
OLD_LIMIT = json.dumps({"delivery-limit": 4})
"""Of the queues that older versions declared; as a policy it holds for ours, too."""


@pytest.fixture(scope="module")
def away() -> Iterator[MariaDB]:
    """Run a server for the scheduler database alone: it is stopped under way."""
    made = start_mariadb()
    yield made
    made.remove()


@pytest.fixture
def site(
    tmp_path: Path, mariadb: MariaDB, away: MariaDB, rabbitmq: RabbitMQ
) -> Iterator[tuple[Site, str]]:
    """Prepare a site with queues of its own, whose jobs database stays."""
    made, tag = Site.over(tmp_path, away, rabbitmq, None), uuid.uuid4().hex[:8]
    sections: dict[str, Any] = {**made.sections}
    sections["databases"] = sections["databases"] | {"jobs": {"url": mariadb.database("jobs")}}
    names = {"exchange": f"x-{tag}", "agent_queue": f"agent-{tag}", "web_queue": f"web-{tag}"}
    sections["broker"] = sections["broker"] | names
    made.sections = sections
    yield made, names["agent_queue"]
    made.end()


def _broker(client: Client) -> dict[str, Any]:
    """Ask how the broker is, and the queue of the agents first; it may just have dropped us."""
    return dict(client.get("/status").body["broker"])


def _lose(queue: str, rabbitmq: RabbitMQ) -> None:
    """Close all connections once the agent consumes again and has all messages in hand.

    The broker itself is asked: what the API says of the queue may be from before the last loss.
    """

    def at_broker() -> dict[str, list[str]]:
        table = rabbitmq.ctl(
            "list_queues", "--no-table-headers", "name", "consumers", "messages_ready"
        )
        return {name: counts for name, *counts in map(str.split, table.splitlines())}

    eventually(at_broker, lambda queues: queues.get(queue) == ["1", "0"], 120)
    rabbitmq.ctl("close_all_connections", "lost in a test")


def _submitted(client: Client, agent: Process) -> list[int]:
    """Submit rebuilds while the agent hangs, so that none is done before its database goes."""
    agent.suspend()
    asked = [client.post("/self-serve/try/request", request_id=n) for n in range(1, JOBS + 1)]
    assert [a.status for a in asked] == [202] * JOBS
    return [a.body["request_id"] for a in asked]


@pytest.mark.parametrize("old", [True, False], ids=["limit of 4", "ours"])
def test_six_lost_connections_with_the_scheduler_database_away_drop_no_accepted_job(
    site: tuple[Site, str], away: MariaDB, rabbitmq: RabbitMQ, *, old: bool
) -> None:
    made, queue = site
    if old:
        pattern = f"^{queue}$"
        rabbitmq.ctl("set_policy", "--apply-to", "queues", queue, pattern, OLD_LIMIT)
    api, agent = made.process("api", "api"), made.process("agent", "agent")
    api.up()
    agent.up()
    client = api.client
    jobs = _submitted(client, agent)
    away.stop()
    try:
        agent.resume()
        for _ in range(LOSSES):
            _lose(queue, rabbitmq)
        try:
            agent.end()
        except subprocess.TimeoutExpired:
            pytest.fail(f"it did not end: {agent.log()}")
    finally:
        away.start()
    agent.up()
    for job in jobs:
        assert client.wait_job(job, 60)["complete_data"]["body"]["errors"] is False
    assert sum(made.rebuilt().values()) == JOBS, "each of them once"
    # The last loss was the API's as well, and it waits longer after each before it comes back.
    eventually(
        lambda: _broker(client), lambda b: bool(b["connected"]) and b["queues"][0]["dead"] == 0
    )
    _noticed(api, old=old)


def _noticed(api: Process, *, old: bool) -> None:
    """Check that what the broker dead-lettered is in log, status and check, and nothing else."""
    letters = api.client.get("/status").body["dead_letters"]
    check = run("queue", "--url", f"http://127.0.0.1:{api.port}")
    assert bool(letters["returned"]["recent"]) is old
    assert letters["failed"]["count"] == 0
    assert ("(delivery_limit) is returned" in api.output()) is old
    assert check.code == int(old)
    assert ("dead letters requeued" in check.output) is old
