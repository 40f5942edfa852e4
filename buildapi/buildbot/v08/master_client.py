"""Send requests to the web interfaces of 0.8 masters, a bounded number at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
from twisted.internet import defer

from buildapi.buildbot.directory import Master
from buildapi.buildbot.http_fetch import FetchedAnswer, Fetcher, FetchError
from buildapi.reactor_time import ReactorTime, timeout


class MasterError(Exception):
    """A master gave no answer; ``asked`` is true if the request may have reached it."""

    def __init__(self, msg: str, *, asked: bool = False) -> None:
        super().__init__(msg)
        self.asked = asked


@attrs.define
class _Lane:
    """Hold the slots of one master, and when it last timed out."""

    # A 0.8 master answers a stop after one whole second, and everything in its one reactor.
    slots: defer.DeferredSemaphore
    silent_at: float | None = None


@attrs.define
class MasterClient:
    """Send requests to masters: at most ``per_master`` concurrently to one, ``total`` to all.

    A silent master occupies only its own slots: a request waits for a slot of its master before it
    takes one of the total. It waits at most ``wait_seconds`` for both, and fails at once if the
    master was silent to a request before it.
    """

    _reactor: ReactorTime
    _fetcher: Fetcher
    _directory: Callable[[], Mapping[str, Master]]
    _seconds: float
    _wait_seconds: float
    _per_master: int
    _total: defer.DeferredSemaphore = attrs.field(converter=defer.DeferredSemaphore)
    _lanes: dict[str, _Lane] = attrs.field(factory=dict, init=False)
    _given_back: deque[defer.DeferredSemaphore] = attrs.field(factory=deque, init=False)

    @property
    def seconds(self) -> float:
        """Return the seconds allowed for one request."""
        return self._seconds

    def others(self, db_name: str) -> list[str]:
        """List the other masters that have a web interface."""
        masters = self._directory().values()
        return [m.db_name for m in masters if m.db_name != db_name and m.url]

    async def ask(
        self, db_name: str, method: str, path: str, data: dict[str, str] | None = None
    ) -> FetchedAnswer:
        """Send one request; :raises MasterError: there is no answer."""
        url = self._url(db_name) + path
        lane = self._lanes.setdefault(db_name, _Lane(defer.DeferredSemaphore(self._per_master)))
        async with self._slot(lane):
            return await self._fetch(lane, method, url, data)

    def _url(self, db_name: str) -> str:
        master = self._directory().get(db_name)
        if master is None:
            raise MasterError(f"no master {db_name} in the directory")
        if master.url is None:
            raise MasterError(f"master {db_name} has no web interface")
        return master.url

    @asynccontextmanager
    async def _slot(self, lane: _Lane) -> AsyncIterator[None]:
        came = self._reactor.seconds()
        async with self._turn(lane.slots, came):
            # Each of them would only wait for another time limit [docs/design.md, "Acting on
            # Buildbot 0.8"].
            if lane.silent_at is not None and lane.silent_at > came:
                raise MasterError("not sent: the master does not respond")
            async with self._turn(self._total, came):
                yield

    @asynccontextmanager
    async def _turn(self, slots: defer.DeferredSemaphore, came: float) -> AsyncIterator[None]:
        left = max(0.0, came + self._wait_seconds - self._reactor.seconds())
        try:
            # A waiter whose acquire() is cancelled leaves the queue (Twisted, DeferredSemaphore).
            await timeout(slots.acquire(), left, self._reactor)
        except defer.TimeoutError as e:
            raise MasterError(
                f"not sent: too many requests to masters for {self._wait_seconds:g} s ([agent]"
                " pokes)"
            ) from e
        try:
            yield
        finally:
            self._give_back(slots)

    def _give_back(self, slots: defer.DeferredSemaphore) -> None:
        """Release slots one at a time: many refused waiters would otherwise recurse deeply."""
        self._given_back.append(slots)
        if len(self._given_back) > 1:
            return
        while self._given_back:
            self._given_back[0].release()
            self._given_back.popleft()

    async def _fetch(
        self, lane: _Lane, method: str, url: str, data: dict[str, str] | None
    ) -> FetchedAnswer:
        try:
            answer = await self._fetcher.request(method, url, seconds=self._seconds, data=data)
        except FetchError as e:
            # Not for a refused connection: that costs no time.
            if e.timed_out:
                lane.silent_at = self._reactor.seconds()
            raise MasterError(str(e), asked=e.sent) from e
        lane.silent_at = None
        return answer
