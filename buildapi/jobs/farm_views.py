"""Derive branches, pending requests and running builds from rows of the whole farm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from buildapi.model.farm_rows import PendingEntry, RevisionEntry, RunningBuild, RunningRow
from buildapi.model.records import CLAIM_LAPSES, awaits_build

UNKNOWN = "Unknown"
"""Shown in place of a missing branch or revision."""

STORED_MAX = 10_000
"""Maximum number of stored branches whose names are cached for one list."""


def branch_namer(names: Iterable[str]) -> Callable[[str | None], str]:
    """Return a function that names stored branches: the longest name the last part begins with.

    The last part of ``releases/mozilla-beta-linux-unittest`` is what follows the slash.
    """
    longest_first = sorted(names, key=len, reverse=True)

    @lru_cache(STORED_MAX)
    def name(stored: str | None) -> str:
        last = (stored or "").rpartition("/")[2]
        return next((n for n in longest_first if n and last.startswith(n)), UNKNOWN)

    return name


def waiting_entries(rows: Iterable[RevisionEntry]) -> list[PendingEntry]:
    """List incomplete requests without a build, each once, from a row for each of their builds."""
    groups: dict[int, list[RevisionEntry]] = {}
    for row in rows:
        groups.setdefault(row.id, []).append(row)
    return [group[0].pending for group in groups.values() if _awaits_build(group)]


def _awaits_build(rows: Sequence[RevisionEntry]) -> bool:
    ends = [row.finish_time for row in rows if row.start_time is not None]
    return awaits_build(rows[0].complete, rows[0].claimed_at, ends)


def running_builds(rows: Iterable[RunningRow]) -> list[RunningBuild]:
    """List running builds, the latest started first; coalesced requests share one build.

    A master of Buildbot 0.8 inserts a row of ``builds`` per coalesced request, with one number.  A
    killed master leaves a row without an end: after a restart a new one has the same number, and
    the later counts; if another master took the request over, the old one does not run.
    """
    of_request: dict[int, list[RunningRow]] = {}
    for row in (rows := list(rows)):
        of_request.setdefault(row.request_id, []).append(row)
    groups: dict[object, list[RunningRow]] = {}
    for row in rows:
        later = (r for r in of_request[row.request_id] if r.build_id > row.build_id)
        if not any(r.start_time - row.start_time > CLAIM_LAPSES for r in later):
            groups.setdefault(_shared(row), []).append(row)
    builds = map(_build, groups.values())
    return sorted(builds, key=lambda b: (b.start_time, b.id), reverse=True)


def _shared(row: RunningRow) -> object:
    if row.claimed_by_name is None:
        return row.build_id
    return row.claimed_by_name, row.claimed_by_incarnation, row.buildername, row.number


def _build(rows: Sequence[RunningRow]) -> RunningBuild:
    """Combine rows: the values of the newest request, the submission time of the oldest."""
    newest = max(rows, key=lambda r: (r.request_id, r.build_id))
    oldest = min(rows, key=lambda r: r.request_id)
    return RunningBuild(
        id=newest.build_id,
        request_ids=tuple(sorted({r.request_id for r in rows})),
        number=newest.number,
        buildername=newest.buildername,
        claimed_by_name=newest.claimed_by_name,
        start_time=newest.start_time,
        submitted_at=oldest.submitted_at,
        last_heartbeat=max(r.claimed_at for r in rows),
        branch=newest.branch,
        revision=newest.revision,
    )
