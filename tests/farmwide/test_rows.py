"""The names branches are shown by, and which rows are one running build."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from buildapi.buildbot.v08.build_rows import running_builds
from buildapi.jobs.farm_views import branch_namer
from tests.farmwide.doubles import NOW, a_row

NAMES = ["mozilla-central", "try", "try-comm-central", "mozilla-beta", ""]


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("mozilla-central", "mozilla-central"),
        ("releases/mozilla-beta-linux-unittest", "mozilla-beta"),
        ("try-comm-central-linux", "try-comm-central"),
        ("try-comm", "try"),
        ("tryout", "try"),
        ("users/x/mozilla-central", "mozilla-central"),
        ("users/try/other", "Unknown"),
        ("Try", "Unknown"),
        ("try/", "Unknown"),
        ("", "Unknown"),
        (None, "Unknown"),
    ],
)
def test_the_longest_name_that_the_last_part_begins_with_counts(
    stored: str | None, name: str
) -> None:
    namer: Callable[[str | None], str] = branch_namer(NAMES)
    assert namer(stored) == name


def test_coalesced_requests_are_one_build_with_the_values_of_the_newest() -> None:
    rows = [
        a_row(build_id=13, request_id=23, branch="new", revision="r2", submitted_at=NOW - 50),
        a_row(build_id=12, request_id=22, branch="old", revision="r1", claimed_at=NOW - 5),
    ]
    for ordered in (rows, rows[::-1]):
        (build,) = running_builds(ordered)
        assert (build.id, build.request_ids) == (13, (22, 23))
        assert (build.branch, build.revision) == ("new", "r2")
        assert (build.submitted_at, build.master_seen_at) == (NOW - 400, NOW - 5)


@pytest.mark.parametrize(
    "other",
    [
        {"number": 8},
        {"buildername": "mac"},
        {"claimed_by_name": "m2"},
        {"claimed_by_incarnation": "pid2"},
    ],
    ids=str,
)
def test_other_builds_stay_apart(other: dict[str, object]) -> None:
    rows = [a_row(), a_row(build_id=13, request_id=23, **other)]
    assert len(running_builds(rows)) == 2


def test_rows_that_name_no_master_stay_apart() -> None:
    rows = [a_row(build_id=id_, request_id=id_, claimed_by_name=None) for id_ in (1, 2)]
    assert len(running_builds(rows)) == 2


def test_a_row_that_a_killed_master_left_is_superseded() -> None:
    left, now = a_row(build_id=12, start_time=NOW - 900), a_row(build_id=14)
    (build,) = running_builds([left, now])
    assert (build.id, build.start_time, build.request_ids) == (14, NOW - 300, (22,))


def test_the_latest_started_comes_first() -> None:
    rows = [a_row(build_id=n, number=n, start_time=NOW - 100 + n % 3) for n in range(1, 6)]
    assert [b.id for b in running_builds(rows)] == [5, 2, 4, 1, 3]
