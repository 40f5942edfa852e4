"""Read and update the build requests of the scheduler database as a master does, in plain SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import attrs

from buildapi.db.sql import Database, Query, Statement
from buildapi.model.results import FAILURE
from buildapi.sample.sample_rows import MasterProcess, RowStatements, insert_build
from buildapi.sample.status_builds import PropertyValue

SELF_SERVE = "Self-serve"
"""Marks a reason; mergeRequests in such a farm's master.cfg refuses requests that have it."""


@attrs.frozen
class SampleRequest:
    """Describe a request with its reason and source.

    ``number`` is that of its unfinished build, if there is one.
    """

    id: int
    buildset: int
    builder: str
    reason: str
    branch: str | None
    revision: str | None
    repository: str
    project: str
    submitted_at: float = 0
    number: int | None = None

    @property
    def merges_with(self) -> tuple[object, ...]:
        """Return the key that requests share which become one build."""
        # SourceStamp.canBeMergedWith (buildbot/sourcestamp.py) merges revisions that have changes,
        # too; a farm where each push keeps its builds shows more.
        if SELF_SERVE in self.reason:
            return (self.builder, self.id)
        return (self.builder, self.branch, self.revision, self.repository, self.project)


_COLUMNS = """br.id, br.buildsetid, br.buildername, COALESCE(bs.reason, ''), ss.branch,
 ss.revision, ss.repository, ss.project, br.submitted_at"""
_FROM = """FROM buildrequests br JOIN buildsets bs ON bs.id = br.buildsetid
 JOIN sourcestamps ss ON ss.id = bs.sourcestampid"""

PENDING = Query(
    f"SELECT {_COLUMNS} {_FROM} WHERE br.complete = 0 AND br.claimed_at = 0"  # constants
    " ORDER BY br.priority DESC, bs.submitted_at, br.id LIMIT 2000",
    SampleRequest,
)
"""Pending requests in the order in which masters claim them: highest priority, then oldest."""

UNFINISHED = Query(
    f"SELECT {_COLUMNS}, (SELECT MAX(b.number) FROM builds b"  # noqa: S608  # constants
    f" WHERE b.brid = br.id AND b.finish_time IS NULL) {_FROM}"
    " WHERE br.complete = 0 AND br.claimed_at > 0 AND br.claimed_by_name = :master"
    " ORDER BY br.id LIMIT 2000",
    SampleRequest,
)
"""Requests that a master has claimed and not completed."""

HIGHEST_NUMBER = Query[int](
    "SELECT COALESCE(MAX(b.number), -1) FROM buildrequests br JOIN builds b ON b.brid = br.id"
    " WHERE br.buildername = :builder AND br.claimed_by_name = :master",
    int,
)


@attrs.frozen
class StoredBuild:
    """Describe a row of ``builds`` with what a master would show of it."""

    request: SampleRequest
    start_time: float
    finish_time: float | None
    results: int | None


def _stored(*c: object) -> StoredBuild:
    start, finish, results, *request = c
    return StoredBuild(SampleRequest(*request), start, finish, results)  # type: ignore[arg-type]  # a row


STORED_BUILD = Query(
    f"SELECT b.start_time, b.finish_time, br.results, {_COLUMNS} {_FROM}"  # constants
    " JOIN builds b ON b.brid = br.id WHERE b.number = :number AND br.buildername = :builder"
    " AND br.claimed_by_name = :master ORDER BY b.id DESC LIMIT 1",
    _stored,
)


def _pair(name: str, value: str) -> tuple[str, str]:
    return name, value


PROPERTIES = Query(
    "SELECT property_name, property_value FROM buildset_properties WHERE buildsetid = :buildset",
    _pair,
)

CHANGE_PROPERTIES = Query(
    "SELECT cp.property_name, cp.property_value FROM buildsets bs JOIN sourcestamp_changes sc"
    " ON sc.sourcestampid = bs.sourcestampid JOIN change_properties cp"
    " ON cp.changeid = sc.changeid WHERE bs.id = :buildset ORDER BY sc.changeid",
    _pair,
)


