"""Values of operation: heartbeats of processes, the audit trail, API tokens, states of services."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import attrs

from buildapi.model.token_scope import NO_LIMITS, TokenScope


class ProcessState(enum.Enum):
    """The state of a process; unknown if a newer version wrote another word."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    UNKNOWN = "unknown"


@attrs.frozen
class Heartbeat:
    """The heartbeat of a process; times are seconds since the epoch.

    ``instance`` is unique among all processes there ever were.  ``in_hand`` counts its unsettled
    messages, ``jobs`` are ids of job requests among them, not necessarily all.  ``unreachable``
    lists the masters that did not answer, of ``masters`` probed; both are None if it probes none.
    """

    instance: str
    name: str
    pid: int
    version: str
    roles: Sequence[str]
    state: ProcessState
    started_at: int
    beat_at: int
    in_hand: int = 0
    jobs: Sequence[int] = ()
    masters: int | None = None
    unreachable: Sequence[str] | None = None


class Part(enum.Enum):
    """The service that recorded an event of a job request.

    ``OTHER`` is a service that only a newer version has.
    """

    HTTP = "http"
    OUTBOX = "outbox"
    AGENT = "agent"
    FINISHER = "finisher"
    OTHER = "other"


@attrs.frozen
class TrailEntry:
    """An event of the audit trail; ``at`` is in seconds since the epoch, with a fraction.

    ``trace`` is the id of the HTTP request that submitted the job, empty if unknown.
    """

    job_id: int
    at: float
    host: str
    part: Part
    event: str
    detail: str = ""
    trace: str = ""


CLOCKS_APART = 60
"""Seconds by which the clocks of hosts may differ.

Events and markers older than a job by more are of an earlier job with the same id.
"""


def first_trace(entries: Iterable[TrailEntry]) -> str:
    """Return the id of the HTTP request in the first entry that has one; empty if none has."""
    return next((entry.trace for entry in entries if entry.trace), "")


# A busy token would otherwise be a write for each of its requests.
USED_SECONDS = 60
"""Seconds within which the use of a token from one address is not recorded again."""

ADDRESS_MAX = 100
"""Maximum length of a recorded address in characters; longer ones are cut."""

ADDRESSES_KEPT = 20
"""Addresses of a token that are kept: those that used it last."""


@attrs.frozen
class Token:
    """An API token of a user, valid until ``expires_at``; only its digest is stored.

    Times are seconds since the epoch; ``used_at`` is exact to the minute, None before first use.
    ``used_from`` is the address of the client that used it last, None if unknown.
    """

    id: int
    who: str
    label: str
    created_at: int
    expires_at: int
    used_at: int | None = None
    scope: TokenScope = NO_LIMITS
    used_from: str | None = None


@attrs.frozen
class DocumentState:
    """The state of a directory document; ``age`` is in seconds, None if it was never read.

    ``warnings`` name the entries that are not used as they are, and why.
    """

    name: str
    age: float | None
    last_error: str | None = None
    last_error_at: float | None = None
    warnings: Sequence[str] = ()


@attrs.frozen
class DumpState:
    """The state of a dump; ``age`` is in seconds, None if it was never written."""

    name: str
    age: float | None
    last_error: str | None = None
    last_error_at: float | None = None


@attrs.frozen
class PoolState:
    """The state of a connection pool; ``connect_seconds`` is how long a new connection took.

    ``error`` is why it could not be opened; ``last_error_at`` is in seconds since the epoch.
    """

    name: str
    kind: str
    in_flight: int
    waiting: int
    last_error: str | None
    last_error_at: float | None
    connect_seconds: float | None = None
    error: str | None = None
