"""Define the SELECTs of requests and builds on the scheduler database of Buildbot 0.8.0 to 0.8.4.

That is schema version 6. What one module alone reads, such as reports, changes and markers, is
defined there. Times are integers on MySQL and floats on SQLite; the row functions truncate them to
seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildapi.buildbot.v08.branch_conditions import let_through
from buildapi.buildbot.v08.build_rows import BuildRow, StoredRequest
from buildapi.db.sql import Column, Query, any_of, exact, like_by_index, like_prefix, like_text
from buildapi.model.branches import Branch
from buildapi.model.facts import Subject
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.records import RequestBuild
from buildapi.model.results import known_result
from buildapi.model.revisions import RevisionMatch
from buildapi.model.row_marks import GROUP_BITS, group_of_marks

# request_row takes these by position, as try_row does those of TRY.
REQUEST = """br.id, br.buildsetid, br.buildername, ss.branch, ss.revision, bs.reason, br.priority,
 br.submitted_at, br.claimed_at, br.claimed_by_name, br.claimed_by_incarnation, br.complete,
 br.complete_at, br.results"""
TRY = "b.id, b.number, b.brid, b.start_time, b.finish_time"
SOURCE = """JOIN buildsets bs ON bs.id = br.buildsetid
 JOIN sourcestamps ss ON ss.id = bs.sourcestampid"""
REQUESTS = f"buildrequests br {SOURCE}"
BUILDS = f"builds b JOIN buildrequests br ON br.id = b.brid {SOURCE}"
UNCLAIMED = "(claimed_at = 0 OR claimed_at IS NULL)"
"""Condition on ``buildrequests``: unclaimed. Masters never claim a request with NULL."""

OF_REVISION = like_by_index("sourcestamps", "ss.revision", "revision")
"""Condition on ``sourcestamps``: of a revision, whose pattern is ``:revision``."""

WITHOUT_BUILD = """br.complete = 0 AND (br.claimed_at = 0 OR br.claimed_at IS NULL OR NOT EXISTS
 (SELECT 1 FROM builds own WHERE own.brid = br.id
 AND (own.finish_time IS NULL OR own.finish_time > br.claimed_at)))"""
"""``BuildRequest.awaits_build`` in SQL: open, and no build of this claim has begun."""


# Any in row functions: the columns of a driver have no types until these give them one.
def seconds(value: Column) -> int:
    """Truncate a stored time to whole seconds."""
    return int(value)


def maybe_seconds(value: Column) -> int | None:
    """Truncate a stored time to whole seconds, keeping NULL."""
    return None if value is None else int(value)


def claim_seconds(value: Column) -> int:
    """Truncate the time of a claim to whole seconds; NULL becomes 0, no claim."""
    return int(value or 0)


def request_row(  # noqa: PLR0917  # the columns of REQUEST in order
    id_: int,
    buildsetid: int,
    buildername: str,
    branch: str | None,
    revision: str | None,
    reason: str | None,
    priority: int,
    submitted_at: Column,
    claimed_at: Column,
    claimed_by_name: str | None,
    claimed_by_incarnation: str | None,
    complete: Column,
    complete_at: Column,
    results: Column,
) -> StoredRequest:
    """Create a request from the columns :data:`REQUEST`."""
    # By position, since keywords cost more than the rest: a day has thousands of these.
    return StoredRequest(
        id_,
        buildsetid,
        buildername,
        branch,
        revision,
        reason,
        priority,
        int(submitted_at),
        int(claimed_at or 0),
        claimed_by_name,
        bool(complete),
        None if complete_at is None else int(complete_at),
        known_result(results),
        claimed_by_incarnation,
    )


def try_row(
    id_: int, number: int, brid: int, start_time: Column, finish_time: Column
) -> RequestBuild:
    """Create a build from the columns :data:`TRY`."""
    end = None if finish_time is None else int(finish_time)
    return RequestBuild(id_, number, brid, int(start_time), end)


def build_row(*c: Column) -> BuildRow:
    """Create a build with its request from the columns :data:`TRY` and :data:`REQUEST`."""
    return BuildRow(try_row(*c[:5]), request_row(*c[5:]))


def _pair(name: str, value: str) -> tuple[str, str]:
    return name, value


def of_branch(branch: Branch) -> tuple[str, dict[str, object]]:
    """Return the condition "the stored branch belongs to this branch"."""
    return let_through("ss.branch", BranchFilter((branch,)))


def builds_started(where: str) -> Query[BuildRow]:
    """Select builds started in ``[:start, :end)``, newest first."""
    return Query(
        f"SELECT {TRY}, {REQUEST} FROM {BUILDS}"  # noqa: S608  # constants and parameter names
        f" WHERE b.start_time >= :start AND b.start_time < :end AND {where} ORDER BY b.id DESC",
        build_row,
    )


def waiting_submitted(where: str) -> Query[StoredRequest]:
    """Select open requests that await a build, submitted in ``[:start, :end)``, newest first."""
    return Query(
        f"SELECT {REQUEST} FROM {REQUESTS}"  # noqa: S608  # constants and parameter names
        f" WHERE {WITHOUT_BUILD} AND br.submitted_at >= :start AND br.submitted_at < :end"
        f" AND {where}"
        " ORDER BY br.submitted_at DESC, br.id DESC",
        request_row,
    )


def revision_pattern(wanted: RevisionMatch) -> str:
    """Return the LIKE pattern of the revisions that a client may mean.

    Databases compare case-insensitively, so rows must still be checked with ``wanted.fits``.
    """
    return like_text(wanted.text) if wanted.prefix is None else like_prefix(wanted.prefix)


def revisions(where: str) -> Query[tuple[str, str]]:
    """Select stored branches and revisions that are ``LIKE :revision``."""
    return Query(
        # DISTINCT folds case on MySQL, where only one spelling would be left.
        f"SELECT DISTINCT {exact('ss.branch')}, {exact('ss.revision')} FROM sourcestamps ss"  # noqa: S608  # constants and parameter names
        f" WHERE {OF_REVISION} AND {where}",
        _pair,
    )


def of_revision(where: str) -> Query[tuple[StoredRequest, RequestBuild | None]]:
    """Select requests, open or built, for each build.

    It is one statement, so that tables without transactions are read as of one moment, too.
    """
    return Query(
        f"SELECT {TRY}, {REQUEST} FROM {REQUESTS} LEFT JOIN builds b ON b.brid = br.id"  # noqa: S608  # constants and parameter names
        f" WHERE (br.complete = 0 OR b.id IS NOT NULL) AND {where}",
        _maybe_built,
    )


def of_revisions(
    wanted: Sequence[RevisionMatch],
) -> tuple[Query[tuple[StoredRequest, RequestBuild | None]], dict[str, object]]:
    """Select what :func:`of_revision` does for several revisions, on all branches."""
    params: dict[str, object] = {f"revision{i}": revision_pattern(w) for i, w in enumerate(wanted)}
    likes = " OR ".join(like_by_index("sourcestamps", "ss.revision", name) for name in params)
    return of_revision(f"({likes})"), params


def _maybe_built(*c: Column) -> tuple[StoredRequest, RequestBuild | None]:
    return request_row(*c[5:]), None if c[0] is None else try_row(*c[:5])


def open_of_revision(where: str) -> Query[StoredRequest]:
    """Select incomplete requests whose revision is ``LIKE :revision``, oldest first."""
    return Query(
        f"SELECT {REQUEST} FROM {REQUESTS}"  # noqa: S608  # constants and parameter names
        f" WHERE br.complete = 0 AND {OF_REVISION} AND {where}"
        " ORDER BY br.id",
        request_row,
    )


def unended_of_revision(where: str) -> Query[StoredRequest]:
    """Select requests, complete ones too, that have an unended build, oldest first."""
    return Query(
        # A killed master may have left several unended builds of one request.
        f"SELECT DISTINCT {REQUEST} FROM {BUILDS}"  # noqa: S608  # constants and parameter names
        f" WHERE b.finish_time IS NULL AND {OF_REVISION} AND {where}"
        " ORDER BY br.id",
        request_row,
    )


def requests_by_id(brids: Sequence[int]) -> tuple[Query[StoredRequest], dict[str, object]]:
    """Select requests by their ids."""
    ids, params = any_of("id", brids)
    text = f"SELECT {REQUEST} FROM {REQUESTS} WHERE br.id IN ({ids}) ORDER BY br.id"  # noqa: S608  # constants and parameter names
    return Query(text, request_row), params


def builds_by_id(build_ids: Sequence[int]) -> tuple[Query[BuildRow], dict[str, object]]:
    """Select builds by their ids."""
    ids, params = any_of("id", build_ids)
    text = f"SELECT {TRY}, {REQUEST} FROM {BUILDS} WHERE b.id IN ({ids})"  # noqa: S608  # constants and parameter names
    return Query(text, build_row), params


def tries_of(brids: Sequence[int]) -> tuple[Query[RequestBuild], dict[str, object]]:
    """Select every build of these requests, oldest first."""
    ids, params = any_of("id", brids)
    text = f"SELECT {TRY} FROM builds b WHERE b.brid IN ({ids}) ORDER BY b.id"  # noqa: S608  # constants and parameter names
    return Query(text, try_row), params


def open_builds_of(
    masters: Sequence[str], numbers: Sequence[int]
) -> tuple[Query[BuildRow], dict[str, object]]:
    """Select builds of these numbers, of any builder, whose open requests these masters claimed."""
    # builds.number and claimed_by_name have indexes; the builder is compared by the shared key.
    names, params = any_of("master", masters)
    found, more = any_of("number", numbers)
    return Query(
        f"SELECT {TRY}, {REQUEST} FROM {BUILDS} WHERE br.complete = 0"  # noqa: S608  # constants and parameter names
        f" AND br.claimed_by_name IN ({names}) AND b.number IN ({found}) ORDER BY br.id",
        build_row,
    ), {**params, **more}


def authors_of(buildsetids: Sequence[int]) -> tuple[Query[tuple[int, str]], dict[str, object]]:
    """Select pairs of a buildset and the author of a change in it, the last change last."""
    ids, params = any_of("id", buildsetids)
    return Query(
        "SELECT bs.id, c.author FROM buildsets bs"  # noqa: S608  # parameter names
        " JOIN sourcestamp_changes sc ON sc.sourcestampid = bs.sourcestampid"
        f" JOIN changes c ON c.changeid = sc.changeid WHERE bs.id IN ({ids}) ORDER BY c.changeid",
        lambda buildsetid, author: (buildsetid, author),
    ), params


def unfinished(build_ids: Sequence[int]) -> tuple[Query[int], dict[str, object]]:
    """Select those of these builds that have not ended."""
    ids, params = any_of("id", build_ids)
    text = f"SELECT b.id FROM builds b WHERE b.id IN ({ids}) AND b.finish_time IS NULL"  # noqa: S608  # parameter names
    return Query(text, int), params


# IN, because a JOIN lists a build once for each change of the author, as the original did. Both
# comparisons of the author: the bare one uses the index, the exact one tells upper from lower case.
AUTHORED = f"""bs.sourcestampid IN (SELECT sc.sourcestampid FROM changes c
 JOIN sourcestamp_changes sc ON sc.changeid = c.changeid WHERE c.author = :author
 AND {exact("c.author")} = :author)"""  # noqa: S608  # constants


def builds_of_author(where: str, *, complete: bool) -> Query[BuildRow]:
    """Select the newest 200 builds with a change of ``:author``, of complete or open requests."""
    op = "<>" if complete else "="
    # First the ids alone: an author may have thousands, and sorting whole rows takes as long as all
    # else. CROSS keeps SQLite to this order.
    newest = (
        f"SELECT b.id AS build FROM {BUILDS} WHERE {AUTHORED}"  # noqa: S608  # constants and parameter names
        f" AND br.complete {op} 0 AND {where} ORDER BY b.id DESC LIMIT 200"
    )
    return Query(
        f"SELECT {TRY}, {REQUEST} FROM ({newest}) newest CROSS JOIN builds b ON b.id = newest.build"  # noqa: S608  # constants and parameter names
        f" JOIN buildrequests br ON br.id = b.brid {SOURCE} ORDER BY b.id DESC",
        build_row,
    )


def waiting_of_author(where: str) -> Query[StoredRequest]:
    """Select the newest 200 requests that await a build, with a change of ``:author``."""
    return Query(
        f"SELECT {REQUEST} FROM {REQUESTS}"  # noqa: S608  # constants and parameter names
        f" WHERE {AUTHORED} AND {WITHOUT_BUILD} AND {where}"
        " ORDER BY br.submitted_at DESC, br.id DESC LIMIT 200",
        request_row,
    )


def builds_of(brids: Sequence[int]) -> tuple[Query[BuildRow], dict[str, object]]:
    """Select every build of these requests, newest first."""
    ids, params = any_of("id", brids)
    text = f"SELECT {TRY}, {REQUEST} FROM {BUILDS} WHERE br.id IN ({ids}) ORDER BY b.id DESC"  # noqa: S608  # constants and parameter names
    return Query(text, build_row), params


# Group functions leave out NULL, and the columns must stay as long as each other. Of a claim not
# the time itself: masters refresh it every 600 s, and nothing has changed then.
MARKS: Query[tuple[int, tuple[str, ...]]] = Query(
    f"""SELECT br.id >> {GROUP_BITS}, GROUP_CONCAT(br.id), GROUP_CONCAT(COALESCE(br.priority, 0)),
 GROUP_CONCAT(CASE WHEN br.claimed_at <> 0 THEN 1 ELSE 0 END), GROUP_CONCAT(COALESCE(b.id, 0)),
 GROUP_CONCAT(CASE WHEN b.finish_time IS NULL THEN 0 ELSE 1 END)
 FROM buildrequests br LEFT JOIN builds b ON b.brid = br.id WHERE br.complete = 0
 GROUP BY br.id >> {GROUP_BITS}""",  # noqa: S608  # a constant
    group_of_marks,
)
"""The marks of incomplete requests, as ``buildapi.model.row_marks`` has them."""
STORED_BRANCH: dict[str, Query[str | None]] = {
    "request": Query(
        f"SELECT ss.branch FROM {REQUESTS} WHERE br.id = :id",  # noqa: S608  # constants
        lambda branch: branch,
    ),
    "build": Query(
        f"SELECT ss.branch FROM {BUILDS} WHERE b.id = :id",  # noqa: S608  # constants
        lambda branch: branch,
    ),
}
REQUEST_WITH_BUILDS: Query[tuple[StoredRequest, RequestBuild | None]] = Query(
    f"SELECT {TRY}, {REQUEST} FROM {REQUESTS} LEFT JOIN builds b ON b.brid = br.id"  # noqa: S608  # constants
    " WHERE br.id = :brid ORDER BY b.id",
    _maybe_built,
)
"""A request with each of its builds, oldest first."""


def _related(*c: Column) -> BuildRow | RequestBuild:
    return try_row(*c[:5]) if c[5] is None else build_row(*c)


# One statement, as each costs a round trip. CROSS keeps SQLite to this order, by the number of the
# build; MySQL has read "own" and "claim" before it chooses. The claim is compared by the shared
# key: it was cut to whole seconds, and SQLite farms store fractions.
BUILD_WITH_RELATED: Query[BuildRow | RequestBuild] = Query(
    f"SELECT {TRY}, {REQUEST} FROM {BUILDS} WHERE b.id = :bid"  # noqa: S608  # constants
    f" UNION ALL SELECT {TRY}, {REQUEST} FROM builds own"
    " CROSS JOIN buildrequests claim ON claim.id = own.brid"
    " CROSS JOIN builds b ON b.number = own.number AND b.id <> own.id"
    " CROSS JOIN buildrequests br ON br.id = b.brid AND br.buildername = claim.buildername"
    " AND br.claimed_by_name = claim.claimed_by_name"
    " AND br.claimed_by_incarnation = claim.claimed_by_incarnation"
    " AND br.claimed_at > claim.claimed_at - 1 AND br.claimed_at < claim.claimed_at + 1"
    f" {SOURCE} WHERE own.id = :bid"
    f" UNION ALL SELECT {TRY}, {', '.join(['NULL'] * len(REQUEST.split(',')))} FROM builds own"
    " JOIN builds b ON b.brid = own.brid AND b.id > own.id"
    " WHERE own.id = :bid AND own.finish_time IS NULL",
    _related,
)
"""A build, those that may share it, and, unless it has ended, later builds of its request."""

TRIES: Query[RequestBuild] = Query(
    f"SELECT {TRY} FROM builds b WHERE b.brid = :brid ORDER BY b.id",  # noqa: S608  # constants
    try_row,
)
# LEFT: a request whose source stamp is missing, which most reads do not see, is locked by its id
# nevertheless.
_OF_REQUEST = """buildrequests br LEFT JOIN buildsets bs ON bs.id = br.buildsetid
 LEFT JOIN sourcestamps ss ON ss.id = bs.sourcestampid"""


def _subject(id_: int, brid: int, revision: str | None) -> tuple[int, Subject]:
    return id_, Subject(brid, revision)


def subjects_of_requests(
    brids: Sequence[int],
) -> tuple[Query[tuple[int, Subject]], dict[str, object]]:
    """Select pairs of a request and the subject of a job about it."""
    ids, params = any_of("id", brids)
    text = f"SELECT br.id, br.id, ss.revision FROM {_OF_REQUEST} WHERE br.id IN ({ids})"  # noqa: S608  # constants and parameter names
    return Query(text, _subject), params


def subjects_of_builds(
    build_ids: Sequence[int],
) -> tuple[Query[tuple[int, Subject]], dict[str, object]]:
    """Select pairs of a build and the subject of a job about it."""
    ids, params = any_of("id", build_ids)
    return Query(
        f"SELECT b.id, br.id, ss.revision FROM {_OF_REQUEST}"  # noqa: S608  # constants and parameter names
        f" JOIN builds b ON b.brid = br.id WHERE b.id IN ({ids})",
        _subject,
    ), params


HAS_BUILDER: Query[int] = Query(
    "SELECT br.id FROM buildrequests br"  # noqa: S608  # constants
    f" WHERE br.buildername = :name AND {exact('br.buildername')} = :name"
    " AND br.submitted_at >= :since LIMIT 1",
    int,
)
PROPERTIES: Query[tuple[str, str]] = Query(
    "SELECT property_name, property_value FROM buildset_properties"
    " WHERE buildsetid = :buildsetid ORDER BY property_name",
    _pair,
)


def properties_of(
    buildsetids: Sequence[int],
) -> tuple[Query[tuple[int, str, str]], dict[str, object]]:
    """Select buildset, name and stored value of properties, by name."""
    ids, params = any_of("id", buildsetids)
    return Query(
        "SELECT buildsetid, property_name, property_value FROM buildset_properties"  # noqa: S608  # parameter names
        f" WHERE buildsetid IN ({ids}) ORDER BY property_name",
        lambda buildsetid, name, value: (buildsetid, name, value),
    ), params


_BUILDSET = f"SELECT {REQUEST}, bs.sourcestampid, bs.external_idstring FROM {REQUESTS}"  # noqa: S608  # constants


def _with_buildset(*c: Column) -> tuple[StoredRequest, int, str | None]:
    return request_row(*c[:-2]), c[-2], c[-1]


OWN_BUILDSET: Query[tuple[StoredRequest, int, str | None]] = Query(
    f"{_BUILDSET} WHERE br.id = :brid", _with_buildset
)
BUILDSET_OF_BUILD: Query[tuple[StoredRequest, int, str | None]] = Query(
    f"{_BUILDSET} JOIN builds b ON b.brid = br.id WHERE b.id = :bid", _with_buildset
)
"""A request of a build, with the source stamp and the external id of its buildset."""
