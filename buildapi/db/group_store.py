"""Store in SQL the groups that a proxy named of users."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import attrs

from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import (
    CHUNK,
    Column,
    Database,
    DuplicateError,
    Query,
    Read,
    Statement,
    ValueRefusedError,
    Write,
    any_of,
)


def _groups(text: Column) -> frozenset[str]:
    """Decode groups; nobody is a member of what cannot be read."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return NONE
    return frozenset(one for one in found if isinstance(one, str)) if type(found) is list else NONE


NONE: frozenset[str] = frozenset()
OF_USER = Query(
    "SELECT member_of FROM buildapi_user_groups WHERE name = :name AND seen_at >= :since", _groups
)
KNOWN = "SELECT 1 FROM buildapi_user_groups WHERE name = :name"
INSERT = """INSERT INTO buildapi_user_groups (name, who, member_of, seen_at)
 VALUES (:name, :who, :member_of, :now)"""
# Not in place of a later one, which another process may have stored meanwhile.
UPDATE = """UPDATE buildapi_user_groups SET member_of = :member_of, seen_at = :now
 WHERE name = :name AND seen_at <= :now"""
OLD = Query("SELECT name FROM buildapi_user_groups WHERE seen_at < :before LIMIT :limit", str)


@attrs.frozen
class SQLGroupStore:
    """Implement ``GroupStore`` on a jobs database."""

    _db: Database = attrs.field(converter=JobsDatabase)

    async def remember(self, who: str, groups: frozenset[str], now: int) -> None:
        """Store the groups of a user as seen now, in place of those seen earlier."""
        row = {"name": _name(who), "who": who, "member_of": json.dumps(sorted(groups)), "now": now}

        def deciding(read: Read, write: Write) -> None:
            known = read(KNOWN, {"name": row["name"]})
            write([Statement(UPDATE, row) if known else Statement(INSERT, row, 1)])

        try:
            await self._db.decide(deciding)
        except DuplicateError:  # another process has just stored the first ones
            await self._db.transact([Statement(UPDATE, row)])
        except ValueRefusedError:  # nothing is stored of a name that no database can hold
            return

    async def of_user(self, who: str, since: int) -> frozenset[str]:
        """Return the groups of a user if they were seen at ``since`` or later, else none."""
        return await OF_USER.maybe(self._db, name=_name(who), since=since) or NONE

    async def forget(self, before: int) -> None:
        """Delete the groups that were last seen before a time, some hundreds at a time."""
        while names := await OLD.many(self._db, before=before, limit=CHUNK):
            await self._db.transact([_deletion(names, before)])


def _deletion(names: Sequence[str], before: int) -> Statement:
    marks, params = any_of("name", names)
    text = f"DELETE FROM buildapi_user_groups WHERE name IN ({marks}) AND seen_at < :before"  # noqa: S608  # names of parameters
    return Statement(text, {**params, "before": before})


def _name(who: str) -> str:
    """Return the digest of a name, which no collation takes for that of another one."""
    return hashlib.sha256(who.encode(errors="surrogatepass")).hexdigest()
