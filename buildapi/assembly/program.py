"""Assemble the program from its services."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.logger import Logger

from buildapi.admin.dump_writer import Dumper
from buildapi.admin.periodic_dumps import PeriodicDumps
from buildapi.agent.agent import Agent
from buildapi.agent.dead_letter_review import DeadLetterReview
from buildapi.agent.reconciler import Reconciler
from buildapi.agent.result_consumer import ResultConsumer
from buildapi.assembly.admission import Admission
from buildapi.assembly.brokers import BROKERS
from buildapi.assembly.dialects import DIALECTS
from buildapi.assembly.farm import farm_settings, naming_rules
from buildapi.assembly.ground import directory, pool, sample_farm
from buildapi.assembly.reloading import Again, Reloading
from buildapi.assembly.reporting import Reporting
from buildapi.assembly.serving import Serving
from buildapi.assembly.site import Site, away, of_broker, of_pool
from buildapi.assembly.telling import Telling
from buildapi.assembly.watching import Watching
from buildapi.buildbot.dialect import FarmResources
from buildapi.buildbot.directory import (
    DirectoryService,
)
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.config import Config
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.pool import PooledDatabase
from buildapi.db.schema import create_jobs_schema, create_marker_table
from buildapi.db.sql import Database
from buildapi.interfaces.dialect import Dialect
from buildapi.lifecycle import Program, Stages
from buildapi.model.health import Health
from buildapi.model.ops import ProcessState
from buildapi.model.rules import Rules
from buildapi.model.wire import FINISHED, REQUESTS
from buildapi.sample.clobberer import CLOBBER_TOKEN
from buildapi.sample.sample_farm import SampleFarm
from buildapi.web.events.streams import EventStreams, StreamLimits
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.json_body import JSONBody, json_cache
from buildapi.web.selfserve.job_waiter import JobWaiter
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.reads import documentation
from buildapi.web.selfserve.shadowed_branches import ShadowedBranches

SWITCH_SECONDS = 0.0005
"""Seconds for which a database thread may keep the interpreter lock: they add to reactor lag."""

MARKER_DAYS = 30
"""Days to keep the marker of a settled job; no message lives that long."""

log = Logger()


def assemble(
    config: Config,
    reactor: Any,
    now: Callable[[], float] = time.time,
    *,
    again: Again | None = None,
) -> Program:
    """Assemble the program; ``now`` returns epoch seconds.

    ``again`` reads the configuration again, and holds the signals that ask for it.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    assembly = Assembly(config, reactor, now)
    program = assembly.program()
    program.joining = assembly.telling.logs.join
    if again is not None:
        assembly.reloading.obey(again)
    return program


