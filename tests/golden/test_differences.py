"""The table of differences, the page made of it, and what is not replayed."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from buildapi.jobs import decide
from buildapi.model.actions import ACTIONS
from tests.golden.cases import NOT_YET, Case, all_job_cases, is_later, job_cases, read_cases
from tests.golden.client import Answer
from tests.golden.differences import BEGIN, DIFFERENCES, END, PAGE, Difference, markdown
from tests.golden.verdict import check


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


def test_the_page_shows_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == markdown()


def test_the_page_names_every_action_that_is_not_there_yet() -> None:
    page = PAGE.read_text(encoding="utf-8")
    later = {action for c in all_job_cases() if is_later(c) for action in _actions(c.recorded)}
    assert later
    assert not [action for action in later if f"`{action}`" not in page]


def test_only_cases_of_actions_that_are_not_there_are_left_out() -> None:
    for case in all_job_cases():
        there = {action in ACTIONS for action in _actions(case.recorded)}
        assert there <= {not is_later(case)}, case


def test_a_kind_of_case_that_is_left_out_exists() -> None:
    left_out = [c for c in all_job_cases() if is_later(c)]
    assert {c.name.partition("/")[0] + "/*" for c in left_out} == set(NOT_YET)


@pytest.mark.parametrize("text", [decide.OK, decide.CANCEL_FAILED, decide.NOTHING_CREATED])
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
