"""The roles of what is read of the farm and done to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from buildapi.model.actions import Action
from buildapi.model.branches import Branch, Branches
from buildapi.model.builders import Builders
from buildapi.model.facts import Known
from buildapi.model.farmwide import (
    BranchFilter,
    OpenWork,
    PendingEntry,
    Portion,
    PushCounts,
    RecentBuild,
    RevisionEntry,
    RunningBuild,
)
from buildapi.model.identity import JobIdentity
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import BranchDay, BuildDetails, OpenMark, RequestDetails, UserBuilds
from buildapi.model.reporting import (
    Attempt,
    ChangeFilter,
    JobTime,
    JobTimeFilter,
    PendingChange,
    Push,
    RequestRow,
    RowFilter,
    Span,
    StatusBuild,
    Waiting,
    WaitingFilter,
)
from buildapi.model.revisions import RevisionMatch
from buildapi.model.steps import Plan, Poke, Recorded, Written


class Builds(Protocol):
    """Read builds and requests of a branch."""

    async def day(self, branch: Branch, start: int, end: int) -> BranchDay:
        """List builds started, and open requests without a build submitted, in ``[start, end)``.

        Every list of builds and requests is read as of one moment.
        """

    async def revision(self, branch: Branch, wanted: RevisionMatch) -> BranchDay:
        """List builds, and open requests without one, of the revisions that may be meant."""

    async def revisions(self, branch: Branch, wanted: RevisionMatch) -> Sequence[str]:
        """List the different stored revisions of a branch that may be meant."""

    async def build(self, branch: Branch, build_id: int) -> BuildDetails | None:
        """Find a build of the branch."""

    async def request(self, branch: Branch, request_id: int) -> RequestDetails | None:
        """Find a request of the branch."""

    async def builders(self, branch: Branch, since: int) -> Sequence[str]:
        """List names of builders with requests submitted since a time, sorted."""

    async def has_builder(self, name: str, since: int) -> bool:
        """Tell whether a builder of this name had a request since a time."""

    async def marks(self) -> Sequence[OpenMark]:
        """Tell how far all requests are that are not complete, on all branches.

        :raises BadRequest: there are more than one read may take.
        """

    async def of_requests(self, request_ids: Sequence[int]) -> BranchDay:
        """List the builds of requests, and those of the requests that have none, pending or not."""

    async def branch_of(self, kind: str, id_: int) -> str | None:
        """Tell the stored branch of a ``build`` or a ``request``; None where there is none."""

    async def user(self, branch: Branch, author: str) -> UserBuilds:
        """List what belongs to the changes of an author, at most 200 rows of each kind."""


class FarmWideReads(Protocol):
    """Read what is on all branches."""

    async def pending(self, branches: BranchFilter, portion: Portion) -> Sequence[PendingEntry]:
        """List open requests without a build, the latest submitted first."""

    async def running(self, branches: BranchFilter, portion: Portion) -> Sequence[RunningBuild]:
        """List running builds, the latest started first."""

    async def open(self) -> OpenWork:
        """Read all that waits and runs on the farm, as of one moment."""

    async def revision(
        self, branches: BranchFilter, wanted: RevisionMatch
    ) -> Sequence[RevisionEntry]:
        """List requests of the revisions that may be meant, for each build of theirs."""

    async def pushes(self, branches: BranchFilter, start: int, end: int | None) -> PushCounts:
        """Count pushes from ``start`` to ``end``, both included; None is no end."""


class RecentBuilds(Protocol):
    """Read which builds ran last."""

    async def recent(
        self, slaves: Sequence[str], *, greedy: bool, limit: int
    ) -> Sequence[RecentBuild]:
        """List at most ``limit`` builds, newest first; without ``slaves`` running ones too.

        With ``greedy`` the names of slaves begin with one of ``slaves``, else they equal one.
        """


class SchedulerReports(Protocol):
    """Read what reports are computed from, portion by portion, from the scheduler database.

    Every read raises BadRequest where there are more rows than a report may take.
    """

    def waiting(self, wanted: WaitingFilter) -> AsyncIterator[Sequence[Waiting]]:
        """Give requests submitted in a span that a pool has taken, or that none has."""

    async def claims(self, span: Span) -> Sequence[tuple[str, str, int]]:
        """Count requests submitted in a span: (builder, who claimed them, how many)."""

    def pushes(self, wanted: ChangeFilter) -> AsyncIterator[Sequence[Push]]:
        """Give pushes in a span, one for each time and stored branch."""

    def attempts(self, wanted: RowFilter) -> AsyncIterator[Sequence[Attempt]]:
        """Give requests with each of their builds."""

    def rows(self, wanted: RowFilter) -> AsyncIterator[Sequence[RequestRow]]:
        """Give requests with each of their builds and each of their changes, in that order."""

    async def pending_changes(self, wanted: RowFilter) -> Sequence[PendingChange]:
        """List changes that are in no source stamp, newest first."""

    async def builders(self, span: Span) -> Sequence[str]:
        """List the names of builders with requests submitted in a span."""


class StatusReports(Protocol):
    """Read what reports are computed from, portion by portion, from the status database.

    Every read raises BadRequest where there are more rows than a report may take.
    """

    def builds(
        self,
        span: Span,
        *,
        slave_id: int | None = None,
        builder: str | None = None,
        categories: Sequence[str] = (),
    ) -> AsyncIterator[Sequence[StatusBuild]]:
        """Give builds that started in a span; ``categories`` are SQL patterns, none for all."""

    async def test_times(self, wanted: JobTimeFilter) -> Sequence[JobTime]:
        """Give mean times of builders whose builds have test steps."""

    async def slaves(self, span: Span) -> Sequence[str]:
        """List the names of slaves with builds that started in a span."""


class Observer(Protocol):
    """Read what an action is about."""

    async def read(self, action: Action) -> Known:
        """Read what is to be known before an action is decided.

        :raises Unavailable: it cannot be read now.
        :raises BadRequest: it is more than can be handled at once.
        """


class Farm(Observer, Protocol):
    """Act on the farm: one transaction in the scheduler database, then pokes at masters.

    What is read comes from the scheduler database itself, not from a replica.
    """

    async def recall(self, job: JobIdentity) -> Recorded | None:
        """Tell how far a job got before, by its marker row in the scheduler database.

        The marker of another job, which had the same id, is none of this one's.
        """

    async def write(self, job: JobIdentity, plan: Plan) -> tuple[Written, Sequence[Item]]:
        """Do all writes of a plan and the marker row in one short transaction, or nothing.

        Where they were applied, list what they made.  A marker that another job of the same id left
        is moved aside.

        :raises BadRequest: a value cannot be stored; nothing was written.
        """

    async def poke(self, job: JobIdentity, step: Poke, who: str) -> Sequence[Item]:
        """Carry out one step outside the database and look for its effect; safe to repeat.

        ``job`` tells its effect from the same one of another job.
        """

    async def settle(self, job: JobIdentity, outcome: Outcome) -> None:
        """Record the final outcome in the marker row."""


class Directory(Protocol):
    """Know the farm's branches and builders."""

    def branches(self) -> Branches:
        """Give the last good branches.

        :raises Unavailable: none were ever read.
        """

    def builders(self) -> Builders | None:
        """Give the last good builders; None where the farm lists none.

        :raises Unavailable: none were ever read.
        """

    def is_listed(self, buildername: str) -> bool | None:
        """Return whether the builders file lists a builder; None where none was ever read."""

    def master_urls(self) -> Mapping[str, str | None]:
        """Give the root of the web interface of each master, by the name that claims carry."""

    def disabled_masters(self) -> Sequence[str]:
        """List the masters that are not enabled, by the name that claims carry."""

    def master_roles(self) -> Mapping[str, str | None]:
        """Give the role of each master, by the name that claims carry; nothing if none is known."""

    def ages(self) -> Mapping[str, float | None]:
        """Tell by name of each document how many seconds ago it was good; None: never."""
