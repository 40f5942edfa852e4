"""Generate the history of a farm: the same rows for the same seed, sizes and time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random

import attrs

from buildapi.sample.catalog import (
    BRANCHES,
    DEFAULT_BRANCHES,
    IDLE,
    BuilderGroup,
    SampleBranch,
    SampleBuilder,
    builder_groups,
    nightlies,
)
from buildapi.sample.commits import Commit, draw_commits, draw_revision
from buildapi.sample.durations import DAY, HOUR, draw_times
from buildapi.sample.farm_rows import RowBatch, RowBatches, RowIds, insert_change
from buildapi.sample.history_recorder import HistoryRecorder, SampleSourceStamp
from buildapi.sample.outcomes import OutcomeGenerator, RequestOutcome, RequestSpec

JOBS_OF_A_PUSH = 16
HORIZON = 3 * HOUR
"""Seconds within which everything that follows from a push has ended."""
RECENT = 5400
CURRENT_JOBS_OF_A_PUSH = 9
_PUSHES_TO = {"try": 45, "mozilla-inbound": 35, "mozilla-central": 20}


@attrs.frozen
class FarmSize:
    """Specify how much to generate.

    ``builds`` is the number of rows of finished builds; ``running`` and ``pending`` are those at
    the end. Branches are keys of the catalogue.
    """

    builds: int = 3000
    days: int = 3
    pending: int = 40
    running: int = 25
    branches: tuple[str, ...] = DEFAULT_BRANCHES


@attrs.frozen
class _Push:
    """Describe a push: ``rows`` finished builds follow from it, and what runs or waits now."""

    when: int
    branch: SampleBranch
    rows: int
    current: tuple[RequestOutcome, ...]


def generate(
    *, seed: int, now: int, size: FarmSize | None = None, ids: RowIds | None = None
) -> Iterator[RowBatch]:
    """Yield all rows in chronological order, some thousands at a time.

    ``now`` is in epoch seconds; nothing is later.
    """
    rng, rows = Random(seed), RowBatches(ids or RowIds())
    history = _History(rng, now, size or FarmSize(), rows)
    for _ in history.events():
        if rows.full:
            yield from rows.drain()
    yield from rows.drain()


class _History:
    """Simulate the events of the farm one by one."""

    def __init__(self, rng: Random, now: int, size: FarmSize, rows: RowBatches) -> None:
        self._rng, self._now, self._size, self._rows = rng, now, size, rows
        self._start = now - size.days * DAY
        self._record = HistoryRecorder(rows, now, boot=self._start - DAY)
        self._outcomes = OutcomeGenerator(rng, now)
        self._tips: dict[str, str] = {}
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = itertools.count()

    def events(self) -> Iterator[int]:
        """Run all events; yield the time after each."""
        self._plan()
        while self._events:
            when, _, happen = heapq.heappop(self._events)
            happen(when)
            yield when

    def _at(self, when: int, happen: Callable[[int], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happen))

    # --- what starts by itself ---------------------------------------------------------------

    def _plan(self) -> None:
        left = self._size.builds
        left -= self._plan_alone(self._nightly_times(left // 20), self._nightly)
        left -= self._plan_alone(self._idle_times(left // 50), self._idle)
        for push in self._pushes(left):
            self._at(push.when, partial(self._push, push))

    def _plan_alone(
        self,
        times: Sequence[tuple[int, SampleBuilder]],
        start: Callable[[SampleBuilder, int], None],
    ) -> int:
        for when, builder in times:
            self._at(when, partial(start, builder))
        return len(times)

    def _nightly_times(self, most: int) -> list[tuple[int, SampleBuilder]]:
        builders = [n for branch in self._size.branches for n in nightlies(branch)]
        first = self._start - self._start % DAY + 3 * HOUR + 120
        days = [d for d in range(first, self._now - HORIZON, DAY) if d > self._start]
        return [(day, builder) for day in days for builder in builders][:most]

    def _idle_times(self, count: int) -> list[tuple[int, SampleBuilder]]:
        latest = self._now - HORIZON
        return [
            (self._rng.randrange(self._start, latest), self._rng.choice(IDLE)) for _ in range(count)
        ]

    def _pushes(self, rows: int) -> Iterator[_Push]:
        current = [RequestOutcome.RUNNING] * self._size.running + [
            RequestOutcome.PENDING
        ] * self._size.pending
        self._rng.shuffle(current)
        recent = -(-len(current) // CURRENT_JOBS_OF_A_PUSH)
        count = max(recent, -(-rows // JOBS_OF_A_PUSH))
        times = self._push_times(count, recent)
        sums = list(itertools.accumulate(self._rng.uniform(0.3, 1.7) for _ in times))
        borders = [round(rows * part / sums[-1]) for part in sums]
        names = self._rng.choices(
            self._size.branches, [_PUSHES_TO.get(b, 15) for b in self._size.branches], k=count
        )
        for i, (when, name, begin, end) in enumerate(
            zip(times, names, [0, *borders], borders, strict=False)
        ):
            part = i - (count - recent)
            outcomes = current[part::recent] if part >= 0 else []
            yield _Push(when, BRANCHES[name], end - begin, tuple(outcomes))

    def _push_times(self, count: int, recent: int) -> list[int]:
        now = self._now
        before = draw_times(self._rng, self._start, now - RECENT, count - recent)
        return before + sorted(self._rng.randrange(now - RECENT, now - 300) for _ in range(recent))

    # --- events ------------------------------------------------------------------------------

    def _nightly(self, builder: SampleBuilder, when: int) -> None:
        tip = self._tips.get(builder.branch) or draw_revision(self._rng)
        source = self._record.source(builder.stored, tip, when)
        name = f"{builder.branch} nightly"
        reason = f"The Nightly scheduler named '{name}' triggered this build"
        self._submit(source, reason, [RequestSpec(builder)], 1.0, when)

    def _idle(self, builder: SampleBuilder, when: int) -> None:
        source = self._record.source(builder.stored, None, when)
        self._submit(source, "idle", [RequestSpec(builder)], 1.0, when)

    def _push(self, push: _Push, when: int) -> None:
        made = draw_commits(self._rng, push.branch.is_try)
        path = push.branch.path
        changes = [insert_change(self._rows, c.pushed_to(path), when) for c in made]
        tip = made[-1]
        self._tips[push.branch.name] = tip.revision
        source = self._record.source(path, tip.revision, when, changes)
        chosen = self._compile(push, tip, source)
        if push.current:
            self._leave_going(push, tip, source, chosen)

    def _compile(self, push: _Push, tip: Commit, source: SampleSourceStamp) -> list[BuilderGroup]:
        """Submit the builds of a push; return what is built."""
        if not push.rows:
            return []
        offered = builder_groups(push.branch.name)
        count = max(1, min(len(offered), push.rows, round(push.rows * 0.22)))
        chosen = self._rng.sample(offered, count)
        pace = self._pace(push.when)
        tested = [group for group in chosen if self._rng.random() > 0.06] or chosen[:1]
        shares = self._shares(push.rows - count, len(tested))
        share_of = dict(zip(tested, shares, strict=True))
        jobs = [self._compile_job(group, share_of.get(group, 0), tip, pace) for group in chosen]
        submit = partial(self._submit, source, "scheduler", jobs, pace)
        self._at(self._soon(push.when, self._rng.uniform(20, 120), pace), submit)
        return chosen

    def _compile_job(self, group: BuilderGroup, rows: int, tip: Commit, pace: float) -> RequestSpec:
        if not rows:
            return RequestSpec(group.build)
        return RequestSpec(
            group.build, succeeds=True, then=partial(self._test, group, rows, tip, pace)
        )

    def _shares(self, total: int, parts: int) -> list[int]:
        return [total // parts + (i < total % parts) for i in range(parts)]

    def _test(self, group: BuilderGroup, rows: int, tip: Commit, pace: float, when: int) -> None:
        """Submit tests of a finished build that produce ``rows`` rows; repeat some if needed."""
        self._submit_tests(group, self._test_jobs(group, rows), tip, pace, when)

    def _test_jobs(self, group: BuilderGroup, rows: int) -> list[RequestSpec]:
        jobs: list[RequestSpec] = []
        tests = itertools.cycle(self._rng.sample(group.tests, len(group.tests)))
        while rows > 0:
            again = jobs and self._rng.random() < 0.03
            test = jobs[-1].builder if again else next(tests)
            jobs.append(RequestSpec(test, *self._outcomes.outcome(rows)))
            rows -= jobs[-1].rows
        return jobs

    def _submit_tests(
        self, group: BuilderGroup, jobs: Sequence[RequestSpec], tip: Commit, pace: float, when: int
    ) -> None:
        path = BRANCHES[group.build.branch].path
        for stored in dict.fromkeys(job.builder.stored for job in jobs):
            same = [job for job in jobs if job.builder.stored == stored]
            change = insert_change(self._rows, tip.sent_for_tests(stored, path), when)
            source = self._record.source(stored, tip.revision, when, [change])
            # A builder that is requested again stands for a rebuild, in a buildset of its own.
            once = list({job.builder.name: job for job in reversed(same)}.values())[::-1]
            self._submit(source, "scheduler", once, pace, when)
            for job in same:
                if not any(job is first for first in once):
                    self._rebuild(source, job, pace, when)

    def _rebuild(self, source: SampleSourceStamp, job: RequestSpec, pace: float, when: int) -> None:
        who = draw_commits(self._rng, is_try=False)[0].author
        reason = f"Self-serve: Rebuilt by {who}"
        alone = attrs.evolve(job, copies=1)
        again = partial(self._submit, source, reason)
        for _ in range(job.copies):
            later = self._soon(when, self._rng.uniform(60, 900), pace)
            self._at(later, partial(again, [alone], pace))

    def _leave_going(
        self, push: _Push, tip: Commit, source: SampleSourceStamp, chosen: Sequence[BuilderGroup]
    ) -> None:
        """Submit what is running or pending now: builds first, then tests."""
        outcomes = iter(push.current)
        offered = builder_groups(push.branch.name)
        idle = [group for group in offered if group not in chosen][: (len(push.current) + 1) // 2]
        jobs = [
            RequestSpec(group.build, outcome)
            for group, outcome in zip(idle, outcomes, strict=False)
        ]
        if jobs:
            submit = partial(self._submit, source, "scheduler", jobs, 1.0)
            self._at(self._between(push.when), submit)
        tested = itertools.cycle(chosen or offered)
        rest = list(outcomes)
        while rest:
            group = next(tested)
            part, rest = rest[: len(group.tests)], rest[len(group.tests) :]
            tests = self._rng.sample(group.tests, len(part))
            waiting = [
                RequestSpec(test, outcome) for test, outcome in zip(tests, part, strict=True)
            ]
            happen = partial(self._submit_tests, group, waiting, tip, 1.0)
            self._at(self._between(push.when), happen)

    def _between(self, when: int) -> int:
        span = self._now - when
        return self._rng.randrange(when + span // 5, self._now - span // 5)

    def _submit(
        self,
        source: SampleSourceStamp,
        reason: str,
        jobs: Sequence[RequestSpec],
        pace: float,
        when: int,
    ) -> None:
        """Submit one buildset, and as many more as the widest job asks for."""
        runs = [(job, self._outcomes.history(job, when, pace)) for job in jobs]
        for copy in range(max(job.copies for job in jobs)):
            asked = [run for job, run in runs if job.copies > copy]
            self._record.buildset(source, when, reason, asked)
        for job, run in runs:
            for attempt in run.attempts:
                self._at(attempt.start, partial(self._record.build, run, attempt, source, reason))
            if job.then is not None and run.complete_at is not None:
                self._at(self._soon(run.complete_at, 10, pace), job.then)

    def _pace(self, when: int) -> float:
        return min(1.0, (self._now - when) / HORIZON)

    def _soon(self, when: int, seconds: float, pace: float) -> int:
        return min(self._now - 1, when + 1 + int(seconds * pace))
