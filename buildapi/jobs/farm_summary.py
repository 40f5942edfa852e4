"""Summarise pending requests and running builds of the farm, by branch and pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import attrs

from buildapi.model.farm_rows import PendingEntry, RunningBuild

STALE_SECONDS = 1800
"""Seconds without a refreshed claim after which a master counts as silent.

It is three times the longest pause: a master of Buildbot 0.8 refreshes its claims every 600 s.
"""


@attrs.frozen
class GroupLoad:
    """Numbers of one branch or pool; ``oldest`` is the submission time of the oldest request."""

    name: str
    pending: int
    running: int
    oldest: int | None


@attrs.frozen
class FarmSummary:
    """The summary of the farm; ``silent`` are masters that refresh their claims no more.

    ``known_pools`` are all pools, None if unknown.
    """

    pending: int
    running: int
    oldest: PendingEntry | None
    branches: Sequence[GroupLoad]
    pools: Sequence[GroupLoad]
    silent: Sequence[str]
    known_pools: Sequence[str] | None = None


def glance(
    pending: Sequence[PendingEntry],
    running: Sequence[RunningBuild],
    branch_of: Callable[[str | None], str],
    pool_of: Callable[[str], str],
    now: int,
) -> FarmSummary:
    """Summarize; ``branch_of`` names a stored branch, ``pool_of`` the pool of a builder."""
    return FarmSummary(
        pending=len(pending),
        running=len(running),
        oldest=min(pending, key=lambda e: e.submitted_at, default=None),
        branches=_loads(
            [(branch_of(e.branch), e.submitted_at) for e in pending],
            [branch_of(b.branch) for b in running],
        ),
        pools=_loads(
            [(pool_of(e.buildername), e.submitted_at) for e in pending],
            [pool_of(b.buildername) for b in running],
        ),
        silent=_silent(running, now),
    )


def _loads(pending: Iterable[tuple[str, int]], running: Iterable[str]) -> Sequence[GroupLoad]:
    """Count pending requests and running builds by name, the longest queue first."""
    waiting, oldest = Counter[str](), dict[str, int]()
    for name, submitted_at in pending:
        waiting[name] += 1
        oldest[name] = min(submitted_at, oldest.get(name, submitted_at))
    busy = Counter(running)
    loads = [GroupLoad(n, waiting[n], busy[n], oldest.get(n)) for n in {*waiting, *busy}]
    return sorted(loads, key=lambda load: (-load.pending, -load.running, load.name))


def _silent(running: Iterable[RunningBuild], now: int) -> Sequence[str]:
    heard: dict[str, int] = {}
    for build in running:
        if build.claimed_by_name is not None:
            last = heard.get(build.claimed_by_name, 0)
            heard[build.claimed_by_name] = max(last, build.master_seen_at)
    return sorted(name for name, last in heard.items() if now - last > STALE_SECONDS)
