"""Generate the history of a farm: the same rows for the same seed, size and time."""

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
from buildapi.sample.history_recorder import HistoryRecorder, SampleSourceStamp
from buildapi.sample.outcomes import (
    DAY,
    HOUR,
    OutcomeGenerator,
    RequestOutcome,
    RequestSpec,
    draw_times,
)
from buildapi.sample.sample_rows import RowBatch, RowBatches, RowIds, insert_change

BUILDS_OF_A_PUSH = 16
"""Finished builds of a push, on average."""
HORIZON = 3 * HOUR
"""Seconds within which everything that follows from a push ends."""
RECENT = 5400
"""Seconds before now in which the pushes of running and pending requests come."""
CURRENT_REQUESTS = 9
"""Running and pending requests of a push, about."""
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
    """Describe a push: ``rows`` finished builds follow, and ``current`` requests."""

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
    # One generator for everything: same seed, same rows.
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
            when, _, event = heapq.heappop(self._events)
            event(when)
            yield when

    def _at(self, when: int, event: Callable[[int], None]) -> None:
        # The number keeps events of one second in order; functions cannot be compared.
        heapq.heappush(self._events, (when, next(self._order), event))

    # --- planning ---------------------------------------------------------------

    def _plan(self) -> None:
        left = self._size.builds
        left -= self._plan_each(self._nightly_times(left // 20), self._nightly)
        left -= self._plan_each(self._idle_times(left // 50), self._idle)
        for push in self._pushes(left):
            self._at(push.when, partial(self._push, push))

    def _plan_each(
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
        recent = -(-len(current) // CURRENT_REQUESTS)
        count = max(recent, -(-rows // BUILDS_OF_A_PUSH))
        times = self._push_times(count, recent)
        sums = list(itertools.accumulate(self._rng.uniform(0.3, 1.7) for _ in times))
        # Borders and not sizes are rounded, so that the sizes add up to the number of rows.
        borders = [round(rows * part / sums[-1]) for part in sums]
        names = self._rng.choices(
            self._size.branches, [_PUSHES_TO.get(b, 15) for b in self._size.branches], k=count
        )
        for i, (when, name, begin, end) in enumerate(
            zip(times, names, [0, *borders], borders, strict=False)
        ):
            part = i - (count - recent)
            # Only the last pushes have pending and running requests, each an equal share.
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
        # The words of Buildbot's Nightly scheduler.
        reason = f"The Nightly scheduler named '{name}' triggered this build"
        self._submit(source, reason, [RequestSpec(builder)], 1.0, when)

    def _idle(self, builder: SampleBuilder, when: int) -> None:
        # No revision: such requests are built at whatever is the tip.
        source = self._record.source(builder.stored, None, when)
        self._submit(source, "idle", [RequestSpec(builder)], 1.0, when)

    def _push(self, push: _Push, when: int) -> None:
        commits = draw_commits(self._rng, push.branch.is_try)
        path = push.branch.path
        changes = [insert_change(self._rows, c.pushed_to(path), when) for c in commits]
        tip = commits[-1]
        self._tips[push.branch.name] = tip.revision
        source = self._record.source(path, tip.revision, when, changes)
        chosen = self._submit_builds(push, tip, source)
        if push.current:
            self._submit_current(push, tip, source, chosen)

    def _submit_builds(
        self, push: _Push, tip: Commit, source: SampleSourceStamp
    ) -> list[BuilderGroup]:
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
        specs = [self._build_spec(group, share_of.get(group, 0), tip, pace) for group in chosen]
        submit = partial(self._submit, source, "scheduler", specs, pace)
        self._at(self._later(push.when, self._rng.uniform(20, 120), pace), submit)
        return chosen

    def _build_spec(self, group: BuilderGroup, rows: int, tip: Commit, pace: float) -> RequestSpec:
        if not rows:
            return RequestSpec(group.build)
        return RequestSpec(
            group.build, succeeds=True, then=partial(self._test, group, rows, tip, pace)
        )

    def _shares(self, total: int, parts: int) -> list[int]:
        return [total // parts + (i < total % parts) for i in range(parts)]

    def _test(self, group: BuilderGroup, rows: int, tip: Commit, pace: float, when: int) -> None:
        """Submit tests of a finished build that produce ``rows`` rows; repeat some if needed."""
        self._submit_tests(group, self._test_specs(group, rows), tip, pace, when)

    def _test_specs(self, group: BuilderGroup, rows: int) -> list[RequestSpec]:
        specs: list[RequestSpec] = []
        tests = itertools.cycle(self._rng.sample(group.tests, len(group.tests)))
        while rows > 0:
            again = specs and self._rng.random() < 0.03
            test = specs[-1].builder if again else next(tests)
            specs.append(RequestSpec(test, *self._outcomes.outcome(rows)))
            rows -= specs[-1].rows
        return specs

    def _submit_tests(
        self, group: BuilderGroup, specs: Sequence[RequestSpec], tip: Commit, pace: float, when: int
    ) -> None:
        path = BRANCHES[group.build.branch].path
        for stored in dict.fromkeys(spec.builder.stored for spec in specs):
            same = [spec for spec in specs if spec.builder.stored == stored]
            change = insert_change(self._rows, tip.sent_for_tests(stored, path), when)
            source = self._record.source(stored, tip.revision, when, [change])
            # A builder that is requested again stands for a rebuild, in a buildset of its own.
            once = list({spec.builder.name: spec for spec in reversed(same)}.values())[::-1]
            self._submit(source, "scheduler", once, pace, when)
            for spec in same:
                if not any(spec is first for first in once):
                    self._rebuild(source, spec, pace, when)

    def _rebuild(
        self, source: SampleSourceStamp, spec: RequestSpec, pace: float, when: int
    ) -> None:
        who = draw_commits(self._rng, is_try=False)[0].author
        reason = f"Self-serve: Rebuilt by {who}"
        single = attrs.evolve(spec, copies=1)
        submit = partial(self._submit, source, reason)
        for _ in range(spec.copies):
            later = self._later(when, self._rng.uniform(60, 900), pace)
            self._at(later, partial(submit, [single], pace))

    def _submit_current(
        self, push: _Push, tip: Commit, source: SampleSourceStamp, chosen: Sequence[BuilderGroup]
    ) -> None:
        """Submit what is running or pending now: builds first, then tests."""
        outcomes = iter(push.current)
        offered = builder_groups(push.branch.name)
        idle = [group for group in offered if group not in chosen][: (len(push.current) + 1) // 2]
        specs = [
            RequestSpec(group.build, outcome)
            for group, outcome in zip(idle, outcomes, strict=False)
        ]
        if specs:
            submit = partial(self._submit, source, "scheduler", specs, 1.0)
            self._at(self._recently(push.when), submit)
        tested = itertools.cycle(chosen or offered)
        rest = list(outcomes)
        while rest:
            group = next(tested)
            part, rest = rest[: len(group.tests)], rest[len(group.tests) :]
            tests = self._rng.sample(group.tests, len(part))
            waiting = [
                RequestSpec(test, outcome) for test, outcome in zip(tests, part, strict=True)
            ]
            event = partial(self._submit_tests, group, waiting, tip, 1.0)
            self._at(self._recently(push.when), event)

    def _recently(self, when: int) -> int:
        span = self._now - when
        return self._rng.randrange(when + span // 5, self._now - span // 5)

    def _submit(
        self,
        source: SampleSourceStamp,
        reason: str,
        specs: Sequence[RequestSpec],
        pace: float,
        when: int,
    ) -> None:
        """Submit one buildset, and as many more as a builder has copies."""
        # Copies share one history, since a master merges their requests into one build.
        requests = [(spec, self._outcomes.history(spec, when, pace)) for spec in specs]
        for copy in range(max(spec.copies for spec in specs)):
            histories = [history for spec, history in requests if spec.copies > copy]
            self._record.buildset(source, when, reason, histories)
        for spec, history in requests:
            for times in history.builds:
                self._at(times.start, partial(self._record.build, history, times, source, reason))
            if spec.then is not None and history.complete_at is not None:
                self._at(self._later(history.complete_at, 10, pace), spec.then)

    def _pace(self, when: int) -> float:
        return min(1.0, (self._now - when) / HORIZON)

    def _later(self, when: int, seconds: float, pace: float) -> int:
        return min(self._now - 1, when + 1 + int(seconds * pace))
