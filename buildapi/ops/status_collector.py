"""Collect the state of every part of the program concurrently, within a bounded time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import BuildAPIError
from buildapi.interfaces import Broker, Directory, JobStore, ProcessRegistry
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.messages import BrokerStatus, QueueDepth
from buildapi.model.ops import DocumentState, DumpState, Heartbeat, PoolState
from buildapi.model.records import Backlog
from buildapi.ops.dead_letter_tally import SettledDeadLetters
from buildapi.ops.job_id_guard import JobIdReset
from buildapi.ops.reload import Reload
from buildapi.ops.status_document import (
    QueueRole,
    ReplicationLag,
    StatusSnapshot,
    UnreadValue,
    document,
)

T = TypeVar("T")

PART_SECONDS = 3.0
"""Maximum seconds to read the state of one part."""

PROBE_SECONDS = 2.5
"""Maximum seconds of that for a connection to a database."""

WEEK, HOUR = 7 * 86_400, 3600
"""Seconds: unfinished jobs older than a week, left by old programs, do not count as backlog."""


class ObservedPool(Protocol):
    """Provide the state of a connection pool."""

    @property
    def name(self) -> str: ...
    @property
    def dialect(self) -> str: ...
    def status(self) -> Any: ...
    async def connecting(self, seconds: float) -> float | None: ...


@attrs.define
class StatusCollector:
    """Collect the /status document; ``now`` returns epoch seconds.

    ``me`` returns this process's heartbeat, ``reasons`` why it is not ready. ``pools`` are those it
    uses. ``lag`` is None if the replica is the primary or is not used, ``farm`` if this process
    does not read the farm, ``dumps`` if none are written.
    """

    reactor: Any
    now: Callable[[], float]
    me: Callable[[], Heartbeat]
    versions: Mapping[str, str]
    reasons: Callable[[], Awaitable[Sequence[str]]]
    broker: Broker
    broker_kind: str
    queues: Mapping[str, str]
    pools: Sequence[ObservedPool]
    lag: Callable[[], Awaitable[int | None]] | None
    directory: Directory
    documents: Callable[[], Sequence[DocumentState]]
    roster: ProcessRegistry
    beat_seconds: float
    store: JobStore
    farm: Callable[[], Awaitable[FarmSummary]] | None
    dumps: Callable[[], Sequence[DumpState]] | None
    traffic: Callable[[], tuple[int, int]]
    reload: Callable[[], Reload | None] = lambda: None
    renumbered: Callable[[], JobIdReset | None] = lambda: None
    letters: Callable[[], SettledDeadLetters | None] = lambda: None
    _log = Logger()

    async def read(self) -> dict[str, Any]:
        """Return the document."""
        return document(await self.seen())

    async def seen(self) -> StatusSnapshot:
        """Query all parts concurrently."""
        queues = [self._queue(role, name) for role, name in self.queues.items()]
        pools = [self._pool(pool) for pool in self.pools]
        rest = (
            self._processes(),
            self._part(self._jobs()),
            self._farm(),
            self._lag(),
            self._part(self.reasons()),
        )
        asked = [*queues, *pools, *rest]
        told: list[Any] = await defer.gatherResults(
            [defer.ensureDeferred(_started(one)) for one in asked], consumeErrors=True
        )
        n, m = len(queues), len(queues) + len(pools)
        processes, jobs, farm, lag, reasons = told[m:]
        requests, connections = self.traffic()
        return StatusSnapshot(
            now=int(self.now()),
            me=self.me(),
            versions=self.versions,
            reasons=[reasons.error] if isinstance(reasons, UnreadValue) else reasons,
            broker_kind=self.broker_kind,
            broker=self.broker.status(),
            queues=told[:n],
            pools=told[n:m],
            lag=lag,
            documents=self.documents(),
            masters_known=len(self.directory.master_urls()),
            masters_disabled=self.directory.disabled_masters(),
            processes=processes,
            beat_seconds=self.beat_seconds,
            jobs=jobs,
            farm=farm,
            dumps=None if self.dumps is None else self.dumps(),
            requests=requests,
            connections=connections,
            reload=self.reload(),
            renumbered=self.renumbered(),
            letters=self.letters(),
        )

    async def _part(self, work: Awaitable[T]) -> T | UnreadValue:
        """Wait for a part within a time limit; return the reason if it does not answer."""
        running = defer.ensureDeferred(_started(work))
        try:
            return await running.addTimeout(PART_SECONDS, self.reactor)
        except BuildAPIError as e:
            return UnreadValue(e.msg)
        except defer.TimeoutError:
            return UnreadValue(f"no answer within {PART_SECONDS:g} s")
        except Exception as e:  # one part must not take the others away
            self._log.failure("status: a part could not be read")
            return UnreadValue(f"it failed: {type(e).__name__}")

    async def _processes(self) -> Sequence[Heartbeat] | UnreadValue:
        return await self._part(self.roster.processes())

    async def _queue(self, role: str, name: str) -> QueueRole:
        depth: QueueDepth | UnreadValue = await self._part(self.broker.depth(name))
        return QueueRole(name, role, depth)

    async def _pool(self, pool: ObservedPool) -> PoolState:
        took = await self._part(pool.connecting(PROBE_SECONDS))
        status = pool.status()
        return PoolState(
            name=pool.name,
            kind=pool.dialect,
            in_flight=status.in_flight,
            waiting=status.waiting,
            last_error=status.last_error,
            last_error_at=status.last_error_at,
            connect_seconds=round(took, 6) if isinstance(took, float) else None,
            error=took.error if isinstance(took, UnreadValue) else None,
        )

    async def _farm(self) -> FarmSummary | UnreadValue | None:
        return None if self.farm is None else await self._part(self.farm())

    async def _lag(self) -> ReplicationLag | UnreadValue | None:
        if self.lag is None:
            return None
        told = await self._part(self.lag())
        return told if isinstance(told, UnreadValue) else ReplicationLag(told)

    async def _jobs(self) -> Backlog:
        now = int(self.now())
        return await self.store.backlog(now - WEEK, now - HOUR)


async def _started(work: Awaitable[T]) -> T:
    return await work


@attrs.frozen
class Readiness:
    """Determine why this process should get no requests at present.

    ``state`` returns the word of its state; ``pools`` are those without which no request succeeds.
    """

    reactor: Any
    state: Callable[[], str]
    pools: Sequence[ObservedPool]
    broker: Callable[[], BrokerStatus]
    directory: Directory
    _log = Logger()

    async def reasons(self) -> Sequence[str]:
        """List the reasons; empty if it is ready."""
        state = self.state()
        if state != "running":
            return [state]
        asked = [self._pool(pool) for pool in self.pools]
        told = await defer.gatherResults([defer.ensureDeferred(one) for one in asked])
        return [why for why in (*told, self._broker(), self._branches()) if why]

    async def _pool(self, pool: ObservedPool) -> str:
        trying = defer.ensureDeferred(pool.connecting(PROBE_SECONDS))
        try:
            await trying.addTimeout(PART_SECONDS, self.reactor)
        except BuildAPIError as e:
            return e.msg
        except defer.TimeoutError:
            return f"the {pool.name} database gives no connection within {PART_SECONDS:g} s"
        except Exception as e:  # whatever it is, nobody should be sent here
            self._log.failure("the {name} database could not be tried", name=pool.name)
            return f"the {pool.name} database fails: {type(e).__name__}"
        return ""

    def _broker(self) -> str:
        status = self.broker()
        if status.connected and not status.blocked:
            return ""
        return f"the broker: {status.blocked or status.last_error or 'no connection yet'}"

    def _branches(self) -> str:
        try:
            self.directory.branches()
        except BuildAPIError as e:
            return e.msg
        return ""
