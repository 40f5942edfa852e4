"""Create the services that issue tokens and authenticate requests by token."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from time import monotonic
from typing import Any

import attrs

from buildapi.config.sections import Web
from buildapi.db.sql import Database
from buildapi.db.token_store import SQLTokenStore
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.token_auth import Bearers
from buildapi.web.selfserve.pages import Pages
from buildapi.web.selfserve.token_routes import TokenDesk

SHARES = {"looking": 0.4, "working": 0.8}
"""Shares of the time limit of a response."""


@attrs.define(slots=False)
class Admission:
    """Create the services for tokens, each once."""

    _web: Web
    _reactor: Any
    _now: Callable[[], float]
    _jobs_db: Database

    @cached_property
    def _store(self) -> SQLTokenStore:
        return SQLTokenStore(self._jobs_db)

    @cached_property
    def bearers(self) -> Bearers | None:
        """Token authenticator; None if the configuration accepts no tokens."""
        if not self._web.tokens:
            return None
        return Bearers(self._store, monotonic, self._now, self._part("looking"))

    def desk(self, pages: Pages) -> TokenDesk:
        """Create the routes that issue and revoke tokens."""
        days, working = self._web.token_days, self._part("working")
        return TokenDesk(self._store, self.bearers, pages, self._now, days, working)

    def _part(self, name: str) -> Deadline:
        return Deadline(self._reactor, self._web.answer_seconds * SHARES[name])
