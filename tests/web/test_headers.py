"""Headers: malformed ones are refused or passed over by rule, and never an incident."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from buildapi.errors import BadRequest, UnknownHost
from buildapi.web.http.host_header import check_host
from tests.reactor import twisted_test
from tests.web.client import JSON, parse, request
from tests.web.conftest import ZOE, Serve, Served

EXAMPLES = int(os.environ.get("BUILDAPI_EXAMPLES", "120"))
CANCEL = "/self-serve/try/build/12"

READ = [
    "Accept", "Accept-Encoding", "Access-Control-Request-Headers", "Access-Control-Request-Method",
    "Authorization", "Connection", "Content-Length", "Content-Type", "Cookie", "Expect", "Host",
    "Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "Last-Event-ID", "Origin",
    "Range", "Referer", "Sec-Fetch-Site", "TE", "Transfer-Encoding", "Upgrade", "User-Agent",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-HTTP-Method-Override",
    "X-Remote-User", "X-Request-Id",
]  # fmt: skip
"""What is read, by us or by Twisted, and what others think is."""

ODD = [
    b"", b" ", b"http://[", b"http://[::1", b"//[", b"http://]/", b"null", b"\xff\xfe", b"\x00",
    b"\x7f\x1b[2J", b"[", b"[]", b"]:80", b"a:b:c", b":", b"-1", b"+5", b"1e3", b"9" * 17,
    b"0x10", b"\xc2\xb2", b'W/"', b'"', b"*", b"*/*;q=", b";;;q=x", b"text/html;q=1e999", b",,,,",
    b"gzip;q=nan", b"identity;q=0,*;q=0", b"bytes=", b"bytes=-", b"bytes=9-1,0-", b"chunked",
    b"Thu, 99 Foo 2000 99:99:99 GMT", b"multipart/form-data; boundary", b"a/b; c=\"", b"=; =; ==",
    b"Bearer", b"Basic !!!", b"Bearer bapi_", b"for=\"[::1]:80", b"1.2.3.4.5, , %", b"x" * 3000,
    b"100-continue", b"close", b"keep-alive, upgrade", b"http://a b/", b"http://h:99999/", b"http:",
    b"https://\xe2\x84\x80.example.org",
]  # fmt: skip
VALUES = st.sampled_from(ODD) | st.binary(max_size=30).map(lambda b: b.translate(None, b"\r\n"))
HEADERS = st.lists(st.tuples(st.sampled_from(READ), VALUES), min_size=1, max_size=5)
ASKED = st.sampled_from(
    [
        ("GET", "/self-serve/try"), ("GET", "/self-serve/whoami"), ("GET", "/static/buildapi.css"),
        ("POST", CANCEL), ("DELETE", CANCEL), ("OPTIONS", CANCEL), ("HEAD", "/"), ("GET", "/nope"),
    ]
)  # fmt: skip


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(asked=ASKED, headers=HEADERS, named=st.booleans())
@example(asked=("DELETE", CANCEL), headers=[("Referer", b"http://[")], named=True)
@twisted_test(20)
async def test_no_header_makes_it_fail(
    served: Served, *, asked: tuple[str, str], headers: list[tuple[str, bytes]], named: bool
) -> None:
    method, path = asked
    wire = await served.wire()
    wire.send(request(method, path, [*headers, *(ZOE.items() if named else ())]) + b"\r\n" * 4)
    await wire.until(lambda: b"\r\n\r\n" in wire.received or wire.is_closed)
    head = wire.received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    wire.close()
    if head:  # a connection that cannot be understood may be closed without a word
        assert int(head.split()[1]) < 500, head


@pytest.mark.parametrize("referer", ["http://[", "https://[::1", "//]"])
@twisted_test()
async def test_a_referer_that_is_no_url_is_refused_where_it_has_to_tell_the_site(
    served: Served, referer: str
) -> None:
    sent = JSON | ZOE | {"Referer": referer}
    answer = await served.ask("DELETE", CANCEL, sent)
    assert (answer.status, answer.json["msg"]) == (400, "Header Referer is not a URL")
    assert not served.jobs.jobs
    nobody = await served.ask("DELETE", CANCEL, JSON | {"Referer": referer})
    assert (nobody.status, nobody.json["msg"]) == (403, "ACCESS DENIED!"), "that comes first"
    assert (await served.ask("GET", "/self-serve/try", sent)).status == 200, "nobody reads it"


# --- Host


def spelled(
    version: str, *hosts: str, method: str = "GET", path: str = "/self-serve/jobs"
) -> bytes:
    lines = [f"{method} {path} HTTP/{version}", *(f"Host: {host}" for host in hosts)]
    return "\r\n".join([*lines, "Accept: application/json", "Connection: close", "", ""]).encode()


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", ["127.0.0.1"], 200),
        ("1.1", [""], 200),
        ("1.1", [], 400),
        ("1.1", ["127.0.0.1", "127.0.0.1"], 400),
        ("1.1", ["127.0.0.1", "evil.example.org"], 400),
        ("1.1", ["a b"], 400),
        ("1.1", ["[::1"], 400),
        ("1.1", ["a:b"], 400),
        ("1.0", [], 200),
        ("1.0", ["a", "b"], 400),
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@twisted_test()
async def test_a_request_of_http_1_1_has_one_host(
    served: Served, version: str, hosts: list[str], status: int, method: str
) -> None:
    wire = await served.wire()
    wire.send(spelled(version, *hosts, method=method))
    await wire.closed
    (answer,) = parse(wire.received, [method])
    assert answer.status == (204 if method == "OPTIONS" and status == 200 else status)
    if status == 400:
        assert "Host" in answer.json["msg"]


LOCAL = ("localhost", "127.0.0.1", "[::1]")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8010", 200), ("127.0.0.1:8010", 200), ("[::1]:8010", 200),
        ("localhost.", 200), ("evil.example.org", 421), ("localhost.evil.example.org", 421),
        ("127.0.0.1.evil.example.org:8010", 421), ("", 421),
    ],
)  # fmt: skip
@twisted_test()
async def test_a_page_whose_name_was_bound_to_our_address_reaches_nothing(
    serve: Serve, host: str, status: int
) -> None:
    served = serve(hosts=LOCAL)
    headers = JSON | ZOE | {"Host": host}
    for path in ("/self-serve/jobs", "/self-serve/whoami", "/", "/nope"):
        answer = await served.ask("GET", path, headers)
        assert answer.status == (404 if status == 200 and path == "/nope" else status)
    answer = await served.ask("DELETE", CANCEL, headers)
    assert answer.status == (202 if status == 200 else 421)
    assert len(served.jobs.jobs) == (status == 200)
    if status == 421:
        assert answer.json["code"] == "unknown_host"
        assert "localhost" in answer.json["msg"]


@pytest.mark.parametrize(
    ("target", "hosts", "status"),
    [
        ("http://localhost:8010/self-serve/jobs", ["evil.example.org"], 200),
        ("http://evil.example.org/self-serve/jobs", ["localhost"], 421),
        ("HTTPS://evil.example.org", ["localhost"], 421),
        ("http://localhost@evil.example.org/", ["localhost"], 400),
        ("http://localhost/", [], 400),
        ("http://localhost/", ["a b"], 400),
    ],
)
@twisted_test()
async def test_the_host_of_a_target_in_absolute_form_counts(
    serve: Serve, target: str, hosts: list[str], status: int
) -> None:
    """RFC 9112 3.2.2: the Host header is ignored then."""
    wire = await serve(hosts=LOCAL).wire()
    wire.send(spelled("1.1", *hosts, path=target))
    await wire.closed
    (answer,) = parse(wire.received, ["GET"])
    assert answer.status == status


@given(st.lists(st.binary(max_size=40), max_size=3), st.booleans())
def test_any_values_of_host_are_accepted_or_refused(values: list[bytes], needed: bool) -> None:
    accepted = True
    try:
        check_host(values, LOCAL, needed=needed)
    except (BadRequest, UnknownHost):
        accepted = False
    names = [value.strip().lower() for value in values]
    ours = len(names) == 1 and names[0].startswith((b"localhost", b"127.0.0.1", b"[::1]"))
    assert not accepted or ours or not (names or needed)


# --- what may be kept of pages


@twisted_test()
async def test_a_page_with_the_name_of_its_user_is_kept_by_nobody(served: Served) -> None:
    for path, status in (("/self-serve/try", 200), ("/", 200), ("/self-serve/nope", 404)):
        page = await served.ask("GET", path, ZOE)
        assert page.status == status
        assert ZOE["X-Remote-User"] in page.text
        assert page.headers["cache-control"] == "private, no-store", path
    gone = await served.ask("DELETE", CANCEL, ZOE)
    assert (gone.status, gone.headers["cache-control"]) == (302, "private, no-store")
    nobody = await served.ask("GET", "/self-serve/try")
    assert "private" not in nobody.headers.get("cache-control", "")
    data = await served.ask("GET", "/self-serve/try", JSON | ZOE)
    assert "private" not in data.headers.get("cache-control", ""), "it names nobody"
    css = page.text.partition('href="/static/')[2].partition('"')[0]
    file = await served.ask("GET", f"/static/{css}", ZOE)
    assert file.headers["cache-control"].startswith("public")


# --- bearer tokens of others


FOREIGN = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({}, ZOE | FOREIGN, 401),
        ({"ignores_foreign": True}, ZOE | FOREIGN, 200),
        # nobody stands beside it
        ({"ignores_foreign": True}, FOREIGN, 401),
        ({"ignores_foreign": True}, {"X-Remote-User": " "} | FOREIGN, 401),
        ({"ignores_foreign": True, "trusted": []}, ZOE | FOREIGN, 401),
        # what looks like one of ours is always looked at
        ({"ignores_foreign": True}, ZOE | {"Authorization": "Bearer bapi_" + "x" * 43}, 401),
        ({"ignores_foreign": True}, ZOE | {"Authorization": "Bearer xbapi_y"}, 401),
    ],
)
@twisted_test()
async def test_a_bearer_token_of_others_beside_a_trusted_user_is_refused_or_ignored(
    serve: Serve, settings: dict[str, object], headers: dict[str, str], status: int
) -> None:
    served = serve(**settings)
    answer = await served.ask("GET", "/self-serve/whoami", JSON | headers)
    assert answer.status == status
    if status == 200:
        assert (answer.json["who"], answer.json["by"]) == (ZOE["X-Remote-User"], "proxy")
