"""Measure the reactor's lag, which shows anything that blocks it."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from buildapi.periodic import PeriodicService

SECONDS = 0.5
"""Seconds between two measurements."""


@attrs.define(slots=False, eq=False)
class ReactorLag(PeriodicService):
    """Call ``late`` with each timer's delay in seconds."""

    trouble = "cannot measure the reactor lag"
    first_pause = SECONDS

    _late: Callable[[float], None]

    def __attrs_post_init__(self) -> None:
        self.name = "reactor lag"
        self.interval = SECONDS
        self._due = 0.0

    def startService(self) -> None:
        """Start measuring."""
        self._due = self._reactor.seconds() + SECONDS
        PeriodicService.startService(self)

    async def run_once(self) -> None:
        """Measure how late this run is."""
        now = self._reactor.seconds()
        self._late(max(0.0, now - self._due))
        # Counted from now, so that a reactor that was blocked for long counts as late only once.
        self._due = now + SECONDS
