"""Read what pages about the whole farm show from the scheduler database of a 0.8 farm.

Every query is bounded: a list by the pool's row limit, counts by a start time.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.buildbot.v08.branch_conditions import let_through
from buildapi.buildbot.v08.build_reads import bounded
from buildapi.buildbot.v08.build_rows import RunningRow, running_builds
from buildapi.buildbot.v08.push_counts import FOLLOWING, PushCounter, counts
from buildapi.buildbot.v08.queries import (
    BUILDS,
    OF_REVISION,
    REQUESTS,
    WITHOUT_BUILD,
    claim_seconds,
    maybe_seconds,
    revision_pattern,
    seconds,
)
from buildapi.db.sql import Column, Database, Query, Read
from buildapi.model.farm_rows import (
    BranchFilter,
    OpenWork,
    PendingEntry,
    Portion,
    PushCounts,
    RevisionEntry,
    RunningBuild,
)
from buildapi.model.results import known_result
from buildapi.model.revisions import RevisionMatch


@attrs.define
class SQLFarmReads:
    """Read from a replica, and from the primary a revision that the replica lacks."""

    _replica: Database
    _primary: Database | None = None
    _pushes: PushCounter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pushes = PushCounter(self._replica)

    async def pending(self, branches: BranchFilter, portion: Portion) -> Sequence[PendingEntry]:
        """List open requests without a build, the latest submitted first.

        :raises BadRequest: there are more than one read may return.
        """
        where, params = let_through("ss.branch", branches)
        # Neither MySQL nor SQLite has OFFSET without LIMIT.
        if portion.limit is None:
            entries = await bounded(pending(where).many(self._replica, **params))
            return entries[portion.offset :]
        return await bounded(
            pending(where, " LIMIT :limit OFFSET :offset").many(
                self._replica, limit=portion.limit, offset=portion.offset, **params
            )
        )

    async def running(self, branches: BranchFilter, portion: Portion) -> Sequence[RunningBuild]:
        """List running builds, the latest started first.

        :raises BadRequest: there are more than one read may return.
        """
        where, params = let_through("ss.branch", branches)
        # Not LIMIT, which would cut rows: coalesced requests have one each, and are one build.
        builds = running_builds(await bounded(running(where).many(self._replica, **params)))
        end = None if portion.limit is None else portion.offset + portion.limit
        return builds[portion.offset : end]

    async def open(self) -> OpenWork:
        """Return all pending requests and running builds, as of one moment.

        :raises BadRequest: there are more than one read may return.
        """

        def reading(read: Read) -> OpenWork:
            # In this order nothing is missed on tables without snapshots (MyISAM).
            waiting = pending("1 = 1").all_of(read)
            return OpenWork(waiting, running_builds(running("1 = 1").all_of(read)))

        return await bounded(self._replica.snapshot(reading))

    async def revision(
        self, branches: BranchFilter, wanted: RevisionMatch
    ) -> Sequence[RevisionEntry]:
        """List requests of the matching revisions, for each build; newest first.

        :raises BadRequest: there are more than one read may return.
        """
        where, params = let_through("ss.branch", branches)
        query, params = of_revision(where), {**params, "revision": revision_pattern(wanted)}
        entries = await bounded(query.many(self._replica, **params))
        # A replica may lag behind the push that is asked for [docs/design.md, "Reads"].
        if not entries and self._primary is not None:
            entries = await bounded(query.many(self._primary, **params))
        return [entry for entry in entries if wanted.fits(entry.revision)]

    async def pushes(self, branches: BranchFilter, start: int, end: int | None) -> PushCounts:
        """Count pushes from ``start`` to ``end``, both included; None means no end."""
        where, params = let_through("c.branch", branches)
        if end is None:
            return PushCounts(await bounded(self._pushes.since(where, params, start)))
        span = {"start": start, "end": end}
        counting = counts(where).many(self._replica, **FOLLOWING, **span, **params)
        return PushCounts(dict(await bounded(counting)))


# --- the queries


def pending(where: str, part: str = "") -> Query[PendingEntry]:
    """Select open requests without a build, latest submitted first; ``part`` is a LIMIT clause."""
    return Query(
        "SELECT br.id, br.buildername, br.submitted_at, ss.branch, ss.revision, br.priority,"  # noqa: S608  # constants and parameter names
        f" br.claimed_at, br.claimed_by_name FROM {REQUESTS} WHERE {WITHOUT_BUILD} AND {where}"
        f" ORDER BY br.submitted_at DESC, br.id DESC{part}",
        _pending_row,
    )


# Any in row functions: the columns of a driver have no types until these give them one.
def _pending_row(id_: int, builder: str, submitted_at: Column, *c: Column) -> PendingEntry:
    branch, revision, priority, claimed_at, master = c
    claimed_by = master if claimed_at else None
    return PendingEntry(id_, builder, seconds(submitted_at), branch, revision, priority, claimed_by)


def running(where: str) -> Query[RunningRow]:
    """Select unended builds of requests that a master has claimed; newest first."""
    return Query(
        "SELECT b.id, b.number, b.start_time, br.id, br.buildername, br.claimed_by_name,"  # noqa: S608  # constants and parameter names
        " br.claimed_by_incarnation, br.claimed_at, br.submitted_at, ss.branch, ss.revision"
        f" FROM {BUILDS} WHERE br.complete = 0 AND br.claimed_at > 0 AND b.finish_time IS NULL"
        f" AND {where} ORDER BY b.id DESC",
        _running_row,
    )


def _running_row(*c: Column) -> RunningRow:
    times = seconds(c[7]), seconds(c[8])
    return RunningRow(c[0], c[1], seconds(c[2]), c[3], c[4], c[5], c[6], *times, c[9], c[10])


def of_revision(where: str) -> Query[RevisionEntry]:
    """Select requests whose revision is ``LIKE :revision``, for each build; newest first."""
    return Query(
        "SELECT br.id, br.buildsetid, br.buildername, br.submitted_at, br.claimed_at,"  # noqa: S608  # constants and parameter names
        " br.claimed_by_name, br.complete, br.results, b.number, b.start_time, b.finish_time,"
        f" ss.branch, ss.revision FROM {REQUESTS} LEFT JOIN builds b ON b.brid = br.id"
        f" WHERE {OF_REVISION} AND {where} ORDER BY br.id DESC, b.id DESC",
        _revision_row,
    )


def _revision_row(*c: Column) -> RevisionEntry:
    return RevisionEntry(
        id=c[0],
        buildsetid=c[1],
        buildername=c[2],
        submitted_at=seconds(c[3]),
        claimed_at=claim_seconds(c[4]),
        claimed_by_name=c[5],
        complete=bool(c[6]),
        results=known_result(c[7]),
        number=c[8],
        start_time=maybe_seconds(c[9]),
        finish_time=maybe_seconds(c[10]),
        branch=c[11],
        revision=c[12],
    )
