"""Methods, the methods a form stands for, and pages of other sites."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reactor import twisted_test
from tests.web.client import FORM, JSON, request
from tests.web.conftest import ORIGIN, ZOE, Serve, Served

BUILD = "/self-serve/try/build/12"
REQUEST = "/self-serve/try/request/21"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/self-serve/jobs", "GET, HEAD, OPTIONS"),
        ("GET", "/self-serve/try/build", "OPTIONS, POST"),
        ("POST", REQUEST, "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("PUT", BUILD, "DELETE, GET, HEAD, OPTIONS"),
        ("PUT", "/self-serve/try/rev/abcdef123456", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("GET", "/self-serve/try/rev/abcdef123456/pgo", "OPTIONS, POST"),
        ("GET", "/self-serve/try/rev/abcdef123456/nightly", "OPTIONS, POST"),
        ("DELETE", "/self-serve/try/builders/Linux%20try%20build/abcd", "OPTIONS, POST"),
        ("PUT", "/self-serve/batch", "GET, HEAD, OPTIONS, POST"),
        ("TRACE", "/", "GET, HEAD, OPTIONS"),
        ("BREW", "/self-serve/try", "GET, HEAD, OPTIONS"),
    ],
)
@twisted_test()
async def test_a_method_that_a_path_lacks_is_refused_with_those_it_has(
    served: Served, method: str, path: str, allow: str
) -> None:
    answer = await served.ask(method, path, JSON | ZOE)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.json["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/self-serve", "/self-serve/try?format=json", "/nowhere"])
@twisted_test()
async def test_head_is_get_without_the_body(served: Served, path: str) -> None:
    get, head = await served.ask("GET", path), await served.ask("HEAD", path)
    assert head.body == b""
    assert get.body != b""
    both = {name for name in get.headers if name not in ("date", "x-request-id")}
    assert head.status == get.status
    assert {n: head.headers.get(n) for n in both} == {n: get.headers[n] for n in both}


@twisted_test()
async def test_options_tells_the_methods(served: Served) -> None:
    answer = await served.ask("OPTIONS", REQUEST)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
    assert "access-control-allow-origin" not in answer.headers
    assert (await served.ask("OPTIONS", "/nowhere")).status == 404


PREFLIGHT = {
    "Access-Control-Request-Method": "DELETE",
    "Access-Control-Request-Headers": "accept, content-type",
}


@twisted_test()
async def test_a_preflight_of_a_configured_site_is_answered(served: Served) -> None:
    answer = await served.ask("OPTIONS", REQUEST, {"Origin": ORIGIN} | PREFLIGHT)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "DELETE" in answer.headers["access-control-allow-methods"].split(", ")
    assert answer.headers["access-control-allow-headers"] == "accept, content-type"
    assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", ORIGIN + ".evil", b"\xff"])
@twisted_test()
async def test_a_preflight_of_another_site_gets_nothing(
    served: Served, origin: str | bytes
) -> None:
    answer = await served.ask("OPTIONS", REQUEST, {"Origin": origin} | PREFLIGHT)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/self-serve/jobs", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/self-serve/jobs", 405),
        ("POST", "/self-serve/try/build", 403),
        ("GET", "/self-serve/jobs?format=xml", 400),
        ("GET", "/%FF", 400),
    ],
)
@twisted_test()
async def test_a_configured_site_may_read_answers_and_errors(
    served: Served, method: str, path: str, status: int
) -> None:
    answer = await served.ask(method, path, JSON | {"Origin": ORIGIN})
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    other = await served.ask(method, path, JSON | {"Origin": "https://evil.example.org"})
    assert "access-control-allow-origin" not in other.headers


@twisted_test()
async def test_a_configured_site_may_read_the_headers_that_programs_need(serve: Serve) -> None:
    served = serve(reads_per_minute=9)
    await served.ask("POST", "/self-serve/try/build", JSON | ZOE, {"build_id": 11})
    path = "/self-serve/jobs?num=1&nope=1"
    answer = await served.ask("GET", path, JSON | {"Origin": ORIGIN})
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    needed = {"link", "etag", "warning", "x-request-id", "ratelimit", "ratelimit-policy"}
    assert needed <= {*answer.headers}
    assert {*exposed} == needed | {"retry-after", "x-total-count"}
    other = await served.ask("GET", path, JSON | {"Origin": "https://evil.example.org"})
    assert "access-control-expose-headers" not in other.headers


@twisted_test()
async def test_without_configured_sites_no_origin_is_allowed(serve: Serve) -> None:
    served = serve(origins=())
    for origin in ("", "null", ORIGIN):
        answer = await served.ask("GET", "/self-serve/jobs", {"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers


# --- _method


def multipart(fields: dict[str, str]) -> tuple[dict[str, str], bytes]:
    lines = []
    for name, value in fields.items():
        lines += ["--x-y", f'Content-Disposition: form-data; name="{name}"', "", value]
    body = "\r\n".join([*lines, "--x-y--", ""]).encode()
    return {"Content-Type": "multipart/form-data; boundary=x-y"}, body


@pytest.mark.parametrize("word", ["DELETE", "delete", "Delete"])
@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
@twisted_test()
async def test_a_form_may_stand_for_delete(served: Served, kind: str, word: str) -> None:
    headers: dict[str, str] = {}
    body: bytes | None = None
    fields: Any = {"_method": word}
    if kind == "multipart":
        headers, body = multipart(fields)
    answer = await served.ask("POST", BUILD, JSON | ZOE | headers, body or fields)
    assert answer.status == 202
    assert served.jobs.jobs[1].action == "cancel_build"


@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
@twisted_test()
async def test_a_form_may_stand_for_put(served: Served, kind: str) -> None:
    fields: Any = {"_method": "put", "priority": "7"}
    headers, body = multipart(fields) if kind == "multipart" else ({}, fields)
    answer = await served.ask("POST", REQUEST, JSON | ZOE | headers, body)
    assert answer.status == 202
    assert served.jobs.jobs[1].what == {"brid": 21, "priority": 7}


@twisted_test()
async def test_post_as_method_changes_nothing(served: Served) -> None:
    fields = {"_method": "post", "build_id": 11}
    assert (await served.ask("POST", "/self-serve/try/build", JSON | ZOE, fields)).status == 202
    assert (await served.ask("POST", BUILD, JSON | ZOE, {"_method": "post"})).status == 405


@twisted_test()
async def test_an_unknown_method_in_a_form_is_ignored(served: Served) -> None:
    for word in ["GET", "OPTIONS", "PATCH", "x" * 500, "DELETE ", ""]:
        fields = {"_method": word, "build_id": "11"}
        assert (await served.ask("POST", BUILD, JSON | ZOE, fields)).status == 405
        assert (await served.ask("POST", "/self-serve/try/build", JSON | ZOE, fields)).status == 202


@twisted_test()
async def test_the_query_cannot_change_the_method(served: Served) -> None:
    assert (await served.ask("GET", f"{BUILD}?_method=DELETE", JSON | ZOE)).status == 200
    assert (await served.ask("POST", f"{BUILD}?_method=DELETE", JSON | ZOE, b"")).status == 405
    assert not served.jobs.jobs


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@twisted_test()
async def test_the_body_of_a_get_changes_nothing(served: Served, method: str) -> None:
    answer = await served.ask(method, BUILD, JSON | ZOE, {"_method": "DELETE"})
    assert answer.status == 200
    assert not served.jobs.jobs


@twisted_test()
async def test_put_is_not_turned_into_delete(served: Served) -> None:
    fields = {"_method": "DELETE", "priority": 3}
    assert (await served.ask("PUT", REQUEST, JSON | ZOE, fields)).status == 202
    assert served.jobs.jobs[1].action == "reprioritize"


@twisted_test()
async def test_a_get_with_a_form_content_type_and_no_body_is_a_get(served: Served) -> None:
    assert (await served.ask("GET", BUILD, JSON | {"Content-Type": FORM})).status == 200
    broken = JSON | {"Content-Type": "multipart/form-data"}
    assert (await served.ask("GET", BUILD, broken)).status == 200


@twisted_test()
async def test_a_delete_may_say_that_it_has_no_body(served: Served) -> None:
    headers = JSON | ZOE | {"Content-Length": "0"}
    assert (await served.ask("DELETE", BUILD, headers)).status == 202
    assert (await served.ask("DELETE", BUILD, headers | {"Content-Type": FORM})).status == 202
    empty_json = headers | {"Content-Type": "application/json"}
    assert (await served.ask("DELETE", BUILD, empty_json)).status == 202


# --- connections


@twisted_test()
async def test_a_connection_serves_one_request_after_the_other(served: Served) -> None:
    wire = await served.wire()
    for n in range(1, 4):
        wire.send(
            request("POST", "/self-serve/try/build", JSON | ZOE, {"build_id": 11}, last=False)
        )
        assert len(await wire.answers(*["POST"] * n)) == n
    wire.send(request("GET", "/nowhere", JSON, last=False))
    wire.send(request("GET", "/self-serve/jobs", JSON))
    await wire.closed
    *_, missing, jobs = await wire.answers("POST", "POST", "POST", "GET", "GET")
    assert missing.status == 404
    assert [j["id"] for j in jobs.json] == [3, 2, 1]


@twisted_test()
async def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    wire = await served.wire()
    paths = ["/self-serve/try/build/11", "/nowhere", "/self-serve/", "/self-serve/jobs"]
    sent = [request("GET", p, JSON, last=p.endswith("jobs")) for p in paths]
    wire.send(b"".join(sent))
    await wire.closed
    answers = await wire.answers("GET", "GET", "GET", "GET")
    assert [a.status for a in answers] == [200, 404, 301, 200]


@twisted_test()
async def test_http_1_0_is_understood(served: Served) -> None:
    wire = await served.wire()
    wire.send(b"GET /self-serve/jobs HTTP/1.0\r\nAccept: application/json\r\n\r\n")
    await wire.closed
    assert (await wire.answer()).json == []
