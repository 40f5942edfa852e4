"""The routes of those who watch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest

from buildapi.ops.status_document import UnreadValue
from buildapi.web.ops.health import HealthAnswers, HealthRoutes
from buildapi.web.selfserve.pages import SelfServePages
from tests.ops.status import document
from tests.ops.test_status_document import AGENT, POOL, WELL
from tests.reactor import twisted_test
from tests.web.conftest import Serve, Served
from tests.web.farm import HOSTILE, NOW

JSON = {"Accept": "application/json"}


@attrs.define
class Program:
    """What the routes tell of; ``looks`` counts how often it was looked at."""

    found: Mapping[str, Any] = attrs.field(factory=lambda: document(WELL))
    reasons: list[str] = attrs.field(factory=list)
    looks: int = 0
    state: str = "running"
    checks: int = 0

    async def look(self) -> Mapping[str, Any]:
        self.looks += 1
        return self.found

    async def why(self) -> Sequence[str]:
        self.checks += 1
        return self.reasons

    def numbers(self, found: Mapping[str, Any]) -> bytes:
        return f"buildapi_ready {int(found['ready'])}\n".encode()


@pytest.fixture
def program() -> Program:
    return Program()


@pytest.fixture
def watched(serve: Serve, program: Program) -> Served:
    from zoneinfo import ZoneInfo

    from twisted.internet import reactor

    pages = SelfServePages(ZoneInfo("UTC"), lambda: NOW, dict)
    answers = HealthAnswers.kept(reactor.seconds)  # type: ignore[attr-defined]  # the module
    ops = HealthRoutes(
        program.look, lambda: program.state, program.why, program.numbers, answers, pages
    )
    return serve(more_routes=ops.routes())


@twisted_test(10)
async def test_health_is_asked_of_nothing(watched: Served, program: Program) -> None:
    answer = await watched.ask("GET", "/healthz", JSON)
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "OK"})
    assert answer.headers["cache-control"] == "no-store"
    assert program.looks == 0


@twisted_test(10)
async def test_readiness_is_said_by_the_status(watched: Served, program: Program) -> None:
    answer = await watched.ask("GET", "/readyz", JSON)
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"status": "OK", "ready": True, "reasons": []},
    )


@twisted_test(10)
async def test_one_that_is_not_ready_says_why(watched: Served, program: Program) -> None:
    program.reasons = ["draining", "the broker: away"]
    answer = await watched.ask("GET", "/readyz", JSON)
    assert answer.status == 503
    assert json.loads(answer.body) == {
        "status": "FAILED",
        "ready": False,
        "reasons": ["draining", "the broker: away"],
        "msg": "draining; the broker: away",
        "code": "not_ready",
    }
    assert answer.headers["retry-after"] == "1"
    assert (await watched.ask("HEAD", "/readyz")).status == 503


@twisted_test(10)
async def test_a_refusal_is_never_kept_and_readiness_is(watched: Served, program: Program) -> None:
    program.reasons = ["the broker: away"]
    assert (await watched.ask("GET", "/readyz")).status == 503
    program.reasons = []
    ready = await watched.ask("GET", "/readyz")
    assert (ready.status, "retry-after" in ready.headers) == (200, False)
    assert (await watched.ask("GET", "/readyz")).status == 200
    assert program.checks == 2


@twisted_test(10)
async def test_one_that_drains_says_so_at_once(watched: Served, program: Program) -> None:
    assert (await watched.ask("GET", "/readyz")).status == 200
    program.state, program.reasons = "draining", ["draining"]
    assert (await watched.ask("GET", "/readyz", JSON)).json["reasons"] == ["draining"]


@twisted_test(10)
async def test_status_is_looked_at_once_for_many(watched: Served, program: Program) -> None:
    first = await watched.ask("GET", "/status", JSON)
    for _ in range(3):
        assert (await watched.ask("GET", "/status?format=json")).body == first.body
    assert json.loads(first.body) == json.loads(json.dumps(program.found))
    assert program.looks == 1


@twisted_test(10)
async def test_the_page_shows_hosts_and_troubles_escaped(watched: Served, program: Program) -> None:
    agent = attrs.evolve(AGENT, name=HOSTILE, unreachable=[HOSTILE])
    silent = attrs.evolve(AGENT, instance="old", beat_at=0)
    program.found = document(attrs.evolve(WELL, processes=[agent, silent]))
    page = (await watched.ask("GET", "/status")).body.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "no heartbeat" in page
    assert "/self-serve/jobs/7" in page


@twisted_test(10)
async def test_the_page_has_words_for_what_is_not_known(watched: Served, program: Program) -> None:
    busy = attrs.evolve(POOL, connect_seconds=None)
    program.found = document(attrs.evolve(WELL, pools=[busy], farm=None, jobs=UnreadValue("away")))
    page = (await watched.ask("GET", "/status")).body.decode()
    assert "all connections busy" in page
    assert "None" not in page


@twisted_test(10)
async def test_metrics_are_text_whatever_is_accepted(watched: Served) -> None:
    for accept in ("application/json", "text/html", "application/openmetrics-text;version=1.0.0"):
        answer = await watched.ask("GET", "/metrics", {"Accept": accept})
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.body == b"buildapi_ready 1\n"


@twisted_test(10)
async def test_other_methods_are_refused(watched: Served) -> None:
    for path in ("/healthz", "/readyz", "/status", "/metrics"):
        answer = await watched.ask("POST", path, JSON, b"")
        assert answer.status == 405
