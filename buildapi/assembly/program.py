"""The daemon from top to bottom: what it is made of, and in which order that starts.

``create_services`` makes every part once and hands each what it needs; ``assemble`` adds the
listeners, the signals and the stages. Nothing connects, listens or runs before the program starts.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence

import attrs
from twisted.application.service import Service
from twisted.logger import Logger

from buildapi.admin.dump_writer import Dumper
from buildapi.admin.periodic_dumps import PeriodicDumps
from buildapi.agent.agent import Agent
from buildapi.assembly.adapters import Adapters, Clock, open_adapters
from buildapi.assembly.http_listeners import HTTPListeners, http_listeners
from buildapi.assembly.monitoring import Monitoring, describe_process, job_id_guard, monitoring
from buildapi.assembly.process_status import monitoring_routes, process_readiness, status_collector
from buildapi.assembly.reloadables import (
    Again,
    bind_signals,
    refresh_directory,
    reloadables,
    reopen_logs,
)
from buildapi.assembly.result_services import ResultServices, result_services
from buildapi.assembly.web_site import (
    LiveAnswers,
    SiteAdapters,
    WatchedTrail,
    WebSite,
    live_answers,
    page_renderer,
    web_site,
)
from buildapi.config import Config
from buildapi.db.schema import create_jobs_schema, create_marker_table
from buildapi.interfaces import AuditStore, Directory, TrailStore
from buildapi.interfaces.dialect import Dialect
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.lifecycle import Program, Stages
from buildapi.model.audit import BY_PROCESS, schema_record
from buildapi.model.health import Health
from buildapi.model.messages import SettledLetter
from buildapi.model.ops import ProcessState
from buildapi.ops.audit import BufferedAudit
from buildapi.ops.dead_letter_tally import DeadLetterTally
from buildapi.ops.farm_summary import FarmSummarizer
from buildapi.ops.job_id_guard import JobIdGuard
from buildapi.ops.job_metrics import JobMetrics
from buildapi.ops.load_sampler import LoadSampler
from buildapi.ops.logs import Logs
from buildapi.ops.metrics import Metrics
from buildapi.ops.outages import away, of_broker, of_pool
from buildapi.ops.reload import Reload, Reloader, reload_record
from buildapi.ops.trail import BufferedTrail
from buildapi.reactor_time import Reactor
from buildapi.web.http.auth import NO_GROUPS
from buildapi.web.http.client_limits import ClientLimits
from buildapi.web.http.connection import Traffic
from buildapi.web.http.page_permissions import OPEN
from buildapi.web.http.routes import Route
from buildapi.web.reports.classification_file import read_classification
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.reads import files_routes
from buildapi.web.selfserve.shadowed_branches import ShadowedBranches

# Python's default is 5 ms. While a thread read 5,000 rows, the reactor was late by 23 ms with it,
# and by 5 ms with this (95th percentile).
SWITCH_SECONDS = 0.0005
"""Seconds for which a database thread may keep the interpreter lock: they add to reactor lag."""

MARKER_DAYS = 30
"""Days to keep the marker of a settled job; no message lives that long."""

SAMPLE_SECONDS = 50
"""Seconds at the start of each minute over which processes look for a sample of the load."""

log = Logger()


@attrs.frozen
class ApiServices:
    """Hold what only a process with the role ``api`` has."""

    live: LiveAnswers
    results: ResultServices
    site: WebSite


@attrs.frozen
class Services:
    """Hold the parts of one process; those that it has not are None."""

    adapters: Adapters
    traffic: Traffic
    logs: Logs
    trail: BufferedTrail
    audit: BufferedAudit
    agent: Agent | None
    dumps: PeriodicDumps | None
    load: LoadSampler | None
    job_ids: JobIdGuard
    monitoring: Monitoring
    monitoring_routes: Sequence[Route]
    api: ApiServices | None


@attrs.frozen
class Daemon:
    """Hold the assembled program and what it is made of; ``reloader`` is None without ``again``."""

    program: Program
    services: Services
    listeners: HTTPListeners
    reloader: Reloader | None


def assemble(
    config: Config,
    reactor: Reactor,
    now: Callable[[], float] = time.time,
    *,
    again: Again | None = None,
    replace: Callable[[Adapters], Adapters] = lambda adapters: adapters,
) -> Daemon:
    """Assemble the program; ``now`` returns epoch seconds.

    ``again`` reads the configuration again, and holds the signals that ask for it. ``replace``
    returns the adapters to use in place of those that the configuration names: tests put their own
    there.

    :raises ConfigError: a URL, or a file that the configuration names, is wrong.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    clock = Clock(reactor, now)

    # Both are asked only while the program runs, when the two at the end of this function exist.
    def state() -> ProcessState:
        return program.state

    def reloaded() -> Reload | None:
        return None if reloader is None else reloader.last

    metrics = Metrics()
    adapters = replace(open_adapters(config, clock, metrics.query))
    services = create_services(config, clock, metrics, adapters, state=state, reloaded=reloaded)
    listeners = http_listeners(
        config,
        clock,
        metrics,
        services.api.site.bearers if services.api else None,
        away=lambda: outages(adapters, clock),
        ending=services.api.live.end if services.api else lambda: None,
        members=services.api.site.access.groups_of if services.api else lambda _: NO_GROUPS,
        permissions=services.api.site.page_permissions if services.api else lambda _: OPEN,
        record=services.audit.record,
    )
    stages = create_stages(config, clock, services, listeners)
    for warning in config.warnings:
        log.warn("{warning}", warning=warning)
    program = Program(reactor, stages)
    program.joining = services.logs.join
    reloader = create_reloader(config, clock, services, listeners, state=state, again=again)
    return Daemon(program, services, listeners, reloader)