@attrs.define(slots=False)
class Assembly:
    """Create the services of one program, each once, on first use."""

    config: Config
    reactor: Any
    now: Callable[[], float]
    _made: Program = attrs.field(init=False)

    def program(self) -> Program:
        """Assemble the services into stages."""
        stages = Stages(
            doors=self.serving.doors(),
            ground=self._ground(),
            prepare=self._prepare,
            workers=self._workers(),
            ready=self._ready,
            admit=self._admit,
            takers=self._takers(),
            drain_seconds=self.config.service.drain_seconds,
            turned=self.watching.turned,
        )
        for warning in self.config.warnings:
            log.warn("{warning}", warning=warning)
        self._made = Program(self.reactor, stages)
        return self._made

    def state(self) -> ProcessState:
        """Return the state of the program."""
        return self._made.state

    @property
    def serves(self) -> str:
        """Status text for the service manager."""
        return f"serving, roles {', '.join(self.config.service.roles)}"

    def has(self, role: str) -> bool:
        """Return whether this process has a role."""
        return role in self.config.service.roles

    def _takers(self) -> list[Service]:
        http = [self.serving.listener] if self.has("api") else []
        return [*http, *([self.agent] if self.has("agent") else [])]

    def _admit(self) -> None:
        if self.has("api"):
            self.serving.listener.admit()

    # --- what the rest stands on

    def _ground(self) -> list[Service]:
        last = self.sample if self.config.sample.enabled else self.directory
        return [*self.watching.first(), *self.pools(), self.telling.trail, self.broker, last]

    def pools(self) -> Sequence[PooledDatabase]:
        """List the connection pools that its roles use, those of reports last."""
        pools = [self.jobs_db, self.scheduler_db]
        if self.has("api"):
            pools += [self.replica_db, self.status_db, *self.reporting.pools]
        return list(dict.fromkeys(pools))

    def _pool(self, name: str, *, read_only: bool = False) -> PooledDatabase:
        observed = self.watching.metrics.query
        return pool(self.config, self.reactor, name, observed, read_only=read_only)

    @cached_property
    def watching(self) -> Watching:
        """Monitoring services."""
        return Watching(self)

    @cached_property
    def jobs_db(self) -> PooledDatabase:
        """Jobs database, which is our own."""
        return self._pool("jobs")

    @cached_property
    def scheduler_db(self) -> PooledDatabase:
        """Scheduler database of the masters, for writes."""
        return self._pool("scheduler")

    @cached_property
    def replica_db(self) -> PooledDatabase:
        """Replica for interactive reads, in a pool apart from the writes."""
        return self._pool("scheduler_replica", read_only=True)

    @cached_property
    def status_db(self) -> PooledDatabase:
        """Status database; the sample farm writes to its own."""
        return self._pool("status", read_only=not self.config.sample.enabled)

    @cached_property
    def reporting(self) -> Reporting:
        """Services of reports."""
        return Reporting(self.config, self.reactor, self.watching.metrics.query)

    @cached_property
    def broker(self) -> Any:
        """Broker for the scheme of its URL."""
        broker = BROKERS[self.config.broker.scheme](self.config, self.reactor)
        broker.name = "broker"
        return broker

    @cached_property
    def fetcher(self) -> Fetcher:
        """HTTP client for masters and directory documents."""
        return Fetcher(self.reactor)

    @cached_property
    def sample(self) -> SampleFarm:
        """Sample farm."""
        return sample_farm(self.config, self.reactor, self.scheduler_db, self.status_db)

    @cached_property
    def directory(self) -> DirectoryService:
        """Directory of branches, masters and builders."""
        return directory(self.config, self.reactor, self.fetcher, self._hidden)

    @cached_property
    def store(self) -> SQLJobStore:
        """Store of job requests."""
        return SQLJobStore(self.jobs_db)

    # --- what is told of it

    @cached_property
    def telling(self) -> Telling:
        """Log and audit trails."""
        return Telling(self)

    @cached_property
    def reloading(self) -> Reloading:
        """Signal handlers: reload settings, reopen log files."""
        return Reloading(self)

    # --- the agent

    @cached_property
    def rules(self) -> Rules:
        """Naming rules of the farm's builders."""
        return naming_rules(self.config, self._clobber_at())

    @cached_property
    def dialect(self) -> Dialect:
        """What reads the farm and acts on it."""
        resources = FarmResources(
            self.reactor,
            self.now,
            _FarmDatabases(self),
            self.directory,
            self.fetcher,
            self.rules,
            farm_settings(self.config),
            self._clobber_at(),
        )
        return DIALECTS[self.config.farm.dialect].build(resources)

    def _clobber_at(self) -> Callable[[], tuple[str, str | None]] | None:
        """Return where the clobberer is; the sample farm's URL is known only once it runs."""
        clobber = self.config.clobber
        url, token = clobber.url, clobber.token.reveal() if clobber.token else None
        if url is not None:
            return lambda: (url, token)
        if self.config.sample.enabled:
            return lambda: (self.sample.clobber_url, CLOBBER_TOKEN)
        return None

    def _workers(self) -> list[Service]:
        """List the workers in starting order; they stop in reverse: reports outlive the agent."""
        written = [self.directory] if self.config.sample.enabled else []
        reports = [self.finisher, self.outbox, self.letters] if self.has("api") else []
        dumps = [self.dumps] if self.has("api") and self.dumps is not None else []
        agent = [self.agent] if self.has("agent") else []
        return [*written, *self.watching.workers(), *dumps, *reports, *agent]

    @cached_property
    def agent(self) -> Agent:
        """Consumer of job requests."""
        return Agent(
            self.reactor,
            self.broker,
            self.store,
            self.dialect.actions,
            queue=self.config.broker.agent_queue,
            agent_name=self.config.service.name,
            prefetch=self.config.agent.prefetch,
            drain_seconds=self.config.service.drain_seconds,
            now=self.now,
            trail=self.telling.trail,
            tries=self.config.agent.tries,
        )

    @cached_property
    def finisher(self) -> ResultConsumer:
        """Consumer of the agents' reports."""
        return ResultConsumer(
            self.reactor,
            self.broker,
            self.store,
            queue=self.config.broker.web_queue,
            drain_seconds=self.config.service.drain_seconds,
            now=self.now,
            changed=self._changed,
            trail=self.telling.trail,
        )

    def _changed(self) -> None:
        """Invalidate cached reads when a report has come."""
        self.answers.forget()
        self.watch.poll()
        self.events.poll()

    @cached_property
    def watch(self) -> JobWaiter:
        """Waiter for jobs to finish."""
        return JobWaiter(self.reactor, self.store)

    @cached_property
    def outbox(self) -> Reconciler:
        """Reconciler of jobs that were never sent or are lost."""
        trail, trails = self.telling.trail, self.telling.trails
        return Reconciler(
            self.reactor,
            self.broker,
            self.store,
            self.now,
            trail,
            trails,
            self.watching.roster,
            self.config.broker.agent_queue,
            self.config.agent.tries,
        )

    @cached_property
    def letters(self) -> DeadLetterReview:
        """Reviewer of dead letters."""
        broker = self.config.broker
        return DeadLetterReview(
            self.reactor,
            self.broker,
            self.store,
            {REQUESTS: broker.agent_queue, FINISHED: broker.web_queue},
            self.now,
            self.telling.trail,
            self.watching.settled,
        )

    # --- HTTP

    @cached_property
    def serving(self) -> Serving:
        """HTTP services."""
        return Serving(self)

    def let_go(self) -> None:
        """End waiting requests and event streams at shutdown."""
        self.watch.close()
        self.events.close()

    @cached_property
    def admission(self) -> Admission:
        """Token services."""
        return Admission(self.config.web, self.reactor, self.now, self.jobs_db)

    @cached_property
    def answers(self) -> SingleFlightCache[JSONBody]:
        """Cache of responses."""
        return json_cache(time.monotonic, self.config.web.cache_seconds)

    @cached_property
    def site(self) -> Site:
        """Routes and their services."""
        return Site(self)

    @property
    def pages(self) -> SelfServePages:
        """Renderer of pages."""
        return self.site.pages

    @cached_property
    def routes(self) -> Sequence[Any]:
        """Return all routes, the documentation generated from them first."""
        routes = self.site.routes()
        return [*documentation(routes, self.directory), *routes]

    def _hidden(self, branches: Iterable[str]) -> Sequence[str]:
        """Warn of branches that the routes hide; a process without routes hides none."""
        return ShadowedBranches(self.routes).warnings(branches) if self.has("api") else ()

    def dumper(self, branches: Callable[[], Awaitable[Sequence[str]]]) -> Dumper:
        """Create the writer of dumps; ``branches`` returns the names of the branches."""
        of = self.dialect
        return Dumper(self.reactor, of.ended_builds, of.started_requests, of.farm_reads, branches)

    @cached_property
    def dumps(self) -> PeriodicDumps | None:
        """Periodic dumps; None if the configuration names no folder for them."""
        wanted = self.config.dumps
        if wanted.folder is None:
            return None

        async def branches() -> Sequence[str]:
            return list(self.directory.branches().by_name)

        return PeriodicDumps(self.reactor, self.dumper(branches), wanted.folder, wanted, self.now)

    @cached_property
    def events(self) -> EventStreams:
        """Event streams."""
        limits = self.config.limits
        shares = StreamLimits(
            limits.listeners, limits.listeners_per_user, limits.listeners_per_address
        )
        return EventStreams(self.reactor, self.directory, self.dialect.builds, self.store, shares)

    def health(self) -> Sequence[Health]:
        """Return the health of the broker and the databases, as known without a request."""
        pools = dict.fromkeys([self.jobs_db, self.scheduler_db, self.replica_db, self.status_db])
        now = self.now()
        return [of_broker(self.broker.status()), *(of_pool(p.name, p.status(), now) for p in pools)]

    def away(self) -> Sequence[str]:
        """List the services that do not respond, as known without a request."""
        pools = dict.fromkeys([self.jobs_db, self.scheduler_db, self.replica_db, self.status_db])
        return away(self.broker.status(), {p.name: p.status() for p in pools}, self.now())

    @property
    def primary(self) -> Database | None:
        """Primary database, if the replica is another one."""
        databases = self.config.databases
        apart = databases.scheduler.url != databases.scheduler_replica.url
        return self.scheduler_db if apart else None

    # --- starting

    async def _prepare(self) -> None:
        """Wait for the sample farm, create missing tables, read the directory."""
        if self.config.sample.enabled:
            await self.sample.when_ready()
        await create_jobs_schema(self.jobs_db)
        if self.has("agent"):
            await create_marker_table(self.scheduler_db, self.config.agent.marker_table)
            await self.dialect.actions.forget(MARKER_DAYS)
        if self.has("api"):  # before the first job request is taken
            await self.watching.numbering.check(int(self.now()))
        await self.directory.refresh()

    def _ready(self) -> None:
        log.info("BuildAPI is ready, roles {roles}", roles=", ".join(self.config.service.roles))
        self.watching.manager.ready(self.serves)
        if self.has("api"):
            self.serving.listener.announce(self.config.web.prefix + "/self-serve")


@attrs.frozen
class _FarmDatabases:
    """Provide the farm's databases to its dialect, each opened when it is first asked for."""

    _of: Assembly

    @property
    def scheduler(self) -> Database:
        return self._of.scheduler_db

    @property
    def replica(self) -> Database:
        return self._of.replica_db

    @property
    def primary(self) -> Database | None:
        return self._of.primary

    @property
    def status(self) -> Database:
        return self._of.status_db

    @property
    def scheduler_reports(self) -> Database:
        return self._of.reporting.scheduler_db

    @property
    def status_reports(self) -> Database:
        return self._of.reporting.status_db
