"""Whatever is sent, the site answers as it should."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reactor import twisted_test
from tests.web.client import FORM, Answer, parse, request
from tests.web.conftest import ORIGIN, Served

EXAMPLES = int(os.environ.get("BUILDAPI_EXAMPLES", "120"))

METHODS = st.sampled_from(
    ["GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X"]
)
WORDS = st.sampled_from(
    [
        "self-serve", "try", "a%2Fb", "build", "request", "jobs", "branches", "rev", "is_done",
        "builders", "user", "11", "12", "21", "22", "23", "1", "abcdef123456", "",
        "buildapi", "..", ".", "%FF", "%00", "%2F", "%", "%25", "\\", "*", "http:", "evil",
        "%EE%80%80", "x;y=z", "a+b", "|", "%C3%BC", "99999999999999999999",
    ]
)  # fmt: skip
RAW = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
SEGMENTS = st.lists(WORDS | RAW, max_size=6).map(lambda words: "/" + "/".join(words))
REAL = st.sampled_from(
    [
        "/self-serve/try/build/12", "/self-serve/try/request/22",
        "/self-serve/try", "/self-serve/try/build", "/self-serve/try/request",
        "/self-serve/try/build/11", "/self-serve/try/request/21", "/self-serve/try/rev/abc/is_done",
        "/self-serve/jobs", "/self-serve/jobs/1", "/self-serve/try/user/x",
        "/self-serve/try/rev/abcdef123456", "/self-serve/try/rev/abcdef123456/pgo",
        "/self-serve/try/rev/abcdef123456/nightly", "/self-serve/batch",
        "/self-serve/try/builders/Linux%20try%20talos%2Ftp5/abcdef123456",
        "/self-serve/tokens", "/self-serve/tokens/1", "/self-serve/whoami",
    ]
)  # fmt: skip
QUERIES = st.sampled_from(
    [
        "", "?", "?format=json", "?format=html", "?format=xml", "?format=json&format=json",
        "?date=2011-01-01", "?date=9999-12-31", "?date=0001-01-01", "?date=x", "?num=-1&offset=x",
        "?num=99999999999999999999999&offset=99999999999999999999999", "?stableDelay=-5",
        "?stableDelay=999999999999999999999999", "?%FF", "?_method=DELETE", "?a=%00", "?&&=&;",
        "?dry_run=1", "?dry_run=x", "?wait=0.01", "?wait=x", "?only=pending", "?only=x&reason=%00",
        "?builder=*&builder=", "?exclude_builds=1",
    ]
)  # fmt: skip
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Accept", "Accept", "Content-Type", "X-Remote-User", "Origin", "Sec-Fetch-Site",
                "If-None-Match", "Accept-Encoding", "Host", "Range", "Cookie", "Expect", "Upgrade",
                "Access-Control-Request-Method", "Access-Control-Request-Headers", "X-Other",
                "Idempotency-Key", "Authorization",
            ]
        ),
        st.sampled_from(
            [
                b"application/json", b"*/*", b"text/html", b"zo\xc3\xab", b"\xff", b"", b"gzip",
                ORIGIN.encode(), b"https://evil.example.org", b"cross-site", b"*", b"bytes=0-1",
                FORM.encode(), b"multipart/form-data; boundary=b", b"multipart/form-data",
                b"application/json; charset=utf-16", b"100-continue", b"websocket", b"a=b; c",
                b"Bearer bapi_" + b"x" * 43, b"Basic eA==",
            ]
        )
        | st.binary(max_size=20).map(lambda b: b.translate(None, b"\r\n\0")),
    ),
    max_size=7,
)  # fmt: skip
NAMES = st.sampled_from(
    [
        "_method", "build_id", "request_id", "priority", "count", "x", "properties", "files",
        "only", "builder", "exclude_builds", "reason",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    ["DELETE", "put", "11", "21", "-1", "0", "1", "", "x", "1e3", "99999999999999999999", "\u0661"]
)
LIKELY = st.sampled_from(
    [{"build_id": "11"}, {"request_id": "21"}, {"priority": "3"}, {"_method": "DELETE"}, {}]
)
BODIES = (
    st.none()
    | st.tuples(LIKELY, LIKELY).map(lambda two: two[0] | two[1])
    | st.dictionaries(NAMES, VALUES)
    | st.dictionaries(NAMES, VALUES | st.integers() | st.none()).map(json.dumps).map(str.encode)
    | st.binary(max_size=60)
)


def check(answer: Answer, method: str, headers: list[tuple[str, bytes]], target: str) -> None:
    assert answer.status < 500 or answer.status == 503, answer
    wants_json = [v.strip().lower() for n, v in headers if n == "Accept"] == [b"application/json"]
    overridden = "format=" in target
    if answer.status in (204, 301, 304) or method == "HEAD":
        assert answer.body == b""
    elif answer.headers.get("content-encoding") != "gzip":
        is_json = answer.headers["content-type"] == "application/json"
        assert is_json or overridden or not wants_json
        if is_json:
            assert answer.json is not None
        else:
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.text.startswith("<!doctype html>")
    if answer.status in (301, 302):
        assert answer.headers["location"].startswith("/")
        assert not answer.headers["location"].startswith(("//", "/\\"))
    readable = answer.headers.get("content-type") == "application/json"
    if answer.status == 202 and readable and "content-encoding" not in answer.headers:
        assert type(answer.json["request_id"]) is int


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=METHODS,
    target=st.tuples(SEGMENTS | REAL, QUERIES).map("".join),
    headers=HEADERS,
    body=BODIES,
    named=st.booleans(),
)
@twisted_test(20)
async def test_nothing_makes_it_fail(
    served: Served,
    *,
    method: str,
    target: str,
    headers: list[tuple[str, bytes]],
    body: Any,
    named: bool,
) -> None:
    """The farm behind it works, so nothing may end in a 5xx."""
    before = len(served.jobs.jobs)
    if named and not any(name == "X-Remote-User" for name, _ in headers):
        headers = [*headers, ("X-Remote-User", b"zoe")]
    wire = await served.wire()
    wire.send(request(method, target, headers, body))
    await wire.closed
    data = wire.received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    (answer,) = parse(data, [method])
    check(answer, method, headers, target)
    repeated = any(name == "Idempotency-Key" for name, _ in headers)
    recorded, accepted = len(served.jobs.jobs) - before, answer.status in (202, 302)
    assert recorded == accepted or (repeated and accepted and not recorded)
    assert not served.in_flight


@settings(
    max_examples=EXAMPLES // 2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.binary(max_size=200), cut=st.integers(0, 200))
@twisted_test(20)
async def test_bytes_that_are_no_http_do_no_harm(served: Served, data: bytes, cut: int) -> None:
    wire = await served.wire()
    wire.send(data[:cut])
    wire.send(data[cut:] + b"\r\n\r\n\r\n\r\n")
    wire.send(request("GET", "/self-serve/jobs"))
    await wire.until(lambda: b"HTTP/1.1 " in wire.received)
    wire.close()
    await wire.closed
    again = await served.ask("GET", "/self-serve/jobs?format=json")
    assert again.json == []
