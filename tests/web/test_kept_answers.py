"""What is read of the databases once for many requests, and until when."""

from __future__ import annotations

import attrs
import pytest

from buildapi.model.records import RequestDetails
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import HOSTILE, a_request

KEPT = (
    "/self-serve/try",
    "/self-serve/try/rev/abcdef123456",
    "/self-serve/try/rev/abcdef123456/is_done",
    "/self-serve/try/build/11",
    "/self-serve/try/request/21",
    "/self-serve/try/builders",
    "/self-serve/try/user/zo%C3%AB@example.org",
)
OF_THE_FARM = ("/pending", "/running", "/revision/try/abcdef123456", "/pushes")


def reads(served: Served) -> int:
    return len(served.builds.failing.calls) + len(served.farm.failing.calls)


async def ask(served: Served, path: str) -> int:
    """Ask for the JSON of a path; return how many reads that took."""
    before = reads(served)
    answer = await served.ask("GET", path, JSON)
    assert answer.status == 200, answer.body
    return reads(served) - before


@pytest.mark.parametrize("path", [*KEPT, *OF_THE_FARM])
@twisted_test()
async def test_an_answer_is_read_once(serve: Serve, path: str) -> None:
    served = serve(cache_seconds=60)
    assert [await ask(served, path) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("path", [*KEPT, *OF_THE_FARM])
@twisted_test()
async def test_the_end_of_a_job_drops_what_may_show_it(serve: Serve, path: str) -> None:
    served = serve(cache_seconds=60)
    assert await ask(served, path) == 1
    served.live.refresh("a/b", None)
    assert await ask(served, path) == (1 if path in OF_THE_FARM else 0)


@pytest.mark.parametrize("branch", ["try", None], ids=["its branch", "any branch"])
@pytest.mark.parametrize("path", KEPT)
@twisted_test()
async def test_the_end_of_a_job_drops_the_answers_of_its_branch(
    serve: Serve, path: str, branch: str | None
) -> None:
    served = serve(cache_seconds=60)
    assert await ask(served, path) == 1
    served.live.refresh(branch, None)
    assert await ask(served, path) == 1


OF_A_REVISION = ("abcdef123456", "ABCDEF1234560000", "abcdef123456/is_done")


@pytest.mark.parametrize("asked", OF_A_REVISION)
@pytest.mark.parametrize(
    ("revision", "reads"), [("abcdef123456" + "0" * 28, 1), ("ABCDEF123456", 1), ("abcdef12345", 0)]
)
@twisted_test()
async def test_the_end_of_a_job_about_a_revision_drops_no_other(
    serve: Serve, asked: str, revision: str, reads: int
) -> None:
    served = serve(cache_seconds=60)
    path = f"/self-serve/try/rev/{asked}"
    assert await ask(served, path) == 1
    served.live.refresh("try", revision)
    assert await ask(served, path) == reads


@twisted_test()
async def test_the_end_of_a_job_about_a_revision_drops_what_is_not_of_one(serve: Serve) -> None:
    served = serve(cache_seconds=60)
    for path in (path for path in KEPT if "/rev/" not in path):
        assert await ask(served, path) == 1
        served.live.refresh("try", "fedcba987654")
        assert await ask(served, path) == 1
        served.live.drops.close()  # ends the pause


@pytest.mark.parametrize("kind", ["build", "request"])
@twisted_test()
async def test_one_that_is_not_there_is_looked_for_each_time(serve: Serve, kind: str) -> None:
    served = serve(cache_seconds=60)
    for _ in range(2):
        before = reads(served)
        answer = await served.ask("GET", f"/self-serve/try/{kind}/999", JSON)
        assert (answer.status, reads(served) - before) == (404, 1)
    there = a_request(999)
    served.builds.requests[999] = RequestDetails(there, {}, [])
    assert (await served.ask("GET", "/self-serve/try/request/999", JSON)).status == 200


@twisted_test()
async def test_branches_keep_their_answers_apart(serve: Serve) -> None:
    served = serve(cache_seconds=60)
    assert await ask(served, "/self-serve/try/request/21") == 1
    assert (await served.ask("GET", "/self-serve/a%2Fb/request/21", JSON)).status == 404


@pytest.mark.parametrize("path", ["/self-serve/jobs", "/self-serve/jobs?who=zo%C3%AB@example.org"])
@twisted_test()
async def test_a_job_request_is_in_the_list_that_is_read_next(serve: Serve, path: str) -> None:
    served = serve(cache_seconds=60)
    for number in (1, 2, 3):
        answer = await served.ask("DELETE", "/self-serve/try/build/12", ZOE | JSON)
        assert answer.status == 202
        for _ in range(2):
            assert len((await served.ask("GET", path, JSON)).json) == number
            assert (await served.ask("GET", path)).text.count('<tr id="job-') == number


@twisted_test()
async def test_jobs_are_read_once_until_one_changes(serve: Serve) -> None:
    served = serve(cache_seconds=60)
    job = (await served.ask("DELETE", "/self-serve/try/build/12", ZOE | JSON)).json["request_id"]
    paths = ("/self-serve/jobs", f"/self-serve/jobs/{job}")
    before = [(await served.ask("GET", path, JSON)).json for path in paths]
    served.jobs.jobs[job] = attrs.evolve(served.jobs.jobs[job], who=HOSTILE)
    assert [(await served.ask("GET", path, JSON)).json for path in paths] == before
    served.live.job_changed(job + 1)
    assert (await served.ask("GET", paths[1], JSON)).json["who"] == ZOE["X-Remote-User"]
    assert (await served.ask("GET", paths[0], JSON)).json[0]["who"] == HOSTILE
    served.live.job_changed(job)
    assert (await served.ask("GET", paths[1], JSON)).json["who"] == HOSTILE


@twisted_test()
async def test_a_job_is_read_anew_after_a_wait(serve: Serve) -> None:
    served = serve(cache_seconds=60)
    job = (await served.ask("DELETE", "/self-serve/try/build/12", ZOE | JSON)).json["request_id"]
    path = f"/self-serve/jobs/{job}"
    assert (await served.ask("GET", path, JSON)).json["state"] == "queued"
    await served.jobs.finish(job, {"request_id": job, "body": {"errors": False, "msg": "Ok"}}, 1)
    for asked in (f"{path}?wait=1", path):
        assert (await served.ask("GET", asked, JSON)).json["state"] == "done"
