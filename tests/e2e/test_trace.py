"""One id from the HTTP request to the end of its job: in every log, message and trail."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from buildapi.sample import __main__ as sample_command
from tests.e2e.conftest import MakeService
from tests.e2e.service import USER, Service
from tests.e2e.test_logs import ready, wait
from tests.services.mariadb import MariaDB, free_port
from tests.services.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.mariadb, pytest.mark.rabbitmq]

BRANCH = "mozilla-central"
RID = "proxy-7f3a:1"
BRANCHES = {BRANCH: {"repo": f"https://hg.example.org/{BRANCH}"}}


@pytest.fixture
def sections(mariadb: MariaDB, rabbitmq: RabbitMQ, tmp_path: Path) -> dict[str, Any]:
    """Invent a farm without masters that run, and give the sections that join it."""
    scheduler = mariadb.database("scheduler", charset="utf8")
    wanted = ["--quiet", "--builds", "200", "--days", "2", "--branch", BRANCH]
    assert sample_command.main(["--scheduler", scheduler, *wanted]) == 0
    master = {
        "name": "bm1",
        "db_name": "bm1:/m",
        "hostname": "127.0.0.1",
        "http_port": free_port(),
        "pb_port": 9989,
        "role": "build",
        "enabled": True,
    }
    (tmp_path / "branches.json").write_text(json.dumps(BRANCHES))
    (tmp_path / "masters.json").write_text(json.dumps([master]))
    broker = f"amqp://{rabbitmq.user}:{rabbitmq.password}@127.0.0.1:{rabbitmq.port}/"
    return {
        "databases": {
            "jobs": {"url": mariadb.database("jobs")},
            "scheduler": {"url": scheduler},
        },
        "broker": {"url": broker},
        "directory": {
            "branches": str(tmp_path / "branches.json"),
            "masters": str(tmp_path / "masters.json"),
        },
        "log": {"format": "json", "file": "run.log"},
    }


def lines(service: Service) -> list[dict[str, Any]]:
    text = (service.folder / "run.log").read_text()
    return [json.loads(line) for line in text.splitlines()]


def rebuild(service: Service) -> int:
    """Ask for a build again, as a proxy would that names requests."""
    items = service.client.get(f"/self-serve/{BRANCH}").body
    build = next(item["build_id"] for item in items if item.get("build_id"))
    request = urllib.request.Request(
        f"{service.client.url}/self-serve/{BRANCH}/build",
        f"build_id={build}".encode(),
        {"Accept": "application/json", "X-Remote-User": USER, "X-Request-Id": RID},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.headers["X-Request-Id"] == RID
        return int(json.loads(answer.read())["request_id"])


def test_one_id_is_in_all_that_is_told_of_a_job(
    sections: dict[str, Any], make_service: MakeService
) -> None:
    web, agent = (
        make_service(role, {**sections, "service": {"data": "data", "roles": [role], "name": role}})
        for role in ("api", "agent")
    )
    for service in (web, agent):
        service.start()
    wait(lambda: ready(web.client))
    job_id = rebuild(web)
    job = web.client.wait_job(job_id)

    assert job["complete_data"]["body"]["msg"] == "Ok"
    assert job["complete_data"]["trace"] == RID
    trail = wait_for_end(web, job_id)
    assert trail["trace"] == RID
    assert trail["job"]["id"] == job_id
    told = [(e["host"], e["part"], e["event"]) for e in trail["events"]]
    for step in (
        ("api", "http", "recorded"),
        ("api", "http", "sent"),
        ("agent", "agent", "taken"),
        ("agent", "agent", "begun"),
        ("agent", "agent", "decided"),
        ("agent", "agent", "written"),
        ("agent", "agent", "reported"),
        ("api", "finisher", "stored"),
    ):
        assert step in told
    assert {e["trace"] for e in trail["events"]} == {RID}
    for service in (web, agent):
        found = [line for line in lines(service) if line.get("job") == job_id]
        assert found, f"{service.folder.name} says nothing of the job"
        assert {line["trace"] for line in found} == {RID}


def wait_for_end(web: Service, job_id: int) -> dict[str, Any]:
    def ended() -> Any:
        found = web.client.get(f"/self-serve/jobs/{job_id}/trace").body
        events = {e["event"] for e in found["events"]}
        return found if {"reported", "stored"} <= events else None

    found: dict[str, Any] = wait(ended)
    return found
