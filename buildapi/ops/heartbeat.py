"""Send heartbeats that other processes can see, while this process lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import attrs
from twisted.internet import defer

from buildapi.errors import Unavailable
from buildapi.interfaces import ProcessRegistry
from buildapi.model.ops import Heartbeat
from buildapi.periodic import PeriodicService

SILENT_DAY = 86_400
"""Seconds without a heartbeat after which a process is deleted from the registry."""

FORGET_SECONDS = 600.0
"""Seconds between two deletions of such processes."""


@attrs.frozen
class Sign:
    """Do something else with each heartbeat: ``what``, as the log has it after "cannot".

    ``do`` is called with epoch seconds.
    """

    what: str
    do: Callable[[int], Awaitable[None]]


@attrs.define(slots=False, eq=False)
class HeartbeatSender(PeriodicService):
    """Send the heartbeat that ``say`` returns to ``roster`` every ``interval`` seconds.

    ``now`` returns epoch seconds. ``signs`` are called with each heartbeat. A failure is logged
    when it begins and when it ends. ``soon`` sends a heartbeat at once: the state has changed. One
    under way ends before the process leaves the registry.
    """

    trouble = "heartbeat: cannot write it"
    finishes = True

    _roster: ProcessRegistry
    _say: Callable[[], Heartbeat]
    interval: float
    _now: Callable[[], float]
    _signs: Sequence[Sign] = ()

    def __attrs_post_init__(self) -> None:
        self.name = "heartbeat"
        self.beats = 0
        self._forgot_at = float("-inf")
        self._troubles: dict[str, str] = {}

    async def run_once(self) -> None:
        """Send one heartbeat; log a failure."""
        await self._forget()
        now = int(self._now())
        await self._try("write the row of this process", lambda: self._roster.beat(self._say()))
        # Each on its own: one database may be down while the other is not.
        for sign in self._signs:
            await self._try(sign.what, partial(sign.do, now))
        self.beats += 1

    async def _forget(self) -> None:
        if self._reactor.seconds() - self._forgot_at < FORGET_SECONDS:
            return
        self._forgot_at = self._reactor.seconds()
        await self._try(
            "delete old rows", lambda: self._roster.forget(int(self._now()) - SILENT_DAY)
        )

    async def after_last_run(self) -> None:
        """Leave the registry."""
        await self._try(
            "delete the row of this process", lambda: self._roster.leave(self._say().instance)
        )

    async def _try(self, what: str, do: Callable[[], Awaitable[None]]) -> None:
        """Run a write; log when it begins to fail, or fails otherwise, and when it works again."""
        try:
            await do()
        except Unavailable as e:
            if self._troubles.get(what) != e.msg:
                self._log.warn("heartbeat: cannot {what}: {msg}", what=what, msg=e.msg)
            self._troubles[what] = e.msg
        except defer.CancelledError:
            raise
        except Exception as e:
            why = f"{type(e).__name__}: {e}"
            if self._troubles.get(what) != why:
                self._log.failure("heartbeat: cannot {what}", what=what)
            self._troubles[what] = why
        else:
            if self._troubles.pop(what, None) is not None:
                self._log.info("heartbeat: can {what} again", what=what)
