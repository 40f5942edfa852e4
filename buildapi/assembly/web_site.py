"""Wire what answers requests for pages and JSON: the routes, and the services behind them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs

from buildapi import __version__
from buildapi.assembly.adapters import Clock
from buildapi.config import Config
from buildapi.errors import Unavailable
from buildapi.interfaces import (
    AuditLog,
    AuditStore,
    Broker,
    Directory,
    GroupStore,
    JobStore,
    LoadStore,
    TokenStore,
    Trail,
    TrailStore,
)
from buildapi.interfaces.dialect import Dialect
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.health import Health
from buildapi.model.ops import Part, Token
from buildapi.model.records import BranchDay
from buildapi.model.rules import Rules
from buildapi.reports.classification import Classification
from buildapi.reports.job_classes import JobClasses
from buildapi.web.events.changes import FarmChanges, JobChanges
from buildapi.web.events.streams import EventStreams, StreamLimits
from buildapi.web.farm.home import Home
from buildapi.web.farm.load_routes import LoadViews
from buildapi.web.farm.push_overview import PushOverview
from buildapi.web.farm.recorded_builds import RecordedBuilds
from buildapi.web.farm.views import FarmViews
from buildapi.web.http.access_control import AccessControl
from buildapi.web.http.audit_records import use_record
from buildapi.web.http.auth import Identity
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.groups_file import read_memberships
from buildapi.web.http.json_body import JSONBody, json_cache
from buildapi.web.http.page_permissions import PagePermissions
from buildapi.web.http.remembered_groups import RememberedGroups
from buildapi.web.http.routes import Route
from buildapi.web.http.token_auth import TokenAuthenticator
from buildapi.web.http.topics import (
    FARM,
    JOB_LISTS,
    TopicDrops,
    branch_topic,
    job_topic,
    revision_topic,
    revisions_topic,
)
from buildapi.web.openapi.document import APIDescription
from buildapi.web.openapi.routes import OpenAPIRoutes
from buildapi.web.ops.dump_files import DumpFiles
from buildapi.web.reports.report_server import ReportServer, report_cache
from buildapi.web.reports.run_routes import RunReportRoutes
from buildapi.web.reports.scheduler_routes import SchedulerReportRoutes
from buildapi.web.reports.status_routes import StatusReportRoutes
from buildapi.web.selfserve.audit_search import AuditSearch
from buildapi.web.selfserve.audit_trail import JobTrail
from buildapi.web.selfserve.authorizations import Authorizations
from buildapi.web.selfserve.batch import Batch
from buildapi.web.selfserve.build_form import BuildForm
from buildapi.web.selfserve.build_page import BuildPage
from buildapi.web.selfserve.build_quota import BuildQuota
from buildapi.web.selfserve.build_reads import BuildReads
from buildapi.web.selfserve.build_surroundings import SurroundingReads
from buildapi.web.selfserve.bulk_actions import BulkActions
from buildapi.web.selfserve.dry_run_page import DryRun
from buildapi.web.selfserve.idempotency import IdempotencyKeys
from buildapi.web.selfserve.job_pages import JobPages
from buildapi.web.selfserve.job_waiter import JobWaiter
from buildapi.web.selfserve.lookup import Lookup
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.permissions import JobPermissions
from buildapi.web.selfserve.push_details import PushDetailReader
from buildapi.web.selfserve.push_list import PushLists
from buildapi.web.selfserve.push_pages import PushPages
from buildapi.web.selfserve.push_reader import PushReader
from buildapi.web.selfserve.reads import SelfServeReads, documentation
from buildapi.web.selfserve.request_actions import RequestActions
from buildapi.web.selfserve.revision_actions import RevisionActions
from buildapi.web.selfserve.revision_waiter import RevisionWaiter
from buildapi.web.selfserve.row_pushes import RowPushes
from buildapi.web.selfserve.submission import JobDispatcher, JobSubmitter
from buildapi.web.selfserve.token_routes import TokenRoutes

REPORTS_KEPT = 20
"""Maximum number of reports in the cache."""

PUSHES_SHARE = 0.2
"""Share of the time limit of a response that the read of the pushes of its rows may take."""

REPORT_ROWS_KEPT = 200_000
"""Maximum number of rows of all cached reports."""


@attrs.frozen
class TimeShares:
    """Set the shares of the time limit of a response; what a request leaves is for the broker.

    ``looking`` is for one read, ``checking`` for the check of texts, ``recording`` for one write
    of a job request, ``writing`` for one of a token, ``batch`` for all entries, ``home`` for a
    part of the home page, ``beside`` for what is shown beside a build.
    """

    looking: float = 0.4
    checking: float = 0.1
    recording: float = 0.2
    writing: float = 0.8
    batch: float = 0.6
    home: float = 0.6
    beside: float = 0.3


@attrs.frozen
class SiteAdapters:
    """Hold what the routes read and write; tests hand in doubles."""

    directory: Directory
    dialect: Dialect
    rules: Rules
    store: JobStore
    broker: Broker
    trail: Trail
    trails: TrailStore
    audit: AuditLog
    audits: AuditStore
    tokens: TokenStore
    groups: GroupStore
    loads: LoadStore


@attrs.frozen
class LiveAnswers:
    """Hold what shows the results of jobs as they come: kept answers, waiting clients, streams."""

    cache: SingleFlightCache[JSONBody]
    drops: TopicDrops
    waiter: JobWaiter
    revisions: RevisionWaiter[BranchDay]
    events: EventStreams

    def refresh(self, branch: str | None, revision: str | None) -> None:
        """Look again: the result of a job about a branch and a revision has come; None is any."""
        if branch is None:
            self.cache.forget()
        else:
            self.drops.changed(branch_topic(branch))
            of_one = revision and revision_topic(branch, revision)
            self.drops.changed(of_one or revisions_topic(branch))
            self.drops.changed(FARM)
        self.waiter.poll()
        self.events.poll()

    def job_changed(self, job_id: int) -> None:
        """Drop the answers that show a job request, which this process has changed."""
        self.cache.forget_topic(job_topic(job_id))
        self.cache.forget_topic(JOB_LISTS)

    def end(self) -> None:
        """End waiting requests and event streams, at shutdown."""
        self.drops.close()
        self.waiter.close()
        self.revisions.close()
        self.events.close()


@attrs.frozen
class WatchedTrail:
    """Implement ``Trail``: call ``changed`` with the job of each event, beside noting it.

    Whatever this process does to a job request is noted, so no part needs to tell the cache.
    """

    _trail: Trail
    _changed: Callable[[int], None]

    def note(self, job_id: int, part: Part, event: str, detail: str = "") -> None:
        """Record an event."""
        self._changed(job_id)
        self._trail.note(job_id, part, event, detail)


def live_answers(config: Config, clock: Clock, site: SiteAdapters) -> LiveAnswers:
    """Create the cache of responses, the waiter for jobs and the event streams."""
    limits = config.limits
    pushes = row_pushes(config, clock, site)
    shares = StreamLimits(limits.listeners, limits.listeners_per_user, limits.listeners_per_address)
    cache = json_cache(clock.reactor.seconds, config.web.cache_seconds)
    return LiveAnswers(
        cache,
        TopicDrops(clock.reactor, cache.forget_topic),
        JobWaiter(clock.reactor, site.store),
        RevisionWaiter(clock.reactor),
        EventStreams(
            clock.reactor,
            site.directory,
            FarmChanges(site.directory, site.dialect.builds, pushes),
            JobChanges(site.store),
            shares,
        ),
    )


def row_pushes(
    config: Config, clock: Clock, site: SiteAdapters, share: float = PUSHES_SHARE
) -> RowPushes:
    """Create the reader of the pushes of rows; ``share`` is that of the time of an answer."""
    limit = Deadline(clock.reactor, config.web.answer_seconds * share)
    return RowPushes(site.dialect.pushes, site.dialect.builds, site.directory, limit)


def page_renderer(config: Config, clock: Clock, directory: Directory) -> SelfServePages:
    """Create the renderer of pages."""
    return SelfServePages(config.web.timezone, clock.now, directory.master_urls)


@attrs.frozen
class WebSite:
    """Hold the routes, the documentation generated from them first, and what a reload changes.

    ``bearers`` authenticates tokens; it is None if the configuration accepts none.  ``access``
    decides who may do what, ``page_permissions`` tells that to pages.
    """

    routes: Sequence[Route]
    bearers: TokenAuthenticator | None
    access: AccessControl
    page_permissions: Callable[[Identity], PagePermissions]
    jobs: JobPages
    requests: RequestActions
    quota: BuildQuota
    reports: ReportServer
    job_classes: JobClasses


def web_site(
    config: Config,
    clock: Clock,
    site: SiteAdapters,
    *,
    live: LiveAnswers,
    pages: SelfServePages,
    classification: Classification,
    owe: Callable[[int], None],
    summary: Callable[[], Awaitable[FarmSummary]],
    health: Callable[[], Sequence[Health]],
    monitoring: Sequence[Route],
    shares: TimeShares = TimeShares(),
) -> WebSite:
    """Wire all routes.

    ``owe`` is called with a job whose sending could not be recorded, ``summary`` reads that of the
    farm, ``health`` returns that of the broker and databases; ``monitoring`` are more routes.
    """
    reactor, now, web, limits = clock.reactor, clock.now, config.web, config.limits
    directory, dialect, store = site.directory, site.dialect, site.store
    access = AccessControl(config.access.policy, read_memberships(config.access.groups_file))
    builds, zone = dialect.builds, web.timezone

    def part(share: float) -> Deadline:
        return Deadline(reactor, web.answer_seconds * share)

    looking, recording = part(shares.looking), part(shares.recording)

    of_rows = row_pushes(config, clock, site)
    beside = part(shares.beside)
    details = PushDetailReader(dialect.pushes, directory, live.cache, beside)
    reads = SelfServeReads(
        directory, builds, live.cache, pages, zone, now, live.revisions, of_rows, details
    )
    of_builds = BuildReads(
        reads.branch,
        builds,
        store,
        live.cache,
        BuildPage(pages),
        beside,
        of_rows,
        SurroundingReads(dialect.pushes, dialect.build_steps, store, beside),
        dialect.build_steps,
    )
    jobs = JobPages(store, live.waiter, live.cache, pages, zone, limits.jobs_page, of_rows)
    classes = JobClasses(classification)
    reader = PushReader(dialect.pushes, classes, now, reactor)
    pushes = PushLists(directory, reader, live.cache, PushPages(pages))
    home = Home(
        directory,
        summary,
        store,
        live.cache,
        pages,
        health,
        part(shares.home),
        PushOverview(directory, dialect.pushes, reader, now),
        site.loads,
    )
    farm_views = FarmViews(
        directory,
        dialect.farm_reads,
        dialect.recent_builds,
        live.cache,
        pages,
        of_rows,
        RecordedBuilds(dialect.recent_builds, builds, live.cache, part(PUSHES_SHARE), now),
    )
    reports = report_server(config, clock, directory, pages, classification)

    quota = BuildQuota(
        store, now, recording, limits.builds_per_request, limits.builds_per_user_hour
    )
    submitter = JobSubmitter(
        reads.branch,
        JobDispatcher(
            store, site.broker, now, recording, WatchedTrail(site.trail, live.job_changed), owe
        ),
        store,
        DryRun(dialect.facts, dialect.steps_json, site.rules, looking),
        IdempotencyKeys(reactor, store, now, recording),
        live.waiter,
        looking,
        quota,
        dialect.text_limits,
        part(shares.checking),
        JobPermissions(access.permissions, dialect.facts, site.rules, directory, looking),
        site.audit,
    )
    requests = RequestActions(builds, limits.count, looking, directory.is_listed)
    revisions = RevisionActions(builds, directory, now, looking)
    job_routes = [*requests.routes(), *revisions.routes()]
    batch = Batch(job_routes, submitter, reactor.seconds, web.answer_seconds * shares.batch)
    form = BuildForm(reads.branch, reads.builders_of, revisions.new_builds(), submitter)

    bearers = token_authenticator(config, clock, site, looking) if web.tokens else None
    tokens = TokenRoutes(
        site.tokens,
        bearers,
        pages,
        now,
        web.token_days,
        part(shares.writing),
        site.audit,
        access.decide,
        lambda: directory.branches().by_name,
    )
    folder = config.dumps.folder
    routes = [
        *home.routes(),
        *monitoring,
        *reads.routes(),
        *of_builds.routes(),
        *pushes.routes(),
        *jobs.routes(),
        *JobTrail(store, site.trails, pages).routes(),
        *AuditSearch(site.audits, access.permissions, pages, zone).routes(),
        *Lookup(directory, builds, dialect.farm_reads).routes(),
        *live.events.routes(),
        *farm_views.routes(),
        *LoadViews(site.loads, live.cache, pages, zone).routes(),
        *report_routes(reports, dialect),
        *(DumpFiles(folder, reactor).routes() if folder else ()),
        *submitter.routes(job_routes),
        *batch.routes(),
        *tokens.routes(),
        *BulkActions(batch, requests.of_items(), reads.about).routes(),
        *form.routes(),
        *Authorizations(access.permissions, directory).routes(),
    ]
    documented = [*documentation(routes, directory, live.cache), *routes]
    described = APIDescription(
        version=__version__,
        user_header=web.user_header,
        reads_free=web.reads == "anyone",
        with_tokens=web.tokens,
    )
    # The page at /self-serve lists the routes of the document, and the document that page: both
    # read their lists when they are asked.
    of_document = OpenAPIRoutes(documented, described, live.cache).routes()
    routes += of_document
    documented += of_document
    permissions = page_permissions(access, directory)
    return WebSite(
        documented, bearers, access, permissions, jobs, requests, quota, reports, classes
    )


def page_permissions(
    access: AccessControl, directory: Directory
) -> Callable[[Identity], PagePermissions]:
    """Return a function that tells pages what their user may do."""

    def access_of(name: str) -> str | None:
        try:
            branch = directory.branches().get(name)
        except Unavailable:  # the branches file was never read
            return None
        return None if branch is None else branch.access

    return lambda identity: PagePermissions(access.permissions(identity), access_of)


def token_authenticator(
    config: Config, clock: Clock, site: SiteAdapters, looking: Deadline
) -> TokenAuthenticator:
    """Create what looks up tokens and remembers the groups of their owners."""
    seconds, now = clock.reactor.seconds, clock.now
    groups = RememberedGroups(site.groups, seconds, now, looking, config.access.groups_days)

    def first_use(token: Token, address: str) -> None:
        site.audit.record(use_record(token, address))

    return TokenAuthenticator(site.tokens, seconds, now, looking, groups, first_use)


def report_server(
    config: Config,
    clock: Clock,
    directory: Directory,
    pages: SelfServePages,
    classification: Classification,
) -> ReportServer:
    """Create what computes, keeps and renders reports."""
    kept = report_cache(clock.reactor.seconds, REPORTS_KEPT, REPORT_ROWS_KEPT)
    return ReportServer(classification, directory, kept, pages, config.reports.answer_seconds)


def report_routes(reports: ReportServer, dialect: Dialect) -> Sequence[Route]:
    """List the routes of reports."""
    reads = dialect.reports
    return [
        *SchedulerReportRoutes(reports, reads).routes(),
        *RunReportRoutes(reports, reads).routes(),
        *StatusReportRoutes(reports, reads).routes(),
    ]
