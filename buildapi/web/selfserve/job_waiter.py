"""Wait for jobs to finish, with one query at a time for all of them."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet import defer, task
from twisted.logger import Logger

from buildapi.errors import Unavailable
from buildapi.interfaces import JobStore
from buildapi.reactor_time import ReactorTime, timeout

SECONDS = 0.5
"""Seconds between two polls; outcomes that arrive in this process are seen at once."""

WAITING_MAX = 1000
"""Maximum waiting clients; any more are answered at once."""

log = Logger()


@attrs.define
class JobWaiter:
    """Poll the jobs that clients wait for; ``reactor`` provides IReactorTime."""

    _reactor: ReactorTime
    _store: JobStore
    _waiting: dict[int, list[defer.Deferred[None]]] = attrs.field(factory=dict, init=False)
    _loop: Any = attrs.field(default=None, init=False)
    _polling: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    async def finished(self, job_id: int, seconds: float) -> None:
        """Wait up to ``seconds`` until a job is finished; not at all beyond ``WAITING_MAX``."""
        if self._closed or seconds <= 0 or sum(map(len, self._waiting.values())) >= WAITING_MAX:
            return
        waiting: defer.Deferred[None] = defer.Deferred()
        # Registered before the poll, so that a job that finished meanwhile is seen by it.
        self._waiting.setdefault(job_id, []).append(waiting)
        self._watch()
        self.poll()
        try:
            await timeout(waiting, seconds, self._reactor)
        except defer.TimeoutError:
            pass
        finally:
            self._forget(job_id, waiting)

    def close(self) -> None:
        """Release all waiting clients (at shutdown)."""
        self._closed = True
        self._release(list(self._waiting))

    def poll(self) -> None:
        """Poll now: something may have changed."""
        if self._waiting and not self._polling:
            self._polling = True
            defer.ensureDeferred(self._poll())

    async def _poll(self) -> None:
        try:
            # Unknown jobs are released too: the reader then answers 404 at once.
            self._release(list(await self._store.finished(list(self._waiting))))
        except Unavailable as e:
            log.debug("poll of awaited jobs failed: {msg}", msg=e.msg)
        # Every failure ends here: the next poll tries again, and clients wait no longer than they
        # asked.
        except Exception:
            log.failure("poll of awaited jobs failed")
        finally:
            self._polling = False

    def _release(self, job_ids: list[int]) -> None:
        for job_id in job_ids:
            # A copy: callback() resumes the waiting coroutine at once, which removes itself from
            # the list.
            for waiting in list(self._waiting.get(job_id, ())):
                if not waiting.called:
                    waiting.callback(None)

    def _watch(self) -> None:
        if self._loop is None:
            self._loop = task.LoopingCall(self.poll)
            # Otherwise LoopingCall uses the global reactor.
            self._loop.clock = self._reactor
            # The caller polls at once; the loop runs only while somebody waits.
            self._loop.start(SECONDS, now=False)

    def _forget(self, job_id: int, waiting: defer.Deferred[None]) -> None:
        left = [w for w in self._waiting.pop(job_id, ()) if w is not waiting]
        if left:
            self._waiting[job_id] = left
        if not self._waiting and self._loop is not None:
            self._loop.stop()
            self._loop = None
