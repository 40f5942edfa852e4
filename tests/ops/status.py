"""A /status document of plain values, through the program's own collector."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from buildapi.errors import DatabaseUnavailable
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.messages import BrokerStatus
from buildapi.model.ops import DocumentState, DumpState, Heartbeat, PoolState
from buildapi.model.records import Backlog
from buildapi.ops import status_parts as parts
from buildapi.ops.dead_letter_tally import SettledDeadLetters
from buildapi.ops.job_id_guard import JobIdReset
from buildapi.ops.reload import Reload
from buildapi.ops.status_collector import BoundedReader, StatusCollector
from buildapi.ops.status_document import StatusPart, UnreadValue
from buildapi.ops.status_parts import BrokerState, KnownMasters, QueueRole, ReplicationLag

T = TypeVar("T")


@attrs.frozen
class StatusValues:
    """What is read of each part; None stands for what the process does not have."""

    now: int
    me: Heartbeat
    versions: Mapping[str, str]
    reasons: Sequence[str]
    broker_kind: str
    broker: BrokerStatus
    queues: Sequence[QueueRole]
    pools: Sequence[PoolState]
    lag: ReplicationLag | UnreadValue | None
    documents: Sequence[DocumentState]
    masters_known: int
    processes: Sequence[Heartbeat] | UnreadValue
    beat_seconds: float
    jobs: Backlog | UnreadValue
    farm: FarmSummary | UnreadValue | None
    dumps: Sequence[DumpState] | None
    requests: int
    connections: int
    limited: Mapping[str, int]
    reload: Reload | None = None
    renumbered: JobIdReset | None = None
    masters_disabled: Sequence[str] = ()
    letters: SettledDeadLetters | None = None


def document(values: StatusValues) -> dict[str, Any]:
    """Return the document of a program in this state."""
    reader = BoundedReader(Clock())
    collector = StatusCollector(
        reader,
        lambda: values.now,
        lambda: values.me,
        _reading(values.processes),
        values.beat_seconds,
        _parts(values, reader),
    )
    found: list[dict[str, Any]] = []
    ensureDeferred(collector.read()).addCallback(found.append)
    return found[0]


def _parts(values: StatusValues, reader: BoundedReader) -> Sequence[StatusPart[Any]]:
    broker = BrokerState(values.broker_kind, values.broker, values.queues)
    masters = KnownMasters(values.masters_known, values.masters_disabled)

    def bounded(value: T | UnreadValue) -> Callable[[], Awaitable[T | UnreadValue]]:
        return lambda: reader.value(_reading(value)())

    return [
        StatusPart(bounded(values.reasons), parts.show_readiness),
        StatusPart(lambda: values.versions, parts.show_process),
        StatusPart(lambda: broker, parts.show_broker, parts.judge_broker),
        StatusPart(lambda: values.letters, parts.show_dead_letters, parts.judge_dead_letters),
        StatusPart(lambda: values.pools, parts.show_databases, parts.judge_databases),
        StatusPart(bounded(values.lag), parts.show_replica, parts.judge_replica),
        StatusPart(lambda: values.documents, parts.show_directory, parts.judge_directory),
        StatusPart(lambda: masters, parts.show_masters, parts.judge_masters),
        StatusPart(bounded(values.jobs), parts.show_jobs, parts.judge_jobs),
        StatusPart(bounded(values.farm), parts.show_farm, parts.judge_farm),
        StatusPart(lambda: values.dumps, parts.show_dumps, parts.judge_dumps),
        StatusPart(lambda: (values.requests, values.connections, values.limited), parts.show_http),
        StatusPart(lambda: values.reload, parts.show_reload),
        StatusPart(lambda: values.renumbered, parts.show_job_ids, parts.judge_job_ids),
    ]


def _reading(value: T | UnreadValue) -> Callable[[], Awaitable[T]]:
    async def read() -> T:
        if isinstance(value, UnreadValue):
            raise DatabaseUnavailable(value.error)
        return value

    return read
