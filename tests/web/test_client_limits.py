"""What one client may ask: rates and requests in flight, over HTTP, with a clock moved by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from buildapi.web.http.client_limits import TOLD_SECONDS
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import Route
from buildapi.web.http.token_auth import digest_of
from tests.reactor import twisted_test, until
from tests.web.client import JSON, Answer, Wire, request
from tests.web.conftest import ORIGIN, ZOE, Serve, Served
from tests.web.farm import NOW
from tests.web.jobcases import BUILD
from tests.web.test_ready_answers import GZIP, KEPT, count, lane, raw

LONG = "/self-serve/whoami"
READY = "/self-serve/try/rev/abcdef123456/is_done"
MO = {"X-Remote-User": "mo"}
TOKEN = "bapi_" + "t" * 43


async def _well(_call: Any) -> Reply:
    return Reply.data("Health", JSONBody.of({"status": "OK"}))


WATCHED = tuple(
    Route("GET", path, _well, "Health.", open=True)
    for path in ("/healthz", "/readyz", "/status", "/metrics")
)


def of(address: str) -> dict[str, str]:
    """Return the header by which the proxy names the client's address."""
    return JSON | {"X-Forwarded-For": address}


def limited(served: Served, name: str) -> int:
    found = served.metrics.registry.get_sample_value("buildapi_http_limited_total", {"limit": name})
    assert (found or 0) == served.clients.refused[name]
    return served.clients.refused[name]


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """Return what is logged."""
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def is_refused(answer: Answer, *, status: int = 429, code: str = "too_many_requests") -> bool:
    """Return whether a limit refused a request, as clients are to be told."""
    if answer.status != status:
        return False
    assert answer.json["code"] == code
    assert int(answer.headers["retry-after"]) >= 1
    return True


async def statuses(served: Served, *asked: tuple[str, dict[str, str]]) -> list[int]:
    return [(await served.ask("GET", path, headers)).status for path, headers in asked]


# --- requests in a minute


@pytest.mark.parametrize("path", [READY, LONG, "/self-serve/jobs", "/nowhere"])
@twisted_test()
async def test_without_a_limit_nothing_is_said_or_refused(served: Served, path: str) -> None:
    for _ in range(5):
        answer = await served.ask("GET", path, JSON)
        assert answer.status in (200, 404)
        assert not [name for name in answer.headers if name.startswith("ratelimit")]


@pytest.mark.parametrize("path", [READY, LONG])
@twisted_test()
async def test_reads_are_answered_up_to_the_limit_and_again_when_a_token_is_there(
    serve: Serve, path: str
) -> None:
    clock = Clock()
    served = serve(reads_per_minute=3, seconds=clock.seconds)
    for left in (2, 1, 0):
        answer = await served.ask("GET", path, JSON)
        assert answer.status == 200
        assert answer.headers["ratelimit"] == f'"reads";r={left};t=20'
        assert answer.headers["ratelimit-policy"] == '"reads";q=3;w=60'
    refused = await served.ask("GET", path, JSON)
    assert is_refused(refused)
    assert refused.headers["retry-after"] == "20"
    assert refused.headers["ratelimit"] == '"reads";r=0;t=20'
    assert refused.json["msg"] == (
        "Too many requests: your address may send 3 in a minute. Try again in 20 s."
    )
    clock.advance(19)
    assert is_refused(await served.ask("GET", path, JSON))
    clock.advance(1)
    assert (await served.ask("GET", path, JSON)).status == 200
    assert limited(served, "reads") == 2
    assert count(served) == (3 if path == READY else 0)


@pytest.mark.parametrize("headers", [JSON, GZIP, {}], ids=["json", "gzip", "page"])
@pytest.mark.parametrize("path", KEPT)
@twisted_test()
async def test_a_ready_answer_with_limits_is_that_of_the_long_way(
    serve: Serve, path: str, headers: dict[str, str]
) -> None:
    served = serve(reads_per_minute=60, seconds=Clock().seconds)
    answers = []
    for client in ("192.0.2.1", "192.0.2.2"):  # both at the first of 60
        answers.append(await raw(served, "GET", path, headers | {"X-Forwarded-For": client}))
    assert answers[0] == answers[1]
    assert b'"reads";r=59;t=1' in answers[0]
    assert count(served) == 1
    assert b"r=58" in await raw(served, "GET", path, headers | {"X-Forwarded-For": "192.0.2.2"})
    assert b"Ratelimit" not in next(iter(lane(served)._held._held.values())).value.head


