"""Decide whether all builds of a revision are complete, and whether they passed."""

from __future__ import annotations

from buildapi.model.records import BranchDay, Build
from buildapi.model.results import RETRY, SUCCESS

# The original counted a retry as passed, and bots wait for its answer: it is kept so.
PASSED = {SUCCESS, RETRY}


def is_done(found: BranchDay, stable_delay: int, now: int) -> tuple[bool, bool]:
    """Return whether a revision is complete, and whether it passed.

    Complete: there is a build, no request is incomplete, and no build ended within the last
    ``stable_delay`` seconds; an abandoned build, which never ends, does not count.  Passed:
    complete, and every status is success or retry.
    """
    recent = any(_ended_lately(b, stable_delay, now) for b in found.builds)
    complete = bool(found.builds) and not found.is_open and not recent
    return complete, complete and all(status(b) in PASSED for b in found.builds)


def _ended_lately(build: Build, stable_delay: int, now: int) -> bool:
    return build.finish_time is not None and now - build.finish_time < stable_delay


def status(build: Build) -> int | None:
    """Return the result of the request a build is for; None while it is incomplete.

    Builds of Buildbot 0.8 have no results of their own: of a retried request the last one counts.
    """
    return build.requests[0].results
