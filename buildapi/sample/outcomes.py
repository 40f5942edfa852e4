"""Draw the course of one job of the sample history: when it waits, runs and ends, and how."""

from __future__ import annotations

import enum
from collections.abc import Callable
from random import Random

import attrs

from buildapi.sample.catalog import Builder
from buildapi.sample.durations import duration, waiting

SUCCESS, WARNINGS, FAILURE, EXCEPTION, RETRY = 0, 1, 2, 4, 5
_RESULTS = (SUCCESS, WARNINGS, FAILURE, EXCEPTION)
_WEIGHTS = (80, 9, 9, 2)
PRIORITIES = (0, 0, 0, 0, 0, 0, 0, 1, 3, -1)


class Fate(enum.Enum):
    """Name the course of a job."""

    DONE = "done"
    RETRIED = "retried"
    CANCELLED = "cancelled"
    RUNNING = "running"
    PENDING = "pending"


@attrs.frozen
class Job:
    """Describe a builder requested ``width`` times at once, which masters merge into one build.

    ``passes`` keeps it from failing; ``after`` is called with the time of its end.
    """

    builder: Builder
    fate: Fate = Fate.DONE
    width: int = 1
    passes: bool = False
    after: Callable[[int], None] | None = None

    @property
    def rows(self) -> int:
        """Return the number of rows of ``builds`` it produces."""
        return {Fate.RETRIED: 2, Fate.CANCELLED: 0, Fate.PENDING: 0}.get(self.fate, self.width)


@attrs.frozen
class Attempt:
    """Describe one run on a machine."""

    start: int
    finish: int | None
    result: int | None


@attrs.define
class Run:
    """Hold a job with its times.

    ``requests`` are the ids of the requests it serves, ``submitted`` their submission times.
    """

    builder: Builder
    priority: int
    claimed_at: int = 0
    complete_at: int | None = None
    results: int | None = None
    attempts: list[Attempt] = attrs.field(factory=list)
    requests: list[int] = attrs.field(factory=list)
    submitted: dict[int, int] = attrs.field(factory=dict)

    @property
    def complete(self) -> bool:
        """Return whether the job has ended."""
        return self.complete_at is not None


@attrs.frozen
class Dice:
    """Draw the course of jobs; everything that has ended did so before ``now``."""

    rng: Random
    now: int

    def fate(self, room: int) -> tuple[Fate, int]:
        """Draw fate and width of a job that may produce ``room`` rows of ``builds``."""
        drawn = self.rng.random()
        if drawn < 0.02 and room >= 2:
            return Fate.RETRIED, 1
        if drawn < 0.05 and room >= 2:
            return Fate.DONE, min(room, self.rng.choice((2, 2, 3)))
        return (Fate.CANCELLED if drawn > 0.99 else Fate.DONE), 1

    def run(self, job: Job, when: int, pace: float) -> Run:
        """Draw the times of a job submitted at ``when``; ``pace`` shortens them all."""
        run = Run(job.builder, self.rng.choice(PRIORITIES))
        match job.fate:
            case Fate.PENDING:
                pass
            case Fate.RUNNING:
                run.claimed_at = self.rng.randrange(when, self.now)
                run.attempts.append(Attempt(min(run.claimed_at + 2, self.now), None, None))
            case Fate.CANCELLED:
                run.complete_at = self._later(when, self.rng.uniform(60, 900), pace)
                run.results = FAILURE
            case _:
                self._finish(run, job, when, pace)
        return run

    def _finish(self, run: Run, job: Job, when: int, pace: float) -> None:
        if job.fate is Fate.RETRIED:
            lost = self._attempt(run, when, pace, RETRY, 0.3)
            when = lost.finish or when
        result = self.rng.choices(_RESULTS, _WEIGHTS)[0]
        if job.passes:
            result = min(result, WARNINGS)
        last = self._attempt(run, when, pace, result, 1.0 if result <= WARNINGS else 0.7)
        run.complete_at, run.results = last.finish, result

    def _attempt(self, run: Run, when: int, pace: float, result: int, part: float) -> Attempt:
        run.claimed_at = self._later(when, waiting(self.rng, when), pace)
        start = self._later(run.claimed_at, 2, pace)
        finish = self._later(start, part * duration(self.rng, run.builder), pace)
        run.attempts.append(Attempt(start, finish, result))
        return run.attempts[-1]

    def _later(self, when: int, seconds: float, pace: float) -> int:
        return min(self.now - 1, when + 1 + int(seconds * pace))
