"""What the program knows of itself: its processes, what became of jobs on their way, tokens."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import attrs


class ProcessState(enum.Enum):
    """Where a process is in its life; unknown where a newer version has another word for it."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    UNKNOWN = "unknown"


@attrs.frozen
class Beat:
    """What a process says of itself regularly; times are seconds since the epoch.

    ``instance`` is its own among all that ever were.  ``in_hand`` counts the messages it has not
    settled, ``jobs`` are ids of job requests among them, not necessarily all.  ``unreachable``
    are masters that do not answer it, of ``masters`` it asked; both are None where it asks none.
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
    """Which part of the program noted something of a job request.

    The other one is of a version that has more of them than this.
    """

    HTTP = "http"
    OUTBOX = "outbox"
    AGENT = "agent"
    FINISHER = "finisher"
    OTHER = "other"


@attrs.frozen
class TrailEntry:
    """Something that happened to a job request; ``at`` is in seconds since the epoch, with parts.

    ``trace`` is the id of the HTTP request it began with, empty where that is not known.
    """

    job_id: int
    at: float
    host: str
    part: Part
    event: str
    detail: str = ""
    trace: str = ""


CLOCKS_APART = 60
"""Seconds by which clocks may differ; an id of a job may be given out again, much later."""


def first_trace(entries: Iterable[TrailEntry]) -> str:
    """Give the id of the HTTP request that a job began with, as its trail tells; empty for none."""
    return next((entry.trace for entry in entries if entry.trace), "")


USED_SECONDS = 60
"""How exact it is when a token was used last."""


@attrs.frozen
class Token:
    """A token that stands for its user until ``expires_at``; only its digest is kept.

    Times are seconds since the epoch; ``used_at`` is exact to the minute,
    None before the first use.
    """

    id: int
    who: str
    label: str
    created_at: int
    expires_at: int
    used_at: int | None = None


@attrs.frozen
class DocumentState:
    """How a document of the directory is; ``age`` is in seconds, None where it was never good.

    ``warnings`` name the entries of it that are not used as they are, and why.
    """

    name: str
    age: float | None
    last_error: str | None = None
    last_error_at: float | None = None
    warnings: Sequence[str] = ()


@attrs.frozen
class DumpState:
    """How a dump is; ``age`` is in seconds, None where none was ever written."""

    name: str
    age: float | None
    last_error: str | None = None
    last_error_at: float | None = None


@attrs.frozen
class PoolState:
    """How a pool of connections is, and how long opening another one took just now.

    ``error`` is why none could be opened; ``last_error_at`` is in seconds since the epoch.
    """

    name: str
    kind: str
    in_flight: int
    waiting: int
    last_error: str | None
    last_error_at: float | None
    connect_seconds: float | None = None
    error: str | None = None
