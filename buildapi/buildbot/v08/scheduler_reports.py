"""Read the data of reports from the scheduler database of a 0.8 farm.

Requests are found by the submission time of their buildset, which has an index.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

import attrs

from buildapi.buildbot.v08.branch_conditions import let_through
from buildapi.buildbot.v08.chunked_reads import ChunkedRead, likes, unlike
from buildapi.buildbot.v08.queries import (
    OF_REVISION,
    claim_seconds,
    maybe_seconds,
    revision_pattern,
    seconds,
)
from buildapi.db.sql import Column, Database, Query, exact, like_by_index, like_prefix
from buildapi.model.report_rows import (
    Attempt,
    ChangeFilter,
    PendingChange,
    PushTime,
    RequestRow,
    RowFilter,
    Span,
    Waiting,
    WaitingFilter,
    status_of,
)
from buildapi.model.results import NO_RESULT

T = TypeVar("T")
# buildrequests.submitted_at is the same time, but has no index (schema version 6).
SUBMITTED = "bs.submitted_at >= :start AND bs.submitted_at < :end"
# LEFT, here and for changes: a request counts without either [docs/compatibility.md, "Reports"].
REQUESTS = (
    "buildsets bs JOIN buildrequests br ON br.buildsetid = bs.id"
    " JOIN sourcestamps ss ON ss.id = bs.sourcestampid LEFT JOIN builds b ON b.brid = br.id"
)
CHANGES = (
    " LEFT JOIN sourcestamp_changes sc ON sc.sourcestampid = bs.sourcestampid"
    " LEFT JOIN changes c ON c.changeid = sc.changeid"
)


@attrs.frozen
class SQLSchedulerReports:
    """Read from a replica; one report may read ``rows`` rows, or ``heavy`` rows with all texts."""

    _replica: Database
    _rows: int
    _heavy: int

    def _reading(self) -> ChunkedRead:
        return ChunkedRead(self._replica, self._rows)

    def waiting(self, wanted: WaitingFilter) -> AsyncIterator[Sequence[Waiting]]:
        """Yield requests submitted in a span that a pool's masters claimed, or nobody."""
        query, params = waiting(wanted)
        return self._reading().each(query, wanted.span, **params)

    async def claims(self, span: Span) -> Sequence[tuple[str, str, int]]:
        """Count requests submitted in a span by (builder, claiming master)."""
        return await self._reading().once(CLAIMS, start=span.start, end=span.end)

    async def pushes(self, wanted: ChangeFilter) -> AsyncIterator[Sequence[PushTime]]:
        """Yield pushes in a span, one for each time and stored branch."""
        query, params = pushes(wanted)
        async for portion in self._reading().each(query, wanted.span, **params):
            yield portion

    def attempts(self, wanted: RowFilter) -> AsyncIterator[Sequence[Attempt]]:
        """Yield requests with each of their builds."""
        where, params = _where(wanted)
        return _portions(self._reading(), attempts(where), wanted, params)

    async def rows(self, wanted: RowFilter) -> AsyncIterator[Sequence[RequestRow]]:
        """Yield requests with each of their builds and each of their changes."""
        where, params = _where(wanted)
        # With its texts a row counts as four [docs/configuration.md, "[reports]"].
        reading = ChunkedRead(self._replica, self._heavy)
        async for portion in _portions(reading, request_rows(where), wanted, params):
            yield [row for row in portion if _is_wanted(row, wanted)]

    async def pending_changes(self, wanted: RowFilter) -> Sequence[PendingChange]:
        """List changes that are in no source stamp, newest first."""
        where, params = let_through("c.branch", wanted.branches)
        if wanted.span is not None:
            where += " AND c.when_timestamp >= :start AND c.when_timestamp < :end"
            params |= {"start": wanted.span.start, "end": wanted.span.end}
        if wanted.revision is not None:
            where += f" AND {like_by_index('changes', 'c.revision', 'revision')}"
            params["revision"] = revision_pattern(wanted.revision)
        found = await self._reading().once(unstamped(where), **params)
        return [c for c in found if wanted.revision is None or wanted.revision.fits(c.revision)]

    async def builders(self, span: Span) -> Sequence[str]:
        """List the names of builders with requests submitted in a span."""
        return await self._reading().once(BUILDERS, start=span.start, end=span.end)


