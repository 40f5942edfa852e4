"""Read the worker and the steps of a build from the status database.

Nothing there names a build of the scheduler database for certain, and a build's number is used
again by another builder, by another master, and by a master that was killed.  A build is found by
its number and builder, and of those by its master and the time of its start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

import attrs

from buildapi.buildbot.v08.recent_builds import utc_seconds
from buildapi.buildbot.v08.status_reports import stored
from buildapi.db.sql import Column, Database, Query, Read
from buildapi.model.build_steps import STEP_TEXT_MAX, STEPS_MAX, BuildRecord, BuildStep
from buildapi.model.records import Build
from buildapi.model.report_rows import Span
from buildapi.model.results import known_result

START_SECONDS = 300
"""Seconds by which the times of a build's start may differ in the two databases.

A master takes one for each, when it starts the build.
"""

CANDIDATES_MAX = 500
"""Maximum number of builds with one number that are looked at."""


@attrs.frozen
class SQLBuildSteps:
    """Read from the status database."""

    _status: Database

    async def of_build(self, build: Build) -> BuildRecord | None:
        """Return what the master of a build reports of it; None if it is not found."""

        def reading(read: Read) -> BuildRecord | None:
            middle = build.start_time
            times = stored(Span(middle - START_SECONDS, middle + START_SECONDS + 1))
            found = NUMBERED.all_of(read, number=build.number, **times)
            nearest = _nearest(found, build)
            if nearest is None:
                return None
            steps = STEPS.all_of(read, build=nearest.id)
            return BuildRecord(
                nearest.worker, steps, _url(LOG_URL.first_of(read, build=nearest.id))
            )

        return await self._status.snapshot(reading)


@attrs.frozen
class _Candidate:
    """A build of the status database that may be the one."""

    id: int
    builders: frozenset[str]
    master_url: str
    started: int
    worker: str | None


def _nearest(found: Iterable[_Candidate], build: Build) -> _Candidate | None:
    """Return the candidate that is a build, None if none is."""
    first = build.requests[0]
    # Buildbot 0.8.2 claims with the name of the host and the path of the master.
    host = (first.claimed_by_name or "").partition(":")[0]

    def rank(one: _Candidate) -> tuple[bool, int, int]:
        is_other = urlsplit(one.master_url).hostname != host.lower()
        return is_other, abs(one.started - build.start_time), -one.id

    ours = [one for one in found if first.buildername in one.builders]
    return min(ours, key=rank, default=None)


def _candidate(  # noqa: PLR0917  # the columns in order
    id_: int, name: str, stored_name: str | None, url: str | None, start: Column, worker: str | None
) -> _Candidate:
    # The name of a builder in the status database may be a short one; the property is the whole.
    names = frozenset({name, (stored_name or "").strip('"')})
    return _Candidate(id_, names, url or "", utc_seconds(start) or 0, worker)


NUMBERED = Query(
    "SELECT b.id, bu.name, (SELECT p.value FROM build_properties bp"  # noqa: S608  # a constant
    " JOIN properties p ON p.id = bp.property_id WHERE bp.build_id = b.id"
    " AND p.name = 'buildername' ORDER BY p.id LIMIT 1), m.url, b.starttime, s.name"
    " FROM builds b JOIN builders bu ON bu.id = b.builder_id"
    " LEFT JOIN masters m ON m.id = b.master_id LEFT JOIN slaves s ON s.id = b.slave_id"
    " WHERE b.buildnumber = :number AND b.starttime >= :start AND b.starttime < :end"
    f" ORDER BY b.id DESC LIMIT {CANDIDATES_MAX}",
    _candidate,
)
"""Select the builds of a number that started within a time."""


def _step(name: str, description: str | None, start: Column, end: Column, result: int) -> BuildStep:
    times = utc_seconds(start), utc_seconds(end)
    return BuildStep(name, _text(description or ""), *times, known_result(result))


def _text(description: str) -> str:
    """Return the words of a description, a JSON list; anything else is returned as it is."""
    try:
        words = json.loads(description)
    except (ValueError, RecursionError):
        words = description
    if isinstance(words, list):
        words = " ".join(str(word) for word in words)
    return (words if isinstance(words, str) else description)[:STEP_TEXT_MAX]


def _url(value: str | None) -> str | None:
    """Return a property that is a URL of the web; None for anything else."""
    url = _text(value or "")
    return url if url.startswith(("http://", "https://")) and len(url) < STEP_TEXT_MAX else None


# The property of a build that its master sets once the log is where it is kept.
LOG_URL: Query[str | None] = Query(
    "SELECT p.value FROM build_properties bp JOIN properties p ON p.id = bp.property_id"
    " WHERE bp.build_id = :build AND p.name = 'log_url' ORDER BY p.id LIMIT 1",
    lambda value: value,
)
STEPS = Query(
    "SELECT st.name, st.description, st.starttime, st.endtime, st.status FROM steps st"  # noqa: S608  # a constant
    f" WHERE st.build_id = :build ORDER BY st.`order`, st.id LIMIT {STEPS_MAX}",
    _step,
)
"""Select the steps of a build in their order."""
