"""Every recorded read of self-serve, on SQLite and on MariaDB."""

from __future__ import annotations

import json

import pytest

from tests.golden.cases import Case, read_cases
from tests.golden.client import Answer
from tests.golden.compare import JSON, read_differences
from tests.golden.verdict import check
from tests.openapi.conformity import undocumented


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.name)
def test_a_read_is_answered_as_recorded_or_as_the_table_of_differences_says(
    case: Case, answers: dict[str, Answer]
) -> None:
    answer = answers[case.name]
    now = json.loads(answer.body) if answer.media_type == JSON and answer.body else None
    check(case, read_differences(case.recorded, answer), answer, now)


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.name)
def test_a_recorded_read_is_answered_as_documented(case: Case, answers: dict[str, Answer]) -> None:
    answer, asked = answers[case.name], case.recorded["request"]
    now = json.loads(answer.body) if answer.media_type == JSON and answer.body else None
    found = undocumented(asked["method"], asked["path"], answer.status, answer.media_type, now)
    assert list(found) == []
