"""Inspect and upgrade our tables in the configured databases."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

import attrs
from twisted.internet.defer import CancelledError

from buildapi.admin.operator_records import add_records, by_operator
from buildapi.config import DatabaseSection, DatabasesSection
from buildapi.config.addresses import database_file
from buildapi.db.pool import PooledDatabase, driver_of, open_database
from buildapi.db.schema import schema_sql
from buildapi.db.schema_diff import SchemaChange, SchemaDiff, absent, survey, version
from buildapi.db.schema_upgrade import DRIVER_ERRORS, UpgradeError, error_text, upgrade
from buildapi.errors import BuildAPIError, ConfigError, Unavailable
from buildapi.exit_codes import DONE, FAILED, UNAVAILABLE
from buildapi.model.audit import schema_record
from buildapi.reactor_time import Reactor

UPGRADE_SECONDS = 3600.0
"""Maximum seconds of one change: widening a column rewrites a long table."""

LOOK_SECONDS = 20.0

Say = Callable[[str], None]


@attrs.frozen
class Place:
    """Locate one of our two sets of tables: ``part`` names the schema, ``name`` the database."""

    name: str
    part: str
    database: DatabaseSection
    markers: str

    @property
    def dialect(self) -> str:
        """Return the dialect of its schema."""
        return driver_of(self.database.url).dialect

    def open(self, reactor: Reactor, seconds: float, *, read_only: bool) -> PooledDatabase:
        """Open a pool of a single connection."""
        database = self.database
        return open_database(
            database.url,
            reactor=reactor,
            name=self.name,
            size=1,
            max_waiting=10,
            statement_seconds=seconds,
            max_rows=100_000,
            password=database.password.reveal() if database.password else None,
            tls_ca=str(database.tls_ca) if database.tls_ca else None,
            read_only=read_only,
        )

    def exists(self) -> bool:
        """Return whether it can be opened for reading: a missing file cannot."""
        file = database_file(self.database.url)
        return file is None or Path(file).exists()


def places(databases: DatabasesSection, markers: str, roles: Collection[str]) -> Sequence[Place]:
    """List the places where a process of these roles keeps tables: only agents keep markers."""
    found = [Place("jobs", "jobs", databases.jobs, markers)]
    if "agent" in roles:
        found.append(Place("scheduler", "markers", databases.scheduler, markers))
    return found


async def look(place: Place, reactor: Reactor) -> SchemaDiff:
    """Survey a place without writing; :raises BuildAPIError: it cannot be read."""
    if not place.exists():
        return absent(place.dialect, place.part, place.markers)
    db = place.open(reactor, LOOK_SECONDS, read_only=True)
    try:
        return await survey(db, place.part, place.markers)
    finally:
        await db.stopService()


async def each(where: Sequence[Place], work: Callable[[Place], Awaitable[None]]) -> int:
    """Call a function for each place, even after a failure; return the highest exit code."""
    codes = [DONE]
    for place in where:
        try:
            await work(place)
        except CancelledError:
            raise
        except (UpgradeError, BuildAPIError, ConfigError, *DRIVER_ERRORS) as e:
            sys.stderr.write(f"buildapi: {place.name}: {error_text(e)}\n")
            codes.append(UNAVAILABLE if isinstance(e, Unavailable) else FAILED)
    return max(codes)


async def upgrade_all(where: Sequence[Place], reactor: Reactor, say: Say) -> int:
    """Upgrade all places and print the changes; return the exit code."""

    changed: list[str] = []

    async def one(place: Place) -> None:
        db = place.open(reactor, UPGRADE_SECONDS, read_only=False)
        try:
            upgraded = await upgrade(db, place.part, place.markers)
        finally:
            await db.stopService()
        changed.extend(f"{place.name}: {change.what}" for change in upgraded.done)
        for table in upgraded.before.tables:
            say(f"{place.name}: table {table.name} exists")
        for change in upgraded.done:
            say(f"{place.name}: done: {change.what}")
        if not upgraded.done:
            say(f"{place.name}: nothing to do")
        _warn(place, upgraded.before, say)

    code = await each(where, one)
    # Afterwards: the first upgrade creates the table of the audit log.
    jobs = [place for place in where if changed and place.part == "jobs"]
    return max(code, await each(jobs, lambda place: _record(place, reactor, changed)))


async def _record(place: Place, reactor: Reactor, changed: Sequence[str]) -> None:
    """Record changes of tables in the audit log."""
    db = place.open(reactor, LOOK_SECONDS, read_only=False)
    try:
        await add_records(db, [schema_record(by_operator(), changed)])
    finally:
        await db.stopService()


async def show_sql(where: Sequence[Place], reactor: Reactor, say: Say, *, whole: bool) -> int:
    """Print the SQL that an upgrade would run, or the ``whole`` schema; return the exit code."""

    async def one(place: Place) -> None:
        say(f"-- database {place.name}: {place.database.url}")
        if locate := driver_of(place.database.url).locate:
            say(f"USE `{locate(place.database.url).database}`;")
        if whole:
            say(schema_sql(place.dialect, place.part, markers=place.markers))
            return
        found = await look(place, reactor)
        for change in found.changes:
            say(f"-- {change.what}\n{change.statement};")
        if not found.changes:
            say("-- nothing to do")

    return await each(where, one)


async def show_status(where: Sequence[Place], reactor: Reactor, say: Say) -> int:
    """Print the existing and the missing tables; return the exit code."""
    needed: list[SchemaChange] = []

    async def one(place: Place) -> None:
        found = await look(place, reactor)
        say(f"{place.name}: {place.database.url} ({found.server})")
        for table in found.tables:
            say(f"  {table.name}: exists{f', {table.engine}' if table.engine else ''}")
        for change in found.changes:
            say(f"  to do: {change.what}")
        here = "complete" if not found.changes else "an upgrade is needed: run buildapi db upgrade"
        say(f"  version {version(place.dialect, place.part)}: {here}")
        _warn(place, found, say)
        needed.extend(found.changes)

    return await each(where, one) or (FAILED if needed else DONE)


def _warn(place: Place, found: SchemaDiff, say: Say) -> None:
    for table in found.without_transactions:
        say(
            f"{place.name}: warning: table {table.name} is {table.engine}, which has no"
            f" transactions; convert it while nothing uses it: ALTER TABLE {table.name}"
            " ENGINE=InnoDB;"
        )
