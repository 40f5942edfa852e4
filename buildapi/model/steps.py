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


class NewChange(msgspec.Struct, frozen=True):
    """The change that a new build is for."""

    author: str
    branch: str
    revision: str
    files: Sequence[str]


class NewBuildset(msgspec.Struct, frozen=True, tag=True):
    """Submit a buildset for a new source stamp, with one request for each builder.

    ``properties`` are pairs of name and stored text.
    """

    branch: str
    revision: str
    reason: str
    priority: int
    properties: Sequence[tuple[str, str]]
    builders: Sequence[str]
    change: NewChange | None = None


class SetPriority(msgspec.Struct, frozen=True, tag=True):
    """Give a request, still pending, a priority."""

    brid: int
    priority: int


class DropRequest(msgspec.Struct, frozen=True, tag=True):
    """Complete a request, still pending, as failed; complete its buildset with its last request."""

    brid: int
    buildsetid: int


class DropRequests(msgspec.Struct, frozen=True, tag=True):
    """Complete those of many requests that are still pending, as :class:`DropRequest` does."""

    brids: Sequence[int]
    buildsetids: Sequence[int]


class Sharer(msgspec.Struct, frozen=True):
    """Another request that a build is for, and its push; ``author`` is None where not known."""

    request_id: int
    branch: str | None
    revision: str | None
    author: str | None = None


class StopBuild(msgspec.Struct, frozen=True, tag=True):
    """Stop one build on the master that runs it, after making sure that it is that build.

    ``note`` is shown with the stopped build.  ``sharers`` lose it as well: requests that the
    master made the same build of, and that nobody asked to stop.
    """

    build_id: int
    brid: int
    number: int
    buildername: str
    start_time: int
    revision: str | None
    master: str
    note: str = ""
    sharers: Sequence[Sharer] = ()


class Clobber(msgspec.Struct, frozen=True, tag=True):
    """Have the slave of a build remove what it has of its builder."""

    build: StopBuild


class WatchDropped(msgspec.Struct, frozen=True, tag=True):
    """Look at dropped requests again: a master may have claimed them in the same moment.

    Those it claimed before that, and so were not dropped, are stopped if ``claimed`` says so.
    """

    brids: Sequence[int]
    claimed: bool = True
    note: str = ""


class SendChange(msgspec.Struct, frozen=True, tag=True):
    """Tell a master of a change; ``master`` is its ``db_name``."""

    master: str
    branch: str
    revision: str
    revlink: str | None


Write = Requeue | NewBuildset | SetPriority | DropRequest | DropRequests
Poke = StopBuild | Clobber | WatchDropped | SendChange


class Line(msgspec.Struct, frozen=True):
    """What is said of one request, by how the steps for it ended (None: those for none).

    ``open`` is said where no step failed and some are unconfirmed; empty: ``failure`` is.
    """

    brid: int | None
    ok: str
    failure: str
    open: str = ""


class Plan(msgspec.Struct, frozen=True):
    """Say what to write in one transaction, what to do afterwards, and how it ends.

    ``outcome`` has no items for ``pokes``: each poke adds its own.  Where there are ``lines``,
    they and the items make its message.
    """

    outcome: Outcome
    writes: Sequence[Write] = ()
    pokes: Sequence[Poke] = ()
    lines: Sequence[Line] = ()


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
