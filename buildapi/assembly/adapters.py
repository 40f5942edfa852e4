"""Open everything outside the daemon that it works with, each behind its interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from buildapi.assembly.brokers import BROKERS, ServiceBroker
from buildapi.assembly.databases import Databases, open_databases
from buildapi.assembly.dialects import build_dialect, naming_rules
from buildapi.buildbot.directory import (
    DirectoryService,
    parse_branches,
    parse_builders,
    parse_masters,
)
from buildapi.buildbot.directory_document import DocumentSource, Parse
from buildapi.buildbot.document_readers import reader
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.config import Config
from buildapi.db.audit_store import SQLAuditStore
from buildapi.db.group_store import SQLGroupStore
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.load_store import SQLLoadStore
from buildapi.db.pool import Observed
from buildapi.db.process_registry import SQLProcessRegistry
from buildapi.db.token_store import SQLTokenStore
from buildapi.db.trail_store import SQLTrailStore
from buildapi.interfaces import (
    AuditStore,
    GroupStore,
    JobStore,
    LoadStore,
    ProcessRegistry,
    TokenStore,
    TrailStore,
)
from buildapi.interfaces.dialect import Dialect
from buildapi.model.rules import Rules
from buildapi.reactor_time import Reactor, next_turn

if TYPE_CHECKING:
    from buildapi.sample.sample_farm import SampleFarm

SAMPLE_SLAVES = 12
"""Slaves of a sample master: enough to start requested builds within seconds."""


@attrs.frozen
class Clock:
    """Hold the two times: ``reactor`` is Twisted's, for delays; ``now`` returns epoch seconds."""

    reactor: Reactor
    now: Callable[[], float]


@attrs.frozen
class Adapters:
    """Hold what the daemon works with; tests replace some of it.

    ``sample`` is None unless the configuration enables the sample farm.
    """

    databases: Databases
    store: JobStore
    trails: TrailStore
    audits: AuditStore
    tokens: TokenStore
    groups: GroupStore
    loads: LoadStore
    processes: ProcessRegistry
    broker: ServiceBroker
    sample: SampleFarm | None
    directory: DirectoryService
    rules: Rules
    dialect: Dialect


def open_adapters(config: Config, clock: Clock, observed: Observed) -> Adapters:
    """Choose and open everything that the configuration names; nothing connects yet.

    ``observed`` is called after each query.

    :raises ConfigError: a URL is wrong.
    """
    databases = open_databases(config, clock.reactor, observed)
    fetcher = Fetcher(clock.reactor)
    sample = sample_farm(config, clock.reactor, databases) if config.sample.enabled else None
    directory = open_directory(config, clock.reactor, fetcher)
    clobberer = _clobberer(config, sample)
    rules = naming_rules(config, clobberer)
    broker = BROKERS[config.broker.scheme].open(config, clock.reactor)
    broker.name = "broker"
    return Adapters(
        databases=databases,
        store=SQLJobStore(databases.jobs, next_turn(clock.reactor)),
        trails=SQLTrailStore(databases.jobs),
        audits=SQLAuditStore(databases.jobs),
        tokens=SQLTokenStore(databases.jobs),
        groups=SQLGroupStore(databases.jobs),
        loads=SQLLoadStore(databases.jobs),
        processes=SQLProcessRegistry(databases.jobs),
        broker=broker,
        sample=sample,
        directory=directory,
        rules=rules,
        dialect=build_dialect(
            config,
            clock.reactor,
            now=clock.now,
            databases=databases,
            directory=directory,
            fetcher=fetcher,
            rules=rules,
            clobberer=clobberer,
        ),
    )


def sample_farm(config: Config, reactor: Reactor, databases: Databases) -> SampleFarm:
    """Create the sample farm on its two databases."""
    # Not at the top: a process without one would start a twentieth slower.
    from buildapi.sample.history import FarmSize
    from buildapi.sample.sample_farm import SampleFarm
    from buildapi.sample.simulated_master import MasterSettings

    sample = config.sample
    return SampleFarm(
        reactor,
        config.service.data,
        scheduler=databases.scheduler,
        status=databases.status,
        seed=sample.seed,
        size=FarmSize(builds=sample.builds, days=sample.days),
        settings=MasterSettings(seed=sample.seed, slaves=SAMPLE_SLAVES),
        push_seconds=sample.push_seconds,
    )


def open_directory(config: Config, reactor: Reactor, fetcher: Fetcher) -> DirectoryService:
    """Create the directory of branches, masters and builders."""
    where = config.directory

    def source(name: str, location: str | None, parse: Parse) -> DocumentSource:
        # A copy of the last good one, for restarts [docs/explanation/failure-model.md, The
        # directory].
        kept = config.service.data / f"directory-{name}.json"
        read = reader(location, fetcher, where.timeout_seconds, reactor)
        return DocumentSource(name, read, parse, kept, where.may_be_empty(name))

    return DirectoryService(
        reactor,
        source("branches", where.branches, parse_branches),
        source("masters", where.masters, parse_masters),
        source("builders", where.builders, parse_builders) if where.builders else None,
        refresh_seconds=where.refresh_seconds,
        stored_names=where.stored_branches,
    )


def _clobberer(
    config: Config, sample: SampleFarm | None
) -> Callable[[], tuple[str, str | None]] | None:
    """Return where the clobberer is; the sample farm's URL is known only once it runs."""
    url, token = config.clobber.url, config.clobber.token
    if url is not None:
        revealed = token.reveal() if token else None
        return lambda: (url, revealed)
    if sample is not None:
        from buildapi.sample.clobberer import CLOBBER_TOKEN  # as in `sample_farm`

        return lambda: (sample.clobber_url, CLOBBER_TOKEN)
    return None
