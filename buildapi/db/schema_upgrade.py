"""Upgrade the tables of a database to this program's version; safe to repeat, and concurrently."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence

import attrs
import pymysql

from buildapi.db.schema import MARKERS, DialectDatabase
from buildapi.db.schema_diff import ENGINES, SchemaChange, SchemaDiff, survey
from buildapi.db.sql import Statement
from buildapi.errors import BuildAPIError

DRIVER_ERRORS = (pymysql.MySQLError, sqlite3.Error)


class UpgradeError(Exception):
    """A change could not be made; the message says which, and why."""


@attrs.frozen
class Upgraded:
    """Hold the survey before an upgrade, and the changes made."""

    before: SchemaDiff
    done: Sequence[SchemaChange]


async def upgrade(db: DialectDatabase, part: str, markers: str = MARKERS) -> Upgraded:
    """Create what is missing of ``jobs`` or ``markers``, and widen columns that are too narrow.

    What a concurrent run does counts as done.

    :raises UpgradeError: a change could not be made; those before it stay.
    """

    async def look() -> SchemaDiff:
        return await survey(db, part, markers)

    before = await look()
    for change in before.changes:
        await _made(db, change, look)
    return Upgraded(before, before.changes)


async def _made(
    db: DialectDatabase, change: SchemaChange, look: Callable[[], Awaitable[SchemaDiff]]
) -> None:
    settings = ENGINES[db.dialect].settings
    try:
        await db.transact([*settings, Statement(change.statement)])
    except (*DRIVER_ERRORS, BuildAPIError) as e:
        # Two runs may make the same change: only one that is still missing has failed.
        if any(left.what == change.what for left in (await look()).changes):
            raise UpgradeError(f"failed: {change.what}: {error_text(e)}") from e


def error_text(error: BaseException) -> str:
    """Return the database's message behind our own words for it; neither holds a password."""
    words = str(error)
    cause = error.__cause__
    return f"{words} ({cause.args[-1]})" if isinstance(cause, DRIVER_ERRORS) else words
