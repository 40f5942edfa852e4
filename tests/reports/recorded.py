"""The recorded farm as reports see it: its directory, its rules, and a site over it."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any

import attrs

from buildapi.assembly.web_site import page_renderer, report_routes, report_server
from buildapi.buildbot.directory import parse_builders, parse_masters
from buildapi.buildbot.v08.report_reads import SQLReports
from buildapi.buildbot.v08.scheduler_reports import SQLSchedulerReports
from buildapi.buildbot.v08.status_reports import SQLStatusReports
from buildapi.db.pool import open_database
from buildapi.reports.classification import Classification, from_document
from tests.farmwide.serving import clock, on_port, site_config
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


@attrs.frozen
class RecordedDialect:
    """What the routes of reports use of a dialect."""

    reports: SQLReports


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
    config, times = site_config("US/Pacific"), clock(lambda: epoch() + 0.25)
    directory = recorded_directory()
    pages = page_renderer(config, times, directory)
    server = report_server(config, times, directory, pages, rules())
    dialect: Any = RecordedDialect(
        SQLReports(SQLSchedulerReports(scheduler, ROWS, ROWS), SQLStatusReports(status, ROWS))
    )
    try:
        async with on_port(report_routes(server, dialect), config, times) as port:
            yield port
    finally:
        await scheduler.stopService()
        await status.stopService()
