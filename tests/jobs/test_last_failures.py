"""Which builds "rebuild all failed" is about."""

from __future__ import annotations

import pytest

from buildapi.jobs.last_failures import last_failures

LINUX, MAC = "linux", "mac"


@pytest.mark.parametrize(
    ("jobs", "chosen"),
    [
        ([], []),
        ([(LINUX, "failure", 2), (MAC, "exception", 1)], [1, 2]),
        ([(LINUX, "success", 1), (MAC, "warnings", 2), ("win", "cancelled", 3)], []),
        ([(LINUX, "failure", 1), (LINUX, "failure", 2)], [2]),
        ([(LINUX, "success", 2), (LINUX, "failure", 1)], []),
        ([(LINUX, "failure", 2), (LINUX, "success", 1)], [2]),
        ([(LINUX, "failure", 1), (LINUX, "running", 2)], []),
        ([(LINUX, "failure", 1), (LINUX, "pending", None)], []),
        ([(LINUX, "failure", 1), (LINUX, "claimed", None), (MAC, "failure", 3)], [3]),
        ([(LINUX, "failure", 1), (LINUX, "retry", 2), (LINUX, "abandoned", 3)], [1]),
    ],
    ids=[
        "nothing",
        "each builder whose build failed",
        "what did not fail",
        "one that failed twice, once",
        "one that passed since",
        "one that failed since",
        "one that runs again",
        "one that waits again",
        "one that a master begins",
        "what was retried tells nothing",
    ],
)
def test_the_newest_failed_build_of_each_builder_is_chosen(
    jobs: list[tuple[str, str, int | None]], chosen: list[int]
) -> None:
    assert last_failures(jobs) == chosen
