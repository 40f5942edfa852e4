"""Run the reactor's timers on the monotonic clock.

Twisted's ``reactor.seconds()`` is the wall clock (``twisted.python.runtime``). Set back by an hour,
it would stop heartbeats, sweeps and deadlines for an hour; set forward, it would end them all at
once.
"""

from __future__ import annotations

import time

from buildapi.reactor_time import Reactor


def use_monotonic_clock(reactor: Reactor) -> None:
    """Replace the clock of ``reactor``, which provides IReactorTime.

    From then on use ``reactor.seconds()`` for delays only, and ``time.time()`` for what is shown or
    stored.

    :raises RuntimeError: a call is scheduled already, at a time of the old clock.
    """
    if reactor.seconds is time.monotonic:
        return
    if scheduled := reactor.getDelayedCalls():
        raise RuntimeError(f"scheduled before the clock was replaced: {scheduled[0]}")
    reactor.seconds = time.monotonic  # type: ignore[method-assign]  # ReactorBase asks itself
