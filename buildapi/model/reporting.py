"""What reports are computed from: rows of the two databases, as frozen values.

All times are whole seconds since the epoch; ``branch`` and ``revision`` are the stored values.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from buildapi.model.durations import elapsed
from buildapi.model.farmwide import BranchFilter
from buildapi.model.revisions import RevisionMatch, short_revision


class Status(enum.IntEnum):
    """How far a build request is, by the times its rows have [contract 6.1]."""

    PENDING = 0
    RUNNING = 1
    COMPLETE = 2
    CANCELLED = 3
    INTERRUPTED = 4
    MISC = 5


def status_of(
    *,
    complete: bool,
    complete_at: int | None,
    finish_time: int | None,
    start_time: int | None,
    claimed_at: int | None,
) -> Status:
    """Tell the status; a time of zero is none."""
    times = (bool(complete_at), bool(finish_time), bool(start_time), bool(claimed_at))
    return _STATUS.get((complete, *times), Status.MISC)


_STATUS = {
    (False, False, False, True, True): Status.RUNNING,
    (False, False, False, False, False): Status.PENDING,
    (True, True, True, True, True): Status.COMPLETE,
    (True, True, False, False, False): Status.CANCELLED,
    (True, True, False, True, True): Status.INTERRUPTED,
}


@attrs.frozen
class Waiting:
    """A build request, when its first build started, and when its first change was made."""

    request_id: int
    buildername: str
    submitted_at: int
    start_time: int | None
    change_time: int | None
    claimed_by_name: str | None
    complete: bool


@attrs.frozen
class Attempt:
    """A build request with one of its builds, or none: what its builder's times need."""

    buildername: str
    status: Status
    results: int
    start_time: int | None
    finish_time: int | None

    @property
    def run_time(self) -> int | None:
        """Return seconds from start to finish of the build, None where they are not known."""
        return elapsed(self.start_time, self.finish_time)


@attrs.frozen
class RequestRow:
    """A build request with one of its builds and its changes; ``change`` values are the first's."""

    request_id: int
    build_id: int | None
    number: int | None
    buildsetid: int
    ssid: int
    buildername: str
    reason: str | None
    branch: str | None
    revision: str | None
    submitted_at: int
    claimed_at: int | None
    claimed_by_name: str | None
    start_time: int | None
    finish_time: int | None
    complete: bool
    complete_at: int | None
    results: int
    change_ids: tuple[int | None, ...]
    authors: tuple[str, ...]
    change_revisions: tuple[str | None, ...]
    when_timestamp: int | None
    comments: str | None
    revlink: str | None
    category: str | None
    repository: str | None
    project: str | None

    @property
    def status(self) -> Status:
        """Tell how far it is."""
        return status_of(
            complete=self.complete,
            complete_at=self.complete_at,
            finish_time=self.finish_time,
            start_time=self.start_time,
            claimed_at=self.claimed_at,
        )

    @property
    def change_time(self) -> int:
        """Give when its change was made; without one, when it was submitted."""
        return self.when_timestamp or self.submitted_at

    @property
    def short_revision(self) -> str | None:
        """Return what tells the revision: the first digits of a hash, else all of it."""
        return None if self.revision is None else short_revision(self.revision)

    @property
    def duration(self) -> int | None:
        """Return seconds from the change to the end; 0 without one, None where they contradict."""
        return elapsed(self.change_time, self.complete_at) if self.complete_at else 0

    @property
    def wait_time(self) -> int | None:
        """Return seconds from the change to the start; 0 without, None where they contradict."""
        return elapsed(self.change_time, self.start_time) if self.start_time else 0

    @property
    def run_time(self) -> int | None:
        """Return seconds from start to finish of the build, None where they are not known."""
        return elapsed(self.start_time, self.finish_time)


@attrs.frozen
class PendingChange:
    """A change that is in no source stamp yet."""

    changeid: int
    revision: str | None
    branch: str | None
    when_timestamp: int


@attrs.frozen
class Push:
    """What was pushed to a stored branch at one time."""

    when_timestamp: int
    branch: str | None


@attrs.frozen
class StatusBuild:
    """A build by the status database; ``result`` is -1 without one."""

    slave_id: int
    slave: str
    builder_id: int
    builder: str
    start: int | None
    end: int | None
    result: int

    @property
    def duration(self) -> int | None:
        """Return seconds from start to end; 0 where one is missing, None where they contradict."""
        return elapsed(self.start, self.end) if self.start and self.end else 0


@attrs.frozen
class JobTime:
    """What a builder's builds took in the mean, and the tests in them, in whole seconds."""

    builder: str
    builds: int
    total: float
    test: float


@attrs.frozen
class Span:
    """Times from ``start`` up to ``end``, in seconds since the epoch."""

    start: float
    end: float


@attrs.frozen
class WaitingFilter:
    """Whose waits are wanted: claimed by masters whose names begin so, or by none.

    All else are SQL patterns of what is left out.
    """

    span: Span
    masters: Sequence[str]
    builders_unlike: Sequence[str] = ()
    reasons_unlike: Sequence[str] = ()
    comments_unlike: Sequence[str] = ()


@attrs.frozen
class ChangeFilter:
    """Which changes are pushes: stored branches unlike these, links or comments that begin so."""

    span: Span
    branches_unlike: Sequence[str] = ()
    links: Sequence[str] = ()


EVERY_BRANCH = BranchFilter()


@attrs.frozen
class RowFilter:
    """Which requests are wanted: submitted in a span (None: at any time), on some branches.

    ``builder`` is the whole name.
    """

    span: Span | None = None
    branches: BranchFilter = EVERY_BRANCH
    revision: RevisionMatch | None = None
    builder: str | None = None


@attrs.frozen
class JobTimeFilter:
    """Which builds count for test times: all of it in the span, longer and shorter than bounds.

    ``categories`` are exact, none for all; ``step_patterns`` are SQL patterns.
    """

    span: Span
    categories: Sequence[str]
    steps: Sequence[str]
    step_patterns: Sequence[str]
    excluded: Sequence[str]
    results: Sequence[int]
    longer: int
    shorter: int
