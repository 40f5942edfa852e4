"""Create the HTTP listeners, their policy and their access log."""

from __future__ import annotations

import grp
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from buildapi.config import Config
from buildapi.ops.log_file import LogFile
from buildapi.web.http.access_log import AccessLog
from buildapi.web.http.app import LoggingSite, Policy, WebApp, site
from buildapi.web.http.auth import Authenticator
from buildapi.web.http.connection import Traffic
from buildapi.web.http.csrf import CSRFTokens, kept_secret
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.http_metrics import HTTPMetrics
from buildapi.web.http.listener import Listener
from buildapi.web.http.request import RequestLimits
from buildapi.web.http.routes import Route
from buildapi.web.http.send_budget import SendBudget
from buildapi.web.selfserve.reads import files_routes

if TYPE_CHECKING:
    from buildapi.assembly.program import Assembly


@attrs.define(slots=False)
class Serving:
    """Create the HTTP services, each once; ``access_log`` may be replaced."""

    _of: Assembly
    access_log: AccessLog | None = attrs.field(default=None, init=False)
    _made: list[tuple[WebApp, LoggingSite]] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.access_log = self.new_access_log(self._of.config)
        metrics = self._of.watching.metrics
        self._counted = HTTPMetrics(metrics.count, metrics.observe)
        limits = self._of.config.limits
        self._budget = SendBudget(limits.unread_bytes, limits.unread_bytes_total)

    @cached_property
    def listener(self) -> Listener:
        """Listener of the public routes."""
        of, web = self._of, self._of.config.web
        traffic = of.watching.traffic
        linger, hosts = web.linger_seconds, web.hosts
        return self._listener(of.routes, web.listen, traffic, linger, hosts, held=True)

    @cached_property
    def ops_listener(self) -> Listener:
        """Listener for monitoring, without other routes."""
        routes = [*self._of.watching.routes(), *files_routes()]
        made = self._listener(routes, self._of.config.ops.listen, Traffic())
        made.name = "ops http"
        return made

    def doors(self) -> Sequence[Listener]:
        """List the listeners of this process."""
        ops = [self.ops_listener] if self._of.config.ops.listen else []
        return [*ops, *([self.listener] if self._of.has("api") else [])]

    def _listener(
        self,
        routes: Sequence[Route],
        endpoints: Sequence[str],
        traffic: Traffic,
        linger: float = 0.0,
        hosts: Sequence[str] = (),
        *,
        held: bool = False,
    ) -> Listener:
        of, web = self._of, self._of.config.web
        app = WebApp(routes, self._policy())
        served = site(
            app,
            reactor=of.reactor,
            limits=RequestLimits(web.max_body, web.request_seconds),
            prefix=web.prefix,
            idle_seconds=web.idle_seconds,
            answered=self._answered,
            closing=self._close,
            traffic=traffic,
            budget=self._budget,
            hosts=hosts,
        )
        self._made.append((app, served))
        drain = of.config.service.drain_seconds
        name = web.socket_group
        group = None if name is None else grp.getgrnam(name).gr_gid
        return Listener(
            of.reactor, served, endpoints, traffic, drain, of.let_go, linger, held, group
        )

    def _policy(self) -> Policy:
        web = self._of.config.web
        return Policy(
            Authenticator.of(web.user_header, web.trusted_proxies, web.development_user),
            web.allowed_origins,
            CSRFTokens(self._form_secret()),
            Deadline(self._of.reactor, web.answer_seconds),
            self._of.admission.bearers,
            web.strict,
            answer_bytes=self._of.config.limits.unread_bytes,
            reads_free=web.reads == "anyone",
            away=self._of.away,
            ignores_foreign=web.foreign_bearer == "ignore",
        )

    def _answered(self, request: Any) -> None:
        """Count and log a request that was answered."""
        self._counted(request)
        if self.access_log is not None:
            self.access_log(request)

    def _close(self) -> None:
        if self.access_log is not None:
            self.access_log.close()

    def trust(self, auth: Authenticator, origins: Sequence[str]) -> None:
        """Replace the authenticator and the allowed origins, after a reload."""
        for app, served in self._made:
            app.trust(auth, origins)
            served.trust(auth, origins)

    def write_to(self, access_log: AccessLog | None) -> None:
        """Switch to another access log."""
        self._close()
        self.access_log = access_log

    def new_access_log(self, config: Config) -> AccessLog | None:
        """Create the access log of a configuration, or None."""
        path = config.web.access_log
        if path is None:
            return None
        return AccessLog(LogFile(path), self._of.now, json=config.log.format == "json")

    def _form_secret(self) -> bytes:
        configured = self._of.config.web.form_secret
        if configured is not None:
            return configured.reveal().encode()
        return kept_secret(self._of.config.service.data / "form-secret")
