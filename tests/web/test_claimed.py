"""Requests that a master has claimed, builds that a dead one left: JSON, pages and commands."""

from __future__ import annotations

import re
from typing import Any

import pytest

from buildapi.cli import table_rows
from buildapi.model.records import Build, BuildDetails, RequestDetails, UserBuilds
from buildapi.web.selfserve.serializers import user_json
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Served
from tests.web.farm import BUILD, COMPLETE, NOW, PENDING, a_request
from tests.web.forms import Forms

REV = "/self-serve/try/rev/abcdef123456"
CLAIM: dict[str, Any] = {
    "claimed_at": NOW - 20,
    "claimed_by_name": "bm1.example.org:/builds/m1",
}
STARTING = a_request(31, **CLAIM)
ABANDONED = Build(13, 9, NOW - 9000, None, [COMPLETE])


@pytest.fixture
def starting(served: Served) -> Served:
    """Serve one complete green request with a finished build, and one claimed without a build."""
    served.builds.requests = {
        COMPLETE.id: RequestDetails(COMPLETE, {}, [BUILD.id]),
        STARTING.id: RequestDetails(STARTING, {}, [], starting=True),
    }
    served.builds.builds = {BUILD.id: BuildDetails(BUILD, [{}])}
    return served


@twisted_test()
async def test_a_push_with_a_claimed_request_is_not_done(starting: Served) -> None:
    answer = (await starting.ask("GET", f"{REV}/is_done", JSON)).json
    assert (answer["job_complete"], answer["job_passed"]) == (False, False)
    page = (await starting.ask("GET", REV)).text
    assert "abcdef123456 is not done yet" in page
    assert "1 of 2 ended" in page


@pytest.mark.parametrize("path", ["/self-serve/try", REV])
@twisted_test()
async def test_a_claimed_request_is_a_bare_request_that_names_its_master(
    starting: Served, path: str
) -> None:
    items = (await starting.ask("GET", path, JSON)).json
    (item,) = [i for i in items if "build_id" not in i]
    assert (item["request_id"], item["claimed_at"]) == (31, NOW - 20)
    assert item["claimed_by_name"] == STARTING.claimed_by_name
    assert not item.keys() & {"status", "starttime", "endtime", "requests"}


@pytest.mark.parametrize("path", ["/self-serve/try", REV, "/self-serve/try/request/31"])
@twisted_test()
async def test_pages_name_the_master_that_has_claimed_and_offer_only_a_cancel(
    starting: Served, path: str
) -> None:
    page = (await starting.ask("GET", path, ZOE)).text
    assert "claimed by bm1, starting" in page
    assert 'class="state claimed"' in page
    assert re.search(r'data-go="request/ID"[^>]* data-pending hidden>', page)
    found = Forms(page).found
    (cancel,) = [f for _, a, f in found if a.endswith("/request/31") and "[cancel]" in f]
    assert cancel["_method"] == "DELETE"


@twisted_test()
async def test_a_pending_request_names_nobody(served: Served) -> None:
    items = (await served.ask("GET", "/self-serve/try", JSON)).json
    (item,) = [i for i in items if "build_id" not in i]
    assert (item["request_id"], item["claimed_at"]) == (PENDING.id, 0)
    assert "claimed_by_name" not in item


def test_a_user_sees_what_starts_among_the_pending() -> None:
    unpack = user_json(UserBuilds([], [], [STARTING, PENDING]))["pending"]
    assert [(i["request_id"], i.get("claimed_by_name")) for i in unpack] == [
        (31, STARTING.claimed_by_name),
        (21, None),
    ]


@twisted_test()
async def test_a_build_that_a_dead_master_left_is_abandoned_and_not_running(
    served: Served,
) -> None:
    """The request is complete: the push is done, and the row says that it never ended."""
    served.builds.requests = {COMPLETE.id: RequestDetails(COMPLETE, {}, [])}
    served.builds.builds = {b.id: BuildDetails(b, [{}]) for b in (BUILD, ABANDONED)}
    found = (await served.ask("GET", REV, JSON)).json
    assert {i["build_id"]: i.get("abandoned") for i in found} == {11: None, 13: True}
    done = (await served.ask("GET", f"{REV}/is_done", JSON)).json
    assert (done["job_complete"], done["job_passed"]) == (True, True)
    page = (await served.ask("GET", REV)).text
    assert 'id="build-13" data-kind="build" data-id="13" data-state="abandoned"' in page
    assert "never ended" in page
    assert "2 of 2 ended" in page
    assert 'data-id="11" data-state="success"' in page
    assert 'data-state="running"' not in page.partition("<template")[0]
    thing = (await served.ask("GET", "/self-serve/try/build/13")).text
    assert "never (its master died" in thing


@twisted_test()
async def test_a_revision_page_is_of_one_read(served: Served) -> None:
    """What it lists and whether it is done cannot be of different moments."""
    served.builds.failing.calls.clear()
    await served.ask("GET", f"{REV}?q=x")
    assert [call[0] for call in served.builds.failing.calls] == ["revision"]


def test_the_command_has_words_for_both() -> None:
    waits = {"request_id": 2, "complete": 0, "claimed_at": 5, "claimed_by_name": "m1"}
    left = {"build_id": 1, "endtime": None, "status": 0, "abandoned": True}
    assert (table_rows.state(waits), table_rows.state(left)) == ("claimed", "abandoned")
    assert table_rows.state({**waits, "claimed_at": 0}) == "pending"
    assert table_rows.ended([waits, left]) == 1
    entry = {"id": 2, "buildername": "b", "submitted_at": 50, "claimed_by_name": "m1"}
    document = {"pending": {"try": {"abc": [entry]}}}
    (row,) = table_rows.farm(document, "pending", str, 60)
    assert row[-1] == "10s, claimed by m1, starting"
