"""Derive branches and pending requests from rows of the whole farm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from buildapi.model.farm_rows import PendingEntry, RevisionEntry
from buildapi.model.records import awaits_build

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
        # Not Branch.owns: keys of these documents are named as in the original
        # [docs/compatibility.md, "The pages of the whole farm"].
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
