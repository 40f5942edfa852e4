"""Measure the reactor's lag, which shows anything that blocks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.application.service import Service

SECONDS = 0.5
"""Seconds between two measurements."""


@attrs.define(slots=False)
class ReactorLag(Service):
    """Call ``late`` with each timer's delay in seconds; ``reactor`` is an IReactorTime."""

    _reactor: Any
    _late: Callable[[float], None]

    def __attrs_post_init__(self) -> None:
        self.name = "reactor lag"
        self._call: Any = None

    def startService(self) -> None:
        """Start measuring."""
        Service.startService(self)
        self._plan()

    def stopService(self) -> None:
        """Stop measuring."""
        Service.stopService(self)
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _plan(self) -> None:
        due = self._reactor.seconds() + SECONDS
        self._call = self._reactor.callLater(SECONDS, self._look, due)

    def _look(self, due: float) -> None:
        self._late(max(0.0, self._reactor.seconds() - due))
        self._plan()
