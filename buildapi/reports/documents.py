"""Types of the JSON documents of reports: what is returned, and what is documented.

Times are in seconds since the epoch, durations in seconds.  Keys are only ever added: programs read
the others [docs/compatibility.md, "Reports"].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict


class ReportListDocument(TypedDict):
    """The paths of the reports by their titles."""

    reports: dict[str, str]


class ReportSpan(TypedDict):
    """The window of a report: its start (inclusive) and its end (exclusive)."""

    starttime: float
    endtime: float


class Intervals(TypedDict):
    """A number in all, and in each interval of the window."""

    total: int
    intervals: list[int]


# --- build requests and build runs


class RequestRowDocument(TypedDict):
    """A build request with one of its builds and its first change."""

    number: int | None
    brid: int
    bid: int | None
    changeid: list[int | None]
    branch: str | None
    branch_name: str | None
    buildername: str
    ssid: int
    revision: str | None
    when_timestamp: int | None
    submitted_at: int
    claimed_at: int | None
    start_time: int | None
    complete_at: int | None
    finish_time: int | None
    claimed_by_name: str | None
    complete: int
    reason: str | None
    results: int
    results_str: str
    status: int
    status_str: str
    authors: list[str]
    comments: str | None
    revlink: str | None
    category: str | None
    repository: str | None
    project: str | None
    buildsetid: int


class BuildRunDocument(TypedDict):
    """All that was built of a revision, with the number of requests in each status."""

    revision: str | None
    changes_revision: list[str]
    results: int
    results_str: str
    is_complete: Literal["yes", "no"]
    total_build_requests: int
    duration: int | None
    lst_change_time: int
    gst_finish_time: int
    complete: int
    running: int
    pending: int
    cancelled: int
    interrupted: int
    misc: int
    rebuilds: int
    forcebuilds: int
    builds: int
    unittests: int
    talos: int
    authors: list[str]


class BuildRunDetails(BuildRunDocument):
    """The same with its build requests; ``revisions`` if the hash fits several."""

    build_requests: list[RequestRowDocument]
    revisions: NotRequired[list[str]]


class RunTotals(ReportSpan):
    """The totals of the build runs of a branch."""

    branch_name: str
    total_build_requests: int
    unique_total_build_requests: int
    total_build_runs: int
    avg_duration: int


class EndToEndDocument(RunTotals):
    """The build runs of a branch by revision."""

    build_runs: dict[str, BuildRunDocument]


class TryRunDocument(BuildRunDocument):
    """A build run: whether any of its changes used try syntax, and by author."""

    uses_try_chooser: dict[str, bool]
    used_trychooser: bool


class TrySyntaxDocument(RunTotals):
    """The build runs of a branch, with the authors who use try syntax."""

    build_runs: dict[str, TryRunDocument]
    authors_used: list[str]
    authors_not_used: list[str]


# --- run times


class RunTimesDocument(TypedDict):
    """Run times of the builds of a builder, or of a group of them."""

    buildername: str
    platform: str
    build_type: str
    job_type: str
    avg_run_time: int
    min_run_time: int
    max_run_time: int
    sum_run_time: int
    total_build_requests: int
    median_run_time: int
    p95_run_time: int


class ListedRunTimes(RunTimesDocument):
    """The same with its share of all run time, in percent."""

    ptg_run_time: str


class BuildersDocument(ReportSpan):
    """Run times by builder or group."""

    branch_name: str
    detail_level: int
    sum_run_time: int
    platform: list[str]
    build_type: list[str]
    job_type: list[str]
    buildername: list[str]
    builders: list[ListedRunTimes]


class BuilderDocument(ReportSpan, RunTimesDocument):
    """Run times of a builder, and its build requests."""

    build_requests: list[RequestRowDocument]


# --- waits and pushes


class PlatformWaits(TypedDict):
    """Waits of a platform: by block of minutes, and percentiles in minutes."""

    total: int
    wt: dict[str, Intervals]
    percentiles: dict[str, float]


class WaitingDocument(TypedDict):
    """A request that has not started."""

    request_id: int
    buildername: str
    since: int
    seconds: int


class WaitTimesDocument(ReportSpan):
    """Waits of the jobs of a pool."""

    pool: str
    masters: list[str]
    int_size: int
    mpb: int
    maxb: int
    no_changes: int
    otherplatforms: list[str]
    unknownbuilders: list[str]
    pending: list[str]
    total: int
    wt: dict[str, Intervals]
    platforms: dict[str, PlatformWaits]
    percentiles: dict[str, float]
    waiting: list[WaitingDocument]
    contradictory: NotRequired[int]


class PushesReportDocument(ReportSpan):
    """Pushes in all, by branch, and on average by hour of the day."""

    int_size: int
    total: int
    intervals: list[int]
    branch: dict[str, Intervals]
    hours: list[float]


# --- the status database


class ResultsDocument(TypedDict):
    """Numbers of builds by result."""

    results_success: int
    results_warnings: int
    results_failure_all: int
    results_failure: int
    results_skipped: int
    results_exception: int
    results_retry: int


class SlaveDocument(ReportSpan, ResultsDocument):
    """A slave: how busy it was, in percent, and the results of its builds."""

    slave_id: int
    name: str | None
    busy: float
    busy_last_int_size: float
    avg_build_duration: int
    total: int
    int_size: int
    last_int_size: int


class SlaveBuild(ReportSpan):
    """A build of a slave; a time that is unknown is 0."""

    slave_id: int
    slave_name: str
    builder_id: int
    duration: int | None
    result: int


class SlaveDetails(SlaveDocument):
    """The same with its builds."""

    builds: list[SlaveBuild]


class SlavesDocument(ReportSpan):
    """All slaves."""

    last_int_size: int
    slaves: list[SlaveDocument]


class NamedBuilderDocument(ReportSpan, ResultsDocument):
    """A builder on all masters."""

    name: str
    avg_build_duration: int
    total: int


class StatusBuildersDocument(ReportSpan):
    """All builders of the status database."""

    builders: list[NamedBuilderDocument]


class StatusBuilderDocument(NamedBuilderDocument):
    """A builder and the slaves that it ran on."""

    slaves: list[SlaveDocument]


class JobTimesDocument(TypedDict):
    """Mean seconds of the test jobs of a builder or suite, and of the tests in them."""

    total: int
    test: int
    ratio: str
    platform: str | None


class TestRunsDocument(ReportSpan):
    """Test jobs by builder or suite."""

    total: int
    category: str
    btype: str
    group: bool | None
    builders: dict[str, JobTimesDocument]


# Not a class: one of its keys has blanks.
IdleBuilder = TypedDict("IdleBuilder", {"intervals": list[int], "total compute time": int})


class IdleJobsDocument(ReportSpan):
    """Jobs that ran on idle slaves, by builder."""

    int_size: int
    total: int
    builders: dict[str, IdleBuilder]


class NamesDocument(TypedDict):
    """Numbers of names, and the unmatched ones by group of rules."""

    builders: int
    slaves: int
    unmatched: Mapping[str, Sequence[str]]


class NothingDocument(TypedDict):
    """No keys: nothing was asked for."""
