"""Limits of clients as operators meet them: set by a reload, through a proxy, seen in /status."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

from tests.e2e.service import Client
from tests.e2e.test_logs import Run, Start, start, wait

__all__ = ["start"]

LIMITED = {"reads_per_minute": 3, "jobs_per_minute": 2}


def read(run: Run, address: str, path: str = "/self-serve/branches") -> tuple[int, Any]:
    """Return status and headers of a read, as a proxy passes it on for a client of an address."""
    request = urllib.request.Request(f"{run.service.client.url}{path}?format=json")
    request.add_header("X-Forwarded-For", address)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.headers


def test_limits_are_set_by_a_reload_and_hold_for_each_client(start: Start) -> None:
    run = start(log={"file": "run.log"})
    assert [read(run, "192.0.2.1")[0] for _ in range(5)] == [200] * 5
    run.configure(limits=LIMITED, web={"access_log": "access.log"})
    assert run.reload()["ok"]
    found = [read(run, "192.0.2.1") for _ in range(5)]
    statuses = [status for status, _ in found]
    assert statuses[:3] == [200] * 3
    assert 429 in statuses[3:]
    _, headers = found[statuses.index(429)]
    assert 1 <= int(headers["Retry-After"]) <= 20
    assert headers["RateLimit-Policy"] == '"reads";q=3;w=60'
    assert headers["RateLimit"].startswith('"reads";r=0;t=')
    assert read(run, "192.0.2.2")[0] == 200

    user = Client(run.service.client.url, "mo@example.org")
    batch = [{"method": "DELETE", "path": "/self-serve/try/request/1"}] * 3
    assert user.ask("POST", "/self-serve/batch", document=batch).status == 200
    refused = user.delete("/self-serve/try/request/1")
    assert (refused.status, refused.body["code"]) == (429, "too_many_requests")
    assert run.service.client.delete("/self-serve/try/request/1").status != 429, "another user"

    counted = {"reads": statuses.count(429), "jobs": 1, "in_flight": 0, "address": 0}
    wait(lambda: user.get("/status").body["http"]["limited"] == counted)  # it is cached
    assert "limit reads refused 1 requests" in run.text("run.log")
    assert " 429 " in run.text("access.log")
