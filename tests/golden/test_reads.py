"""Every recorded read of self-serve, on SQLite and on MariaDB."""

from __future__ import annotations

import pytest

from tests.golden.cases import Case, read_cases
from tests.golden.client import Answer
from tests.golden.compare import read_differences


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.name)
def test_a_read_answers_as_recorded_or_as_the_table_of_differences_says(
    case: Case, answers: dict[str, Answer]
) -> None:
    assert not read_differences(case.recorded, answers[case.name])
