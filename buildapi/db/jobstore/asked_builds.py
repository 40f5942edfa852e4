"""Count, in SQL, the builds that a user asked for recently.

The table of job requests, which old web processes share, has no index on users or times. Its ids
grow with time, so only the newest rows are read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from buildapi.db.sql import Database, Query
from buildapi.model.actions import ASKING, OLD_WIDTH, builds_asked, full_name
from buildapi.model.records import AskedBuilds

NEWEST = (500, 5_000, 50_000)
"""Numbers of the newest job requests to read, tried in this order until the period is covered."""

_NAMES = sorted({name[:width] for name in ASKING for width in (None, OLD_WIDTH)})
_ACTIONS = ", ".join(f"'{name}'" for name in _NAMES)
_FIRST = "(SELECT COALESCE(MAX(id), 0) - :most FROM jobrequests)"


def _row(who: str, when: int, action: str, what: str | bytes) -> tuple[str, AskedBuilds]:
    return who, AskedBuilds(when, builds_asked(full_name(action), _object(what)))


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


ASKED = Query(
    "SELECT r.who, r.`when`, r.action, r.what FROM jobrequests r"  # noqa: S608  # constants
    " LEFT JOIN buildapi_jobs s ON s.request_id = r.id"
    f" WHERE r.id > {_FIRST} AND r.who = :who AND r.`when` > :since AND r.action IN ({_ACTIONS})"
    " AND (s.state IS NULL OR s.state <> 'refused')",
    _row,
)
EARLIER = Query(
    f"SELECT r.`when` FROM jobrequests r WHERE r.id <= {_FIRST} ORDER BY r.id DESC LIMIT 1",  # noqa: S608  # constants
    int,
)


async def asked_builds(db: Database, who: str, since: int) -> Sequence[AskedBuilds]:
    """List the builds a user's job requests asked for since that time, without refused ones."""
    found: Sequence[tuple[str, AskedBuilds]] = ()
    for most in NEWEST:
        found = await ASKED.many(db, most=most, who=who, since=since)
        earlier = await EARLIER.maybe(db, most=most)
        if earlier is None or earlier <= since:
            break
    return [asked for name, asked in found if name == who]  # collations may be lax
