"""The table of differences, and that no action is left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from buildapi.jobs.cancel import CANCEL_FAILED
from buildapi.jobs.new_builds import CHANGE_FAILED
from buildapi.jobs.plan_outcomes import NOTHING_CREATED, OK
from buildapi.model.actions import ACTIONS
from tests.golden.cases import Case, job_cases, read_cases
from tests.golden.client import Answer
from tests.golden.difference import Difference
from tests.golden.differences import DIFFERENCES
from tests.golden.verdict import check

PAGE = Path(__file__).parents[2] / "docs/compatibility.md"


@pytest.fixture(scope="module")
def names() -> Sequence[str]:
    """List the cases that are replayed."""
    return [case.name for case in (*read_cases(), *job_cases())]


@pytest.mark.parametrize(
    ("listed", "pattern"),
    [(d, pattern) for d in DIFFERENCES for pattern in d.cases],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pattern_of_the_table_stands_for_a_case(
    listed: Difference, pattern: str, names: Sequence[str]
) -> None:
    alone = Difference([pattern], listed.why, listed.respects)
    assert any(alone.covers(name) for name in names)


def test_no_case_is_listed_twice(names: Sequence[str]) -> None:
    twice = [n for n in names if sum(d.covers(n) for d in DIFFERENCES) > 1]
    assert not twice


def test_case_names_are_unique(names: Sequence[str]) -> None:
    assert len(set(names)) == len(names)


def test_every_action_is_replayed() -> None:
    assert {a for c in job_cases() for a in _actions(c.recorded)} == set(ACTIONS)


@pytest.mark.parametrize("text", [OK, CANCEL_FAILED, NOTHING_CREATED, CHANGE_FAILED])
def test_the_page_shows_the_texts_of_reports(text: str) -> None:
    assert f"`{text}`" in PAGE.read_text(encoding="utf-8")


def test_a_difference_that_is_not_listed_fails() -> None:
    with pytest.raises(AssertionError, match="status was 200, is 404"):
        check(PLAIN, {"status": "was 200, is 404"}, Answer(404, {}, b""), None)


def test_a_listed_case_that_is_equal_fails() -> None:
    with pytest.raises(AssertionError, match="unlist it"):
        check(LISTED, {}, Answer(404, {}, b""), None)


def test_a_listed_case_that_differs_in_one_more_respect_fails() -> None:
    found = {"status": "was 200, is 404", "body": "was 1, is 2", "type": "was a, is b"}
    with pytest.raises(AssertionError, match="type was a, is b"):
        check(LISTED, found, Answer(404, {}, b"Revision % not found"), None)


def test_a_listed_case_with_another_present_status_fails() -> None:
    found = {"status": "was 200, is 500", "body": "was 1, is 2"}
    with pytest.raises(AssertionError, match="500"):
        check(LISTED, found, Answer(500, {}, b"Revision % not found"), None)


PLAIN, LISTED = Case("branches/json", b"{}"), Case("rev/percent", b"{}")


def _actions(recorded: dict[str, object]) -> Sequence[str]:
    messages = recorded.get("message", [])
    assert isinstance(messages, list)
    return [json.loads(message["body_raw"])["action"] for message in messages]
