"""Draw when pushes come and the results of requests: when their builds run, and how they end."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from random import Random

import attrs

from buildapi.model.results import EXCEPTION, FAILURE, RETRY, SUCCESS, WARNINGS
from buildapi.sample.catalog import SampleBuilder

HOUR, DAY = 3600, 86_400
_BUSIEST_HOUR = 19
"""Hour in UTC: midday in the west of America, evening in Europe."""
_RESULTS = (SUCCESS, WARNINGS, FAILURE, EXCEPTION)
_WEIGHTS = (80, 9, 9, 2)
PRIORITIES = (0, 0, 0, 0, 0, 0, 0, 1, 3, -1)


# --- times -----------------------------------------------------------------------------------


def farm_load(when: float) -> float:
    """Return the load of the farm at a time, from 0.035 at a weekend's night to 1."""
    at = time.gmtime(when)
    distance = min((at.tm_hour - _BUSIEST_HOUR) % 24, (_BUSIEST_HOUR - at.tm_hour) % 24)
    return max(0.1, 1 - distance / 11) * (0.35 if at.tm_wday >= 5 else 1.0)


def draw_times(rng: Random, start: int, end: int, count: int) -> list[int]:
    """Draw ``count`` times in ``[start, end)``, more of them under high load; sorted."""
    hours = range(start, end, HOUR)
    drawn = rng.choices(hours, [farm_load(h) for h in hours], k=count) if count else []
    return sorted(hour + rng.randrange(min(HOUR, end - hour)) for hour in drawn)


def draw_wait(rng: Random, when: float) -> float:
    """Draw the seconds a request waits for a slave, at most ten minutes."""
    return min(600.0, 4 + rng.expovariate(1 / (15 + 150 * farm_load(when))))


def draw_duration(rng: Random, builder: SampleBuilder) -> float:
    """Draw the seconds of a build that runs to its end."""
    mean = builder.minutes * 60
    return min(1.3 * mean, max(0.6 * mean, rng.gauss(mean, 0.12 * mean)))


# --- requests --------------------------------------------------------------------------------


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
                # What a 0.8.2 master writes into a request that was cancelled while it was pending.
                history.results = FAILURE
            case _:
                self._finish(history, spec, when, pace)
        return history

    def _finish(self, history: RequestHistory, spec: RequestSpec, when: int, pace: float) -> None:
        if spec.outcome is RequestOutcome.RETRIED:
            # A lost slave: the build ends, and its request waits again for another one.
            lost = self._build(history, when, pace, RETRY, 0.3)
            when = lost.finish or when
        result = self.rng.choices(_RESULTS, _WEIGHTS)[0]
        if spec.succeeds:
            # Tests follow only from a build that made something to test.
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
