"""The real site on a loopback port, over a farm in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
import pytest_twisted

from buildapi.buildbot.v08.lowered_plan import steps_json
from buildapi.model.health import Health
from buildapi.ops.farm_summary import FarmSummarizer
from buildapi.ops.log_file import LogFile
from buildapi.web.events.streams import EventStreams, StreamLimits
from buildapi.web.farm.home import Home
from buildapi.web.http.access_log import AccessLog
from buildapi.web.http.app import Policy, WebApp, site
from buildapi.web.http.auth import Authenticator
from buildapi.web.http.connection import Traffic
from buildapi.web.http.csrf import CSRFTokens
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import json_cache
from buildapi.web.http.listener import Listener
from buildapi.web.http.request import RequestLimits
from buildapi.web.http.routes import Route
from buildapi.web.http.send_budget import SendBudget
from buildapi.web.http.token_auth import TokenAuthenticator
from buildapi.web.selfserve.audit_trail import JobTrail
from buildapi.web.selfserve.batch import Batch
from buildapi.web.selfserve.build_form import BuildForm
from buildapi.web.selfserve.build_quota import BuildQuota
from buildapi.web.selfserve.bulk_actions import BulkActions
from buildapi.web.selfserve.dry_run_page import DryRun
from buildapi.web.selfserve.idempotency import IdempotencyKeys
from buildapi.web.selfserve.job_pages import JobPages
from buildapi.web.selfserve.job_waiter import JobWaiter
from buildapi.web.selfserve.lookup import Lookup
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.reads import SelfServeReads, documentation
from buildapi.web.selfserve.request_actions import RequestActions
from buildapi.web.selfserve.revision_actions import RevisionActions
from buildapi.web.selfserve.submission import JobDispatcher, JobSubmitter
from buildapi.web.selfserve.token_routes import TokenRoutes
from tests.model.defaults import rules
from tests.trails import MemoryTrail
from tests.web.client import Answer, Wire, connect, request
from tests.web.farm import (
    NOW,
    MemoryBroker,
    MemoryBuilds,
    MemoryDirectory,
    MemoryFactsReader,
    MemoryFarmReads,
    MemoryJobs,
    MemoryTextLimits,
)
from tests.web.memorytokens import MemoryTokens, Time

ZOE = {"X-Remote-User": "zoë@example.org"}
TOKENS = CSRFTokens(b"of the tests")
ORIGIN = "https://sheriffs.example.org"


@attrs.define
class Settings:
    """What the configuration would say."""

    prefix: str = ""
    trusted: Sequence[str] = ("127.0.0.1", "unix")
    development_user: str = ""
    origins: Sequence[str] = (ORIGIN,)
    max_body: int = 4096
    request_seconds: float = 4
    idle_seconds: float = 5
    answer_seconds: float = 3
    cache_seconds: float = 2
    drain_seconds: float = 3
    linger_seconds: float = 0
    held: bool = False
    count_max: int = 100
    jobs_page: int = 1000
    access_log: Path | None = None
    listen: Sequence[str] = ("tcp:0:interface=127.0.0.1",)
    more_routes: Sequence[Route] = ()
    batch_seconds: float = 2
    listeners: int = 20
    listeners_per_user: int = 50
    listeners_per_address: int = 20
    builds_per_request: int = 1000
    builds_per_user_hour: int = 5000
    tokens: bool = True
    strict: bool = False
    hosts: Sequence[str] = ()
    ignores_foreign: bool = False
    token_days: int = 90
    reads_free: bool = True
    away: Sequence[str] = ()
    socket_group: int | None = None
    unread_bytes: int = 2**26
    unread_bytes_total: int = 2**28

    def told(self) -> Mapping[str, Any]:
        """Make the access log, and what ends it."""
        if self.access_log is None:
            return {"answered": lambda _: None}
        log = AccessLog(LogFile(self.access_log), lambda: NOW + 0.5)
        return {"answered": log, "closing": log.close}


@attrs.define
class Served:
    """A running site, what is behind it, and how to ask it."""

    listener: Listener
    routes: Sequence[Route]
    in_flight: set[Any]
    directory: MemoryDirectory
    builds: MemoryBuilds
    observer: MemoryFactsReader
    limits: MemoryTextLimits
    watch: JobWaiter
    jobs: MemoryJobs
    broker: MemoryBroker
    farm: MemoryFarmReads
    events: EventStreams
    trail: MemoryTrail
    tokens: MemoryTokens
    bearers: TokenAuthenticator | None
    time: Time

    @property
    def where(self) -> str:
        host = self.listener.ports[0].getHost()
        return f"tcp:127.0.0.1:{host.port}"

    async def wire(self) -> Wire:
        return await connect(self.where)

    async def ask(
        self,
        method: str,
        path: str | bytes,
        headers: Mapping[str, str | bytes] | Sequence[tuple[str, str | bytes]] = (),
        body: bytes | Mapping[str, Any] | None = None,
    ) -> Answer:
        """Ask on a connection of its own."""
        wire = await self.wire()
        wire.send(request(method, path, headers, body))
        await wire.closed
        return await wire.answer(method)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Give a function that starts a site; it takes the fields of Settings."""
    listeners: list[Listener] = []

    def start(**settings: Any) -> Served:
        served = build(Settings(**settings))
        listeners.append(served.listener)
        served.listener.startService()
        return served

    yield start
    for listener in listeners:
        if listener.running:
            listener._drain_seconds = 0.1  # a test that means to leave work leaves it here
            pytest_twisted.blockon(listener.stopService())


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


