"""Read pushes with the summaries of their jobs, as many as a list shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        found: list[PushSummary] = []
        after, left = wanted.after, READ_MAX
        while True:
            # Whoever selects jobs may have to look at many pushes to find a few.
            size = limit if selection.selects_all else min(AT_ONCE, left)
            page = await self._pushes.pushes(attrs.evolve(wanted, after=after), size)
            for one in await self.summaries(page.pushes):
                after = PushPlace(one.push.when, one.push.revision)
                selected = selection.of(one)
                if selected is not None:
                    found.append(selected)
                if len(found) == limit:
                    more = page.more or one.push is not page.pushes[-1]
                    return PushList(found, after if more else None)
            left -= len(page.pushes)
            if not page.more or left <= 0:
                return PushList(found, after if page.more else None)

    async def of_revision(
        self, wanted: PushFilter, revision: str, selection: PushSelection
    ) -> PushList:
        """Return the pushes of a revision: a whole one, or digits of a hash."""
        texts = await self._stored(wanted.branches, RevisionMatch(revision))
        found: list[PushSummary] = []
        for text in texts:
            one = await self.read(attrs.evolve(wanted, revision=text), selection, AT_ONCE)
            found += one.pushes
        found.sort(key=lambda one: (one.push.when, one.push.revision), reverse=True)
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
