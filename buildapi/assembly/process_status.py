"""Create the collector of /status, and the routes for monitoring."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from buildapi import __version__
from buildapi.admin.periodic_dumps import PeriodicDumps
from buildapi.agent.agent import Agent
from buildapi.assembly.adapters import Adapters, Clock
from buildapi.assembly.monitoring import Monitoring
from buildapi.config import Config
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.ended_builds import DumpStatus
from buildapi.model.ops import DumpState, ProcessState
from buildapi.ops import status_parts as parts
from buildapi.ops.dead_letter_tally import DeadLetterTally
from buildapi.ops.farm_summary import FarmSummarizer
from buildapi.ops.gauges import set_gauges
from buildapi.ops.job_id_guard import JobIdGuard
from buildapi.ops.metrics import Metrics
from buildapi.ops.reload import Reload
from buildapi.ops.status_collector import BoundedReader, Readiness, StatusCollector, backlog
from buildapi.ops.status_document import StatusPart
from buildapi.ops.status_parts import BrokerState, KnownMasters, ReplicationLag
from buildapi.web.http.connection import Traffic
from buildapi.web.http.routes import Route
from buildapi.web.ops.health import HealthAnswers, HealthRoutes
from buildapi.web.selfserve.pages import SelfServePages

LIBRARIES = ("Twisted", "klein", "txAMQP", "PyMySQL")


def status_collector(
    config: Config,
    clock: Clock,
    adapters: Adapters,
    *,
    monitoring: Monitoring,
    readiness: Readiness,
    job_ids: JobIdGuard,
    farm: FarmSummarizer,
    letters: DeadLetterTally,
    dumps: PeriodicDumps | None,
    traffic: Traffic,
    reloaded: Callable[[], Reload | None],
) -> StatusCollector:
    """Create the collector of /status; its parts are listed here: how each is read and judged.

    ``dumps`` is None unless this process writes some; ``reloaded`` returns the last reload.
    """
    reader, now, broker = BoundedReader(clock.reactor), clock.now, config.broker
    queues = {"requests": broker.agent_queue, "finished": broker.web_queue}
    databases, directory, dialect = adapters.databases, adapters.directory, adapters.dialect
    pools, known = databases.used_by(config.service.roles), versions()
    api = "api" in config.service.roles
    lags = api and databases.primary is not None

    async def broker_state() -> BrokerState:
        return await reader.broker(adapters.broker, broker.scheme, queues)

    async def lag() -> ReplicationLag | None:
        return ReplicationLag(await dialect.replica_lag.seconds()) if lags else None

    async def summary() -> FarmSummary | None:
        return await farm.summarize() if api else None

    def masters() -> KnownMasters:
        return KnownMasters(len(directory.master_urls()), directory.disabled_masters())

    part = StatusPart
    listed: Sequence[StatusPart[Any]] = [
        part(lambda: reader.value(readiness.reasons()), parts.show_readiness),
        part(lambda: known, parts.show_process),
        part(broker_state, parts.show_broker, parts.judge_broker),
        part(
            letters.read if api else lambda: None,
            parts.show_dead_letters,
            parts.judge_dead_letters,
        ),
        part(lambda: reader.pools(pools), parts.show_databases, parts.judge_databases),
        part(lambda: reader.value(lag()), parts.show_replica, parts.judge_replica),
        part(directory.documents, parts.show_directory, parts.judge_directory),
        part(masters, parts.show_masters, parts.judge_masters),
        part(
            lambda: reader.value(backlog(adapters.store, now())), parts.show_jobs, parts.judge_jobs
        ),
        part(lambda: reader.value(summary()), parts.show_farm, parts.judge_farm),
        part(
            lambda: None if dumps is None else dump_states(dumps.statuses(), now()),
            parts.show_dumps,
            parts.judge_dumps,
        ),
        part(
            lambda: (len(traffic.requests), len(traffic.channels), traffic.limits.refused),
            parts.show_http,
        ),
        part(reloaded, parts.show_reload),
        part(lambda: job_ids.last, parts.show_job_ids, parts.judge_job_ids),
    ]
    return StatusCollector(
        reader,
        now,
        monitoring.me,
        adapters.processes.processes,
        config.service.heartbeat_seconds,
        listed,
    )


def process_readiness(
    config: Config, clock: Clock, adapters: Adapters, state: Callable[[], ProcessState]
) -> Readiness:
    """Create the check of what no request succeeds without; ``state`` is that of the process."""
    databases = adapters.databases
    # A job request looks up its build in the replica; agents decide from the primary alone
    # [docs/explanation/failure-model.md, The replica].
    farm = databases.replica if "api" in config.service.roles else databases.scheduler
    return Readiness(
        clock.reactor,
        lambda: state().value,
        [databases.jobs, farm],
        adapters.broker.status,
        adapters.directory,
    )


def monitoring_routes(
    clock: Clock,
    *,
    collector: StatusCollector,
    readiness: Readiness,
    metrics: Metrics,
    agent: Agent | None,
    pages: SelfServePages,
) -> Sequence[Route]:
    """List the routes of health, readiness, status and metrics, which share one cache."""

    def numbers(found: Mapping[str, Any]) -> bytes:
        set_gauges(metrics, found)
        metrics.set("buildapi_jobs_in_hand", len(agent.in_hand) if agent else 0)
        return metrics.text()

    answers = HealthAnswers.kept(clock.reactor.seconds)
    return HealthRoutes(
        collector.read, readiness.state, readiness.reasons, numbers, answers, pages
    ).routes()


def dump_states(dumps: Sequence[DumpStatus], now: float) -> Sequence[DumpState]:
    """Return how old each dump is, and its last error unless it was written since."""
    return [
        DumpState(d.name, d.age(now), None if _is_over(d) else d.last_error, d.last_error_at)
        for d in dumps
    ]


def _is_over(dump: DumpStatus) -> bool:
    """Return whether a dump was written after its last error."""
    if dump.good_at is None or dump.last_error_at is None:
        return False
    return dump.good_at >= dump.last_error_at


def versions() -> Mapping[str, str]:
    """Return the versions of the program, Python and the main libraries."""
    found = {"buildapi": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name.lower()] = version(name)
        except PackageNotFoundError:
            found[name.lower()] = "unknown"
    return found
