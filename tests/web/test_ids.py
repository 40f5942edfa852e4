"""One id for a request: on every answer, in the context of its handler, in the message."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from buildapi import tracing
from buildapi.ops.metrics import Metrics
from buildapi.web.http.call import Call
from buildapi.web.http.http_metrics import HTTPMetrics
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import Route
from tests.reactor import twisted_test, until
from tests.web.client import JSON
from tests.web.conftest import ORIGIN, ZOE, Serve, Served

NAMED = {**JSON, "X-Request-Id": "proxy-1:2"}
FORM = {"build_id": "11"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/self-serve/jobs", 200),
        ("HEAD", "/self-serve/jobs", 200),
        ("GET", "/self-serve/jobs/", 301),
        ("OPTIONS", "/self-serve/jobs", 204),
        ("GET", "/nothing", 404),
        ("PUT", "/self-serve/jobs", 405),
        ("GET", "/self-serve/jobs?format=xml", 400),
        ("GET", "/%ff", 400),
        ("GET", "/static/buildapi.css", 200),
        ("GET", "/static/none", 404),
    ],
)
@twisted_test(8)
async def test_every_answer_has_the_id_the_proxy_named(
    served: Served, method: str, path: str, status: int
) -> None:
    answer = await served.ask(method, path, NAMED)
    assert (answer.status, answer.headers["x-request-id"]) == (status, "proxy-1:2")


@twisted_test(8)
async def test_a_body_too_large_is_refused_with_the_id(served: Served) -> None:
    headers = {**NAMED, **ZOE, "Origin": ORIGIN}
    answer = await served.ask("POST", "/self-serve/try/build", headers, {"x": "y" * 9000})
    assert (answer.status, answer.headers["x-request-id"]) == (413, "proxy-1:2")


@twisted_test(8)
async def test_a_stream_begins_with_the_id(served: Served) -> None:
    wire = await served.wire()
    wire.send(b"GET /self-serve/events HTTP/1.1\r\nHost: x\r\nX-Request-Id: s-1\r\n\r\n")
    await wire.until(lambda: b"\r\n\r\n" in wire.received)
    assert b"X-Request-Id: s-1\r\n" in wire.received
    wire.close()
    await wire.closed


@pytest.mark.parametrize("named", ["", "a b", "x" * 65, "a\t", "\u00e9", '"', "a,b"])
@twisted_test(8)
async def test_an_id_that_does_not_fit_is_replaced(served: Served, named: str) -> None:
    headers = {**JSON, "X-Request-Id": named.encode()}
    answer = await served.ask("GET", "/self-serve/jobs", headers)
    assert answer.headers["x-request-id"] != named
    assert tracing.acceptable(answer.headers["x-request-id"])


@twisted_test(8)
async def test_who_is_no_trusted_proxy_names_no_id(serve: Serve) -> None:
    served = serve(trusted=["192.0.2.1"])
    answer = await served.ask("GET", "/self-serve/jobs", NAMED)
    assert answer.headers["x-request-id"] != "proxy-1:2"


@twisted_test(8)
async def test_two_requests_have_two_ids(served: Served) -> None:
    one, two = [await served.ask("GET", "/self-serve/jobs", JSON) for _ in range(2)]
    assert one.headers["x-request-id"] != two.headers["x-request-id"]


@twisted_test(8)
async def test_handlers_run_in_the_context_of_their_request(serve: Serve) -> None:
    waiting: list[Deferred[None]] = []

    async def slow(_call: Call) -> Reply:
        before = tracing.trace()
        waiting.append(Deferred())
        await waiting[-1]
        return Reply.data("Ids", JSONBody.of([before, tracing.trace()]))

    served = serve(more_routes=[Route("GET", "/slow", slow, "Slow.")])
    wires = [await served.wire() for _ in range(2)]
    for number, wire in enumerate(wires):
        wire.send(
            f"GET /slow?format=json HTTP/1.1\r\nHost: x\r\nX-Request-Id: r-{number}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
    await until(lambda: len(waiting) == 2)
    for one in waiting:
        one.callback(None)
    for number, wire in enumerate(wires):
        await wire.closed
        assert (await wire.answer()).json == [f"r-{number}"] * 2
    assert tracing.trace() == ""


@twisted_test(8)
async def test_an_incident_is_logged_in_the_context_of_its_request(
    serve: Serve, logged_errors: list[Any]
) -> None:
    seen: list[str] = []

    async def broken(_call: Call) -> Reply:
        raise ZeroDivisionError

    def observe(event: Any) -> None:
        if "incident" in event:
            seen.append(tracing.trace())

    observer: Any = observe
    globalLogPublisher.addObserver(observer)
    served = serve(more_routes=[Route("GET", "/broken", broken, "Broken.")])
    answer = await served.ask("GET", "/broken", NAMED)
    globalLogPublisher.removeObserver(observer)
    logged_errors.clear()
    assert (answer.status, seen) == (500, ["proxy-1:2"])


@twisted_test(8)
async def test_the_message_of_a_job_and_its_trail_have_the_id(served: Served) -> None:
    answer = await served.ask("POST", "/self-serve/try/build", {**NAMED, **ZOE}, FORM)
    assert answer.status == 202
    ((_, body, _, _),) = served.broker.published
    assert json.loads(body)["trace"] == "proxy-1:2"
    assert [(e.event, e.trace) for e in served.trail.noted] == [
        ("recorded", "proxy-1:2"),
        ("sent", "proxy-1:2"),
    ]


# --- numbers


@attrs.define
class Answered:
    """A request as far as numbers are about it."""

    method: bytes = b"GET"
    route: str = "/self-serve/jobs/{job_id}"
    code: int = 200
    seconds: float = 0.25
    streams: bool = False
    ready: bool = False


def counted(request: Answered) -> CollectorRegistry:
    metrics = Metrics()
    HTTPMetrics(metrics.count, metrics.observe)(request)
    return metrics.registry


def test_an_answer_is_counted_by_its_route() -> None:
    registry = counted(Answered())
    labels = {"method": "GET", "route": "/self-serve/jobs/{job_id}", "status": "200"}
    assert registry.get_sample_value("buildapi_http_requests_total", labels) == 1
    route = {"route": "/self-serve/jobs/{job_id}"}
    assert registry.get_sample_value("buildapi_http_request_seconds_sum", route) == 0.25


def test_a_stream_has_no_time() -> None:
    registry = counted(Answered(streams=True))
    route = {"route": "/self-serve/jobs/{job_id}"}
    assert registry.get_sample_value("buildapi_http_request_seconds_count", route) is None


@pytest.mark.parametrize("method", [b"BREW", b"\xff", b"get", b""])
def test_methods_that_clients_make_up_are_one(method: bytes) -> None:
    registry = counted(Answered(method=method, route="-", code=405))
    labels = {"method": "other", "route": "-", "status": "405"}
    assert registry.get_sample_value("buildapi_http_requests_total", labels) == 1
