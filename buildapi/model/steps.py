"""The plan of a job request and its steps, as data that can be shown before it is executed."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from buildapi.model.outcome import Outcome


# The tags of steps stand in markers and in the plans that clients read: they outlive class names.
class RebuildStep(msgspec.Struct, frozen=True, tag="Requeue"):
    """Submit a copy of a buildset with one build request.

    ``properties`` are pairs of name and stored text, copied as they are.
    """

    buildername: str
    priority: int
    reason: str
    sourcestampid: int
    external_idstring: str | None
    properties: Sequence[tuple[str, str]]


class NewChange(msgspec.Struct, frozen=True):
    """The change that a new build request is for."""

    author: str
    branch: str
    revision: str
    files: Sequence[str]


class NewBuildset(msgspec.Struct, frozen=True, tag=True):
    """Submit a buildset for a new source stamp, with one build request per builder.

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
    """Set the priority of a request that is still pending."""

    brid: int
    priority: int


class DropRequest(msgspec.Struct, frozen=True, tag=True):
    """Complete a request that is still pending as failed, and its buildset with the last one.

    A master of Buildbot 0.8 never completes the buildset of a request that it did not build.
    """

    brid: int
    buildsetid: int


class DropRequests(msgspec.Struct, frozen=True, tag=True):
    """Complete the requests that are still pending, as :class:`DropRequest` does."""

    brids: Sequence[int]
    buildsetids: Sequence[int]


class Sharer(msgspec.Struct, frozen=True):
    """Another request that a build serves, and its push; ``author`` is None if unknown."""

    request_id: int
    branch: str | None
    revision: str | None
    author: str | None = None


class StopBuild(msgspec.Struct, frozen=True, tag=True):
    """Stop one build on the master that runs it, after checking that it is this build.

    Two masters of Buildbot 0.8.2 can claim one request; ``claimed_by_name`` then names only the
    last, where the build number may belong to another build.  ``note`` is shown with the stopped
    build.  ``sharers`` lose it as well: requests coalesced into it that nobody asked to cancel.
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
    """Ask the clobber service to remove the builder's files from the slave of a build."""

    build: StopBuild


class WatchDropped(msgspec.Struct, frozen=True, tag=True):
    """Check cancelled requests again: a master may have claimed them in the same moment.

    A master of Buildbot 0.8.2 claims by a SELECT and an unconditional UPDATE, so it may build a
    request that was completed between the two.  ``claimed``: also stop requests that a master
    claimed before they could be cancelled.
    """

    brids: Sequence[int]
    claimed: bool = True
    note: str = ""


class SendChange(msgspec.Struct, frozen=True, tag=True):
    """Send a change to a master; ``master`` is its ``db_name``."""

    master: str
    branch: str
    revision: str
    revlink: str | None


Write = RebuildStep | NewBuildset | SetPriority | DropRequest | DropRequests
Poke = StopBuild | Clobber | WatchDropped | SendChange


class OutcomeLine(msgspec.Struct, frozen=True):
    """The message for one request (None: for steps of no request), by how its steps ended.

    ``open`` is used if no step failed and some are unconfirmed; if it is empty, ``failure`` is.
    """

    brid: int | None
    ok: str
    failure: str
    open: str = ""


class Plan(msgspec.Struct, frozen=True):
    """The writes of one transaction, the pokes after it, and the outcome.

    ``outcome`` has no items for ``pokes``: each poke adds its own.  If there are ``lines``, they
    and the items make its message.
    """

    outcome: Outcome
    writes: Sequence[Write] = ()
    pokes: Sequence[Poke] = ()
    lines: Sequence[OutcomeLine] = ()


class Written(enum.Enum):
    """The result of the transaction of a plan.

    ``STALE``: a guard failed, nothing was written; read and decide again.
    ``BEFORE``: this job has a marker row already, nothing was written.
    """

    APPLIED = "applied"
    STALE = "stale"
    BEFORE = "before"


class Recorded(msgspec.Struct, frozen=True):
    """The marker row of a job: its plan as applied, and its outcome once settled.

    ``whole`` is false if writes may be missing: the agent died between them on a storage engine
    without transactions (MyISAM).
    """

    plan: Plan
    outcome: Outcome | None = None
    whole: bool = True
