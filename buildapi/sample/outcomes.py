"""Draw what comes of requests in the sample history: when their builds run and how they end."""

from __future__ import annotations

import enum
from collections.abc import Callable
from random import Random

import attrs

from buildapi.model.results import EXCEPTION, FAILURE, RETRY, SUCCESS, WARNINGS
from buildapi.sample.catalog import SampleBuilder
from buildapi.sample.durations import draw_duration, draw_wait

_RESULTS = (SUCCESS, WARNINGS, FAILURE, EXCEPTION)
_WEIGHTS = (80, 9, 9, 2)
PRIORITIES = (0, 0, 0, 0, 0, 0, 0, 1, 3, -1)


class RequestOutcome(enum.Enum):
    """Name what has come of a request at the end of the history."""

    DONE = "done"
    RETRIED = "retried"
    CANCELLED = "cancelled"
    RUNNING = "running"
    PENDING = "pending"


@attrs.frozen
class RequestSpec:
    """Describe a request to generate, and ``copies`` of it that masters merge into one build.

    ``succeeds`` keeps the build from failing; ``then`` is called with the time of its end.
    """

    builder: SampleBuilder
    outcome: RequestOutcome = RequestOutcome.DONE
    copies: int = 1
    succeeds: bool = False
    then: Callable[[int], None] | None = None

    @property
    def rows(self) -> int:
        """Return the number of rows of ``builds`` that follow: one for each request of a build."""
        return {
            RequestOutcome.RETRIED: 2,
            RequestOutcome.CANCELLED: 0,
            RequestOutcome.PENDING: 0,
        }.get(self.outcome, self.copies)


@attrs.frozen
class BuildTimes:
    """Describe when a build ran on a slave, and its result; it runs if there is no finish."""

    start: int
    finish: int | None
    result: int | None


@attrs.define
class RequestHistory:
    """Hold what happens to a request and to its copies, which share their builds.

    ``requests`` maps their ids to the times of their submission.
    """

    builder: SampleBuilder
    priority: int
    claimed_at: int = 0
    complete_at: int | None = None
    results: int | None = None
    builds: list[BuildTimes] = attrs.field(factory=list)
    requests: dict[int, int] = attrs.field(factory=dict)

    @property
    def complete(self) -> bool:
        """Return whether the request is complete."""
        return self.complete_at is not None


@attrs.frozen
class OutcomeGenerator:
    """Draw outcomes and times of requests; whatever has ended did so before ``now``."""

    rng: Random
    now: int

    def outcome(self, room: int) -> tuple[RequestOutcome, int]:
        """Draw outcome and copies of a request that may produce ``room`` rows of ``builds``."""
        drawn = self.rng.random()
        if drawn < 0.02 and room >= 2:
            return RequestOutcome.RETRIED, 1
        if drawn < 0.05 and room >= 2:
            return RequestOutcome.DONE, min(room, self.rng.choice((2, 2, 3)))
        return (RequestOutcome.CANCELLED if drawn > 0.99 else RequestOutcome.DONE), 1

    def history(self, spec: RequestSpec, when: int, pace: float) -> RequestHistory:
        """Draw the times of a request submitted at ``when``; ``pace`` shortens them all."""
        history = RequestHistory(spec.builder, self.rng.choice(PRIORITIES))
        match spec.outcome:
            case RequestOutcome.PENDING:
                pass
            case RequestOutcome.RUNNING:
                history.claimed_at = self.rng.randrange(when, self.now)
                history.builds.append(BuildTimes(min(history.claimed_at + 2, self.now), None, None))
            case RequestOutcome.CANCELLED:
                history.complete_at = self._later(when, self.rng.uniform(60, 900), pace)
                history.results = FAILURE
            case _:
                self._finish(history, spec, when, pace)
        return history

    def _finish(self, history: RequestHistory, spec: RequestSpec, when: int, pace: float) -> None:
        if spec.outcome is RequestOutcome.RETRIED:
            lost = self._build(history, when, pace, RETRY, 0.3)
            when = lost.finish or when
        result = self.rng.choices(_RESULTS, _WEIGHTS)[0]
        if spec.succeeds:
            result = min(result, WARNINGS)
        last = self._build(history, when, pace, result, 1.0 if result <= WARNINGS else 0.7)
        history.complete_at, history.results = last.finish, result

    def _build(
        self, history: RequestHistory, when: int, pace: float, result: int, part: float
    ) -> BuildTimes:
        history.claimed_at = self._later(when, draw_wait(self.rng, when), pace)
        start = self._later(history.claimed_at, 2, pace)
        finish = self._later(start, part * draw_duration(self.rng, history.builder), pace)
        history.builds.append(BuildTimes(start, finish, result))
        return history.builds[-1]

    def _later(self, when: int, seconds: float, pace: float) -> int:
        return min(self.now - 1, when + 1 + int(seconds * pace))