# --- the parts


def create_services(
    config: Config,
    clock: Clock,
    metrics: Metrics,
    adapters: Adapters,
    *,
    state: Callable[[], ProcessState],
    reloaded: Callable[[], Reload | None],
) -> Services:
    """Create every part of a process of the configured roles, each after what it needs.

    ``state`` returns that of the process, ``reloaded`` the result of the last reload.
    """
    roles, dialect, directory = config.service.roles, adapters.dialect, adapters.directory
    started_at = int(clock.now())
    describe_process(config, metrics, started_at)

    # What it writes of itself: the log, the audit trail of job requests, the audit log.
    logs = create_logs(config, metrics)
    trail = create_trail(config, clock, adapters.trails, metrics)
    audit = create_audit(config, clock, adapters.audits, metrics)

    # What it does of its own accord.
    agent = create_agent(config, clock, adapters, trail) if "agent" in roles else None
    dumps = create_dumps(config, clock, dialect, directory) if "api" in roles else None
    job_ids = job_id_guard(dialect.actions, adapters.databases.jobs)

    # How others learn how it is: heartbeats, /status, metrics.
    watch = monitoring(
        config,
        clock,
        metrics,
        processes=adapters.processes,
        agent=agent,
        masters=directory.probed_urls,
        dialect=dialect,
        job_ids=job_ids,
        state=state,
        started_at=started_at,
    )
    traffic = Traffic(limits=ClientLimits.of(config.limits, clock.reactor.seconds, metrics.count))
    letters = DeadLetterTally(clock.now)
    farm = FarmSummarizer(directory, dialect.farm_reads, clock.now)
    load = create_load_sampler(config, clock, adapters, farm) if "api" in roles else None
    readiness = process_readiness(config, clock, adapters, state)
    collector = status_collector(
        config,
        clock,
        adapters,
        monitoring=watch,
        readiness=readiness,
        job_ids=job_ids,
        farm=farm,
        letters=letters,
        dumps=dumps,
        traffic=traffic,
        reloaded=reloaded,
    )
    pages = page_renderer(config, clock, directory)
    health_routes = monitoring_routes(
        clock,
        collector=collector,
        readiness=readiness,
        metrics=metrics,
        agent=agent,
        pages=pages,
    )

    # What it answers: accept job requests and show them, the farm and its reports.
    def settled(letter: SettledLetter) -> None:
        letters.note(letter)
        metrics.count("buildapi_dead_letters", letter.queue, letter.end.value)

    api = (
        create_api(
            config,
            clock,
            adapters,
            trail=trail,
            audit=audit,
            pages=pages,
            summary=farm.summarize,
            monitoring=health_routes,
            settled=settled,
        )
        if "api" in roles
        else None
    )
    return Services(
        adapters,
        traffic,
        logs,
        trail,
        audit,
        agent,
        dumps,
        load,
        job_ids,
        watch,
        health_routes,
        api,
    )


