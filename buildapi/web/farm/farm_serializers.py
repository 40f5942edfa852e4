"""JSON of the farm-wide pages [docs/api.md]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from buildapi.jobs.farm_views import UNKNOWN, branch_namer, waiting_entries
from buildapi.jobs.push_index import NO_PUSHES, PushIndex
from buildapi.model.farm_rows import (
    PendingEntry,
    PushCounts,
    RecentBuild,
    RevisionEntry,
    RunningBuild,
)
from buildapi.model.records import Build
from buildapi.web.farm.documents import (
    FoundRevision,
    PendingItem,
    PendingLists,
    PushesDocument,
    RecentDocument,
    RevisionItem,
    RunningItem,
    RunningLists,
)

TOTAL = "TOTAL"
NO_WORKERS: Mapping[int, str] = {}


class Sourced(Protocol):
    """An object with a branch and a revision."""

    @property
    def branch(self) -> str | None:
        """Return the branch as stored."""

    @property
    def revision(self) -> str | None:
        """Return the revision as stored."""


S = TypeVar("S", bound=Sourced)
D = TypeVar("D", PendingItem, RunningItem, RevisionItem)


def nested(
    names: Iterable[str], items: Iterable[S], shape: Callable[[S], D], pushes: PushIndex
) -> dict[str, dict[str, list[D]]]:
    """Group items by branch and revision, sorted by both; ``names`` are the known branches.

    Those whose push is known have its ``author`` and ``comments``.
    """
    name, found = branch_namer(names), dict[str, dict[str, list[D]]]()
    for item in items:
        shaped = shape(item)
        words = pushes.words(item.branch, item.revision)
        if words is not None:
            shaped["author"], shaped["comments"] = words
        revisions = found.setdefault(name(item.branch), {})
        revisions.setdefault(item.revision or UNKNOWN, []).append(shaped)
    return {branch: dict(sorted(found[branch].items())) for branch in sorted(found)}


def pending_json(
    names: Iterable[str], found: Iterable[PendingEntry], pushes: PushIndex = NO_PUSHES
) -> PendingLists:
    """Return open requests without a build as JSON; claimed ones have ``claimed_by_name``."""
    return nested(names, found, _pending_entry, pushes)


def _pending_entry(entry: PendingEntry) -> PendingItem:
    shaped: PendingItem = {
        "id": entry.id,
        "buildername": entry.buildername,
        "submitted_at": entry.submitted_at,
    }
    # Only there: a pending item keeps the keys that clients know (docs/api.md, "Reads").
    if entry.claimed_by_name is not None:
        shaped["claimed_by_name"] = entry.claimed_by_name
    return shaped


def running_json(
    names: Iterable[str],
    found: Iterable[RunningBuild],
    pushes: PushIndex = NO_PUSHES,
    workers: Mapping[int, str] = NO_WORKERS,
) -> RunningLists:
    """Return running builds as JSON; ``revision`` is null where the key above is ``Unknown``.

    ``workers`` are those of the builds, by id, as far as they are known.
    """
    return nested(names, found, partial(_running_entry, workers), pushes)


def _running_entry(workers: Mapping[int, str], build: RunningBuild) -> RunningItem:
    shaped: RunningItem = {
        "id": build.id,
        "request_ids": list(build.request_ids),
        "revision": build.revision,
        "buildername": build.buildername,
        "claimed_by_name": build.claimed_by_name,
        "number": build.number,
        "start_time": build.start_time,
        "submitted_at": build.submitted_at,
        # A living 0.8 master renews claimed_at every 600 seconds.
        "last_heartbeat": build.master_seen_at,
    }
    if build.id in workers:
        shaped["worker"] = workers[build.id]
    return shaped


def revision_json(
    names: Iterable[str], found: Sequence[RevisionEntry], pushes: PushIndex = NO_PUSHES
) -> FoundRevision:
    """Return a revision as JSON; each waiting request is in ``pending`` once, even if retried."""
    names = list(names)
    return {
        "all": nested(names, found, _revision_entry, pushes),
        "pending": pending_json(names, waiting_entries(found), pushes),
    }


def _revision_entry(entry: RevisionEntry) -> RevisionItem:
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


def recent_json(
    found: Iterable[RecentBuild],
    builds: Mapping[int, Build],
    branch_of: Callable[[str | None], str | None],
    pushes: PushIndex = NO_PUSHES,
) -> list[RecentDocument]:
    """Return recent builds as JSON.

    ``builds`` are those of the schedulers, by the ids of recent ones, as far as they are known;
    ``branch_of`` names a stored branch.
    """
    return [_recent_build(build, builds.get(build.id), branch_of, pushes) for build in found]


def _recent_build(
    build: RecentBuild,
    known: Build | None,
    branch_of: Callable[[str | None], str | None],
    pushes: PushIndex,
) -> RecentDocument:
    shaped: RecentDocument = {
        "id": build.id,
        "buildname": build.buildname,
        "buildername": build.buildername,
        "buildnumber": build.buildnumber,
        "starttime": build.starttime,
        "endtime": build.endtime,
        "result": build.result,
        "slavename": build.slavename,
        "master": build.master,
    }
    if known is None:
        return shaped
    first = known.requests[0]
    branch, words = branch_of(first.branch), pushes.words(first.branch, first.revision)
    if branch is not None:
        shaped["build_id"], shaped["branch"] = known.id, branch
    if words is not None:
        shaped["author"], shaped["comments"] = words
    return shaped


def pushes_json(found: PushCounts) -> PushesDocument:
    """Return push counts by author as JSON; the total replaces an author named ``TOTAL``."""
    # A key of the Pylons program, beside those of the authors.
    return {**dict(sorted(found.by_author.items())), TOTAL: found.total}
