"""What a job request would do, told without doing it."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred

from buildapi.model.outcome import Outcome
from buildapi.model.records import BuildDetails
from buildapi.model.steps import Sharer
from buildapi.model.wire import finished
from tests.reactor import twisted_test
from tests.web.client import JSON, Answer
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import NOW, MemoryBuilds, database_down
from tests.web.forms import Forms
from tests.web.jobcases import ALL, BUILD, BUILDER, REQUEST, REV, Case, each

KINDS: dict[str, tuple[list[str], list[str]]] = {
    "reprioritize": (["SetPriority"], []),
    "cancel_request": (["DropRequest"], ["WatchDropped"]),
    "cancel_build": ([], ["StopBuild"]),
    "rebuild_build": (["Requeue"], []),
    "rebuild_request": (["Requeue"], []),
    "cancel_revision": (["DropRequests"], ["StopBuild", "WatchDropped"]),
    "new_build_at_revision": ([], ["SendChange"]),
    "new_pgobuild_at_revision": (["NewBuildset"], []),
    "new_nightly_at_revision": (["NewBuildset"], []),
    "new_build_for_builder": (["NewBuildset"], []),
}


def check_nothing_done(served: Served) -> None:
    assert not served.jobs.adding.calls
    assert not served.jobs.keys
    assert not served.broker.failing.calls


async def dry(served: Served, name: str, where: str) -> Answer:
    method, path, fields = ALL[name]
    match where:
        case "query":
            return await served.ask(method, f"{path}?dry_run=1", JSON | ZOE, fields)
        case "form":
            return await served.ask(method, path, JSON | ZOE, fields | {"dry_run": "true"})
    headers = JSON | ZOE | {"Content-Type": "application/json"}
    body = json.dumps(fields | {"dry_run": True}).encode()
    return await served.ask(method, path, headers, body)


@each
@pytest.mark.parametrize("where", ["query", "form", "json"])
@twisted_test()
async def test_the_plan_is_told_and_nothing_is_done(served: Served, name: str, where: str) -> None:
    answer = await dry(served, name, where)
    assert answer.status == 200
    assert set(answer.json) == {"status", "dry_run", "msg", "plan"}
    assert (answer.json["status"], answer.json["dry_run"]) == ("OK", True)
    assert answer.json["msg"].endswith("nothing was done")
    plan = answer.json["plan"]
    kinds = [sorted(step["type"] for step in plan[part]) for part in ("writes", "pokes")]
    assert tuple(kinds) == KINDS[name]
    assert plan["errors"] is False
    assert answer.headers["cache-control"] == "no-store"
    check_nothing_done(served)


@each
@twisted_test()
async def test_html_clients_read_the_plan(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    answer = await served.ask(method, f"{path}?dry_run=1", ZOE, fields)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Nothing has been done yet" in answer.text
    check_nothing_done(served)
    ((action, again),) = Forms(answer.text).posting()
    assert "dry_run" not in again
    done = await served.ask("POST", action, ZOE | JSON, again)
    assert done.status == 202
    assert len(served.jobs.jobs) == 1


@each
@twisted_test()
async def test_a_switch_that_is_off_changes_nothing(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    assert (await served.ask(method, f"{path}?dry_run=0", JSON | ZOE, fields)).status == 202
    assert served.broker.published


@each
@twisted_test()
async def test_another_word_is_refused(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    answer = await served.ask(method, f"{path}?dry_run=maybe", JSON | ZOE, fields)
    assert (answer.status, answer.json["msg"]) == (400, "Bad dry_run: allowed are 1 and 0")
    answer = await served.ask(method, f"{path}?dry_run=1", JSON | ZOE, fields | {"dry_run": "1"})
    assert answer.status == 400
    check_nothing_done(served)


@pytest.mark.parametrize(
    ("case", "status", "msg"),
    [
        (("PUT", f"{REQUEST}/22", {"priority": 1}), 400, "Request is already running"),
        (("PUT", f"{REQUEST}/21", {"priority": "x"}), 400, "Bad priority"),
        (("DELETE", f"{REQUEST}/x", {}), 400, "Non-integer request_id"),
        (("DELETE", f"{BUILD}/99", {}), 404, "Build 99 not found on branch try"),
        (("POST", BUILD, {"build_id": 11, "count": 101}), 400, "Bad count"),
        (("POST", REQUEST, {"request_id": 99}), 404, "Request 99 not found on branch try"),
        (("DELETE", REV, {"only": "x"}), 400, "Bad only: only must be pending or running"),
        (("POST", f"{REV}/pgo", {"priority": "x"}), 400, "Bad priority"),
        (("POST", BUILDER, {"files": "x"}), 400, "Bad files: it is not JSON"),
        (("POST", REV.replace("try", "no"), {}), 404, "Branch no not found"),
    ],
)
@twisted_test()
async def test_what_is_refused_is_refused(
    served: Served, case: Case, status: int, msg: str
) -> None:
    method, path, fields = case
    for query in ("", "?dry_run=1"):
        answer = await served.ask(method, path + query, JSON | ZOE, fields)
        assert (answer.status, answer.json["msg"]) == (status, msg)
    assert not served.observer.failing.calls


@each
@twisted_test()
async def test_nobody_sees_a_plan(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    assert (await served.ask(method, f"{path}?dry_run=1", JSON, fields)).status == 403
    assert not served.observer.failing.calls


@twisted_test()
async def test_a_plan_that_does_nothing_says_why(served: Served) -> None:
    answer = await served.ask("DELETE", f"{BUILD}/11?dry_run=1", JSON | ZOE)
    plan = answer.json["plan"]
    assert (plan["writes"], plan["pokes"], plan["errors"]) == ([], [], False)
    assert plan["msg"] == "Build is complete, nothing to do"
    served.observer.builds = MemoryBuilds({}, {})
    answer = await served.ask("DELETE", f"{BUILD}/12?dry_run=1", JSON | ZOE)
    plan = answer.json["plan"]
    assert (plan["writes"], plan["pokes"], plan["errors"]) == ([], [], True)
    assert plan["msg"] == "No build with that id"


@each
@twisted_test(4)
async def test_without_facts_there_is_no_plan(serve: Serve, name: str) -> None:
    served = serve(answer_seconds=0.2)
    method, path, fields = ALL[name]
    served.observer.failing.error = database_down()
    answer = await served.ask(method, f"{path}?dry_run=1", JSON | ZOE, fields)
    assert (answer.status, answer.json["code"]) == (503, "database_unavailable")
    served.observer.failing.error, served.observer.failing.held = None, Deferred()
    answer = await served.ask(method, f"{path}?dry_run=1", JSON | ZOE, fields)
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    check_nothing_done(served)


SHARER = Sharer(77, "try", "fedcba9876543210", "joe@example.org")
SHARED = "stopping it also ends request 77 (try fedcba987654 by joe@example.org)"


@twisted_test()
async def test_a_dry_run_says_whose_other_pushes_lose_a_shared_build(served: Served) -> None:
    served.observer.sharers = [SHARER]
    answer = await served.ask("DELETE", "/self-serve/try/build/12?dry_run=1", JSON | ZOE)
    assert answer.json["plan"]["warnings"] == [f"Build 12 is shared: {SHARED}"]
    (stop,) = answer.json["plan"]["pokes"]
    assert stop["sharers"] == [
        {
            "request_id": 77,
            "branch": "try",
            "revision": "fedcba9876543210",
            "author": "joe@example.org",
        }
    ]
    page = await served.ask("DELETE", "/self-serve/try/build/12?dry_run=1", ZOE)
    assert SHARED in page.text


@twisted_test()
async def test_the_question_about_a_selection_says_whose_other_pushes_lose_a_shared_build(
    served: Served,
) -> None:
    served.observer.sharers = [SHARER]
    fields = b"act=cancel&item=try/build/12&item=try/request/21"
    form = ZOE | {"Content-Type": "application/x-www-form-urlencoded"}
    asked = await served.ask("POST", "/self-serve/selection", form, fields)
    assert SHARED in asked.text
    assert not served.jobs.jobs


@pytest.mark.parametrize(
    ("path", "fields"),
    [("build", {"build_id": "11"}), ("request", {"request_id": "21"})],
)
@twisted_test()
async def test_a_rebuild_for_a_builder_that_no_master_lists_is_accepted_with_a_warning(
    served: Served, path: str, fields: dict[str, str]
) -> None:
    served.directory.listed = ["another"]
    answer = await served.ask("POST", f"/self-serve/try/{path}", JSON | ZOE, fields)
    (warning,) = answer.json["warnings"]
    assert warning.endswith(
        ": the builders file does not list this builder; the request may stay pending for ever"
    )
    assert answer.status == 202
    served.directory.listed = None
    answer = await served.ask("POST", f"/self-serve/try/{path}", JSON | ZOE, fields)
    assert "warnings" not in answer.json


@twisted_test()
async def test_a_job_tells_its_warnings_on_its_page_and_in_json(served: Served) -> None:
    await served.ask("DELETE", "/self-serve/try/build/12", JSON | ZOE)
    report = finished(1, Outcome(False, "Ok", warnings=[SHARED]))
    await served.jobs.finish(1, report, NOW)
    assert (await served.ask("GET", "/self-serve/jobs/1", JSON)).json["warnings"] == [SHARED]
    assert SHARED in (await served.ask("GET", "/self-serve/jobs/1", ZOE)).text


@twisted_test()
async def test_the_page_of_a_running_build_says_who_shares_it(served: Served) -> None:
    details = served.builds.builds[12]
    other = replace(details.build.requests[0], id=77, revision="fedcba9876543210")
    both = replace(details.build, requests=[*details.build.requests, other])
    served.builds.builds[12] = BuildDetails(both, [{}, {}])
    page = (await served.ask("GET", "/self-serve/try/build/12", ZOE)).text
    assert (
        "This build serves 2 requests: stopping it also ends request 77 (try fedcba987654)" in page
    )
