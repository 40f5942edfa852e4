"""The real site on a loopback port, over a farm in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred

from buildapi.assembly.adapters import Clock
from buildapi.assembly.http_listeners import HTTPListeners, http_listeners
from buildapi.assembly.web_site import (
    LiveAnswers,
    SiteAdapters,
    TimeShares,
    live_answers,
    page_renderer,
    web_site,
)
from buildapi.buildbot.v08.lowered_plan import steps_json
from buildapi.config import Config, Secret, sample_config
from buildapi.model.access import AccessRule
from buildapi.model.facts import Facts
from buildapi.model.health import Health
from buildapi.model.steps import Plan, StepsDocument
from buildapi.ops.farm_summary import FarmSummarizer
from buildapi.ops.metrics import Metrics
from buildapi.web.events.streams import EventStreams
from buildapi.web.http.access_control import AccessControl
from buildapi.web.http.client_limits import ClientLimits
from buildapi.web.http.connection import Traffic
from buildapi.web.http.csrf import CSRFTokens
from buildapi.web.http.listener import Listener
from buildapi.web.http.routes import Route
from buildapi.web.http.token_auth import TokenAuthenticator
from buildapi.web.reports.classification_file import read_classification
from buildapi.web.selfserve.job_waiter import JobWaiter
from tests.audits import MemoryAudit
from tests.build_records import MemoryBuildSteps
from tests.contracts.toy_dialect import ToyDialect, ToyFarm
from tests.loads import MemoryLoads
from tests.model.defaults import rules
from tests.openapi.conformity import undocumented
from tests.reactor import until
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
    MemoryPushes,
    MemoryTextLimits,
)
from tests.web.memorytokens import MemoryGroups, MemoryTokens, Time

ZOE = {"X-Remote-User": "zoë@example.org"}
FORM_SECRET = "of the tests"
TOKENS = CSRFTokens(FORM_SECRET.encode())
ORIGIN = "https://sheriffs.example.org"


@attrs.define
class Settings:
    """What differs from the configuration of a sample farm, and what no configuration says."""

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
    groups_header: str | None = None
    rules: Sequence[AccessRule] = ()
    default_allow: bool = True
    reads_per_minute: int = 0
    jobs_per_minute: int = 0
    requests_in_flight: int = 0
    requests_per_address: int = 0
    seconds: Callable[[], float] | None = None

    def config(self) -> Config:
        """Return the configuration that says it."""
        web = attrs.evolve(
            BASE.web,
            prefix=self.prefix,
            trusted_proxies=self.trusted,
            groups_header=self.groups_header,
            development_user=self.development_user,
            allowed_origins=self.origins,
            max_body=self.max_body,
            request_seconds=self.request_seconds,
            idle_seconds=self.idle_seconds,
            answer_seconds=self.answer_seconds,
            cache_seconds=self.cache_seconds,
            linger_seconds=self.linger_seconds,
            access_log=self.access_log,
            listen=self.listen,
            tokens=self.tokens,
            token_days=self.token_days,
            strict=self.strict,
            hosts=self.hosts,
            foreign_bearer="ignore" if self.ignores_foreign else "refuse",
            reads="anyone" if self.reads_free else "users",
            form_secret=Secret(FORM_SECRET),
            timezone=ZoneInfo("UTC"),
        )
        limits = attrs.evolve(
            BASE.limits,
            count=self.count_max,
            jobs_page=self.jobs_page,
            listeners=self.listeners,
            listeners_per_user=self.listeners_per_user,
            listeners_per_address=self.listeners_per_address,
            builds_per_request=self.builds_per_request,
            builds_per_user_hour=self.builds_per_user_hour,
            unread_bytes=self.unread_bytes,
            unread_bytes_total=self.unread_bytes_total,
            reads_per_minute=self.reads_per_minute,
            jobs_per_minute=self.jobs_per_minute,
            requests_in_flight=self.requests_in_flight,
            requests_per_address=self.requests_per_address,
        )
        service = attrs.evolve(BASE.service, drain_seconds=self.drain_seconds)
        dumps = attrs.evolve(BASE.dumps, folder=None)
        default = "allow" if self.default_allow else "deny"
        access = attrs.evolve(BASE.access, rules=tuple(self.rules), default=default)
        return attrs.evolve(
            BASE, web=web, access=access, limits=limits, service=service, dumps=dumps
        )


@attrs.define
class Served:
    """A running site, what is behind it, and how to ask it."""

    listener: Listener
    routes: Sequence[Route]
    in_flight: set[Any]
    directory: MemoryDirectory
    builds: MemoryBuilds
    pushes: MemoryPushes
    steps: MemoryBuildSteps
    observer: MemoryFactsReader
    limits: MemoryTextLimits
    watch: JobWaiter
    jobs: MemoryJobs
    broker: MemoryBroker
    farm: MemoryFarmReads
    events: EventStreams
    trail: MemoryTrail
    audit: MemoryAudit
    tokens: MemoryTokens
    groups: MemoryGroups
    loads: MemoryLoads
    access: AccessControl
    bearers: TokenAuthenticator | None
    time: Time
    clients: ClientLimits
    metrics: Metrics = attrs.field(repr=False)
    listeners: HTTPListeners = attrs.field(repr=False)
    live: LiveAnswers = attrs.field(repr=False)

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
        answer = await wire.answer(method)
        if isinstance(path, str) and answer.status not in NOT_DOCUMENTED:
            assert [*_differences(method, path, answer)] == []
        return answer

    async def turn(self) -> None:
        """Wait for the answer to a request sent now: what could happen has happened before."""
        assert (await self.ask("GET", "/nowhere")).status == 404

    async def begin_stop(self) -> Deferred[None]:
        """Begin to stop; return its end, once ports are closed and connections looked at."""
        ports = list(self.listener.ports)
        stopped = ensureDeferred(_wait(self.listener.stopService()))
        await until(lambda: not any(port.connected for port in ports))
        return stopped


NOT_DOCUMENTED = (405, 501)
"""Statuses of no operation: a method that the path lacks, and what the toy dialect lacks."""


def _differences(method: str, path: str, answer: Answer) -> Iterator[str]:
    """List how an answer with JSON differs from the document of the API."""
    media = answer.headers.get("content-type", "")
    if media == "application/json" and "content-encoding" not in answer.headers:
        body = answer.json if answer.body else None
        yield from undocumented(method, path, answer.status, media, body)


async def _wait(deferred: Deferred[None]) -> None:
    await deferred


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a site; it takes the fields of Settings."""
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


