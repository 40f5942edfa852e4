"""Types of the JSON documents of the whole farm: what serializers return, and what is documented.

Keys are only ever added: programs read the others [docs/compatibility.md].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from buildapi.jobs.farm_summary import FarmSummary
from buildapi.web.selfserve.documents import (
    Epoch,
    JobDocument,
    PushAuthor,
    PushDocument,
    PushSubject,
)


class PendingItem(TypedDict):
    """An open request without a build; it has ``claimed_by_name`` while a master starts one."""

    id: int
    buildername: str
    submitted_at: Epoch
    claimed_by_name: NotRequired[str]
    author: NotRequired[PushAuthor]
    comments: NotRequired[PushSubject]


class RunningItem(TypedDict):
    """A running build; ``last_heartbeat`` is when its master last refreshed the claim."""

    id: int
    request_ids: list[int]
    revision: str | None
    buildername: str
    claimed_by_name: str | None
    number: int
    start_time: Epoch
    submitted_at: Epoch
    last_heartbeat: Epoch
    worker: NotRequired[Annotated[str, Meta(description="Where it is known.")]]
    author: NotRequired[PushAuthor]
    comments: NotRequired[PushSubject]


class RevisionItem(TypedDict):
    """A request of a revision, once for each of its builds; without one, its last keys are null."""

    id: int
    buildsetid: int
    buildername: str
    submitted_at: Epoch
    claimed_at: Annotated[int, Meta(description="Seconds since the epoch; 0 if unclaimed.")]
    claimed_by_name: str | None
    start_time: Epoch | None
    finish_time: Epoch | None
    number: int | None
    results: int | None
    author: NotRequired[PushAuthor]
    comments: NotRequired[PushSubject]


PendingLists = dict[str, dict[str, list[PendingItem]]]
RunningLists = dict[str, dict[str, list[RunningItem]]]
RevisionLists = dict[str, dict[str, list[RevisionItem]]]


class PendingDocument(TypedDict):
    """Pending requests by branch and revision, which is ``Unknown`` if there is none."""

    pending: PendingLists


class RunningDocument(TypedDict):
    """Running builds by branch and revision, which is ``Unknown`` if there is none."""

    running: RunningLists


class FoundRevision(TypedDict):
    """The requests and builds of a revision: all of them, and those without a build."""

    all: RevisionLists
    pending: PendingLists


class RevisionDocument(FoundRevision):
    """The same with what was asked for; ``revisions`` if the hash fits several."""

    branch: str
    revision: str
    revisions: NotRequired[Annotated[list[str], Meta(description="Revisions that it fits.")]]


class RecentDocument(TypedDict):
    """An ended build; ``buildername`` is the property of that name, empty if there is none.

    ``build_id`` and ``branch`` are those of its page; without them it has none.
    """

    id: int
    buildname: str
    buildername: str
    buildnumber: int
    starttime: Epoch | None
    endtime: Epoch | None
    result: int | None
    slavename: str
    master: str | None
    build_id: NotRequired[int]
    branch: NotRequired[str]
    author: NotRequired[PushAuthor]
    comments: NotRequired[PushSubject]


class LoadItem(TypedDict):
    """The greatest numbers of the samples from ``at`` on, for the seconds of a step."""

    at: Epoch
    pending: int
    running: int
    longest_wait: Annotated[int | None, Meta(description="Seconds; null without requests.")]


class LoadDocument(TypedDict):
    """Samples of the farm's load, oldest first; a step without any is left out."""

    since: Epoch
    until: Epoch
    step: Annotated[int, Meta(description="Seconds.")]
    samples: list[LoadItem]


class LatestJobs(TypedDict):
    """Failed job requests of the last day, and how many are open."""

    failed: Sequence[JobDocument]
    open: int
    oldest_open: Epoch | None


class HealthItem(TypedDict):
    """The health of one service; ``detail`` is a sentence for people."""

    name: str
    ok: bool
    detail: str


class HomeDocument(TypedDict):
    """A summary of the farm; a part that cannot be read is null, and ``troubles`` says why.

    ``red`` are the latest finished pushes of branches on which those failed, ``pushes`` the newest
    pushes of all branches, both without their jobs.  ``undecided`` are branches on which none of
    the latest pushes is finished.
    """

    farm: FarmSummary | None
    jobs: LatestJobs | None
    health: list[HealthItem]
    troubles: list[str]
    red: list[PushDocument] | None
    undecided: list[str]
    pushes: list[PushDocument] | None
    load: LoadDocument | None


PushesDocument = Mapping[str, int]
"""The number of pushes by author; ``TOTAL`` is that of all."""
