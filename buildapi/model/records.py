"""Builds, build requests and job requests as the databases record them.

All times are whole seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs
import msgspec


class Stage(enum.Enum):
    """The life stage of a build request."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETE = "complete"


class BuildRequest(msgspec.Struct, frozen=True):
    """A build request with branch and revision of its source stamp and its reason.

    ``claimed_at`` is 0 if no master has claimed it.
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
    complete: bool
    complete_at: int | None
    results: int | None

    @property
    def stage(self) -> Stage:
        """Return the stage."""
        if self.complete:
            return Stage.COMPLETE
        return Stage.CLAIMED if self.claimed_at else Stage.PENDING

    def awaits_build(self, ends: Iterable[int | None]) -> bool:
        """Return whether it is incomplete without a build, given the ends of its builds."""
        return awaits_build(self.complete, self.claimed_at, ends)


def awaits_build(complete: bool, claimed_at: int, ends: Iterable[int | None]) -> bool:
    """Return whether a request is incomplete and its present claim has no build yet.

    A master of Buildbot 0.8 claims, pings the slave and only then inserts the row of the build.
    ``ends`` are the finish times of the request's builds: those of earlier claims ended before
    this one, or in the same second; a build without an end is of this claim, or left over.
    """
    if complete or not claimed_at:
        return not complete
    return all(end is not None and end <= claimed_at for end in ends)


class RequestBuild(msgspec.Struct, frozen=True):
    """One build of a request; a retried request has several.

    ``number`` is unique only per master and builder.  ``left_over``: it has no end, and will have
    none, because its master died.
    """

    id: int
    number: int
    brid: int
    start_time: int
    finish_time: int | None
    left_over: bool = False


class Build(msgspec.Struct, frozen=True):
    """A build and the requests it serves; coalesced requests share one build.

    ``id`` is that of the row of the first request.  ``left_over``: a later build of that request
    shows that the master of this one died.
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
        """Return whether it has no end and no master works on its requests.

        Its master died; the requests are complete, pending again, or have a later build.
        """
        if self.finish_time is not None:
            return False
        # A master that ends in order ends its builds too; one that is killed never does (0.8.2).
        working = any(request.stage is Stage.CLAIMED for request in self.requests)
        return self.left_over or not working


@attrs.frozen
class RequestDetails:
    """A request with its properties (decoded values by name) and the ids of its builds.

    ``starting``: a master has claimed it and has not inserted its build yet.
    """

    request: BuildRequest
    properties: Mapping[str, object]
    build_ids: Sequence[int]
    starting: bool = False


@attrs.frozen
class BuildDetails:
    """A build with the properties of each of its requests, in the order of ``build.requests``."""

    build: Build
    properties: Sequence[Mapping[str, object]]


@attrs.frozen
class UserBuilds:
    """Builds and requests of one author's changes; ``pending`` includes requests being started."""

    builds: Sequence[Build]
    running: Sequence[Build]
    pending: Sequence[BuildRequest]


@attrs.frozen
class BranchDay:
    """Builds of a branch, and incomplete requests without a build; newest first.

    ``pending`` has unclaimed requests, and claimed ones whose build is not inserted yet.
    """

    builds: Sequence[Build]
    pending: Sequence[BuildRequest]

    @property
    def is_open(self) -> bool:
        """Return whether any request in it is not complete."""
        return bool(self.pending) or any(build.is_open for build in self.builds)

    @property
    def revisions(self) -> Sequence[str | None]:
        """List the stored revisions of the builds, then of the pending requests."""
        return [b.requests[0].revision for b in self.builds] + [r.revision for r in self.pending]

    def only(self, wanted: Callable[[str | None], bool]) -> BranchDay:
        """Return the builds and requests whose stored revision is ``wanted``."""
        return attrs.evolve(
            self,
            builds=[b for b in self.builds if wanted(b.requests[0].revision)],
            pending=[r for r in self.pending if wanted(r.revision)],
        )


class JobState(enum.Enum):
    """The state of a job request."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@attrs.frozen
class Progress:
    """The progress of a running job: items so far (plain data), and ``total`` at the end."""

    total: int
    items: Sequence[Mapping[str, object]]


# 24 hours [docs/api.md, "On every job request"].
KEY_SECONDS = 86_400
"""Seconds for which an idempotency key stands for its job request."""


@attrs.frozen
class JobKey:
    """The idempotency key of a job request: repeating the request submits no second job.

    ``name`` is a digest of user and key, ``content`` one of the request (64 hex digits each);
    ``words`` is the message of the first response.
    """

    name: str
    content: str
    words: str


@attrs.frozen
class KeyedJob:
    """The job that an idempotency key stands for; ``accepted`` is false until that is known."""

    key: JobKey
    request_id: int
    accepted: bool


@attrs.frozen
class AskedBuilds:
    """The number of builds a job request asked for; ``when`` is in seconds since the epoch."""

    when: int
    builds: int


@attrs.frozen
class JobRecord:
    """A row of ``jobrequests``; ``what`` and ``complete_data`` are decoded JSON objects.

    ``action`` is the whole name, also if an old table cut it.  ``branch`` is that of the request
    path; None if an older web process recorded the job without one.  ``identity`` tells it from an
    earlier job of the same id [see model.job_identity]; clients never see it.
    """

    id: int
    action: str
    who: str
    when: int
    what: Mapping[str, object]
    completed_at: int | None = None
    complete_data: Mapping[str, object] | None = None
    state: JobState = JobState.QUEUED
    agent: str | None = None
    progress: Progress | None = None
    branch: str | None = None
    identity: str = attrs.field(default="", repr=False)


@attrs.frozen
class JobFilter:
    """Select job requests; None selects all.

    The time range is ``[since, until)``, in seconds since the epoch.
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
    """The number of unfinished jobs, the oldest of them, and the number of recent failures."""

    open: int
    oldest: JobRecord | None
    failed: int
