"""Create the services that respond to HTTP requests, and their routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING

import attrs

from buildapi.model.health import PoolStatus
from buildapi.model.health import Health
from buildapi.model.messages import BrokerStatus
from buildapi.web.farm.home import Home
from buildapi.web.farm.views import FarmViews
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.routes import Route
from buildapi.web.ops.dump_files import DumpFiles
from buildapi.web.reports.report_server import ReportServer, report_cache
from buildapi.web.reports.run_routes import RunReportRoutes
from buildapi.web.reports.scheduler_routes import SchedulerReportRoutes
from buildapi.web.reports.status_routes import StatusReportRoutes
from buildapi.web.selfserve.audit_trail import JobTrail
from buildapi.web.selfserve.batch import Batch
from buildapi.web.selfserve.build_form import BuildForm
from buildapi.web.selfserve.build_quota import BuildQuota
from buildapi.web.selfserve.bulk_actions import BulkActions
from buildapi.web.selfserve.dry_run_page import DryRun
from buildapi.web.selfserve.idempotency import IdempotencyKeys
from buildapi.web.selfserve.job_pages import JobPages
from buildapi.web.selfserve.job_routes import JobRoute
from buildapi.web.selfserve.lookup import Lookup
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.reads import SelfServeReads
from buildapi.web.selfserve.request_actions import RequestActions
from buildapi.web.selfserve.revision_actions import RevisionActions
from buildapi.web.selfserve.submission import JobDispatcher, JobSubmitter

if TYPE_CHECKING:
    from buildapi.assembly.program import Assembly

SHARES = {"looking": 0.4, "checking": 0.1, "recording": 0.2, "batch": 0.6, "home": 0.6}
"""Shares of the time limit of a response; the rest is for the broker."""

REPORTS_KEPT = 20
"""Maximum number of reports in the cache."""

REPORT_ROWS_KEPT = 200_000
"""Maximum number of rows of all cached reports."""

SLOW_SECONDS = 1.0
"""Seconds without an answer after which a database is named in a timeout error."""

RECENT_SECONDS = 60
"""Seconds for which the last error of a database makes it unhealthy."""


@attrs.define(slots=False)
class Site:
    """Create the services behind the routes."""

    _of: Assembly

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        of = self._of
        taken, folder = self._taken, of.config.dumps.folder
        return [
            *self._home.routes(),
            *of.watching.routes(),
            *self._reads.routes(),
            *self.jobs.routes(),
            *JobTrail(of.store, of.telling.trails, self.pages).routes(),
            *Lookup(of.directory, of.dialect.builds, of.dialect.farm_reads).routes(),
            *of.events.routes(),
            *self._farm_wide.routes(),
            *self._reports(),
            *(DumpFiles(folder, of.reactor).routes() if folder else ()),
            *self._submitter.routes(taken),
            *self._batch.routes(),
            *of.admission.desk(self.pages).routes(),
            *BulkActions(self._batch, self.requests.of_items(), self._reads.about).routes(),
            *BuildForm(
                self._reads.branch,
                self._reads.builders_of,
                self._revisions.new_builds(),
                self._submitter,
            ).routes(),
        ]

    @cached_property
    def jobs(self) -> JobPages:
        """Pages and JSON of job requests."""
        of, limits = self._of, self._of.config.limits
        return JobPages(of.store, of.watch, self.pages, of.config.web.timezone, limits.jobs_page)

    def _part(self, name: str) -> Deadline:
        return Deadline(self._of.reactor, self._of.config.web.answer_seconds * SHARES[name])

    @cached_property
    def pages(self) -> SelfServePages:
        """Renderer of pages."""
        of = self._of
        return SelfServePages(of.config.web.timezone, of.now, of.directory.master_urls)

    @cached_property
    def _reads(self) -> SelfServeReads:
        of = self._of
        return SelfServeReads(
            of.directory, of.dialect.builds, of.answers, self.pages, of.config.web.timezone, of.now
        )

    @cached_property
    def _home(self) -> Home:
        of = self._of
        look = of.watching.farm.summarize
        part = self._part("home")
        return Home(of.directory, look, of.store, of.answers, self.pages, of.health, part)

    @cached_property
    def _farm_wide(self) -> FarmViews:
        of = self._of
        return FarmViews(
            of.directory, of.dialect.farm_reads, of.dialect.recent_builds, of.answers, self.pages
        )

    @cached_property
    def report_desk(self) -> ReportServer:
        """Shared services of all reports."""
        of = self._of
        return ReportServer(
            of.reporting.rules,
            of.directory,
            report_cache(monotonic, REPORTS_KEPT, REPORT_ROWS_KEPT),
            self.pages,
            of.config.reports.answer_seconds,
        )

    def _reports(self) -> Sequence[Route]:
        desk, reads = self.report_desk, self._of.dialect.reports
        return [
            *SchedulerReportRoutes(desk, reads).routes(),
            *RunReportRoutes(desk, reads).routes(),
            *StatusReportRoutes(desk, reads).routes(),
        ]

    @cached_property
    def _submitter(self) -> JobSubmitter:
        of = self._of
        recording, looking = self._part("recording"), self._part("looking")
        return JobSubmitter(
            self._reads.branch,
            JobDispatcher(of.store, of.broker, of.now, recording, of.telling.trail, of.outbox.owe),
            of.store,
            DryRun(of.dialect.facts, of.dialect.steps_json, of.rules, looking),
            IdempotencyKeys(of.reactor, of.store, of.now, recording),
            of.watch,
            looking,
            self.quota,
            of.dialect.text_limits,
            self._part("checking"),
        )

    @cached_property
    def quota(self) -> BuildQuota:
        """Limit of the builds that users ask for."""
        of, limits = self._of, self._of.config.limits
        most = limits.builds_per_request, limits.builds_per_user_hour
        return BuildQuota(of.store, of.now, self._part("recording"), *most)

    @cached_property
    def requests(self) -> RequestActions:
        """Validator of job requests about builds and build requests."""
        of, count = self._of, self._of.config.limits.count
        looking, listed = self._part("looking"), of.directory.is_listed
        return RequestActions(of.dialect.builds, count, looking, listed)

    @cached_property
    def _taken(self) -> Sequence[JobRoute]:
        return [*self.requests.routes(), *self._revisions.routes()]

    @cached_property
    def _revisions(self) -> RevisionActions:
        of, looking = self._of, self._part("looking")
        return RevisionActions(of.dialect.builds, of.directory, of.now, looking)

    @cached_property
    def _batch(self) -> Batch:
        of = self._of
        seconds = of.config.web.answer_seconds * SHARES["batch"]
        return Batch(self._taken, self._submitter, monotonic, seconds)


def away(broker: BrokerStatus, pools: Mapping[str, PoolStatus], now: float) -> Sequence[str]:
    """List the services that do not respond, and since when if that is known."""
    found: list[str] = []
    if not broker.connected or broker.blocked:
        since = broker.last_error_at
        known = f" (for {now - since:.0f} s)" if since is not None and since < now else ""
        words = f"takes no messages: {broker.blocked}" if broker.blocked else "is not connected"
        found.append(f"the broker {words}{known}")
    for name, status in pools.items():
        failed = status.last_error_at is not None and now - status.last_error_at < RECENT_SECONDS
        if status.unanswered is not None and (failed or status.unanswered >= SLOW_SECONDS):
            found.append(f"{name} does not answer (for {status.unanswered:.0f} s)")
    return found


def of_broker(status: BrokerStatus) -> Health:
    """Return the health of the broker."""
    if status.connected and not status.blocked:
        return Health("broker", ok=True, detail="connected")
    why = status.blocked or status.last_error or "no connection yet"
    return Health("broker", ok=False, detail=why)


def of_pool(name: str, status: PoolStatus, now: float) -> Health:
    """Return the health of a database, from its last error."""
    at = status.last_error_at
    if at is None or now - at > RECENT_SECONDS:
        return Health(f"database {name}", ok=True, detail=f"queries in flight: {status.in_flight}")
    return Health(f"database {name}", ok=False, detail=status.last_error or "")
