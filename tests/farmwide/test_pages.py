"""The pages about the whole farm: paths, parameters, formats, errors and the JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from msgspec.structs import replace

from buildapi.errors import BadRequest, DatabaseUnavailable
from buildapi.jobs.farm_views import waiting_entries
from buildapi.model.farm_rows import Portion
from tests.farmwide.doubles import DONE, ENTRY, NOW, REVISION, RUNNING, UNCLAIMED, WAITING, a_site
from tests.farmwide.doubles import RECENT as RECENT_BUILD
from tests.farmwide.serving import JSON
from tests.reactor import twisted_test

HTML = {"Accept": "text/html"}
WORKERS = ("recorded running builds", 5000)
ALL: tuple[list[str], list[str]] = ([], [])
START, MOBILE_START = 1_274_972_998, 1_277_417_599
MIDNIGHT = 1_699_920_000

PENDING = {
    "pending": {
        "cedar": {REVISION: [{"id": 21, "buildername": "linux", "submitted_at": NOW - 500}]}
    }
}
RUNNING_ENTRY = {
    "id": 12,
    "request_ids": [22, 23],
    "revision": None,
    "buildername": "linux",
    "claimed_by_name": "m1",
    "number": 7,
    "start_time": NOW - 300,
    "submitted_at": NOW - 400,
    "last_heartbeat": NOW - 10,
    "worker": "slave1",
}
OF_REVISION = {
    "id": 22,
    "buildsetid": 5,
    "buildername": "linux",
    "submitted_at": NOW - 400,
    "claimed_at": NOW - 10,
    "claimed_by_name": "m1",
    "start_time": NOW - 300,
    "finish_time": None,
    "number": 7,
    "results": None,
}
RECENT = {
    "id": 81,
    "buildname": "linux-build",
    "buildername": "linux",
    "buildnumber": 7,
    "starttime": NOW - 300,
    "endtime": None,
    "result": None,
    "slavename": "slave1",
    "master": "m1",
}


@pytest.mark.parametrize("path", ["/pending", "/pending/cedar", "/pending/cedar/linux"])
@twisted_test()
async def test_pending_requests_by_branch_and_revision(path: str) -> None:
    async with a_site() as site:
        assert json.loads((await site.get(path)).body) == PENDING


@pytest.mark.parametrize("path", ["/running", "/running/try", "/running/try/linux"])
@twisted_test()
async def test_running_builds_by_branch_and_revision(path: str) -> None:
    async with a_site() as site:
        expected = {"running": {"try": {"Unknown": [RUNNING_ENTRY]}}}
        assert json.loads((await site.get(path)).body) == expected


@twisted_test()
async def test_all_of_a_revision_and_each_of_its_pending_requests_once() -> None:
    async with a_site(revision=[ENTRY, UNCLAIMED, replace(UNCLAIMED, number=5)]) as site:
        given = json.loads((await site.get(f"/revision/try/{REVISION}")).body)
    entries = given["all"]["try"][REVISION]
    assert entries[-1] == OF_REVISION
    assert [(e["id"], e["number"], e["claimed_by_name"]) for e in entries[:-1]] == [
        (24, 6, None),
        (24, 5, None),
    ]
    assert given["pending"] == {
        "try": {REVISION: [{"id": 24, "buildername": "linux", "submitted_at": NOW - 400}]}
    }
    assert (given["branch"], given["revision"]) == ("try", REVISION)


@twisted_test()
async def test_what_a_master_has_claimed_waits_and_names_it() -> None:
    """Until its build is there: in JSON by ``claimed_by_name``, on the page in words."""
    claimed = replace(WAITING, id=25, claimed_by_name="bm1.example.org:/builds/m1")
    async with a_site(pending=[WAITING, claimed]) as site:
        given = json.loads((await site.get("/pending")).body)["pending"]["cedar"][REVISION]
        page = (await site.get("/pending", {})).body.decode()
    assert [(e["id"], e.get("claimed_by_name")) for e in given] == [
        (25, "bm1.example.org:/builds/m1"),
        (21, None),
    ]
    assert "claimed by bm1, starting" in page
    assert 'data-states="pending claimed"' in page


@twisted_test()
async def test_all_of_a_revision_says_who_starts_and_what_was_abandoned() -> None:
    starting = replace(ENTRY, id=31, number=None, start_time=None)
    left = replace(ENTRY, id=32, complete=True, results=0)
    async with a_site(revision=[ENTRY, starting, left]) as site:
        given = json.loads((await site.get("/revision/try/abcdef123456")).body)
        page = (await site.get("/revision/try/abcdef123456", {})).body.decode()
    assert given["pending"]["try"][REVISION] == [
        {"id": 31, "buildername": "linux", "submitted_at": NOW - 400, "claimed_by_name": "m1"}
    ]
    states = [state in page for state in ("state running", "state claimed", "state abandoned")]
    assert states == [True, True, True]


@twisted_test()
async def test_a_completed_request_that_was_never_claimed_is_not_pending() -> None:
    async with a_site(revision=[replace(UNCLAIMED, complete=True)]) as site:
        given = json.loads((await site.get(f"/revision/try/{REVISION}")).body)
    assert given["pending"] == {}
    assert given["all"]["try"]


@twisted_test()
async def test_a_revision_nobody_knows_is_empty_and_asked_for_again() -> None:
    async with a_site(revision=[]) as site:
        expected = {"all": {}, "pending": {}, "branch": "try", "revision": "ffff"}
        for _ in range(2):
            answer = await site.get("/revision/try/ffff")
            assert (answer.status, json.loads(answer.body)) == (200, expected)
        assert len(site.reads.calls) == 2


@pytest.mark.parametrize("recent", [(), (attrs.evolve(RECENT_BUILD, starttime=NOW - 9),)])
@twisted_test()
async def test_a_running_build_that_is_not_recorded_has_no_worker(recent: Any) -> None:
    async with a_site(recent=recent) as site:
        (entry,) = json.loads((await site.get("/running")).body)["running"]["try"]["Unknown"]
        assert entry == {name: RUNNING_ENTRY[name] for name in RUNNING_ENTRY if name != "worker"}


@twisted_test()
async def test_running_builds_are_listed_while_the_status_database_is_away() -> None:
    async with a_site() as site:
        site.reads.errors = {"recorded running builds": DatabaseUnavailable("down")}
        for headers in (JSON, HTML):
            answer = await site.get("/running", headers)
            assert answer.status == 200
            assert b"slave1" not in answer.body


@twisted_test()
async def test_the_page_of_running_builds_links_their_workers() -> None:
    async with a_site() as site:
        page = (await site.get("/running", HTML)).body.decode()
        assert '<td data-f="worker"><a href="/recent/slave1?greedy=false">slave1</a></td>' in page
        assert "slave1" in (await site.get("/running?q=slave1", HTML)).body.decode()


BUILT = attrs.evolve(RECENT_BUILD, id=80, endtime=NOW - 50, result=0, request_ids=(20,))


@twisted_test()
async def test_recent_builds_have_their_pages_where_their_requests_are_known() -> None:
    async with a_site(recent=[BUILT, RECENT_BUILD], revision=[DONE]) as site:
        running, built = json.loads((await site.get("/recent")).body)
        page = (await site.get("/recent", HTML)).body.decode()
    assert "build_id" not in running
    assert (built["build_id"], built["branch"]) == (1000, "try")
    assert '<a href="/self-serve/try/build/1000">linux</a>' in page


@twisted_test()
async def test_the_page_of_a_worker_shows_its_results_and_what_it_runs() -> None:
    failed = attrs.evolve(BUILT, id=79, result=2, request_ids=())
    retried = attrs.evolve(failed, id=78, result=5)
    async with a_site(recent=[retried, failed, BUILT, RECENT_BUILD], revision=[DONE]) as site:
        page = (await site.get("/recent/slave1", HTML)).body.decode()
        assert "<h1>Worker slave1</h1>" in page
        assert "1 of the last 2 builds failed (50 %), 1 retry beside them." in page
        assert "Runs linux for <span" in page
        assert page.count('<li><span class="job') == 2
        assert '<a class="job success" href="/self-serve/try/build/1000"' in page
        assert '<th scope="col" data-f="slave"' not in page


@twisted_test()
async def test_the_page_of_a_worker_does_without_what_cannot_be_read() -> None:
    async with a_site(recent=[BUILT], revision=[DONE]) as site:
        site.reads.errors = {"current": DatabaseUnavailable("down")}
        page = (await site.get("/recent/slave1", HTML)).body.decode()
        assert "No running build" not in page
        assert "0 of the last 1 build failed (0 %)" in page


@twisted_test()
async def test_the_beginning_of_several_names_is_no_worker() -> None:
    other = attrs.evolve(BUILT, slavename="slave12")
    async with a_site(recent=[other, attrs.evolve(BUILT, id=70)]) as site:
        page = (await site.get("/recent/slave1", HTML)).body.decode()
        assert "<h1>Recent builds on slave1</h1>" in page
        assert '<th scope="col" data-f="slave"' in page


@pytest.mark.parametrize(
    "path", ["/pending", "/running", f"/revision/try/{REVISION}", "/recent", "/pushes"]
)
@twisted_test()
async def test_the_same_read_again_is_answered_from_memory(path: str) -> None:
    async with a_site() as site:
        first = await site.get(path)
        reads = list(site.reads.calls)
        second = await site.get(path)
        assert first.body == second.body
        assert len(reads) == 1 + (path == "/running")  # which has another of the workers
        assert site.reads.calls == reads


@pytest.mark.parametrize(
    ("path", "results"), [("/recent", [None, 0]), ("/recent/slave1", [0]), ("/recent/slave2", [])]
)
@twisted_test()
async def test_recent_builds_are_a_flat_list(path: str, results: Sequence[int | None]) -> None:
    """Of a slave those that ended."""
    ended = attrs.evolve(RECENT_BUILD, id=80, result=0)
    async with a_site(recent=[ended, RECENT_BUILD]) as site:
        given = json.loads((await site.get(path)).body)
    ids = {None: 81, 0: 80}
    assert given == [RECENT | {"id": ids[r], "result": r} for r in results]


def of(author: str, count: int) -> list[tuple[str, str, int]]:
    return [("try", author, NOW - 9)] * count


@twisted_test()
async def test_pushes_are_counted_by_author_with_a_sum() -> None:
    async with a_site(pushes=of("zoe", 2) + of("TOTAL", 4)) as site:
        assert json.loads((await site.get("/pushes")).body) == {"zoe": 2, "TOTAL": 6}


@twisted_test()
async def test_branches_and_revisions_are_sorted_and_lists_keep_their_order() -> None:
    found = [
        replace(WAITING, id=4, branch="try", revision="b"),
        replace(WAITING, id=3, branch="try", revision="a"),
        replace(WAITING, id=2, branch="projects/cedar", revision="a"),
        replace(WAITING, id=1, branch="try", revision="b"),
    ]
    async with a_site(pending=found) as site:
        given = json.loads((await site.get("/pending")).body)["pending"]
    assert [(branch, list(revs)) for branch, revs in given.items()] == [
        ("cedar", ["a"]),
        ("try", ["a", "b"]),
    ]
    assert [entry["id"] for entry in given["try"]["b"]] == [4, 1]


@twisted_test()
async def test_what_has_no_branch_or_revision_is_unknown() -> None:
    found = [
        replace(WAITING, id=id_, branch=branch, revision=revision)
        for id_, (branch, revision) in enumerate([(None, None), ("", ""), ("users/x", "r")])
    ]
    async with a_site(pending=found) as site:
        given = json.loads((await site.get("/pending")).body)["pending"]
    assert list(given) == ["Unknown"]
    assert {rev: len(entries) for rev, entries in given["Unknown"].items()} == {
        "Unknown": 2,
        "r": 1,
    }


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/pending", ("pending", ALL, Portion())),
        ("/pending/try", ("pending", (["try"], []), Portion())),
        ("/pending/try?branch=cedar", ("pending", (["try"], []), Portion())),
        ("/pending?branch=try&branch=ce", ("pending", (["try"], ["ce"]), Portion())),
        ("/pending?branch=", ("pending", ([], [""]), Portion())),
        ("/pending/projects%2Fcedar", ("pending", ([], ["projects/cedar"]), Portion())),
        ("/pending?limit=5&offset=2", ("pending", ALL, Portion(5, 2))),
        ("/pending?limit=&offset=", ("pending", ALL, Portion())),
        ("/running/x%25y/linux", ("running", ([], ["x%y"]), Portion())),
        ("/running?branch=try&limit=1", ("running", (["try"], []), Portion(1))),
        ("/revision/try/ab%25", ("revision", (["try"], []), "ab%")),
        ("/recent", ("recent", (), True, 25)),
        ("/recent?numbuilds=0", ("recent", (), True, 0)),
        ("/recent?numbuilds=", ("recent", (), True, 25)),
        ("/recent?numbuilds=1000", ("recent", (), True, 1000)),
        ("/recent?numbuilds=99999", ("recent", (), True, 1000)),
        ("/recent/a", ("recent", ("a",), True, 25)),
        ("/recent/a?slave=b&slave=c&slave=b", ("recent", ("b", "c"), True, 25)),
        ("/recent/a?slave=", ("recent", ("a",), True, 25)),
        ("/recent/a?greedy=", ("recent", ("a",), False, 25)),
        ("/recent/a?greedy=false", ("recent", ("a",), False, 25)),
        ("/recent/a?greedy=False", ("recent", ("a",), False, 25)),
        ("/recent/a?greedy=0", ("recent", ("a",), True, 25)),
        ("/pushes", ("pushes", ALL, START, None)),
        ("/pushes?fromtime=-5", ("pushes", ALL, START, None)),
        ("/pushes?fromtime=&totime=", ("pushes", ALL, START, None)),
        ("/pushes?branch=try", ("pushes", ALL, START, None)),
        ("/pushes/mobile-x", ("pushes", ([], ["mobile-x"]), MOBILE_START, None)),
        ("/pushes/try/1600000000", ("pushes", (["try"], []), 1_600_000_000, None)),
        ("/pushes/try/1600000000/7", ("pushes", (["try"], []), 1_600_000_000, 7)),
        ("/pushes/try/1600000000?fromtime=x", ("pushes", (["try"], []), 1_600_000_000, None)),
        ("/pushes?fromtime=today", ("pushes", ALL, MIDNIGHT, None)),
        ("/pushes?totime=" + "9" * 30, ("pushes", ALL, START, 2**53)),
    ],
)
@twisted_test()
async def test_what_a_path_asks_for(path: str, call: tuple[Any, ...]) -> None:
    async with a_site() as site:
        assert (await site.get(path)).status == 200
        assert [made for made in site.reads.calls if made != WORKERS] == [call]


@twisted_test()
async def test_today_begins_at_the_farms_midnight() -> None:
    async with a_site(zone="US/Pacific") as site:
        await site.get("/pushes/try/today")
        assert site.reads.calls == [("pushes", (["try"], []), MIDNIGHT + 8 * 3600, None)]


@pytest.mark.parametrize(
    ("query", "msg"),
    [
        ("/pending?limit=0", "Bad limit: '0'; allowed are whole numbers from 1 to 50000"),
        ("/pending?limit=50001", "Bad limit: '50001'; allowed are whole numbers from 1 to 50000"),
        ("/running?limit=x", "Bad limit: 'x'; allowed are whole numbers from 1 to 50000"),
        ("/running?offset=-1", "Bad offset: '-1'; allowed are whole numbers from 0 to 10000000"),
        ("/pending?limit=1&limit=2", "Parameter limit is given 2 times (max 1)"),
        ("/pending?" + "branch=x&" * 21, "Parameter branch is given 21 times (max 20)"),
        ("/recent?numbuilds=abc", "Bad numbuilds: 'abc'; allowed are whole numbers from 0"),
        ("/recent?numbuilds=-1", "Bad numbuilds: '-1'; allowed are whole numbers from 0"),
        ("/recent?numbuilds=1&numbuilds=1", "Parameter numbuilds is given 2 times"),
        ("/recent?greedy=1&greedy=0", "Parameter greedy is given 2 times"),
        ("/recent?" + "slave=x&" * 21, "Parameter slave is given 21 times (max 20)"),
        ("/pushes?fromtime=abc", "Bad fromtime: 'abc'; allowed are seconds since the epoch and to"),
        ("/pushes/try/1.5", "Bad fromtime: '1.5'; allowed are seconds since the epoch and today"),
        ("/pushes/try/1/x", "Bad totime: 'x'; allowed are seconds since the epoch"),
        ("/pushes?totime=today", "Bad totime: 'today'; allowed are seconds since the epoch"),
        ("/pushes?fromtime=1&fromtime=2", "Parameter fromtime is given 2 times"),
        ("/pushes?fromtime=" + "9" * 31, "Bad fromtime: '999"),
        ("/pushes?format=chart", "Unsupported format: chart; allowed are html, json"),
        ("/recent?format=json&format=json", "Parameter format is given 2 times"),
    ],
)
@twisted_test()
async def test_what_cannot_be_read_is_refused_with_what_is_allowed(query: str, msg: str) -> None:
    async with a_site() as site:
        answer = await site.get(query)
        assert answer.status == 400
        assert json.loads(answer.body)["msg"].startswith(msg)
        assert site.reads.calls == []


@pytest.mark.parametrize(
    ("query", "headers", "kind"),
    [
        ("", {}, "text/html"),
        ("?format=html", JSON, "text/html"),
        ("?format=json", {}, "application/json"),
        ("?format=", JSON, "application/json"),
        ("", JSON, "application/json"),
    ],
)
@pytest.mark.parametrize(
    "path", ["/pending", "/running", f"/revision/try/{REVISION}", "/recent", "/pushes"]
)
@twisted_test()
async def test_every_page_is_there_in_both_formats(
    path: str, query: str, headers: dict[str, str], kind: str
) -> None:
    async with a_site() as site:
        answer = await site.get(path + query, headers)
        assert (answer.status, answer.media_type) == (200, kind)


@twisted_test()
async def test_stored_texts_are_escaped_on_pages() -> None:
    hostile = "<script>alert('x')</script>"
    async with a_site(running=[replace(RUNNING, buildername=hostile)]) as site:
        body = (await site.get("/running", {})).body.decode()
    assert "alert" in body
    assert "<script>alert" not in body


@pytest.mark.parametrize(
    "path", ["/revision", "/revision/try", "/pending/a/b/c", "/pushes/a/1/2/3"]
)
@twisted_test()
async def test_other_paths_are_not_there(path: str) -> None:
    async with a_site() as site:
        assert (await site.get(path)).status == 404


@pytest.mark.parametrize("path", ["/pending", "/running/try", "/revision/try/ab", "/pushes/try"])
@twisted_test()
async def test_without_known_branches_it_is_to_be_asked_again_later(path: str) -> None:
    async with a_site() as site:
        site.directory.missing = "the branches were never read"
        answer = await site.get(path)
        assert (answer.status, json.loads(answer.body)["msg"]) == (503, site.directory.missing)


@pytest.mark.parametrize("path", ["/pending", "/running", "/revision/try/ab", "/recent", "/pushes"])
@pytest.mark.parametrize("error", [BadRequest("too many"), DatabaseUnavailable("away")])
@twisted_test()
async def test_what_a_database_refuses_is_said_with_its_status(
    path: str, error: BadRequest | DatabaseUnavailable
) -> None:
    async with a_site() as site:
        site.reads.error = error
        answer = await site.get(path)
        assert (answer.status, json.loads(answer.body)["msg"]) == (error.status, error.msg)


def test_an_open_request_waits_until_a_build_of_its_claim_has_begun() -> None:
    """A request that a master has claimed and whose build has no row yet is known here, too."""
    starting = replace(ENTRY, id=31, number=None, start_time=None)
    again = replace(ENTRY, id=32, claimed_at=NOW - 10, finish_time=NOW - 200)
    null = replace(starting, id=33, claimed_at=0, claimed_by_name=None)
    found = waiting_entries([ENTRY, starting, again, again, null])
    assert [(e.id, e.claimed_by_name) for e in found] == [(31, "m1"), (32, "m1"), (33, None)]