def create_api(
    config: Config,
    clock: Clock,
    adapters: Adapters,
    *,
    trail: BufferedTrail,
    audit: BufferedAudit,
    pages: SelfServePages,
    summary: Callable[[], Awaitable[FarmSummary]],
    monitoring: Sequence[Route],
    settled: Callable[[SettledLetter], None],
) -> ApiServices:
    """Create what accepts job requests, takes their results, and answers everybody.

    ``summary`` reads that of the farm, ``monitoring`` are more routes, ``settled`` is called with
    each dead letter that is settled.
    """
    site_adapters = SiteAdapters(
        adapters.directory,
        adapters.dialect,
        adapters.rules,
        adapters.store,
        adapters.broker,
        trail,
        adapters.trails,
        audit,
        adapters.audits,
        adapters.tokens,
        adapters.groups,
        adapters.loads,
    )
    live = live_answers(config, clock, site_adapters)
    results = result_services(
        config,
        clock,
        broker=adapters.broker,
        store=adapters.store,
        trail=WatchedTrail(trail, live.job_changed),
        trails=adapters.trails,
        processes=adapters.processes,
        changed=live.refresh,
        settled=settled,
    )
    site = web_site(
        config,
        clock,
        site_adapters,
        live=live,
        pages=pages,
        classification=read_classification(config.reports.classification),
        owe=results.reconciler.owe,
        summary=summary,
        health=lambda: health(adapters, clock),
        monitoring=monitoring,
    )
    adapters.directory.remark_on_branches(ShadowedBranches(site.routes).warnings)
    return ApiServices(live, results, site)


def create_agent(config: Config, clock: Clock, adapters: Adapters, trail: BufferedTrail) -> Agent:
    """Create the consumer of job requests, which executes them."""
    return Agent(
        clock.reactor,
        adapters.broker,
        adapters.store,
        adapters.dialect.actions,
        queue=config.broker.agent_queue,
        agent_name=config.service.name,
        prefetch=config.agent.prefetch,
        drain_seconds=config.service.drain_seconds,
        now=clock.now,
        trail=trail,
        tries=config.agent.tries,
    )


def create_logs(config: Config, metrics: Metrics) -> Logs:
    """Create the log of the process."""
    wanted = config.log
    return Logs(
        wanted.level,
        wanted.format,
        wanted.file,
        lambda level: metrics.count("buildapi_log_events", level),
    )


def create_trail(
    config: Config, clock: Clock, trails: TrailStore, metrics: Metrics
) -> BufferedTrail:
    """Create the writer of audit trails; processes that serve HTTP also delete expired entries."""
    wanted = config.service
    days = config.ops.trail_days if "api" in wanted.roles else 0
    numbers = JobMetrics(metrics.count, metrics.observe, clock.reactor.seconds)
    return BufferedTrail(clock.reactor, trails, clock.now, wanted.name, days, numbers)


def create_audit(
    config: Config, clock: Clock, audits: AuditStore, metrics: Metrics
) -> BufferedAudit:
    """Create the writer of the audit log; processes that serve HTTP also delete old records."""
    wanted = config.service
    return BufferedAudit(
        clock.reactor,
        audits,
        clock.now,
        wanted.name,
        config.ops.audit_days if "api" in wanted.roles else 0,
        lambda outcome: metrics.count("buildapi_audit_records", outcome),
        lambda: metrics.count("buildapi_audit_dropped"),
    )


def create_dumps(
    config: Config, clock: Clock, dialect: Dialect, directory: Directory
) -> PeriodicDumps | None:
    """Create the periodic dumps; None without a folder for them, and for all workers but one."""
    wanted = config.dumps
    if wanted.folder is None or config.worker > 1:
        return None

    async def branches() -> Sequence[str]:
        return list(directory.branches().by_name)

    dumper = Dumper(
        clock.reactor, dialect.ended_builds, dialect.started_requests, dialect.farm_reads, branches
    )
    return PeriodicDumps(clock.reactor, dumper, wanted.folder, wanted, clock.now)


def create_load_sampler(
    config: Config, clock: Clock, adapters: Adapters, farm: FarmSummarizer
) -> LoadSampler:
    """Create what samples the farm's load."""
    # The first process that looks in a minute reads the farm, for all: they look one by one.
    name = f"{config.service.name}:{config.worker}"
    second = zlib.crc32(name.encode(errors="replace")) % SAMPLE_SECONDS
    return LoadSampler(
        clock.reactor, adapters.loads, farm.summarize, clock.now, config.ops.load_hours, second
    )


