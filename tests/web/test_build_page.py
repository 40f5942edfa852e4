"""The page of a build or request, with what is around it, and the steps of a build as JSON."""

from __future__ import annotations

import re

import attrs
import pytest
from msgspec.structs import replace

from buildapi.errors import DatabaseUnavailable
from buildapi.model.build_steps import BuildRecord, BuildStep
from buildapi.model.pushes import Change
from buildapi.model.rebuilds import OF_BUILD, Rebuild, RebuildOrigin
from buildapi.model.records import Build, BuildDetails, BuildRequest, RequestDetails
from tests.build_records import ReportedBuild
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import BUILD, COMPLETE, HOSTILE, NOW, PENDING, RUNNING_BUILD, a_request

PAGE = f"/self-serve/try/build/{BUILD.id}"
FAILED = BuildStep("compile all", "gcc: error", NOW - 3000, NOW - 2000, 2)
STEPS = (BuildStep("checkout", "checked out", NOW - 3900, NOW - 3000, 0), FAILED)


def reported(served: Served, *steps: BuildStep, log_url: str | None = None) -> None:
    """Have the master report the finished build."""
    record = BuildRecord("linux-slave-7", steps, log_url)
    builder = COMPLETE.buildername
    found = ReportedBuild(builder, BUILD.number, BUILD.start_time, "m1", record)
    served.steps.reported.append(found)


def built(served: Served, id_: int, request: BuildRequest, *more: BuildRequest) -> None:
    """Add a build of requests of the same builder, which ended."""
    start = NOW - 3900 + (id_ - BUILD.id) * 10
    build = Build(id_, id_ - 4, start, start + 5, [request, *more])
    served.builds.builds[id_] = BuildDetails(build, [{} for _ in build.requests])
    for one in build.requests:
        served.builds.requests[one.id] = RequestDetails(one, {}, [id_])


def ended(id_: int, results: int, **changes: object) -> BuildRequest:
    times = {"claimed_at": NOW - 4000, "complete_at": NOW - 1000, "claimed_by_name": "m1"}
    return a_request(id_, complete=True, results=results, **times, **changes)


@twisted_test()
async def test_the_failing_step_and_its_log_stand_on_the_page(served: Served) -> None:
    reported(served, *STEPS, log_url="http://logs.example.org/1.txt")
    page = (await served.ask("GET", PAGE)).text
    assert "<strong>compile all</strong> failed after 16 min: gcc: error." in page
    log = "http://m1.example.org:8101/builders/Linux%20try%20build/builds/7/steps/compile%20all"
    assert f'href="{log}/logs/stdio"' in page
    assert "2 steps, compile all failed" in page
    assert '<a href="/recent/linux-slave-7">linux-slave-7</a>' in page
    assert 'href="http://logs.example.org/1.txt"' in page


@twisted_test()
async def test_steps_are_read_as_json(served: Served) -> None:
    reported(served, *STEPS, BuildStep("upload", "", None, None, None))
    found = (await served.ask("GET", f"{PAGE}/steps", JSON)).json
    assert (found["worker"], found["failing_step"]) == ("linux-slave-7", "compile all")
    assert [(s["name"], s["state"], s["status"]) for s in found["steps"]] == [
        ("checkout", "success", 0),
        ("compile all", "failure", 2),
        ("upload", "pending", None),
    ]
    assert found["steps"][1]["text"] == "gcc: error"
    assert found["steps"][1]["starttime"] == NOW - 3000


@twisted_test()
async def test_of_a_build_that_no_master_reports_there_are_no_steps(served: Served) -> None:
    found = await served.ask("GET", f"{PAGE}/steps", JSON)
    nothing = {"worker": None, "log_url": None, "failing_step": None, "steps": []}
    assert (found.status, found.json) == (200, nothing)
    assert (await served.ask("GET", "/self-serve/try/build/99/steps", JSON)).status == 404


@twisted_test()
async def test_the_steps_are_refused_while_they_cannot_be_read(served: Served) -> None:
    served.steps.failing.error = DatabaseUnavailable("the status database does not answer")
    answer = await served.ask("GET", f"{PAGE}/steps", JSON)
    assert (answer.status, answer.json["msg"]) == (503, "the status database does not answer")


@twisted_test()
async def test_a_strip_shows_the_results_of_the_builder_around_the_build(served: Served) -> None:
    built(served, 13, ended(31, 2))
    built(served, 14, ended(32, 1))
    served.builds.builds[BUILD.id] = BuildDetails(replace(BUILD, id=11), [{}])
    page = (await served.ask("GET", "/self-serve/try/build/13")).text
    (strip,) = re.findall(r'<ul class="strip".*?</ul>', page, re.DOTALL)
    boxes = re.findall(
        r'<a class="job (\w+)" href="([^"]*)"[^>]*?( aria-current="true")?></a>', strip
    )
    assert boxes == [
        ("warnings", "/self-serve/try/build/14", ""),
        ("failure", "/self-serve/try/build/13", ' aria-current="true"'),
        ("running", "/self-serve/try/build/12", ""),
        ("success", "/self-serve/try/build/11", ""),
    ]
    assert '<a rel="next" href="/self-serve/try/build/14">' in page
    assert '<a rel="prev" href="/self-serve/try/build/12">' in page
    assert 'title="Linux try build, build 13: failure, abcdef123456, 5 s"' in strip


@twisted_test()
async def test_a_request_shows_the_states_of_its_builds(served: Served) -> None:
    built(served, 13, ended(31, 2))
    page = (await served.ask("GET", "/self-serve/try/request/31")).text
    assert 'build 13</a> <span class="state failure">failure</span>' in page


