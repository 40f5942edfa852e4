"""Serve reports by a table of their specs, with one cache and one set of classification rules."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import attrs
from twisted.internet import threads

from buildapi.interfaces import Directory, Reports
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.report_rows import RequestRow, RowFilter
from buildapi.parameters.param import AnyParam, Param
from buildapi.parameters.types import Choice
from buildapi.parameters.view_parameters import of_table
from buildapi.reports.classification import Classification
from buildapi.web.http.cache import RecentValues, SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.negotiation import Format
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import Handler, Route
from buildapi.web.reports.report_pages import (
    FORMATS,
    TABLE_NAME,
    TQX,
    RenderedReport,
    ReportPages,
    ReportRequest,
)
from buildapi.web.reports.report_params import DAYS, ENDTIME, HOURS, STARTTIME, ReportParams
from buildapi.web.selfserve.pages import SelfServePages

FRESH_SECONDS, PAST_SECONDS = 60, 600
"""Seconds that a report is cached: of a window that may still change, and of a past one."""

SETTLED = 86_400
"""Seconds after its end when a window is not expected to change any more."""


@attrs.frozen
class ReportSpec:
    """One report: its paths below ``/reports/``, and what it is and takes, for the documentation.

    ``read`` returns what a call asks for; it raises BadRequest for parameters that are not allowed.
    """

    paths: Sequence[str]
    read: Callable[[ReportParams], ReportRequest]
    summary: str
    params: Sequence[AnyParam] = ()


@attrs.define
class ReportServer:
    """Compute, cache and serve reports; ``seconds`` is the extra time that one may take."""

    rules: Classification
    directory: Directory
    computed: SingleFlightCache[RenderedReport]
    pages: SelfServePages
    seconds: float

    def adopt(self, rules: Classification) -> None:
        """Replace the classification rules (after a reload), and drop the cached reports."""
        self.rules = rules
        # Cached reports were made by the old rules.
        self.computed.forget()

    def routes(self, specs: Sequence[ReportSpec]) -> Sequence[Route]:
        """Return the routes of reports."""
        return [
            Route(
                "GET",
                f"/reports/{path}",
                self._handler(spec),
                spec.summary,
                (*spec.params, *COMMON),
                # Reports may take longer than other calls: they have connections of their own
                # (docs/reports.md, "Long reports").
                patience=lambda _: self.seconds,
                formats=FORMATS,
            )
            for spec in specs
            for path in spec.paths
        ]

    def _handler(self, spec: ReportSpec) -> Handler:
        async def handler(call: Call) -> Reply:
            asked = spec.read(ReportParams(call, self.pages.now(), self.pages.zone))
            if asked.location is not None:
                nothing = JSONBody.of({})
                return Reply(nothing, Page("document.html", spec.paths[0]), location=asked.location)
            # Without the format: JSON, CSV, chart and page are made of one computation.
            shown = await self._shown((spec.paths, asked.window, asked.values), asked)
            return await ReportPages(self.pages).reply(shown, asked, call)

        return handler

    async def _shown(self, key: Hashable, asked: ReportRequest) -> RenderedReport:
        """Return a report from the cache, or compute it and render its tables in a thread."""

        async def work() -> RenderedReport:
            report = await asked.compute()
            shown: RenderedReport = await threads.deferToThread(RenderedReport.of, report)
            return shown

        window = asked.window
        past = window is not None and window.end < self.pages.now() - SETTLED
        return await self.computed.get(key, work, PAST_SECONDS if past else FRESH_SECONDS)

    def branches(self) -> Sequence[str]:
        """List the branches of the directory and of the classification rules."""
        return tuple(
            dict.fromkeys([*self.directory.branches().by_name, *self.rules.groups["branch"].names])
        )

    @property
    def branch_param(self) -> Param[str | None]:
        """Return the declaration of ``branch_name``."""
        meaning = f"a branch; default {DEFAULT_BRANCH}, else the first one"
        return Param("branch_name", meaning, Choice(self.branches))

    def branch(self, given: ReportParams) -> str:
        """Return the branch of ``branch_name``; :raises BadRequest: it is unknown."""
        known = self.branches()
        # The default of the Pylons program, where a farm has that branch.
        default = DEFAULT_BRANCH if DEFAULT_BRANCH in known else known[0]
        return given.of(self.branch_param) or default

    def filter(self, name: str) -> BranchFilter:
        """Return the filter of a branch; a name that is unknown matches as a text."""
        found = self.directory.branches().get(name)
        return BranchFilter(texts=(name,)) if found is None else BranchFilter((found,))


def report_cache(
    clock: Callable[[], float], reports_max: int, rows_max: int
) -> SingleFlightCache[RenderedReport]:
    """Return a cache of reports, bounded in their number and that of their table rows."""
    values = RecentValues(clock, reports_max, rows_max, RenderedReport.weight)
    return SingleFlightCache(values, FRESH_SECONDS)


DEFAULT_BRANCH = "mozilla-central"


async def all_rows(reads: Reports, wanted: RowFilter) -> list[RequestRow]:
    """Read all rows into memory, in the order of the database."""
    rows: list[RequestRow] = []
    async for portion in reads.rows(wanted):
        rows += portion
    return rows


FORMAT = Param("format", "format of the answer; default from the Accept header", Format(FORMATS))
COMMON: Sequence[AnyParam] = (
    *of_table(),
    STARTTIME,
    ENDTIME,
    *DAYS.values(),
    HOURS,
    FORMAT,
    TABLE_NAME,
    TQX,
)
