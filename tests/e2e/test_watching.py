"""Status, readiness and metrics of an API process and an agent on real servers that go away."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families

from buildapi.sample.farm_schema import scheduler_schema, status_schema
from tests.buildbot.seed import Seed
from tests.e2e.conftest import MakeService
from tests.e2e.service import Service
from tests.patience import eventually
from tests.services.mariadb import MariaDB, free_port, start_mariadb
from tests.services.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.mariadb, pytest.mark.rabbitmq]


@attrs.define
class Watched:
    """An API process and an agent; ``replica`` is a database that nothing is replicated to."""

    api: Service
    agent: Service
    ops_port: int
    broker: RabbitMQ
    server: MariaDB
    primary: Seed
    replica: Seed

    def status(self) -> dict[str, Any]:
        answer = self.api.client.get("/status")
        assert answer.status == 200
        return dict(answer.body)

    def of_agent(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.ops_port}{path}"
        with urllib.request.urlopen(url, timeout=120) as answer:
            return bytes(answer.read())


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    """Run a server of its own: it is stopped under way."""
    made = start_mariadb()
    yield made
    made.remove()


@pytest.fixture
def watched(
    tmp_path: Path, make_service: MakeService, server: MariaDB, rabbitmq: RabbitMQ
) -> Watched:
    names = ("scheduler", "replica", "status", "jobs")
    urls = {n: server.database(n, charset="utf8" if n != "jobs" else "utf8mb4") for n in names}
    for name, schema in (
        ("scheduler", scheduler_schema),
        ("replica", scheduler_schema),
        ("status", status_schema),
    ):
        made = schema("mysql")
        server.execute(*made, database=urls[name].rpartition("/")[2])
    directory = _directory(tmp_path)
    sections: dict[str, Any] = {
        "databases": {
            "jobs": {"url": urls["jobs"]},
            "scheduler": {"url": urls["scheduler"]},
            "scheduler_replica": {"url": urls["replica"]},
            "status": {"url": urls["status"]},
        },
        "broker": {
            "url": f"amqp://{rabbitmq.user}:{rabbitmq.password}@127.0.0.1:{rabbitmq.port}/",
            "agent_queue": f"agent-{tmp_path.name}",
            "web_queue": f"web-{tmp_path.name}",
            "exchange": f"x-{tmp_path.name}",
        },
        "directory": directory,
    }
    ops_port = free_port()
    listen = f"tcp:{ops_port}:interface=127.0.0.1"
    api = make_service("api", _with(sections, "web1", ["api"]))
    agent = make_service(
        "agent", _with(sections, "agent1", ["agent"]) | {"ops": {"listen": [listen]}}
    )
    api.up()
    agent.up()
    primary, replica = Seed(urls["scheduler"]), Seed(urls["replica"])
    return Watched(api, agent, ops_port, rabbitmq, server, primary, replica)


def _directory(folder: Path) -> Mapping[str, str]:
    """Write a directory with a master that answers nothing."""
    branches, masters = folder / "branches.json", folder / "masters.json"
    branches.write_text(json.dumps({"try": {"repo": "https://hg.example.org/try"}}))
    dead = {"db_name": "bm1:/m", "hostname": "127.0.0.1", "http_port": free_port()}
    masters.write_text(json.dumps([dead]))
    return {"branches": str(branches), "masters": str(masters)}


def _with(sections: Mapping[str, Any], name: str, roles: list[str]) -> dict[str, Any]:
    service = {"data": "data", "name": name, "roles": roles, "heartbeat_seconds": 1}
    return {"service": service, **sections}


def parts(found: Mapping[str, Any]) -> dict[str, bool]:
    return {p["name"]: p["ok"] for p in found["parts"]}


def when(watched: Watched, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    return eventually(watched.status, holds, seconds=30)


def test_the_parts_of_two_processes_are_seen_from_one(watched: Watched) -> None:
    found = when(watched, lambda s: bool(s["masters"]["asked"]))
    assert [(a["name"], a["live"], a["roles"]) for a in found["agents"]] == [
        ("agent1", True, ["agent"])
    ]
    assert [p["name"] for p in found["processes"]] == ["agent1", "web1"]
    assert {q["role"]: q["consumers"] for q in found["broker"]["queues"]} == {
        "requests": 1,
        "finished": 1,
    }
    assert {d["name"]: d["kind"] for d in found["databases"]}["scheduler_replica"] == "mysql"
    assert all(d["connect_seconds"] > 0 for d in found["databases"])
    assert found["masters"]["unreachable"] == ["bm1:/m"]
    assert found["status"] == "DEGRADED"
    assert watched.api.client.get("/readyz").status == 200
    assert json.loads(watched.of_agent("/readyz?format=json"))["ready"] is True
    of_agent = json.loads(watched.of_agent("/status?format=json"))
    assert [d["name"] for d in of_agent["databases"]] == ["jobs", "scheduler"]
    assert {p["name"] for p in of_agent["parts"] if not p["ok"]} == {"masters"}
    families = {
        f.name for f in text_string_to_metric_families(watched.of_agent("/metrics").decode())
    }
    assert {"buildapi_ready", "buildapi_db_calls", "buildapi_agents_live"} <= families


def test_the_lag_of_a_replica_is_seen(watched: Watched) -> None:
    when(watched, lambda s: s["replica"]["error"] is not None)
    watched.replica.execute(
        "CREATE TABLE buildapi_markers (request_id INTEGER PRIMARY KEY, created_at BIGINT)"
    )
    pulse = int(watched.primary.rows("SELECT created_at FROM buildapi_markers")[0]["created_at"])
    watched.replica.insert("buildapi_markers", request_id=0, created_at=pulse - 60)
    found = when(watched, lambda s: s["replica"]["lag_seconds"] is not None)
    assert found["replica"]["lag_seconds"] >= 60


def test_an_agent_that_dies_falls_silent_and_one_that_ends_is_gone(watched: Watched) -> None:
    when(watched, lambda s: parts(s)["agents"])
    watched.agent.kill()
    found = when(watched, lambda s: not parts(s)["agents"])
    assert [(a["name"], a["live"]) for a in found["agents"]] == [("agent1", False)]
    watched.agent.up()
    when(watched, lambda s: parts(s)["agents"])
    watched.agent.stop()
    found = when(watched, lambda s: not any(a["live"] for a in s["agents"]))
    assert len(found["agents"]) == 1, "the killed one is still told, the ended one is not"


def test_a_broker_that_goes_away_is_told_by_all_who_are_asked(watched: Watched) -> None:
    watched.broker.stop()
    try:
        found = when(watched, lambda s: not parts(s)["broker"])
        assert found["broker"]["queues"][0]["error"]
        assert found["broker"]["queues"][0]["ready"] is None
        not_ready = watched.api.client.get("/readyz")
        assert not_ready.status == 503
        assert "broker" in not_ready.body["msg"]
        assert watched.api.client.get("/healthz").status == 200
    finally:
        watched.broker.start()
    when(watched, lambda s: parts(s)["broker"])
    found = watched.status()
    last = next(p for p in found["parts"] if p["name"] == "broker")
    assert last["last_error"] is not None, "what it was stays known"


def test_a_database_server_that_goes_away_leaves_a_status(watched: Watched) -> None:
    watched.server.stop()
    try:
        found = when(watched, lambda s: not parts(s)["database jobs"])
        assert {d["ok"] for d in found["databases"]} == {False}
        assert found["agents_error"]
        assert found["jobs"]["error"]
        assert watched.api.client.get("/readyz").status == 503
    finally:
        watched.server.start()
    when(watched, lambda s: parts(s)["agents"] and s["ready"])


def test_processes_end_while_a_database_hangs(watched: Watched) -> None:
    when(watched, lambda s: s["ready"])
    watched.server.suspend()
    try:
        when(watched, lambda s: not parts(s)["database jobs"])
        for service in (watched.api, watched.agent):
            service.stop(seconds=40)
            assert service.output().endswith("Server Shut Down.\n"), service.output()
    finally:
        watched.server.resume()


def test_the_service_manager_is_told(watched: Watched, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        watched.agent.stop()
        watched.agent.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        watched.agent.environment["WATCHDOG_USEC"] = "3000000"
        watched.agent.up()
        watched.agent.stop()
        told: list[str] = []
        while not told or not told[-1].startswith("STOPPING=1"):
            told.append(manager.recv(4096).decode())
    assert told[0] == "WATCHDOG=1", "the start may take longer than the limit"
    assert "READY=1\nSTATUS=serving, roles agent" in told