@attrs.define(slots=False)
class SplitDialect(ToyDialect):
    """The toy dialect, whose steps are shown as 0.8 does them: writes first, then pokes."""

    def steps_json(self, plan: Plan, facts: Facts) -> StepsDocument:
        return steps_json(plan, facts)


BASE = sample_config(Path("data"), None)


def build(settings: Settings) -> Served:
    """Wire a site as the program does, with a farm, stores and a broker in memory."""
    from twisted.internet import reactor

    time = Time(NOW + 0.5)
    clock, config = Clock(reactor, time), settings.config()
    builds, directory = MemoryBuilds.small(), MemoryDirectory()
    dialect = SplitDialect(rules(), ToyFarm(builds), directory)
    jobs, broker, trail, tokens = MemoryJobs(), MemoryBroker(), MemoryTrail(), MemoryTokens()
    groups, audit, loads = MemoryGroups(), MemoryAudit(), MemoryLoads()
    adapters: Any = SiteAdapters(
        directory, dialect, rules(), jobs, broker, trail, trail, audit, audit, tokens, groups, loads
    )  # doubles
    live, pages = live_answers(config, clock, adapters), page_renderer(config, clock, directory)
    wired = web_site(
        config,
        clock,
        adapters,
        live=live,
        pages=pages,
        classification=read_classification(None),
        owe=lambda _: None,
        summary=FarmSummarizer(directory, dialect.farm_reads, pages.now).summarize,
        health=lambda: [Health("broker", True, "here")],
        monitoring=settings.more_routes,
        shares=TimeShares(
            *(0.5, 0.5, 0.5, 0.5), batch=settings.batch_seconds / settings.answer_seconds, home=0.5
        ),
    )
    metrics = Metrics()
    limits = ClientLimits.of(
        config.limits, settings.seconds or clock.reactor.seconds, metrics.count
    )
    traffic = Traffic(limits=limits)
    listeners = http_listeners(
        config,
        clock,
        metrics,
        wired.bearers,
        away=lambda: settings.away,
        ending=live.end,
        members=wired.access.groups_of,
        permissions=wired.page_permissions,
        record=audit.record,
    )
    listener = listeners.public(wired.routes, traffic, held=settings.held)
    listener._socket_group = settings.socket_group  # tests have groups that have no name
    return Served(
        listener,
        wired.routes,
        traffic.requests,
        directory,
        builds,
        dialect.pushes,
        dialect.build_steps,
        dialect.facts,
        dialect.text_limits,
        live.waiter,
        jobs,
        broker,
        dialect.farm_reads,
        live.events,
        trail,
        audit,
        tokens,
        groups,
        loads,
        wired.access,
        wired.bearers,
        time,
        limits,
        metrics,
        listeners,
        live,
    )
