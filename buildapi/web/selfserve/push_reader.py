"""Read pushes with the summaries of their jobs, as many as a list shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import attrs

from buildapi.errors import BadRequest
from buildapi.interfaces import Pushes
from buildapi.jobs.push_selection import PushSelection
from buildapi.jobs.push_summary import PushSummary, summary
from buildapi.jobs.pushed_together import joined
from buildapi.model.branches import Branch
from buildapi.model.pushes import Push, PushFilter, PushKey, PushPlace, text_length
from buildapi.model.records import BranchDay
from buildapi.model.revisions import RevisionMatch, distinct
from buildapi.parameters.read_parameters import STABLE_DELAY
from buildapi.reactor_time import ReactorTime, each_in_turns
from buildapi.reports.job_classes import JobClasses

READ_MAX = 200
"""Pushes that one answer is selected from, at most."""

AT_ONCE = 50
"""Pushes whose jobs are read at once."""

JOBS_MAX = 100_000
"""Jobs after which no more parts of ``AT_ONCE`` pushes are read: the older ones omit theirs."""

NOTHING = BranchDay((), ())

REVISIONS_MAX = 10
"""Stored revisions that begin with the digits of a hash, whose pushes are read."""


@attrs.frozen
class PushList:
    """Pushes, newest first, and the place after which older ones may follow; None at the end."""

    pushes: Sequence[PushSummary]
    next: PushPlace | None

    def __len__(self) -> int:
        return len(self.pushes)

    @property
    def rows(self) -> int:
        """Return how many jobs and changes it has, and one."""
        return 1 + sum(len(one.jobs) + len(one.changes) for one in self.pushes)

    @property
    def text(self) -> int:
        """Return the number of characters of authors and comments."""
        return sum(text_length(one.changes) for one in self.pushes)


@attrs.define
class PushReader:
    """Read pushes and their summaries; ``now`` returns seconds since the epoch."""

    _pushes: Pushes
    _classes: JobClasses
    _now: Callable[[], float]
    _reactor: ReactorTime
    _jobs_max: int = JOBS_MAX

    async def read(self, wanted: PushFilter, selection: PushSelection, limit: int) -> PushList:
        """Return ``limit`` pushes, selected among ``READ_MAX``; more only of the last second.

        :raises BadRequest: there are more changes than one read may return.
        """
        found: list[PushSummary] = []
        rest: list[PushSummary] = []
        left = READ_MAX
        while True:
            # Whoever selects jobs may have to look at many pushes to find a few; and of three
            # revisions that were pushed, one has jobs.
            size = min(AT_ONCE, left, 3 * limit + 5 if selection.selects_all else AT_ONCE)
            page = await self._pushes.pushes(wanted, size)
            read = [*rest, *await self.summaries(page.pushes)]
            left -= len(page.pushes)
            # Fewer than asked for: the read looked at as many changes as it may.
            ends = page.next is None or left <= 0 or len(page.pushes) < size
            rest = [] if ends else [one for one in read if _goes_on(one.push.when, page.next)]
            for when, second in groupby(read[: len(read) - len(rest)], lambda one: one.push.when):
                found += filter(None, map(selection.of, joined(list(second))))
                if len(found) >= limit and (page.more or when != read[-1].push.when):
                    return PushList(found, PushPlace(when))
            if ends:
                return PushList(found, page.next)
            wanted = attrs.evolve(wanted, after=page.next)

    async def of_revision(
        self, wanted: PushFilter, revision: str, selection: PushSelection
    ) -> PushList:
        """Return the pushes of a revision: a whole one, or digits of a hash."""
        texts = await self._stored(wanted.branches, RevisionMatch(revision))
        keys: set[PushKey] = set()
        spans: set[tuple[str, int]] = set()
        for text in texts:
            page = await self._pushes.pushes(attrs.evolve(wanted, revision=text), AT_ONCE)
            keys |= {push.key for push in page.pushes}
            spans |= {(push.first.author, push.when) for push in page.pushes}
        found: list[PushSummary] = []
        for author, when in sorted(spans, key=lambda span: span[1], reverse=True)[:REVISIONS_MAX]:
            second = PushFilter(wanted.branches, author=author, since=when, until=when + 1)
            page = await self._pushes.pushes(second, READ_MAX)
            together = joined(await self.summaries(page.pushes))
            of_it = [o for o in together if keys & {p.key for p in (o.push, *o.others)}]
            found += filter(None, map(selection.of, of_it))
        return PushList(found, None)

    async def _stored(self, branches: Sequence[Branch], wanted: RevisionMatch) -> Sequence[str]:
        """Return the revisions that a text may mean, itself among them."""
        if wanted.prefix is None:
            return [wanted.text]
        # By the changes, not by the source stamps: a push without builds has none.
        changes = (await self._pushes.changes([wanted.prefix])).get(wanted.prefix, ())
        stored = [c.revision for c in changes if any(b.owns(c.branch) for b in branches)]
        meant, _ = wanted.choose(stored, lambda text: text)
        return list(dict.fromkeys([wanted.text, *distinct(meant)]))[:REVISIONS_MAX]

    async def summaries(self, pushes: Sequence[Push]) -> Sequence[PushSummary]:
        """Return the summaries of pushes, in their order."""
        if not pushes:
            return []
        work, medians = await self._work(pushes, self._jobs_max), await self._pushes.medians()
        now = int(self._now())

        def summed_up(push: Push) -> PushSummary:
            found = summary(
                push,
                work.get(push.key, NOTHING),
                self._classes.on(push.branch.name),
                medians,
                stable_delay=STABLE_DELAY,
                now=now,
            )
            return found if push.key in work else attrs.evolve(found, omits_jobs=True)

        # Fifty pushes have thousands of jobs.
        return await each_in_turns(self._reactor, summed_up, pushes)

    async def _work(self, pushes: Sequence[Push], most: int) -> Mapping[PushKey, BranchDay]:
        """Read the work of pushes, in halves if it has more rows than one read may return.

        A push that has more alone is left out: a name such as ``tip`` may have builds of years, and
        is no reason to refuse all lists that it is in.  So are those after ``most`` jobs.
        """
        if most <= 0:
            return {}
        try:
            return await self._pushes.work(pushes)
        except BadRequest:
            if len(pushes) == 1:
                return {}
        half = len(pushes) // 2
        found = await self._work(pushes[:half], most)
        read = sum(len(day.builds) + len(day.pending) for day in found.values())
        return {**found, **await self._work(pushes[half:], most - read)}


def _goes_on(when: int, place: PushPlace | None) -> bool:
    """Return whether pushes of a second may follow after a place."""
    return place is not None and when == place.when and place.revision != ""
