"""Create the services that watch this process and tell the others and systemd of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

import attrs
from twisted.application.service import Service

from buildapi import __version__
from buildapi.agent.agent import Agent
from buildapi.assembly.adapters import Clock
from buildapi.config import Config
from buildapi.db.job_ids import highest_id, move_past
from buildapi.db.schema import DialectDatabase
from buildapi.interfaces import FarmActions, ProcessRegistry
from buildapi.interfaces.dialect import Dialect
from buildapi.model.ops import Heartbeat, ProcessState
from buildapi.ops.heartbeat import HeartbeatSender, Sign
from buildapi.ops.job_id_guard import JobIdGuard
from buildapi.ops.master_probe import MasterProbe
from buildapi.ops.metrics import Metrics
from buildapi.ops.reactor_lag import ReactorLag
from buildapi.ops.sd_notify import SystemdNotifier, manager

JOBS_TOLD = 100
"""Maximum number of job ids in a heartbeat."""

NAME_LENGTH = 150
"""Characters of a host name in the identifier of a process, which the registry's column bounds."""


def describe_process(config: Config, metrics: Metrics, started_at: int) -> None:
    """Set the metrics that describe this process and do not change."""
    metrics.set("buildapi_info", 1, __version__, "+".join(config.service.roles))
    metrics.set("buildapi_start_time_seconds", started_at)


@attrs.frozen
class Monitoring:
    """Hold the services; ``me`` returns the heartbeat of this process.

    ``probe`` is None unless this process probes masters.
    """

    notifier: SystemdNotifier
    sender: HeartbeatSender
    lag: ReactorLag
    probe: MasterProbe | None
    me: Callable[[], Heartbeat]

    def services(self) -> Sequence[Service]:
        """List those that start once the tables exist; the notifier starts first of all."""
        return [self.sender, self.lag, *([self.probe] if self.probe else [])]

    def turned(self, state: ProcessState) -> None:
        """Notify the service manager and the other processes when this one drains."""
        if state is ProcessState.DRAINING:
            self.notifier.stopping()
            self.sender.soon()


def monitoring(
    config: Config,
    clock: Clock,
    metrics: Metrics,
    *,
    processes: ProcessRegistry,
    agent: Agent | None,
    masters: Callable[[], Mapping[str, str | None]],
    dialect: Dialect,
    job_ids: JobIdGuard,
    state: Callable[[], ProcessState],
    started_at: int,
) -> Monitoring:
    """Create the services; ``masters`` returns the URLs to probe, ``state`` that of the process."""
    service, seconds = config.service, config.ops.probe_seconds

    def me() -> Heartbeat:
        in_hand = agent.in_hand if agent else ()
        ids = [int(d) for d in (d.correlation_id or "" for d in in_hand) if d.isdecimal()]
        seen = probe.seen if probe else None
        return Heartbeat(
            # Systems reuse pids; the time of the start tells two processes apart.
            instance=f"{service.name[:NAME_LENGTH]}:{os.getpid()}:{started_at}",
            name=service.name,
            # Read each time: twistd becomes a daemon, with another pid, after everything is wired.
            pid=os.getpid(),
            version=__version__,
            roles=service.roles,
            state=state(),
            started_at=started_at,
            beat_at=int(clock.now()),
            in_hand=len(in_hand),
            jobs=ids[:JOBS_TOLD],
            masters=None if seen is None else seen.asked,
            unreachable=None if seen is None else tuple(seen.silent),
        )

    # With each heartbeat agents renew the one of the replication; processes that insert jobs check
    # that their ids did not start over.
    renewal = Sign("renew the heartbeat row of the replication", dialect.replica_lag.renew)
    check = Sign("compare the ids of job requests with those of markers", job_ids.check)
    signs = [renewal] if agent else []
    signs += [check] if "api" in service.roles else []
    sender = HeartbeatSender(
        clock.reactor, processes, me, service.heartbeat_seconds, clock.now, signs
    )
    probe = (
        MasterProbe(clock.reactor, masters, dialect.probe_master, seconds, sender.soon)
        if agent and seconds
        else None
    )
    lag = ReactorLag(clock.reactor, lambda s: metrics.observe("buildapi_reactor_lag_seconds", s))
    return Monitoring(manager(clock.reactor, monotonic), sender, lag, probe, me)


def job_id_guard(actions: FarmActions, jobs: DialectDatabase) -> JobIdGuard:
    """Create the check that ids of job requests did not start over."""
    return JobIdGuard(
        actions.highest_job, lambda: highest_id(jobs), lambda past: move_past(jobs, past)
    )