@twisted_test()
async def test_addresses_count_apart_as_trusted_proxies_name_them(serve: Serve) -> None:
    served = serve(reads_per_minute=1, seconds=Clock().seconds)
    one, two = of("192.0.2.1"), of("192.0.2.2, 127.0.0.1")
    made_up = of("192.0.2.9, 192.0.2.1")
    found = await statuses(served, *((READY, h) for h in (one, one, two, two, made_up)))
    assert found == [200, 429, 200, 429, 429]


@twisted_test()
async def test_others_cannot_choose_their_address(serve: Serve) -> None:
    served = serve(reads_per_minute=1, seconds=Clock().seconds, trusted=())
    found = await statuses(served, *((READY, of(f"192.0.2.{n}")) for n in range(3)))
    assert found == [200, 429, 429]


@twisted_test()
async def test_users_count_by_name_wherever_they_come_from(serve: Serve) -> None:
    served = serve(reads_per_minute=1, seconds=Clock().seconds)
    asked = [of("192.0.2.1"), of("192.0.2.1") | ZOE, of("192.0.2.2") | ZOE, of("192.0.2.1") | MO]
    for path in (READY, LONG):
        found = await statuses(served, *((path, headers) for headers in asked))
        assert found == ([200, 200, 429, 200] if path == READY else [429] * 4)
    assert "may send 1 in a minute" in (await served.ask("GET", READY, JSON | MO)).json["msg"]


@twisted_test()
async def test_a_token_counts_as_its_user_and_a_wrong_one_as_its_address(serve: Serve) -> None:
    served = serve(reads_per_minute=2, seconds=Clock().seconds)
    await served.tokens.add("mo", "bot", digest_of(TOKEN), NOW, NOW + 10_000)
    right, wrong = JSON | {"Authorization": f"Bearer {TOKEN}"}, JSON | {"Authorization": "Bearer x"}
    assert await statuses(served, *[(LONG, wrong)] * 3) == [401, 401, 429]
    found = await statuses(served, (LONG, right), (LONG, JSON | MO), (LONG, right), (LONG, JSON))
    assert found == [200, 200, 429, 429]


@twisted_test()
async def test_what_has_no_route_counts_too(serve: Serve) -> None:
    served = serve(reads_per_minute=2, seconds=Clock().seconds)
    found = await statuses(served, ("/nowhere", JSON), (READY + "/", JSON), ("/nowhere", JSON))
    assert found == [404, 301, 429]
    assert (await served.ask("GET", "/%ff", JSON)).status == 429


@twisted_test()
async def test_those_who_watch_are_never_limited(serve: Serve) -> None:
    served = serve(
        reads_per_minute=1,
        requests_in_flight=1,
        seconds=Clock().seconds,
        more_routes=WATCHED,
        answer_seconds=20,
    )
    assert await statuses(served, (LONG, JSON), (LONG, JSON)) == [200, 429]
    served.builds.failing.held = Deferred()
    wire = await _held_read(served, of("192.0.2.1"))
    for route in WATCHED:
        watching = await served.wire()  # not ask(): these routes answer with no document of the API
        watching.send(request("GET", route.path, JSON))
        answer = await watching.answer()
        assert answer.status == 200
        assert "ratelimit" not in answer.headers
    wire.close()


@twisted_test()
async def test_an_error_over_the_limit_is_a_page_for_people_and_readable_for_other_sites(
    serve: Serve,
) -> None:
    served = serve(reads_per_minute=1, seconds=Clock().seconds)
    await served.ask("GET", LONG)
    page = await served.ask("GET", LONG, {"Origin": ORIGIN})
    assert page.status == 429
    assert "Try again in 60 s" in page.text
    assert page.headers["access-control-allow-origin"] == ORIGIN


# --- job requests in a minute


@twisted_test()
async def test_job_requests_have_a_limit_of_their_own(serve: Serve) -> None:
    served = serve(jobs_per_minute=2, seconds=Clock().seconds)
    for left in (1, 0):
        answer = await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)
        assert answer.status == 202
        assert answer.headers["ratelimit"] == f'"jobs";r={left};t=30'
        assert answer.headers["ratelimit-policy"] == '"jobs";q=2;w=60'
    refused = await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)
    assert is_refused(refused)
    assert len(served.jobs.jobs) == 2
    assert (await served.ask("DELETE", f"{BUILD}/12", JSON | MO)).status == 202
    read = await served.ask("GET", LONG, JSON | ZOE)
    assert (read.status, "ratelimit" in read.headers) == (200, False)
    assert limited(served, "jobs") == 1


