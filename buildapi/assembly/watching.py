"""Create the services that monitor the program itself."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs
from twisted.application.service import Service

from buildapi import __version__
from buildapi.db.job_ids import highest_id, move_past
from buildapi.db.process_registry import SQLProcessRegistry
from buildapi.model.messages import SettledLetter
from buildapi.model.ops import DumpState, Heartbeat, ProcessState
from buildapi.ops import status_parts as parts
from buildapi.ops.dead_letter_tally import DeadLetterTally
from buildapi.ops.farm_summary import FarmSummarizer
from buildapi.ops.gauges import set_gauges
from buildapi.ops.heartbeat import HeartbeatSender, Sign
from buildapi.ops.job_id_guard import JobIdGuard
from buildapi.ops.master_probe import MasterProbe, Reached
from buildapi.ops.metrics import Metrics
from buildapi.ops.reactor_lag import ReactorLag
from buildapi.ops.sd_notify import SystemdNotifier, manager
from buildapi.ops.status_collector import BoundedReader, Readiness, StatusCollector, backlog
from buildapi.ops.status_document import StatusPart
from buildapi.ops.status_parts import BrokerState, KnownMasters, ReplicationLag
from buildapi.web.http.connection import Traffic
from buildapi.web.http.json_body import json_cache
from buildapi.web.http.routes import Route
from buildapi.web.ops.health import HealthRoutes

if TYPE_CHECKING:
    from buildapi.assembly.program import Assembly

LIBRARIES = ("Twisted", "klein", "txAMQP", "PyMySQL")
KEPT_SECONDS = 2.0
"""Seconds for which a status is cached: many monitors cost no more than one."""

JOBS_TOLD = 100
"""Maximum number of job ids in a heartbeat."""


@attrs.define(slots=False)
class Watching:
    """Create the monitoring services."""

    _of: Assembly
    metrics: Metrics = attrs.field(factory=Metrics, init=False)
    traffic: Traffic = attrs.field(factory=Traffic, init=False)

    def __attrs_post_init__(self) -> None:
        self._started_at = int(self._of.now())
        roles = "+".join(self._of.config.service.roles)
        self.metrics.set("buildapi_info", 1, __version__, roles)
        self.metrics.set("buildapi_start_time_seconds", self._started_at)

    # --- services

    def first(self) -> Sequence[Service]:
        """List the services that must run as long as any other."""
        return [self.manager]

    def workers(self) -> Sequence[Service]:
        """List the services that start once the tables exist."""
        late = ReactorLag(
            self._of.reactor, lambda s: self.metrics.observe("buildapi_reactor_lag_seconds", s)
        )
        probe = [self._probe] if self._probe is not None else []
        return [self._heart, late, *probe]

    def turned(self, state: ProcessState) -> None:
        """Notify the service manager and the other processes when this one drains."""
        if state is ProcessState.DRAINING:
            self.manager.stopping()
            self._heart.soon()

    @cached_property
    def manager(self) -> SystemdNotifier:
        """Notifier of the service manager."""
        return manager(self._of.reactor, monotonic)

    @cached_property
    def roster(self) -> SQLProcessRegistry:
        """Registry of running processes."""
        return SQLProcessRegistry(self._of.jobs_db)

    @cached_property
    def _heart(self) -> HeartbeatSender:
        of = self._of
        seconds = of.config.service.heartbeat_seconds
        return HeartbeatSender(of.reactor, self.roster, self.me, seconds, of.now, self._signs())

    def _signs(self) -> Sequence[Sign]:
        """List what runs with each heartbeat: the replication pulse, the check of job ids."""
        pulse = [self._of.dialect.replica_lag.renew] if self._of.has("agent") else []
        numbers = [self.numbering.check] if self._of.has("api") else []
        return [*pulse, *numbers]

    @cached_property
    def numbering(self) -> JobIdGuard:
        """Check that job ids did not start over; API processes may insert jobs, agents may not."""
        of = self._of
        return JobIdGuard(
            of.dialect.actions.highest_job,
            lambda: highest_id(of.jobs_db),
            lambda past: move_past(of.jobs_db, past),
        )

    @cached_property
    def letters(self) -> DeadLetterTally:
        """Counter of the dead letters that this process settles."""
        return DeadLetterTally(self._of.now)

    def settled(self, letter: SettledLetter) -> None:
        """Count a dead letter for the status and the metrics."""
        self.letters.note(letter)
        self.metrics.count("buildapi_dead_letters", letter.queue, letter.end.value)

    @cached_property
    def _probe(self) -> MasterProbe | None:
        of, seconds = self._of, self._of.config.ops.probe_seconds
        if not of.has("agent") or not seconds:
            return None
        return MasterProbe(
            of.reactor, of.directory.probed_urls, of.dialect.probe_master, seconds, self._heart.soon
        )

    def me(self) -> Heartbeat:
        """Return the heartbeat of this process."""
        of = self._of
        hand = of.agent.in_hand if of.has("agent") else ()
        seen: Reached | None = self._probe.seen if self._probe is not None else None
        name, pid = of.config.service.name, os.getpid()
        ids = [int(d) for d in (d.correlation_id or "" for d in hand) if d.isdecimal()]
        return Heartbeat(
            instance=f"{name[:150]}:{pid}:{self._started_at}",
            name=name,
            pid=pid,
            version=__version__,
            roles=of.config.service.roles,
            state=of.state(),
            started_at=self._started_at,
            beat_at=int(of.now()),
            in_hand=len(hand),
            jobs=ids[:JOBS_TOLD],
            masters=None if seen is None else seen.asked,
            unreachable=None if seen is None else tuple(seen.silent),
        )

    # --- what is shown

    @cached_property
    def farm(self) -> FarmSummarizer:
        """Summary of the farm."""
        return FarmSummarizer(self._of.directory, self._of.dialect.farm_reads, self._of.now)

    @cached_property
    def board(self) -> StatusCollector:
        """Collector of the /status document."""
        of = self._of
        seconds = of.config.service.heartbeat_seconds
        return StatusCollector(
            self._reader, of.now, self.me, self.roster.processes, seconds, self._parts()
        )

    @cached_property
    def _reader(self) -> BoundedReader:
        return BoundedReader(self._of.reactor)

    def _parts(self) -> Sequence[StatusPart[Any]]:
        """List the parts of the /status document: how each is read, shown and judged."""
        of, reader, api, known = self._of, self._reader, self._of.has("api"), versions()
        lagging = self._lag if of.primary is not None and api else _nothing
        return [
            StatusPart(lambda: reader.value(self.readiness.reasons()), parts.show_readiness),
            StatusPart(lambda: known, parts.show_process),
            StatusPart(self._broker, parts.show_broker, parts.judge_broker),
            StatusPart(
                self.letters.read if api else lambda: None,
                parts.show_dead_letters,
                parts.judge_dead_letters,
            ),
            StatusPart(
                lambda: reader.pools(of.pools()), parts.show_databases, parts.judge_databases
            ),
            StatusPart(lambda: reader.value(lagging()), parts.show_replica, parts.judge_replica),
            StatusPart(of.directory.documents, parts.show_directory, parts.judge_directory),
            StatusPart(self._masters, parts.show_masters, parts.judge_masters),
            StatusPart(
                lambda: reader.value(backlog(of.store, of.now())), parts.show_jobs, parts.judge_jobs
            ),
            StatusPart(
                lambda: reader.value(self.farm.summarize() if api else _nothing()),
                parts.show_farm,
                parts.judge_farm,
            ),
            StatusPart(
                self._dumps if of.dumps is not None and api else lambda: None,
                parts.show_dumps,
                parts.judge_dumps,
            ),
            StatusPart(self._connections, parts.show_http),
            StatusPart(lambda: of.reloading.last, parts.show_reload),
            StatusPart(lambda: self.numbering.last, parts.show_job_ids, parts.judge_job_ids),
        ]

    async def _broker(self) -> BrokerState:
        broker = self._of.config.broker
        queues = {"requests": broker.agent_queue, "finished": broker.web_queue}
        return await self._reader.broker(self._of.broker, broker.scheme, queues)

    def _masters(self) -> KnownMasters:
        directory = self._of.directory
        return KnownMasters(len(directory.master_urls()), directory.disabled_masters())

    def _connections(self) -> tuple[int, int]:
        return len(self.traffic.requests), len(self.traffic.channels)

    @cached_property
    def readiness(self) -> Readiness:
        """Readiness of this process."""
        of = self._of
        pools = [of.jobs_db, of.replica_db if of.has("api") else of.scheduler_db]
        return Readiness(
            of.reactor, lambda: of.state().value, pools, of.broker.status, of.directory
        )

    async def _lag(self) -> ReplicationLag:
        return ReplicationLag(await self._of.dialect.replica_lag.seconds())

    def _dumps(self) -> Sequence[DumpState]:
        dumps, now = self._of.dumps, self._of.now()
        if dumps is None:
            return ()
        return [
            DumpState(d.name, d.age(now), _still(d.last_error, d), d.last_error_at)
            for d in dumps.statuses()
        ]

    def routes(self) -> Sequence[Route]:
        """List the monitoring routes."""
        of = self._of
        answers = json_cache(monotonic, KEPT_SECONDS)
        ops = HealthRoutes(
            self.board.read, self.readiness.reasons, self._numbers, answers, of.pages
        )
        return ops.routes()

    def _numbers(self, found: Mapping[str, Any]) -> bytes:
        set_gauges(self.metrics, found)
        hand = len(self._of.agent.in_hand) if self._of.has("agent") else 0
        self.metrics.set("buildapi_jobs_in_hand", hand)
        return self.metrics.text()


async def _nothing() -> None:
    """Stand for what this process does not read."""


def _still(error: str | None, dump: Any) -> str | None:
    """Return the last error of a dump, unless it has been written since."""
    later = dump.good_at is not None and dump.last_error_at is not None
    return None if later and dump.good_at >= dump.last_error_at else error


def versions() -> Mapping[str, str]:
    """Return the versions of the program, Python and the main libraries."""
    found = {"buildapi": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name.lower()] = version(name)
        except PackageNotFoundError:
            found[name.lower()] = "unknown"
    return found
