"""Which new requests a finished job has submitted for which old build or request."""

from __future__ import annotations

from typing import Any

import pytest

from buildapi.jobs.rebuild_links import rebuilds_of
from buildapi.model.rebuilds import OF_BUILD, OF_REQUEST, Rebuild, RebuildOrigin
from buildapi.model.records import JobRecord

NEW = {"state": "done", "detail": "submitted", "request_id": 31, "buildset_id": 41}


def job(action: str, **what: Any) -> JobRecord:
    return JobRecord(7, action, "zoe", 1, what)


def outcome(*items: Any) -> dict[str, Any]:
    return {"body": {"errors": False, "msg": "Ok"}, "items": list(items)}


def test_the_new_requests_are_those_with_a_buildset() -> None:
    looked_at = {"state": "done", "detail": "looked at", "request_id": 21}
    failed = NEW | {"state": "failed", "request_id": 33}
    found = rebuilds_of(
        job("rebuild_build", bid=11), outcome(looked_at, NEW, NEW | {"request_id": 32}, failed)
    )
    origin = RebuildOrigin(OF_BUILD, 11)
    assert found == [Rebuild(origin, 31, 7), Rebuild(origin, 32, 7)]


def test_a_request_that_is_rebuilt_is_the_origin() -> None:
    found = rebuilds_of(job("rebuild_request", brid=21), outcome(NEW))
    assert found == [Rebuild(RebuildOrigin(OF_REQUEST, 21), 31, 7)]


def test_other_jobs_rebuild_nothing() -> None:
    assert rebuilds_of(job("new_build_for_builder", branch="try"), outcome(NEW)) == []


@pytest.mark.parametrize(
    "report",
    [
        {"body": {"errors": False, "msg": "Ok"}},
        outcome("31", 31, None),
        outcome(NEW | {"request_id": "31"}, NEW | {"request_id": True}),
        outcome(NEW | {"request_id": 2**31}, NEW | {"buildset_id": None}),
    ],
)
def test_outcomes_that_name_no_request_link_none(report: dict[str, Any]) -> None:
    assert rebuilds_of(job("rebuild_build", bid=11), report) == []


@pytest.mark.parametrize("what", [{}, {"bid": "11"}, {"bid": -1}, {"brid": 11}])
def test_a_job_that_names_no_build_links_nothing(what: dict[str, Any]) -> None:
    assert rebuilds_of(job("rebuild_build", **what), outcome(NEW)) == []
