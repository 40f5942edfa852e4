"""Count the events of job requests, and measure their durations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from buildapi.model.ops import Part

MOST_BEGUN = 1000
"""Maximum number of begun jobs kept; beyond it the oldest is dropped without a duration."""


@attrs.define
class JobMetrics:
    """Count events by part and word, and measure how long the agent had a job in hand.

    ``count`` is called with the name of a metric and its labels, ``observe`` with the name and the
    seconds; ``seconds`` is a monotonic clock.
    """

    _count: Callable[..., None]
    _observe: Callable[..., None]
    _seconds: Callable[[], float]
    _begun: dict[int, Any] = attrs.field(factory=dict, init=False)

    def __call__(self, job_id: int, part: Part, event: str) -> None:
        """Record an event."""
        self._count("buildapi_job_events", part.value, event)
        if (part, event) == (Part.AGENT, "begun"):
            self._begin(job_id)
        elif (part, event) == (Part.AGENT, "reported") and job_id in self._begun:
            self._observe("buildapi_job_seconds", self._seconds() - self._begun.pop(job_id))

    def _begin(self, job_id: int) -> None:
        # After a redelivery a job begins again: its time counts from the first beginning.
        self._begun.setdefault(job_id, self._seconds())
        if len(self._begun) > MOST_BEGUN:
            self._begun.pop(next(iter(self._begun)))
