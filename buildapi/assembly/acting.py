"""Create the services that act on a farm of Buildbot 0.8."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import attrs

from buildapi.buildbot.directory import DirectoryService
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.buildbot.v08.build_poller import BuildPoller
from buildapi.buildbot.v08.build_stopper import BuildStopper, Login
from buildapi.buildbot.v08.change_sender import ChangeLogin, ChangeSender
from buildapi.buildbot.v08.clobber import Clobberer
from buildapi.buildbot.v08.dropped_requests import DroppedRequestWatcher
from buildapi.buildbot.v08.facts_reader import SQLFactsReader
from buildapi.buildbot.v08.farm import V08Farm
from buildapi.buildbot.v08.job_executor import JobExecutor
from buildapi.buildbot.v08.markers import Markers, MarkerSendRecord
from buildapi.buildbot.v08.master_client import MasterClient
from buildapi.buildbot.v08.step_runner import StepRunner
from buildapi.config import Config
from buildapi.db.sql import Database
from buildapi.model.rules import Choice, Rules

DEFAULT_PASSWORD = "changepw"  # noqa: S105  # what change sources of Buildbot 0.8 ask for unless told otherwise


@attrs.define(slots=False)
class Acting:
    """Create the services that act, each once, on first use.

    ``clobberer`` returns the URL of the clobberer and its token; None if there is none.
    """

    _config: Config
    _reactor: Any
    _now: Callable[[], float]
    _scheduler: Database
    _directory: DirectoryService
    _fetcher: Fetcher
    _clobber_at: Callable[[], tuple[str, str | None]] | None

    @cached_property
    def rules(self) -> Rules:
        """Naming rules of the farm's builders."""
        names, clobber = self._config.builders, self._config.clobber
        return Rules(
            pgo=Choice(names.pgo, names.pgo_exclude),
            nightly=Choice(names.nightly, names.nightly_exclude),
            builds=Choice(names.builds),
            clobber=None if self._clobber_at is None else Choice(clobber.builders),
        )

    @cached_property
    def actions(self) -> JobExecutor:
        """What carries out job requests."""
        observer = self.observer(self._scheduler)
        farm = V08Farm(
            self._scheduler,
            observer,
            self._poker(observer),
            self._config.agent.marker_table,
            self._now,
        )
        return JobExecutor(farm, self.rules)

    def observer(self, db: Database) -> SQLFactsReader:
        """Create the reader of the facts that actions are about."""
        return SQLFactsReader(
            db,
            self._directory,
            self._now,
            self._config.web.timezone,
            self._config.changes.master,
        )

    @cached_property
    def masters(self) -> MasterClient:
        """Client of the masters' web interfaces."""
        agent = self._config.agent
        return MasterClient(
            self._reactor,
            self._fetcher,
            self._directory.masters,
            seconds=agent.poke_seconds,
            wait_seconds=agent.wait_seconds,
            per_master=agent.pokes_per_master,
            total=agent.pokes,
        )

    def _poker(self, observer: SQLFactsReader) -> StepRunner:
        agent = self._config.agent
        stopper = BuildStopper(
            self._reactor,
            BuildPoller(self._reactor, self._scheduler),
            self.masters,
            verify_seconds=agent.verify_seconds,
            login=self._login(),
        )
        watcher = DroppedRequestWatcher(
            self._reactor,
            observer.requests,
            stopper,
            recheck_seconds=agent.recheck_seconds,
            verify_seconds=agent.verify_seconds,
        )
        return StepRunner(stopper, watcher, self._changes(), self._clobberer())

    def _changes(self) -> ChangeSender:
        changes = self._config.changes
        password = changes.password.reveal() if changes.password else DEFAULT_PASSWORD
        return ChangeSender(
            self._reactor,
            self._scheduler,
            MarkerSendRecord(self._scheduler, Markers(self._config.agent.marker_table)),
            self._directory.masters,
            ChangeLogin(changes.username, password),
            seconds=changes.send_seconds,
            verify_seconds=self._config.agent.verify_seconds,
        )

    def _clobberer(self) -> Clobberer | None:
        if self._clobber_at is None:
            return None
        seconds = self._config.clobber.clobber_seconds
        return Clobberer(self._fetcher, self.masters, self._clobber_at, seconds)

    def _login(self) -> Login | None:
        agent = self._config.agent
        if not agent.master_username:
            return None
        return Login(
            agent.master_username, agent.master_password.reveal() if agent.master_password else ""
        )
