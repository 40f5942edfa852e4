"""The load of the farm at one time: what waits, what runs, how long the oldest has waited."""

from __future__ import annotations

import attrs

MINUTE = 60
"""Seconds between two samples, each of a minute of its own."""


@attrs.frozen
class LoadSample:
    """Pending requests and running builds at ``at``, in epoch seconds.

    ``longest_wait`` is the seconds that the oldest pending request has waited, None without one.
    """

    at: int
    pending: int
    running: int
    longest_wait: int | None
