"""Draw when pushes come, how long requests wait and how long builds take."""

from __future__ import annotations

import time
from random import Random

from buildapi.sample.catalog import SampleBuilder

HOUR, DAY = 3600, 86_400
_BUSIEST_HOUR = 19
"""Hour in UTC: midday in the west of America, evening in Europe."""


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
