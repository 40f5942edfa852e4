"""Every recorded job request, from the request to the last effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.cases import Case, job_cases
from tests.golden.compare import job_differences
from tests.golden.databases import Files
from tests.golden.replay import ACCEPTED, replay
from tests.golden.verdict import check
from tests.reactor import twisted_test


@pytest.mark.parametrize("case", job_cases(), ids=lambda case: case.name)
@twisted_test(30)
async def test_a_job_request_ends_as_recorded_or_as_the_table_of_differences_says(
    case: Case, files: Files, tmp_path: Path
) -> None:
    seen = await replay(case, tmp_path, files)
    assert seen.nothing is (seen.answer.status not in ACCEPTED)
    assert seen.answer.undocumented(case.recorded["request"]) == []
    check(case, job_differences(case.recorded, seen), seen.answer, seen)
