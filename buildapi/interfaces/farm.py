"""Interfaces to the farm: reads of builds and reports, actions on it, and its directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from buildapi.model.actions import Action
from buildapi.model.branches import Branch, Branches
from buildapi.model.build_steps import BuildRecord
from buildapi.model.builders import Builders
from buildapi.model.facts import Facts, Subject
from buildapi.model.farm_rows import (
    BranchFilter,
    OpenWork,
    PendingEntry,
    Portion,
    PushCounts,
    RecentBuild,
    RevisionEntry,
    RunningBuild,
)
from buildapi.model.outcome import Item, Outcome
from buildapi.model.pushes import Change, Push, PushFilter, PushKey, PushPage
from buildapi.model.records import (
    BranchDay,
    Build,
    BuildDetails,
    BuildRequest,
    RequestDetails,
    UserBuilds,
)
from buildapi.model.report_rows import (
    Attempt,
    ChangeFilter,
    JobTime,
    JobTimeFilter,
    PendingChange,
    PushTime,
    RequestRow,
    RowFilter,
    Span,
    StatusBuild,
    Waiting,
    WaitingFilter,
)
from buildapi.model.revisions import RevisionMatch
from buildapi.model.row_marks import RowMarks
from buildapi.model.wire import JobMessage


class Builds(Protocol):
    """Read builds and build requests of a branch."""

    async def day(self, branch: Branch, start: int, end: int) -> BranchDay:
        """List builds started, and incomplete requests without a build submitted, in a time range.

        The range is ``[start, end)``.  Every list of builds and requests is one consistent read.
        """

    async def revision(self, branch: Branch, wanted: RevisionMatch) -> BranchDay:
        """List builds, and incomplete requests without one, of the revisions that match."""

    async def revisions(self, branch: Branch, wanted: RevisionMatch) -> Sequence[str]:
        """List the different stored revisions of a branch that match."""

    async def build(self, branch: Branch, build_id: int) -> BuildDetails | None:
        """Return a build of the branch; None if it has no such build."""

    async def request(self, branch: Branch, request_id: int) -> RequestDetails | None:
        """Return a request of the branch; None if it has no such request."""

    async def find_build(self, branch: Branch, build_id: int) -> BuildRequest | None:
        """Return the request of a build of the branch, by one row; None if it has no such build."""

    async def find_request(self, branch: Branch, request_id: int) -> BuildRequest | None:
        """Return a request of the branch, by one row; None if it has no such request."""

    async def builders(self, branch: Branch, since: int) -> Sequence[str]:
        """List the names of builders with requests submitted since a time, sorted."""

    async def has_builder(self, name: str, since: int) -> bool:
        """Return whether a builder of this name had a request since a time."""

    async def marks(self) -> RowMarks:
        """Return the marks of all incomplete requests, on all branches.

        Those of a request are once for each of its builds, and change with its priority, whether
        it is claimed, which build that is and whether it has ended.

        :raises BadRequest: there are more rows than one read may return.
        """

    async def of_requests(self, request_ids: Sequence[int]) -> BranchDay:
        """List the builds of requests; those without a build are ``pending``, complete or not."""

    async def branch_of(self, kind: str, id_: int) -> str | None:
        """Return the stored branch of a ``build`` or a ``request``; None if there is none."""

    async def user(self, branch: Branch, author: str) -> UserBuilds:
        """List builds and requests of the changes of an author, at most 200 rows of each kind."""


class FarmReads(Protocol):
    """Read builds and requests of all branches."""

    async def pending(self, branches: BranchFilter, portion: Portion) -> Sequence[PendingEntry]:
        """List incomplete requests without a build, the latest submitted first."""

    async def running(self, branches: BranchFilter, portion: Portion) -> Sequence[RunningBuild]:
        """List running builds, the latest started first."""

    async def open(self) -> OpenWork:
        """List all pending requests and running builds of the farm, in one consistent read."""

    async def revision(
        self, branches: BranchFilter, wanted: RevisionMatch
    ) -> Sequence[RevisionEntry]:
        """List the requests of the revisions that match, once for each of their builds."""

    async def pushes(self, branches: BranchFilter, start: int, end: int | None) -> PushCounts:
        """Count pushes from ``start`` to ``end``, both included; None means no end."""


class Pushes(Protocol):
    """Read the pushes of branches, their builds, and what is known of builders from earlier ones.

    A push is the changes of one revision on one branch, whoever sent them.
    """

    async def pushes(self, wanted: PushFilter, limit: int) -> PushPage:
        """List at most ``limit`` pushes, newest first.

        :raises BadRequest: there are more rows than one read may return.
        """

    async def work(self, pushes: Sequence[Push]) -> Mapping[PushKey, BranchDay]:
        """Return the builds and open requests without one of each push, in one consistent read.

        :raises BadRequest: there are more rows than one read may return.
        """

    async def changes(self, revisions: Collection[str]) -> Mapping[str, Sequence[Change]]:
        """Return the changes of revisions on all branches, the first of each first.

        ``revisions`` are as stored, and a hash is found by its abbreviation as well; one without
        changes is left out. Changes of the
        last minute that are not the first of their revision may be missing.
        """

    async def files(self, changes: Sequence[int]) -> Mapping[int, Sequence[str]]:
        """Return the files of changes, sorted; a change without any is left out.

        There are none where the account of the database has no right to read them.
        """

    async def medians(self) -> Mapping[str, int]:
        """Return by builder the median seconds of its latest ended builds.

        Builders without a build among the latest of the farm are left out.
        """

    async def results(
        self, branch: Branch, builder: str, limit: int, around: int | None = None
    ) -> Sequence[Build]:
        """List the latest builds of a builder on a branch, newest first.

        ``around`` is the id of a build, to list the builds before and after it in place of the
        latest: half of them are later ones, where there are as many.
        Only some of the builder's requests are looked at: the latest, or those near that build.
        """


class RecentBuilds(Protocol):
    """Read the latest builds of the farm."""

    async def recent(
        self, slaves: Sequence[str], *, greedy: bool, limit: int
    ) -> Sequence[RecentBuild]:
        """List at most ``limit`` builds, newest first; without ``slaves`` also running ones.

        With ``greedy``, ``slaves`` are prefixes of slave names, else whole names.
        """

    async def running(self, since: int, limit: int) -> Sequence[RecentBuild]:
        """List at most ``limit`` builds without an end that started since a time, newest first."""

    async def current(self, slave: str) -> RecentBuild | None:
        """Return the latest build of a slave by its whole name, if that has no end; else None."""


class BuildSteps(Protocol):
    """Read what masters report of the steps of builds."""

    async def of_build(self, build: Build) -> BuildRecord | None:
        """Return what the master of a build reports of it; None if nothing is recorded.

        Of its steps the first ``STEPS_MAX`` are listed, in their order.

        :raises Unavailable: it cannot be read now.
        """


class Reports(Protocol):
    """Read the rows of reports, in portions.

    Every read raises BadRequest if there are more rows than a report may read, and Unsupported,
    with the reason, if farms of this dialect do not record what it asks for.
    """

    def waiting(self, wanted: WaitingFilter) -> AsyncIterator[Sequence[Waiting]]:
        """Yield requests submitted in a span that a pool of masters claimed, or none did."""

    async def claims(self, span: Span) -> Sequence[tuple[str, str, int]]:
        """Count requests submitted in a span: (builder, claiming master, count)."""

    def pushes(self, wanted: ChangeFilter) -> AsyncIterator[Sequence[PushTime]]:
        """Yield pushes in a span, one for each time and stored branch."""

    def attempts(self, wanted: RowFilter) -> AsyncIterator[Sequence[Attempt]]:
        """Yield requests, once for each of their builds."""

    def rows(self, wanted: RowFilter) -> AsyncIterator[Sequence[RequestRow]]:
        """Yield requests, once for each of their builds and changes, ordered by these."""

    async def pending_changes(self, wanted: RowFilter) -> Sequence[PendingChange]:
        """List changes without a source stamp, newest first."""

    async def builders(self, span: Span) -> Sequence[str]:
        """List the names of builders with requests submitted in a span."""

    def builds(
        self,
        span: Span,
        *,
        slave_id: int | None = None,
        builder: str | None = None,
        categories: Sequence[str] = (),
    ) -> AsyncIterator[Sequence[StatusBuild]]:
        """Yield builds started in a span; ``categories`` are patterns, none for all.

        Patterns are those of ``model.report_rows``.
        """

    async def test_times(self, wanted: JobTimeFilter) -> Sequence[JobTime]:
        """Return the mean times of builders whose builds have test steps."""

    async def slaves(self, span: Span) -> Sequence[str]:
        """List the names of slaves with builds started in a span."""


class FactsReader(Protocol):
    """Read the facts an action needs."""

    async def read(self, action: Action) -> Facts:
        """Read the facts needed to decide an action.

        :raises Unavailable: they cannot be read now.
        :raises BadRequest: there are more rows than one job can handle.
        """


class TextLimits(Protocol):
    """Know which texts the farm cannot store."""

    async def check(self, action: Action, who: str) -> Sequence[str]:
        """Check the texts of a job request before it is accepted; warn of changed names.

        The name of who asks, which nobody can change for one request, is never refused.

        :raises BadRequest: a text cannot be stored; it names the parameter and why.
        :raises Unavailable: that is not known now.
        """


class ItemProgress(Protocol):
    """Record the items of a job while it is carried out."""

    def add(self, items: Sequence[Item]) -> None:
        """Add items whose outcome is known."""

    async def open(self, item: Item) -> None:
        """Record an item that was asked for and cannot be confirmed yet, until the job goes on."""


class Journal(Protocol):
    """Record what is done for one job while it is carried out."""

    def note(self, event: str, detail: str) -> None:
        """Record an event in the audit trail; events are the words of ``docs/logging.md``."""

    def written(self) -> None:
        """Record that everything is written that later jobs on the same revision must see."""

    def progress(self, total: int) -> AbstractAsyncContextManager[ItemProgress]:
        """Record progress until the block ends; ``total`` is the expected number of lines."""


class FarmActions(Protocol):
    """Carry out job requests on the farm, each exactly once.

    What the job has done before is found again, however often it is carried out and wherever it was
    interrupted; nothing is done twice.
    """

    async def subject(self, action: Action) -> Subject:
        """Return what a job is about, by one row at most; empty if that does not exist.

        :raises Unavailable: it cannot be read now.
        """

    async def carry_out(self, job: JobMessage, journal: Journal) -> Outcome:
        """Carry out a job, or what is left of it, and return its outcome.

        What the job is decided on is read from the farm itself: a replica may lag behind.

        :raises Unavailable: a database or service is away; calling again continues.
        """

    async def forget(self, days: int) -> None:
        """Delete the records of jobs that ended so long ago that no message of theirs is left."""

    async def highest_job(self) -> int:
        """Return the highest id of a job that the farm has a record of; 0 if it has none."""


class Directory(Protocol):
    """Provide the branches, masters and builders of the farm, as last read."""

    def branches(self) -> Branches:
        """Return the last good branches.

        :raises Unavailable: none were ever read.
        """

    def builders(self) -> Builders | None:
        """Return the last good builders; None if the farm has no builders file.

        :raises Unavailable: none were ever read.
        """

    def is_listed(self, buildername: str) -> bool | None:
        """Return whether the builders file lists a builder; None if none was ever read."""

    def master_urls(self) -> Mapping[str, str | None]:
        """Return the root URL of each master's web interface, by ``claimed_by_name``."""

    def disabled_masters(self) -> Sequence[str]:
        """List the masters that are not enabled, by ``claimed_by_name``."""

    def master_roles(self) -> Mapping[str, str | None]:
        """Return the role of each master, by ``claimed_by_name``; empty if none is known."""

    def ages(self) -> Mapping[str, float | None]:
        """Return by document the seconds since it was last good; None if it never was."""