@twisted_test()
async def test_nothing_of_a_request_over_the_limit_is_parsed(serve: Serve) -> None:
    served = serve(jobs_per_minute=1, seconds=Clock().seconds)
    headers = JSON | ZOE | {"Content-Type": "application/json"}
    found = [(await served.ask("POST", f"{BUILD}?%ff", headers, b"{")).status for _ in range(2)]
    assert found == [400, 429]


def _batch(number: int) -> bytes:
    return json.dumps([{"method": "DELETE", "path": f"{BUILD}/12"}] * number).encode()


@twisted_test()
async def test_a_batch_and_a_selection_count_what_is_in_them(serve: Serve) -> None:
    clock = Clock()
    served = serve(jobs_per_minute=6, seconds=clock.seconds)
    headers = JSON | ZOE | {"Content-Type": "application/json"}

    async def send(number: int) -> Answer:
        return await served.ask("POST", "/self-serve/batch", headers, _batch(number))

    answer = await send(4)
    assert (answer.status, answer.headers["ratelimit"]) == (200, '"jobs";r=2;t=10')
    refused = await send(4)
    assert is_refused(refused)
    assert len(served.jobs.jobs) == 4, "all or nothing"
    chosen = {"item": ["try/build/12", "try/request/21"], "act": "cancel"}
    body = json.dumps(chosen).encode()
    clock.advance(10)  # the refused one has cost one token
    told = await served.ask("POST", "/self-serve/selection", headers, body)
    assert (told.status, told.headers["ratelimit"]) == (200, '"jobs";r=0;t=10')
    assert len(served.jobs.jobs) == 6


@twisted_test()
async def test_a_batch_beyond_the_limit_is_taken_and_waited_for(serve: Serve) -> None:
    clock = Clock()
    served = serve(jobs_per_minute=6, seconds=clock.seconds)
    headers = JSON | ZOE | {"Content-Type": "application/json"}
    answer = await served.ask("POST", "/self-serve/batch", headers, _batch(12))
    assert answer.status == 200
    assert len(served.jobs.jobs) == 12
    refused = await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)
    assert refused.headers["retry-after"] == "70"
    clock.advance(70)
    assert (await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)).status == 202


# --- requests in flight


async def _held_read(served: Served, headers: dict[str, str], number: int = 11) -> Wire:
    """Begin a read that is not answered before what holds the builds lets it."""
    calls = len(served.builds.failing.calls)
    wire = await served.wire()
    wire.send(request("GET", f"/self-serve/lookup?kind=build&q={number}", headers))
    await until(lambda: len(served.builds.failing.calls) > calls)
    return wire


@twisted_test()
async def test_what_does_not_fit_is_refused_at_once_until_others_are_answered(
    serve: Serve,
) -> None:
    served = serve(requests_in_flight=2, answer_seconds=20)
    await served.ask("GET", READY, JSON)
    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    wires = [await _held_read(served, JSON, n) for n in (11, 12)]
    refused = await served.ask("GET", LONG, JSON)
    assert is_refused(refused, status=503, code="overloaded")
    assert refused.json["away"] == []
    assert refused.json["trace"] == refused.headers["x-request-id"]
    assert {"date", "server", "content-length"} <= refused.headers.keys()
    head = await served.ask("HEAD", LONG, JSON)
    assert (head.status, head.body) == (503, b"")
    assert "Try again in 1 s" in (await served.ask("GET", LONG)).text
    assert (await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)).status == 503
    assert not served.jobs.jobs
    assert (await served.ask("GET", READY, JSON)).status == 200, "ready answers take no place"
    held.callback(None)
    for wire in wires:
        await wire.closed
    assert (await served.ask("GET", LONG, JSON)).status == 200
    assert limited(served, "in_flight") == 4
    assert served.clients._in_flight == 0
    assert not served.clients._of_address


