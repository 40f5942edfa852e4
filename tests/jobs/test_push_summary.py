"""The summary of a push: its jobs in groups, counts by state, completeness and time left."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from buildapi.jobs.push_summary import PushSummary, summary
from buildapi.model.branches import Branch
from buildapi.model.job_class import JobClass
from buildapi.model.pushes import Change, Push
from buildapi.model.records import BranchDay, Build, BuildRequest
from tests.model.values import MASTER, claimed, request

NOW = 1_700_010_000
TRY = Branch("try", ("try",), {})
PUSH = Push(TRY, "abcdef012345", [Change(1, "try", "abcdef012345", "ann", "fix", NOW - 9000)])


def classify(builder: str) -> JobClass:
    """Class a builder by two words: platform and kind."""
    platform, kind = builder.split(" ")
    return JobClass(platform, kind, kind[0].upper())


def job(id_: int, builder: str, **changes: object) -> BuildRequest:
    return claimed(id=id_, buildername=builder, **changes)


def ended(id_: int, builder: str, result: int, start: int, finish: int) -> Build:
    done = job(id_, builder, complete=True, results=result)
    return Build(id_ * 10, 1, start, finish, (done,))


def running(id_: int, builder: str, start: int) -> Build:
    return Build(id_ * 10, 1, start, None, (job(id_, builder),))


def summed(
    builds: list[Build],
    pending: list[BuildRequest] | None = None,
    medians: Mapping[str, int] | None = None,
) -> PushSummary:
    found = BranchDay(builds, pending or [])
    return summary(PUSH, found, classify, medians or {}, stable_delay=180, now=NOW)


def test_a_push_without_jobs_is_not_complete() -> None:
    found = summed([])
    assert (found.jobs, found.counts) == ([], {})
    assert (found.complete, found.passed, found.is_open, found.has_failures) == (False,) * 4
    assert (found.started, found.ended, found.expected) == (None, None, None)


def test_jobs_come_by_platform_kind_and_symbol() -> None:
    builds = [
        ended(1, "win talos", 0, NOW - 900, NOW - 800),
        ended(2, "linux unittest", 2, NOW - 950, NOW - 700),
        ended(3, "linux build", 0, NOW - 990, NOW - 980),
    ]
    found = summed(builds, [request(id=4, buildername="linux build", submitted_at=NOW - 5)])
    jobs = [(j.of.platform, j.of.kind, j.of.symbol, j.build_id, j.state) for j in found.jobs]
    assert jobs == [
        ("linux", "build", "B", 30, "success"),
        ("linux", "build", "B", None, "pending"),
        ("linux", "unittest", "U", 20, "failure"),
        ("win", "talos", "T", 10, "success"),
    ]
    assert list(found.counts.items()) == [("pending", 1), ("success", 2), ("failure", 1)]
    assert found.has_failures
    assert found.is_open
    assert not found.complete
    assert (found.started, found.ended) == (NOW - 990, None)


@pytest.mark.parametrize(
    ("results", "passed", "failures"),
    [([0, 0], True, False), ([0, 5], True, False), ([0, 1], False, False), ([4, 0], False, True)],
)
def test_a_push_whose_builds_have_ended_long_ago_is_complete(
    results: list[int], passed: bool, failures: bool
) -> None:
    builds = [
        ended(n, f"linux b{n}", result, NOW - 900, NOW - 400 + n)
        for n, result in enumerate(results, start=1)
    ]
    found = summed(builds)
    assert (found.complete, found.passed) == (True, passed)
    assert found.has_failures is failures
    assert (found.started, found.ended) == (NOW - 900, NOW - 398)


def test_a_job_says_what_its_requests_say() -> None:
    shared = (
        job(1, "linux build", submitted_at=NOW - 500, priority=0),
        job(2, "linux build", submitted_at=NOW - 600, priority=4),
    )
    [found] = summed([Build(9, 3, NOW - 400, None, shared)]).jobs
    assert (found.build_id, found.requests, found.builder) == (9, [1, 2], "linux build")
    assert (found.submitted, found.started, found.ended) == (NOW - 600, NOW - 400, None)
    assert (found.priority, found.master) == (4, MASTER)


def test_the_time_left_is_that_of_the_job_that_takes_longest() -> None:
    medians = {"linux build": 1000, "linux unittest": 300}
    waiting = [request(id=4, buildername="linux unittest")]
    assert summed([running(1, "linux build", NOW - 100)], waiting, medians).expected == 900
    assert summed([running(1, "linux build", NOW - 900)], waiting, medians).expected == 300
    assert summed([running(1, "linux build", NOW - 5000)], [], medians).expected == 0
    assert summed([running(1, "linux build", NOW - 5000)]).expected is None
    assert summed([ended(1, "linux build", 0, NOW - 9, NOW - 1)], [], medians).expected is None
