"""Put the program together."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.logger import Logger

from buildapi.agent.agent import Agent
from buildapi.agent.finisher import Finisher
from buildapi.agent.letters import DeadLetterReview
from buildapi.agent.outbox import Outbox
from buildapi.assembly.acting import Acting
from buildapi.assembly.admission import Admission
from buildapi.assembly.brokers import BROKERS
from buildapi.assembly.dumping import Dumper
from buildapi.assembly.dumps import Dumps
from buildapi.assembly.ground import directory, pool, sample_farm
from buildapi.assembly.reloading import Again, Reloading
from buildapi.assembly.reporting import Reporting
from buildapi.assembly.serving import Serving
from buildapi.assembly.site import Site, away, of_broker, of_pool
from buildapi.assembly.telling import Telling
from buildapi.assembly.watching import Watching
from buildapi.buildbot.directory import (
    DirectoryService,
)
from buildapi.buildbot.fetch import Fetcher
from buildapi.buildbot.v08.dumps import SQLEndedBuilds, SQLStarted
from buildapi.buildbot.v08.farmwide import SQLFarmWide
from buildapi.buildbot.v08.reads import SQLBuilds
from buildapi.config import Config
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.pool import PooledDatabase
from buildapi.db.schema import create_jobs_schema, create_marker_table
from buildapi.db.sql import Database
from buildapi.model.health import Health
from buildapi.model.ops import ProcessState
from buildapi.model.wire import FINISHED, REQUESTS
from buildapi.program import Program, Stages
from buildapi.sample.clobberer import CLOBBER_TOKEN
from buildapi.sample.farm import SampleFarm
from buildapi.web.answers import Answers
from buildapi.web.events import Events, Shares
from buildapi.web.pages import Pages
from buildapi.web.reads import documentation
from buildapi.web.shadowing import Shadows
from buildapi.web.watch import JobWatch

SWITCH_SECONDS = 0.0005
"""How long a database thread may keep the interpreter: the reactor's lag is made of it."""

MARKER_DAYS = 30
"""How long the marker of a settled job is kept; no message lives that long."""

log = Logger()


