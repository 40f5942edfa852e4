"""A list of pushes with all their jobs takes few statements, however many there are."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from buildapi.buildbot.v08.push_reads import PushBounds, SQLPushes
from buildapi.db.sql import Database
from buildapi.jobs.push_selection import PushSelection
from buildapi.model.pushes import PushFilter
from buildapi.reports.job_classes import JobClasses
from buildapi.web.reports.classification_file import read_classification
from buildapi.web.selfserve.push_reader import PushReader
from tests.buildbot.conftest import Scheduler
from tests.buildbot.recorded_selects import RecordedSelects
from tests.contracts.reads import T0, TRY
from tests.reactor import twisted_test

COUNT = 12
"""Pushes, each with two requests, one of them built."""


@pytest.mark.parametrize(
    ("selection", "limit", "pushes"),
    [
        (PushSelection(), 50, COUNT),
        (PushSelection(), 5, 5),
        (PushSelection(state="pending"), 50, COUNT),
        (PushSelection(failures=True), 50, 0),
    ],
)
@twisted_test(20)
async def test_a_list_takes_four_statements(
    scheduler: Scheduler, selection: PushSelection, limit: int, pushes: int
) -> None:
    seed, counted = scheduler.seed, RecordedSelects(scheduler.db)
    for n in range(COUNT):
        revision = f"{n:040x}"
        stamp = seed.stamp("try", revision)
        seed.change("ann", [stamp], T0 + n, revision=revision)
        requests = [seed.request(buildset=seed.buildset(stamp), at=T0 + n) for _ in range(2)]
        seed.end(seed.run(requests[0], at=T0 + n))
    db: Database = counted  # type: ignore[assignment]  # only what is read
    reads = SQLPushes(db, Clock())
    reader = PushReader(
        reads,
        JobClasses(read_classification(None)),
        lambda: T0 + 100,
        Clock(),
    )
    await reads.medians()  # which are kept for ten minutes
    counted.texts.clear()
    found = await reader.read(PushFilter((TRY,)), selection, limit)
    assert len(found.pushes) == pushes
    of_each = 2 if selection.selects_all else 1
    assert sum(len(one.jobs) for one in found.pushes) == pushes * of_each
    # The span of the newest changes, these, those of the same revisions, and requests with builds.
    assert len(counted.texts) == 4


@twisted_test(20)
async def test_a_tag_with_more_changes_than_a_list_looks_at_is_found_by_two_statements(
    scheduler: Scheduler,
) -> None:
    for n in range(30):
        scheduler.seed.change("ann", [], T0 + n, revision="tip", branch="try")
    counted = RecordedSelects(scheduler.db)
    db: Database = counted  # type: ignore[assignment]  # only what is read
    few = PushBounds(newest=2, portion=2, searched=5, of_revisions=20)
    page = await SQLPushes(db, Clock(), few).pushes(PushFilter((TRY,), revision="tip"), 5)
    assert [(push.revision, push.when, len(push.changes)) for push in page.pushes] == [
        ("tip", T0, 20)
    ]
    # Its first changes, and those of the same revision.
    assert len(counted.texts) == 2


@twisted_test(20)
async def test_a_tag_among_revisions_takes_two_more_statements(scheduler: Scheduler) -> None:
    for n in range(30):
        scheduler.seed.change("ann", [], T0 + n, revision="tip", branch="try")
    others = [f"{n:040x}" for n in range(16)]
    for revision in others:
        scheduler.seed.change("bea", [], T0 + 99, revision=revision, branch="try")
    counted = RecordedSelects(scheduler.db)
    db: Database = counted  # type: ignore[assignment]  # only what is read
    few = PushBounds(newest=50, of_revisions=20)
    page = await SQLPushes(db, Clock(), few).pushes(PushFilter((TRY,)), 50)
    assert [push.revision for push in page.pushes] == [*others[::-1], "tip"]
    # The span of the newest changes, these, and those of the revisions: of all, of the tag, and of
    # the others.
    assert len(counted.texts) == 5
