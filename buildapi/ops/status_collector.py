"""Collect the state of every part of the program concurrently, within a bounded time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import BuildAPIError
from buildapi.interfaces import Broker, Directory, JobStore
from buildapi.model.messages import BrokerStatus
from buildapi.model.ops import Heartbeat, PoolState
from buildapi.model.records import Backlog
from buildapi.model.status import StatusDocument
from buildapi.ops.status_document import (
    StatusMoment,
    StatusPart,
    UnreadValue,
    document,
)
from buildapi.ops.status_parts import BrokerState, QueueRole
from buildapi.reactor_time import AsyncCall, ReactorTime, timeout

T = TypeVar("T")

PART_SECONDS = 3.0
"""Maximum seconds to read the state of one part."""

# Less than a part has, so that the pool can still say which database it is.
PROBE_SECONDS = 2.5
"""Maximum seconds of ``PART_SECONDS`` for a connection to a database."""

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


@attrs.frozen
class BoundedReader:
    """Read within a time limit, and return the reason instead of a value that does not come."""

    _reactor: ReactorTime
    _log = Logger()

    async def value(self, work: Awaitable[T]) -> T | UnreadValue:
        """Return what is awaited, or why that fails."""
        # Wrapped, since ensureDeferred accepts nothing but coroutines and Deferreds.
        running = defer.ensureDeferred(_started(work))
        try:
            return await timeout(running, PART_SECONDS, self._reactor)
        except BuildAPIError as e:
            return UnreadValue(e.msg)
        except defer.TimeoutError:
            return UnreadValue(f"no answer within {PART_SECONDS:g} s")
        except Exception as e:  # one part must not take the others away
            self._log.failure("status: a part could not be read")
            return UnreadValue(f"it failed: {type(e).__name__}")

    async def broker(self, broker: Broker, kind: str, queues: Mapping[str, str]) -> BrokerState:
        """Read the broker and its queues, named by role."""

        async def queue(role: str, name: str) -> QueueRole:
            return QueueRole(name, role, await self.value(broker.depth(name)))

        found = await gathered([queue(role, name) for role, name in queues.items()])
        return BrokerState(kind, broker.status(), found)

    async def pools(self, pools: Sequence[ObservedPool]) -> Sequence[PoolState]:
        """Read the state of pools, and how long a new connection takes."""
        return await gathered([self._pool(pool) for pool in pools])

    async def _pool(self, pool: ObservedPool) -> PoolState:
        took = await self.value(pool.connecting(PROBE_SECONDS))
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


@attrs.frozen
class StatusCollector:
    """Collect the /status document from its parts; ``now`` returns epoch seconds.

    ``me`` returns this process's heartbeat, and ``processes`` those of all, which are sent every
    ``beat_seconds``. The document has the parts in their order.
    """

    reader: BoundedReader
    now: Callable[[], float]
    me: Callable[[], Heartbeat]
    processes: Callable[[], Awaitable[Sequence[Heartbeat]]]
    beat_seconds: float
    parts: Sequence[StatusPart[Any]]

    async def read(self) -> StatusDocument:
        """Read all parts concurrently, and return the document."""
        processes, *values = await gathered(
            [self.reader.value(self.processes()), *map(_read, self.parts)]
        )
        moment = StatusMoment(int(self.now()), self.me(), processes, self.beat_seconds)
        return document(moment, list(zip(self.parts, values, strict=True)))


async def gathered(works: Sequence[AsyncCall[T]]) -> list[T]:
    """Await some work concurrently."""
    return await defer.gatherResults(
        [defer.ensureDeferred(one) for one in works], consumeErrors=True
    )


async def backlog(store: JobStore, now: float) -> Backlog:
    """Read the unfinished and failed job requests that count."""
    return await store.backlog(int(now) - WEEK, int(now) - HOUR)


async def _started(work: Awaitable[T]) -> T:
    return await work


async def _read(part: StatusPart[Any]) -> Any:
    value = part.read()
    return await value if isinstance(value, Awaitable) else value


@attrs.frozen
class Readiness:
    """Determine why this process should get no requests at present.

    ``state`` returns the word of its state; ``pools`` are those without which no request succeeds.
    """

    reactor: ReactorTime
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
            await timeout(trying, PART_SECONDS, self.reactor)
        except BuildAPIError as e:
            return e.msg
        except defer.TimeoutError:
            return f"the {pool.name} database gives no connection within {PART_SECONDS:g} s"
        except Exception as e:  # whatever it is, nobody should be sent here
            self._log.failure("the {name} database could not be checked", name=pool.name)
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
