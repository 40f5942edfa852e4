"""Create the services that issue tokens and authenticate requests by token."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from time import monotonic
from typing import Any

import attrs

from buildapi.config.sections import WebSection
from buildapi.db.sql import Database
from buildapi.db.token_store import SQLTokenStore
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.token_auth import TokenAuthenticator
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.token_routes import TokenRoutes

SHARES = {"looking": 0.4, "working": 0.8}
"""Shares of the time limit of a response."""


@attrs.define(slots=False)
class Admission:
    """Create the services for tokens, each once."""

    _web: WebSection
    _reactor: Any
    _now: Callable[[], float]
    _jobs_db: Database

    @cached_property
    def _store(self) -> SQLTokenStore:
        return SQLTokenStore(self._jobs_db)

    @cached_property
    def bearers(self) -> TokenAuthenticator | None:
        """Token authenticator; None if the configuration accepts no tokens."""
        if not self._web.tokens:
            return None
        return TokenAuthenticator(self._store, monotonic, self._now, self._part("looking"))

    def desk(self, pages: SelfServePages) -> TokenRoutes:
        """Create the routes that issue and revoke tokens."""
        days, working = self._web.token_days, self._part("working")
        return TokenRoutes(self._store, self.bearers, pages, self._now, days, working)

    def _part(self, name: str) -> Deadline:
        return Deadline(self._reactor, self._web.answer_seconds * SHARES[name])
