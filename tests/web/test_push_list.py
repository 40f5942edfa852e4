"""Lists of pushes, as JSON and as pages: of a branch, of all branches, of an author."""

from __future__ import annotations

import re
from html import escape
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from buildapi.model.pushes import Change
from buildapi.model.records import BuildDetails, RequestDetails
from buildapi.web.selfserve.shadowed_branches import ShadowedBranches
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import Serve, Served
from tests.web.farm import BUILD, HOSTILE, NOW, a_request, database_down
from tests.web.test_ready_answers import GZIP, count, raw

ANN, BEA = "ann@example.org", "bea@example.org"
REVISION = "abcdef123456" + "0" * 28
OLDER, OTHER = "b" * 40, "c" * 40
BRANCH = "/self-serve/try/pushes"
LISTS = (BRANCH, "/self-serve/pushes", f"/self-serve/user/{ANN}")
CHANGES = [
    Change(1, "try", REVISION, ANN, "fix it\n\nreally", NOW - 5100, "https://hg.example.org/1"),
    Change(2, "try", REVISION, "sendchange", "", NOW - 5000),
    Change(3, "try", OLDER, BEA, "older", NOW - 9000),
    Change(4, "a/b", OTHER, ANN, "elsewhere", NOW - 100),
]


@pytest.fixture
def farm(served: Served) -> Served:
    """Return a site with three pushes: of two on try, one has three jobs and the other none."""
    served.pushes.known = CHANGES
    return served


async def listed(served: Served, path: str) -> Any:
    answer = await served.ask("GET", path, JSON)
    assert answer.status == 200, answer.text
    return answer.json


async def revisions(served: Served, path: str) -> list[str]:
    return [push["revision"] for push in (await listed(served, path))["pushes"]]


@twisted_test()
async def test_a_push_is_told_with_its_jobs_and_their_summary(farm: Served) -> None:
    found = await listed(farm, BRANCH)
    assert found["next"] is None
    push, older = found["pushes"]
    jobs = push.pop("jobs")
    assert push == {
        "branch": "try",
        "revision": REVISION,
        "author": ANN,
        "comments": "fix it",
        "when": NOW - 5100,
        "changes": 2,
        "revlink": "https://hg.example.org/1",
        "pushed_with": [],
        "counts": {"pending": 1, "running": 1, "success": 1},
        "job_complete": False,
        "job_passed": False,
        "started": NOW - 3900,
        "ended": None,
        "expected_seconds": 2900,
    }
    assert (older["revision"], older["jobs"], older["counts"]) == (OLDER, [], {})
    assert [(j["build_id"], j["request_id"], j["state"]) for j in jobs] == [
        (12, 22, "running"),
        (11, 23, "success"),
        (None, 21, "pending"),
    ]
    assert jobs[0] == {
        "build_id": 12,
        "request_id": 22,
        "requests": [22],
        "buildername": "Linux try build",
        "state": "running",
        "platform": "linux32",
        "kind": "opt build",
        "symbol": "B",
        "submittime": NOW - 5000,
        "starttime": NOW - 3900,
        "endtime": None,
        "priority": 0,
        "claimed_by_name": "m1",
    }


