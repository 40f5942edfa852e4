"""What clients see when something behind the site fails."""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from buildapi.errors import TooLarge
from tests.reactor import twisted_test, until
from tests.web.client import JSON, request
from tests.web.conftest import ORIGIN, ZOE, Serve, Served
from tests.web.farm import broker_down, database_down

PATH = "/self-serve/try"


class SecretError(Exception):
    """What nobody outside may read."""


@pytest.mark.parametrize(
    ("method", "path"), [("GET", PATH), ("GET", f"{PATH}/build/11"), ("DELETE", f"{PATH}/build/12")]
)
@twisted_test()
async def test_a_fault_is_an_incident_with_an_id(
    served: Served, logged_errors: list[dict[str, Any]], method: str, path: str
) -> None:
    served.builds.failing.error = SecretError("password=hunter2")
    answer = await served.ask(method, path, JSON | ZOE | {"Origin": ORIGIN})
    assert answer.status == 500
    assert answer.json["status"] == "FAILED"
    (incident,) = re.findall(r"incident ([0-9a-f]{8})$", answer.json["msg"])
    assert "hunter2" not in answer.text
    assert "SecretError" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    (event,) = logged_errors
    assert event["incident"] == incident
    assert event["log_failure"].check(SecretError)
    assert "failing.happen" in event["log_failure"].getTraceback()
    logged_errors.clear()


@twisted_test()
async def test_a_fault_is_a_page_for_browsers(
    served: Served, logged_errors: list[dict[str, Any]]
) -> None:
    served.builds.failing.error = SecretError("<b>hunter2</b>")
    answer = await served.ask("GET", PATH)
    assert answer.status == 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "hunter2" not in answer.text
    assert logged_errors[0]["incident"] in answer.text
    logged_errors.clear()


@twisted_test()
async def test_work_that_something_else_cancels_is_a_fault_too(
    served: Served, logged_errors: list[dict[str, Any]]
) -> None:
    served.builds.failing.error = CancelledError()
    answer = await served.ask("GET", PATH, JSON)
    assert (answer.status, len(logged_errors)) == (500, 1)
    logged_errors.clear()


@twisted_test()
async def test_two_faults_are_two_incidents(
    served: Served, logged_errors: list[dict[str, Any]]
) -> None:
    served.builds.failing.error = SecretError()
    texts = [(await served.ask("GET", PATH, JSON)).json["msg"] for _ in range(2)]
    assert len(set(texts)) == len(logged_errors) == 2
    logged_errors.clear()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@twisted_test()
