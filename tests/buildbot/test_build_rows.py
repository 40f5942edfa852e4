"""Which builds of a request a dead master of 0.8 left without an end."""

from __future__ import annotations

import pytest

from buildapi.buildbot.v08.build_rows import with_left_over
from buildapi.model.facts import RequestFacts
from buildapi.model.records import RequestBuild
from tests.model.values import request

START = 1_700_000_000


def attempt(id_: int, number: int, start: int = 0, finish: int | None = None) -> RequestBuild:
    end = None if finish is None else START + finish
    return RequestBuild(id_, number, 1, START + start, end)


def running(*tries: RequestBuild) -> list[int]:
    facts = RequestFacts(request(), with_left_over(tries))
    return [t.id for t in facts.running]


@pytest.mark.parametrize(
    ("tries", "ids"),
    [
        ([], []),
        ([attempt(1, 9)], [1]),
        ([attempt(1, 9, finish=60)], []),
        # a retry: the slave was lost, the request given back and claimed again
        ([attempt(1, 9, finish=60), attempt(2, 10, 70)], [2]),
        ([attempt(1, 9, finish=60), attempt(2, 10, 70, finish=80)], []),
        # a double claim: two masters build it at the same time
        ([attempt(1, 9), attempt(2, 31, 2)], [1, 2]),
        ([attempt(1, 9, finish=40), attempt(2, 31, 2)], [2]),
        ([attempt(1, 9), attempt(2, 31, 2, finish=40)], [1]),
        # a master killed and restarted: it gives the number again
        ([attempt(1, 9), attempt(2, 9, 300)], [2]),
        ([attempt(1, 9), attempt(2, 9, 300), attempt(3, 9, 600)], [3]),
    ],
)
def test_running_tries(tries: list[RequestBuild], ids: list[int]) -> None:
    assert running(*tries) == ids


def test_what_a_killed_master_left_is_not_running_when_its_successor_has_ended() -> None:
    assert running(attempt(1, 9), attempt(2, 9, 300, finish=400)) == []


@pytest.mark.parametrize("finish", [None, 4400])
def test_what_a_dead_master_left_is_not_running_when_another_took_the_request(
    finish: int | None,
) -> None:
    """Another master takes a request only when its claim is older than an hour."""
    tries = attempt(1, 9), attempt(2, 31, 4000, finish=finish)
    assert running(*tries) == ([2] if finish is None else [])
