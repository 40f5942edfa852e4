"""Read what earlier builds of builders tell: how long they take, and how they ended lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median_low

from buildapi.buildbot.v08.build_reads import merge
from buildapi.buildbot.v08.build_rows import BuildRow
from buildapi.buildbot.v08.queries import REQUEST, SOURCE, TRY, build_row, of_branch
from buildapi.db.sql import Query, Read, exact
from buildapi.model.branches import Branch
from buildapi.model.records import Build

LATEST_BUILDS = 20_000
"""Builds whose durations the medians are of: the latest of the farm."""

LATEST_PORTION = 1000
"""Builds of these that one query reads."""

REQUESTS_SEARCHED = 400
"""Requests of a builder among whose builds its results on a branch are found."""


def medians(read: Read) -> Mapping[str, int]:
    """Return by builder the median seconds of its builds among the latest of the farm."""
    newest = NEWEST_BUILD.first_of(read) or 0
    found: dict[str, list[int]] = {}
    for until in range(newest, max(0, newest - LATEST_BUILDS), -LATEST_PORTION):
        for builder, took in ENDED.all_of(read, after=until - LATEST_PORTION, until=until):
            found.setdefault(builder, []).append(took)
    return {builder: median_low(of) for builder, of in found.items()}


def results(
    read: Read, branch: Branch, builder: str, limit: int, around: int | None
) -> Sequence[Build]:
    """List builds of a builder on a branch, newest first: the latest, or those around one."""
    where, params = of_branch(branch)
    # A build that serves several requests has a row for each of them.
    params |= {"builder": builder, "requests": REQUESTS_SEARCHED, "rows": limit * 4}
    later: Sequence[BuildRow] = []
    if around is not None:
        params["around"] = around
        query = of_builder(f"{where} AND b.id > :around", "ASC", around=True)
        later = query.all_of(read, **params)[::-1]
        where = f"{where} AND b.id <= :around"
    query = of_builder(where, "DESC", around=around is not None)
    rows = [*later, *query.all_of(read, **params)]
    found = merge(row for row in rows if branch.owns(row.request.branch))
    after = 0 if around is None else sum(build.id > around for build in found)
    first = max(0, after - limit // 2)
    return found[first : first + limit]


# --- the queries

NEWEST_BUILD: Query[int | None] = Query("SELECT MAX(id) FROM builds", lambda newest: newest)
ENDED: Query[tuple[str, int]] = Query(
    "SELECT br.buildername, b.finish_time - b.start_time FROM builds b"
    " JOIN buildrequests br ON br.id = b.brid"
    " WHERE b.id > :after AND b.id <= :until AND b.finish_time >= b.start_time"
    " AND br.complete = 1",
    lambda builder, took: (builder, int(took)),
)
"""Builder and seconds of the ended builds with these ids."""


_REQUESTS_OF_BUILDER = f"""SELECT br.id AS request FROM buildrequests br
 WHERE br.buildername = :builder AND {exact("br.buildername")} = :builder"""  # noqa: S608  # constants
_OF_AROUND = "(SELECT own.brid FROM builds own WHERE own.id = :around)"
_LATEST_REQUESTS = f"{_REQUESTS_OF_BUILDER} ORDER BY br.id DESC LIMIT :requests"
# SQLite allows a LIMIT only at the end of a UNION.
_REQUESTS_AROUND = f"""SELECT request FROM ({_REQUESTS_OF_BUILDER} AND br.id <= {_OF_AROUND}
 ORDER BY br.id DESC LIMIT :requests) before_it
 UNION ALL SELECT request FROM ({_REQUESTS_OF_BUILDER} AND br.id > {_OF_AROUND}
 ORDER BY br.id LIMIT :requests) after_it"""  # noqa: S608  # constants


def of_builder(where: str, order: str, *, around: bool) -> Query[BuildRow]:
    """Select builds of ``:requests`` requests of ``:builder``, newest or oldest (``ASC``) first.

    The requests are the latest, or so many before and after that of the build ``:around``.
    """
    # First the requests alone: a builder may have thousands, and joining them all takes as long as
    # all else. CROSS keeps SQLite to this order.
    chosen = _REQUESTS_AROUND if around else _LATEST_REQUESTS
    return Query(
        f"SELECT {TRY}, {REQUEST} FROM ({chosen}) chosen"  # noqa: S608  # constants and parameter names
        " CROSS JOIN buildrequests br ON br.id = chosen.request"
        f" JOIN builds b ON b.brid = br.id {SOURCE} WHERE {where}"
        f" ORDER BY b.id {order} LIMIT :rows",
        build_row,
    )
