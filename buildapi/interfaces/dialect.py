"""The dialect of a farm: every role that knows one version of Buildbot, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from buildapi.interfaces.farm import (
    Builds,
    BuildSteps,
    FactsReader,
    FarmActions,
    FarmReads,
    Pushes,
    RecentBuilds,
    Reports,
    TextLimits,
)
from buildapi.model.ended_builds import DumpWindow, EndedBuild, StartedRequest
from buildapi.model.facts import Facts
from buildapi.model.steps import Plan, StepsDocument


class EndedBuilds(Protocol):
    """Read ended builds for dumps."""

    async def ids(self, window: DumpWindow) -> Sequence[int]:
        """List the builds that ended in a window, by start time; those without one come first."""

    async def builds(self, ids: Sequence[int]) -> Sequence[EndedBuild]:
        """Read builds in the order of these ids, skipping those that are gone."""


class StartedRequests(Protocol):
    """Find the requests of builds whose properties do not name them."""

    async def started(
        self, numbers: Sequence[int], low: int, high: int
    ) -> Sequence[StartedRequest]:
        """List requests whose builds have one of these numbers and started from low to high.

        ``numbers`` are not empty; ``low`` and ``high``, in epoch seconds, are included.
        """


class ReplicaLag(Protocol):
    """Measure how far the replica that pages are read from is behind the farm's database."""

    async def renew(self, now: int) -> None:
        """Write a heartbeat, ``now`` in epoch seconds, where the replica copies it from."""

    async def seconds(self) -> int | None:
        """Return the lag in seconds; None if no heartbeat has been written, or has arrived, yet.

        The lag is as exact as the heartbeats are frequent.

        :raises Unavailable: no agent of this farm has ever run, or nothing of it has arrived.
        """


class Dialect(Protocol):
    """Provide what reads a farm of one version of Buildbot and what acts on it.

    Each role is made when it is first asked for: an agent needs no pool of the reports.
    """

    @property
    def builds(self) -> Builds: ...
    @property
    def farm_reads(self) -> FarmReads: ...
    @property
    def pushes(self) -> Pushes: ...
    @property
    def recent_builds(self) -> RecentBuilds: ...
    @property
    def build_steps(self) -> BuildSteps: ...
    @property
    def facts(self) -> FactsReader: ...
    @property
    def text_limits(self) -> TextLimits: ...
    @property
    def actions(self) -> FarmActions: ...
    @property
    def reports(self) -> Reports: ...
    @property
    def ended_builds(self) -> EndedBuilds: ...
    @property
    def started_requests(self) -> StartedRequests: ...
    @property
    def replica_lag(self) -> ReplicaLag: ...

    def steps_json(self, plan: Plan, facts: Facts) -> StepsDocument:
        """Return the steps of a plan, decided on these facts, as clients of a dry run read them.

        ``writes`` are done in databases and happen first, ``pokes`` are asked of masters and
        services [docs/api.md, "On every job request"].  Each is a list of JSON objects with a
        ``type``.
        """

    async def probe_master(self, url: str) -> str | None:
        """Request the smallest page of a master; return why it gave no response, or None."""
