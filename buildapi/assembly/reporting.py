"""Create the services of reports: their own connection pools, and the classification of names."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import attrs

from buildapi.config import Config
from buildapi.config.sections import DatabaseSection
from buildapi.db.pool import Observed, PooledDatabase, open_database
from buildapi.errors import ConfigError
from buildapi.reports.classification import Classification, from_document


@attrs.define(slots=False)
class Reporting:
    """Create the services of reports, each once."""

    _config: Config
    _reactor: Any
    _observed: Observed
    rules: Classification = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rules = classification(self._config.reports.classification)

    @property
    def pools(self) -> Sequence[PooledDatabase]:
        """List the connection pools."""
        return [self.scheduler_db, self.status_db]

    @cached_property
    def scheduler_db(self) -> PooledDatabase:
        """Replica of the scheduler database, for reports."""
        return self._pool("scheduler_reports", self._config.databases.scheduler_replica)

    @cached_property
    def status_db(self) -> PooledDatabase:
        """Status database, for reports."""
        return self._pool("status_reports", self._config.databases.status)

    def _pool(self, name: str, database: DatabaseSection) -> PooledDatabase:
        wanted = self._config.reports
        return open_database(
            database.url,
            reactor=self._reactor,
            name=name,
            size=wanted.pool,
            max_waiting=database.max_waiting,
            statement_seconds=wanted.statement_seconds,
            max_rows=wanted.rows,
            password=database.password.reveal() if database.password else None,
            observed=self._observed,
            tls_ca=str(database.tls_ca) if database.tls_ca else None,
            read_only=True,
        )


def classification(path: Path | None) -> Classification:
    """Read a classification; without a path, the default one.

    :raises ConfigError: with one line for each error.
    """
    if path is None:
        text = (resources.files("buildapi.reports") / "classification.toml").read_text("utf-8")
        return from_document(tomllib.loads(text), "the default classification")
    try:
        return from_document(tomllib.loads(path.read_text("utf-8")), str(path))
    except (OSError, ValueError) as e:
        if isinstance(e, ConfigError):
            raise
        raise ConfigError(f"{path}: {e}") from e