@twisted_test()
async def test_pushes_of_all_branches_and_of_an_author_are_listed(farm: Served) -> None:
    assert await revisions(farm, "/self-serve/pushes") == [OTHER, REVISION, OLDER]
    assert await revisions(farm, f"/self-serve/user/{quote(ANN)}") == [OTHER, REVISION]
    assert await revisions(farm, f"/self-serve/user/{quote(HOSTILE, safe='')}") == []
    assert await revisions(farm, "/self-serve/a%2Fb/pushes") == [OTHER]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"author={ANN}", [REVISION]),
        (f"author={BEA}", [OLDER]),
        ("author=", [REVISION, OLDER]),
        ("state=success", [REVISION]),
        ("state=failure", []),
        ("builder=TRY+build", [REVISION]),
        ("builder=talos", []),
        ("unfinished=1", [REVISION]),
        ("unfinished=0", [REVISION, OLDER]),
        ("failures=1", []),
        (f"since={NOW - 8000}", [REVISION]),
        (f"until={NOW - 8000}", [OLDER]),
        (f"revision={REVISION}", [REVISION]),
        (f"revision={REVISION[:12]}", [REVISION]),
        (f"revision={OLDER}", [OLDER]),
        (f"revision={REVISION[:11]}", []),
        (f"revision={REVISION[:12]}&failures=1", []),
    ],
)
@twisted_test()
async def test_pushes_are_selected(farm: Served, query: str, expected: list[str]) -> None:
    assert await revisions(farm, f"{BRANCH}?{query}") == expected


@twisted_test()
async def test_only_selected_jobs_are_listed_and_all_are_counted(farm: Served) -> None:
    [push] = (await listed(farm, f"{BRANCH}?state=success"))["pushes"]
    assert [job["state"] for job in push["jobs"]] == ["success"]
    assert push["counts"] == {"pending": 1, "running": 1, "success": 1}
    for push in (await listed(farm, f"{BRANCH}?jobs=0"))["pushes"]:
        assert "jobs" not in push


@twisted_test()
async def test_revisions_that_were_pushed_together_are_one_push(farm: Served) -> None:
    together = [replace(CHANGES[0], id=n, revision=f"{n:040}", comments=f"{n}") for n in (7, 8)]
    another = replace(together[0], id=9, revision="9" * 40, author=BEA)
    farm.pushes.known = [*CHANGES, *together, another]
    assert await revisions(farm, BRANCH) == [REVISION, "9" * 40, OLDER]
    pushes = (await listed(farm, BRANCH))["pushes"]
    others = [{"revision": f"{n:040}", "comments": f"{n}"} for n in (8, 7)]
    assert [push["pushed_with"] for push in pushes] == [others, [], []]
    for revision in (REVISION, f"{7:040}"):
        [push] = (await listed(farm, f"{BRANCH}?revision={revision}"))["pushes"]
        assert (push["revision"], push["pushed_with"]) == (REVISION, others)
    page = (await farm.ask("GET", BRANCH)).text
    assert "<summary>and 2 more revisions</summary>" in page
    assert f'<a class="mono" href="/self-serve/try/rev/{8:040}">000000000000</a> 8' in page


