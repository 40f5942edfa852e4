"""Builds that masters record are those of the schedulers by builder, number and start."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from msgspec.structs import replace

from buildapi.jobs.recorded_builds import builds_of, failure_rate, workers_of
from buildapi.model.farm_rows import RecentBuild, RunningBuild
from buildapi.model.records import Build
from tests.web.farm import NOW, a_request

RECORD = RecentBuild(81, "linux", "", 7, NOW - 300, None, None, "s1", "m1", (22,))
RUNNING = RunningBuild(12, (22,), 7, "linux", "m1", NOW - 300, NOW - 400, NOW - 9, "try", "abc")
BUILD = Build(12, 7, NOW - 300, None, [a_request(22), a_request(23)])


def record(**changes: Any) -> RecentBuild:
    return attrs.evolve(RECORD, **changes)


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"starttime": NOW - 299}, True),
        ({"buildname": "short", "buildername": "linux"}, True),
        ({"starttime": NOW - 298}, False),
        ({"starttime": None}, False),
        ({"buildnumber": 8}, False),
        ({"buildname": "short"}, False),
        ({"buildname": "", "buildername": ""}, False),
    ],
)
def test_builder_number_and_start_must_agree(changes: dict[str, Any], is_same: bool) -> None:
    assert workers_of([RUNNING], [record(**changes)]) == ({12: "s1"} if is_same else {})


def test_a_build_that_two_records_fit_has_no_worker() -> None:
    """Two masters may begin builds of one builder with one number in the same second."""
    assert workers_of([RUNNING], [RECORD, record(id=82, slavename="s2")]) == {}
    assert workers_of([RUNNING], [RECORD, record(id=82)]) == {12: "s1"}


def test_each_build_has_its_own_worker() -> None:
    other = replace(RUNNING, id=13, number=8)
    found = workers_of([other, RUNNING], [RECORD, record(buildnumber=8, slavename="s2")])
    assert found == {12: "s1", 13: "s2"}


def test_a_record_is_the_build_of_one_of_its_requests() -> None:
    assert builds_of([RECORD, record(id=82, request_ids=(23, 99))], [BUILD]) == {
        81: BUILD,
        82: BUILD,
    }
    assert builds_of([record(request_ids=())], [BUILD]) == {}
    assert builds_of([record(request_ids=(99,))], [BUILD]) == {}


def test_of_a_retried_request_the_build_that_started_then_counts() -> None:
    retry = Build(14, 7, NOW - 100, None, BUILD.requests)
    assert builds_of([RECORD], [BUILD, retry]) == {81: BUILD}
    assert builds_of([record(buildnumber=9)], [BUILD, retry]) == {}


def test_a_retry_is_no_failure_and_no_build() -> None:
    rate = failure_rate([record(result=result) for result in (0, 1, 2, 3, 4, 5, 5, 6)])
    assert (rate.failed, rate.builds, rate.retries, rate.percent) == (2, 6, 2, 33)
    assert failure_rate([]).percent == 0
    assert failure_rate([record(result=5)]).percent == 0
