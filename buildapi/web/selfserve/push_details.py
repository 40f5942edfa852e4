"""Read what the page of a revision says of its push: changes, files, the pushes beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import attrs
from twisted.logger import Logger

from buildapi.errors import BuildAPIError
from buildapi.interfaces import Directory, Pushes
from buildapi.jobs.push_index import PushIndex
from buildapi.model.branches import Branch
from buildapi.model.pushes import Change, Push, PushFilter, PushPlace, text_length
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody

SECONDS = 20.0
"""Seconds for which details are kept: of these only the next push changes."""

BESIDE = 50
"""Pushes of one time range that are looked at."""

RANGES = (1, 600, 7200, 86_400, 60 * 86_400)
"""Ends of the time ranges in which the next push is looked for, in seconds after the push.

Pushes are listed newest first, and the next one is wanted: ranges begin short.
"""

log = Logger()


@attrs.frozen
class PushDetails:
    """A push: its changes, newest first, with the changes of revisions that were pushed with it.

    ``files`` are of changes by id, empty where the farm has none.  ``older`` and ``newer`` are the
    revisions of the pushes before and after it.
    """

    changes: Sequence[Change]
    files: Mapping[int, Sequence[str]]
    older: str | None
    newer: str | None

    @property
    def text(self) -> int:
        """Return the number of characters of authors, comments and names of files."""
        names = sum(len(name) for of in self.files.values() for name in of)
        return text_length(self.changes) + names


@attrs.frozen
class PushDetailReader:
    """Read the details of pushes within a time limit."""

    _pushes: Pushes
    _directory: Directory
    _answers: SingleFlightCache[JSONBody]
    _limit: Deadline

    async def of(self, branch: Branch, revision: str) -> PushDetails | None:
        """Return the details of a revision, as stored; None if no change of it can be read."""

        async def compute() -> JSONBody:
            found = await self._read(branch, revision)
            if found is None:
                return JSONBody.of_page(None, 0)
            return JSONBody.of_page(found, 1 + len(found.changes), found.text)

        try:
            key = ("push details", branch.name, revision)
            kept = await self._limit.bound(self._answers.get(key, compute, SECONDS))
        except BuildAPIError as e:
            log.info("a revision is shown without its push: {msg}", msg=e.msg)
            return None
        details: PushDetails | None = kept.value
        return details

    async def _read(self, branch: Branch, revision: str) -> PushDetails | None:
        found = await self._pushes.changes([revision])
        changes = PushIndex(found, self._directory.branches().owner).push(branch.name, revision)
        if not changes:
            return None
        push = Push(branch, revision, changes)
        shown = _different(await self._together(push))
        files = await self._pushes.files([change.id for change in shown])
        return PushDetails(shown, files, await self._older(push), await self._newer(push))

    async def _together(self, push: Push) -> Sequence[Change]:
        """Return the changes of what the author pushed in that second, those of the push first."""
        span = PushFilter(
            (push.branch,), author=push.first.author, since=push.when, until=push.when + 1
        )
        page = await self._pushes.pushes(span, BESIDE)
        others = [one for one in page.pushes if one.revision != push.revision]
        others.sort(key=lambda one: one.first.id, reverse=True)
        return [change for one in (push, *others) for change in one.changes]

    async def _older(self, push: Push) -> str | None:
        wanted = PushFilter((push.branch,), after=PushPlace(push.when))
        found = (await self._pushes.pushes(wanted, BESIDE)).pushes
        return _last(found, max(one.when for one in found)) if found else None

    async def _newer(self, push: Push) -> str | None:
        for start, end in pairwise(RANGES):
            span = PushFilter((push.branch,), since=push.when + start, until=push.when + end)
            found = (await self._pushes.pushes(span, BESIDE)).pushes
            if found:
                return _last(found, min(one.when for one in found))
        return None


def _last(found: Sequence[Push], when: int) -> str:
    """Return the last revision that was pushed in a second: that is the one that is built."""
    return max((one for one in found if one.when == when), key=lambda one: one.first.id).revision


def _different(changes: Sequence[Change]) -> Sequence[Change]:
    """Return the changes without those that only repeat a comment.

    Build masters send the changes of a push once more, to have its tests run.
    """
    found: dict[tuple[str, str], Change] = {}
    for change in changes:
        found.setdefault((change.revision, change.comments.strip()), change)
    return list(found.values())
