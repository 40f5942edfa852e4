"""Slashes, prefixes and percent signs."""

from __future__ import annotations

import pytest

from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import Route
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served


async def echo(call: Call) -> Reply:
    return Reply.data("Echo", JSONBody.of(dict(call.path)))


ECHO = (
    Route("GET", "/echo/{one}", echo, "Echo one."),
    Route("GET", "/echo/{one}/{two}", echo, "Echo two."),
)

SEGMENTS = {
    "a%2Fb": "a/b",
    "a%2fb%2F": "a/b/",
    "50%25": "50%",
    "%252F": "%2F",
    "f%C3%BCr": "für",
    "a+b": "a+b",
    "a%2Bb": "a+b",
    "a;b=c": "a;b=c",
    "a%3Bb": "a;b",
    "a%20b": "a b",
    "%F0%9F%98%80": "😀",
    "..": "..",
    "a:b@c": "a:b@c",
    "a%7Cb|c": "a|b|c",
    "%00": "\0",
    "%0D%0AX-Evil:%201": "\r\nX-Evil: 1",
    "%": "%",
    "%zz": "%zz",
}


@twisted_test()
async def test_a_segment_holds_any_character(serve: Serve) -> None:
    served = serve(more_routes=ECHO)
    for sent, meant in SEGMENTS.items():
        assert (await served.ask("GET", f"/echo/{sent}", JSON)).json == {"one": meant}
        two = await served.ask("GET", f"/echo/{sent}/{sent}", JSON)
        assert two.json == {"one": meant, "two": meant}


@pytest.mark.parametrize("path", [b"/self-serve/%FF", b"/%ff%fe", b"/self-serve/\x80", b"/%FF/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@twisted_test()
async def test_a_path_that_is_not_utf8_is_a_bad_request(
    served: Served, method: str, path: bytes
) -> None:
    answer = await served.ask(method, path, JSON | ZOE)
    assert (answer.status, answer.json["msg"]) == (400, "The path is not UTF-8")
    page = await served.ask(method, path, ZOE)
    assert (page.status, page.headers["content-type"]) == (400, "text/html; charset=utf-8")


@pytest.mark.parametrize("query", ["x=%FF", "%ff", "format=json&x=%C3"])
@twisted_test()
async def test_a_query_that_is_not_utf8_is_a_bad_request(served: Served, query: str) -> None:
    answer = await served.ask("GET", f"/self-serve/jobs?{query}", JSON)
    assert answer.status == 400
    assert "UTF-8" in answer.json["msg"]


REDIRECTS = {
    "/self-serve/": "/self-serve",
    "/self-serve/try/?date=2011-01-01&format=json": "/self-serve/try?date=2011-01-01&format=json",
    "/self-serve///": "/self-serve",
    "//evil.example.org/": "/evil.example.org",
    "//evil.example.org//": "/evil.example.org",
    "/%2F%2Fevil.example.org/": "/%2F%2Fevil.example.org",
    "/\\evil.example.org/": "/%5Cevil.example.org",
    "/%5Cevil.example.org/": "/%5Cevil.example.org",
    "/https://evil.example.org/": "/https%3A//evil.example.org",
    "/a%0D%0AX:y/": "/a%0D%0AX%3Ay",
    "/self-serve/f%C3%BCr/": "/self-serve/f%C3%BCr",
}


@twisted_test()
async def test_a_trailing_slash_leads_to_the_path_without_it(served: Served) -> None:
    for path, target in REDIRECTS.items():
        answer = await served.ask("GET", path)
        assert (answer.status, answer.headers["location"]) == (301, target)
        assert answer.body == b""


@twisted_test()
async def test_the_mount_prefix_stays_before_a_redirect(serve: Serve) -> None:
    served = serve(prefix="/buildapi")
    for path, target in REDIRECTS.items():
        answer = await served.ask("GET", "/buildapi" + path)
        assert (answer.status, answer.headers["location"]) == (301, "/buildapi" + target)


@twisted_test()
async def test_a_site_answers_below_its_prefix_and_at_the_root(serve: Serve) -> None:
    served = serve(prefix="/buildapi")
    for path in ("/buildapi", "/buildapi/", "/buildapi/self-serve", "/self-serve", "/"):
        assert (await served.ask("GET", path, JSON)).status == 200, path
    assert "farm" in (await served.ask("GET", "/buildapi?format=json")).json
    assert (await served.ask("GET", "/buildapiself-serve", JSON)).status == 404
    assert (await served.ask("GET", "/other/self-serve", JSON)).status == 404


@twisted_test()
async def test_links_of_a_page_begin_with_the_prefix_it_was_asked_under(serve: Serve) -> None:
    served = serve(prefix="/buildapi")
    below = (await served.ask("GET", "/buildapi/self-serve")).text
    assert 'href="/buildapi/self-serve/jobs"' in below
    assert 'href="/self-serve' not in below
    assert 'href="/self-serve/jobs"' in (await served.ask("GET", "/self-serve")).text


@twisted_test()
async def test_double_slashes_do_not_name_another_host(served: Served) -> None:
    assert (await served.ask("GET", "//self-serve/jobs", JSON)).status == 200
    assert (await served.ask("GET", "/self-serve//jobs", JSON)).status == 404


@twisted_test()
async def test_a_target_without_slash_is_no_other_host(served: Served) -> None:
    assert (await served.ask("GET", "self-serve/jobs", JSON)).json == []
    assert (await served.ask("GET", "evil.example.org/")).headers["location"] == "/evil.example.org"
    assert (await served.ask("OPTIONS", "*", JSON)).status == 404


@twisted_test()
async def test_a_target_may_name_the_host_as_proxies_do(served: Served) -> None:
    path = "http://buildapi.example.org/self-serve/try?date=2011-01-01"
    assert (await served.ask("GET", path, JSON)).json == []


@twisted_test(10)
async def test_any_name_of_a_host_is_answered_to_where_none_are_configured(served: Served) -> None:
    for host in ["", "..", "x" * 70, "[::1]:8010", "a.example.org:80"]:
        answer = await served.ask("GET", "/self-serve/jobs", JSON | {"Host": host})
        assert answer.json == []


@twisted_test(10)
async def test_what_is_no_name_of_a_host_is_refused(served: Served) -> None:
    hosts: list[str | bytes] = ["é", b"\xff\xfe", "a b", "a:b:c", "a@b", "a/b"]
    for host in hosts:
        answer = await served.ask("GET", "/self-serve/jobs", JSON | {"Host": host})
        assert (answer.status, answer.json["msg"]) == (400, "Header Host is not a host name")


@twisted_test(10)
async def test_an_id_that_cannot_be_is_not_found(served: Served) -> None:
    for id_ in ["0", "-11", "+11", "11abc", "9" * 25, "9" * 5000, "%D9%A1", "1.0", " 11"]:
        path = id_.replace(" ", "%20")
        for what in ("try/build", "try/request", "jobs"):
            answer = await served.ask("GET", f"/self-serve/{what}/{path}", JSON)
            assert answer.status == 404
            assert answer.json["msg"].endswith("not found" if what == "jobs" else "on branch try")


@twisted_test()
async def test_an_id_reaches_the_farm_only_if_it_can_exist(served: Served) -> None:
    for id_ in ("2147483647", "2147483648", "1e3", "0x10"):
        await served.ask("GET", f"/self-serve/try/build/{id_}", JSON)
    assert [call[2] for call in served.builds.failing.calls] == [2147483647]
