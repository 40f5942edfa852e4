"""Wire the commands of operators: each gets from a configuration what it needs, and no more."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from buildapi.admin import accounts
from buildapi.admin.accounts import Wanted
from buildapi.admin.config_checks import (
    Check,
    DirectoryCheck,
    Document,
    Say,
    all_well,
    check_reads,
    checks_of_tables,
    documents,
    told_check,
    warnings_of_files,
)
from buildapi.admin.dump_writer import Dumper
from buildapi.admin.own_tables import Place, places
from buildapi.assembly.adapters import Clock, open_adapters, open_directory
from buildapi.assembly.brokers import BROKERS
from buildapi.assembly.databases import open_databases
from buildapi.assembly.dialects import DIALECTS, build_dialect, naming_rules
from buildapi.assembly.program import create_services
from buildapi.buildbot.directory import DirectoryService
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.config import Config
from buildapi.errors import ConfigError
from buildapi.model.ops import ProcessState
from buildapi.model.wire import FINISHED, REQUESTS
from buildapi.mq.amqp import AMQPBroker
from buildapi.ops.metrics import Metrics
from buildapi.reactor_time import Reactor
from buildapi.web.http.groups_file import read_memberships
from buildapi.web.reports.classification_file import read_classification
from buildapi.web.selfserve.shadowed_branches import ShadowedBranches


def own_tables(config: Config) -> Sequence[Place]:
    """List where the process of a configuration keeps tables."""
    return places(config.databases, config.agent.marker_table, config.service.roles)


def grant_statements(config: Config, wanted: Wanted) -> Iterator[str]:
    """Return the SQL lines that create accounts; :raises ConfigError: a name is not allowed."""
    farm = DIALECTS[config.farm.dialect].privileges
    return accounts.statements(config.databases, config.agent.marker_table, farm, wanted)


# --- dead letters


def shared_broker(config: Config) -> Callable[[Reactor], AMQPBroker]:
    """Return what creates the broker for a reactor.

    :raises ConfigError: only the service itself reaches the queues.
    """
    connect = BROKERS[config.broker.scheme].connect
    if connect is None:
        error = f"[broker] url = {config.broker.url!r}: these queues exist only inside the service"
        raise ConfigError(f"{error}; see /status")
    return partial(connect, config)


def service_queues(config: Config) -> Mapping[str, str]:
    """Return the queues of the service by routing key."""
    return {REQUESTS: config.broker.agent_queue, FINISHED: config.broker.web_queue}


# --- dumps


async def write_dump(
    config: Config, reactor: Reactor, work: Callable[[Dumper], Awaitable[None]]
) -> None:
    """Call a function with what writes dumps of the farm, and close its databases."""
    databases = open_databases(config, reactor, lambda *_: None)
    fetcher = Fetcher(reactor)
    directory = open_directory(config, reactor, fetcher)
    dialect = build_dialect(
        config,
        reactor,
        now=time.time,
        databases=databases,
        directory=directory,
        fetcher=fetcher,
        rules=naming_rules(config, None),
        clobberer=None,
    )
    dumper = Dumper(
        reactor,
        dialect.ended_builds,
        dialect.started_requests,
        dialect.farm_reads,
        partial(_branches, directory),
    )
    try:
        await work(dumper)
    finally:
        for pool in databases.interactive:
            await pool.stopService()


async def _branches(directory: DirectoryService) -> Sequence[str]:
    """Read the branches, or the service's kept copy; the rest of the directory is not needed.

    :raises Unavailable: neither can be read.
    """
    # The branches are the first of the sources.
    source = directory.sources[0]
    await source.recall()
    await source.refresh(time.time())
    return list(directory.branches().by_name)


# --- check-config


def check_files(config: Config) -> None:
    """Check the files that the service reads at its start; :raises ConfigError: one is wrong."""
    read_classification(config.reports.classification)
    read_memberships(config.access.groups_file)


def directory_documents(config: Config, reactor: Reactor) -> Sequence[Document]:
    """List the documents of the directory; those of a sample farm are the program's own."""
    if config.sample.enabled:
        return ()
    hidden = partial(_hidden_branches, config, reactor)
    return documents(config.directory, hidden, config.changes.master)


def file_warnings(config: Config) -> Iterable[str]:
    """List warnings about the documents that are local files."""
    from twisted.internet import reactor

    return warnings_of_files(directory_documents(config, reactor))


def _hidden_branches(config: Config, reactor: Reactor, names: Iterable[str]) -> Sequence[str]:
    """Warn of branches that the routes hide; a process without routes hides none."""
    if "api" not in config.service.roles:
        return ()
    clock, metrics = Clock(reactor, time.time), Metrics()
    adapters = open_adapters(config, clock, metrics.query)
    services = create_services(
        config,
        clock,
        metrics,
        adapters,
        state=lambda: ProcessState.STARTING,
        reloaded=lambda: None,
    )
    routes = services.api.site.routes if services.api else ()
    return ShadowedBranches(routes).warnings(names)


async def check_connections(config: Config, reactor: Reactor, say: Say) -> bool:
    """Try everything that a configuration names concurrently; print a line about each.

    Return whether all is well. Each check has a deadline of its own.
    """
    if config.sample.enabled:
        say("ok: a sample farm needs no other service")
        return True
    roles, databases = config.service.roles, config.databases
    farm = DIALECTS[config.farm.dialect].privileges
    read = {"scheduler": farm.scheduler_read}
    if "api" in roles:
        read |= {"scheduler_replica": farm.scheduler_read, "status": farm.status_read}
    if databases.scheduler.url == databases.scheduler_replica.url:
        read.pop("scheduler_replica", None)
    checks: dict[str, Check] = {
        **checks_of_tables(own_tables(config), reactor),
        **{
            f"database {name}": partial(
                check_reads, name, getattr(databases, name), tables, reactor
            )
            for name, tables in read.items()
        },
        "broker": partial(BROKERS[config.broker.scheme].check, config, reactor),
    }
    directory = DirectoryCheck(
        directory_documents(config, reactor),
        Fetcher(reactor),
        reactor,
        say,
        config.directory.timeout_seconds,
        config.agent.poke_seconds if "agent" in roles else None,
    )
    told = [told_check(name, check, say) for name, check in checks.items()]
    return await all_well([*told, directory.run()])
