"""Tell which branches are red: the latest push that is finished has failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from buildapi.jobs.push_summary import PushSummary
from buildapi.model.pushes import Push


def is_finished(push: PushSummary) -> bool:
    """Return whether a push has jobs, all of which have ended."""
    return bool(push.counts) and not push.is_open


def latest_finished(newest_first: Iterable[PushSummary]) -> PushSummary | None:
    """Return the first push that is finished, None if none is."""
    return next(filter(is_finished, newest_first), None)


def by_branch(newest_first: Iterable[Push], branches: int, pushes: int) -> Sequence[Sequence[Push]]:
    """Group pushes by branch, newest first: of at most so many branches, at most so many each.

    The branches with the newest pushes are kept.
    """
    found: dict[str, list[Push]] = {}
    for push in newest_first:
        if push.branch.name in found or len(found) < branches:
            found.setdefault(push.branch.name, []).append(push)
    return [group[:pushes] for group in found.values()]
