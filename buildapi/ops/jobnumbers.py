"""Numbers of what happens to job requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from buildapi.model.ops import Part

MOST_BEGUN = 1000
"""Jobs whose begin is kept; the first of more is forgotten, and its time with it."""


@attrs.define
class JobNumbers:
    """Count events by part and word, and note how long the agent had a job in hand.

    ``count`` takes the name of a number and its labels, ``observe`` the seconds after the name;
    ``seconds`` is a clock that only goes forward.
    """

    _count: Callable[..., None]
    _observe: Callable[..., None]
    _seconds: Callable[[], float]
    _begun: dict[int, Any] = attrs.field(factory=dict, init=False)

    def __call__(self, job_id: int, part: Part, event: str) -> None:
        """Note an event."""
        self._count("buildapi_job_events", part.value, event)
        if (part, event) == (Part.AGENT, "begun"):
            self._begin(job_id)
        elif (part, event) == (Part.AGENT, "reported") and job_id in self._begun:
            self._observe("buildapi_job_seconds", self._seconds() - self._begun.pop(job_id))

    def _begin(self, job_id: int) -> None:
        self._begun.setdefault(job_id, self._seconds())
        if len(self._begun) > MOST_BEGUN:
            self._begun.pop(next(iter(self._begun)))