@twisted_test()
async def test_a_part_of_a_list_ends_with_a_second(farm: Served) -> None:
    """Or revisions that were pushed together would be torn apart."""
    farm.pushes.known = [
        Change(n, "try", f"{n:040}", ANN if n < 20 else BEA, "", NOW - n // 10)
        for n in range(10, 40)
    ]
    found: list[str] = []
    following: str | None = f"{BRANCH}?limit=1"
    while following is not None:
        part = await listed(farm, following)
        found += [push["revision"] for push in part["pushes"]]
        assert [len(push["pushed_with"]) for push in part["pushes"]] == [9]
        following = part["next"]
    assert found == [f"{n:040}" for n in (19, 29, 39)]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("form", ["json", "html"])
@twisted_test()
async def test_parts_of_a_list_follow_each_other(farm: Served, path: str, form: str) -> None:
    whole = await revisions(farm, path)
    found: list[str] = []
    following: str | None = f"{path}?limit=1"
    while following is not None:
        part = await listed(farm, following)
        found += [push["revision"] for push in part["pushes"]]
        following = part["next"]
        assert len(found) <= len(whole)
    assert found == whole
    answer = await farm.ask("GET", f"{path}?limit=1&format={form}")
    if form == "json":
        assert answer.headers["link"] == f'<{answer.json["next"]}>; rel="next"'
        assert "format=json" in answer.json["next"]
    else:
        assert 'rel="next" href="?limit=1&amp;format=html&amp;after=' in answer.text


@twisted_test()
async def test_a_selection_that_finds_nothing_goes_on_after_so_many_pushes(serve: Serve) -> None:
    served = serve()
    served.pushes.known = [Change(n, "try", f"{n:040}", ANN, "", NOW - n) for n in range(1, 202)]
    part = await listed(served, f"{BRANCH}?failures=1")
    assert part["pushes"] == []
    assert part["next"] == f"{BRANCH}?failures=1&after={NOW - 200}-{200:040}"
    assert await listed(served, part["next"]) == {"pushes": [], "next": None}
    page = (await served.ask("GET", f"{BRANCH}?failures=1")).text
    assert "No pushes on try match so far." in page


@pytest.mark.parametrize(
    ("query", "msg"),
    [
        ("limit=0", "Bad limit: '0'; allowed are whole numbers from 1 to 50"),
        ("limit=51", "Bad limit: '51'; allowed are whole numbers from 1 to 50"),
        ("after=x", "Bad after: 'x'; allowed are TIME-REVISION"),
        ("after=12345678901-a", "Bad after: "),
        ("state=red", "Bad state: 'red'; allowed are pending, claimed, running, success"),
        ("unfinished=yes", "Bad unfinished: allowed are 1 and 0"),
        ("jobs=2", "Bad jobs: allowed are 1 and 0"),
        ("since=never", "Bad since: 'never'; allowed are YYYY-MM-DD"),
        ("show=none", "Bad show: 'none'; allowed are all"),
        ("author=" + "a" * 256, "Bad author: allowed are 1 to 255 printable characters"),
        ("limit=1&limit=2", "Parameter limit is given 2 times (max 1)"),
    ],
)
@pytest.mark.parametrize("path", ["/self-serve/try/pushes", "/self-serve/pushes"])
@twisted_test()
async def test_bad_parameters_are_refused(farm: Served, path: str, query: str, msg: str) -> None:
    answer = await farm.ask("GET", f"{path}?{query}", JSON)
    assert answer.status == 400
    assert msg in answer.json["msg"]


@twisted_test()
async def test_an_unknown_branch_is_not_found(farm: Served) -> None:
    answer = await farm.ask("GET", "/self-serve/nope/pushes", JSON)
    assert (answer.status, answer.json["msg"]) == (404, "Branch nope not found")


@pytest.mark.parametrize("path", LISTS)
@twisted_test()
async def test_a_database_that_is_down_is_503(farm: Served, path: str) -> None:
    farm.builds.failing.error = database_down()
    assert (await farm.ask("GET", path, JSON)).status == 503


@twisted_test()
async def test_answers_are_kept_by_all_parameters_until_a_job_of_the_branch_ends(
    farm: Served,
) -> None:
    first = await listed(farm, BRANCH)
    farm.pushes.known = []
    assert await listed(farm, BRANCH) == first
    assert (await farm.ask("GET", f"{BRANCH}?state=retry", JSON)).json["pushes"] == []
    assert await revisions(farm, f"{BRANCH}?limit=1") == []
    farm.live.refresh("try", REVISION)
    assert await revisions(farm, BRANCH) == []


@pytest.mark.parametrize("query", ["", f"?revision={REVISION}"])
@pytest.mark.parametrize("path", ["/self-serve/try/pushes", "/self-serve/pushes"])
@twisted_test()
async def test_the_end_of_a_job_is_seen_at_once(farm: Served, path: str, query: str) -> None:
    assert REVISION in await revisions(farm, path + query)
    farm.pushes.known = []
    farm.live.refresh("try", REVISION)
    assert await revisions(farm, path + query) == []


@twisted_test()
async def test_a_page_is_kept_for_all_users_and_names_each(farm: Served) -> None:
    for who in ("zoe", "yan"):
        page = (await farm.ask("GET", BRANCH, {"X-Remote-User": who})).text
        assert f"who={who}" in page
    reads = [call for call in farm.builds.failing.calls if call[0] == "work"]
    assert len(reads) == 1


@pytest.mark.parametrize("headers", [JSON, GZIP, {}], ids=["json", "gzip", "page"])
@pytest.mark.parametrize("path", [*LISTS, f"{BRANCH}?limit=1&state=running"])
@twisted_test()
async def test_an_answer_that_is_ready_is_that_of_the_long_way(
    farm: Served, path: str, headers: dict[str, str]
) -> None:
    long = await raw(farm, "GET", path, headers)
    assert long.startswith(b"HTTP/1.1 200 ")
    before = count(farm)
    assert await raw(farm, "GET", path, headers) == long
    assert count(farm) == before + 1
    for link in re.findall(rb"\r\n(?i:link): <([^>]*)>", long):
        assert (await listed(farm, link.decode()))["pushes"] == []


def many(served: Served, count: int) -> None:
    """Add builds that passed to the push."""
    for n in range(100, 100 + count):
        request = a_request(n, claimed_at=NOW - 4000, complete=True, results=0)
        request = replace(request, buildername=f"linux try opt test mochitest-{n}")
        served.builds.requests[n] = RequestDetails(request, {}, [])
        build = replace(BUILD, id=n, requests=[request])
        served.builds.builds[n] = BuildDetails(build, [{}])


@twisted_test()
async def test_a_page_folds_large_groups_unless_all_is_to_be_shown(farm: Served) -> None:
    many(farm, 13)
    page = (await farm.ask("GET", BRANCH)).text
    link = f'href="/self-serve/try/rev/{REVISION}?state=success" title="13 more: success">+13</a>'
    assert link in page
    assert 'data-job="build-100"' not in page
    assert 'data-job="build-12"' in page
    page = (await farm.ask("GET", f"{BRANCH}?show=all")).text
    assert "+13" not in page
    assert 'data-job="build-100"' in page


@twisted_test()
async def test_an_empty_list_says_so(served: Served) -> None:
    assert "No pushes on try." in (await served.ask("GET", BRANCH)).text
    assert "No pushes on try match." in (await served.ask("GET", f"{BRANCH}?state=retry")).text
    assert "No pushes." in (await served.ask("GET", "/self-serve/pushes")).text
    page = (await served.ask("GET", f"/self-serve/user/{quote(HOSTILE, safe='')}")).text
    assert f"No pushes by {escape(HOSTILE)}." in page.replace("&#34;", "&quot;").replace(
        "&#39;", "&#x27;"
    )
    assert HOSTILE not in page


@twisted_test()
async def test_the_form_has_what_was_asked_for(farm: Served) -> None:
    asked = f"author={ANN}&builder=x%22y&state=success&failures=1&limit=7&since=2020-01-01"
    page = (await farm.ask("GET", f"{BRANCH}?{asked}")).text
    assert f'name="author" value="{ANN}"' in page
    assert 'name="builder" value="x&#34;y"' in page
    assert '<option value="success" selected>' in page
    assert 'name="failures" value="1" checked' in page
    assert 'name="unfinished" value="1">' in page
    assert '<input type="hidden" name="limit" value="7">' in page
    assert '<input type="hidden" name="since" value="2020-01-01">' in page


@twisted_test()
async def test_branches_that_lists_of_pushes_hide_are_told(served: Served) -> None:
    pushes, user = ShadowedBranches(served.routes).warnings(["pushes", "user", "try", "a/b"])
    assert pushes.startswith('branch "pushes" is hidden: GET /self-serve/{branch} ')
    assert user.startswith('branch "user" is hidden: ')
    assert user.endswith("/self-serve/user/{user} comes first")


LINKS = {
    "/self-serve": "/self-serve/try/pushes",
    "/self-serve/try": "/self-serve/try/pushes",
    "/self-serve/try/builders": "/self-serve/try/pushes",
    f"/self-serve/try/rev/{REVISION}": f"/self-serve/try/pushes?revision={REVISION}",
    "/self-serve/try/build/11": "/self-serve/try/pushes",
    "/pending": "/self-serve/try/pushes",
    "/status": "/self-serve/pushes",
    "/reports": "/pushes",
    BRANCH: "/self-serve/try",
    "/self-serve/pushes": "/pushes",
    f"/self-serve/user/{quote(ANN)}": "/self-serve/pushes",
}


@pytest.mark.parametrize(("path", "link"), LINKS.items())
@twisted_test()
async def test_pages_lead_to_pushes_and_back(farm: Served, path: str, link: str) -> None:
    assert f'href="{link}"' in (await farm.ask("GET", path)).text


@twisted_test()
async def test_a_users_name_leads_to_the_own_pushes(farm: Served) -> None:
    page = (await farm.ask("GET", "/self-serve", {"X-Remote-User": "ann/b@example.org"})).text
    assert 'href="/self-serve/user/ann%2Fb%40example.org" title="My pushes"' in page
    assert 'href="/self-serve/jobs?who=ann%2Fb%40example.org"' in page


@twisted_test()
async def test_links_to_more_begin_with_the_prefix_they_were_asked_under(serve: Serve) -> None:
    """An answer that is kept of one of the two is not that of the other."""
    served = serve(prefix="/buildapi")
    served.pushes.known = CHANGES
    for mount in ("", "/buildapi", ""):
        answer = await served.ask("GET", f"{mount}{BRANCH}?limit=1".encode(), JSON)
        assert answer.json["next"].startswith(f"{mount}{BRANCH}?")
        assert f"<{answer.json['next']}>" in answer.headers["link"]


@pytest.mark.parametrize("path", [BRANCH, "/self-serve/pushes", "/self-serve/user/%00x"])
@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=" + "9" * 10_000,
        "limit=٢",
        "limit=1&limit=2",
        "limit=1e1",
        "after=" + "9" * 11 + "-x",
        "after=٣-x",
        "after=-1-x",
        "after=9999999999-" + "x" * 10_000,
        "after=9999999999-%00%0d%0aSet-Cookie:a=b",
        f"since=-{'9' * 30}&until={'9' * 30}",
        "since=9999-12-31&until=0001-01-01",
        "since=" + "x" * 10_000,
        "author=" + "x" * 10_000,
        "builder=" + "x" * 10_000,
        "builder=%25_|%5c",
        "author=%ED%A0%80",
        "revision=%ED%A0%80",
        "revision=%00",
        "state=" + "x" * 10_000,
        "show=none",
        "unfinished=maybe",
        "&".join(f"x{n}=1" for n in range(1000)),
        "&".join(["builder=x"] * 1000),
    ],
)
@pytest.mark.parametrize("form", ["html", "json"])
@twisted_test(20)
async def test_any_parameter_is_taken_or_refused(
    farm: Served, path: str, query: str, form: str
) -> None:
    if path.startswith("/self-serve/user") and query.startswith("author"):
        return
    answer = await farm.ask("GET", f"{path}?{query}&format={form}".encode(), JSON)
    assert answer.status in (200, 400), answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", [*LISTS, "/"])
@twisted_test()
async def test_a_page_that_is_kept_names_nobody_but_its_user(serve: Serve, path: str) -> None:
    served = serve(cache_seconds=60)
    served.pushes.known = CHANGES
    zoe, sue = "zoë@example.org", "sue@example.org"
    for _ in range(3):
        for who in (zoe, sue, None):
            headers = {} if who is None else {"X-Remote-User": who.encode()}
            answer = await served.ask("GET", path, headers)
            others = {zoe, sue} - {who}
            assert not any(other in answer.text for other in others), who
            assert who is None or who in answer.text
            assert ("job=mine" in answer.text) == (who is not None and path == BRANCH)
            kept = answer.headers.get("cache-control", "")
            assert ("private" in kept) == (who is not None)
