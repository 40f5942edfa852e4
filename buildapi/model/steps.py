"""What a job request makes happen, as printable data before any of it happens."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from buildapi.model.outcome import Outcome


class Requeue(msgspec.Struct, frozen=True, tag=True):
    """Submit a copy of a buildset with one request.

    ``properties`` are pairs of name and stored text, copied as they are.
    """

    buildername: str
    priority: int
    reason: str
    sourcestampid: int
    external_idstring: str | None
    properties: Sequence[tuple[str, str]]


class SetPriority(msgspec.Struct, frozen=True, tag=True):
    """Give a request, still pending, a priority."""

    brid: int
    priority: int


class DropRequest(msgspec.Struct, frozen=True, tag=True):
    """Complete a request, still pending, as failed; complete its buildset with its last request."""

    brid: int
    buildsetid: int


class StopBuild(msgspec.Struct, frozen=True, tag=True):
    """Stop one build on the master that runs it, after making sure that it is that build."""

    build_id: int
    brid: int
    number: int
    buildername: str
    start_time: int
    revision: str | None
    master: str


class WatchDropped(msgspec.Struct, frozen=True, tag=True):
    """Look at a dropped request again: a master may have claimed it in the same moment."""

    brid: int


Write = Requeue | SetPriority | DropRequest
Poke = StopBuild | WatchDropped


class Plan(msgspec.Struct, frozen=True):
    """Say what to write in one transaction, what to do afterwards, and how it ends if all is well.

    ``outcome`` has no items for ``pokes``: each poke adds its own.  ``failure`` is the message
    where one of them fails.
    """

    outcome: Outcome
    writes: Sequence[Write] = ()
    pokes: Sequence[Poke] = ()
    failure: str = ""


class Written(enum.Enum):
    """What became of the transaction of a plan.

    ``STALE``: a guard failed, nothing was written; read and decide again.
    ``BEFORE``: this job has a marker row already, nothing was written.
    """

    APPLIED = "applied"
    STALE = "stale"
    BEFORE = "before"


class Recorded(msgspec.Struct, frozen=True):
    """The marker row of a job: its plan as applied, and its outcome once settled.

    ``whole`` is false where the writes may not all have happened (an engine without
    transactions, and an agent that died in between).
    """

    plan: Plan
    outcome: Outcome | None = None
    whole: bool = True
