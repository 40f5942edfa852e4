"""Return which rows of ``builds`` are one build of a 0.8 master, and which a dead master left.

A master of Buildbot 0.8 inserts one row per request that a build serves, all with one number, and
records nowhere that they belong together.  It never ends the rows of a build that it was killed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from buildapi.model.farm_rows import RunningBuild
from buildapi.model.records import BuildRequest, RequestBuild

# 3600 less 600: claims are refreshed every 600 s, so that of a master that dies may be this much
# older than the start of its build.
CLAIM_LAPSES = 3000
"""Seconds between the starts of two builds beyond which they are no double claim.

A master of Buildbot 0.8 takes a claim over once ``claimed_at`` is 3600 seconds old.
"""


class StoredRequest(BuildRequest, frozen=True):
    """A row of ``buildrequests`` with the incarnation of its master: its process and start."""

    claimed_by_incarnation: str | None


class BuildRow(msgspec.Struct, frozen=True):
    """A row of ``builds`` with its request."""

    build: RequestBuild
    request: StoredRequest

    @property
    def shared_key(self) -> object:
        """Return the key that rows of coalesced requests of one build share.

        A master claims all requests of a build in one UPDATE, so their claims have one time.
        Without a claim nothing shows that two rows are one build.
        """
        r = self.request
        if r.claimed_by_name is None:
            return self.build.id
        # The incarnation too: a master that was killed uses the numbers of lost builds again
        # (0.8.2).
        who = (r.claimed_by_name, r.claimed_by_incarnation, r.claimed_at)
        return (*who, r.buildername, self.build.number)


def is_left_over(old: RequestBuild, later: Iterable[RequestBuild]) -> bool:
    """Return whether a build without an end is left over from a master that died.

    Then a later build of the request has its number (the restarted master assigns it
    again), or began after the claim had lapsed (another master took over).
    """
    return any(
        one.number == old.number or one.start_time - old.start_time > CLAIM_LAPSES for one in later
    )


def with_left_over(builds: Sequence[RequestBuild]) -> Sequence[RequestBuild]:
    """Mark the left over ones of the builds of one request, which come oldest first."""
    return [
        replace(b, left_over=b.finish_time is None and is_left_over(b, builds[i + 1 :]))
        for i, b in enumerate(builds)
    ]


class RunningRow(msgspec.Struct, frozen=True):
    """A row of ``builds`` without a finish time, with its claimed request."""

    build_id: int
    number: int
    start_time: int
    request_id: int
    buildername: str
    claimed_by_name: str | None
    claimed_by_incarnation: str | None
    claimed_at: int
    submitted_at: int
    branch: str | None
    revision: str | None


def running_builds(rows: Iterable[RunningRow]) -> list[RunningBuild]:
    """List running builds, the latest started first; coalesced requests share one build.

    A killed master leaves a row without an end: after a restart a new one has the same number, and
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
    # Without the time of the claim, unlike shared_key [docs/compatibility.md, "The pages of the
    # whole farm"].
    return row.claimed_by_name, row.claimed_by_incarnation, row.buildername, row.number


def _build(rows: Sequence[RunningRow]) -> RunningBuild:
    """Combine rows: the values of the newest request, the submission time of the oldest."""
    # /running promises these [docs/compatibility.md, "The pages of the whole farm"].
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
        # A 0.8 master refreshes claimed_at every 600 s while it builds: only that shows it alive.
        master_seen_at=max(r.claimed_at for r in rows),
        branch=newest.branch,
        revision=newest.revision,
    )
