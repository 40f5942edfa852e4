"""The health of the services of this process."""

from __future__ import annotations

import attrs


@attrs.frozen
class Health:
    """The health of one service; ``detail`` is a sentence for people."""

    name: str
    ok: bool
    detail: str


@attrs.frozen
class PoolStatus:
    """Describe the state of a pool; ``last_error_at`` is in epoch seconds.

    ``unanswered`` is the number of seconds since the first question without an answer; None if the
    last answer is newer than any question.
    """

    in_flight: int
    waiting: int
    last_error: str | None
    last_error_at: float | None
    unanswered: float | None = None
