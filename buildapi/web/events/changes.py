"""Find what changed since the last look, in the farm and among job requests, as events."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet import defer

from buildapi.interfaces import Builds, Directory, JobStore
from buildapi.jobs.push_index import PushIndex
from buildapi.model.branches import Branches
from buildapi.model.records import BranchDay, Build, BuildRequest, JobRecord
from buildapi.model.row_marks import RowMarks, appeared_ids, changed_ids, lowest_id
from buildapi.web.events.event_buffer import BUILD, JOB, REQUEST, Event
from buildapi.web.http.json_body import encode
from buildapi.web.selfserve.row_pushes import RowPushes
from buildapi.web.selfserve.serializers import alone_json, build_json, job_json

JOBS_MAX = 500
"""Newest jobs that are looked at."""

AT_ONCE = 1000
"""Changed requests read in one look; if there are more, clients are told to reload."""


class TooManyChangesError(Exception):
    """More has changed than one look reads."""


@attrs.define
class FarmChanges:
    """Find builds and requests that changed."""

    _directory: Directory
    _builds: Builds
    _row_pushes: RowPushes
    _seen: RowMarks | None = attrs.field(default=None, init=False)

    def forget(self) -> None:
        """Forget what was seen: the next look is a first one."""
        self._seen = None

    async def look(self) -> Sequence[Event]:
        """List the events since the last look, none at the first one.

        What a look that fails has missed is of the next one.

        :raises TooManyChangesError: the next look lists what changes after this one.
        """
        now = await self._builds.marks()
        changed = sorted(changed_ids(now if self._seen is None else self._seen, now))
        if len(changed) > AT_ONCE:
            self._seen = now
            raise TooManyChangesError
        found = await self._builds.of_requests(changed) if changed else BranchDay((), ())
        branches = self._directory.branches()
        pushes = await self._row_pushes.of(found.revisions)
        self._seen = now
        made = [_of_build(branches, b, pushes) for b in reversed(found.builds)]
        # Pending requests last: one may wait again whose build has just ended.
        return [*made, *(_of_request(branches, r, pushes) for r in found.pending)]


@attrs.define
class JobChanges:
    """Find job requests that changed."""

    _jobs: JobStore
    _seen: RowMarks | None = attrs.field(default=None, init=False)

    @property
    def has_looked(self) -> bool:
        """Return whether the next look can list something."""
        return self._seen is not None

    def forget(self) -> None:
        """Forget what was seen: the next look is a first one."""
        self._seen = None

    async def look(self) -> Sequence[Event]:
        """List the events since the last look, oldest job first; none at the first one.

        What a look that fails has missed is of the next one.
        """
        now = await self._jobs.marks(JOBS_MAX)
        # Together, since the store reads those that are asked for at a time with one query.
        asked = [defer.ensureDeferred(self._jobs.get(id_)) for id_ in changed_jobs(self._seen, now)]
        jobs = await defer.gatherResults(asked, consumeErrors=True)
        self._seen = now
        return [_of_job(job) for job in jobs if job is not None]


def changed_jobs(before: RowMarks | None, now: RowMarks) -> Sequence[int]:
    """List the ids of changed jobs, oldest first; none if there was no look before.

    A job that was not among the newest before is new only if it is newer than all of them.
    """
    if before is None:
        return []
    oldest = lowest_id(before)
    return sorted(id_ for id_ in appeared_ids(before, now) if id_ >= oldest)


def _of_build(branches: Branches, build: Build, pushes: PushIndex) -> Event:
    first = build.requests[0]
    branch = branches.owner(first.branch)
    data = encode({**build_json(build, pushes), "branch_name": branch})
    return Event(BUILD, data, branch, first.revision)


def _of_request(branches: Branches, request: BuildRequest, pushes: PushIndex) -> Event:
    branch = branches.owner(request.branch)
    data = encode({**alone_json(request, pushes), "branch_name": branch})
    return Event(REQUEST, data, branch, request.revision)


def _of_job(job: JobRecord) -> Event:
    return Event(JOB, encode(job_json(job)), job.branch, None, job.id, job.who)
