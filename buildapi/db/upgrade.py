"""Bring the tables of a database to this program's version; safe to run again, and by two."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence

import attrs
import pymysql

from buildapi.db.schema import MARKERS, DialectDatabase
from buildapi.db.sql import Statement
from buildapi.db.survey import LOCK_WAIT, Change, Survey, survey
from buildapi.errors import BuildAPIError

DRIVER_ERRORS = (pymysql.MySQLError, sqlite3.Error)


class UpgradeError(Exception):
    """Say which change was not made, and why."""


@attrs.frozen
class Upgraded:
    """What there was before, and what was done to it."""

    before: Survey
    done: Sequence[Change]


async def upgrade(db: DialectDatabase, part: str, markers: str = MARKERS) -> Upgraded:
    """Make what is missing of ``jobs`` or ``markers``, and widen what is narrow.

    What another run does in the same moment counts as done.

    :raises UpgradeError: a change could not be made; those before it stay.
    """

    async def look() -> Survey:
        return await survey(db, part, markers)

    before = await look()
    for change in before.changes:
        await _made(db, change, look)
    return Upgraded(before, before.changes)


async def _made(db: DialectDatabase, change: Change, look: Callable[[], Awaitable[Survey]]) -> None:
    settings = [LOCK_WAIT] if db.dialect == "mysql" else []
    try:
        await db.transact([*settings, Statement(change.statement)])
    except (*DRIVER_ERRORS, BuildAPIError) as e:
        if any(left.what == change.what for left in (await look()).changes):
            raise UpgradeError(f"not done: {change.what}: {told(e)}") from e


def told(error: BaseException) -> str:
    """Say what a database said, behind our own words for it; neither holds a password."""
    words = str(error)
    cause = error.__cause__
    return f"{words} ({cause.args[-1]})" if isinstance(cause, DRIVER_ERRORS) else words