def waiting(wanted: WaitingFilter) -> tuple[Query[Waiting], dict[str, str]]:
    """Return the query of requests with their first start and first change, unless excluded.

    A request without a change, or without a reason, is not excluded for that.
    """
    masters = [like_prefix(name) for name in wanted.masters]
    claimed, params = likes_escaped("br.claimed_by_name", "master", masters)
    builders, of_builders = unlike("br.buildername", "builder", wanted.builders_unlike)
    reasons, of_reasons = unlike("bs.reason", "reason", wanted.reasons_unlike)
    comments, of_comments = unlike("c.comments", "comment", wanted.comments_unlike)
    text = (
        # The first of each: a wait ends with the first build, however often it is tried again
        # [docs/reports.md, "What is counted"].
        "SELECT br.id, br.buildername, br.submitted_at, MIN(b.start_time), MIN(c.when_timestamp),"  # noqa: S608  # constants and parameter names
        f" br.claimed_by_name, br.complete FROM {REQUESTS}{CHANGES} WHERE {SUBMITTED}"
        # Who waits has no master yet: its pool is found later [docs/reports.md, "What is counted"].
        f" AND ({claimed} OR (br.claimed_by_name IS NULL AND br.complete = 0))"
        f" AND {builders} AND {reasons} AND {comments}"
        " GROUP BY br.id, br.buildername, br.submitted_at, br.claimed_by_name, br.complete"
    )
    return Query(text, _waiting_row), params | of_builders | of_reasons | of_comments


