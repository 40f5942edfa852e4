"""Read whose push the rows of a list are."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from twisted.logger import Logger

from buildapi.errors import BuildAPIError
from buildapi.interfaces import Builds, Directory, Pushes
from buildapi.jobs.push_index import NO_PUSHES, PushIndex
from buildapi.model.records import BranchDay, JobRecord, UserBuilds
from buildapi.web.http.deadline import Deadline

log = Logger()


@attrs.frozen
class RowPushes:
    """Read the changes of rows within a time limit; rows are shown without them if it fails."""

    _pushes: Pushes
    _builds: Builds
    _directory: Directory
    _limit: Deadline

    async def of(self, revisions: Iterable[str | None]) -> PushIndex:
        """Return the pushes of revisions, as stored; none if their changes cannot be read."""
        wanted = {revision for revision in revisions if revision}
        if not wanted:
            return NO_PUSHES
        try:
            branches = self._directory.branches()
            changes = await self._limit.bound(self._pushes.changes(wanted))
        except BuildAPIError as e:
            # An author is no reason to keep a list of builds from anybody.
            log.info("rows are shown without their pushes: {msg}", msg=e.msg)
            return NO_PUSHES
        return PushIndex(changes, branches.owner)

    async def of_job(self, job: JobRecord) -> tuple[str, str] | None:
        """Return author and first line of the push that a job is about; None if it is unknown."""
        branch, revision = await self._subject(job)
        return (await self.of([revision])).words(branch, revision)

    async def _subject(self, job: JobRecord) -> tuple[str | None, str | None]:
        """Return branch and revision that a job is about, (None, None) if it is about none."""
        try:
            branch = self._directory.branches().get(job.branch or "")
            if branch is None:
                return None, None
            for name, find in (
                ("bid", self._builds.find_build),
                ("brid", self._builds.find_request),
            ):
                id_ = job.what.get(name)
                if isinstance(id_, int):
                    found = await self._limit.bound(find(branch, id_))
                    return (found.branch, found.revision) if found else (None, None)
        except BuildAPIError as e:
            log.info("a job is shown without its push: {msg}", msg=e.msg)
            return None, None
        revision = job.what.get("revision")
        return branch.name, revision if isinstance(revision, str) else None


def revisions_of_user(found: UserBuilds) -> Iterable[str | None]:
    """List the stored revisions of an author's builds and requests."""
    built = [*found.builds, *found.running]
    return BranchDay(built, found.pending).revisions
