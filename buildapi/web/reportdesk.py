"""What all reports need: what names mean, the cache, pages, and the parameters of all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence

import attrs
from twisted.internet import threads

from buildapi.interfaces import Directory, SchedulerReports
from buildapi.model.farmwide import BranchFilter
from buildapi.model.reporting import RequestRow, RowFilter
from buildapi.reports.classification import Classification
from buildapi.reports.grid import Report
from buildapi.reports.window import Window
from buildapi.web.call import Call
from buildapi.web.computed import Computed
from buildapi.web.given import Given
from buildapi.web.pages import Pages
from buildapi.web.render import Reply
from buildapi.web.reportpages import FORMATS, How, ReportPages, Shown
from buildapi.web.routes import Handler, Param, Route

FRESH_SECONDS, PAST_SECONDS = 60, 600
"""How long a report is kept: of a window that may still change, and of one that does not."""

SETTLED = 86_400
"""Seconds after which nothing of a window is expected to change."""


@attrs.define
class ReportDesk:
    """What all reports need: names, the cache, pages; ``seconds`` may one of them take."""

    rules: Classification
    directory: Directory
    computed: Computed[Shown]
    pages: Pages
    seconds: float

    def adopt(self, rules: Classification) -> None:
        """Let names mean something else from now on."""
        self.rules = rules
        self.computed.forget()

    async def shown(
        self, key: Hashable, window: Window | None, compute: Callable[[], Awaitable[Report]]
    ) -> Shown:
        """Compute a report, or give it as it was a moment ago; the work is not the reactor's."""

        async def work() -> Shown:
            report = await compute()
            shown: Shown = await threads.deferToThread(Shown.of, report)
            return shown

        past = window is not None and window.end < self.pages.now() - SETTLED
        return await self.computed.get(key, PAST_SECONDS if past else FRESH_SECONDS, work)

    async def reply(self, shown: Shown, how: How, call: Call) -> Reply:
        """Answer with it."""
        return await ReportPages(self.pages).reply(shown, how, call)

    def branches(self) -> Sequence[str]:
        """List the branches there are reports of."""
        return tuple(
            dict.fromkeys([*self.directory.branches().by_name, *self.rules.groups["branch"].names])
        )

    def branch(self, given: Given) -> str:
        """Read ``branch_name``; :raises BadRequest: there is no such branch."""
        known = self.branches()
        default = DEFAULT_BRANCH if DEFAULT_BRANCH in known else known[0]
        return given.choice("branch_name", known, default)

    def filter(self, name: str) -> BranchFilter:
        """Let through what belongs to a branch."""
        found = self.directory.branches().get(name)
        return BranchFilter(texts=(name,)) if found is None else BranchFilter((found,))

    def routes(
        self, path: str, rests: Sequence[str], handler: Handler, summary: str, *params: Param
    ) -> Sequence[Route]:
        """Make the routes of a report: the path with each of these behind it."""
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


DEFAULT_BRANCH = "mozilla-central"


async def all_rows(reads: SchedulerReports, wanted: RowFilter) -> list[RequestRow]:
    """Read all rows, as they come."""
    rows: list[RequestRow] = []
    async for portion in reads.rows(wanted):
        rows += portion
    return rows


FORMAT = Param(
    "format", "html, json, csv or chart; without it the Accept header decides, then html"
)
COMMON = (
    Param("starttime", "seconds since the epoch, which count; default a day before the end"),
    Param("endtime", "seconds since the epoch, which count no more; default the last whole minute"),
    Param("from", "the same as a date, 2026-11-24 or 2026-11-24T13:00, in the farm's zone"),
    Param("to", "likewise for the end"),
    Param("hours", "so many hours before the end, instead of a start"),
    FORMAT,
    Param("table", "the table that format=csv gives; default the first one"),
    Param("tqx", "reqId:N, for format=chart"),
)
BRANCH = Param("branch_name", f"a branch; default {DEFAULT_BRANCH}, or the first one there is")
INT_SIZE = Param("int_size", "seconds of an interval; default a part of the window")