def likes_escaped(column: str, key: str, patterns: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the condition "the column is like one of these", which are escaped already."""
    text, params = likes(column, key, patterns)
    # likes() doubles the escape character, which has a meaning in these.
    return text, dict(zip(params, patterns, strict=True))


# Any in row functions: the columns of a driver have no types until these give them one.
def _waiting_row(id_: int, builder: str, submitted_at: Column, *c: Column) -> Waiting:
    start, change = maybe_seconds(c[0]), maybe_seconds(c[1])
    return Waiting(id_, builder, seconds(submitted_at), start, change, c[2], bool(c[3]))


# GROUP BY folds case on MySQL, and would count two builders as one.
CLAIMS = Query(
    f"SELECT {exact('br.buildername')} AS builder, {exact('br.claimed_by_name')} AS master,"  # noqa: S608  # constants
    " COUNT(*) FROM buildsets bs"
    f" JOIN buildrequests br ON br.buildsetid = bs.id WHERE {SUBMITTED}"
    " AND br.claimed_by_name IS NOT NULL GROUP BY builder, master",
    lambda builder, master, count: (str(builder), str(master), int(count)),
)
BUILDERS = Query(
    f"SELECT DISTINCT {exact('br.buildername')} AS builder FROM buildsets bs"  # noqa: S608  # constants
    f" JOIN buildrequests br ON br.buildsetid = bs.id WHERE {SUBMITTED} ORDER BY builder",
    str,
)


def pushes(wanted: ChangeFilter) -> tuple[Query[PushTime], dict[str, str]]:
    """Return the query of the distinct times and branches of pushed changes."""
    branches, params = unlike("ss.branch", "branch", wanted.branches_unlike)
    links = [like_prefix(link) for link in wanted.links]
    linked, of_links = likes_escaped("c.revlink", "link", links)
    said, of_comments = likes_escaped("c.comments", "comment", links)
    where = f"({linked} OR {said})" if links else "1 = 1"
    text = (
        f"SELECT DISTINCT c.when_timestamp, {exact('ss.branch')} AS branch FROM changes c"  # noqa: S608  # constants and parameter names
        " JOIN sourcestamp_changes sc ON sc.changeid = c.changeid"
        " JOIN sourcestamps ss ON ss.id = sc.sourcestampid"
        f" WHERE c.when_timestamp >= :start AND c.when_timestamp < :end AND {branches} AND {where}"
        " ORDER BY c.when_timestamp, branch"
    )
    return Query(text, _push_row), params | of_links | of_comments


def _push_row(when: Column, branch: str | None) -> PushTime:
    return PushTime(seconds(when), branch)


async def _portions(
    reading: ChunkedRead, query: Query[T], wanted: RowFilter, params: dict[str, object]
) -> AsyncIterator[Sequence[T]]:
    if wanted.span is None:
        yield await reading.once(query, **params)
        return
    async for portion in reading.each(query, wanted.span, **params):
        yield portion


def _where(wanted: RowFilter) -> tuple[str, dict[str, object]]:
    where, params = let_through("ss.branch", wanted.branches)
    if wanted.span is not None:
        where += f" AND {SUBMITTED}"
    if wanted.revision is not None:
        where += f" AND {OF_REVISION}"
        params["revision"] = revision_pattern(wanted.revision)
    if wanted.builder is not None:
        where += f" AND br.buildername = :builder AND {exact('br.buildername')} = :builder"
        params["builder"] = wanted.builder
    return where, params


def _is_wanted(row: RequestRow, wanted: RowFilter) -> bool:
    """Compare case-sensitively, which databases do not."""
    is_revision = wanted.revision is None or wanted.revision.fits(row.revision)
    return is_revision and wanted.builder in (None, row.buildername)


def attempts(where: str) -> Query[Attempt]:
    """Select requests with each of their builds."""
    return Query(
        "SELECT br.buildername, br.complete, br.complete_at, br.claimed_at, br.results,"  # noqa: S608  # constants and parameter names
        f" b.start_time, b.finish_time FROM {REQUESTS} WHERE {where}",
        _attempt_row,
    )


def _attempt_row(builder: str, complete: Column, *c: Column) -> Attempt:
    start, finish = maybe_seconds(c[3]), maybe_seconds(c[4])
    status = status_of(
        complete=bool(complete),
        complete_at=maybe_seconds(c[0]),
        finish_time=finish,
        start_time=start,
        claimed_at=claim_seconds(c[1]),
    )
    return Attempt(builder, status, NO_RESULT if c[2] is None else c[2], start, finish)


def request_rows(where: str) -> Query[RequestRow]:
    """Select requests with each of their builds and each of their changes."""
    return Query(
        "SELECT br.id, b.id, b.number, br.buildsetid, ss.id, br.buildername, bs.reason,"  # noqa: S608  # constants and parameter names
        " ss.branch, ss.revision, br.submitted_at, br.claimed_at, br.claimed_by_name,"
        " b.start_time, b.finish_time, br.complete, br.complete_at, br.results, c.changeid,"
        " c.author, c.revision, c.when_timestamp, c.comments, c.revlink, c.category,"
        f" c.repository, c.project FROM {REQUESTS}{CHANGES} WHERE {where}"
        " ORDER BY br.id, b.id, c.changeid",
        _Rows().row,
    )


@attrs.frozen
class _Rows:
    """Create rows that share equal texts, to save memory."""

    _texts: dict[Any, Any] = attrs.field(factory=dict)

    def row(self, *columns: Column) -> RequestRow:
        once = self._texts.setdefault
        return _request_row(*(once(c, c) if isinstance(c, str) else c for c in columns))


def _request_row(*c: Column) -> RequestRow:
    return RequestRow(
        request_id=c[0],
        build_id=c[1],
        number=c[2],
        buildsetid=c[3],
        ssid=c[4],
        buildername=c[5],
        reason=c[6],
        branch=c[7],
        revision=c[8],
        submitted_at=seconds(c[9]),
        claimed_at=claim_seconds(c[10]),
        claimed_by_name=c[11],
        start_time=maybe_seconds(c[12]),
        finish_time=maybe_seconds(c[13]),
        complete=bool(c[14]),
        complete_at=maybe_seconds(c[15]),
        results=NO_RESULT if c[16] is None else c[16],
        change_ids=(c[17],),
        authors=() if c[18] is None else (c[18],),
        change_revisions=(c[19],),
        when_timestamp=maybe_seconds(c[20]),
        comments=c[21],
        revlink=c[22],
        category=c[23],
        repository=c[24],
        project=c[25],
    )


def unstamped(where: str) -> Query[PendingChange]:
    """Select changes in no source stamp, newest first."""
    return Query(
        "SELECT c.changeid, c.revision, c.branch, c.when_timestamp FROM changes c"  # noqa: S608  # constants and parameter names
        " LEFT JOIN sourcestamp_changes sc ON sc.changeid = c.changeid"
        f" WHERE sc.changeid IS NULL AND {where} ORDER BY c.when_timestamp DESC, c.changeid DESC",
        _change_row,
    )


def _change_row(id_: int, revision: str | None, branch: str | None, when: Column) -> PendingChange:
    return PendingChange(id_, revision, branch, seconds(when))
