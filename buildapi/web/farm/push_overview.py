"""Read the latest pushes of all branches, and the branches whose last finished push failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from buildapi.interfaces import Directory, Pushes
from buildapi.jobs.branch_results import by_branch, latest_finished
from buildapi.jobs.push_summary import PushSummary
from buildapi.jobs.pushed_together import joined
from buildapi.model.pushes import Push, PushFilter, PushKey
from buildapi.web.selfserve.push_reader import PushReader

LATEST = 10
"""Pushes that are listed."""

REVISIONS = 30
"""Revisions that these are found among: of those that were pushed together, one has jobs."""

DAYS = 7
"""Age of the oldest push that tells whether its branch is red, in days."""

READ_MAX = 200
"""Pushes of all branches, the newest, among which those of a branch are looked for."""

BRANCHES_MAX = 30
"""Branches that are looked at, those with the newest pushes."""

DEPTHS = (1, 3, 7, 15)
"""How many pushes of a branch are looked at, in rounds, until one is finished."""

PUSHES_MAX = 100
"""Pushes whose jobs are read to tell which branches are red; of more, the oldest count less."""

DAY_SECONDS = 86_400


@attrs.frozen
class LatestPushes:
    """The latest pushes, newest first, and the last finished ones of red branches, by branch.

    ``undecided`` are branches with pushes, of which none that was looked at is finished.
    """

    pushes: Sequence[PushSummary]
    red: Sequence[PushSummary]
    undecided: Sequence[str]


@attrs.frozen
class PushOverview:
    """Read pushes; ``now`` returns epoch seconds."""

    _directory: Directory
    _pushes: Pushes
    _reader: PushReader
    _now: Callable[[], float]

    async def read(self) -> LatestPushes:
        """Return the overview, of which all reads are bounded.

        :raises Unavailable: a database or the directory is unavailable.
        :raises BadRequest: there are more changes than one read may return.
        """
        branches = tuple(self._directory.branches().by_name.values())
        since = int(self._now()) - DAYS * DAY_SECONDS
        found = (await self._pushes.pushes(PushFilter(branches, since=since), READ_MAX)).pushes
        known: dict[PushKey, PushSummary] = {}
        newest = found[: min(REVISIONS, PUSHES_MAX)]
        await self._learn(newest, known)
        latest = joined([known[push.key] for push in newest])[:LATEST]
        finished, undecided = await self._finished(found, known)
        red = [push for push in finished if push.has_failures]
        return LatestPushes(
            latest, sorted(red, key=lambda one: one.push.branch.name), sorted(undecided)
        )

    async def _finished(
        self, found: Sequence[Push], known: dict[PushKey, PushSummary]
    ) -> tuple[Sequence[PushSummary], Sequence[str]]:
        """Return the latest finished pushes of branches, and the branches without one.

        Each round is one read, for the branches that are undecided.
        """
        groups, finished = by_branch(found, BRANCHES_MAX, DEPTHS[-1]), list[PushSummary]()
        undecided: list[str] = []
        for depth in DEPTHS:
            new = [push for group in groups for push in group[:depth] if push.key not in known]
            await self._learn(new[: max(0, PUSHES_MAX - len(known))], known)
            left = []
            for group in groups:
                read = [known[push.key] for push in group[:depth] if push.key in known]
                last = latest_finished(read)
                if last is not None:
                    finished.append(last)
                elif depth < len(group) and depth < DEPTHS[-1]:
                    left.append(group)
                else:
                    undecided.append(group[0].branch.name)
            groups = left
        return finished, undecided

    async def _learn(self, pushes: Sequence[Push], known: dict[PushKey, PushSummary]) -> None:
        for one in await self._reader.summaries(pushes):
            known[one.push.key] = one
