"""Reload settings that may change at run time, on the signals that ask for it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import attrs
from twisted.internet import defer
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildapi.assembly.reporting import classification
from buildapi.config import Config
from buildapi.errors import Unavailable
from buildapi.model.ops import ProcessState
from buildapi.ops.reload import Reload, Reloadable, Reloader
from buildapi.ops.signals import Signals
from buildapi.web.http.access_log import AccessLog
from buildapi.web.http.auth import Authenticator

if TYPE_CHECKING:
    from buildapi.assembly.program import Assembly

Put = Callable[[], None]

log = Logger()


@attrs.frozen
class Again:
    """Hold the reader of the configuration, and the signals caught so far."""

    signals: Signals
    read: Callable[[], Config]


@attrs.define(slots=False)
class Reloading:
    """Handle SIGHUP (reload the configuration) and SIGUSR1 (reopen log files)."""

    _of: Assembly
    reloader: Reloader | None = attrs.field(default=None, init=False)

    def obey(self, again: Again) -> None:
        """Start handling the signals."""
        of = self._of
        self.reloader = reloader = Reloader(
            again.read, of.config, lambda: self.reloadables, of.now, self._refresh
        )

        wanted: dict[int, Put] = {
            signal.SIGHUP: lambda: self._reload(reloader),
            signal.SIGUSR1: self.reopen,
        }
        again.signals.bind(of.reactor, wanted)

    def _reload(self, reloader: Reloader) -> None:
        of, manager = self._of, self._of.watching.manager
        if of.state() is not ProcessState.RUNNING:  # nobody is to hear that we are ready
            reloader.reload()
            return
        manager.reloading()
        reloader.reload()
        manager.ready(of.serves)

    @property
    def last(self) -> Reload | None:
        """Return the result of the last reload, or None."""
        return None if self.reloader is None else self.reloader.last

    @property
    def _access(self) -> AccessLog | None:
        of = self._of
        return of.serving.access_log

    def reopen(self) -> None:
        """Reopen log files after they were renamed."""
        of = self._of
        of.telling.logs.reopen()
        if (access := self._access) is not None:
            access.file.reopen()
        log.info("log files are opened again")

    def _refresh(self) -> None:
        """Reopen log files, and read the documents that the configuration names."""
        self.reopen()
        refreshing = defer.ensureDeferred(self._of.directory.refresh())

        def failed(failure: Failure) -> None:
            if failure.check(Unavailable):
                log.warn("the directory is not refreshed: {msg}", msg=str(failure.value))
            else:
                log.failure("the directory is not refreshed", failure=failure)

        refreshing.addErrback(failed)

    @cached_property
    def reloadables(self) -> Sequence[Reloadable]:
        """Return the settings that can change; docs/logging.md has the same table."""
        everywhere = (
            Reloadable("log", self._of.telling.logs.adaptable, self._log),
            Reloadable("ops", ("trail_days",), self._trail),
        )
        if "api" not in self._of.config.service.roles:
            return everywhere
        return (
            *everywhere,
            Reloadable("web", TRUST, self._trust),
            Reloadable("web", ("access_log",), self._access_log),
            Reloadable("limits", LIMITS, self._limits),
            Reloadable("reports", ("classification",), self._classification, always=True),
        )

    def _log(self, config: Config) -> Put:
        wanted = config.log

        def put() -> None:
            self._of.telling.logs.adapt(wanted.level, wanted.format, wanted.file)
            if (access := self._access) is not None:
                access.json = wanted.format == "json"

        return put

    def _trail(self, config: Config) -> Put:
        return lambda: self._of.telling.trail.keep(config.ops.trail_days)

    def _trust(self, config: Config) -> Put:
        web = config.web
        auth = Authenticator.of(web.user_header, web.trusted_proxies, web.development_user)

        def put() -> None:
            self._of.serving.trust(auth, web.allowed_origins)

        return put

    def _access_log(self, config: Config) -> Put:
        serving = self._of.serving
        return lambda: serving.write_to(serving.new_access_log(config))

    def _limits(self, config: Config) -> Put:
        limits, answering = config.limits, self._of.site

        def put() -> None:
            answering.jobs.bound(limits.jobs_page)
            answering.requests.bound(limits.count)
            answering.quota.bound(limits.builds_per_request, limits.builds_per_user_hour)

        return put

    def _classification(self, config: Config) -> Put:
        rules = classification(config.reports.classification)
        return lambda: self._of.site.report_desk.adopt(rules)


LIMITS = ("count", "jobs_page", "builds_per_request", "builds_per_user_hour")
TRUST = ("trusted_proxies", "user_header", "development_user", "allowed_origins")
