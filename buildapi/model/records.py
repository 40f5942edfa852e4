"""What the databases say about builds, requests and job requests, as frozen values.

All times are whole seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import attrs


class Stage(enum.Enum):
    """Where a build request is in its life."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETE = "complete"


@attrs.frozen
class BuildRequest:
    """One row of ``buildrequests`` with the branch, revision and reason it stands for."""

    id: int
    buildsetid: int
    buildername: str
    branch: str | None
    revision: str | None
    reason: str | None
    priority: int
    submitted_at: int
    claimed_at: int | None
    claimed_by_name: str | None
    claimed_by_incarnation: str | None
    complete: bool
    complete_at: int | None
    results: int | None

    @property
    def stage(self) -> Stage:
        """Tell the stage; a NULL ``claimed_at`` counts as claimed: no master ever takes it."""
        if self.complete:
            return Stage.COMPLETE
        return Stage.PENDING if self.claimed_at == 0 else Stage.CLAIMED


@attrs.frozen
class Try:
    """One row of ``builds``: an attempt of a master to fulfil a request.

    ``number`` is unique only per master and builder.
    """

    id: int
    number: int
    brid: int
    start_time: int
    finish_time: int | None


@attrs.frozen
class Build:
    """A build and the requests it serves; coalesced requests share one build.

    The first request is the one of the row whose id the build carries.
    """

    id: int
    number: int
    start_time: int
    finish_time: int | None
    requests: Sequence[BuildRequest]


@attrs.frozen
class RequestDetails:
    """A request with its properties (decoded values by name) and the ids of its builds."""

    request: BuildRequest
    properties: Mapping[str, Any]
    build_ids: Sequence[int]


@attrs.frozen
class BuildDetails:
    """A build with the properties of each of its requests, in the order of ``build.requests``."""

    build: Build
    properties: Sequence[Mapping[str, Any]]


@attrs.frozen
class UserBuilds:
    """What belongs to the changes of one author."""

    builds: Sequence[Build]
    running: Sequence[Build]
    pending: Sequence[BuildRequest]


@attrs.frozen
class OpenMark:
    """What changes with a request that is not complete, once for each of its builds."""

    brid: int
    priority: int
    claimed: bool
    build_id: int | None
    ended: bool


@attrs.frozen
class BranchDay:
    """What happened on a branch: builds, newest first, and pending requests, newest first."""

    builds: Sequence[Build]
    pending: Sequence[BuildRequest]


class JobState(enum.Enum):
    """Where a job request is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@attrs.frozen
class Progress:
    """How far a running job is: its items so far (plain data), of ``total`` in the end."""

    total: int
    items: Sequence[Mapping[str, Any]]


KEY_SECONDS = 86_400
"""How long a key stands for its request."""


@attrs.frozen
class JobKey:
    """What a client calls its request by, so that repeating it does nothing again.

    ``name`` is of user and key, ``content`` of what was asked (64 hex digits each); ``words``
    are those of the first answer.
    """

    name: str
    content: str
    words: str


@attrs.frozen
class KeyedJob:
    """The job that a key stands for; ``accepted`` is false while that is not known yet."""

    key: JobKey
    request_id: int
    accepted: bool


@attrs.frozen
class AskedBuilds:
    """How many builds a job request asked for, and when, in seconds since the epoch."""

    when: int
    builds: int


@attrs.frozen
class JobRecord:
    """One row of ``jobrequests``; ``what`` and ``complete_data`` are decoded JSON objects.

    ``action`` is the whole name, also where an old table cut it.  ``branch`` is that of the path
    it was sent to; None where an old web process took it and it does not say.  ``identity`` tells
    it from an earlier job of the same id [see model.identity]; it is not shown to clients.
    """

    id: int
    action: str
    who: str
    when: int
    what: Mapping[str, Any]
    completed_at: int | None = None
    complete_data: Mapping[str, Any] | None = None
    state: JobState = JobState.QUEUED
    agent: str | None = None
    progress: Progress | None = None
    branch: str | None = None
    identity: str = attrs.field(default="", repr=False)


@attrs.frozen
class JobFilter:
    """Which job requests are looked for; None lets all through.

    ``since`` counts, ``until`` does not.
    """

    who: str | None = None
    branch: str | None = None
    action: str | None = None
    state: JobState | None = None
    since: int | None = None
    until: int | None = None


EVERY_JOB = JobFilter()


@attrs.frozen
class Backlog:
    """How many job requests are not finished, the oldest of them, and how many failed lately."""

    open: int
    oldest: JobRecord | None
    failed: int


@attrs.frozen
class JobMark:
    """What changes with a job: when any of it does, the job is worth reading again."""

    id: int
    completed_at: int | None
    state: str | None
    noted_at: int | None
