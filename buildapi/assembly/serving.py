"""What is served over HTTP, and to whom it listens."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import attrs

from buildapi.config import Config
from buildapi.ops.logfile import LogFile
from buildapi.web.accesslog import AccessLog
from buildapi.web.app import LoggingSite, Policy, WebApp, site
from buildapi.web.auth import Authenticator
from buildapi.web.channel import Traffic
from buildapi.web.csrf import Tokens, kept_secret
from buildapi.web.deadline import Deadline
from buildapi.web.listener import Listener
from buildapi.web.request import Limits

if TYPE_CHECKING:
    from buildapi.assembly.program import Assembly


@attrs.define(slots=False)
class Serving:
    """The parts that serve, each made once."""

    _of: Assembly

    @cached_property
    def listener(self) -> Listener:
        """The HTTP side."""
        of, listen = self._of, self._of.config.web.listen
        drain = of.config.service.drain_seconds
        return Listener(of.reactor, self.site, listen, self.traffic, drain, of.let_go)

    @cached_property
    def traffic(self) -> Traffic:
        """What is going on."""
        return Traffic()

    @cached_property
    def app(self) -> WebApp:
        """The routes, and what holds for all of them."""
        of, web = self._of, self._of.config.web
        policy = Policy(
            Authenticator.of(web.user_header, web.trusted_proxies, web.development_user),
            web.allowed_origins,
            Tokens(self._form_secret()),
            Deadline(of.reactor, web.answer_seconds),
        )
        return WebApp(of.routes(), policy)

    @cached_property
    def site(self) -> LoggingSite:
        """The site that is served."""
        of, web = self._of, self._of.config.web
        return site(
            self.app,
            reactor=of.reactor,
            limits=Limits(web.max_body, web.request_seconds),
            prefix=web.prefix,
            idle_seconds=web.idle_seconds,
            access_log=self.access_log(of.config),
            traffic=self.traffic,
        )

    def access_log(self, config: Config) -> AccessLog | None:
        """Make the access log that a configuration asks for."""
        path = config.web.access_log
        if path is None:
            return None
        return AccessLog(LogFile(path), self._of.now, json=config.log.format == "json")

    def _form_secret(self) -> bytes:
        configured = self._of.config.web.form_secret
        if configured is not None:
            return configured.reveal().encode()
        return kept_secret(self._of.config.service.data / "form-secret")
