"""The HTML pages: complete, and safe to look at."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from urllib.parse import quote, unquote

import attrs
import pytest
from msgspec.structs import replace

from buildapi.web.http.assets import module_paths
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import HOSTILE, RUNNING, a_request


@twisted_test()
async def test_the_documentation_shows_every_route(serve: Serve) -> None:
    served = serve(prefix="/buildapi")
    page = (await served.ask("GET", "/buildapi/self-serve")).text
    listed = (await served.ask("GET", "/buildapi/self-serve", JSON)).json["routes"]
    undocumented = ("/self-serve", "/static/{name}", "/static/scripts/{version}/{name}")
    documented = [r for r in served.routes if r.path not in undocumented]
    assert len(documented) == len(listed) == len(served.routes) - len(undocumented)
    for route in documented:
        assert f"{route.method} /buildapi{escape(route.path)}" in page
        assert escape(route.summary) in page
        for param in route.params:
            assert param.name in page


@twisted_test()
async def test_the_documentation_tells_how_old_the_directory_is(serve: Serve) -> None:
    served = serve(cache_seconds=0)
    shown = (await served.ask("GET", "/self-serve", JSON)).json
    assert shown["directory_age_seconds"] == {"branches": 12, "builders": None}
    page = (await served.ask("GET", "/self-serve")).text
    assert "branches read 12 s ago" in page
    assert "builders never read" in page
    served.directory.missing, served.directory.age = "never read", None
    shown = (await served.ask("GET", "/self-serve", JSON)).json
    assert shown["directory_age_seconds"] == {"branches": None, "builders": None}


FARM_WIDE = ("/pending", "/running", "/recent", "/builds", "/pushes", "/revision", "/reports")

OF_ANYBODY = "/self-serve/user/{user}"
"""Whoever it is: who has not pushed has no pushes."""

OF_USER = ("/self-serve/tokens", "/self-serve/audit")


@twisted_test()
async def test_every_route_that_is_listed_is_there(served: Served) -> None:
    listed = (await served.ask("GET", "/self-serve", JSON)).json["routes"]
    for route in listed:
        if route["path"] == "/self-serve/events":
            continue  # answers for as long as one listens
        path = re.sub(r"{\w+}", "1", route["path"])
        answer = await served.ask(route["method"], path, JSON)
        # Nothing is listed of what is unknown; reports are not of every dialect.
        if path.startswith(FARM_WIDE):
            assert answer.status in (200, 400, 501), route
            continue
        of_user = route["job_request"] or route["path"].startswith(OF_USER)
        found = "{" not in route["path"] or route["path"] == OF_ANYBODY
        wanted = 403 if of_user else (200 if found else 404)
        assert answer.status == wanted, route


@twisted_test()
async def test_branches_on_the_first_page_are_links(served: Served) -> None:
    page = (await served.ask("GET", "/self-serve")).text
    links = re.findall(r'<li><a href="([^"]*)">', page)
    names = {unquote(link.removeprefix("/self-serve/").removesuffix("/pushes")) for link in links}
    assert names == {"try", HOSTILE, "a/b"}
    for link in links:
        assert (await served.ask("GET", link, JSON)).status == 200, link


class Tags(HTMLParser):
    """Collect the elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.handlers: set[str] = set()

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append(dict(pairs).get("src"))
        self.handlers |= {name for name, _ in pairs if name.startswith("on")}


@pytest.mark.parametrize(
    "path",
    [
        "/self-serve",
        "/self-serve/branches",
        "/self-serve/try",
        "/self-serve/try/build/12",
        "/self-serve/try/request/21",
        "/self-serve/try/builders",
        "/self-serve/jobs",
        "/self-serve/jobs/1",
        f"/self-serve/{quote(HOSTILE, safe='')}",
        f"/self-serve/{quote(HOSTILE, safe='')}/build/1",
        f"/self-serve/try/user/{quote(HOSTILE, safe='')}",
        f"/self-serve/try/rev/{quote(HOSTILE, safe='')}",
        f"/{quote(HOSTILE, safe='')}",
        "/<script>alert(1)</script>",
        f"/self-serve/try?date={quote(HOSTILE)}",
        f"/self-serve/jobs?format={quote(HOSTILE)}",
    ],
)
@twisted_test()
async def test_stored_and_sent_texts_stay_texts(served: Served, path: str) -> None:
    hostile = replace(RUNNING, reason=HOSTILE, buildername=HOSTILE)
    details = served.builds.builds[12]
    served.builds.builds[12] = attrs.evolve(
        details, build=replace(details.build, requests=[hostile])
    )
    served.builds.requests[21] = attrs.evolve(
        served.builds.requests[21], request=a_request(21, reason=HOSTILE, buildername=HOSTILE)
    )
    await served.ask("DELETE", "/self-serve/try/build/12", {"X-Remote-User": HOSTILE})
    answer = await served.ask("GET", path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    tags = Tags()
    tags.feed(answer.text)
    assert tags.scripts == [module_paths()["buildapi.js"]]
    assert not tags.handlers
    assert "<script>alert" not in answer.text


@twisted_test()
async def test_a_page_shows_what_was_asked_for(served: Served) -> None:
    page = (await served.ask("GET", "/self-serve/try/request/21")).text
    assert "<dt>Reason</dt><dd>scheduler</dd>" in page
    assert "<title>Request 21 " in page


@twisted_test()
async def test_an_accepted_job_is_linked(served: Served) -> None:
    page = await served.ask("DELETE", "/self-serve/try/build/12", ZOE)
    assert 'href="/self-serve/jobs/1"' in page.text


@pytest.mark.parametrize("path", ["/", "/self-serve/try", "/nope", "/self-serve/jobs?format=json"])
@twisted_test()
async def test_an_answer_lets_nobody_else_into_its_page(served: Served, path: str) -> None:
    headers = (await served.ask("GET", path, ZOE)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self'")
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"


@twisted_test()
async def test_nothing_in_a_page_needs_more_than_its_policy_allows(served: Served) -> None:
    for path in ("/", "/self-serve", "/self-serve/try", "/self-serve/try/build/12"):
        page = (await served.ask("GET", path, ZOE)).text
        assert not re.findall(
            r"<[^>]* (?:style|on\w+)=|<style|<script(?! (?:type=\"module\" )?src=)", page
        )
