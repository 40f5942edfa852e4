"""Every recorded read of self-serve, on SQLite and on MariaDB."""

from __future__ import annotations

import pytest

from tests.golden.cases import Case, read_cases
from tests.golden.client import Answer
from tests.golden.compare import read_differences, without_additions
from tests.golden.verdict import check


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.name)
def test_a_read_is_answered_as_recorded_or_as_the_table_of_differences_says(
    case: Case, answers: dict[str, Answer]
) -> None:
    answer = answers[case.name]
    now = without_additions(answer.json)
    check(case, read_differences(case.recorded, answer), answer, now)


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.name)
def test_a_recorded_read_is_answered_as_documented(case: Case, answers: dict[str, Answer]) -> None:
    assert answers[case.name].undocumented(case.recorded["request"]) == []
