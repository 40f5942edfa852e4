"""What a dialect of Buildbot is built from, and what is known of it before it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol
from zoneinfo import ZoneInfo

import attrs

from buildapi.buildbot.directory import DirectoryService
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.db.sql import Database
from buildapi.interfaces.dialect import Dialect
from buildapi.model.rules import Rules
from buildapi.reactor_time import ReactorTime


class FarmDatabases(Protocol):
    """Provide the databases of a farm; each is opened when it is first asked for."""

    @property
    def scheduler(self) -> Database: ...
    @property
    def replica(self) -> Database: ...
    @property
    def primary(self) -> Database | None:
        """Return the primary if the replica is another database, else None."""

    @property
    def status(self) -> Database: ...
    @property
    def scheduler_reports(self) -> Database: ...
    @property
    def status_reports(self) -> Database: ...


@attrs.frozen
class FarmLogin:
    """Hold a user of masters and the password."""

    username: str
    password: str = attrs.field(repr=False)


@attrs.frozen
class FarmSettings:
    """Hold the settings of the configuration that a dialect needs; times are in seconds.

    ``marker_table`` is a checked name. ``master_login`` is None where masters ask for none;
    ``change_login`` has an empty password for the one that masters have unless told otherwise.
    ``change_master`` is empty for the first master that accepts changes. ``report_rows`` is the
    maximum number of rows of a report.
    """

    zone: ZoneInfo
    marker_table: str
    poke_seconds: float
    wait_seconds: float
    pokes_per_master: int
    pokes: int
    verify_seconds: float
    recheck_seconds: float
    master_login: FarmLogin | None
    change_master: str
    change_login: FarmLogin
    change_seconds: float
    clobber_seconds: float
    report_rows: int


@attrs.frozen
class FarmResources:
    """Hold what a dialect is built from; ``reactor`` is Twisted's, ``now`` returns epoch seconds.

    ``clobberer`` returns the URL of the clobberer and its token; it is None if there is none.
    """

    reactor: ReactorTime
    now: Callable[[], float]
    databases: FarmDatabases
    directory: DirectoryService
    fetcher: Fetcher
    rules: Rules
    settings: FarmSettings
    clobberer: Callable[[], tuple[str, str | None]] | None


@attrs.frozen
class TablePrivileges:
    """List the privileges that each table needs, by its name.

    ``scheduler_written`` are those that an agent needs besides ``scheduler_read``.
    """

    scheduler_read: Mapping[str, str]
    scheduler_written: Mapping[str, str]
    status_read: Mapping[str, str]


@attrs.frozen
class DialectDefinition:
    """Describe a dialect: what it needs of the databases, and how it is built."""

    privileges: TablePrivileges
    build: Callable[[FarmResources], Dialect]