async def test_an_unavailable_database_is_503(served: Served, method: str) -> None:
    served.builds.failing.error = database_down()
    answer = await served.ask(method, f"{PATH}/build/12", JSON | ZOE)
    assert (answer.status, answer.json["code"]) == (503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0


@twisted_test()
async def test_an_expected_refusal_answers_with_its_own_status(served: Served) -> None:
    served.builds.failing.error = TooLarge("more than 50000 rows")
    answer = await served.ask("GET", PATH, JSON)
    assert (answer.status, answer.json["msg"]) == (413, "more than 50000 rows")


@twisted_test()
async def test_without_a_branches_file_everything_but_the_documentation_waits(
    served: Served,
) -> None:
    served.directory.missing = "The branches file was never read"
    for method, path in (("GET", PATH), ("GET", "/self-serve/branches"), ("POST", f"{PATH}/build")):
        answer = await served.ask(method, path, JSON | ZOE)
        assert (answer.status, answer.json["msg"]) == (503, "The branches file was never read")
    assert "never read" in (await served.ask("GET", "/self-serve")).text
    assert (await served.ask("GET", "/self-serve/jobs", JSON)).status == 200


READS = (PATH, f"{PATH}/build/11", f"{PATH}/request/21", f"{PATH}/builders", "/self-serve/jobs/1")


@pytest.mark.parametrize("path", READS)
@twisted_test(4)
async def test_a_read_that_takes_too_long_is_given_up(serve: Serve, path: str) -> None:
    served = serve(answer_seconds=0.2)
    served.builds.failing.held = served.jobs.reading.held = Deferred()
    answer = await served.ask("GET", path, JSON)
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert "retry-after" in answer.headers


@twisted_test(4)
async def test_a_client_that_leaves_a_read_leaves_nothing_behind(served: Served) -> None:
    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    wire = await served.wire()
    # Not a read that others may wait for, too, such as that of a build.
    wire.send(request("GET", "/self-serve/lookup?kind=build&q=11", JSON))
    await until(lambda: bool(served.builds.failing.calls))
    wire.close()
    await wire.closed
    await until(lambda: held.called)  # cancelled
    await until(lambda: not served.in_flight)


@twisted_test(4)
async def test_one_reader_that_leaves_does_not_disturb_the_others(served: Served) -> None:
    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    first, second = await served.wire(), await served.wire()
    for wire in (first, second):
        wire.send(request("GET", PATH, JSON))
    await until(lambda: len(served.in_flight) == 2)
    first.close()
    await first.closed
    await until(lambda: len(served.in_flight) == 1)
    held.callback(None)
    await second.closed
    assert (await second.answer()).status == 200
    assert len(served.builds.failing.calls) == 1


@twisted_test()
async def test_stored_texts_that_are_no_unicode_do_not_break_a_page(served: Served) -> None:
    details = served.builds.requests[21]
    properties: Any = details.properties
    properties["odd"] = ["\ud800", 10**40, float("inf")]
    answer = await served.ask("GET", f"{PATH}/request/21", JSON)
    assert answer.status == 200
    assert answer.json["properties"]["odd"][1:] == [10**40, None]
    assert (await served.ask("GET", f"{PATH}/request/21")).status == 200


# --- what is said of a refusal for now

AWAY = ("scheduler_replica does not answer (for 7 s)",)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@twisted_test(4)
async def test_a_503_names_what_is_away_the_request_and_where_more_is_said(
    serve: Serve, method: str
) -> None:
    served = serve(answer_seconds=0.2, away=AWAY, prefix="/buildapi")
    served.builds.failing.held = Deferred()
    path = f"/buildapi{PATH}/build/12"
    answer = await served.ask(method, path, JSON | ZOE)
    assert answer.status == 503
    assert answer.json["away"] == list(AWAY)
    assert answer.json["trace"] == answer.headers["x-request-id"]
    assert answer.json["retry_after"] == int(answer.headers["retry-after"])
    assert answer.json["status_page"] == "/buildapi/status"
    served.builds.failing.held = Deferred()
    page = await served.ask(method, path, ZOE)
    assert page.status == 503
    assert AWAY[0] in page.text
    assert page.headers["x-request-id"] in page.text
    assert f"Try again in {page.headers['retry-after']} s" in page.text
    assert 'href="/buildapi/status"' in page.text


@twisted_test()
async def test_a_503_of_a_job_request_keeps_its_words_and_says_why_beside(
    served: Served, logged_errors: list[dict[str, Any]]
) -> None:
    served.broker.failing.error = broker_down()
    answer = await served.ask("DELETE", f"{PATH}/build/12", JSON | ZOE)
    assert (answer.status, answer.json["msg"]) == (503, "Couldn't send message to broker")
    assert answer.json["away"] == ["no connection to mq1"]
    logged_errors.clear()


@twisted_test(4)
async def test_a_503_leaves_a_line_with_what_was_away_and_for_how_long(serve: Serve) -> None:
    served = serve(answer_seconds=0.2, away=AWAY)
    served.builds.failing.held = Deferred()
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    try:
        await served.ask("GET", PATH, JSON)
    finally:
        globalLogPublisher.removeObserver(events.append)
    lines = [formatEvent(e) for e in events if e["log_level"] is LogLevel.info]
    words = "GET /self-serve/try answered 503: No answer within 0.2 s; unavailable: "
    assert words + AWAY[0] in lines


@twisted_test(4)
async def test_the_first_page_shows_what_it_can_while_a_database_hangs(serve: Serve) -> None:
    served = serve(answer_seconds=1, cache_seconds=0)
    served.farm.failing.held = Deferred()
    answer = await served.ask("GET", "/", JSON)
    assert answer.status == 200
    assert answer.json["farm"] is None
    assert answer.json["jobs"] == {"failed": [], "open": 0, "oldest_open": None}
    (trouble,) = answer.json["troubles"]
    assert trouble == "Cannot read the farm: No answer within 0.5 s"
    served.farm.failing.held = Deferred()
    page = await served.ask("GET", "/")
    assert page.status == 200
    assert trouble in page.text
    served.farm.failing.held = None
    served.jobs.reading.held = Deferred()
    answer = await served.ask("GET", "/", JSON)
    assert answer.json["jobs"] is None
    assert answer.json["farm"] is not None
