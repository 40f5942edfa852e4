"""Pages for people: the first one, looking things up, asking for builds, finding jobs."""

from __future__ import annotations

import attrs
import pytest

from buildapi.model.records import JobState, RequestDetails
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import NOW, PENDING, a_request, database_down
from tests.web.forms import Forms


@twisted_test()
async def test_the_first_page_tells_how_the_farm_is(served: Served) -> None:
    told = (await served.ask("GET", "/", JSON)).json
    farm = told["farm"]
    assert (farm["pending"], farm["running"], farm["oldest"]["id"]) == (1, 1, 21)
    load = {"name": "try", "pending": 1, "running": 1, "oldest": NOW - 5000}
    assert farm["branches"] == [load]
    assert farm["pools"] == [load | {"name": "Unknown"}]
    assert farm["silent"] == ["m1"]
    ok = {part["name"]: part["ok"] for part in told["health"]}
    assert ok == {"broker": True, "masters": False, "directory": False}
    page = (await served.ask("GET", "/")).text
    assert 'href="/self-serve/try/pushes"' in page
    assert "not refreshing claims: m1" in page


@twisted_test()
async def test_a_master_that_is_disabled_alarms_nobody_on_the_first_page(served: Served) -> None:
    """It may still hold builds that it claimed before."""
    served.directory.disabled = ["m1"]
    told = (await served.ask("GET", "/", JSON)).json
    assert told["farm"]["silent"] == []
    (masters,) = [part for part in told["health"] if part["name"] == "masters"]
    assert (masters["ok"], masters["detail"]) == (True, "2 known, 1 disabled")


@twisted_test()
async def test_what_cannot_be_read_takes_nothing_else_away(serve: Serve) -> None:
    served = serve(cache_seconds=0)
    served.farm.failing.error = database_down()
    page = await served.ask("GET", "/")
    assert page.status == 200
    assert "db1 does not answer" in page.text
    assert "job requests failed" in page.text
    served.farm.failing.error, served.jobs.reading.error = None, database_down()
    told = (await served.ask("GET", "/", JSON)).json
    assert (told["jobs"], told["farm"]["pending"]) == (None, 1)


@twisted_test()
async def test_the_first_page_counts_failed_jobs_of_a_day(served: Served) -> None:
    for age in (10, 100_000):
        id_ = await served.jobs.add("zoë", NOW - age, "rebuild_build", {"bid": 11})
        report = {"body": {"errors": True, "msg": "no such thing"}, "request_id": id_}
        await served.jobs.finish(id_, report, NOW)
    await served.jobs.add("zoë", NOW - 5, "rebuild_build", {"bid": 11})
    jobs = (await served.ask("GET", "/", JSON)).json["jobs"]
    assert ([job["id"] for job in jobs["failed"]], jobs["open"]) == ([1], 1)
    assert jobs["oldest_open"] == NOW - 5
    assert "no such thing" in (await served.ask("GET", "/")).text


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("q=abcdef12", f"/self-serve/try/rev/{PENDING.revision}"),
        ("kind=build&q=12", "/self-serve/try/build/12"),
        ("kind=request&q=%2021%20", "/self-serve/try/request/21"),
        ("kind=job&q=7", "/self-serve/jobs/7"),
    ],
)
@twisted_test()
async def test_one_thing_that_is_found_is_gone_to(served: Served, query: str, where: str) -> None:
    answer = await served.ask("GET", f"/self-serve/lookup?{query}")
    assert (answer.status, answer.headers["location"]) == (302, where)
    told = await served.ask("GET", f"/self-serve/lookup?{query}", JSON)
    assert told.json == {"found": [where]}


