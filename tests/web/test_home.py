"""The home page: red branches, the latest pushes, the load; each part may fail alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from buildapi.errors import BadRequest, BuildAPIError, DatabaseUnavailable
from buildapi.model.farm_load import LoadSample
from buildapi.model.pushes import Change
from buildapi.model.records import Build, BuildDetails
from buildapi.web.farm import push_overview
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import Serve, Served
from tests.web.farm import HOSTILE, NOW, a_request

ANN = "ann@example.org"


def push(served: Served, branch: str, results: Sequence[int | None], age: int) -> str:
    """Add a push with builds of these results, None for one that runs; return its revision."""
    number = 100 + len(served.pushes.known)
    revision = f"{number:040x}"
    change = Change(number, branch, revision, ANN, "fix it\nreally", NOW - age)
    served.pushes.known = [*served.pushes.known, change]
    for index, result in enumerate(results):
        id_ = number * 1000 + index
        done = result is not None
        times = {"claimed_at": NOW - age, "submitted_at": NOW - age}
        request = a_request(id_, branch=branch, revision=revision, **times)
        end = NOW - 10 if done else None
        if done:
            request = a_request(
                id_, branch=branch, revision=revision, complete=True, results=result, **times
            )
        served.builds.builds[id_] = BuildDetails(Build(id_, index, NOW - age, end, [request]), [])
    return revision


async def home(served: Served) -> Any:
    answer = await served.ask("GET", "/", JSON)
    assert answer.status == 200, answer.text
    return answer.json


@twisted_test()
async def test_a_branch_is_red_if_its_latest_finished_push_failed(served: Served) -> None:
    push(served, "try", [0], age=9000)
    red = push(served, "try", [0, 2, 4], age=8000)
    push(served, "try", [2, None], age=7000)
    push(served, "try", [], age=6000)
    push(served, "a/b", [2], age=9000)
    push(served, "a/b", [0, 1, 5], age=8000)
    found = await home(served)
    assert [(p["branch"], p["revision"], p["counts"]) for p in found["red"]] == [
        ("try", red, {"failure": 1, "exception": 1, "success": 1})
    ]
    assert found["undecided"] == []
    assert "jobs" not in found["red"][0]
    page = (await served.ask("GET", "/")).text
    assert f'href="/self-serve/try/rev/{red}"' in page
    assert "No branch is red" not in page
    row = page.partition('<td class="jobs">')[2].partition("</td>")[0]
    assert re.findall(r'class="state (\w+)"', row) == ["failure", "exception", "success"]


@twisted_test()
async def test_the_latest_pushes_of_all_branches_are_listed(served: Served) -> None:
    made = [push(served, name, [0], age=9000 - n) for n, name in enumerate(["try", "a/b"] * 6)]
    found = await home(served)
    assert [p["revision"] for p in found["pushes"]] == made[:1:-1]
    first = found["pushes"][0]
    assert (first["author"], first["comments"], first["counts"]) == (ANN, "fix it", {"success": 1})
    page = (await served.ask("GET", "/")).text
    assert "No branch is red: the latest finished push of each has no failure." in page
    assert '<a href="/self-serve/user/ann%40example.org">ann@example.org</a>' in page


@twisted_test()
async def test_revisions_that_were_pushed_together_are_one_line(served: Served) -> None:
    built, other = push(served, "try", [0], age=3000), push(served, "try", [], age=3000)
    (found,) = (await home(served))["pushes"]
    assert found["revision"] == built
    assert [one["revision"] for one in found["pushed_with"]] == [other]


@twisted_test()
async def test_a_branch_whose_pushes_all_run_is_undecided(served: Served) -> None:
    for age in range(20):
        push(served, "try", [None], age=9000 + age)
    push(served, "a/b", [2], age=100)
    found = await home(served)
    assert ([p["branch"] for p in found["red"]], found["undecided"]) == (["a/b"], ["try"])
    page = (await served.ask("GET", "/")).text
    assert "None of the latest pushes is finished on try." in page


@twisted_test()
async def test_reads_of_pushes_are_bounded_and_shared(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_overview, "PUSHES_MAX", 12)
    for age in range(30):
        push(served, ("try", "a/b")[age % 2], [None], age=9000 + age)
    served.builds.failing.calls.clear()
    for _ in range(3):
        await home(served)
    calls = served.builds.failing.calls
    assert [call[0] for call in calls if call[0] == "pushes"] == ["pushes"]
    assert sum(len(call[1]) for call in calls if call[0] == "work") == 12
    assert calls[0][2] == push_overview.READ_MAX


@twisted_test()
async def test_a_farm_without_pushes_says_so(served: Served) -> None:
    found = await home(served)
    assert (found["pushes"], found["red"]) == ([], [])
    assert "No pushes in the last 7 days." in (await served.ask("GET", "/")).text


@twisted_test()
async def test_a_push_with_too_many_jobs_takes_nothing_else_away(served: Served) -> None:
    push(served, "try", [2], age=3000)
    served.builds.failing.errors = {"work": BadRequest("too many")}
    found = await home(served)
    assert found["troubles"] == []
    assert [(p["jobs_omitted"], p["counts"]) for p in found["pushes"]] == [(True, {})]
    assert "too many jobs to list" in (await served.ask("GET", "/")).text


@pytest.mark.parametrize("error", [DatabaseUnavailable("db1 is down"), BadRequest("too many")])
@twisted_test()
async def test_pushes_that_cannot_be_read_take_nothing_else_away(
    served: Served, error: BuildAPIError
) -> None:
    served.builds.failing.errors = {"pushes": error}
    found = await home(served)
    assert (found["pushes"], found["red"]) == (None, None)
    assert found["troubles"] == [f"Cannot read pushes: {error.msg}"]
    assert found["farm"]["pending"] == 1
    page = (await served.ask("GET", "/")).text
    assert f"Cannot read pushes: {error.msg}" in page
    assert "Latest pushes" not in page


@twisted_test()
async def test_the_load_of_a_day_is_a_chart_with_a_table(served: Served) -> None:
    start = NOW - NOW % 900
    samples = [LoadSample(start - 87_300, 1, 1, 1), LoadSample(start, 512, 7, 90)]
    served.loads.stored = {one.at: one for one in samples}
    load = (await home(served))["load"]
    assert load["step"] == 900
    assert load["samples"] == [{"at": start, "pending": 512, "running": 7, "longest_wait": 90}]
    page = (await served.ask("GET", "/")).text
    assert '<td class="num">512</td><td class="num">7</td>' in page
    assert "chart.js" in page


@twisted_test()
async def test_a_day_without_samples_has_no_chart(serve: Serve) -> None:
    served = serve(cache_seconds=0)
    page = (await served.ask("GET", "/")).text
    assert "No samples of the load in the last 24 hours." in page
    assert "chart.js" not in page
    served = serve(cache_seconds=0)
    served.loads.failing = DatabaseUnavailable("jobs is down")
    found = await home(served)
    assert (found["load"], found["troubles"]) == (
        None,
        ["Cannot read samples of the load: jobs is down"],
    )


@twisted_test()
async def test_the_health_of_all_services_is_one_line(served: Served) -> None:
    page = (await served.ask("GET", "/")).text
    assert '<span class="state failure">masters</span>' in page
    assert '<a href="/status">service health</a>' in page
    assert "not refreshing claims: m1" in page


@twisted_test()
async def test_pools_are_listed_by_their_longest_wait(served: Served) -> None:
    page = (await served.ask("GET", "/")).text
    _, _, table = page.partition("Oldest waiting by pool")
    assert "Unknown" in table.partition("</table>")[0]


@twisted_test()
async def test_hostile_names_are_text(served: Served) -> None:
    change = Change(9, HOSTILE, HOSTILE, HOSTILE, HOSTILE, NOW - 50)
    served.pushes.known = [change]
    page = (await served.ask("GET", "/")).text
    assert HOSTILE not in page
    (told,) = (await home(served))["pushes"]
    assert (told["author"], told["comments"]) == (HOSTILE, HOSTILE)
