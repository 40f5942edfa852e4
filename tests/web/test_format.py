"""In which format the site answers, and how it says so."""

from __future__ import annotations

import pytest

from tests.reactor import twisted_test
from tests.web.client import JSON, Answer
from tests.web.conftest import ZOE, Served

READS = (
    "/",
    "/self-serve",
    "/self-serve/branches",
    "/self-serve/jobs",
    "/self-serve/try",
    "/self-serve/try/build/11",
    "/self-serve/try/request/21",
    "/self-serve/try/rev/abcdef123456",
    "/self-serve/try/rev/abcdef123456/is_done",
    "/self-serve/try/builders",
    "/self-serve/try/user/zoe",
)
ACCEPT_JSON = (
    "application/json",
    "application/json, text/javascript, */*; q=0.01",
    "application/json, text/plain, */*",
    "text/html, application/json;q=0.1",
    "APPLICATION/JSON",
)
ACCEPT_HTML = ("", "*/*", "text/html", "application/*", "application/json;q=0", "\xff")


def is_json(answer: Answer) -> bool:
    kinds = {"application/json": True, "text/html; charset=utf-8": False}
    return kinds[answer.headers["content-type"]]


@pytest.mark.parametrize("path", READS)
@twisted_test()
async def test_every_page_is_html_and_json(served: Served, path: str) -> None:
    asked = [await served.ask("GET", path, h) for h in ({}, JSON)]
    assert [a.status for a in asked] == [200, 200]
    assert [is_json(a) for a in asked] == [False, True]
    assert asked[0].text.startswith("<!doctype html>")
    assert asked[1].json is not None


@twisted_test()
async def test_accept_decides_where_format_is_missing(served: Served) -> None:
    for accept in ACCEPT_JSON:
        assert is_json(await served.ask("GET", "/self-serve/jobs", {"Accept": accept})), accept
    for accept in ACCEPT_HTML:
        header = accept.encode("latin-1")
        assert not is_json(await served.ask("GET", "/self-serve/jobs", {"Accept": header})), accept


@twisted_test()
async def test_format_wins_over_accept(served: Served) -> None:
    html = {"Accept": "text/html"}
    assert is_json(await served.ask("GET", "/self-serve/jobs?format=json", html))
    assert not is_json(await served.ask("GET", "/self-serve/jobs?format=html", JSON))


@twisted_test()
async def test_accept_may_be_given_in_several_lines(served: Served) -> None:
    lines = [("Accept", "application/json"), ("Accept", "text/html")]
    assert is_json(await served.ask("GET", "/self-serve/jobs", lines))


@pytest.mark.parametrize("query", ["format=xml", "format=json&format=html", "format=JSON"])
@twisted_test()
async def test_an_unknown_or_repeated_format_is_refused(served: Served, query: str) -> None:
    answer = await served.ask("GET", f"/self-serve/jobs?{query}", JSON)
    assert answer.status == 400
    assert answer.json["code"] == "bad_request"
    assert not is_json(await served.ask("GET", f"/self-serve/jobs?{query}"))


@twisted_test()
async def test_a_job_request_in_an_unknown_format_is_not_accepted(served: Served) -> None:
    answer = await served.ask("DELETE", "/self-serve/try/build/11?format=xml", JSON | ZOE)
    assert answer.status == 400
    assert not served.jobs.jobs


ERRORS = (
    ("POST", "/self-serve/try/build", 403, "access_denied"),
    ("GET", "/nowhere", 404, "not_found"),
    ("GET", "/self-serve/nobranch", 404, "not_found"),
    ("DELETE", "/self-serve/try", 405, "method_not_allowed"),
    ("GET", "/self-serve/try?date=yesterday", 400, "bad_request"),
)


@pytest.mark.parametrize(("method", "path", "status", "code"), ERRORS)
@twisted_test()
async def test_errors_are_json_for_json_clients_and_pages_for_others(
    served: Served, method: str, path: str, status: int, code: str
) -> None:
    asked = await served.ask(method, path, JSON)
    assert asked.status == status
    assert set(asked.json) == {"status", "msg", "code"}
    assert (asked.json["status"], asked.json["code"]) == ("FAILED", code)
    page = await served.ask(method, path)
    assert (page.status, is_json(page)) == (status, False)
    by_format = await served.ask(method, path + ("&" if "?" in path else "?") + "format=json")
    assert is_json(by_format)


@pytest.mark.parametrize(("method", "path", "status", "code"), ERRORS)
@twisted_test()
async def test_errors_are_never_stored(
    served: Served, method: str, path: str, status: int, code: str
) -> None:
    answer = await served.ask(method, path, JSON)
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


@pytest.mark.parametrize("path", ["/self-serve/jobs", "/nowhere", "/self-serve/try?date=x"])
@twisted_test()
async def test_what_an_answer_depends_on_is_told(served: Served, path: str) -> None:
    varies = (await served.ask("GET", path, JSON)).headers["vary"].lower().split(", ")
    assert {"accept", "accept-encoding", "origin"} <= set(varies)


@twisted_test()
async def test_branch_texts_of_404(served: Served) -> None:
    texts = {
        "/self-serve/tri": "Branch tri not found",
        "/self-serve/try/build/99": "Build 99 not found on branch try",
        "/self-serve/try/request/99": "Request 99 not found on branch try",
        "/self-serve/try/rev/ffff": "Revision ffff not found on branch try",
        "/self-serve/try/rev/ffff/is_done": "Revision ffff not found on branch try",
        "/self-serve/jobs/99": "Job 99 not found",
    }
    for path, text in texts.items():
        answer = await served.ask("GET", path, JSON)
        assert (answer.status, answer.json["msg"]) == (404, text)
