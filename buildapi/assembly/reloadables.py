"""Declare the settings that can change while the service runs, and the signals that change them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

import attrs
from twisted.internet import defer
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildapi.assembly.adapters import Clock
from buildapi.assembly.http_listeners import HTTPListeners, access_log, authenticator
from buildapi.assembly.web_site import WebSite
from buildapi.buildbot.directory import DirectoryService
from buildapi.config import Config
from buildapi.errors import Unavailable
from buildapi.model.ops import ProcessState
from buildapi.ops.audit import BufferedAudit
from buildapi.ops.logs import Logs
from buildapi.ops.reload import Reloadable, Reloader
from buildapi.ops.sd_notify import SystemdNotifier
from buildapi.ops.signals import Signals
from buildapi.ops.trail import BufferedTrail
from buildapi.web.http.access_log import AccessLogSwitch
from buildapi.web.http.client_limits import ClientLimits
from buildapi.web.http.groups_file import read_memberships
from buildapi.web.reports.classification_file import read_classification

# Those that each request reads; the others are built into pools, streams and buffers.
LIMITS = (
    "count",
    "jobs_page",
    "builds_per_request",
    "builds_per_user_hour",
    "reads_per_minute",
    "jobs_per_minute",
    "requests_in_flight",
    "requests_per_address",
)
TRUST = (
    "trusted_proxies",
    "user_header",
    "groups_header",
    "groups_separator",
    "development_user",
    "allowed_origins",
)

Put = Callable[[], None]

log = Logger()


@attrs.frozen
class Again:
    """Hold the reader of the configuration, and the signals caught so far."""

    signals: Signals
    read: Callable[[], Config]


def reloadables(
    logs: Logs,
    trail: BufferedTrail,
    audit: BufferedAudit,
    *,
    clients: ClientLimits,
    listeners: HTTPListeners | None,
    site: WebSite | None,
) -> Sequence[Reloadable]:
    """List the settings that can change; docs/logging.md has the same table.

    ``site`` is None in a process that serves no public routes.
    """

    def put_log(config: Config) -> Put:
        wanted = config.log

        def put() -> None:
            logs.adapt(wanted.level, wanted.format, wanted.file)
            if listeners is not None:
                listeners.access_log.write_as(json=wanted.format == "json")

        return put

    def put_trail(config: Config) -> Put:
        return lambda: trail.keep(config.ops.trail_days)

    def put_audit(config: Config) -> Put:
        return lambda: audit.keep(config.ops.audit_days)

    everywhere = [
        Reloadable("log", logs.adaptable, put_log),
        Reloadable("ops", ("trail_days",), put_trail),
        Reloadable("ops", ("audit_days",), put_audit),
    ]
    if site is None or listeners is None:
        return everywhere
    return [*everywhere, *_of_web(clients, listeners, site)]


def _of_web(clients: ClientLimits, listeners: HTTPListeners, site: WebSite) -> Sequence[Reloadable]:
    def put_trust(config: Config) -> Put:
        auth = authenticator(config, site.access.groups_of)
        return lambda: listeners.trust(auth, config.web.allowed_origins)

    def put_access(config: Config) -> Put:
        policy, memberships = config.access.policy, read_memberships(config.access.groups_file)
        days = config.access.groups_days

        def put() -> None:
            site.access.adopt(policy, memberships)
            if site.bearers is not None:
                site.bearers.groups.bound(days)

        return put

    def put_access_log(config: Config) -> Put:
        return lambda: listeners.access_log.replace(access_log(config, listeners.clock.now))

    def put_limits(config: Config) -> Put:
        limits = config.limits

        def put() -> None:
            site.jobs.bound(limits.jobs_page)
            site.requests.bound(limits.count)
            site.quota.bound(limits.builds_per_request, limits.builds_per_user_hour)
            clients.adopt(limits)

        return put

    def put_classification(config: Config) -> Put:
        rules = read_classification(config.reports.classification)

        def put() -> None:
            site.reports.adopt(rules)
            site.job_classes.adopt(rules)

        return put

    return [
        Reloadable("web", TRUST, put_trust),
        Reloadable("web", ("access_log",), put_access_log),
        Reloadable(
            "access", ("groups_file", "groups_days", "default", "rules"), put_access, always=True
        ),
        Reloadable("limits", LIMITS, put_limits),
        Reloadable("reports", ("classification",), put_classification, always=True),
    ]


def reopen_logs(logs: Logs, access: AccessLogSwitch | None) -> None:
    """Reopen log files after they were renamed."""
    logs.reopen()
    if access is not None:
        access.reopen()
    log.info("log files reopened")


def refresh_directory(directory: DirectoryService) -> None:
    """Begin to read the documents that the configuration names; log a failure."""
    refreshing = defer.ensureDeferred(directory.refresh())

    def failed(failure: Failure) -> None:
        if failure.check(Unavailable):
            log.warn("cannot refresh the directory: {msg}", msg=str(failure.value))
        else:
            log.failure("cannot refresh the directory", failure=failure)

    refreshing.addErrback(failed)


def bind_signals(
    again: Again,
    clock: Clock,
    reloader: Reloader,
    notifier: SystemdNotifier,
    state: Callable[[], ProcessState],
    *,
    serves: str,
    reopen: Callable[[], None],
) -> None:
    """Make SIGHUP reload the configuration, and SIGUSR1 reopen the log files."""

    def reload() -> None:
        if state() is not ProcessState.RUNNING:  # nobody is to hear that we are ready
            reloader.reload()
            return
        notifier.reloading()
        reloader.reload()
        notifier.ready(serves)

    again.signals.bind(clock.reactor, {signal.SIGHUP: reload, signal.SIGUSR1: reopen})
