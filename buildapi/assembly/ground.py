"""Create what all services depend on: connection pools, the directory, the sample farm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from buildapi.buildbot.directory import (
    DirectoryService,
    parse_branches,
    parse_builders,
    parse_masters,
)
from buildapi.buildbot.document_readers import reader
from buildapi.buildbot.documents import DocumentSource, Parse
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.config import Config
from buildapi.db.pool import Observed, PooledDatabase, open_database
from buildapi.sample.history import FarmSize
from buildapi.sample.sample_farm import SampleFarm
from buildapi.sample.simulated_master import MasterSettings

SAMPLE_SLAVES = 12
"""Slaves of a sample master: enough to start requested builds within seconds."""


def pool(
    config: Config, reactor: Any, name: str, observed: Observed, *, read_only: bool
) -> PooledDatabase:
    """Create the pool of a database by its name in the configuration."""
    database = getattr(config.databases, name)
    return open_database(
        database.url,
        reactor=reactor,
        name=name,
        size=database.pool,
        max_waiting=database.max_waiting,
        statement_seconds=database.statement_seconds,
        max_rows=config.limits.list_rows,
        password=database.password.reveal() if database.password else None,
        tls_ca=str(database.tls_ca) if database.tls_ca else None,
        read_only=read_only,
        observed=observed,
    )


def directory(
    config: Config,
    reactor: Any,
    fetcher: Fetcher,
    hidden: Callable[[Iterable[str]], Sequence[str]] = lambda _: (),
) -> DirectoryService:
    """Create the directory service; ``hidden`` returns warnings about branch names."""
    where = config.directory

    def source(name: str, location: str | None, parse: Parse) -> DocumentSource:
        kept = config.service.data / f"directory-{name}.json"
        read = reader(location, fetcher, where.timeout_seconds)
        return DocumentSource(name, read, parse, kept, may_be_empty(config, name, location))

    branches = source("branches", where.branches, parse_branches)
    branches.remarks = hidden
    return DirectoryService(
        reactor,
        branches,
        source("masters", where.masters, parse_masters),
        source("builders", where.builders, parse_builders) if where.builders else None,
        refresh_seconds=where.refresh_seconds,
        stored_names=where.stored_branches,
    )


def may_be_empty(config: Config, name: str, location: str | None) -> bool:
    """Return whether a document may be empty: it is allowed to be, or there is none."""
    return location is None or name in config.directory.allow_empty


def sample_farm(
    config: Config, reactor: Any, scheduler: PooledDatabase, status: PooledDatabase
) -> SampleFarm:
    """Create the sample farm on its two databases."""
    sample = config.sample
    return SampleFarm(
        reactor,
        config.service.data,
        scheduler=scheduler,
        status=status,
        seed=sample.seed,
        size=FarmSize(builds=sample.builds, days=sample.days),
        settings=MasterSettings(seed=sample.seed, slaves=SAMPLE_SLAVES),
        push_seconds=sample.push_seconds,
    )
