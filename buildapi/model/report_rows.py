"""The rows that reports are computed from, and what a report asks for.

All times are whole seconds since the epoch; ``branch`` and ``revision`` are the stored values.
Patterns are those of classification.toml, where ``%`` stands for any text and ``_`` for one
character, as in SQL: the file is the site's own, and its rules are passed on as they are.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from buildapi.model.durations import elapsed
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.revisions import RevisionMatch, short_revision


class Status(enum.IntEnum):
    """The status of a build request, derived from the times in its rows."""

    # The numbers are in the JSON of reports, and stay [docs/compatibility.md, "Reports"].
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
    """Return the status; a time of 0 counts as missing.

    ``MISC`` is every other combination, such as a build of a request that is being retried.
    """
    times = (bool(complete_at), bool(finish_time), bool(start_time), bool(claimed_at))
    return _STATUS.get((complete, *times), Status.MISC)


# [docs/reports.md, "Status of a request"]: complete, then the times in the order of status_of.
_STATUS = {
    (False, False, False, True, True): Status.RUNNING,
    (False, False, False, False, False): Status.PENDING,
    (True, True, True, True, True): Status.COMPLETE,
    (True, True, False, False, False): Status.CANCELLED,
    (True, True, False, True, True): Status.INTERRUPTED,
}


@attrs.frozen
class Waiting:
    """A build request with the start of its first build and the time of its first change."""

    request_id: int
    buildername: str
    submitted_at: int
    start_time: int | None
    change_time: int | None
    claimed_by_name: str | None
    complete: bool


@attrs.frozen
class Attempt:
    """A build request with one of its builds, or none, for the run times of its builder."""

    buildername: str
    status: Status
    results: int
    start_time: int | None
    finish_time: int | None

    @property
    def run_time(self) -> int | None:
        """Return the seconds from start to finish of the build; None if unknown."""
        return elapsed(self.start_time, self.finish_time)


@attrs.frozen
class RequestRow:
    """A build request with one of its builds and its changes.

    ``when_timestamp`` to ``project`` are those of the first change.
    """

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
        """Return the status, derived from its times."""
        return status_of(
            complete=self.complete,
            complete_at=self.complete_at,
            finish_time=self.finish_time,
            start_time=self.start_time,
            claimed_at=self.claimed_at,
        )

    @property
    def change_time(self) -> int:
        """Return the time of the change; of the submission if there is no change."""
        return self.when_timestamp or self.submitted_at

    @property
    def short_revision(self) -> str | None:
        """Return the first digits of a hash; any other revision whole."""
        return None if self.revision is None else short_revision(self.revision)

    @property
    def duration(self) -> int | None:
        """Return the seconds from change to completion; 0 if incomplete, None if negative."""
        # 0 while it is incomplete: keys keep their meaning [docs/compatibility.md, "Reports"].
        return elapsed(self.change_time, self.complete_at) if self.complete_at else 0

    @property
    def wait_time(self) -> int | None:
        """Return the seconds from change to start; 0 if not started, None if negative."""
        return elapsed(self.change_time, self.start_time) if self.start_time else 0

    @property
    def run_time(self) -> int | None:
        """Return the seconds from start to finish of the build; None if unknown."""
        return elapsed(self.start_time, self.finish_time)


@attrs.frozen
class PendingChange:
    """A change that no source stamp has yet."""

    changeid: int
    revision: str | None
    branch: str | None
    when_timestamp: int


@attrs.frozen
class PushTime:
    """The changes of one time on one stored branch, counted as one push."""

    when_timestamp: int
    branch: str | None


@attrs.frozen
class StatusBuild:
    """A build from the status database; ``result`` is -1 if it has none."""

    slave_id: int
    slave: str
    builder_id: int
    builder: str
    start: int | None
    end: int | None
    result: int

    @property
    def duration(self) -> int | None:
        """Return the seconds from start to end; 0 if one is missing, None if negative."""
        return elapsed(self.start, self.end) if self.start and self.end else 0


@attrs.frozen
class JobTime:
    """Mean seconds of the builds of a builder (``total``), and of the tests in them."""

    builder: str
    builds: int
    total: float
    test: float


@attrs.frozen
class Span:
    """The time range ``[start, end)``, in seconds since the epoch."""

    start: float
    end: float


@attrs.frozen
class WaitingFilter:
    """Select requests claimed by masters with one of these name prefixes, or unclaimed.

    The other fields are patterns of rows to leave out.
    """

    span: Span
    masters: Sequence[str]
    builders_unlike: Sequence[str] = ()
    reasons_unlike: Sequence[str] = ()
    comments_unlike: Sequence[str] = ()


@attrs.frozen
class ChangeFilter:
    """Select the changes that count as pushes.

    Their stored branch matches none of the patterns ``branches_unlike``; their link or comment
    begins with one of ``links``.
    """

    span: Span
    branches_unlike: Sequence[str] = ()
    links: Sequence[str] = ()


EVERY_BRANCH = BranchFilter()


@attrs.frozen
class RowFilter:
    """Select requests submitted in a span (None: at any time); None selects all.

    ``builder`` is the whole name.
    """

    span: Span | None = None
    branches: BranchFilter = EVERY_BRANCH
    revision: RevisionMatch | None = None
    builder: str | None = None


@attrs.frozen
class JobTimeFilter:
    """Select builds for test times: wholly in the span, within bounds of seconds.

    ``categories`` are exact, none for all; ``step_patterns`` are patterns.
    """

    span: Span
    categories: Sequence[str]
    steps: Sequence[str]
    step_patterns: Sequence[str]
    excluded: Sequence[str]
    results: Sequence[int]
    longer: int
    shorter: int
