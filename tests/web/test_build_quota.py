"""Sums, not only items: how many builds one request, and one user within an hour, may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import Clock

from buildapi.model.actions import ASKING, builds_asked
from buildapi.model.records import AskedBuilds
from buildapi.web.http.deadline import Deadline
from buildapi.web.selfserve.build_quota import FRESH, HOUR, BuildQuota, seconds_until_free
from tests.reactor import twisted_test
from tests.web.batching import answered, batch, entry, published
from tests.web.client import JSON, Answer
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import NOW, MemoryJobs, database_down
from tests.web.jobcases import ALL, BUILD
from tests.web.memorytokens import Time

SELECTION = "/self-serve/selection"
WHO = ZOE["X-Remote-User"]


def many(count: int) -> dict[str, Any]:
    return entry("rebuild_build", body={"build_id": 11, "count": count})


def is_too_many(served: Served, answer: Answer, limit: str, most: int) -> bool:
    """Return whether it is refused for a limit that is told, with nothing of it done."""
    assert answer.status == 429, answer
    assert not served.broker.published
    assert 1 <= int(answer.headers["retry-after"]) <= HOUR
    assert answer.json["code"] == "too_many_builds"
    told: str = answer.json["msg"]
    return f"[limits] {limit}" in told and str(most) in told


# --- what counts


@pytest.mark.parametrize("name", ALL)
def test_what_asks_for_no_builds_does_not_count(name: str) -> None:
    assert builds_asked(name, {}) == (name in ASKING)
    assert (name in ASKING) == (not name.startswith(("cancel", "reprioritize")))


@pytest.mark.parametrize("count", [0, -5, "7", None, True, [9]])
def test_what_somebody_else_has_stored_counts_as_one(count: object) -> None:
    assert builds_asked("rebuild_build", {"count": count}) == 1
    assert builds_asked("rebuild_build", {"count": 7}) == 7


ASKED = st.builds(AskedBuilds, st.integers(NOW - HOUR + 1, NOW), st.integers(1, 50))


@given(st.lists(ASKED, max_size=20), st.integers(1, 60), st.integers(60, 200))
def test_after_the_time_that_is_told_it_may_be_asked_for(
    asked: list[AskedBuilds], builds: int, most: int
) -> None:
    wait = seconds_until_free(asked, builds, most, NOW)
    assert 0 <= wait <= HOUR
    left = sum(one.builds for one in asked if one.when > NOW + wait - HOUR)
    assert left + builds <= most
    assert (wait == 0) == (sum(one.builds for one in asked) + builds <= most)


# --- one request


@twisted_test()
async def test_a_batch_is_bounded_by_the_sum_of_what_its_entries_ask_for(serve: Serve) -> None:
    served = serve(builds_per_request=200)
    refused = await batch(served, [many(100), many(100), entry("cancel_build"), many(1)])
    assert is_too_many(served, refused, "builds_per_request", 200)
    assert "201" in refused.json["msg"]
    assert not served.jobs.jobs, "nor is the cancel in it done"
    answers = await answered(served, [many(100), many(100), entry("cancel_build")])
    assert [a["status"] for a in answers] == [202, 202, 202]


@twisted_test()
async def test_so_is_a_selection(serve: Serve) -> None:
    served = serve(builds_per_request=150)
    fields = {"act": "rebuild", "count": "100", "item": "try/build/11"}
    body = "&".join([*(f"{n}={v}" for n, v in fields.items()), "item=try/build/12"]).encode()
    headers = JSON | ZOE | {"Content-Type": "application/x-www-form-urlencoded"}
    refused = await served.ask("POST", SELECTION, headers, body)
    assert is_too_many(served, refused, "builds_per_request", 150)
    assert not served.jobs.jobs
    page = await served.ask("POST", SELECTION, headers | {"Accept": "text/html"}, body)
    assert page.status == 429
    assert "builds_per_request" in page.text


@twisted_test()
async def test_so_is_a_single_request(serve: Serve) -> None:
    served = serve(builds_per_request=5)
    refused = await served.ask("POST", BUILD, JSON | ZOE, {"build_id": 11, "count": 6})
    assert is_too_many(served, refused, "builds_per_request", 5)
    assert (await served.ask("POST", BUILD, JSON | ZOE, {"build_id": 11})).status == 202


@twisted_test()
async def test_what_is_only_tried_is_not_bounded(serve: Serve) -> None:
    served = serve(builds_per_request=5)
    tried = await answered(served, [many(100), many(100)], query="?dry_run=1")
    assert [a["status"] for a in tried] == [200, 200]


# --- one user


@twisted_test()
async def test_a_user_may_ask_for_so_many_builds_within_an_hour(serve: Serve) -> None:
    served = serve(builds_per_user_hour=120)
    await served.jobs.add(WHO, NOW - 3000, "rebuild_build", {"bid": 11, "count": 60})
    await served.jobs.add(WHO, NOW - 3600, "rebuild_build", {"bid": 11, "count": 90})
    await served.jobs.add("ann", NOW, "rebuild_build", {"bid": 11, "count": 90})
    refused = await served.ask("POST", BUILD, JSON | ZOE, {"build_id": 11, "count": 61})
    assert is_too_many(served, refused, "builds_per_user_hour", 120)
    assert refused.headers["retry-after"] == "600", "when those of 3000 seconds ago count no more"
    assert is_too_many(served, await batch(served, [many(61)]), "builds_per_user_hour", 120)
    accepted = await served.ask("POST", BUILD, JSON | ZOE, {"build_id": 11, "count": 60})
    assert accepted.status == 202
    assert (await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)).status == 202, (
        "a cancel may come"
    )


@twisted_test()
async def test_what_is_asked_for_at_the_same_time_counts_too(serve: Serve) -> None:
    served = serve(builds_per_user_hour=100)
    asked = {"build_id": 11, "count": 60}
    going = [ensureDeferred(served.ask("POST", BUILD, JSON | ZOE, asked)) for _ in range(4)]
    statuses = sorted(answer.status for answer in await gatherResults(going))
    assert statuses == [202, 429, 429, 429]
    assert len(published(served)) == 1


@twisted_test()
async def test_a_repeated_request_with_a_key_counts_once(serve: Serve) -> None:
    served = serve(builds_per_user_hour=100)
    headers = JSON | ZOE | {"Idempotency-Key": "night"}
    for _ in range(3):
        answer = await served.ask("POST", BUILD, headers, {"build_id": 11, "count": 60})
        assert (answer.status, answer.json["request_id"]) == (202, 1)


@twisted_test()
async def test_where_it_cannot_be_counted_nothing_is_recorded(served: Served) -> None:
    served.jobs.counting.error = database_down()
    answer = await served.ask("POST", BUILD, JSON | ZOE, {"build_id": 11})
    assert (answer.status, answer.json["msg"]) == (503, "Couldn't create JobRequest row")
    assert not served.jobs.jobs
    assert (await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)).status == 202


@twisted_test()
async def test_a_count_does_for_two_seconds_while_little_is_asked_for(serve: Serve) -> None:
    served = serve(builds_per_user_hour=1000)

    async def ask(count: int) -> int:
        return (
            await served.ask("POST", BUILD, JSON | ZOE, {"build_id": 11, "count": count})
        ).status

    counts = served.jobs.counting.calls
    assert [await ask(20) for _ in range(5)] == [202] * 5
    assert len(counts) == 1, "together a tenth of what was left"
    assert await ask(1) == 202
    assert len(counts) == 2
    assert await ask(50) == 202
    assert len(counts) == 2
    served.time.now += FRESH
    assert await ask(1) == 202
    assert len(counts) == 3
    served.time.now -= 100
    assert await ask(1) == 202
    assert len(counts) == 4, "the clock was set back"


@twisted_test()
async def test_what_another_process_has_recorded_is_seen_before_a_limit_is_reached(
    serve: Serve,
) -> None:
    served = serve(builds_per_user_hour=100)
    asked = {"build_id": 11, "count": 10}
    assert (await served.ask("POST", BUILD, JSON | ZOE, asked)).status == 202
    await served.jobs.add(WHO, NOW, "rebuild_build", {"bid": 11, "count": 85})
    refused = await served.ask("POST", BUILD, JSON | ZOE, asked)
    assert refused.status == 429
    assert "has submitted 95 within an hour" in refused.json["msg"]


@twisted_test()
async def test_users_who_were_counted_long_ago_are_forgotten() -> None:
    time, jobs = Time(NOW), MemoryJobs()
    quota = BuildQuota(jobs, time, Deadline(Clock(), 1.0), 10, 10)
    for number in range(50):
        async with quota.recording(f"user{number}", 1, "not counted"):
            time.now += FRESH / 10
    assert len(quota._uses) <= 11
    time.now += FRESH
    async with quota.recording("ann", 1, "not counted"):
        assert list(quota._uses) == ["ann"]
