"""Catch signals that carry requests before their default action could end the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping

import attrs

from buildapi.reactor_time import ThreadedReactor

CAUGHT = (signal.SIGHUP, signal.SIGUSR1)


@attrs.define
class Signals:
    """Catch signals from the start, and handle them once their handlers are known.

    Handlers run in the reactor, never in the middle of something else.
    """

    _wanted: Mapping[int, Callable[[], None]] = attrs.field(factory=dict, init=False)
    _reactor: ThreadedReactor | None = attrs.field(default=None, init=False)
    _early: list[int] = attrs.field(factory=list, init=False)

    def catch(self) -> None:
        """Start catching; outside the main thread Python cannot catch signals."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in CAUGHT:
            signal.signal(number, self._came)

    def bind(self, reactor: ThreadedReactor, wanted: Mapping[int, Callable[[], None]]) -> None:
        """Set the handlers, and handle signals that came before."""
        self._reactor, self._wanted = reactor, wanted
        early, self._early = self._early, []
        for number in dict.fromkeys(early):
            self._came(number)

    def _came(self, number: int, _frame: object = None) -> None:
        if self._reactor is None:
            self._early.append(number)
        elif number in self._wanted:
            # As Twisted's own handlers [ReactorBase.sigTerm]: it wakes a reactor that waits.
            self._reactor.callFromThread(self._wanted[number])
