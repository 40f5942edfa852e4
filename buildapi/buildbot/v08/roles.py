"""Build the dialect of Buildbot 0.8.0 to 0.8.4, whose schema has version 6."""

from __future__ import annotations

from functools import cached_property

import attrs

from buildapi.buildbot.dialect_definition import DialectDefinition, FarmResources, TablePrivileges
from buildapi.buildbot.http_fetch import FetchError
from buildapi.buildbot.v08 import lowered_plan
from buildapi.buildbot.v08.build_poller import BuildPoller
from buildapi.buildbot.v08.build_reads import SQLBuilds
from buildapi.buildbot.v08.build_stopper import BuildStopper, Login
from buildapi.buildbot.v08.change_sender import ChangeLogin, ChangeSender
from buildapi.buildbot.v08.clobber import Clobberer
from buildapi.buildbot.v08.dropped_requests import DroppedRequestWatcher
from buildapi.buildbot.v08.ended_build_reads import SQLEndedBuilds, SQLStartedRequests
from buildapi.buildbot.v08.facts_reader import SQLFactsReader
from buildapi.buildbot.v08.farm_reads import SQLFarmReads
from buildapi.buildbot.v08.job_executor import JobExecutor
from buildapi.buildbot.v08.marked_farm import V08Farm
from buildapi.buildbot.v08.markers import Markers, MarkerSendRecord
from buildapi.buildbot.v08.master_client import MasterClient
from buildapi.buildbot.v08.push_reads import SQLPushes
from buildapi.buildbot.v08.recent_builds import SQLRecentBuilds
from buildapi.buildbot.v08.replication_heartbeat import ReplicationHeartbeat
from buildapi.buildbot.v08.report_reads import SQLReports
from buildapi.buildbot.v08.scheduler_reports import SQLSchedulerReports
from buildapi.buildbot.v08.status_reports import SQLStatusReports
from buildapi.buildbot.v08.step_reads import SQLBuildSteps
from buildapi.buildbot.v08.step_runner import StepRunner
from buildapi.buildbot.v08.table_grants import SCHEDULER_READ, SCHEDULER_WRITTEN, STATUS_READ
from buildapi.buildbot.v08.text_limits import SQLTextLimits
from buildapi.db.sql import Database
from buildapi.model.facts import Facts
from buildapi.model.steps import Plan, StepsDocument
from buildapi.reactor_time import next_turn

DEFAULT_PASSWORD = "changepw"  # noqa: S105  # what change sources of Buildbot 0.8 ask for unless told otherwise

# The configuration says so of rows [docs/configuration.md, "[reports]"].
HEAVY = 4
"""Rows of a report that count as much as one row with all of its texts."""