def assemble(
    config: Config,
    reactor: Any,
    now: Callable[[], float] = time.time,
    *,
    again: Again | None = None,
) -> Program:
    """Build the program; ``now`` gives seconds since the epoch.

    ``again`` tells how the configuration is read again, and brings the signals that ask for it.
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
    """The parts of one program, each made once, when first asked for."""

    config: Config
    reactor: Any
    now: Callable[[], float]
    _made: Program = attrs.field(init=False)

    def program(self) -> Program:
        """Put the parts together."""
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
        """Tell where the program is in its life."""
        return self._made.state

    @property
    def serves(self) -> str:
        """Tell the service manager what it does."""
        return f"serving, roles {', '.join(self.config.service.roles)}"

    def has(self, role: str) -> bool:
        """Tell whether this process has a role."""
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
        """List the pools of connections that its roles use, those of reports last."""
        pools = [self.jobs_db, self.scheduler_db]
        if self.has("api"):
            pools += [self.replica_db, self.status_db, *self.reporting.pools]
        return list(dict.fromkeys(pools))

    def _pool(self, name: str, *, read_only: bool = False) -> PooledDatabase:
        observed = self.watching.metrics.query
        return pool(self.config, self.reactor, name, observed, read_only=read_only)

    @cached_property
    def watching(self) -> Watching:
        """What watches the program."""
        return Watching(self)

    @cached_property
    def jobs_db(self) -> PooledDatabase:
        """Our own database."""
        return self._pool("jobs")

    @cached_property
    def scheduler_db(self) -> PooledDatabase:
        """The scheduler database of the masters, to write to."""
        return self._pool("scheduler")

    @cached_property
    def replica_db(self) -> PooledDatabase:
        """What interactive reads are made from: never the pool of the writes."""
        return self._pool("scheduler_replica", read_only=True)

    @cached_property
    def status_db(self) -> PooledDatabase:
        """The status database; the sample farm writes to its own."""
        return self._pool("status", read_only=not self.config.sample.enabled)

    @cached_property
    def reporting(self) -> Reporting:
        """What reports are made from."""
        return Reporting(self.config, self.reactor, self.watching.metrics.query)

    @cached_property
    def broker(self) -> Any:
        """The broker its URL asks for."""
        broker = BROKERS[self.config.broker.scheme](self.config, self.reactor)
        broker.name = "broker"
        return broker

    @cached_property
    def fetcher(self) -> Fetcher:
        """What fetches from masters and for the directory."""
        return Fetcher(self.reactor)

    @cached_property
    def sample(self) -> SampleFarm:
        """The sample farm."""
        return sample_farm(self.config, self.reactor, self.scheduler_db, self.status_db)

    @cached_property
    def directory(self) -> DirectoryService:
        """Branches and masters."""
        return directory(self.config, self.reactor, self.fetcher, self._hidden)

    @cached_property
    def store(self) -> SQLJobStore:
        """The job requests."""
        return SQLJobStore(self.jobs_db)

    # --- what is told of it

    @cached_property
    def telling(self) -> Telling:
        """The log, and the trails."""
        return Telling(self)

    @cached_property
    def reloading(self) -> Reloading:
        """What obeys signals: other settings, renamed files."""
        return Reloading(self)

    # --- the agent

    @cached_property
    def acting(self) -> Acting:
        """What acts on the farm."""
        return Acting(
            self.config,
            self.reactor,
            self.now,
            self.scheduler_db,
            self.directory,
            self.fetcher,
            self._clobber_at(),
        )

    def _clobber_at(self) -> Callable[[], tuple[str, str | None]] | None:
        """Tell where the clobberer is; where that of the sample farm is, is known once it runs."""
        clobber = self.config.clobber
        url, token = clobber.url, clobber.token.reveal() if clobber.token else None
        if url is not None:
            return lambda: (url, token)
        if self.config.sample.enabled:
            return lambda: (self.sample.clobber_url, CLOBBER_TOKEN)
        return None

    def _workers(self) -> list[Service]:
        """List them so that, the last one stopping first, reports outlive the agent."""
        written = [self.directory] if self.config.sample.enabled else []
        reports = [self.finisher, self.outbox, self.letters] if self.has("api") else []
        dumps = [self.dumps] if self.has("api") and self.dumps is not None else []
        agent = [self.agent] if self.has("agent") else []
        return [*written, *self.watching.workers(), *dumps, *reports, *agent]

    @cached_property
    def agent(self) -> Agent:
        """The agent."""
        return Agent(
            self.reactor,
            self.broker,
            self.store,
            self.acting.farm,
            self.acting.rules,
            queue=self.config.broker.agent_queue,
            agent_name=self.config.service.name,
            prefetch=self.config.agent.prefetch,
            drain_seconds=self.config.service.drain_seconds,
            now=self.now,
            trail=self.telling.trail,
            tries=self.config.agent.tries,
        )

    @cached_property
    def finisher(self) -> Finisher:
        """What stores the agents' reports."""
        return Finisher(
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
        """Note that a report has come: what was read before may be out of date."""
        self.answers.forget()
        self.watch.look()
        self.events.look()

    @cached_property
    def watch(self) -> JobWatch:
        """What waits for jobs to be finished."""
        return JobWatch(self.reactor, self.store)

    @cached_property
    def outbox(self) -> Outbox:
        """What settles jobs that were never sent."""
        trail, trails = self.telling.trail, self.telling.trails
        return Outbox(
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
        """What notices dead letters."""
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
        """The HTTP side."""
        return Serving(self)

    def let_go(self) -> None:
        """End what only waits: we are stopping."""
        self.watch.close()
        self.events.close()

    @cached_property
    def admission(self) -> Admission:
        """The tokens of users."""
        return Admission(self.config.web, self.reactor, self.now, self.jobs_db)

    @cached_property
    def answers(self) -> Answers:
        """The hot answers."""
        return Answers(time.monotonic, self.config.web.cache_seconds)

    @cached_property
    def site(self) -> Site:
        """What answers."""
        return Site(self)

    @property
    def pages(self) -> Pages:
        """What makes pages."""
        return self.site.pages

    @cached_property
    def routes(self) -> Sequence[Any]:
        """List all routes, the documentation made from them first."""
        routes = self.site.routes()
        return [*documentation(routes, self.directory), *routes]

    def _hidden(self, branches: Iterable[str]) -> Sequence[str]:
        """Warn of branches that the routes hide; a process that has none hides nothing."""
        return Shadows(self.routes).warnings(branches) if self.has("api") else ()

    @cached_property
    def builds(self) -> SQLBuilds:
        """What is read from the replica, and from the primary what it lacks."""
        return SQLBuilds(self.replica_db, self.primary)

    @cached_property
    def farm_wide(self) -> SQLFarmWide:
        """What is read of the whole farm."""
        return SQLFarmWide(self.replica_db, self.primary)

    def dumper(self, branches: Callable[[], Awaitable[Sequence[str]]]) -> Dumper:
        """Make what writes dumps; ``branches`` gives the names of the branches."""
        ended, started = SQLEndedBuilds(self.status_db), SQLStarted(self.replica_db)
        return Dumper(self.reactor, ended, started, self.farm_wide, branches)

    @cached_property
    def dumps(self) -> Dumps | None:
        """What writes dumps regularly; None where the configuration names no folder for them."""
        wanted = self.config.dumps
        if wanted.folder is None:
            return None

        async def branches() -> Sequence[str]:
            return list(self.directory.branches().by_name)

        return Dumps(self.reactor, self.dumper(branches), wanted.folder, wanted, self.now)

    @cached_property
    def events(self) -> Events:
        """What tells listeners of changes."""
        limits = self.config.limits
        shares = Shares(limits.listeners, limits.listeners_per_user, limits.listeners_per_address)
        return Events(self.reactor, self.directory, self.builds, self.store, shares)

    def health(self) -> Sequence[Health]:
        """Tell how the broker and the databases are, as far as is known without asking."""
        pools = dict.fromkeys([self.jobs_db, self.scheduler_db, self.replica_db, self.status_db])
        now = self.now()
        return [of_broker(self.broker.status()), *(of_pool(p.name, p.status(), now) for p in pools)]

    def away(self) -> Sequence[str]:
        """List what does not answer just now, as far as is known without asking."""
        pools = dict.fromkeys([self.jobs_db, self.scheduler_db, self.replica_db, self.status_db])
        return away(self.broker.status(), {p.name: p.status() for p in pools}, self.now())

    @property
    def primary(self) -> Database | None:
        """Give the primary where the replica is another database."""
        databases = self.config.databases
        apart = databases.scheduler.url != databases.scheduler_replica.url
        return self.scheduler_db if apart else None

    # --- starting

    async def _prepare(self) -> None:
        """Wait for the sample farm, make the tables that are missing, read the directory."""
        if self.config.sample.enabled:
            await self.sample.when_ready()
        await create_jobs_schema(self.jobs_db)
        if self.has("agent"):
            await create_marker_table(self.scheduler_db, self.config.agent.marker_table)
            await self.acting.farm.forget(MARKER_DAYS)
        if self.has("api"):  # before the first job request is taken
            await self.watching.numbering.check(int(self.now()))
        await self.directory.refresh()

    def _ready(self) -> None:
        log.info("BuildAPI is ready, roles {roles}", roles=", ".join(self.config.service.roles))
        self.watching.manager.ready(self.serves)
        if self.has("api"):
            self.serving.listener.announce(self.config.web.prefix + "/self-serve")