def health(adapters: Adapters, clock: Clock) -> Sequence[Health]:
    """Return the health of the broker and the databases, as known without a request."""
    now = clock.now()
    pools = adapters.databases.interactive
    return [of_broker(adapters.broker.status()), *(of_pool(p.name, p.status(), now) for p in pools)]


def outages(adapters: Adapters, clock: Clock) -> Sequence[str]:
    """List the services that do not respond, as known without a request."""
    pools = {p.name: p.status() for p in adapters.databases.interactive}
    return away(adapters.broker.status(), pools, clock.now())


# --- in which order they start and stop


def create_stages(
    config: Config, clock: Clock, services: Services, listeners: HTTPListeners
) -> Stages:
    """Open the doors, then the ground; prepare the databases; then start the workers.

    They stop in reverse: results are taken as long as an agent runs. The public listener and the
    agent, which accept work, stop first of all.
    """
    adapters, watch, roles = services.adapters, services.monitoring, config.service.roles
    agent, api = services.agent, services.api
    public = listeners.public(api.site.routes, services.traffic) if api else None
    for_monitoring = (
        listeners.for_monitoring([*services.monitoring_routes, *files_routes()])
        if config.ops.listen
        else None
    )
    # The directory of a sample farm is written by the farm, and read once that runs.
    sample, directory = adapters.sample, adapters.directory
    # The notifier is the first of these, so that it stops last: watchdog messages go on until the
    # process ends.
    ground: list[Service] = [watch.notifier, *adapters.databases.used_by(roles)]
    ground += [services.trail, services.audit, adapters.broker, sample or directory]
    workers: list[Service] = [directory] if sample else []
    workers += watch.services()
    workers += [services.dumps] if services.dumps else []
    workers += api.results.services() if api else []
    workers += [services.load] if services.load else []
    workers += [agent] if agent else []
    serves = serving_text(config)

    def ready() -> None:
        log.info("BuildAPI is ready, roles {roles}", roles=", ".join(roles))
        watch.notifier.ready(serves)
        if public:
            public.announce(config.web.prefix + "/self-serve")

    return Stages(
        doors=[door for door in (for_monitoring, public) if door],
        ground=ground,
        prepare=lambda: prepare(config, clock, services),
        workers=workers,
        ready=ready,
        admit=public.admit if public else lambda: None,
        takers=[taker for taker in (public, agent) if taker],
        drain_seconds=config.service.drain_seconds,
        turned=watch.turned,
    )


async def prepare(config: Config, clock: Clock, services: Services) -> None:
    """Wait for the sample farm, create missing tables, read the directory.

    :raises Unavailable: something does not respond; the next call tries everything again.
    """
    adapters = services.adapters
    if adapters.sample:
        await adapters.sample.when_ready()
    created = await create_jobs_schema(adapters.databases.jobs)
    if created:
        services.audit.record(schema_record(BY_PROCESS, created))
    if services.agent:
        await create_marker_table(adapters.databases.scheduler, config.agent.marker_table)
        await adapters.dialect.actions.forget(MARKER_DAYS)
    if services.api:  # before the first job request is taken
        await services.job_ids.check(int(clock.now()))
    await adapters.directory.refresh()


def create_reloader(
    config: Config,
    clock: Clock,
    services: Services,
    listeners: HTTPListeners,
    *,
    state: Callable[[], ProcessState],
    again: Again | None,
) -> Reloader | None:
    """Create what reloads the configuration, and bind the signals that ask for it."""
    if again is None:
        return None
    site = services.api.site if services.api else None

    def reopen() -> None:
        reopen_logs(services.logs, listeners.access_log)

    def refresh() -> None:
        reopen()
        refresh_directory(services.adapters.directory)

    able = reloadables(
        services.logs,
        services.trail,
        services.audit,
        clients=services.traffic.limits,
        listeners=listeners,
        site=site,
    )
    reloader = Reloader(again.read, config, lambda: able, clock.now, refresh)
    reloader.told = lambda done: services.audit.record(reload_record(done))
    bind_signals(
        again,
        clock,
        reloader,
        services.monitoring.notifier,
        state,
        serves=serving_text(config),
        reopen=reopen,
    )
    return reloader


def serving_text(config: Config) -> str:
    """Return the status text for the service manager."""
    return f"serving, roles {', '.join(config.service.roles)}"
