"""The plan of a job request and its steps, as data that can be shown before it is executed.

Steps say what is to happen to the farm in Buildbot's words, and not how: each dialect carries them
out in its own way, and in the order of the plan where that matters to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import msgspec

from buildapi.model.outcome import Outcome


class StepsDocument(TypedDict):
    """Steps as clients of a dry run read them, each with its ``type``: writes happen first."""

    writes: list[dict[str, Any]]
    pokes: list[dict[str, Any]]


# The tags of steps stand in markers and in the plans that clients read: they outlive class names.


class Rebuild(msgspec.Struct, frozen=True, tag=True):
    """Submit a copy of a request: its builder, source and properties.

    ``build_id`` is the build it is asked for, None if it is asked for the request itself.
    """

    brid: int
    build_id: int | None
    buildername: str
    priority: int
    reason: str


class NewChange(msgspec.Struct, frozen=True):
    """The change that a new build request is for."""

    author: str
    branch: str
    revision: str
    files: Sequence[str]


class SubmitBuilds(msgspec.Struct, frozen=True, tag=True):
    """Submit a buildset for a new source stamp, with one build request per builder.

    ``properties`` are JSON values by name.
    """

    branch: str
    revision: str
    reason: str
    priority: int
    properties: Mapping[str, Any]  # whatever JSON value a client sends, passed on unread
    builders: Sequence[str]
    change: NewChange | None = None


class SetPriority(msgspec.Struct, frozen=True, tag=True):
    """Set the priority of a request that is still pending."""

    brid: int
    priority: int


class DropRequest(msgspec.Struct, frozen=True, tag=True):
    """Cancel a request while it is pending; decide again if a master has claimed it meanwhile.

    A master that claims it in the same moment must not build it nevertheless.
    """

    brid: int
    buildsetid: int


class DropRequests(msgspec.Struct, frozen=True, tag=True):
    """Cancel all of these requests that are still pending, at once.

    ``claimed``: stop the builds of those that a master claims first, too; ``note`` is shown with
    these.
    """

    brids: Sequence[int]
    buildsetids: Sequence[int]
    claimed: bool = True
    note: str = ""


class StopClaimed(msgspec.Struct, frozen=True, tag=True):
    """Stop the builds that masters are about to start for requests they have claimed.

    ``note`` is shown with the stopped builds.
    """

    brids: Sequence[int]
    note: str = ""


class Sharer(msgspec.Struct, frozen=True):
    """Another request that a build serves, and its push; ``author`` is None if unknown."""

    request_id: int
    branch: str | None
    revision: str | None
    author: str | None = None


class StopBuild(msgspec.Struct, frozen=True, tag=True):
    """Stop one build on the master that runs it, after checking that it is this build.

    ``master`` is the one that claimed the request, where the build number may belong to another
    build: two masters can claim one request, and then only the last claim is known.  ``note`` is
    shown with the stopped build.  ``sharers`` lose it as well: requests coalesced into it that
    nobody asked to cancel.
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


class SendChange(msgspec.Struct, frozen=True, tag=True):
    """Send a change to a master; ``master`` is its ``db_name``."""

    master: str
    branch: str
    revision: str
    revlink: str | None


Step = (
    Rebuild
    | SubmitBuilds
    | SetPriority
    | DropRequest
    | DropRequests
    | StopClaimed
    | StopBuild
    | Clobber
    | SendChange
)


class OutcomeLine(msgspec.Struct, frozen=True):
    """The message for one request (None: for steps of no request), by how its steps ended.

    ``open`` is used if no step failed and some are unconfirmed; if it is empty, ``failure`` is.
    """

    brid: int | None
    ok: str
    failure: str
    open: str = ""


class Plan(msgspec.Struct, frozen=True):
    """The steps of a job request, and the outcome if each step has the effect it names.

    ``outcome`` has no items for ``steps``: each adds its own when it is carried out.  If there are
    ``lines``, they and the items make its message.
    """

    outcome: Outcome
    steps: Sequence[Step] = ()
    lines: Sequence[OutcomeLine] = ()