def build(settings: Settings) -> Served:
    """Put a site together as buildapi.tap does."""
    from twisted.internet import reactor as module

    reactor: Any = module
    directory, builds = MemoryDirectory(), MemoryBuilds.small()
    jobs, broker = MemoryJobs(), MemoryBroker()
    observer, watch = MemoryFactsReader(builds, directory=directory), JobWaiter(reactor, jobs)
    deadline = Deadline(reactor, settings.answer_seconds)
    short = Deadline(reactor, settings.answer_seconds / 2)
    zone, answers = ZoneInfo("UTC"), json_cache(reactor.seconds, settings.cache_seconds)
    time = Time(NOW + 0.5)
    pages = SelfServePages(zone, time, directory.master_urls)
    reads = SelfServeReads(directory, builds, answers, pages, zone, lambda: NOW + 0.5)
    farm = MemoryFarmReads(builds)
    shares = StreamLimits(
        settings.listeners, settings.listeners_per_user, settings.listeners_per_address
    )
    events = EventStreams(reactor, directory, builds, jobs, shares)
    look = FarmSummarizer(directory, farm, pages.now).summarize
    shown = Home(
        directory, look, jobs, answers, pages, lambda: [Health("broker", True, "here")], short
    )
    trail = MemoryTrail()
    dispatcher = JobDispatcher(jobs, broker, lambda: NOW + 0.5, short, trail)
    keys = IdempotencyKeys(reactor, jobs, lambda: NOW + 0.5, short)
    quota = BuildQuota(
        jobs, lambda: NOW + 0.5, short, settings.builds_per_request, settings.builds_per_user_hour
    )
    limits = MemoryTextLimits()
    dry_run = DryRun(observer, steps_json, rules(), short)
    acting = dry_run, keys, watch, short, quota, limits, short
    submitter = JobSubmitter(reads.branch, dispatcher, jobs, *acting)
    requests = RequestActions(builds, settings.count_max, short, directory.is_listed)
    revisions = RevisionActions(builds, directory, lambda: NOW + 0.5, short)
    taken = [*requests.routes(), *revisions.routes()]
    batch = Batch(taken, submitter, reactor.seconds, settings.batch_seconds)
    tokens = MemoryTokens()
    bearers = TokenAuthenticator(tokens, reactor.seconds, time, short) if settings.tokens else None
    routes = [
        *shown.routes(),
        *reads.routes(),
        *JobPages(jobs, watch, pages, zone, settings.jobs_page).routes(),
        *JobTrail(jobs, trail, pages).routes(),
        *Lookup(directory, builds, farm).routes(),
        *events.routes(),
        *submitter.routes(taken),
        *batch.routes(),
        *BulkActions(batch, requests.of_items(), reads.about).routes(),
        *BuildForm(reads.branch, reads.builders_of, revisions.new_builds(), submitter).routes(),
        *TokenRoutes(tokens, bearers, pages, time, settings.token_days, short).routes(),
        *settings.more_routes,
    ]
    routes = [*documentation(routes, directory), *routes]
    auth = Authenticator.of("X-Remote-User", settings.trusted, settings.development_user)
    traffic = Traffic()
    http = site(
        WebApp(
            routes,
            Policy(
                auth,
                settings.origins,
                TOKENS,
                deadline,
                bearers,
                settings.strict,
                answer_bytes=settings.unread_bytes,
                reads_free=settings.reads_free,
                away=lambda: settings.away,
                ignores_foreign=settings.ignores_foreign,
            ),
        ),
        reactor=reactor,
        limits=RequestLimits(settings.max_body, settings.request_seconds),
        prefix=settings.prefix,
        idle_seconds=settings.idle_seconds,
        **settings.told(),
        traffic=traffic,
        budget=SendBudget(settings.unread_bytes, settings.unread_bytes_total),
        hosts=settings.hosts,
    )
    drain = settings.drain_seconds

    def let_go() -> None:
        watch.close()
        events.close()

    listener = Listener(
        reactor,
        http,
        settings.listen,
        traffic,
        drain,
        let_go,
        settings.linger_seconds,
        settings.held,
        settings.socket_group,
    )
    return Served(
        listener,
        routes,
        traffic.requests,
        directory,
        builds,
        observer,
        limits,
        watch,
        jobs,
        broker,
        farm,
        events,
        trail,
        tokens,
        bearers,
        time,
    )
