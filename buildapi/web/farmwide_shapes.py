"""The JSON of the pages about the whole farm [docs/api.md]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import attrs

from buildapi.jobs.farmwide import UNKNOWN, branch_namer, waiting_entries
from buildapi.model.farmwide import (
    PendingEntry,
    PushCounts,
    RecentBuild,
    RevisionEntry,
    RunningBuild,
)

TOTAL = "TOTAL"


class Sourced(Protocol):
    """Something of a branch and a revision."""

    @property
    def branch(self) -> str | None:
        """Give the stored branch."""

    @property
    def revision(self) -> str | None:
        """Give the stored revision."""


S = TypeVar("S", bound=Sourced)
Nested = dict[str, dict[str, list[dict[str, Any]]]]


def nested(
    names: Iterable[str], items: Iterable[S], shape: Callable[[S], dict[str, Any]]
) -> Nested:
    """Sort items by branch and revision, keeping their order within; ``names`` are the branches."""
    name, found = branch_namer(names), Nested()
    for item in items:
        revisions = found.setdefault(name(item.branch), {})
        revisions.setdefault(item.revision or UNKNOWN, []).append(shape(item))
    return {branch: dict(sorted(found[branch].items())) for branch in sorted(found)}


def pending_json(names: Iterable[str], found: Iterable[PendingEntry]) -> Nested:
    """Shape open requests without a build; ``claimed_by_name`` is where a master starts one."""
    return nested(names, found, _pending_entry)


def _pending_entry(entry: PendingEntry) -> dict[str, Any]:
    shaped = {
        "id": entry.id,
        "buildername": entry.buildername,
        "submitted_at": entry.submitted_at,
    }
    if entry.claimed_by_name is not None:
        shaped["claimed_by_name"] = entry.claimed_by_name
    return shaped


def running_json(names: Iterable[str], found: Iterable[RunningBuild]) -> Nested:
    """Shape running builds; ``revision`` within is null where the key above is ``Unknown``."""
    return nested(names, found, _running_entry)


def _running_entry(build: RunningBuild) -> dict[str, Any]:
    return {
        "id": build.id,
        "request_ids": list(build.request_ids),
        "revision": build.revision,
        "buildername": build.buildername,
        "claimed_by_name": build.claimed_by_name,
        "number": build.number,
        "start_time": build.start_time,
        "submitted_at": build.submitted_at,
        "last_heartbeat": build.last_heartbeat,
    }


def revision_json(names: Iterable[str], found: Sequence[RevisionEntry]) -> dict[str, Nested]:
    """Shape what a revision has; each waiting request is there once, whatever it had before."""
    names = list(names)
    return {
        "all": nested(names, found, _revision_entry),
        "pending": pending_json(names, waiting_entries(found)),
    }


def _revision_entry(entry: RevisionEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "buildsetid": entry.buildsetid,
        "buildername": entry.buildername,
        "submitted_at": entry.submitted_at,
        "claimed_at": entry.claimed_at,
        "claimed_by_name": entry.claimed_by_name,
        "start_time": entry.start_time,
        "finish_time": entry.finish_time,
        "number": entry.number,
        "results": entry.results,
    }


def recent_json(found: Iterable[RecentBuild]) -> list[dict[str, Any]]:
    """Shape recent builds."""
    return [attrs.asdict(build) for build in found]


def pushes_json(found: PushCounts) -> Mapping[str, int]:
    """Shape counts; the sum takes the place of an author of its name."""
    return {**dict(sorted(found.by_author.items())), TOTAL: found.total}