@twisted_test()
async def test_of_several_revisions_one_may_choose(served: Served) -> None:
    other = a_request(31, revision="abcdffff" * 5)
    served.builds.requests[31] = RequestDetails(other, {}, [])
    page = await served.ask("GET", "/self-serve/lookup?q=abcd")
    assert page.status == 200
    assert page.text.count('href="/self-serve/try/rev/abcd') == 2


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("q=abc", 400),
        ("q=ffff", 404),
        ("kind=build&q=x", 400),
        ("kind=build&q=99", 404),
        ("kind=slave&q=1", 400),
        ("", 200),
    ],
)
@twisted_test()
async def test_what_cannot_be_found_is_said(served: Served, query: str, status: int) -> None:
    assert (await served.ask("GET", f"/self-serve/lookup?{query}", JSON)).status == status
    assert (await served.ask("GET", f"/self-serve/lookup?{query}")).status == status


NEW = "/self-serve/try/new"
ASKED = {"revision": " abcdef123456 ", "kind": "builder", "builder": "Linux try build"}


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        ({"kind": "build"}, "new_build_at_revision"),
        ({"kind": "pgo", "priority": "3"}, "new_pgobuild_at_revision"),
        ({"kind": "nightly"}, "new_nightly_at_revision"),
        ({}, "new_build_for_builder"),
    ],
)
@twisted_test()
async def test_a_filled_form_is_a_job_request(
    served: Served, fields: dict[str, str], action: str
) -> None:
    ((where, blank),) = Forms((await served.ask("GET", NEW, ZOE)).text).posting()
    assert where == NEW
    sent = {k: v for k, v in blank.items() if k != "kind"} | ASKED | fields
    answer = await served.ask("POST", NEW, ZOE, sent)
    assert (answer.status, answer.headers["location"]) == (302, "/self-serve/jobs/1")
    assert [job.action for job in served.jobs.jobs.values()] == [action]
    assert served.jobs.jobs[1].branch == "try"
    assert (await served.ask("POST", NEW, ZOE | JSON, sent)).json["request_id"] == 2


@pytest.mark.parametrize(
    ("properties", "files"),
    [
        ("a=1\n\n b = x=y \n", "http://e/a\n\n http://e/b "),
        ('{"a": "1", "b": "x=y"}', '["http://e/a", "http://e/b"]'),
    ],
)
@twisted_test()
async def test_properties_and_files_are_lines_or_json(
    served: Served, properties: str, files: str
) -> None:
    sent = ASKED | {"properties": properties, "files": files}
    assert (await served.ask("POST", NEW, ZOE, sent)).status == 302
    what = served.jobs.jobs[1].what
    assert what["properties"] == {"a": "1", "b": "x=y"}
    assert what["files"] == ["http://e/a", "http://e/b"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "x"}, "Bad kind"),
        ({"revision": " "}, "Bad revision"),
        ({"builder": ""}, "Bad builder"),
        ({"builder": "nobody's"}, "Unknown builder"),
        ({"properties": "a"}, "Bad properties"),
        ({"properties": "{"}, "Bad properties"),
        ({"files": "[1]"}, "Bad files"),
        ({"priority": "x"}, "Bad priority"),
    ],
)
@twisted_test()
async def test_a_badly_filled_form_says_what_is_wrong(
    served: Served, fields: dict[str, str], words: str
) -> None:
    answer = await served.ask("POST", NEW, ZOE, ASKED | fields)
    assert answer.status == 400
    assert words in answer.text
    assert not served.jobs.jobs


@twisted_test()
async def test_a_form_may_be_tried_first(served: Served) -> None:
    plan = await served.ask("POST", NEW, ZOE, ASKED | {"dry_run": "1", "properties": "a=1"})
    assert not served.jobs.jobs
    ((action, fields),) = Forms(plan.text).posting()
    assert action == "/self-serve/try/builders/Linux%20try%20build/abcdef123456"
    done = await served.ask("POST", action, ZOE | JSON, fields)
    assert done.status == 202
    assert served.jobs.jobs[1].what["properties"] == {"a": "1"}


