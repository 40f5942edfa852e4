"""What a master reports of a build that it runs: its worker and its steps.

All times are whole seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.model.results import FAILURES

STEPS_MAX = 500
"""Maximum number of steps that are read of one build."""

STEP_TEXT_MAX = 500
"""Characters kept of a step's text."""


@attrs.frozen
class BuildStep:
    """A step of a build, with the text that the master shows of it.

    It has no start before it is begun, and no end and no result while it runs.
    """

    name: str
    text: str
    started: int | None
    ended: int | None
    result: int | None


@attrs.frozen
class BuildRecord:
    """A build as its master reports it: the worker that runs it, and its steps in their order.

    ``log_url`` is where the log of all steps is kept.  It and the worker are None if unknown.
    """

    worker: str | None
    steps: Sequence[BuildStep]
    log_url: str | None = None

    @property
    def failing(self) -> BuildStep | None:
        """Return the first step that failed; None if none did."""
        return next((s for s in self.steps if s.result in FAILURES), None)