@attrs.define(slots=False)
class V08Dialect:
    """Implement ``Dialect`` for Buildbot 0.8; each role is made once, on first use."""

    _of: FarmResources

    # --- reads

    @cached_property
    def builds(self) -> SQLBuilds:
        """Return the reads of builds, from the replica and, what it lacks, from the primary."""
        replica, primary = self._of.databases.replica, self._of.databases.primary
        return SQLBuilds(replica, primary, next_turn(self._of.reactor), self._of.reactor)

    @cached_property
    def farm_reads(self) -> SQLFarmReads:
        """Return the reads of the whole farm."""
        return SQLFarmReads(self._of.databases.replica, self._of.databases.primary)

    @cached_property
    def pushes(self) -> SQLPushes:
        """Return the reads of pushes."""
        return SQLPushes(self._of.databases.replica, self._of.reactor)

    @cached_property
    def recent_builds(self) -> SQLRecentBuilds:
        """Return the reads of the latest builds."""
        return SQLRecentBuilds(self._of.databases.status)

    @cached_property
    def build_steps(self) -> SQLBuildSteps:
        """Return the reads of steps, from the status database."""
        return SQLBuildSteps(self._of.databases.status)

    @cached_property
    def facts(self) -> SQLFactsReader:
        """Return the reader of facts from the replica, for plans that are only shown."""
        return self._facts_of(self._of.databases.replica)

    @cached_property
    def text_limits(self) -> SQLTextLimits:
        """Check of texts, on the replica."""
        return SQLTextLimits(self._of.databases.replica)

    @cached_property
    def reports(self) -> SQLReports:
        """Return the reads of reports, from the replica and the status database."""
        databases, rows = self._of.databases, self._of.settings.report_rows
        heavy = max(1, rows // HEAVY)
        return SQLReports(
            SQLSchedulerReports(databases.scheduler_reports, rows, heavy),
            SQLStatusReports(databases.status_reports, rows),
        )

    @cached_property
    def ended_builds(self) -> SQLEndedBuilds:
        """Return the reads of ended builds, for dumps."""
        return SQLEndedBuilds(self._of.databases.status)

    @cached_property
    def started_requests(self) -> SQLStartedRequests:
        """Return the reads of requests that began, for dumps."""
        return SQLStartedRequests(self._of.databases.replica)

    @cached_property
    def replica_lag(self) -> ReplicationHeartbeat:
        """Return the heartbeat in the scheduler database."""
        table, databases = self._of.settings.marker_table, self._of.databases
        replica = None if databases.primary is None else databases.replica
        return ReplicationHeartbeat(table, databases.scheduler, replica)

    # --- actions

    @cached_property
    def actions(self) -> JobExecutor:
        """Return what carries out job requests."""
        # What a job is decided on must not lag [docs/explanation/failure-model.md, "The replica"].
        of, facts = self._of, self._facts_of(self._of.databases.scheduler)
        farm = V08Farm(
            of.databases.scheduler,
            facts,
            self._step_runner(facts),
            of.settings.marker_table,
            of.now,
            next_turn(of.reactor),
        )
        return JobExecutor(farm, of.rules)

    def _facts_of(self, db: Database) -> SQLFactsReader:
        of = self._of
        return SQLFactsReader(
            db,
            of.directory,
            of.now,
            of.settings.zone,
            of.settings.change_master,
            next_turn(of.reactor),
        )

    @cached_property
    def _masters(self) -> MasterClient:
        of, settings = self._of, self._of.settings
        return MasterClient(
            of.reactor,
            of.fetcher,
            of.directory.masters,
            seconds=settings.poke_seconds,
            wait_seconds=settings.wait_seconds,
            per_master=settings.pokes_per_master,
            total=settings.pokes,
        )

    def _step_runner(self, facts: SQLFactsReader) -> StepRunner:
        of, settings = self._of, self._of.settings
        login = settings.master_login
        stopper = BuildStopper(
            of.reactor,
            # Not the replica, where a stopped build runs for as long as it lags.
            BuildPoller(of.reactor, of.databases.scheduler),
            self._masters,
            verify_seconds=settings.verify_seconds,
            login=None if login is None else Login(login.username, login.password),
        )
        watcher = DroppedRequestWatcher(
            of.reactor,
            facts.requests,
            stopper,
            recheck_seconds=settings.recheck_seconds,
            verify_seconds=settings.verify_seconds,
        )
        return StepRunner(stopper, watcher, self._change_sender(), self._clobberer())

    def _change_sender(self) -> ChangeSender:
        of, settings = self._of, self._of.settings
        login = settings.change_login
        return ChangeSender(
            of.reactor,
            of.databases.scheduler,
            MarkerSendRecord(of.databases.scheduler, Markers(settings.marker_table)),
            of.directory.masters,
            ChangeLogin(login.username, login.password or DEFAULT_PASSWORD),
            seconds=settings.change_seconds,
            verify_seconds=settings.verify_seconds,
        )

    def _clobberer(self) -> Clobberer | None:
        of = self._of
        if of.clobberer is None:
            return None
        # Stops and clobbers share the slots of a master, and its silence.
        return Clobberer(of.fetcher, self._masters, of.clobberer, of.settings.clobber_seconds)

    def steps_json(self, plan: Plan, facts: Facts) -> StepsDocument:
        """Return the steps as the writes and pokes that a job would be split into."""
        return lowered_plan.steps_json(plan, facts)

    async def probe_master(self, url: str) -> str | None:
        """Request the smallest page of a master; any response will do."""
        seconds = self._of.settings.poke_seconds
        try:
            # Even a 404 shows that its one reactor turns.
            await self._of.fetcher.request("GET", f"{url}json/project", seconds=seconds)
        except FetchError as e:
            return str(e)
        return None


DEFINITION = DialectDefinition(
    TablePrivileges(SCHEDULER_READ, SCHEDULER_WRITTEN, STATUS_READ), V08Dialect
)
