"""Read pushes with the summaries of their jobs, as many as a list shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import attrs

from buildapi.interfaces import Builds, FarmReads, Pushes
from buildapi.jobs.push_selection import PushSelection
from buildapi.jobs.push_summary import PushSummary, summary
from buildapi.model.branches import Branch
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.pushes import Push, PushFilter, PushPlace
from buildapi.model.revisions import RevisionMatch, distinct
from buildapi.parameters.read_parameters import STABLE_DELAY
from buildapi.reports.job_classes import JobClasses

READ_MAX = 200
"""Pushes that one answer is selected from, at most."""

AT_ONCE = 50
"""Pushes whose jobs are read at once."""

REVISIONS_MAX = 10
"""Stored revisions that begin with the digits of a hash, whose pushes are read."""


@attrs.frozen
class PushList:
    """Pushes, newest first, and the place after which older ones may follow; None at the end."""

    pushes: Sequence[PushSummary]
    next: PushPlace | None

    def __len__(self) -> int:
        return len(self.pushes)


@attrs.define
class PushReader:
    """Read pushes and their summaries; ``now`` returns seconds since the epoch."""

    _pushes: Pushes
    _builds: Builds
    _farm: FarmReads
    _classes: JobClasses
    _now: Callable[[], float]

    async def read(self, wanted: PushFilter, selection: PushSelection, limit: int) -> PushList:
        """Return at most ``limit`` pushes, selected among ``READ_MAX``.

        :raises BadRequest: there are more rows than one read may return.
        """
        if selection.selects_all:
            page = await self._pushes.pushes(wanted, limit)
            return PushList(await self.summaries(page.pushes), page.next)
        found: list[PushSummary] = []
        after, left = wanted.after, READ_MAX
        while True:
            # Whoever selects jobs may have to look at many pushes to find a few.
            size = min(AT_ONCE, left)
            page = await self._pushes.pushes(attrs.evolve(wanted, after=after), size)
            read = await self.summaries(page.pushes)
            # Pushes of one place, on several branches, are on one page.
            for place, group in groupby(read, lambda one: one.push.place):
                found += filter(None, map(selection.of, group))
                if len(found) >= limit:
                    more = page.more or place != read[-1].push.place
                    return PushList(found, place if more else None)
            left -= len(page.pushes)
            # Fewer than asked for: the read looked at as many changes as it may.
            if page.next is None or left <= 0 or len(page.pushes) < size:
                return PushList(found, page.next)
            after = page.next

    async def of_revision(
        self, wanted: PushFilter, revision: str, selection: PushSelection
    ) -> PushList:
        """Return the pushes of a revision: a whole one, or digits of a hash."""
        texts = await self._stored(wanted.branches, RevisionMatch(revision))
        found: list[PushSummary] = []
        for text in texts:
            one = await self.read(attrs.evolve(wanted, revision=text), selection, AT_ONCE)
            found += one.pushes
        found.sort(key=lambda one: one.push.place, reverse=True)
        return PushList(found, None)

    async def _stored(self, branches: Sequence[Branch], wanted: RevisionMatch) -> Sequence[str]:
        """Return the revisions that a text may mean, itself among them."""
        if wanted.prefix is None:
            return [wanted.text]
        if len(branches) == 1:
            stored = await self._builds.revisions(branches[0], wanted)
        else:
            entries = await self._farm.revision(BranchFilter(tuple(branches)), wanted)
            stored = [entry.revision or "" for entry in entries]
        meant, _ = wanted.choose(stored, lambda text: text)
        return list(dict.fromkeys([wanted.text, *distinct(meant)]))[:REVISIONS_MAX]

    async def summaries(self, pushes: Sequence[Push]) -> Sequence[PushSummary]:
        """Return the summaries of pushes, in their order."""
        if not pushes:
            return []
        work, medians = await self._pushes.work(pushes), await self._pushes.medians()
        now = int(self._now())
        return [
            summary(
                push,
                work[push.key],
                self._classes.on(push.branch.name),
                medians,
                stable_delay=STABLE_DELAY,
                now=now,
            )
            for push in pushes
        ]
