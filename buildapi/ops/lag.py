"""Measure how late the reactor is: whatever blocks it shows there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.application.service import Service

SECONDS = 0.5
"""Between two looks."""


@attrs.define(slots=False)
class ReactorLag(Service):
    """Tell ``late`` how many seconds after its time each look came; ``reactor`` has the time."""

    _reactor: Any
    _late: Callable[[float], None]

    def __attrs_post_init__(self) -> None:
        self.name = "reactor lag"
        self._call: Any = None

    def startService(self) -> None:
        """Begin to look."""
        Service.startService(self)
        self._plan()

    def stopService(self) -> None:
        """Look no more."""
        Service.stopService(self)
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _plan(self) -> None:
        due = self._reactor.seconds() + SECONDS
        self._call = self._reactor.callLater(SECONDS, self._look, due)

    def _look(self, due: float) -> None:
        self._late(max(0.0, self._reactor.seconds() - due))
        self._plan()
