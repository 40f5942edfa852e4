"""Simulate Buildbot 0.8.2 masters: they claim requests, build for a while, and can be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import Random

import attrs
from twisted.application.service import Service
from twisted.internet import defer, task
from twisted.logger import Logger

from buildapi.db.sql import Database, GuardFailedError, Statement
from buildapi.errors import DatabaseUnavailable
from buildapi.model.results import EXCEPTION, FAILURE, RETRY, SUCCESS, WARNINGS
from buildapi.reactor_time import DelayedCall, ReactorTime
from buildapi.sample import request_queue
from buildapi.sample.catalog import SampleBuilder, SampleMaster
from buildapi.sample.request_queue import SampleRequest, submitted_properties
from buildapi.sample.sample_rows import MasterProcess
from buildapi.sample.status_builds import (
    PropertyValue,
    SampleBuild,
    StatusRecorder,
)

_RESULTS = (SUCCESS, WARNINGS, FAILURE, EXCEPTION, RETRY)
_WEIGHTS = (82, 8, 6, 1, 3)

Claim = Callable[[Sequence[SampleRequest], MasterProcess, int], list[Statement]]


@attrs.frozen
class MasterSettings:
    """Specify how the masters behave; all times are in seconds.

    A build takes from ``shortest`` to ``longest``. One that is stopped ends after ``stop_seconds``,
    while the client waits ``stop_answer_seconds``; with ``refuses_stops`` nobody may stop one. A
    master runs up to ``slaves`` builds at once.
    """

    seed: int = 1
    poll: float = 1.0
    slaves: int = 4
    shortest: float = 4.0
    longest: float = 15.0
    stop_seconds: float = 0.1
    stop_answer_seconds: float = 1.0
    refuses_stops: bool = False


@attrs.define(eq=False)
class SimulatedBuild:
    """Describe a running build; ``rows`` are its ids in ``builds``, one for each request.

    ``ends`` is the delayed call that ends it; ``status_id`` is its id in the status database, None
    if it is recorded there when it ends.
    """

    requests: Sequence[SampleRequest]
    rows: Sequence[int]
    number: int
    slave: str
    start: int
    ends: DelayedCall | None = None
    status_id: int | None = None

    @property
    def builder(self) -> str:
        """Return the name of its builder."""
        return self.requests[0].builder

    @property
    def reason(self) -> str:
        """Return the reasons of all its requests."""
        return ", ".join(r.reason for r in self.requests)


class SimulatedMaster(Service):
    """Build the requests of its builders; restart what an earlier process left unfinished.

    ``now`` returns epoch seconds. ``builders`` are those it has, by name.
    """

    log = Logger()

    def __init__(
        self,
        clock: ReactorTime,
        master: SampleMaster,
        builders: Mapping[str, SampleBuilder],
        scheduler: Database,
        *,
        status: StatusRecorder | None,
        settings: MasterSettings,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = master.name
        self.master, self.builders, self.settings = master, builders, settings
        self.building: dict[tuple[str, int], SimulatedBuild] = {}
        self.recent: dict[tuple[str, int], SimulatedBuild] = {}
        self._clock, self._now = clock, now
        self._db, self._status = scheduler, status
        self._numbers: dict[str, int] = {}
        self._writing: set[defer.Deferred[None]] = set()
        self._resumed = False
        self._loop = task.LoopingCall(self._poll_once)
        self._loop.clock = clock  # type: ignore[assignment]  # an IReactorTime, see reactor_time
        self._looping: defer.Deferred[task.LoopingCall] | None = None

    def startService(self) -> None:
        """Start polling."""
        Service.startService(self)
        boot = int(self._now())
        self._self = MasterProcess(self.master.db_name, f"pid{boot % 30000}-boot{boot}")
        self._resumed = False
        # LoopingCall waits for the Deferred of one poll before it begins the next.
        self._looping = self._loop.start(self.settings.poll)

    async def _stop(self) -> None:
        """Stop as if killed: running builds stay claimed, for the next process to restart."""
        if self._loop.running:
            self._loop.stop()
        if self._looping is not None:
            await self._looping
        for build in self.building.values():
            if build.ends is not None and build.ends.active():
                build.ends.cancel()
        self.building.clear()
        await defer.DeferredList(list(self._writing), consumeErrors=True)

    def stopService(self) -> defer.Deferred[None]:
        """Stop polling and building."""
        Service.stopService(self)
        return defer.ensureDeferred(self._stop())

    # --- claiming requests -------------------------------------------------------------------

    def _poll_once(self) -> defer.Deferred[None]:
        return defer.ensureDeferred(self._guarded(self._poll()))

    async def _guarded(self, work: Coroutine[defer.Deferred[object], object, None]) -> None:
        try:
            await work
        except DatabaseUnavailable as e:
            self.log.warn("sample master {name}: {error}", name=self.name, error=e.msg)
        # LoopingCall stops for good when its function fails.
        except Exception:
            self.log.failure("sample master {name}: an update failed", name=self.name)

    async def _poll(self) -> None:
        if not self.builders:
            return
        if not self._resumed:
            await self._resume()
            self._resumed = True
        if len(self.building) < self.settings.slaves:
            await self._claim_pending()

    async def _claim_pending(self) -> None:
        pending = [
            r for r in await request_queue.PENDING.many(self._db) if r.builder in self.builders
        ]
        for group in request_queue.groups(pending, lambda r: r.merges_with):
            if len(self.building) >= self.settings.slaves or not self.running:
                return
            await self._start(group, await self._next_number(group[0].builder), request_queue.claim)

    async def _resume(self) -> None:
        """Restart what an earlier process of this master left unfinished."""
        # With the same number, as 0.8.2 does after kill -9: its old row of builds never ends.
        left = await request_queue.UNFINISHED.many(self._db, master=self.master.db_name)
        for group in request_queue.groups(left, _unfinished):
            number = group[0].number
            if number is None:
                number = await self._next_number(group[0].builder)
            await self._start(group, number, request_queue.reclaim)

    async def _next_number(self, builder: str) -> int:
        if builder not in self._numbers:
            name = self.master.db_name
            highest = await request_queue.HIGHEST_NUMBER.maybe(
                self._db, builder=builder, master=name
            )
            self._numbers.setdefault(builder, -1 if highest is None else highest)
        self._numbers[builder] += 1
        return self._numbers[builder]

    async def _start(self, requests: Sequence[SampleRequest], number: int, claim: Claim) -> None:
        now = int(self._now())
        claims = claim(requests, self._self, now)
        try:
            # In one transaction: two masters that claim a request at the same moment do not both
            # build it.
            ids = await self._db.transact([*claims, *request_queue.begin(requests, number, now)])
        except GuardFailedError:
            return  # one was cancelled or claimed by another master; the next poll reads again
        slave = self._idle_slave(requests[0].builder)
        build = SimulatedBuild(requests, ids[len(claims) :], number, slave, now)
        build.status_id = await self._begun(build)
        if self.running:
            self._run(build)

    async def _begun(self, build: SimulatedBuild) -> int | None:
        """Record a running build in the status database; return its id there, None without one."""
        if self._status is None:
            return None
        try:
            found = await submitted_properties(self._db, build.requests)
            return await self._status.begin(self._recorded(build, None, None, found))
        except DatabaseUnavailable:  # it is claimed: it runs, and is recorded when it ends
            return None

    def _idle_slave(self, builder: str) -> str:
        known = self.builders.get(builder)
        pool = known.pool if known is not None else "bld-linux64-ec2"
        busy = {b.slave for b in self.building.values()}
        return next(s for i in range(1, len(busy) + 2) if (s := f"{pool}-{i:03d}") not in busy)

    # --- building ----------------------------------------------------------------------------

    def _run(self, build: SimulatedBuild) -> None:
        seconds, result = self._outcome(build)
        self.building[build.builder, build.number] = build
        build.ends = self._clock.callLater(seconds, self._end, build, result)

    def _outcome(self, build: SimulatedBuild) -> tuple[float, int]:
        at = (self.settings.seed, self.master.name, build.builder, build.number)
        # From what identifies the build: the outcome does not depend on the order in which builds
        # begin.
        rng = Random(repr(at))
        seconds = rng.uniform(self.settings.shortest, self.settings.longest)
        return seconds, rng.choices(_RESULTS, _WEIGHTS)[0]

    def stop(self, builder: str, number: int) -> bool:
        """Make a running build fail shortly; return whether it runs."""
        build = self.building.get((builder, number))
        if build is None or build.ends is None or not build.ends.active():
            return False
        build.ends.cancel()
        build.ends = self._clock.callLater(self.settings.stop_seconds, self._end, build, FAILURE)
        return True

    def _end(self, build: SimulatedBuild, result: int) -> None:
        writing = defer.ensureDeferred(self._guarded(self._finish(build, result)))
        self._writing.add(writing)
        writing.addBoth(lambda _: self._writing.discard(writing))

    async def _finish(self, build: SimulatedBuild, result: int) -> None:
        now = int(self._now())
        settle = request_queue.release if result == RETRY else _complete_with(result, now)
        try:
            await self._db.transact([*request_queue.end(build.rows, now), *settle(build.requests)])
        except DatabaseUnavailable:
            if self.running:
                # A build that is never recorded as ended would hold its slave for ever.
                again = self._clock.callLater(self.settings.poll, self._end, build, result)
                build.ends = again
            raise
        self.building.pop((build.builder, build.number), None)
        # The scheduler database does not store slaves, and people look at builds that have just
        # ended.
        self._remember(build)
        if self._status is not None:
            found = await submitted_properties(self._db, build.requests)
            ended = self._recorded(build, result, now, found)
            if build.status_id is None:
                await self._status.record(ended)
            else:
                await self._status.end(ended, build.status_id)

    def _remember(self, build: SimulatedBuild) -> None:
        self.recent[build.builder, build.number] = build
        while len(self.recent) > REMEMBERED:
            self.recent.pop(next(iter(self.recent)))

    def _recorded(
        self,
        build: SimulatedBuild,
        result: int | None,
        now: int | None,
        submitted: Mapping[str, PropertyValue],
    ) -> SampleBuild:
        rows = zip(build.requests, build.rows, strict=True)
        return SampleBuild(
            master=self.master,
            name=build.builder,
            builder=self.builders.get(build.builder),
            number=build.number,
            slave=build.slave,
            start=build.start,
            finish=now,
            result=result,
            reason=build.reason,
            branch=build.requests[0].branch,
            revision=build.requests[0].revision,
            submitted=submitted,
            links=[(request.id, request.submitted_at, row) for request, row in rows],
        )


REMEMBERED = 1000
"""Number of finished builds whose slave a master remembers."""


def _unfinished(request: SampleRequest) -> object:
    """Return the key that the requests of one unfinished build share."""
    alone = request.id if request.number is None else None
    return request.builder, request.number, alone


def _complete_with(result: int, now: int) -> Callable[[Sequence[SampleRequest]], list[Statement]]:
    return lambda requests: request_queue.complete(requests, result, now)
