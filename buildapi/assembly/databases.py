"""Open the connection pools of the daemon, one for each database and use."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import attrs

from buildapi.config import Config, DatabaseSection
from buildapi.config.addresses import database_file
from buildapi.db.pool import Observed, PooledDatabase, open_database
from buildapi.reactor_time import Reactor


@attrs.frozen
class Databases:
    """Hold the pools: ``jobs`` is our own database, the others are the farm's.

    Reads, writes and reports have pools apart, so that none waits for connections of another.
    ``primary`` is the scheduler database where the replica is another one, else None.
    """

    jobs: PooledDatabase
    scheduler: PooledDatabase
    replica: PooledDatabase
    status: PooledDatabase
    scheduler_reports: PooledDatabase
    status_reports: PooledDatabase
    primary: PooledDatabase | None

    @property
    def interactive(self) -> Sequence[PooledDatabase]:
        """List the pools without those of reports."""
        return [self.jobs, self.scheduler, self.replica, self.status]

    def used_by(self, roles: Collection[str]) -> Sequence[PooledDatabase]:
        """List the pools that a process of these roles uses, those of reports last."""
        if "api" not in roles:
            return [self.jobs, self.scheduler]
        return [*self.interactive, self.scheduler_reports, self.status_reports]


def open_databases(config: Config, reactor: Reactor, observed: Observed) -> Databases:
    """Open the pools; none connects before its first query, ``observed`` is called after each.

    :raises ConfigError: a URL is wrong.
    """
    wanted, reports = config.databases, config.reports

    def pool(
        name: str,
        database: DatabaseSection,
        *,
        read_only: bool = True,
        size: int | None = None,
        seconds: float | None = None,
        rows: int = config.limits.list_rows,
    ) -> PooledDatabase:
        return open_database(
            database.url,
            reactor=reactor,
            name=name,
            size=size or database.pool,
            max_waiting=database.max_waiting,
            statement_seconds=seconds or database.statement_seconds,
            max_rows=rows,
            password=database.password.reveal() if database.password else None,
            tls_ca=str(database.tls_ca) if database.tls_ca else None,
            read_only=read_only,
            observed=observed,
        )

    def for_reports(name: str, database: DatabaseSection) -> PooledDatabase:
        seconds, rows = reports.statement_seconds, reports.rows
        return pool(name, database, size=reports.pool, seconds=seconds, rows=rows)

    scheduler = pool("scheduler", wanted.scheduler, read_only=False)
    is_replicated = wanted.scheduler.url != wanted.scheduler_replica.url
    return Databases(
        jobs=pool("jobs", wanted.jobs, read_only=False),
        scheduler=scheduler,
        replica=pool("scheduler_replica", wanted.scheduler_replica),
        # Masters of a sample farm write to the status database through this pool.
        status=pool("status", wanted.status, read_only=not config.sample.enabled),
        scheduler_reports=for_reports("scheduler_reports", wanted.scheduler_replica),
        status_reports=for_reports("status_reports", wanted.status),
        primary=scheduler if is_replicated else None,
    )


LOCK_NAME = "buildapi.lock"


def files_to_lock(config: Config) -> Iterator[tuple[str, Path]]:
    """List what no second process may use, each with its lock file.

    Those of databases in files lie beside them, since SQLite locks the databases themselves.
    """
    data, databases, sample = config.service.data, config.databases, config.sample.enabled
    yield f"the data folder {data}", data / LOCK_NAME
    written = [databases.jobs]
    if sample or "agent" in config.service.roles:
        written.append(databases.scheduler)
    if sample:  # masters of a sample farm write to both
        written.append(databases.status)
    found = [database_file(database.url) for database in written]
    # Once each, also where URLs name a file by different links: a second flock on a file conflicts
    # with the first, even in one process [flock(2)].
    for file in dict.fromkeys(os.path.realpath(file) for file in found if file):
        yield f"the database {file}", Path(f"{file}.lock")
