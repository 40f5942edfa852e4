"""Whose push a row is, in JSON and events: author, and first line of the comment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from markupsafe import escape
from twisted.internet.defer import Deferred

from buildapi.jobs.push_index import PushIndex
from buildapi.model.farm_rows import RecentBuild
from buildapi.model.pushes import SUBJECT_MAX, Change, short_author
from buildapi.model.records import RequestDetails
from buildapi.web.farm.farm_serializers import recent_json
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import Serve, Served
from tests.web.farm import HOSTILE, NOW, PENDING, RUNNING_BUILD, a_request, database_down

REVISION = PENDING.revision or ""
PUSH = Change(1, "try", REVISION, "zoë@example.org", f"{HOSTILE} first\n\nsecond", NOW - 5100)
LISTS = (
    "/self-serve/try",
    f"/self-serve/try/rev/{REVISION[:12]}",
    "/self-serve/try/build/12",
    "/self-serve/try/request/21",
    "/self-serve/try/user/zo%C3%AB@example.org",
    "/pending",
    "/running",
    f"/revision/try/{REVISION[:12]}",
)


def rows(value: Any) -> Iterator[Any]:
    """Yield the builds and requests of a document, those within builds left out."""
    if isinstance(value, dict) and "buildername" in value:
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from rows(item)


async def found(served: Served, path: str) -> list[Any]:
    answer = await served.ask("GET", path, JSON)
    assert answer.status == 200
    return list(rows(answer.json))


@pytest.mark.parametrize("path", LISTS)
@twisted_test()
async def test_each_row_says_whose_push_it_is(served: Served, path: str) -> None:
    served.pushes.known = [PUSH]
    items = await found(served, path)
    assert items
    for item in items:
        assert (item["author"], item["comments"]) == (PUSH.author, f"{HOSTILE} first")
        assert not any("author" in request for request in item.get("requests", ()))


@pytest.mark.parametrize("path", LISTS)
@twisted_test()
async def test_changes_that_cannot_be_read_keep_no_list_from_anybody(
    served: Served, path: str
) -> None:
    served.pushes.known = [PUSH]
    served.pushes.changing.error = database_down()
    items = await found(served, path)
    assert items
    assert not any(item.keys() & {"author", "comments"} for item in items)


@twisted_test()
async def test_a_list_does_not_wait_for_changes_that_do_not_come(serve: Serve) -> None:
    served = serve(answer_seconds=1)
    served.pushes.changing.held = Deferred(lambda _: None)
    assert not any("author" in item for item in await found(served, "/self-serve/try"))


@twisted_test()
async def test_changes_are_read_once_for_each_read_of_a_list(serve: Serve) -> None:
    served = serve(cache_seconds=60)
    for _ in range(3):
        await found(served, "/self-serve/try")
    assert served.pushes.changing.calls == [("changes", (REVISION,))]


@twisted_test()
async def test_a_row_without_a_known_push_looks_as_it_always_did(served: Served) -> None:
    served.pushes.known = [Change(1, "cedar", REVISION, "ann", "elsewhere", NOW)]
    for item in await found(served, "/self-serve/try"):
        assert not item.keys() & {"author", "comments"}


@pytest.mark.parametrize(
    ("author", "short"),
    [
        ("zoë@example.org", "zoë"),
        ("Zoë Ann <zoë@example.org>", "Zoë Ann"),
        ("sendchange", "sendchange"),
        ("@home", "@home"),
        ("<zoë@example.org>", "<zoë@example.org>"),
        ("", ""),
    ],
)
def test_an_author_is_shown_by_name(author: str, short: str) -> None:
    assert short_author(author) == short


def test_a_subject_is_one_bounded_line() -> None:
    assert Change(1, "try", REVISION, "ann", "", 0).subject == ""
    assert Change(1, "try", REVISION, "ann", "\n a\nb", 0).subject == "a"
    assert len(Change(1, "try", REVISION, "ann", "x" * 999, 0).subject) == SUBJECT_MAX


PAGES = ("/self-serve/try", "/self-serve/try/user/zo%C3%AB@example.org", "/pending", "/running")
HOME_OF_ZOE = "/self-serve/user/zo%C3%AB%40example.org"


@pytest.mark.parametrize("path", PAGES)
@twisted_test()
async def test_rows_of_pages_show_the_author_and_the_first_line(served: Served, path: str) -> None:
    served.pushes.known = [PUSH]
    text = (await served.ask("GET", path)).text
    cells = re.findall(r'<td data-f="push"[^>]*>.*?</td>', text)
    shown = f'<a href="{HOME_OF_ZOE}">zoë</a> {escape(HOSTILE)} first</td>'
    assert cells
    assert all(cell.endswith(shown) for cell in cells if len(cell) > EMPTY_CELL)
    assert any(len(cell) > EMPTY_CELL for cell in cells)
    assert "<script>alert" not in text


EMPTY_CELL = len('<td data-f="push"></td>')


@pytest.mark.parametrize("path", ["/self-serve/try/build/12", "/self-serve/try/request/21"])
@twisted_test()
async def test_the_page_of_one_says_whose_push_it_is(serve: Serve, path: str) -> None:
    served = serve(cache_seconds=0)
    unknown = (await served.ask("GET", path)).text
    assert "<dt>Push</dt>" not in unknown
    served.pushes.known = [PUSH]
    text = (await served.ask("GET", path)).text
    shown = f'<a href="{HOME_OF_ZOE}">{PUSH.author}</a> {escape(HOSTILE)} first'
    assert f"<dt>Push</dt><dd>{shown}</dd>" in text


@twisted_test()
async def test_the_farm_wide_page_of_a_revision_says_once_whose_it_is(serve: Serve) -> None:
    served = serve(cache_seconds=0)
    served.pushes.known = [PUSH]
    path = f"/revision/try/{REVISION[:12]}"
    text = (await served.ask("GET", path)).text
    assert text.count(f'">{PUSH.author}</a> {escape(HOSTILE)} first') == 1
    assert text.count(f'href="/self-serve/try/rev/{REVISION}"') == 1
    assert 'data-f="revision"' not in text
    other = a_request(24, revision=REVISION[:12] + "1" * 28)
    served.builds.requests[24] = RequestDetails(other, {}, [])
    text = (await served.ask("GET", path)).text
    assert 'data-f="revision"' in text, "rows of several revisions say which"
    assert 'data-f="branch"' not in text


def test_recent_builds_say_whose_push_they_are() -> None:
    recent = RecentBuild(7, "linux", "linux", 3, NOW, None, None, "w1", "m1")
    index = PushIndex({REVISION: [PUSH]}, lambda stored: stored)
    (known,) = recent_json([recent], {7: RUNNING_BUILD}, lambda stored: stored, index)
    assert (known["author"], known["comments"]) == (PUSH.author, f"{HOSTILE} first")
    (unknown,) = recent_json([recent], {}, lambda stored: stored, index)
    assert not unknown.keys() & {"author", "comments"}


@pytest.mark.parametrize(
    ("words", "matched"), [("zoë@ FIRST", True), ("second", False), ("zoë ann", False)]
)
@pytest.mark.parametrize("path", ["/self-serve/try", "/pending"])
@twisted_test()
async def test_a_list_is_searched_by_author_and_first_line(
    served: Served, path: str, words: str, matched: bool
) -> None:
    served.pushes.known = [PUSH]
    text = (await served.ask("GET", f"{path}?q={quote(words)}")).text
    assert ("No " not in text) is matched
    assert bool(re.search(r'<tr id="(build|request)-[1-9]', text)) is matched


@twisted_test()
async def test_a_list_is_sorted_by_author(served: Served) -> None:
    other = a_request(24, revision="bbcdef123456")
    served.builds.requests[24] = RequestDetails(other, {}, [])
    served.pushes.known = [PUSH, Change(2, "try", "bbcdef123456", "Bea", "fix", NOW)]
    for sort, first in (("push", "request-24"), ("-push", "build-12")):
        text = (await served.ask("GET", f"/self-serve/try?sort={sort}")).text
        assert re.findall(r'<tr id="(\w+-\d+)"', text)[0] == first


JOBS = {
    "a build": {"bid": 12},
    "a request": {"brid": 21},
    "a revision": {"revision": REVISION},
}


@pytest.mark.parametrize("what", JOBS.values(), ids=JOBS)
@twisted_test()
async def test_a_job_says_whose_push_it_is_about(served: Served, what: dict[str, Any]) -> None:
    served.pushes.known = [PUSH]
    job = await served.jobs.add("ann", NOW, "cancel", what, branch="try")
    answer = (await served.ask("GET", f"/self-serve/jobs/{job}", JSON)).json
    assert (answer["author"], answer["comments"]) == (PUSH.author, f"{HOSTILE} first")
    text = (await served.ask("GET", f"/self-serve/jobs/{job}")).text
    assert f'<dt>Push</dt><dd><a href="{HOME_OF_ZOE}">' in text


@pytest.mark.parametrize("what", [{}, {"bid": 999}, {"bid": "12"}, {"revision": None}])
@pytest.mark.parametrize("branch", ["try", "cedar"])
@twisted_test()
async def test_a_job_about_no_known_push_says_nothing_of_one(
    served: Served, what: dict[str, Any], branch: str
) -> None:
    served.pushes.known = [PUSH]
    job = await served.jobs.add("ann", NOW, "cancel", what, branch=branch)
    assert "author" not in (await served.ask("GET", f"/self-serve/jobs/{job}", JSON)).json


@twisted_test()
async def test_a_job_is_shown_where_what_it_is_about_cannot_be_read(served: Served) -> None:
    served.builds.failing.error = database_down()
    job = await served.jobs.add("ann", NOW, "cancel", {"bid": 12}, branch="try")
    answer = await served.ask("GET", f"/self-serve/jobs/{job}", JSON)
    assert (answer.status, "author" in answer.json) == (200, False)
