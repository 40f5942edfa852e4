"""Read what earlier builds of builders tell: how long they take, and how they ended lately."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from statistics import median_low

import attrs

from buildapi.buildbot.v08.build_reads import merge
from buildapi.buildbot.v08.build_rows import BuildRow
from buildapi.buildbot.v08.queries import BUILDS, REQUEST, TRY, build_row, of_branch
from buildapi.db.sql import Query, Read, any_of, exact
from buildapi.model.branches import Branch
from buildapi.model.records import Build

LATEST_BUILDS = 20_000
"""Builds whose durations the medians are of: the latest of the farm."""

LATEST_PORTION = 1000
"""Builds of these that one query reads."""


@attrs.frozen
class HistoryBounds:
    """Which requests of a builder are looked at for its results.

    ``requests`` are so many before and after one.  Of a builder with at least ``busy`` requests
    they are among ``span`` requests of the farm before, and as many after: it may have none there,
    and a read that goes on until it has found some reads all requests of the farm.
    """

    requests: int = 200
    busy: int = 2000
    span: int = 50_000


BOUNDS = HistoryBounds()


def medians(read: Read) -> Mapping[str, int]:
    """Return by builder the median seconds of its builds among the latest of the farm."""
    newest = NEWEST_BUILD.first_of(read) or 0
    found: dict[str, list[int]] = {}
    for until in range(newest, max(0, newest - LATEST_BUILDS), -LATEST_PORTION):
        for builder, took in ENDED.all_of(read, after=until - LATEST_PORTION, until=until):
            found.setdefault(builder, []).append(took)
    return {builder: median_low(of) for builder, of in found.items()}


def results(  # noqa: PLR0917  # what is asked for, in the order of the role
    read: Read,
    branch: Branch,
    builder: str,
    limit: int,
    around: int | None,
    bounds: HistoryBounds = BOUNDS,
) -> Sequence[Build]:
    """List builds of a builder on a branch, newest first: the latest, or those around one."""
    where, params = of_branch(branch)
    requests, of_requests = any_of("request", _requests(read, builder, around, bounds))
    where = f"{where} AND br.id IN ({requests})"
    # A build that serves several requests has a row for each of them.
    params |= {**of_requests, "rows": limit * 4}
    later: Sequence[BuildRow] = []
    if around is not None:
        params["around"] = around
        query = of_builder(f"{where} AND b.id > :around", "ASC")
        later = query.all_of(read, **params)[::-1]
        where = f"{where} AND b.id <= :around"
    rows = [*later, *of_builder(where, "DESC").all_of(read, **params)]
    found = merge(row for row in rows if branch.owns(row.request.branch))
    after = 0 if around is None else sum(build.id > around for build in found)
    first = max(0, after - limit // 2)
    return found[first : first + limit]


def _requests(read: Read, builder: str, around: int | None, bounds: HistoryBounds) -> Sequence[int]:
    """Return requests of a builder: the latest, or those next to that of a build."""
    middle = (NEWEST_REQUEST if around is None else REQUEST_OF_BUILD).first_of(read, build=around)
    if middle is None:
        return []
    known = sorted(REQUESTS_OF.all_of(read, builder=builder, rows=bounds.busy))
    if len(known) < bounds.busy:
        after = bisect_right(known, middle)
        return known[max(0, after - bounds.requests) : after + bounds.requests]
    first, last = middle - bounds.span, middle + bounds.span
    asked = {"builder": builder, "rows": bounds.requests}
    before = requests_within("DESC").all_of(read, start=first, end=middle, **asked)
    if around is None:
        return before
    return [*before, *requests_within("ASC").all_of(read, start=middle, end=last, **asked)]


# --- the queries


def _id(value: int | None) -> int | None:
    return value


NEWEST_BUILD: Query[int | None] = Query("SELECT MAX(id) FROM builds", _id)
ENDED: Query[tuple[str, int]] = Query(
    "SELECT br.buildername, b.finish_time - b.start_time FROM builds b"
    " JOIN buildrequests br ON br.id = b.brid"
    " WHERE b.id > :after AND b.id <= :until AND b.finish_time >= b.start_time"
    " AND br.complete = 1",
    lambda builder, took: (builder, int(took)),
)
"""Builder and seconds of the ended builds with these ids."""


NEWEST_REQUEST: Query[int | None] = Query("SELECT MAX(id) FROM buildrequests", _id)
REQUEST_OF_BUILD: Query[int | None] = Query("SELECT brid FROM builds WHERE id = :build", _id)
_NAMED = f"br.buildername = :builder AND {exact('br.buildername')} = :builder"
REQUESTS_OF: Query[int] = Query(
    f"SELECT br.id FROM buildrequests br WHERE {_NAMED} LIMIT :rows",  # noqa: S608  # constants
    int,
)
"""Select requests of a builder, in no order: with one, MySQL may go through all requests."""


def requests_within(order: str) -> Query[int]:
    """Select the first or last (``DESC``) requests of a builder in ``(:start, :end]``."""
    # CASE keeps MySQL from the index of the names: that is of their first 255 characters and does
    # not have the ids in order, and a busy builder has a hundred thousand requests.
    return Query(
        "SELECT br.id FROM buildrequests br WHERE br.id > :start AND br.id <= :end"  # noqa: S608  # constants
        f" AND CASE WHEN {_NAMED} THEN 1 ELSE 0 END = 1 ORDER BY br.id {order} LIMIT :rows",
        int,
    )


def of_builder(where: str, order: str) -> Query[BuildRow]:
    """Select builds, newest or oldest (``ASC``) first."""
    return Query(
        f"SELECT {TRY}, {REQUEST} FROM {BUILDS} WHERE {where}"  # noqa: S608  # constants and parameter names
        f" ORDER BY b.id {order} LIMIT :rows",
        build_row,
    )
