"""What the databases say about builds, requests and job requests, as frozen values.

All times are whole seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs


class Stage(enum.Enum):
    """Where a build request is in its life."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETE = "complete"


@attrs.frozen
class BuildRequest:
    """One row of ``buildrequests`` with the branch, revision and reason it stands for.

    ``claimed_at`` is 0 where no master has claimed it, also where the row has NULL.
    """

    id: int
    buildsetid: int
    buildername: str
    branch: str | None
    revision: str | None
    reason: str | None
    priority: int
    submitted_at: int
    claimed_at: int
    claimed_by_name: str | None
    claimed_by_incarnation: str | None
    complete: bool
    complete_at: int | None
    results: int | None

    @property
    def stage(self) -> Stage:
        """Return the stage; a NULL ``claimed_at`` is as 0."""
        if self.complete:
            return Stage.COMPLETE
        return Stage.CLAIMED if self.claimed_at else Stage.PENDING

    def awaits_build(self, ends: Iterable[int | None]) -> bool:
        """Return whether it is open without a build, given the ends of the builds it had."""
        return awaits_build(self.complete, self.claimed_at, ends)


def awaits_build(complete: bool, claimed_at: int, ends: Iterable[int | None]) -> bool:
    """Return whether a request is open and no build of its present claim has begun.

    A master of Buildbot 0.8 claims, prepares the slave and only then inserts the row of the build.
    ``ends`` are the ends of the builds that the request had: those of earlier claims ended before
    this one, or in the same second; a build without an end is of this claim, or left over.
    """
    if complete or not claimed_at:
        return not complete
    return all(end is not None and end <= claimed_at for end in ends)


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


CLAIM_LAPSES = 3000
"""Seconds after which no two builds are a double claim: masters take claims over after 3600."""


class Numbered(Protocol):
    """What tells builds of one request apart."""

    @property
    def number(self) -> int: ...
    @property
    def start_time(self) -> int: ...


def is_left_over(old: Numbered, later: Iterable[Numbered]) -> bool:
    """Return whether a build without an end is a dead master's, by later ones of its request.

    The later one has its number (a restarted master), or began after the claim had lapsed
    (another master).
    """
    return any(
        one.number == old.number or one.start_time - old.start_time > CLAIM_LAPSES for one in later
    )


@attrs.frozen
class Build:
    """A build and the requests it serves; coalesced requests share one build.

    The first request is the one of the row whose id the build carries.  ``left_over``: a later
    build of it shows that the master of this one died.
    """

    id: int
    number: int
    start_time: int
    finish_time: int | None
    requests: Sequence[BuildRequest]
    left_over: bool = False

    @property
    def is_open(self) -> bool:
        """Return whether any request it serves is not complete."""
        return any(not request.complete for request in self.requests)

    @property
    def is_abandoned(self) -> bool:
        """Return whether it never got its end and nobody works on what it serves.

        Its master died, and the requests were completed or built otherwise, or wait once more.
        """
        working = any(request.stage is Stage.CLAIMED for request in self.requests)
        return self.finish_time is None and (self.left_over or not working)


@attrs.frozen
class RequestDetails:
    """A request with its properties (decoded values by name) and the ids of its builds.

    ``starting``: a master has claimed it, and its build is not there yet.
    """

    request: BuildRequest
    properties: Mapping[str, Any]
    build_ids: Sequence[int]
    starting: bool = False


@attrs.frozen
class BuildDetails:
    """A build with the properties of each of its requests, in the order of ``build.requests``."""

    build: Build
    properties: Sequence[Mapping[str, Any]]


@attrs.frozen
class UserBuilds:
    """What belongs to the changes of one author; ``pending`` also has what is starting."""

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
    """What happened on a branch: builds, and open requests without a build; newest first.

    ``pending`` has requests that no master has claimed, and those whose build is starting.
    """

    builds: Sequence[Build]
    pending: Sequence[BuildRequest]

    @property
    def is_open(self) -> bool:
        """Return whether any request of it is not complete."""
        return bool(self.pending) or any(build.is_open for build in self.builds)

    @property
    def revisions(self) -> Sequence[str | None]:
        """List the stored revisions of all, in their order."""
        return [b.requests[0].revision for b in self.builds] + [r.revision for r in self.pending]

    def only(self, wanted: Callable[[str | None], bool]) -> BranchDay:
        """Return what is of the wanted revisions."""
        return attrs.evolve(
            self,
            builds=[b for b in self.builds if wanted(b.requests[0].revision)],
            pending=[r for r in self.pending if wanted(r.revision)],
        )


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
