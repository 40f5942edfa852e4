"""Store in SQL which new requests were submitted for which old build or request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from buildapi.db.sql import Query, Statement, any_of, chunks
from buildapi.model.rebuilds import (
    OF_BUILD,
    OF_REQUEST,
    REBUILDS_MAX,
    Rebuild,
    RebuildLinks,
    RebuildOrigin,
)

TABLE = "buildapi_rebuilds"

_COLUMNS = "request_id, origin_kind, origin_id, job_id, created_at"
# REPLACE: after a restore of the scheduler database its ids are given out again, and the latest
# rebuild is the one that counts.
RECORD = f"REPLACE INTO {TABLE} ({_COLUMNS}) VALUES "  # noqa: S608  # constants
PROBE = Statement(
    f"REPLACE INTO {TABLE} ({_COLUMNS}) SELECT {_COLUMNS} FROM {TABLE} WHERE 1 = 0"  # noqa: S608  # constants
)
"""Write no row: fails where one could not be written."""


def record(rebuilds: Sequence[Rebuild], now: int) -> Iterator[Statement]:
    """Yield the statements that record the new requests of rebuilds."""
    for some in chunks(rebuilds):
        rows, params = [], dict[str, object]({"now": now})
        for n, one in enumerate(some):
            rows.append(f"(:new{n}, :kind{n}, :old{n}, :job{n}, :now)")
            params |= {f"new{n}": one.request_id, f"job{n}": one.job_id}
            params |= {f"kind{n}": one.origin.kind, f"old{n}": one.origin.id}
        yield Statement(RECORD + ", ".join(rows), params)


def links_of(
    builds: Sequence[int], requests: Sequence[int]
) -> tuple[Query[tuple[bool, Rebuild]], dict[str, object]]:
    """Select, in one statement, the rebuilds of these (false) and what they are rebuilds of (true).

    Each of its SELECTs has the newest first, at most ``REBUILDS_MAX``.
    """
    old_builds, of_builds = any_of("build", builds)
    old_requests, of_requests = any_of("request", requests)
    conditions = (
        f"origin_kind = '{OF_BUILD}' AND origin_id IN ({old_builds})",
        f"origin_kind = '{OF_REQUEST}' AND origin_id IN ({old_requests})",
        f"request_id IN ({old_requests})",
    )
    # A SELECT for each: of conditions with OR between them MySQL may use no index.
    selects = [
        f"SELECT * FROM (SELECT {int(n == 2)} AS earlier, {_COLUMNS} FROM {TABLE} WHERE {condition}"  # noqa: S608  # constants and parameter names
        f" ORDER BY request_id DESC LIMIT {REBUILDS_MAX}) part{n}"
        for n, condition in enumerate(conditions)
    ]
    query = Query(" UNION ALL ".join(selects) + " ORDER BY request_id DESC", _row)
    return query, of_builds | of_requests


def _row(
    earlier: int, request: int, kind: str, old: int, job: int, _created: int
) -> tuple[bool, Rebuild]:
    return bool(earlier), Rebuild(RebuildOrigin(kind, old), request, job)


def links(rows: Sequence[tuple[bool, Rebuild]]) -> RebuildLinks:
    """Return the rebuilds and the origins among the rows of ``links_of``."""
    later = [rebuild for earlier, rebuild in rows if not earlier]
    return RebuildLinks(later[:REBUILDS_MAX], [rebuild for earlier, rebuild in rows if earlier])
