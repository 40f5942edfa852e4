"""Draw the course of one job of the sample history: when it waits, runs and ends, and how."""

from __future__ import annotations

import enum
from collections.abc import Callable
from random import Random

import attrs

from buildapi.sample.catalog import SampleBuilder
from buildapi.sample.durations import draw_duration, draw_wait

SUCCESS, WARNINGS, FAILURE, EXCEPTION, RETRY = 0, 1, 2, 4, 5
_RESULTS = (SUCCESS, WARNINGS, FAILURE, EXCEPTION)
_WEIGHTS = (80, 9, 9, 2)
PRIORITIES = (0, 0, 0, 0, 0, 0, 0, 1, 3, -1)


class RequestOutcome(enum.Enum):
    """Name the course of a job."""

    DONE = "done"
    RETRIED = "retried"
    CANCELLED = "cancelled"
    RUNNING = "running"
    PENDING = "pending"


@attrs.frozen
class RequestSpec:
    """Describe a builder requested ``copies`` times at once, which masters merge into one build.

    ``succeeds`` keeps it from failing; ``then`` is called with the time of its end.
    """

    builder: SampleBuilder
    outcome: RequestOutcome = RequestOutcome.DONE
    copies: int = 1
    succeeds: bool = False
    then: Callable[[int], None] | None = None

    @property
    def rows(self) -> int:
        """Return the number of rows of ``builds`` it produces."""
        return {
            RequestOutcome.RETRIED: 2,
            RequestOutcome.CANCELLED: 0,
            RequestOutcome.PENDING: 0,
        }.get(self.outcome, self.copies)


@attrs.frozen
class BuildTimes:
    """Describe one run on a machine."""

    start: int
    finish: int | None
    result: int | None


@attrs.define
class RequestHistory:
    """Hold a job with its times.

    ``requests`` maps the ids of the requests it serves to the times of their submission.
    """

    builder: SampleBuilder
    priority: int
    claimed_at: int = 0
    complete_at: int | None = None
    results: int | None = None
    attempts: list[BuildTimes] = attrs.field(factory=list)
    requests: dict[int, int] = attrs.field(factory=dict)

    @property
    def complete(self) -> bool:
        """Return whether the job has ended."""
        return self.complete_at is not None


@attrs.frozen
class OutcomeGenerator:
    """Draw the course of jobs; everything that has ended did so before ``now``."""

    rng: Random
    now: int

    def outcome(self, room: int) -> tuple[RequestOutcome, int]:
        """Draw outcome and copies of a job that may produce ``room`` rows of ``builds``."""
        drawn = self.rng.random()
        if drawn < 0.02 and room >= 2:
            return RequestOutcome.RETRIED, 1
        if drawn < 0.05 and room >= 2:
            return RequestOutcome.DONE, min(room, self.rng.choice((2, 2, 3)))
        return (RequestOutcome.CANCELLED if drawn > 0.99 else RequestOutcome.DONE), 1

    def history(self, job: RequestSpec, when: int, pace: float) -> RequestHistory:
        """Draw the times of a job submitted at ``when``; ``pace`` shortens them all."""
        run = RequestHistory(job.builder, self.rng.choice(PRIORITIES))
        match job.outcome:
            case RequestOutcome.PENDING:
                pass
            case RequestOutcome.RUNNING:
                run.claimed_at = self.rng.randrange(when, self.now)
                run.attempts.append(BuildTimes(min(run.claimed_at + 2, self.now), None, None))
            case RequestOutcome.CANCELLED:
                run.complete_at = self._later(when, self.rng.uniform(60, 900), pace)
                run.results = FAILURE
            case _:
                self._finish(run, job, when, pace)
        return run

    def _finish(self, run: RequestHistory, job: RequestSpec, when: int, pace: float) -> None:
        if job.outcome is RequestOutcome.RETRIED:
            lost = self._attempt(run, when, pace, RETRY, 0.3)
            when = lost.finish or when
        result = self.rng.choices(_RESULTS, _WEIGHTS)[0]
        if job.succeeds:
            result = min(result, WARNINGS)
        last = self._attempt(run, when, pace, result, 1.0 if result <= WARNINGS else 0.7)
        run.complete_at, run.results = last.finish, result

    def _attempt(
        self, run: RequestHistory, when: int, pace: float, result: int, part: float
    ) -> BuildTimes:
        run.claimed_at = self._later(when, draw_wait(self.rng, when), pace)
        start = self._later(run.claimed_at, 2, pace)
        finish = self._later(start, part * draw_duration(self.rng, run.builder), pace)
        run.attempts.append(BuildTimes(start, finish, result))
        return run.attempts[-1]

    def _later(self, when: int, seconds: float, pace: float) -> int:
        return min(self.now - 1, when + 1 + int(seconds * pace))
