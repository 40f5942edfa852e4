"""Read whose push the rows of a list are."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from twisted.logger import Logger

from buildapi.errors import BuildAPIError
from buildapi.interfaces import Directory, Pushes
from buildapi.jobs.push_index import NO_PUSHES, PushIndex
from buildapi.model.records import BranchDay, UserBuilds
from buildapi.web.http.deadline import Deadline

log = Logger()


@attrs.frozen
class RowPushes:
    """Read the changes of rows within a time limit; rows are shown without them if it fails."""

    _pushes: Pushes
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


def revisions_of_user(found: UserBuilds) -> Iterable[str | None]:
    """List the stored revisions of an author's builds and requests."""
    built = [*found.builds, *found.running]
    return BranchDay(built, found.pending).revisions
