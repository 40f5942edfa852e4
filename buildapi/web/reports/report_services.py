"""Shared services of all reports: classification rules, cache, pages and parameters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence

import attrs
from twisted.internet import threads

from buildapi.interfaces import Directory, SchedulerReports
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.report_rows import RequestRow, RowFilter
from buildapi.reports.classification import Classification
from buildapi.reports.grid import Report
from buildapi.reports.window import Window
from buildapi.web.http.cache import RecentValues, SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import Handler, Param, Route
from buildapi.web.reports.report_pages import FORMATS, RenderedReport, ReportHeader, ReportPages
from buildapi.web.reports.report_params import ReportParams
from buildapi.web.selfserve.pages import SelfServePages

FRESH_SECONDS, PAST_SECONDS = 60, 600
"""Seconds that a report is cached: of a window that may still change, and of a past one."""

SETTLED = 86_400
"""Seconds after its end when a window is not expected to change any more."""


@attrs.define
class ReportServices:
    """Shared services of all reports; ``seconds`` is the extra time that one may take."""

    rules: Classification
    directory: Directory
    computed: SingleFlightCache[RenderedReport]
    pages: SelfServePages
    seconds: float

    def adopt(self, rules: Classification) -> None:
        """Replace the classification rules (after a reload), and drop the cached reports."""
        self.rules = rules
        self.computed.forget()

    async def shown(
        self, key: Hashable, window: Window | None, compute: Callable[[], Awaitable[Report]]
    ) -> RenderedReport:
        """Return a report from the cache, or compute it and render its tables in a thread."""

        async def work() -> RenderedReport:
            report = await compute()
            shown: RenderedReport = await threads.deferToThread(RenderedReport.of, report)
            return shown

        past = window is not None and window.end < self.pages.now() - SETTLED
        return await self.computed.get(key, work, PAST_SECONDS if past else FRESH_SECONDS)

    async def reply(self, shown: RenderedReport, how: ReportHeader, call: Call) -> Reply:
        """Return the reply that shows a report."""
        return await ReportPages(self.pages).reply(shown, how, call)

    def branches(self) -> Sequence[str]:
        """List the branches of the directory and of the classification rules."""
        return tuple(
            dict.fromkeys([*self.directory.branches().by_name, *self.rules.groups["branch"].names])
        )

    def branch(self, given: ReportParams) -> str:
        """Return the branch of ``branch_name``; :raises BadRequest: it is unknown."""
        known = self.branches()
        default = DEFAULT_BRANCH if DEFAULT_BRANCH in known else known[0]
        return given.choice("branch_name", known, default)

    def filter(self, name: str) -> BranchFilter:
        """Return the filter of a branch; a name that is unknown matches as a text."""
        found = self.directory.branches().get(name)
        return BranchFilter(texts=(name,)) if found is None else BranchFilter((found,))

    def routes(
        self, path: str, rests: Sequence[str], handler: Handler, summary: str, *params: Param
    ) -> Sequence[Route]:
        """Return the routes of a report: the path followed by each of ``rests``."""
        return [
            Route(
                "GET",
                f"/reports/{path}{rest}",
                handler,
                summary,
                (*params, *COMMON),
                patience=lambda _: self.seconds,
                formats=FORMATS,
            )
            for rest in rests
        ]


def report_cache(
    clock: Callable[[], float], reports_max: int, rows_max: int
) -> SingleFlightCache[RenderedReport]:
    """Return a cache of reports, bounded in their number and that of their table rows."""
    values = RecentValues(clock, reports_max, rows_max, RenderedReport.weight)
    return SingleFlightCache(values, FRESH_SECONDS)


DEFAULT_BRANCH = "mozilla-central"


async def all_rows(reads: SchedulerReports, wanted: RowFilter) -> list[RequestRow]:
    """Read all rows into memory, in the order of the database."""
    rows: list[RequestRow] = []
    async for portion in reads.rows(wanted):
        rows += portion
    return rows


FORMAT = Param("format", "html, json, csv or chart; default from the Accept header, else html")
COMMON = (
    Param(
        "starttime", "start, in seconds since the epoch (inclusive); default a day before the end"
    ),
    Param("endtime", "end, in seconds since the epoch (exclusive); default the last whole minute"),
    Param("from", "start as a date, 2026-11-24 or 2026-11-24T13:00, in the farm's time zone"),
    Param("to", "end as a date, likewise"),
    Param("hours", "length of the window in hours, instead of a start"),
    FORMAT,
    Param("table", "the table of format=csv; default the first one"),
    Param("tqx", "reqId:N, for format=chart"),
)
BRANCH = Param("branch_name", f"a branch; default {DEFAULT_BRANCH}, else the first one")
INT_SIZE = Param("int_size", "length of an interval in seconds; default a fraction of the window")
