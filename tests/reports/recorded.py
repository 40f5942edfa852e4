"""The recorded farm as reports see it: its directory, its rules, and a site over it."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import AsyncIterator, Mapping
from functools import cache
from zoneinfo import ZoneInfo

from buildapi.buildbot.directory import parse_builders, parse_masters
from buildapi.buildbot.v08.report_reads import SQLReports
from buildapi.buildbot.v08.scheduler_reports import SQLSchedulerReports
from buildapi.buildbot.v08.status_reports import SQLStatusReports
from buildapi.db.pool import open_database
from buildapi.reports.classification import Classification, from_document
from buildapi.web.reports.report_server import ReportServer, report_cache
from buildapi.web.reports.run_routes import RunReportRoutes
from buildapi.web.reports.scheduler_routes import SchedulerReportRoutes
from buildapi.web.reports.status_routes import StatusReportRoutes
from buildapi.web.selfserve.pages import SelfServePages
from tests.farmwide.serving import on_port
from tests.golden.cases import DATA, epoch, load
from tests.web.farm import MemoryDirectory

NAME = "classification-mozilla.toml"
ROWS = 200_000


@cache
def rules() -> Classification:
    """Read the rules of the recorded farm."""
    return from_document(tomllib.loads((DATA / NAME).read_text("utf-8")), NAME)


def recorded_directory() -> MemoryDirectory:
    """Return the directory of the recorded farm."""
    masters = parse_masters(load("directory/production-masters.json")).value
    return MemoryDirectory(
        definitions=load("directory/production-branches.json"),
        listed=parse_builders(load("directory/allthethings.json")).value,
        roles={name: master.role for name, master in masters.items()},
    )


@contextlib.asynccontextmanager
async def recorded_site(urls: Mapping[str, str]) -> AsyncIterator[int]:
    """Serve reports over databases of the recorded farm; give the port."""
    from twisted.internet import reactor

    scheduler, status = (
        open_database(
            urls[name],
            reactor=reactor,
            name=name,
            size=2,
            max_waiting=100,
            statement_seconds=10,
            max_rows=ROWS,
            read_only=True,
        )
        for name in ("scheduler", "status")
    )
    directory = recorded_directory()
    pages = SelfServePages(ZoneInfo("US/Pacific"), lambda: epoch() + 0.25, directory.master_urls)
    desk = ReportServer(
        rules(),
        directory,
        report_cache(reactor.seconds, 20, 10_000),
        pages,
        30,
    )
    reads = SQLReports(SQLSchedulerReports(scheduler, ROWS, ROWS), SQLStatusReports(status, ROWS))
    reports = SchedulerReportRoutes(desk, reads)
    runs = RunReportRoutes(desk, reads)
    more = StatusReportRoutes(desk, reads)
    try:
        async with on_port([*reports.routes(), *runs.routes(), *more.routes()]) as port:
            yield port
    finally:
        await scheduler.stopService()
        await status.stopService()
