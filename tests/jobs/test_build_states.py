"""The words for the states of builds and requests."""

from __future__ import annotations

import pytest

from buildapi.jobs.build_states import (
    OPEN,
    STATES,
    build_state,
    request_state,
    retried,
    states_of,
)
from buildapi.model.records import BranchDay, Build, BuildRequest
from tests.model.values import claimed, request

T0 = 1_700_000_200


def build(id_: int = 1, finish: int | None = T0, *requests: BuildRequest) -> Build:
    return Build(id_, 1, T0 - 50, finish, requests or (claimed(complete=True, results=0),))


@pytest.mark.parametrize(
    ("result", "ended", "word"),
    [
        (0, True, "success"),
        (1, True, "warnings"),
        (2, True, "failure"),
        (3, True, "skipped"),
        (4, True, "exception"),
        (5, True, "retry"),
        (6, True, "cancelled"),
        (None, False, "running"),
        (None, True, "retry"),
        (99, True, "retry"),
    ],
)
def test_a_result_has_one_word(result: int | None, ended: bool, word: str) -> None:
    assert build_state(abandoned=False, result=result, ended=ended) == word
    assert build_state(abandoned=True, result=result, ended=ended) == "abandoned"
    assert word in STATES


def test_a_request_is_claimed_until_it_is_complete() -> None:
    assert request_state(claimed=False, complete=False) == "pending"
    assert request_state(claimed=True, complete=False) == "claimed"
    assert request_state(claimed=True, complete=True) == "pending"


def test_the_words_of_what_goes_on_are_words_of_states() -> None:
    assert set(OPEN) < set(STATES)
    assert len(set(STATES)) == len(STATES)


@pytest.mark.parametrize(
    ("builds", "older"),
    [
        ([], set()),
        ([(1, [7])], set()),
        ([(1, [7]), (2, [7])], {1}),
        ([(3, [7]), (1, [7]), (2, [7])], {1, 2}),
        ([(1, [7, 8]), (2, [8])], {1}),
        ([(1, [7]), (2, [8])], set()),
    ],
)
def test_a_build_is_retried_if_a_request_of_it_has_a_newer_one(
    builds: list[tuple[int, list[int]]], older: set[int]
) -> None:
    assert retried(builds) == older


def test_only_the_newest_build_of_a_request_has_its_result() -> None:
    done = claimed(complete=True, results=2)
    waiting, taken = request(id=8), claimed(id=9)
    found = BranchDay([build(2, T0, done), build(1, T0, done)], [waiting, taken])
    words = [(work.id, word) for work, word in states_of(found)]
    assert words == [(2, "failure"), (1, "retry"), (8, "pending"), (9, "claimed")]


def test_a_build_that_nobody_works_on_is_abandoned_and_retries_nothing() -> None:
    done = claimed(complete=True, results=0)
    found = BranchDay([build(2, None, done), build(1, T0, done)], [])
    assert [word for _, word in states_of(found)] == ["abandoned", "success"]