@twisted_test()
async def test_jobs_are_found(served: Served) -> None:
    await served.ask("POST", "/self-serve/try/build", ZOE | JSON, {"build_id": 11})
    ann = await served.jobs.add("ann", NOW - 90_000, "cancel_build", {"bid": 1}, branch="a/b")
    served.jobs.jobs[ann] = attrs.evolve(served.jobs.jobs[ann], state=JobState.FAILED)

    async def found(query: str) -> list[int]:
        answer = await served.ask("GET", f"/self-serve/jobs?{query}", JSON)
        return [job["id"] for job in answer.json]

    assert await found("") == [2, 1]
    assert await found("who=ann") == [2]
    assert await found("branch=try") == [1]
    assert await found("branch=a/b&state=failed&action=cancel_build") == [2]
    assert await found("state=done") == []
    assert await found("since=2023-11-14") == [1]
    assert await found("until=2023-11-13") == [2]
    assert await found(f"since={NOW - 90_000}&until={NOW}") == [2]
    assert await found("since=2023-11-14T00:00&who=&state=") == [1]
    page = (await served.ask("GET", "/self-serve/jobs?who=ann&num=1")).text
    assert 'value="ann"' in page
    assert "num=1&amp;who=ann&amp;offset=1" in page


@pytest.mark.parametrize("query", ["state=x", "action=x", "since=yesterday", "until=2023-13-01"])
@twisted_test()
async def test_what_jobs_cannot_be_found_by_is_refused(served: Served, query: str) -> None:
    answer = await served.ask("GET", f"/self-serve/jobs?{query}", JSON)
    assert answer.status == 400
    assert "allowed are" in answer.json["msg"]


@twisted_test()
async def test_a_job_leads_to_what_it_is_about(served: Served) -> None:
    job = (await served.ask("POST", "/self-serve/try/build", ZOE | JSON, {"build_id": 11})).json
    page = (await served.ask("GET", f"/self-serve/jobs/{job['request_id']}")).text
    assert 'href="/self-serve/try/build/11"' in page
    old = await served.jobs.add("ann", NOW, "cancel_build", {"bid": 11})
    page = (await served.ask("GET", f"/self-serve/jobs/{old}")).text
    assert 'href="/self-serve/lookup?kind=build&amp;q=11"' in page


@twisted_test()
async def test_a_build_leads_to_its_master(served: Served) -> None:
    page = (await served.ask("GET", "/self-serve/try/build/12")).text
    assert 'href="http://m1.example.org:8101/builders/Linux%20try%20build/builds/8"' in page


@pytest.mark.parametrize(
    ("finished", "words"), [(False, "not done yet"), (True, "done, and all builds passed")]
)
@twisted_test()
async def test_a_revision_says_whether_it_is_done(
    served: Served, finished: bool, words: str
) -> None:
    if finished:
        del served.builds.builds[12]
        served.builds.requests = {23: served.builds.requests[23]}
    page = (await served.ask("GET", "/self-serve/try/rev/abcdef123456")).text
    assert f"abcdef123456 is {words}" in page
    assert ("1 of 1 ended" if finished else "1 of 3 ended") in page


@twisted_test()
async def test_the_cancel_of_a_revision_shows_first_what_it_would_do(served: Served) -> None:
    forms = Forms((await served.ask("GET", "/self-serve/try/rev/abcdef123456", ZOE)).text).posting()
    (cancel,) = [f for a, f in forms if f.get("dry_run") and a.endswith("/rev/abcdef123456")]
    plan = await served.ask("POST", "/self-serve/try/rev/abcdef123456", ZOE, cancel)
    assert "request 21" in plan.text
    assert "build 8 of Linux try build on m1" in plan.text
    assert "This cannot be undone" in plan.text
    assert not served.jobs.jobs


@twisted_test()
async def test_an_empty_list_keeps_its_table_for_what_may_come(served: Served) -> None:
    served.builds.builds, served.builds.requests = {}, {}
    page = (await served.ask("GET", "/self-serve/try?date=2023-11-14")).text
    assert "No builds or pending requests on try." in page
    assert '<template id="new-build">' in page
