"""Count, in SQL, the builds that users asked for recently.

The table of job requests, which old web processes share, has no index on users or times. Its ids
grow with time, so only the newest rows are read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from buildapi.db.sql import Database, Query, any_of, exact
from buildapi.model.actions import ASKING, OLD_WIDTH, builds_asked, full_name
from buildapi.model.records import AskedBuilds

NEWEST = (500, 5_000, 50_000)
"""Numbers of the newest job requests to read, tried in this order until the period is covered."""

_NAMES = sorted({name[:width] for name in ASKING for width in (None, OLD_WIDTH)})
_ACTIONS = ", ".join(f"'{name}'" for name in _NAMES)
_FIRST = "(SELECT COALESCE(MAX(id), 0) - :most FROM jobrequests)"
_RECENT = f"""jobrequests r LEFT JOIN buildapi_jobs s ON s.request_id = r.id
 WHERE r.id > {_FIRST} AND r.who IN ({{names}}) AND r.`when` > :since
 AND r.action IN ({_ACTIONS}) AND (s.state IS NULL OR s.state <> 'refused')"""

# As json.dumps ends the contents of nearly every rebuild. Those that do not end so are decoded one
# by one; within a text the quotes would be escaped.
ONE = """'%"count": 1}'"""


def _row(
    who: str | None, when: int, action: str | None, what: str | bytes | None, builds: int | None
) -> tuple[str | None, AskedBuilds]:
    if builds is None:
        builds = builds_asked(full_name(action or ""), _object(what or ""))
    return who, AskedBuilds(when, builds)


def _object(text: str | bytes) -> dict[str, object]:
    try:
        value = json.loads(text)
    # A row that nobody can read asks for no build that could be counted.
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _asked(names: str) -> Query[tuple[str | None, AskedBuilds]]:
    """Return the query of the builds asked for in the newest rows.

    Rebuilds of one build each are counted by the database, for each second.  A row without a user
    has the time of the newest job request that is not among these rows.
    """
    recent, who, what = _RECENT.format(names=names), exact("r.who"), "COALESCE(r.what, '')"
    return Query(
        f"SELECT {who}, r.`when`, r.action, r.what, NULL FROM {recent} AND {what} NOT LIKE {ONE}"  # noqa: S608  # constants and names of parameters
        f" UNION ALL SELECT {who}, r.`when`, NULL, NULL, COUNT(*) FROM {recent}"
        f" AND {what} LIKE {ONE} GROUP BY {who}, r.`when`"
        " UNION ALL SELECT NULL, e.`when`, NULL, NULL, 0 FROM (SELECT r.`when` FROM jobrequests r"
        f" WHERE r.id <= {_FIRST} ORDER BY r.id DESC LIMIT 1) e",
        _row,
    )


async def asked_builds(
    db: Database, wanted: Sequence[tuple[str, int]]
) -> Sequence[Sequence[AskedBuilds]]:
    """List, for each user and time, the builds asked for since then, without refused ones."""
    names, params = any_of("who", sorted({who for who, _ in wanted}))
    since = min(since for _, since in wanted)
    found: Sequence[tuple[str | None, AskedBuilds]] = ()
    for most in NEWEST:
        found = await _asked(names).many(db, most=most, since=since, **params)
        earlier = [asked.when for name, asked in found if name is None]
        if not earlier or earlier[0] <= since:
            break
    return [
        [asked for name, asked in found if name == who and asked.when > after]
        for who, after in wanted  # collations may be lax
    ]
