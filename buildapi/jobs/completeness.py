"""Is this push done, and did it pass?"""

from __future__ import annotations

from buildapi.model.records import BranchDay, Build
from buildapi.model.results import RETRY, SUCCESS

PASSED = {SUCCESS, RETRY}


def is_done(found: BranchDay, stable_delay: int, now: int) -> tuple[bool, bool]:
    """Return whether a revision is complete, and whether it passed.

    Complete: there is a build, no request is open, and every build ended at least
    ``stable_delay`` seconds ago; an abandoned one never will.  Passed: complete, and every status
    is success or retry.
    """
    recent = any(_ended_lately(b, stable_delay, now) for b in found.builds)
    complete = bool(found.builds) and not found.is_open and not recent
    return complete, complete and all(status(b) in PASSED for b in found.builds)


def _ended_lately(build: Build, stable_delay: int, now: int) -> bool:
    return build.finish_time is not None and now - build.finish_time < stable_delay


def status(build: Build) -> int | None:
    """Give the result of the request a build is for; None while it is tried (again)."""
    return build.requests[0].results
