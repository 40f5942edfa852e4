"""Reports of the scheduler database: wait times, pushes, build times and end-to-end times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from buildapi.errors import Unavailable
from buildapi.interfaces import Reports
from buildapi.model.report_rows import (
    ChangeFilter,
    RowFilter,
    Span,
    Waiting,
    WaitingFilter,
)
from buildapi.parameters.param import AnyParam, Param
from buildapi.parameters.types import Choice, Integer, Listed
from buildapi.reports.build_times import LEVELS, BuilderReport, BuildersReport, Filters
from buildapi.reports.documents import ReportListDocument
from buildapi.reports.grid import Report
from buildapi.reports.pushes import PushesReport
from buildapi.reports.request_rows import first_changes
from buildapi.reports.wait_times import WaitTimesQuery, WaitTimesReport, pool_of
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.reports.report_pages import MENU, Field, ReportRequest
from buildapi.web.reports.report_params import INT_SIZE, ReportParams
from buildapi.web.reports.report_server import ReportServer, ReportSpec, all_rows

# Intervals of a window by default, as in the Pylons program.
DIVISIONS = 12


@attrs.frozen
class SchedulerReportRoutes:
    """Serve the reports of the scheduler database."""

    _server: ReportServer
    _reads: Reports

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        branch = "builders", "builders/{branch_name}"
        of_pool = (self._pool, *WAIT_PARAMS)
        of_branch: Sequence[AnyParam] = (self._server.branch_param, *self._groups.values(), LEVEL)
        specs = (
            ReportSpec(("waittimes", "waittimes/{pool}"), self.waittimes, WAITS, of_pool),
            ReportSpec(("pushes",), self.pushes, PUSHES, (self._branches, *PUSH_PARAMS)),
            ReportSpec(branch, self.builders, BUILDERS, of_branch),
            ReportSpec(("builder/{buildername}",), self.builder, BUILDER),
        )
        index = Route("GET", "/reports", self.index, "The list of reports.", (FORMAT,))
        return (index, *self._server.routes(specs))

    # The declarations of words that a reload of the rules may change.

    @property
    def _pool(self) -> Param[str]:
        return Param(
            "pool",
            "a pool of masters",
            Choice(lambda: self._server.rules.pools.names),
            default=lambda: self._server.rules.pools.default,
        )

    @property
    def _branches(self) -> Param[tuple[str, ...]]:
        return Param("branches", "branches; default all", Listed(self._server.branches), default=())

    @property
    def _groups(self) -> Mapping[str, Param[tuple[str, ...]]]:
        rules = self._server.rules
        names = {
            "platform": (*rules.groups["platform"].names, rules.fallback),
            "build_type": rules.groups["build_type"].names,
            "job_type": rules.groups["job_type"].names,
        }
        return {
            name: Param(name, f"{name.replace('_', ' ')}s; default all", Listed(known), default=())
            for name, known in names.items()
        }

    async def index(self, _call: Call) -> Reply:
        """List the reports."""
        told: ReportListDocument = {"reports": {title: path for path, title in MENU}}
        document = JSONBody.of(told)
        context = {**self._server.pages.common(), "menu": MENU}
        return Reply(document, Page("reports.html", "Reports", context))

    # --- wait times

    def waittimes(self, given: ReportParams) -> ReportRequest:
        """Report how long the builds of a pool of masters waited."""
        pools = self._server.rules.pools
        asked = WaitTimesQuery(
            given.of(self._pool),
            given.window(DIVISIONS),
            # From 1: minutes are divided by it.
            given.of(MPB),
            given.of(MAXB),
            given.of(NUM),
        )
        fields = [
            Field("pool", "Pool", asked.pool, pools.names),
            Field("mpb", "Minutes per block", str(asked.mpb)),
            Field("maxb", "Last block (minutes)", str(asked.maxb)),
            Field("int_size", "Interval (s)", given.text(INT_SIZE)),
        ]
        return ReportRequest(
            f"Wait times of {asked.pool}",
            asked.window,
            asked,
            lambda: self._waits(asked),
            fields,
            WAIT_NOTE,
            "waittimes",
        )

    async def _waits(self, asked: WaitTimesQuery) -> Report:
        server, excluded = self._server, self._server.rules.excluded
        span = Span(asked.window.start, asked.window.end)
        pools = self._pools()
        masters = sorted(name for name, pool in pools.items() if pool == asked.pool)
        wanted = WaitingFilter(
            span,
            masters,
            # Excluded in SQL: rows that no figure counts need not be read.
            excluded.builders_like,
            excluded.reasons_like,
            excluded.comments_like,
        )
        pool_of_pending = await self._pending_pools(span, pools)
        report = WaitTimesReport(asked, masters, server.pages.zone, int(server.pages.now()))
        async for rows in self._reads.waiting(wanted):
            ours = [r for r in rows if _is_ours(r, asked.pool, pool_of_pending)]
            report.add(ours, server.rules)
        return report

    def _pools(self) -> Mapping[str, str | None]:
        """Return the pool of each master; :raises Unavailable: no master is known."""
        roles = self._server.directory.master_roles()
        if not roles:
            # Without pools all requests would be counted in each, as the Pylons program did.
            raise Unavailable("The masters file has not been read yet: pools are unknown")
        by_role = self._server.rules.pools.by_role
        return {name: by_role.get(role or "") for name, role in roles.items()}

    async def _pending_pools(
        self, span: Span, pools: Mapping[str, str | None]
    ) -> Callable[[str], str]:
        """Return a function from a builder to the pool of its pending requests.

        It is the pool that claimed other requests of the builder in the span; else the one that
        claimed most requests of builders with the same slaves; else the one of the builder's name.
        """
        claims = await self._reads.claims(span)
        slaves, rules = self._slave_pools(), self._server.rules.pools

        def of_master(name: str) -> str | None:
            return next((pool for m, pool in pools.items() if name.startswith(m)), None)

        own = pool_of({builder: builder for builder, _, _ in claims}, claims, of_master)
        shared = pool_of(slaves, claims, of_master)

        def of_builder(name: str) -> str:
            found = own.get(name) or shared.get(slaves.get(name) or "")
            return found or rules.of_builder(name) or rules.default

        return of_builder

    def _slave_pools(self) -> Mapping[str, str | None]:
        try:
            builders = self._server.directory.builders()
        except Unavailable:
            return {}
        return {} if builders is None else {b.name: b.pool for b in builders.by_name.values()}

    # --- pushes

    def pushes(self, given: ReportParams) -> ReportRequest:
        """Report the pushes by branch and time."""
        server = self._server
        window = given.window(DIVISIONS)
        branches = given.of(self._branches)
        kind = given.of(PUSHES_TYPE)

        async def compute() -> Report:
            report = PushesReport(window, branches, kind, server.pages.zone)
            excluded = server.rules.excluded
            wanted = ChangeFilter(
                Span(window.start, window.end), excluded.push_branches_like, excluded.push_links
            )
            async for portion in self._reads.pushes(wanted):
                report.add(portion, server.rules)
            return report

        fields = [
            Field(
                "branches", "Branches", ",".join(branches), hint="comma-separated; empty for all"
            ),
            Field("int_size", "Interval (s)", given.text(INT_SIZE)),
        ]
        return ReportRequest("Pushes", window, (branches, kind), compute, fields)

    # --- builders

    def builders(self, given: ReportParams) -> ReportRequest:
        """Report how long the builds of a branch take."""
        server = self._server
        branch = server.branch(given)
        window = given.window()
        groups = self._groups
        filters = Filters(
            given.of(groups["platform"]),
            given.of(groups["build_type"]),
            given.of(groups["job_type"]),
        )
        level = given.of(LEVEL)

        async def compute() -> Report:
            number = LEVELS.index(level) + 1
            report = BuildersReport(window.start, window.end, branch, number, filters)
            wanted = RowFilter(Span(window.start, window.end), server.filter(branch))
            async for portion in self._reads.attempts(wanted):
                report.add(portion, server.rules)
            return report

        fields = [
            Field("branch_name", "Branch", branch, server.branches()),
            Field("platform", "Platforms", ",".join(filters.platform)),
            Field("build_type", "Build types", ",".join(filters.build_type)),
            Field("job_type", "Job types", ",".join(filters.job_type)),
            Field("detail_level", "Group by", level, LEVELS),
        ]
        title, values = f"Average time per builder on {branch}", (branch, filters, level)
        return ReportRequest(title, window, values, compute, fields, action="builders")

    def builder(self, given: ReportParams) -> ReportRequest:
        """Report how long the builds of one builder took."""
        server = self._server
        window = given.window()
        name = given.call.path["buildername"]

        async def compute() -> Report:
            wanted = RowFilter(Span(window.start, window.end), builder=name)
            rows = await all_rows(self._reads, wanted)
            return BuilderReport(window.start, window.end, name, first_changes(rows), server.rules)

        return ReportRequest(f"Builder {name[:100]}", window, name, compute)


def _is_ours(row: Waiting, pool: str, pool_of_pending: Callable[[str], str]) -> bool:
    return row.claimed_by_name is not None or pool_of_pending(row.buildername) == pool


MPB = Param("mpb", "minutes per block", Integer(1, 100_000), default=15)
MAXB = Param("maxb", "the last block, in minutes; 0 for none", Integer(0, 1_000_000), default=120)
NUM = Param("num", "counts or percent, for format=chart", Choice(("full", "ptg")), default="full")
WAIT_PARAMS = (MPB, MAXB, NUM, INT_SIZE)
PUSHES_TYPE = Param(
    "type", "the data of format=chart", Choice(("int", "hourly", "all")), default="all"
)
PUSH_PARAMS = (PUSHES_TYPE, INT_SIZE)
LEVEL = Param("detail_level", "what builders are grouped by", Choice(LEVELS), default=LEVELS[-1])
WAIT_NOTE = (
    "A wait is the time from the change to the start of the build, in minutes, rounded down to a"
    " block. Manual rebuilds are excluded."
)
WAITS = "Wait times of the jobs of a pool of masters, by platform and over time; pending requests."
PUSHES = "Number of pushes by branch, over time and by hour of the day."
BUILDERS = "Build durations by platform, build type, job type or builder."
BUILDER = "Build durations of one builder, and each of its builds."