@twisted_test()
async def test_requests_that_share_a_build_are_listed_with_their_pushes(served: Served) -> None:
    requests = [ended(31, 0), ended(32, 0, revision="b" * 40)]
    built(served, 13, *requests)
    of_first = Change(1, "try", requests[0].revision or "", "ann@example.org", "fix\n\nmore", NOW)
    of_second = Change(2, "try", "b" * 40, "bea@example.org", HOSTILE, NOW)
    served.pushes.known = [of_first, of_second]
    page = (await served.ask("GET", "/self-serve/try/build/13")).text
    assert "Requests that share this build" in page
    assert '<a href="/self-serve/user/ann%40example.org">ann@example.org</a> fix' in page
    assert "bea@example.org</a> &lt;script&gt;" in page


@twisted_test()
async def test_a_rebuild_names_who_asked_for_it(served: Served) -> None:
    job = await served.jobs.add("zoë@example.org", NOW, "rebuild_build", {"bid": BUILD.id})
    served.jobs.of_rebuilds[PENDING.id] = Rebuild(
        RebuildOrigin(OF_BUILD, BUILD.id), PENDING.id, job
    )
    page = (await served.ask("GET", f"/self-serve/try/request/{PENDING.id}")).text
    assert f'zoë@example.org (<a href="/self-serve/jobs/{job}">job {job}</a>)' in page


@twisted_test()
async def test_a_forced_build_names_its_owner(served: Served) -> None:
    details = served.builds.requests[PENDING.id]
    owned = attrs.evolve(details, properties={"owner": HOSTILE})
    served.builds.requests[PENDING.id] = owned
    page = (await served.ask("GET", f"/self-serve/try/request/{PENDING.id}")).text
    assert "<dt>Asked for by</dt><dd>&lt;script&gt;" in page


@pytest.mark.parametrize("count", [8, 9])
@twisted_test()
async def test_many_properties_are_folded(served: Served, count: int) -> None:
    details = served.builds.requests[PENDING.id]
    many = {f"name{n}": n for n in range(count)}
    served.builds.requests[PENDING.id] = attrs.evolve(details, properties=many)
    page = (await served.ask("GET", f"/self-serve/try/request/{PENDING.id}")).text
    assert ("<summary>9 properties</summary>" in page) is (count == 9)
    assert "name7" in page


@twisted_test()
async def test_properties_that_requests_have_alike_are_shown_once(served: Served) -> None:
    built(served, 13, ended(31, 0), ended(32, 0), ended(33, 0))
    for id_, value in ((31, "one"), (32, "one"), (33, "other")):
        details = served.builds.requests[id_]
        served.builds.requests[id_] = attrs.evolve(details, properties={"of": value})
    page = (await served.ask("GET", "/self-serve/try/build/13")).text
    assert "1 property of requests 31, 32</summary>" in page
    assert "1 property of request 33</summary>" in page
    assert page.count(">one</td>") == 1


@twisted_test()
async def test_what_cannot_be_read_beside_a_build_is_named(served: Served) -> None:
    reported(served, *STEPS)
    served.steps.failing.error = DatabaseUnavailable("the status database does not answer")
    page = await served.ask("GET", PAGE)
    assert page.status == 200
    assert "Cannot read its steps: the status database does not answer" in page.text
    assert '<ul class="strip"' in page.text
    assert "compile all" not in page.text


@twisted_test()
async def test_a_page_does_not_wait_longer_than_its_share_for_what_is_beside(
    serve: Serve,
) -> None:
    from twisted.internet.defer import Deferred

    served = serve(answer_seconds=1)
    served.steps.failing.held = Deferred()
    page = await served.ask("GET", PAGE)
    assert page.status == 200
    assert "Cannot read its steps: No answer within" in page.text


@twisted_test()
async def test_json_reads_nothing_of_what_only_the_page_shows(served: Served) -> None:
    assert (await served.ask("GET", PAGE, JSON)).status == 200
    assert served.steps.failing.calls == []
    assert [c for c in served.builds.failing.calls if c[0] in ("results", "medians")] == []


@twisted_test()
async def test_pages_of_different_users_are_read_for_once(served: Served) -> None:
    for user in (ZOE, {"X-Remote-User": "ann@example.org"}):
        assert (await served.ask("GET", PAGE, user)).status == 200
    assert served.steps.failing.calls == [("of_build", BUILD.id)]


@pytest.mark.parametrize("step", [HOSTILE, "../../stop", "a/b?c#d"])
@twisted_test()
async def test_hostile_steps_are_text_and_one_segment_of_a_url(served: Served, step: str) -> None:
    reported(served, BuildStep(step, step, NOW - 3900, NOW - 3000, 2))
    page = (await served.ask("GET", PAGE)).text
    assert "<script>alert" not in page
    links = re.findall(r'href="(http://m1[^"]*/steps/[^"]*)"', page)
    assert links
    for link in links:
        assert re.fullmatch(
            r"http://m1\.example\.org:8101/builders/[^/]*/builds/7/steps/[^/?#]*/logs/stdio", link
        )


@twisted_test()
async def test_actions_stand_before_what_is_shown(served: Served) -> None:
    page = (await served.ask("GET", f"/self-serve/try/build/{RUNNING_BUILD.id}", ZOE)).text
    section = page[page.index('<section id="live"') :]
    assert section.index('value="rebuild"') < section.index("<dl")
    assert section.index('value="cancel"') < section.index("<dl")