async def submitted_properties(
    db: Database, requests: Sequence[SampleRequest]
) -> dict[str, PropertyValue]:
    """Return the properties that a build gets from its requests and their changes."""
    found: dict[str, PropertyValue] = {}
    sets = dict.fromkeys(r.buildset for r in requests)
    # Those of requests replace those of changes, as in Build.setupProperties (process/base.py).
    for query in (CHANGE_PROPERTIES, PROPERTIES):
        for buildset in sets:
            for name, text in await query.many(db, buildset=buildset):
                value, source = json.loads(text)
                found[name] = (value, source)
    return found


def groups(
    requests: Sequence[SampleRequest], key: Callable[[SampleRequest], object]
) -> list[list[SampleRequest]]:
    """Group requests by a key, in the order of the first of each group."""
    found: dict[object, list[SampleRequest]] = {}
    for request in requests:
        found.setdefault(key(request), []).append(request)
    return list(found.values())


def claim(requests: Sequence[SampleRequest], by: MasterProcess, now: int) -> list[Statement]:
    """Claim pending requests: all of them, or none if another master was faster."""
    return _claims(requests, by, now, "claimed_at = 0")


def reclaim(requests: Sequence[SampleRequest], by: MasterProcess, now: int) -> list[Statement]:
    """Reclaim requests that an earlier process of the same master left."""
    return _claims(requests, by, now, "claimed_by_name = :name")


def _claims(
    requests: Sequence[SampleRequest], by: MasterProcess, now: int, condition: str
) -> list[Statement]:
    text = (
        "UPDATE buildrequests SET claimed_at = :now, claimed_by_name = :name,"  # noqa: S608  # constants
        f" claimed_by_incarnation = :incarnation WHERE id = :id AND complete = 0 AND {condition}"
    )
    who = {"now": now, "name": by.name, "incarnation": by.incarnation}
    # rows=1: real 0.8.2 masters update without a condition, so that two may claim one request.
    return [Statement(text, {**who, "id": r.id}, rows=1) for r in requests]


def begin(requests: Sequence[SampleRequest], number: int, now: int) -> list[Statement]:
    """Insert one row of ``builds`` for each request."""
    rows = RowStatements()
    for request in requests:
        insert_build(rows, number, request.id, now)
    return rows.statements


def end(builds: Sequence[int], now: int) -> list[Statement]:
    """Record that builds have ended."""
    text = "UPDATE builds SET finish_time = :now WHERE id = :id"
    return [Statement(text, {"now": now, "id": build}) for build in builds]


def complete(requests: Sequence[SampleRequest], results: int, now: int) -> list[Statement]:
    """Complete requests, and buildsets with their last request."""
    request = Statement(
        "UPDATE buildrequests SET complete = 1, results = :results, complete_at = :now"
        " WHERE id = :id",
        {"results": results, "now": now},
    )
    buildset = Statement(
        "UPDATE buildsets SET complete = 1, complete_at = :now, results = CASE WHEN EXISTS"
        # A buildset gets 0 or 2, as Buildbot 0.8.2 gives it.
        " (SELECT 1 FROM buildrequests WHERE buildsetid = :id AND results > 1)"
        " THEN :failure ELSE 0 END WHERE id = :id AND complete = 0 AND NOT EXISTS"
        " (SELECT 1 FROM buildrequests WHERE buildsetid = :id AND complete = 0)",
        {"now": now, "failure": FAILURE},
    )
    sets = dict.fromkeys(r.buildset for r in requests)
    return [
        *(attrs.evolve(request, params={**request.params, "id": r.id}) for r in requests),
        *(attrs.evolve(buildset, params={**buildset.params, "id": s}) for s in sets),
    ]


def release(requests: Sequence[SampleRequest]) -> list[Statement]:
    """Release requests, so that a master builds them again."""
    # As 0.8.2 after RETRY; claimed_at must be 0, since its query for pending requests skips NULL.
    text = (
        "UPDATE buildrequests SET claimed_at = 0, claimed_by_name = NULL,"
        " claimed_by_incarnation = NULL WHERE id = :id AND complete = 0"
    )
    return [Statement(text, {"id": r.id}) for r in requests]