@twisted_test()
async def test_an_address_leaves_room_for_others(serve: Serve) -> None:
    served = serve(requests_in_flight=9, requests_per_address=1, answer_seconds=20)
    served.builds.failing.held = Deferred()
    wire = await _held_read(served, of("192.0.2.1"))
    refused = await served.ask("GET", LONG, of("192.0.2.1"))
    assert is_refused(refused, status=503, code="overloaded")
    assert "of your address" in refused.json["msg"]
    assert (await served.ask("GET", LONG, of("192.0.2.2"))).status == 200
    assert limited(served, "address") == 1
    wire.close()
    await until(lambda: not served.clients._in_flight)
    assert (await served.ask("GET", LONG, of("192.0.2.1"))).status == 200


@twisted_test()
async def test_who_waits_or_listens_takes_no_place(serve: Serve) -> None:
    served = serve(requests_in_flight=1)
    assert (await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)).status == 202
    waiting = [("GET", "/self-serve/jobs/1?wait=60"), ("DELETE", f"{BUILD}/12?wait=60")]
    wires = []
    for number, (method, path) in enumerate(waiting, 1):
        wires.append(await served.wire())
        wires[-1].send(request(method, path, JSON | ZOE))
        await until(lambda n=number: len(served.watch._waiting) == n)
    stream = await served.wire()
    stream.send(request("GET", "/self-serve/events?job=all", JSON))
    await until(lambda: bool(stream.received))
    assert served.clients._in_flight == 0
    assert (await served.ask("GET", LONG, JSON)).status == 200
    for wire in (*wires, stream):
        wire.close()
    await until(lambda: not served.in_flight)
    assert served.clients._in_flight == 0


@twisted_test()
async def test_pipelined_requests_take_one_place_at_a_time(serve: Serve) -> None:
    served = serve(requests_in_flight=1)
    wire = await served.wire()
    wire.send(b"".join(request("GET", LONG, JSON, last=False) for _ in range(5)))
    answers = await wire.answers(*["GET"] * 5)
    assert [answer.status for answer in answers] == [200] * 5
    wire.close()


# --- what operators see and change


@attrs.define
class Bounds:
    reads_per_minute: int = 0
    jobs_per_minute: int = 0
    requests_in_flight: int = 0
    requests_per_address: int = 0


@twisted_test()
async def test_a_reload_changes_limits_and_forgives_nobody(serve: Serve) -> None:
    clock = Clock()
    served = serve(seconds=clock.seconds)
    assert await statuses(served, *[(READY, JSON)] * 3) == [200] * 3
    served.clients.adopt(Bounds(reads_per_minute=2))
    assert await statuses(served, *[(READY, JSON)] * 3) == [200, 200, 429]
    served.clients.adopt(Bounds(reads_per_minute=4))
    assert await statuses(served, (READY, JSON)) == [429]
    clock.advance(15)
    assert await statuses(served, *[(READY, JSON)] * 2) == [200, 429]
    served.clients.adopt(Bounds())
    assert await statuses(served, *[(READY, JSON)] * 5) == [200] * 5


@twisted_test()
async def test_requests_in_flight_while_the_limit_is_changed_leave_as_they_came(
    serve: Serve,
) -> None:
    served = serve(answer_seconds=20)
    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    first = await _held_read(served, JSON, 11)
    served.clients.adopt(Bounds(requests_in_flight=1))
    second = await _held_read(served, JSON, 12)
    assert served.clients._in_flight == 1, "the first was not counted"
    served.clients.adopt(Bounds())
    held.callback(None)
    await first.closed
    await second.closed
    assert served.clients._in_flight == 0


@twisted_test()
async def test_refusals_are_logged_once_a_minute_with_their_number(
    serve: Serve, logged: list[dict[str, Any]]
) -> None:
    clock = Clock()
    served = serve(reads_per_minute=1, seconds=clock.seconds)
    for _ in range(4):
        await served.ask("GET", LONG, JSON)
    clock.advance(TOLD_SECONDS - 1)
    await served.ask("GET", LONG, JSON)
    clock.advance(1)
    for _ in range(3):
        await served.ask("GET", LONG, of("192.0.2.7") | ZOE)
    told = [e for e in logged if (e.get("log_format") or "").startswith("limit ")]
    assert [(e["limit"], e["number"], e["client"], e["who"]) for e in told] == [
        ("reads", 1, "127.0.0.1", "nobody"),
        ("reads", 4, "192.0.2.7", "zoë@example.org"),
    ]
