"""Create the HTTP listeners of a process, their policy and their access log."""

from __future__ import annotations

import grp
from collections.abc import Callable, Sequence

import attrs

from buildapi.assembly.adapters import Clock
from buildapi.config import Config
from buildapi.model.audit import AuditRecord
from buildapi.ops.log_file import LogFile
from buildapi.ops.metrics import Metrics
from buildapi.web.http.access_log import AccessLog, AccessLogSwitch
from buildapi.web.http.app import LoggingSite, PermissionsOf, Policy, WebApp, site
from buildapi.web.http.auth import NO_GROUPS, Authenticator, GroupsHeader, MembershipOf
from buildapi.web.http.connection import Traffic
from buildapi.web.http.csrf import CSRFTokens, kept_secret
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.http_metrics import HTTPMetrics
from buildapi.web.http.listener import Listener
from buildapi.web.http.page_permissions import OPEN
from buildapi.web.http.page_text import KeptPages
from buildapi.web.http.ready_answers import ReadyAnswers
from buildapi.web.http.request import BuildAPIRequest, RequestLimits
from buildapi.web.http.routes import Route
from buildapi.web.http.send_budget import SendBudget
from buildapi.web.http.token_auth import TokenAuthenticator


@attrs.frozen
class ServedSite:
    """Hold a listener and what it serves."""

    listener: Listener
    app: WebApp
    site: LoggingSite


@attrs.frozen
class HTTPListeners:
    """Create listeners that share a budget and an access log, which may be replaced.

    ``ending`` is called when a listener stops, to end streams and waiting clients.
    """

    _config: Config
    clock: Clock
    _bearers: TokenAuthenticator | None
    _away: Callable[[], Sequence[str]]
    _metrics: HTTPMetrics
    _ending: Callable[[], None]
    _members: MembershipOf
    _permissions: PermissionsOf
    _record: Callable[[AuditRecord], None]
    access_log: AccessLogSwitch
    _budget: SendBudget
    sites: list[ServedSite] = attrs.field(factory=list, init=False)

    def public(self, routes: Sequence[Route], traffic: Traffic, *, held: bool = True) -> Listener:
        """Create the listener of the public routes, ``held`` until requests are admitted."""
        web = self._config.web
        return self._listener(
            routes,
            web.listen,
            traffic,
            linger=web.linger_seconds,
            hosts=web.hosts,
            held=held,
            shares_ports=self._config.service.workers > 1,
        )

    def for_monitoring(self, routes: Sequence[Route]) -> Listener:
        """Create the listener for those who watch the process."""
        # Without `hosts`, since probes may ask for any name [docs/configuration.md, `[web]`]; with
        # traffic of its own, since it goes on while the public listener drains.
        listener = self._listener(routes, self._config.ops.listen, Traffic())
        listener.name = "ops http"
        return listener

    def _listener(
        self,
        routes: Sequence[Route],
        endpoints: Sequence[str],
        traffic: Traffic,
        *,
        linger: float = 0.0,
        hosts: Sequence[str] = (),
        held: bool = False,
        shares_ports: bool = False,
    ) -> Listener:
        web, reactor = self._config.web, self.clock.reactor
        # Made here, so that a process that listens nowhere keeps no secret for forms.
        auth = authenticator(self._config, self._members)
        policy = attrs.evolve(
            access_policy(self._config, self.clock, auth, self._bearers, self._away),
            permissions=self._permissions,
            record=self._record,
        )
        pages = KeptPages(reactor.seconds, web.cache_seconds)
        app = WebApp(routes, policy, pages, ReadyAnswers(reactor.seconds), traffic.limits)
        served = site(
            app,
            reactor=reactor,
            limits=RequestLimits(web.max_body, web.request_seconds),
            prefix=web.prefix,
            idle_seconds=web.idle_seconds,
            answered=self._answered,
            closing=self.access_log.close,
            traffic=traffic,
            budget=self._budget,
            hosts=hosts,
        )
        group = None if web.socket_group is None else grp.getgrnam(web.socket_group).gr_gid
        drain = self._config.service.drain_seconds
        listener = Listener(
            reactor,
            served,
            endpoints,
            traffic,
            drain,
            self._ending,
            linger,
            held,
            group,
            shares_ports,
        )
        self.sites.append(ServedSite(listener, app, served))
        return listener

    def _answered(self, request: BuildAPIRequest) -> None:
        """Count and log a request that was answered."""
        self._metrics(request)
        self.access_log(request)

    def trust(self, auth: Authenticator, origins: Sequence[str]) -> None:
        """Replace the authenticator and the allowed origins, after a reload."""
        for served in self.sites:
            served.app.trust(auth, origins)
            served.site.trust(auth, origins)


def http_listeners(
    config: Config,
    clock: Clock,
    metrics: Metrics,
    bearers: TokenAuthenticator | None,
    *,
    away: Callable[[], Sequence[str]],
    ending: Callable[[], None],
    members: MembershipOf = lambda _: NO_GROUPS,
    permissions: PermissionsOf = lambda _: OPEN,
    record: Callable[[AuditRecord], None] = lambda _: None,
) -> HTTPListeners:
    """Prepare what all listeners of a process share.

    ``bearers`` authenticates tokens, ``away`` lists the services that do not respond, ``ending``
    ends streams and waiting clients, ``members`` returns the groups that a user has beside those of
    the proxy's header, ``permissions`` what pages tell a user to be permitted, ``record`` adds a
    record to the audit log.
    """
    limits = config.limits
    return HTTPListeners(
        config,
        clock,
        bearers,
        away,
        HTTPMetrics(metrics.count, metrics.observe),
        ending,
        members,
        permissions,
        record,
        AccessLogSwitch(access_log(config, clock.now)),
        SendBudget(limits.unread_bytes, limits.unread_bytes_total),
    )


def access_policy(
    config: Config,
    clock: Clock,
    auth: Authenticator,
    bearers: TokenAuthenticator | None,
    away: Callable[[], Sequence[str]],
) -> Policy:
    """Create the policy of all routes; the secret of forms is kept where none is configured."""
    web, secret = config.web, config.web.form_secret
    kept = secret.reveal().encode() if secret else kept_secret(config.service.data / "form-secret")
    return Policy(
        auth,
        web.allowed_origins,
        CSRFTokens(kept),
        Deadline(clock.reactor, web.answer_seconds),
        bearers,
        web.strict,
        answer_bytes=config.limits.unread_bytes,
        reads_free=web.reads == "anyone",
        away=away,
        ignores_foreign=web.foreign_bearer == "ignore",
    )


def authenticator(config: Config, members: MembershipOf) -> Authenticator:
    """Create the authenticator by the proxy's headers."""
    web = config.web
    groups = GroupsHeader(web.groups_header, web.groups_separator) if web.groups_header else None
    return Authenticator.of(
        web.user_header, web.trusted_proxies, web.development_user, groups, members
    )


def access_log(config: Config, now: Callable[[], float]) -> AccessLog | None:
    """Create the access log, or return None; its file is opened with the first line."""
    path = config.web.access_log
    if path is None:
        return None
    return AccessLog(LogFile(path), now, json=config.log.format == "json")
