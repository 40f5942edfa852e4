"""The values behind the pages of the whole farm.

All times are whole seconds since the epoch; ``branch`` and ``revision`` are the stored values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import msgspec

from buildapi.model.branches import Branch


@attrs.frozen
class BranchFilter:
    """Accept stored branches that belong to one of ``branches`` or contain one of ``texts``.

    An empty filter accepts everything; any other rejects rows without a branch.
    """

    branches: tuple[Branch, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Return whether the filter accepts everything."""
        return not self.branches and not self.texts


@attrs.frozen
class Portion:
    """A part of a long list: at most ``limit`` entries (None: all) after the first ``offset``."""

    limit: int | None = None
    offset: int = 0


class PendingEntry(msgspec.Struct, frozen=True):
    """An incomplete build request without a build.

    ``claimed_by_name`` is the master that has claimed it and has not inserted its build yet.
    """

    id: int
    buildername: str
    submitted_at: int
    branch: str | None
    revision: str | None
    priority: int | None = None
    claimed_by_name: str | None = None


class RunningBuild(msgspec.Struct, frozen=True):
    """A running build; ``request_ids`` are all requests it serves, oldest first.

    ``master_seen_at`` is when its master last refreshed its claim.
    """

    id: int
    request_ids: Sequence[int]
    number: int
    buildername: str
    claimed_by_name: str | None
    start_time: int
    submitted_at: int
    master_seen_at: int
    branch: str | None
    revision: str | None


@attrs.frozen
class OpenWork:
    """All pending requests and running builds of the farm at one moment."""

    pending: Sequence[PendingEntry]
    running: Sequence[RunningBuild]


class RevisionEntry(msgspec.Struct, frozen=True):
    """A build request with one of its builds; without any, ``number`` and the times are None."""

    id: int
    buildsetid: int
    buildername: str
    submitted_at: int
    claimed_at: int
    claimed_by_name: str | None
    complete: bool
    results: int | None
    number: int | None
    start_time: int | None
    finish_time: int | None
    branch: str | None
    revision: str | None

    @property
    def pending(self) -> PendingEntry:
        """Return the request as an entry of the pending list."""
        return PendingEntry(
            self.id,
            self.buildername,
            self.submitted_at,
            self.branch,
            self.revision,
            # As in /pending, where it names the master that is about to start the request
            # [docs/api.md, "Reads"].
            claimed_by_name=self.claimed_by_name if self.claimed_at else None,
        )


@attrs.frozen
class RecentBuild:
    """A build from the status database; ``buildname`` is its builder there.

    ``buildername`` is the property of the build, empty if it has none; ``request_ids`` are those
    that its property of this name has.
    """

    id: int
    buildname: str
    buildername: str
    buildnumber: int
    starttime: int | None
    endtime: int | None
    result: int | None
    slavename: str
    master: str | None
    request_ids: tuple[int, ...] = ()


@attrs.frozen
class PushCounts:
    """Number of pushes by author."""

    by_author: Mapping[str, int]

    @property
    def total(self) -> int:
        """Return the number of pushes of all authors."""
        return sum(self.by_author.values())
