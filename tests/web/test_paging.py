"""Parts of lists: a link to the next one until there is none, and the length of the list."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.web.http.paging import ListPart
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import a_request
from tests.web.jobcases import BUILD

JOBS = "/self-serve/jobs"
LINK = re.compile(r'<([^<>\s]+)>; rel="next"')


@given(st.integers(0, 20), st.none() | st.integers(0, 25), st.integers(0, 25))
def test_a_part_says_what_it_knows(length: int, limit: int | None, offset: int) -> None:
    end = length if limit is None else offset + limit
    part = ListPart(limit, offset, len(range(length)[offset:end]))
    assert part.total in (None, length)
    if end < length and limit != 0:
        assert part.may_go_on
    if part.may_go_on:
        assert part.shown
        assert part.total is None
    elif part.shown:
        assert part.total == length


async def follow(served: Served, path: str) -> tuple[list[Any], str | None]:
    """Return all parts of a list by their links, and the total that the last one names."""
    found, seen = [], 0
    while True:
        answer = await served.ask("GET", path, JSON)
        assert answer.status == 200
        found.append(answer.json)
        link = LINK.fullmatch(answer.headers.get("link", ""))
        if link is None:
            assert "link" not in answer.headers
            return found, answer.headers.get("x-total-count")
        assert "x-total-count" not in answer.headers
        path, seen = link[1], seen + 1
        assert seen < 20


@pytest.mark.parametrize("prefix", ["", "/buildapi"])
@twisted_test()
async def test_all_job_requests_are_found_by_links(serve: Serve, prefix: str) -> None:
    served = serve(prefix="/buildapi")
    for _ in range(5):
        assert (await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)).status == 202
    query = "num=2&who=zo%C3%AB%40example.org&state=queued"
    parts, total = await follow(served, f"{prefix}{JOBS}?{query}")
    assert [[job["id"] for job in part] for part in parts] == [[5, 4], [3, 2], [1]]
    assert total == "5"
    parts, total = await follow(served, f"{prefix}{JOBS}?num=5")
    assert [len(part) for part in parts] == [5, 0], "the last part was full"
    assert total is None
    answer = await served.ask("GET", f"{prefix}{JOBS}?{query}", JSON)
    assert answer.headers["link"].startswith(f"<{prefix}{JOBS}?num=2&who=zo%C3%AB%40example.org&")
    again = await served.ask("GET", f"{prefix}{JOBS}?{query}", JSON)
    assert again.headers["link"] == answer.headers["link"]
    for odd in ("offset=9", "num=0"):
        past = await served.ask("GET", f"{prefix}{JOBS}?{odd}", JSON)
        assert not {"link", "x-total-count"} & past.headers.keys()


@twisted_test()
async def test_all_pending_requests_are_found_by_links(served: Served) -> None:
    for number in range(31, 34):
        details = served.builds.requests[21]
        served.builds.requests[number] = type(details)(
            a_request(number), details.properties, details.build_ids
        )
    whole = await served.ask("GET", "/pending", JSON)
    parts, total = await follow(served, "/pending?limit=3&branch=try")
    assert len(parts) == 2
    assert total == whole.headers["x-total-count"] == "4"
    ids = [entry["id"] for part in parts for entry in _entries(part["pending"])]
    assert sorted(ids) == sorted(entry["id"] for entry in _entries(whole.json["pending"]))


def _entries(found: Any) -> list[Any]:
    """Return the items of the answer, by branch and revision."""
    return [one for revisions in found.values() for some in revisions.values() for one in some]


@twisted_test()
async def test_pages_for_people_have_no_such_headers(served: Served) -> None:
    for path in (JOBS, "/pending?limit=1", "/running?limit=1"):
        page = await served.ask("GET", path)
        assert page.status == 200
        assert not {"link", "x-total-count"} & page.headers.keys()
