"""The JSON that clients know."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest
from msgspec.structs import replace

from buildapi.model.records import (
    BranchDay,
    Build,
    BuildDetails,
    JobRecord,
    JobState,
    RequestDetails,
    UserBuilds,
)
from buildapi.web.selfserve.serializers import (
    build_details_json,
    build_json,
    job_json,
    list_json,
    request_details_json,
    request_json,
    user_json,
)
from tests.reactor import twisted_test
from tests.web.conftest import Served
from tests.web.farm import BUILD, COMPLETE, NOW, PENDING, RUNNING_BUILD

REQUEST_KEYS = {
    "request_id", "buildername", "branch", "revision", "submittime", "complete", "complete_at",
    "priority", "claimed_at", "reason",
}  # fmt: skip
BUILD_KEYS = {
    "build_id", "buildnumber", "buildername", "branch", "revision", "starttime", "endtime",
    "status", "claimed_by_name", "requests",
}  # fmt: skip
JOB_KEYS = {"action", "who", "when", "completed_at", "what", "complete_data"}


def test_a_request_has_its_keys() -> None:
    shaped = request_json(COMPLETE)
    assert shaped.keys() >= REQUEST_KEYS
    assert (shaped["request_id"], shaped["complete"], shaped["complete_at"]) == (23, 1, NOW - 1000)
    for key in ("request_id", "submittime", "complete", "complete_at", "priority", "claimed_at"):
        assert type(shaped[key]) is int, key


def test_a_pending_request_is_told_by_what_it_lacks() -> None:
    shaped = request_json(PENDING)
    assert not shaped.keys() & {"status", "starttime", "endtime", "build_id", "requests"}
    assert (shaped["complete"], shaped["complete_at"], shaped["claimed_at"]) == (0, None, 0)


def test_a_build_has_its_keys() -> None:
    shaped = build_json(BUILD)
    assert shaped.keys() >= BUILD_KEYS
    assert (shaped["build_id"], shaped["buildnumber"], shaped["status"]) == (11, 7, 0)
    assert [r["request_id"] for r in shaped["requests"]] == [23]
    assert shaped["claimed_by_name"] == "m1"
    for key in ("build_id", "buildnumber", "starttime", "endtime", "status"):
        assert type(shaped[key]) is int, key


def test_a_running_build_has_no_end_and_no_status() -> None:
    shaped = build_json(RUNNING_BUILD)
    assert (shaped["endtime"], shaped["status"]) == (None, None)


def test_a_build_that_is_tried_again_has_no_status() -> None:
    again = replace(COMPLETE, complete=False, results=None, claimed_at=0)
    assert build_json(Build(11, 7, 1, 2, [again]))["status"] is None


def test_coalesced_requests_are_in_one_build() -> None:
    other = replace(COMPLETE, id=24)
    shaped = build_details_json(
        BuildDetails(Build(11, 7, 1, 2, [COMPLETE, other]), [{"a": 1}, {"a": 2}])
    )
    assert [(r["request_id"], r["properties"]) for r in shaped["requests"]] == [
        (23, {"a": 1}),
        (24, {"a": 2}),
    ]


def test_a_request_tells_its_builds_and_properties() -> None:
    shaped = request_details_json(RequestDetails(COMPLETE, {"a": [1, None]}, (11, 12)))
    assert (shaped["properties"], shaped["build_ids"]) == ({"a": [1, None]}, [11, 12])


def test_a_list_is_flat_builds_first() -> None:
    shaped = list_json(BranchDay([RUNNING_BUILD, BUILD], [PENDING]))
    assert [item.get("build_id") for item in shaped] == [12, 11, None]


def test_a_user_has_three_lists() -> None:
    shaped = user_json(UserBuilds([BUILD], [RUNNING_BUILD], [PENDING]))
    assert {key: len(items) for key, items in shaped.items()} == {
        "builds": 1,
        "running": 1,
        "pending": 1,
    }


def test_an_unfinished_job_has_no_complete_data() -> None:
    shaped = job_json(JobRecord(5, "cancel_build", "zoë", 7, {"bid": 11}))
    assert shaped.keys() >= JOB_KEYS
    assert (shaped["id"], shaped["state"], shaped["items"]) == (5, "queued", [])
    assert (shaped["completed_at"], shaped["complete_data"]) == (None, None)


def test_a_finished_job_shows_the_report_as_it_came() -> None:
    report = {"body": {"errors": False, "msg": "11: Ok"}, "request_id": 5, "items": [{"x": 1}]}
    shaped = job_json(JobRecord(5, "cancel_build", "zoë", 7, {"bid": 11}, 9, report, JobState.DONE))
    assert shaped["complete_data"] == report
    assert (shaped["items"], shaped["state"], shaped["completed_at"]) == ([{"x": 1}], "done", 9)


ODD_REPORTS = [
    ({"body": {"errors": False, "msg": "Ok"}, "items": [1]}, []),
    ({"body": {"errors": False, "msg": "Ok"}, "items": [{"state": 5}, None, []]}, [{"state": 5}]),
    ({"body": {"errors": False, "msg": "Ok"}, "items": {"state": "done"}}, []),
    ({"body": {"errors": False, "msg": {"a": [1]}}}, []),
    ({"body": [1]}, []),
    ({"body": None, "items": 7}, []),
    ({"body": {}, "items": [{"request_id": [1], "build_id": {}, "master": 7}]}, [ANY]),
    ({}, []),
]


@pytest.mark.parametrize(("report", "items"), ODD_REPORTS, ids=str)
@twisted_test()
async def test_a_stored_report_of_another_shape_breaks_no_page(
    served: Served, report: dict[str, Any], items: list[Any]
) -> None:
    """Reports were stored unchecked once: every page and list that shows one is answered."""
    job = JobRecord(7, "cancel_build", "zoe", NOW, {"bid": 11}, NOW, report, JobState.DONE)
    served.jobs.jobs[7] = job
    shaped = job_json(job)
    assert shaped["items"] == items
    assert isinstance(shaped["complete_data"].get("body", {}).get("msg", ""), str)
    for path in ("/self-serve/jobs/7", "/self-serve/jobs", "/self-serve/jobs/7/trace", "/"):
        for headers in ({}, {"Accept": "application/json"}):
            answer = await served.ask("GET", path, headers)
            assert answer.status == 200, path
