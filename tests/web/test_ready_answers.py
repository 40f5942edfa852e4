"""Answers that are ready before routing: the same bytes as the long way, and only for whom."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildapi.web.http import ready_answers
from buildapi.web.http.auth import Authenticator
from tests.reactor import twisted_test, until
from tests.web.client import JSON, parse, request
from tests.web.conftest import ORIGIN, ZOE, Serve, Served
from tests.web.test_anything import EXAMPLES, HEADERS, QUERIES

DAY = "/self-serve/try"
IS_DONE = f"{DAY}/rev/abcdef123456/is_done"
KEPT = [DAY, f"{DAY}/rev/abcdef123456", IS_DONE, "/pending", "/running", "/pending?limit=1&x=y"]
GZIP = {**JSON, "Accept-Encoding": "gzip"}
VARIES = re.compile(rb"(Date|X-Request-Id): [^\r]*\r\n")


def count(served: Served) -> int:
    """Return how many answers were ready."""
    value = served.metrics.registry.get_sample_value("buildapi_http_ready_answers_total")
    return int(value or 0)


def lane(served: Served) -> Any:
    return served.listeners.sites[0].app._ready


async def raw(served: Served, method: str, path: str, headers: Any) -> bytes:
    """Return an answer as it goes over the wire, but for its date and request id."""
    wire = await served.wire()
    wire.send(request(method, path, headers))
    await wire.closed
    named = re.search(rb"\r\nx-request-id: ([^\r]+)", wire.received, re.IGNORECASE)
    # Pages of errors name the request, too.
    received = wire.received.replace(named[1], b"-") if named else wire.received
    return VARIES.sub(rb"\1: -\r\n", received)


@pytest.mark.parametrize("headers", [JSON, GZIP, {}], ids=["json", "gzip", "page"])
@pytest.mark.parametrize("path", KEPT)
@twisted_test()
async def test_it_is_byte_for_byte_the_answer_of_the_long_way(
    served: Served, path: str, headers: dict[str, str]
) -> None:
    long = await raw(served, "GET", path, headers)
    etag = re.search(rb"\r\netag: ([^\r]*)", long, re.IGNORECASE)
    assert etag
    for method, more in (("GET", {}), ("HEAD", {}), ("GET", {"If-None-Match": etag[1].decode()})):
        lane(served).forget()
        long = await raw(served, method, path, headers | more)
        before = count(served)
        assert await raw(served, method, path, headers | more) == long
        assert count(served) == before + 1


@twisted_test()
async def test_an_answer_that_a_client_has_already_is_for_such_clients(served: Served) -> None:
    path = KEPT[0]
    whole = await raw(served, "GET", path, JSON)
    etag = re.search(rb"\r\netag: ([^\r]*)", whole, re.IGNORECASE)
    assert etag
    lane(served).forget()
    has_it = JSON | {"If-None-Match": etag[1].decode()}
    unchanged = await raw(served, "GET", path, has_it)
    assert unchanged.startswith(b"HTTP/1.1 304 ")
    before = count(served)
    assert await raw(served, "GET", path, JSON) == whole
    assert count(served) == before
    assert await raw(served, "GET", path, JSON) == whole
    assert await raw(served, "GET", path, has_it) == unchanged
    assert count(served) == before + 2


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=st.sampled_from(["GET", "GET", "HEAD", "OPTIONS", "get"]),
    target=st.tuples(st.sampled_from(KEPT), QUERIES).map("".join),
    headers=HEADERS,
    kind=st.sampled_from(["application/json", "text/html, application/json;q=0.1", ""]),
    who=st.sampled_from([None, "zoe", "mo"]),
)
@twisted_test(20)
async def test_whatever_is_sent_it_is_the_answer_of_the_long_way(
    served: Served,
    *,
    method: str,
    target: str,
    headers: list[tuple[str, bytes]],
    kind: str,
    who: str | None,
) -> None:
    named = [("X-Remote-User", who.encode())] if who else []
    sent = [("Accept", kind.encode()), *named, *headers]
    lane(served).forget()
    long = await raw(served, method, target, sent)
    assert bare(await raw(served, method, target, sent)) == bare(long)


def bare(answer: bytes) -> bytes:
    """Return an answer without what differs each time: tokens of forms, ids on pages of errors."""
    head, end, body = answer.partition(b"\r\n\r\n")
    plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    masked = re.sub(rb"[0-9a-f]{128}|<code>[0-9a-f]{16}</code>", b"-", plain)
    if b"private" not in head and head.split()[1] < b"400":  # neither of a user nor of an error
        return answer
    return re.sub(rb"Content-Length: \d+", b"Content-Length: -", head) + end + masked


async def twice(served: Served, method: str, path: str, headers: Any = JSON) -> int:
    """Return how many of two answers were ready."""
    before = count(served)
    for _ in range(2):
        await served.ask(method, path, headers)
    return count(served) - before


@pytest.mark.parametrize(
    "headers",
    [
        JSON | {"Authorization": "Basic eA=="},
        JSON | {"Authorization": "Bearer bapi_" + "x" * 43},
        JSON | {"Origin": ORIGIN},
        JSON | {"Origin": "https://evil.example.org"},
        [*JSON.items(), *ZOE.items(), ("X-Remote-User", "mo")],
        JSON | {"Host": "not a host"},
    ],
    ids=["password", "token", "site", "foreign", "two users", "refused"],
)
@twisted_test()
async def test_others_go_the_long_way(served: Served, headers: Any) -> None:
    await served.ask("GET", IS_DONE, JSON)
    await served.ask("GET", IS_DONE)
    assert await twice(served, "GET", IS_DONE, headers) == 0


@pytest.mark.parametrize("path", ["/self-serve/whoami", "/healthz", "/self-serve/tokens", "/x"])
@twisted_test()
async def test_what_is_not_of_a_cached_document_is_never_ready(served: Served, path: str) -> None:
    assert await twice(served, "GET", path) == 0


@twisted_test()
async def test_changes_go_the_long_way(served: Served) -> None:
    assert await twice(served, "DELETE", f"{DAY}/build/12", JSON | ZOE) == 0
    assert await twice(served, "OPTIONS", IS_DONE) == 0


@twisted_test()
async def test_a_foreign_origin_gets_no_headers_of_an_allowed_one(served: Served) -> None:
    for origin, allowed in ((ORIGIN, True), ("https://evil.example.org", False), (None, False)):
        headers = JSON | ({} if origin is None else {"Origin": origin})
        answer = await served.ask("GET", IS_DONE, headers)
        assert ("access-control-allow-origin" in answer.headers) is allowed


@twisted_test()
async def test_the_page_of_nobody_is_for_nobody(served: Served) -> None:
    assert await twice(served, "GET", DAY, {}) == 1
    before = count(served)
    page = await served.ask("GET", DAY, ZOE)
    assert count(served) == before
    assert "zoë@example.org" in page.text
    assert "private" in page.headers["cache-control"]
    assert "not logged in" in (await served.ask("GET", DAY)).text


@pytest.mark.parametrize("path", [DAY, f"{DAY}/rev/abcdef123456", "/pending", "/"])
@pytest.mark.parametrize("encodings", [{}, {"Accept-Encoding": "gzip"}], ids=["plain", "gzip"])
@twisted_test()
async def test_the_page_of_a_user_is_for_that_user(
    served: Served, path: str, encodings: dict[str, str]
) -> None:
    mo = {"X-Remote-User": "mo@example.org"}
    first = {}
    for name, who in (("zoe", ZOE), ("mo", mo), ("nobody", {})):
        before = count(served)
        first[name] = await served.ask("GET", path, who | encodings)
        assert count(served) == before, "nothing is ready for one who has asked for nothing"
    for name, who in (("mo", mo), ("nobody", {}), ("zoe", ZOE)):
        again = await served.ask("GET", path, who | encodings)
        assert again.body == first[name].body
        assert again.headers.get("cache-control") == first[name].headers.get("cache-control")
    assert count(served) == before + 3
    assert len({answer.body for answer in first.values()}) == 3
    assert "private" in first["zoe"].headers["cache-control"]


@twisted_test()
async def test_a_guess_in_the_address_is_beside_another_token_each_time(served: Served) -> None:
    found = set()
    for guess in "abcd":
        for _ in range(2):
            page = await served.ask("GET", f"{DAY}?q={guess}", ZOE)
            found.add(re.search(r'data-token="([0-9a-f]{128})"', page.text)[1])  # type: ignore[index]
    assert (len(found), count(served)) == (4, 4)


@twisted_test()
async def test_a_page_without_a_token_is_not_for_who_may_have_one(served: Served) -> None:
    await served.ask("GET", DAY, ZOE | {"Origin": ORIGIN})
    page = await served.ask("GET", DAY, ZOE)
    assert re.search(r'data-token="[0-9a-f]{128}"', page.text)
    other = await served.ask("GET", DAY, ZOE | {"Origin": ORIGIN})
    assert 'data-token=""' in other.text


@twisted_test()
async def test_a_user_who_is_not_believed_any_more_gets_no_page_that_was_ready(
    served: Served,
) -> None:
    assert await twice(served, "GET", DAY, ZOE) == 1
    served.listeners.trust(Authenticator.of("X-Remote-User", ()), [])
    assert "not logged in" in (await served.ask("GET", DAY, ZOE)).text


@twisted_test()
async def test_long_pages_of_users_take_no_room_of_others(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_answers, "BYTES_OF_USER", 1000)
    assert await twice(served, "GET", DAY, ZOE) == 0
    assert await twice(served, "GET", DAY, {}) == 1


@twisted_test()
async def test_who_may_not_read_gets_nothing_that_is_ready_for_others(serve: Serve) -> None:
    served = serve(reads_free=False)
    assert await twice(served, "GET", IS_DONE, JSON | ZOE) == 1
    refused = await served.ask("GET", IS_DONE, JSON)
    assert (refused.status, count(served)) == (403, 1)


@twisted_test()
async def test_a_host_that_is_not_allowed_is_refused(serve: Serve) -> None:
    served = serve(hosts=["127.0.0.1"])
    assert await twice(served, "GET", IS_DONE, JSON) == 1
    refused = await served.ask("GET", IS_DONE, JSON | {"Host": "evil.example.org"})
    assert (refused.status, count(served)) == (421, 1)


@pytest.mark.parametrize("accepts", ["gzip;q=0", "identity", "br"])
@twisted_test()
async def test_who_cannot_read_gzip_gets_none(served: Served, accepts: str) -> None:
    packed = await served.ask("GET", DAY, GZIP)
    plain = [await served.ask("GET", DAY, JSON | {"Accept-Encoding": accepts}) for _ in range(2)]
    assert gzip.decompress(packed.body) == plain[0].body == plain[1].body
    assert "content-encoding" not in plain[1].headers


@twisted_test()
async def test_a_reload_of_who_is_trusted_drops_what_is_ready(served: Served) -> None:
    assert await twice(served, "GET", IS_DONE) == 1
    served.listeners.trust(Authenticator.of("X-Remote-User", ()), [])
    assert await twice(served, "GET", IS_DONE) == 1, "the first went the long way"


@twisted_test()
async def test_it_is_served_no_longer_than_the_cached_document(serve: Serve) -> None:
    served = serve(cache_seconds=0)
    assert await twice(served, "GET", IS_DONE) == 0
    served = serve(cache_seconds=0.2)
    await served.ask("GET", IS_DONE, JSON)
    await until(lambda: not lane(served)._held.fresh(next(iter(lane(served)._held._held))))
    before = count(served)
    assert (await served.ask("GET", IS_DONE, JSON)).status == 200
    assert count(served) == before


@twisted_test()
async def test_a_document_that_is_dropped_takes_its_ready_answers_along(served: Served) -> None:
    assert await twice(served, "GET", DAY) == 1
    before = await served.ask("GET", DAY, JSON)
    served.builds.requests.clear()
    served.live.refresh("try", None)
    after = await served.ask("GET", DAY, JSON)
    assert after.body != before.body
    assert count(served) == 2


@twisted_test()
async def test_ready_answers_are_counted_and_logged_as_others(serve: Serve, tmp_path: Path) -> None:
    served = serve(access_log=tmp_path / "access.log")
    for headers in (JSON | ZOE, JSON | ZOE | {"X-Request-Id": "mine"}):
        answer = await served.ask("GET", IS_DONE, headers)
    assert answer.headers["x-request-id"] == "mine"
    labels = {"method": "GET", "route": "/self-serve/{branch}/rev/{revision}/is_done"}
    value = served.metrics.registry.get_sample_value
    assert value("buildapi_http_requests_total", labels | {"status": "200"}) == 2
    assert value("buildapi_http_request_seconds_count", {"route": labels["route"]}) == 2
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert [re.sub(r"\[[^]]*\]|[0-9.]+$|rid-\S+|[0-9a-f]{16}|mine", "", one) for one in lines] == [
        re.sub(r"\[[^]]*\]|[0-9.]+$|rid-\S+|[0-9a-f]{16}|mine", "", lines[0])
    ] * 2
    assert "zo\\xc3\\xab" in lines[1]
    assert " mine " in lines[1]
    assert count(served) == 1
    assert not served.in_flight


@twisted_test()
async def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    wire = await served.wire()
    asked = [IS_DONE, DAY, IS_DONE, "/nowhere", IS_DONE, DAY]
    wire.send(b"".join(request("GET", path, JSON, last=False) for path in asked))
    answers = await wire.answers(*["GET"] * len(asked))
    assert [answer.status for answer in answers] == [200, 200, 200, 404, 200, 200]
    assert answers[0].body == answers[2].body == answers[4].body != answers[1].body
    assert count(served) == 3
    wire.close()


@twisted_test()
async def test_an_old_client_is_answered_in_its_version(served: Served) -> None:
    await served.ask("GET", IS_DONE, JSON)
    wire = await served.wire()
    wire.send(b"GET %b HTTP/1.0\r\nAccept: application/json\r\n\r\n" % IS_DONE.encode())
    await wire.closed
    assert wire.received.startswith(b"HTTP/1.0 200 OK\r\n")
    (answer,) = parse(wire.received, ["GET"])
    assert json.loads(answer.body)["job_complete"] is False
    assert count(served) == 1


@twisted_test()
async def test_a_ready_answer_is_the_last_of_its_connection_at_shutdown(serve: Serve) -> None:
    served = serve(linger_seconds=60, drain_seconds=60)
    wire = await served.wire()
    for _ in range(2):
        wire.send(request("GET", IS_DONE, JSON, last=False))
        await wire.answer()
        wire.received = b""
    stopped = await served.begin_stop()
    wire.send(request("GET", IS_DONE, JSON, last=False))
    await wire.closed
    assert (await wire.answer()).headers["connection"] == "close"
    assert count(served) == 2
    await stopped


@twisted_test()
async def test_the_answers_that_are_ready_are_bounded(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_answers, "ENTRIES_MAX", 3)
    monkeypatch.setattr(ready_answers, "BYTES_MAX", 10_000)
    served = serve(cache_seconds=60)
    for number in range(6):
        await served.ask("GET", f"{IS_DONE}?x={number}", JSON)
    assert len(lane(served)._held) == 3
    await served.ask("GET", f"{IS_DONE}?{'x' * 9000}", JSON)
    assert lane(served)._held._weight <= 10_000
