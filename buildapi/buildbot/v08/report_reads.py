"""Read the rows of reports from the two databases of a 0.8 farm.

Masters of Buildbot 0.8 keep requests and changes in the scheduler database.  Builds with their
slaves and steps are in the status database, which each master fills from its own records.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import attrs

from buildapi.buildbot.v08.scheduler_reports import SQLSchedulerReports
from buildapi.buildbot.v08.status_reports import SQLStatusReports
from buildapi.model.report_rows import (
    Attempt,
    ChangeFilter,
    JobTime,
    JobTimeFilter,
    PendingChange,
    PushTime,
    RequestRow,
    RowFilter,
    Span,
    StatusBuild,
    Waiting,
    WaitingFilter,
)


@attrs.frozen
class SQLReports:
    """Implement ``Reports``; every read is of one of the databases, never of both."""

    _scheduler: SQLSchedulerReports
    _status: SQLStatusReports

    # --- requests and changes

    def waiting(self, wanted: WaitingFilter) -> AsyncIterator[Sequence[Waiting]]:
        """Yield requests submitted in a span that a pool's masters claimed, or nobody."""
        return self._scheduler.waiting(wanted)

    async def claims(self, span: Span) -> Sequence[tuple[str, str, int]]:
        """Count requests submitted in a span by (builder, claiming master)."""
        return await self._scheduler.claims(span)

    def pushes(self, wanted: ChangeFilter) -> AsyncIterator[Sequence[PushTime]]:
        """Yield pushes in a span, one for each time and stored branch."""
        return self._scheduler.pushes(wanted)

    def attempts(self, wanted: RowFilter) -> AsyncIterator[Sequence[Attempt]]:
        """Yield requests with each of their builds."""
        return self._scheduler.attempts(wanted)

    def rows(self, wanted: RowFilter) -> AsyncIterator[Sequence[RequestRow]]:
        """Yield requests with each of their builds and each of their changes."""
        return self._scheduler.rows(wanted)

    async def pending_changes(self, wanted: RowFilter) -> Sequence[PendingChange]:
        """List changes that are in no source stamp, newest first."""
        return await self._scheduler.pending_changes(wanted)

    async def builders(self, span: Span) -> Sequence[str]:
        """List the names of builders with requests submitted in a span."""
        return await self._scheduler.builders(span)

    # --- builds, slaves and steps

    def builds(
        self,
        span: Span,
        *,
        slave_id: int | None = None,
        builder: str | None = None,
        categories: Sequence[str] = (),
    ) -> AsyncIterator[Sequence[StatusBuild]]:
        """Yield builds that started in a span; ``categories`` are LIKE patterns, none for all."""
        return self._status.builds(span, slave_id=slave_id, builder=builder, categories=categories)

    async def test_times(self, wanted: JobTimeFilter) -> Sequence[JobTime]:
        """Return average times of builders whose builds have test steps."""
        return await self._status.test_times(wanted)

    async def slaves(self, span: Span) -> Sequence[str]:
        """List the names of slaves with builds that started in a span."""
        return await self._status.slaves(span)
