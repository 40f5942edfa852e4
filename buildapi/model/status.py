"""Types of the /status document: what each of its parts returns, and what is documented.

Times are in seconds since the epoch, ages in seconds.  Keys are only ever added: programs read the
others [docs/api.md, "Service health"].
"""

from __future__ import annotations

from typing import Literal, TypedDict


class ReadinessPart(TypedDict):
    """Whether the process accepts job requests, and why not."""

    ready: bool
    reasons: list[str]


class ThisProcess(TypedDict):
    """The process that answers."""

    instance: str
    name: str
    pid: int
    roles: list[str]
    state: str
    started_at: int
    uptime: int


class ProcessPart(TypedDict):
    """The time, the process, and the versions of the program, of Python and of libraries."""

    now: int
    process: ThisProcess
    versions: dict[str, str]


class QueueDocument(TypedDict):
    """A queue of the broker; its numbers are null if it cannot be read."""

    name: str
    role: str
    ready: int | None
    unacked: int | None
    consumers: int | None
    dead: int | None
    error: str | None


class BrokerDocument(TypedDict):
    """The connection to the broker; ``blocked`` is why it accepts no messages."""

    kind: str
    connected: bool
    blocked: str | None
    last_error: str | None
    last_error_at: float | None
    queues: list[QueueDocument]


class BrokerPart(TypedDict):
    """The broker."""

    broker: BrokerDocument


class SettlementsDocument(TypedDict):
    """Dead letters that came to one end, since the process began and recently."""

    count: int
    recent: int
    last_at: float | None


class LastDeadLetter(TypedDict):
    """The last dead letter that was settled."""

    queue: str
    end: str
    job_id: int | None
    reason: str
    at: float


class DeadLettersDocument(TypedDict):
    """Dead letters that the process settled; recent is in the last ``recent_seconds``."""

    recent_seconds: int
    returned: SettlementsDocument
    failed: SettlementsDocument
    dropped: SettlementsDocument
    last: LastDeadLetter | None


class DeadLettersPart(TypedDict):
    """Dead letters; null if the process does not review them."""

    dead_letters: DeadLettersDocument | None


class DatabaseDocument(TypedDict):
    """A connection pool; ``connect_seconds`` is how long a new connection took."""

    ok: bool
    name: str
    kind: str
    in_flight: int
    waiting: int
    last_error: str | None
    last_error_at: float | None
    connect_seconds: float | None
    error: str | None


class DatabasesPart(TypedDict):
    """The databases of the process."""

    databases: list[DatabaseDocument]


class ReplicaDocument(TypedDict):
    """The replica; it is not ``apart`` if reads use the scheduler database itself."""

    apart: bool
    lag_seconds: int | None
    error: str | None


class ReplicaPart(TypedDict):
    """The replica."""

    replica: ReplicaDocument


class DirectoryDocument(TypedDict):
    """A file of the directory; its age is null if it was never read."""

    name: str
    age: float | None
    last_error: str | None
    last_error_at: float | None
    warnings: list[str]


class DirectoryPart(TypedDict):
    """The directory."""

    directory: list[DirectoryDocument]


class OneProcess(TypedDict):
    """A process with a heartbeat; ``jobs`` are some of those in its hand."""

    instance: str
    name: str
    pid: int
    version: str
    started_at: int
    beat_at: int
    in_hand: int
    masters: int | None
    roles: list[str]
    state: str
    age: int
    live: bool
    jobs: list[int]
    unreachable: list[str] | None


class MastersDocument(TypedDict):
    """The masters; ``share`` is that of those asked that answer, null if none is asked."""

    known: int
    asked: int
    unreachable: list[str]
    share: float | None
    disabled: list[str]


class MastersPart(TypedDict):
    """Masters, agents and all processes."""

    masters: MastersDocument
    agents: list[OneProcess]
    processes: list[OneProcess]
    agents_error: str | None


class OldestJob(TypedDict):
    """The oldest unfinished job request."""

    id: int
    when: int
    age: int
    state: str


class BacklogDocument(TypedDict):
    """Numbers of unfinished and failed job requests; null if they cannot be read."""

    open: int | None
    oldest_open: OldestJob | None
    failed: int | None
    error: str | None


class JobsPart(TypedDict):
    """Job requests."""

    jobs: BacklogDocument


class OldestRequest(TypedDict):
    """The build request that has been pending longest."""

    buildername: str
    submitted_at: int
    age: int


class PoolLoad(TypedDict):
    """What a pool of masters has to do."""

    name: str
    pending: int
    running: int
    oldest_age: int | None


class FarmDocument(TypedDict):
    """What is pending and running; null if it is not read."""

    pending: int | None
    running: int | None
    oldest_pending: OldestRequest | None
    pools: list[PoolLoad]
    known_pools: list[str] | None
    error: str | None


class FarmPart(TypedDict):
    """The farm."""

    farm: FarmDocument


class DumpAge(TypedDict):
    """A dump; its age is null if it was never written."""

    name: str
    age: float | None


class DumpsStatus(TypedDict):
    """The regular dumps."""

    files: list[DumpAge]
    error: str | None


class DumpsPart(TypedDict):
    """The regular dumps; null if the process writes none."""

    dumps: DumpsStatus | None


class TrafficDocument(TypedDict):
    """Unanswered requests and open connections, and requests that each limit has refused."""

    requests: int
    connections: int
    limited: dict[str, int]


class HTTPPart(TypedDict):
    """The HTTP server of the process."""

    http: TrafficDocument


class ReloadDocument(TypedDict):
    """The last reload of the configuration; ``needs_restart`` lists keys that are not in force."""

    at: int
    ok: bool
    errors: list[str]
    needs_restart: list[str]


class ReloadPart(TypedDict):
    """The last reload; null if there was none."""

    reload: ReloadDocument | None


class NoPart(TypedDict):
    """No keys: there is only a verdict."""


class VerdictDocument(TypedDict):
    """Whether something works as far as is known, and its last error."""

    name: str
    ok: bool
    detail: str
    last_error: str | None
    last_error_at: float | None


class StatusDocument(
    ReadinessPart,
    ProcessPart,
    BrokerPart,
    DeadLettersPart,
    DatabasesPart,
    ReplicaPart,
    DirectoryPart,
    MastersPart,
    JobsPart,
    FarmPart,
    DumpsPart,
    HTTPPart,
    ReloadPart,
):
    """The state of the service: a word for all, the verdicts, and each part."""

    status: Literal["OK", "DEGRADED", "STARTING", "DRAINING", "UNKNOWN"]
    parts: list[VerdictDocument]
