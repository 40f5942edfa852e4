"""Sum up the builds and requests of a push: states, groups, whether it is done, time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs
import msgspec

from buildapi.jobs.build_states import FAILED, OPEN, RUNNING, STATES, Work, states_of
from buildapi.jobs.completeness import is_done
from buildapi.model.job_class import JobClass
from buildapi.model.pushes import Change, Push
from buildapi.model.records import BranchDay, Build


class PushJob(msgspec.Struct, frozen=True):
    """A build of a push, or a request of it without a build; times are epoch seconds.

    ``build_id`` is None for a request; ``requests`` has at least one id.
    """

    build_id: int | None
    requests: Sequence[int]
    builder: str
    state: str
    of: JobClass
    submitted: int
    started: int | None
    ended: int | None
    priority: int
    master: str

    @property
    def is_open(self) -> bool:
        """Return whether it has not ended."""
        return self.state in OPEN


@attrs.frozen
class PushSummary:
    """A push with its jobs, by platform, kind and builder.

    ``counts`` are of its jobs by state, without those of no job; ``complete`` and ``passed`` are
    those of ``is_done``.  ``expected`` is the seconds that the running and pending jobs would still
    take if each ran now, by the median of its builder; None if nothing is open, or none is known.
    ``others`` are revisions that were pushed with it, the last one first (``pushed_together.py``).
    With ``omits_jobs`` it has more jobs than one read may return, and nothing is known of them.
    """

    push: Push
    jobs: Sequence[PushJob]
    counts: Mapping[str, int]
    complete: bool
    passed: bool
    started: int | None
    ended: int | None
    expected: int | None
    others: Sequence[Push] = ()
    omits_jobs: bool = False

    @property
    def changes(self) -> Sequence[Change]:
        """Return the changes of the push, and of those that were pushed with it."""
        return [change for push in (self.push, *self.others) for change in push.changes]

    @property
    def is_open(self) -> bool:
        """Return whether any job has not ended."""
        return any(state in OPEN for state in self.counts)

    @property
    def has_failures(self) -> bool:
        """Return whether any job failed."""
        return any(state in FAILED for state in self.counts)


def summary(
    push: Push,
    found: BranchDay,
    classify: Callable[[str], JobClass],
    medians: Mapping[str, int],
    *,
    stable_delay: int,
    now: int,
) -> PushSummary:
    """Sum up a push; ``medians`` are seconds by builder, ``now`` is in epoch seconds."""
    jobs = [_job(work, state, classify) for work, state in states_of(found)]
    complete, passed = is_done(found, stable_delay, now)
    counts = Counter(job.state for job in jobs)
    open_ = any(job.is_open for job in jobs)
    return PushSummary(
        push=push,
        jobs=sorted(jobs, key=_order),
        counts={state: counts[state] for state in STATES if counts[state]},
        complete=complete,
        passed=passed,
        started=min((job.started for job in jobs if job.started is not None), default=None),
        ended=None if open_ else max((j.ended for j in jobs if j.ended is not None), default=None),
        expected=_expected(jobs, medians, now),
    )


def _job(work: Work, state: str, classify: Callable[[str], JobClass]) -> PushJob:
    if isinstance(work, Build):
        requests = work.requests
        return PushJob(
            build_id=work.id,
            requests=[r.id for r in requests],
            builder=requests[0].buildername,
            state=state,
            of=classify(requests[0].buildername),
            # A master makes one build of several requests; the first has waited longest.
            submitted=min(r.submitted_at for r in requests),
            started=work.start_time,
            ended=work.finish_time,
            priority=max(r.priority for r in requests),
            master=requests[0].claimed_by_name or "",
        )
    return PushJob(
        build_id=None,
        requests=[work.id],
        builder=work.buildername,
        state=state,
        of=classify(work.buildername),
        submitted=work.submitted_at,
        started=None,
        ended=None,
        priority=work.priority,
        master=work.claimed_by_name or "",
    )


def _order(job: PushJob) -> tuple[str, str, str, str, int]:
    return job.of.platform, job.of.kind, job.of.symbol, job.builder, job.submitted


def _expected(jobs: Iterable[PushJob], medians: Mapping[str, int], now: int) -> int | None:
    left = [
        medians[job.builder] - (now - job.started if job.state == RUNNING and job.started else 0)
        for job in jobs
        if job.is_open and job.builder in medians
    ]
    return max(0, *left) if left else None
