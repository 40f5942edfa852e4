"""That ids of jobs begin again is noticed once, warned about, and mended."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from buildapi.errors import DatabaseUnavailable
from buildapi.ops.job_id_guard import JobIdGuard, JobIdReset
from tests.reactor import twisted_test


@attrs.define
class Numbers:
    """The highest ids of a marker and of a job, as databases tell them."""

    marker: int
    job: int
    can_move: bool = True
    error: Exception | None = None
    moved: list[int] = attrs.field(factory=list)

    async def highest_marker(self) -> int:
        if self.error is not None:
            raise self.error
        return self.marker

    async def highest_job(self) -> int:
        return self.job

    async def move_past(self, past: int) -> bool:
        self.moved.append(past)
        return self.can_move

    def numbering(self) -> JobIdGuard:
        return JobIdGuard(self.highest_marker, self.highest_job, self.move_past)


@pytest.mark.parametrize("can_move", [True, False])
@twisted_test()
async def test_ids_behind_the_markers_are_moved_on_and_told_once(can_move: bool) -> None:
    numbers = Numbers(50, 30, can_move)
    numbering = numbers.numbering()
    for turn in range(4):
        await numbering.check(1000 + turn * 10)
    assert set(numbers.moved) == {50}
    assert numbering.last == JobIdReset(1000, 30, 50, can_move)
    numbers.marker, numbers.job = 80, 20  # and once more, after another restore
    await numbering.check(1000 + 40)
    assert numbers.moved[-1] == 80
    assert numbering.last == JobIdReset(1000 + 40, 20, 80, can_move)


@pytest.mark.parametrize(("marker", "job"), [(0, 0), (30, 30), (30, 50)])
@twisted_test()
async def test_ids_that_are_not_behind_are_left_alone(marker: int, job: int) -> None:
    numbers = Numbers(marker, job)
    numbering = numbers.numbering()
    await numbering.check(1000)
    assert (numbers.moved, numbering.last) == ([], None)


@twisted_test()
async def test_a_database_that_is_away_is_asked_again_with_the_next_sign(
    logged_errors: list[Any],
) -> None:
    numbers = Numbers(50, 30, error=DatabaseUnavailable("away"))
    numbering = numbers.numbering()
    await numbering.check(1000)
    numbers.error = None
    await numbering.check(1010)
    assert numbers.moved == [50]
    assert logged_errors == []
