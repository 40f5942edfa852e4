"""Select pushes and their jobs for a list, and the jobs of a group that are shown one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import attrs

from buildapi.jobs.build_states import PENDING
from buildapi.jobs.push_summary import PushJob, PushSummary
from buildapi.model.results import RESULT_WORDS, SUCCESS

GROUP_MAX = 12
"""Jobs of a group that are shown one by one, whatever their states."""

FOLDED = (RESULT_WORDS[SUCCESS], PENDING)
"""States of jobs that nobody looks for one by one."""


@attrs.frozen
class PushSelection:
    """Select jobs by state and a part of the builder's name; None selects all.

    Pushes without such a job are left out; so are all but those ``unfinished``, or with
    ``failures``.
    """

    state: str | None = None
    builder: str | None = None
    unfinished: bool = False
    failures: bool = False

    @property
    def selects_all(self) -> bool:
        """Return whether nothing is left out."""
        return self == PushSelection()

    def of(self, found: PushSummary) -> PushSummary | None:
        """Return a push with the jobs that are selected, and the counts of all; else None."""
        if (self.unfinished and not found.is_open) or (self.failures and not found.has_failures):
            return None
        if self.state is None and self.builder is None:
            return found
        part = (self.builder or "").lower()
        jobs = [
            job
            for job in found.jobs
            if self.state in (None, job.state) and part in job.builder.lower()
        ]
        return attrs.evolve(found, jobs=jobs) if jobs else None


@attrs.frozen
class JobGroup:
    """The jobs of a push of one platform and kind; ``folded`` are how many more, by state."""

    platform: str
    kind: str
    jobs: Sequence[PushJob]
    folded: Mapping[str, int]


def groups(jobs: Sequence[PushJob], *, folds: bool) -> Iterator[JobGroup]:
    """Yield the groups of the jobs of a push, which are in order.

    If it ``folds``, of groups with more than ``GROUP_MAX`` jobs those that passed or are pending
    are only counted.
    """
    for (platform, kind), group in groupby(jobs, lambda job: (job.of.platform, job.of.kind)):
        found = list(group)
        if not folds or len(found) <= GROUP_MAX:
            yield JobGroup(platform, kind, found, {})
            continue
        shown = [job for job in found if job.state not in FOLDED]
        counts = Counter(job.state for job in found)
        folded = {state: counts[state] for state in FOLDED if counts[state]}
        yield JobGroup(platform, kind, shown, folded)
