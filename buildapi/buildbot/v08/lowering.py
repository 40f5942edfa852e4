"""Translate the writes of a plan to guarded SQL statements on a 0.8 scheduler database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from buildapi.buildbot.v08 import inserts
from buildapi.buildbot.v08.lowered_plan import (
    CompleteRequests,
    CopyBuildset,
    InsertBuildset,
    LoweredPlan,
    Write,
)
from buildapi.buildbot.v08.markers import STARTED, WRITTEN, Markers
from buildapi.buildbot.v08.queries import UNCLAIMED
from buildapi.db.sql import Statement, any_of, chunks
from buildapi.model.job_identity import JobIdentity
from buildapi.model.outcome import Item
from buildapi.model.results import FAILURE
from buildapi.model.steps import DropRequest, SetPriority


def lower(
    plan: LoweredPlan, job: JobIdentity, *, marker: str, now: int, transactional: bool = True
) -> Sequence[Statement]:
    """List all writes of a plan, in an order in which a crash between two does no harm.

    The marker comes first, so that a redelivery fails before it changes anything; build requests
    come last, because a buildset without requests is inert.
    """
    markers, state = Markers(marker), WRITTEN if transactional else STARTED
    statements = [markers.mark(job, plan, state, now), *_writes(plan.writes, now)]
    if not transactional:
        statements.append(markers.set_state(job, WRITTEN))
    return statements


def lower_settled(plan: LoweredPlan, now: int) -> Sequence[Statement]:
    """List the writes of a plan whose marker follows with its outcome, in one transaction."""
    return list(_writes(plan.writes, now))


def made(statements: Sequence[Statement], ids: Sequence[int]) -> Sequence[Item]:
    """List the requests that were inserted; ``ids`` are the last inserted ids of each statement."""
    bound = {s.binds: (s, i) for s, i in zip(statements, ids, strict=True) if s.binds}
    return [
        Item(
            "done",
            f"submitted to {statement.params['buildername']}",
            request_id=i,
            buildset_id=bound[buildset][1],
        )
        for name, (statement, i) in bound.items()
        if (buildset := inserts.buildset_of(name))
    ]


def _writes(writes: Sequence[Write], now: int) -> Iterable[Statement]:
    last: list[Statement] = []
    for number, step in enumerate(writes):
        name = f"buildset-{number}"
        match step:
            case SetPriority():
                yield _set_priority(step)
            case DropRequest():
                # In this order: a buildset is complete once none of its requests is open.
                yield _complete_request(step, now)
                yield _complete_buildsets([step.buildsetid], now)
            case CompleteRequests():
                yield from (_complete_requests(some, now) for some in chunks(step.brids))
                yield from (_complete_buildsets(some, now) for some in chunks(step.buildsetids))
            case CopyBuildset():
                yield from inserts.buildset_copy(step, name, now)
                last.append(inserts.request(name, 0, step.buildername, step.priority, now))
            case InsertBuildset():
                yield from inserts.new_buildset(step, name, now)
                last += [
                    inserts.request(name, i, builder, step.priority, now)
                    for i, builder in enumerate(step.builders)
                ]
    yield from last


def _set_priority(step: SetPriority) -> Statement:
    # Masters read it with each claim (priority DESC, buildsets.submitted_at ASC) and never again:
    # on a claimed request it would be written for nothing, so that counts as stale.
    return Statement(
        "UPDATE buildrequests SET priority = :priority"  # noqa: S608  # constants
        f" WHERE id = :brid AND complete = 0 AND {UNCLAIMED}",
        {"brid": step.brid, "priority": step.priority},
        rows=1,
    )


def _complete_request(step: DropRequest, now: int) -> Statement:
    # What a 0.8.2 master writes when its own page cancels a request: it has no result "cancelled",
    # and claimed_at stays 0, which tells a dropped request from one that was built.  One row is no
    # proof that no master builds it: a claim is an UPDATE without conditions, hence the watch.
    return Statement(
        "UPDATE buildrequests SET complete = 1, results = :results, complete_at = :now"  # noqa: S608  # constants
        f" WHERE id = :brid AND complete = 0 AND {UNCLAIMED}",
        {"brid": step.brid, "results": FAILURE, "now": now},
        rows=1,
    )


def _complete_requests(brids: Sequence[int], now: int) -> Statement:
    """Complete requests that are still pending; those claimed meanwhile are checked later."""
    # No number of rows is required: masters go on claiming meanwhile [docs/design.md, "Acting on
    # Buildbot 0.8"].
    ids, params = any_of("id", brids)
    return Statement(
        "UPDATE buildrequests SET complete = 1, results = :results, complete_at = :now"  # noqa: S608  # numbered parameters
        f" WHERE id IN ({ids}) AND complete = 0 AND {UNCLAIMED}",
        {**params, "results": FAILURE, "now": now},
    )


def _complete_buildsets(buildsetids: Sequence[int], now: int) -> Statement:
    # A 0.8 master does not complete the buildset of a request that another program completed.
    ids, params = any_of("id", buildsetids)
    return Statement(
        "UPDATE buildsets SET complete = 1, results = :results, complete_at = :now"  # noqa: S608  # numbered parameters
        f" WHERE id IN ({ids}) AND complete = 0 AND NOT EXISTS (SELECT 1 FROM buildrequests br"
        " WHERE br.buildsetid = buildsets.id AND br.complete = 0)",
        {**params, "results": FAILURE, "now": now},
    )
