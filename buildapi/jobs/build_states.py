"""Name the states of builds and requests in words, as pages and documents show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from buildapi.jobs.completeness import status
from buildapi.model.records import BranchDay, Build, BuildRequest, Stage
from buildapi.model.results import FAILURES, RESULT_WORDS, RETRY

PENDING, CLAIMED, RUNNING, ABANDONED = "pending", "claimed", "running", "abandoned"
"""``claimed``: a master has the request, and has not inserted its build yet."""

STATES = (PENDING, CLAIMED, RUNNING, *RESULT_WORDS.values(), ABANDONED)
OPEN = (PENDING, CLAIMED, RUNNING)
FAILED = tuple(RESULT_WORDS[result] for result in FAILURES)
RETRIED = RESULT_WORDS[RETRY]

Work: TypeAlias = Build | BuildRequest
"""A build, or a request without one."""


def build_state(*, abandoned: bool, result: int | None, ended: bool) -> str:
    """Return the word for a build's state; one that has ended without a result is a retry."""
    if abandoned:
        return ABANDONED
    if result is None:
        return RETRIED if ended else RUNNING
    return RESULT_WORDS.get(result, RETRIED)


def request_state(*, claimed: bool, complete: bool) -> str:
    """Return the word for the state of a request without a build."""
    # Buildbot 0.8.2 leaves claimed_at as it is when it completes a request.
    return CLAIMED if claimed and not complete else PENDING


def retried(builds: Iterable[tuple[int, Iterable[int]]]) -> set[int]:
    """Return the builds of whose requests there is a newer build, from pairs (build, requests).

    Buildbot 0.8 stores the result per request, not per build: if a request was retried, only its
    newest build has that result, and the older ones are retries.  Abandoned builds do not count.
    """
    newest: dict[int, int] = {}
    older: set[int] = set()
    for build_id, requests in builds:
        for request in requests:
            other = newest.setdefault(request, build_id)
            if other != build_id:
                older.add(min(other, build_id))
                newest[request] = max(other, build_id)
    return older


def states_of(found: BranchDay) -> Sequence[tuple[Work, str]]:
    """Return the builds and pending requests of a list with the words for their states."""
    standing = [b for b in found.builds if not b.is_abandoned]
    older = retried((b.id, [r.id for r in b.requests]) for b in standing)
    builds: list[tuple[Work, str]] = [(b, _state(b, older)) for b in found.builds]
    return builds + [
        (r, request_state(claimed=r.stage is Stage.CLAIMED, complete=r.complete))
        for r in found.pending
    ]


def _state(build: Build, older: set[int]) -> str:
    if build.is_abandoned:
        return ABANDONED
    if build.id in older:
        return RETRIED
    return build_state(abandoned=False, result=status(build), ended=build.finish_time is not None)
