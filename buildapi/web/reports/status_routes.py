"""Reports of the status database: slaves, builders, test runs, idle jobs and unmatched names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from buildapi.interfaces import Reports
from buildapi.model.report_rows import JobTimeFilter, Span, StatusBuild
from buildapi.parameters.param import Param, Place
from buildapi.parameters.types import Choice, Integer, ParamType, Schema, Text, Values
from buildapi.reports.classification import unmatched
from buildapi.reports.documents import NamesDocument
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Picture, Report
from buildapi.reports.idle_jobs import IdleJobsReport
from buildapi.reports.slaves import Slave, SlaveReport, SlavesReport, no_chart, slaves_of
from buildapi.reports.status_builders import (
    Named,
    NamedBuilder,
    StatusBuilderReport,
    StatusBuildersReport,
)
from buildapi.reports.test_runs import JobTimesQuery, JobTimesReport, entries_of
from buildapi.reports.window import Window
from buildapi.web.http.routes import Route
from buildapi.web.reports.report_pages import Field, RenderedReport, ReportRequest
from buildapi.web.reports.report_params import INT_SIZE, WHOLE_MAX, ReportParams
from buildapi.web.reports.report_server import ReportServer, ReportSpec

BEFORE = 86_400
"""Seconds before a window in which a build may have begun that still runs in the window."""

# Intervals of a window by default, as in the Pylons program.
SLAVES_DIVISIONS, SLAVE_DIVISIONS, LAST_DIVISIONS = 2000, 24, 24
# A signed MySQL INT, the type of the column.
ID_MAX = 2**31 - 1


@attrs.frozen
class StatusReportRoutes:
    """Serve the reports on builds, their slaves and their steps."""

    _server: ReportServer
    _reads: Reports

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        intervals = LAST, INT_SIZE
        specs = (
            ReportSpec(("slaves",), self.slaves, SLAVES, (*intervals, SLAVES_TYPE)),
            ReportSpec(
                ("slaves/{slave_id}",), self.slave, SLAVE, (SLAVE_ID, *intervals, SLAVE_TYPE)
            ),
            ReportSpec(("status_builders",), self.builders, BUILDERS),
            ReportSpec(("status_builders/{builder_name}",), self.builder, BUILDER),
            ReportSpec(("testruns",), self.testruns, TESTRUNS, TEST_PARAMS),
            ReportSpec(("idlejobs",), self.idlejobs, IDLE, (INT_SIZE,)),
            ReportSpec(("names",), self.names, NAMES),
        )
        return self._server.routes(specs)

    async def _builds(
        self,
        window: Window,
        before: int = 0,
        **of: Any,  # Any: keywords of StatusReports.builds
    ) -> list[StatusBuild]:
        """Read the builds of a window, and those up to ``before`` seconds earlier that reach it."""
        found: list[StatusBuild] = []
        span = Span(max(0, window.start - before), window.end)
        async for portion in self._reads.builds(span, **of):
            # Portion by portion: builds that ended before the window are dropped before the next is
            # read.
            found += [b for b in portion if (b.start or 0) >= window.start or _reaches(b, window)]
        return found

    # --- slaves

    def slaves(self, given: ReportParams) -> ReportRequest:
        """Report how busy all slaves are."""
        server = self._server
        window = given.window(SLAVES_DIVISIONS)
        last = given.of(LAST) or int(window.seconds // LAST_DIVISIONS)
        kind = given.of(SLAVES_TYPE)

        async def compute() -> Report:
            found = slaves_of(await self._builds(window, BEFORE), window, last)
            return SlavesReport(window, last, found, kind, server.rules, server.pages.zone)

        fields = [Field("last_int_size", "Last interval (s)", given.text(LAST))]
        return ReportRequest("Slaves", window, (last, kind), compute, fields)

    def slave(self, given: ReportParams) -> ReportRequest:
        """Report how busy one slave is."""
        server = self._server
        window = given.window(SLAVE_DIVISIONS)
        slave_id = given.of(SLAVE_ID)
        last = given.of(LAST) or int(window.seconds // LAST_DIVISIONS)
        kind = given.of(SLAVE_TYPE)

        async def compute() -> Report:
            found = slaves_of(await self._builds(window, BEFORE, slave_id=slave_id), window, last)
            slave = found[0] if found else Slave(slave_id, None, window, last)
            return SlaveReport(slave, kind, server.pages.zone)

        def title(shown: RenderedReport) -> str:
            name = next((f.value for f in shown.facts if f.label == "Name"), "-")
            return f"Slave {slave_id if name == '-' else name}"

        return ReportRequest(title, window, (slave_id, last, kind), compute)

    # --- builders

    def builders(self, given: ReportParams) -> ReportRequest:
        """Report the results of all builders."""
        window = given.window()

        async def compute() -> Report:
            named = Named(window)
            async for portion in self._reads.builds(Span(window.start, window.end)):
                named.add(portion)
            return StatusBuildersReport(window, named.builders)

        return ReportRequest("Builders", window, None, compute)

    def builder(self, given: ReportParams) -> ReportRequest:
        """Report the results of one builder, by slave."""
        window, name = given.window(), given.call.path["builder_name"]

        async def compute() -> Report:
            # By name: the status database has a row for the builder of each master.
            builds = await self._builds(window, builder=name)
            one = NamedBuilder(name, window)
            for build in builds:
                one.add(build)
            return StatusBuilderReport(one, slaves_of(builds, window, 0))

        return ReportRequest(f"Builder {name[:100]}", window, name, compute)

    # --- test runs, idle jobs

    def testruns(self, given: ReportParams) -> ReportRequest:
        """Report how much of the time of test jobs is testing."""
        server = self._server
        window, tests = given.window(), server.rules.testruns
        wanted = JobTimesQuery(
            given.of(CATEGORY),
            given.of(PLATFORM),
            given.of(BTYPE),
            given.of(GROUP),
        )

        async def compute() -> Report:
            asked = JobTimeFilter(
                Span(window.start, window.end),
                (wanted.category,) if wanted.category else tests.categories,
                tests.step_names,
                tests.step_name_like,
                tests.exclude_builders,
                tests.results,
                tests.min_seconds,
                tests.max_seconds,
            )
            times = await self._reads.test_times(asked)
            return JobTimesReport(
                window.start, window.end, wanted, entries_of(times, wanted, server.rules)
            )

        fields = [
            Field("category", "Category", wanted.category or "", ("", *tests.categories)),
            Field("platform", "Platform", wanted.platform or "", ("", *self._platforms())),
            Field("btype", "Build type", wanted.btype or "", ("", *tests.build_types, "other")),
            Field("group", "By suite", "1" if wanted.group else "", ("", "1")),
        ]
        return ReportRequest("Test runs", window, wanted, compute, fields)

    def _platforms(self) -> Sequence[str]:
        rules = self._server.rules
        return (*rules.groups["testruns_platform"].names, rules.testruns.platform_fallback)

    def idlejobs(self, given: ReportParams) -> ReportRequest:
        """Report the jobs that idle slaves ran."""
        server = self._server
        window = given.divided(given.window(), 1)
        # The Pylons program had one interval here unless asked for more; divided() has checked the
        # number.
        if not given.text(INT_SIZE):
            window = attrs.evolve(window, int_size=0)

        async def compute() -> Report:
            report = IdleJobsReport(window, server.pages.zone)
            categories = server.rules.excluded.idle_like
            found = await self._builds(window, categories=categories)
            # Only jobs that lie in the window entirely, as in the Pylons program.
            report.add(b for b in found if b.end and b.end < window.end)
            return report

        fields = [Field("int_size", "Interval (s)", given.text(INT_SIZE))]
        return ReportRequest("Idle jobs", window, None, compute, fields)

    # --- names

    def names(self, given: ReportParams) -> ReportRequest:
        """Report the names that no rule of the classification matches."""
        window = given.window()

        async def compute() -> Report:
            span = Span(window.start, window.end)
            builders = await self._reads.builders(span)
            slaves = await self._reads.slaves(span)
            found = unmatched(self._server.rules, builders, slaves)
            return Names(found, len(builders), len(slaves))

        note = "Names in this period that match no classification rule."
        return ReportRequest("Unclassified names", window, None, compute, note=note)


@attrs.frozen
class Names:
    """The report of unmatched names, by group of rules."""

    unmatched: Mapping[str, Sequence[str]]
    builders: int
    slaves: int

    def document(self) -> NamesDocument:
        """Return the JSON document."""
        return {"builders": self.builders, "slaves": self.slaves, "unmatched": self.unmatched}

    def facts(self) -> Sequence[Fact]:
        """Return the numbers of names, and of unmatched ones by group."""
        return [
            Fact("Builders", self.builders, "number"),
            Fact("Slaves", self.slaves, "number"),
            *(Fact(f"Without {g.replace('_', ' ')}", len(n), "number") for g, n in self._groups()),
        ]

    def _groups(self) -> Sequence[tuple[str, Sequence[str]]]:
        return list(self.unmatched.items())

    def grids(self) -> Sequence[Grid]:
        """Return the table of unmatched names."""
        rows = [
            (group.replace("_", " "), name) for group, names in self._groups() for name in names
        ]
        columns = (Column("group", "Missing"), Column("name", "Name"))
        return [Grid("names", "Unclassified names", columns, rows)]

    def pictures(self) -> Sequence[Picture]:
        """Return no pictures."""
        return ()

    def chart(self) -> GvizTable | str:
        """Raise BadRequest: there is no chart."""
        return no_chart()


def _reaches(build: StatusBuild, window: Window) -> bool:
    """Return whether a build that began before a window still runs in it."""
    return build.end is None or build.end > window.start


class Given(ParamType[bool]):
    """Whether a parameter has any value; it may be empty."""

    def parse(self, name: str, values: Values) -> bool | None:  # noqa: ARG002  # names no error
        """Return whether the last value is not empty; None without any."""
        return bool(values[-1]) if values else None

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string"}

    def words(self) -> str:
        """Return what switches it on."""
        return "any value"


LAST = Param(
    "last_int_size",
    "length of the last interval in seconds; 0 for a fraction of the window",
    Integer(0, WHOLE_MAX),
    default=0,
)
SLAVES_TYPE = Param(
    "type", "the data of format=chart (silos: CSV)", Choice(("silos", "all")), default="all"
)
SLAVE_TYPE = Param("type", "the data of format=chart", Choice(("busy", "all")), default="all")
SLAVE_ID = Param("slave_id", "the id of a slave", Integer(0, ID_MAX), Place.PATH, default=0)
CATEGORY = Param("category", "a category of builders; default all known ones", Text())
PLATFORM = Param("platform", "a platform; default all", Text())
BTYPE = Param("btype", "a build type; default all", Text())
GROUP = Param("group", "group by test suite", Given())
TEST_PARAMS = (CATEGORY, PLATFORM, BTYPE, GROUP)
SLAVES = "Busy time of slaves, and the results of their builds."
SLAVE = "Busy time of one slave, and each of its builds."
BUILDERS = "Build results of each builder, from the status database."
BUILDER = "Build results of one builder on each slave, from the status database."
TESTRUNS = "Setup and test time of test jobs."
IDLE = "Jobs that idle slaves ran."
NAMES = "Names of builders and slaves that match no classification rule."
