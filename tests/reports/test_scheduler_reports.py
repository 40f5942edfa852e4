"""What reports read from a scheduler database, on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from buildapi.buildbot.v08.reports import SQLSchedulerReports
from buildapi.errors import BadRequest
from buildapi.model.farmwide import BranchFilter
from buildapi.model.reporting import ChangeFilter, RowFilter, Span, Status, WaitingFilter
from buildapi.model.revisions import RevisionMatch
from tests.buildbot.conftest import Scheduler
from tests.buildbot.seed import MASTER_A, MASTER_B, T0, Seed
from tests.reactor import twisted_test

DAY = Span(T0 - 1000, T0 + 86_400)
SLICE = 7200


def reads(scheduler: Scheduler, rows: int = 1000) -> SQLSchedulerReports:
    return SQLSchedulerReports(scheduler.db, rows, rows)


async def every(portions: AsyncIterator[Sequence[Any]]) -> list[Any]:
    return [row async for portion in portions for row in portion]


def wanted(span: Span = DAY, **more: Any) -> WaitingFilter:
    return WaitingFilter(span, [MASTER_A], **more)


async def waiting(scheduler: Scheduler, asked: WaitingFilter) -> list[str]:
    return sorted(row.buildername for row in await every(reads(scheduler).waiting(asked)))


def ask_for(seed: Seed, builder: str, *, reason: str | None = "scheduler", **more: Any) -> int:
    """Submit a request whose buildset has this reason, and whose stamp these changes."""
    stamp = seed.stamp()
    for comments in more.pop("comments", ()):
        id_ = seed.change("ann", [stamp], more.get("changed", T0))
        seed.execute("UPDATE changes SET comments = %s WHERE changeid = %s", comments, id_)
    buildset = seed.buildset(stamp, reason=reason, at=more.get("at", T0))
    return seed.request(builder=builder, buildset=buildset, at=more.get("at", T0))


@twisted_test(10)
async def test_what_others_took_is_theirs_and_what_nobody_took_anybodys(
    scheduler: Scheduler,
) -> None:
    seed = scheduler.seed
    seed.run(ask_for(seed, "ours"))
    seed.run(ask_for(seed, "theirs"), master=MASTER_B)
    ask_for(seed, "waits")
    dropped = ask_for(seed, "dropped")
    seed.complete(dropped, results=2)
    assert await waiting(scheduler, wanted()) == ["ours", "waits"]


@twisted_test(10)
async def test_what_is_not_there_is_left_out_for_nothing(scheduler: Scheduler) -> None:
    """Count requests whose change or reason is NULL [docs/compatibility.md, "Reports"]."""
    seed = scheduler.seed
    ask_for(seed, "no reason", reason=None)
    ask_for(seed, "rebuilt", reason="Self-serve: Rebuilt by ann")
    ask_for(seed, "no change")
    ask_for(seed, "marked", comments=["skip, DONTBUILD"])
    ask_for(seed, "one of two marked", comments=["DONTBUILD", "fix"])
    ask_for(seed, "fuzzer-linux")
    ask_for(seed, "fuzzer_linux")
    asked = wanted(
        builders_unlike=["fuzzer-%"],
        reasons_unlike=["%Rebuilt by %"],
        comments_unlike=["%DONTBUILD%"],
    )
    expected = ["fuzzer_linux", "no change", "no reason", "one of two marked"]
    assert await waiting(scheduler, asked) == expected


@twisted_test(10)
async def test_the_first_change_and_the_first_build_count(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    request = ask_for(seed, "twice", comments=["a", "b"], changed=T0 - 40)
    seed.end(seed.run(request, at=T0 + 100), at=T0 + 200)
    seed.run(request, at=T0 + 300)
    [row] = await every(reads(scheduler).waiting(wanted()))
    assert (row.change_time, row.start_time, row.submitted_at) == (T0 - 40, T0 + 100, T0)


@pytest.mark.parametrize("offset", [-1, 0, 1])
@twisted_test(10)
async def test_what_is_at_the_border_of_two_queries_is_there_once(
    scheduler: Scheduler, offset: int
) -> None:
    seed = scheduler.seed
    at = T0 + SLICE + offset
    seed.run(ask_for(seed, "border", at=at), at=at + 5)
    asked = Span(T0, T0 + 3 * SLICE)
    assert await waiting(scheduler, wanted(asked)) == ["border"]
    assert len(await every(reads(scheduler).attempts(RowFilter(asked)))) == 1
    assert await waiting(scheduler, wanted(Span(T0, at))) == []
    assert await waiting(scheduler, wanted(Span(at, at + 1))) == ["border"]


@twisted_test(10)
async def test_more_rows_than_allowed_are_refused_with_what_helps(scheduler: Scheduler) -> None:
    for i in range(6):
        ask_for(scheduler.seed, f"b{i}", at=T0 + i * SLICE)
    with pytest.raises(
        BadRequest, match=r"more than 5 rows: choose a shorter time.*\[reports\] rows"
    ):
        await every(reads(scheduler, rows=5).attempts(RowFilter(Span(T0, T0 + 10 * SLICE))))


@twisted_test(10)
async def test_a_builder_is_its_name_to_the_letter(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    for name in ("Linux_x", "linux_x", "LinuxAx", "Linux_x "):
        ask_for(seed, name)
    rows = await every(reads(scheduler).rows(RowFilter(DAY, builder="Linux_x")))
    assert [row.buildername for row in rows] == ["Linux_x"]


@twisted_test(10)
async def test_a_row_has_all_there_is(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    request = ask_for(seed, "b", comments=["try: -b o"], changed=T0 - 7)
    seed.end(seed.run(request, at=T0 + 10), at=T0 + 70)
    seed.complete(request, results=1, at=T0 + 71)
    [row] = await every(reads(scheduler).rows(RowFilter(DAY)))
    assert (row.request_id, row.status, row.results) == (request, Status.COMPLETE, 1)
    assert (row.authors, row.comments, row.when_timestamp) == (("ann",), "try: -b o", T0 - 7)
    assert (row.run_time, row.wait_time, row.duration) == (60, 17, 78)
    [attempt] = await every(reads(scheduler).attempts(RowFilter(DAY)))
    assert (attempt.run_time, attempt.results, attempt.status) == (60, 1, Status.COMPLETE)


@twisted_test(10)
async def test_signs_of_patterns_in_a_revision_are_plain(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    for revision in ("abc_ef", "abcdef", "abc_eff", None):
        seed.request("try", revision)
    found = await every(reads(scheduler).rows(RowFilter(None, revision=RevisionMatch("abc_ef"))))
    assert [row.revision for row in found] == ["abc_ef"]


@twisted_test(10)
async def test_pushes_are_times_and_branches_of_changes(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    for branch in ("try", "try", "cedar", "try-talos", None):
        seed.change("ann", [seed.stamp(branch)], T0)
    seed.change("ann", [seed.stamp("try")], T0 + 5)
    asked = ChangeFilter(DAY, ["%talos"])
    found = {(p.when_timestamp, p.branch) for p in await every(reads(scheduler).pushes(asked))}
    assert found == {(T0, "try"), (T0, "cedar"), (T0, None), (T0 + 5, "try")}
    linked = ChangeFilter(DAY, (), ["http://hg.example.org"])
    assert await every(reads(scheduler).pushes(linked)) == []


@twisted_test(10)
async def test_changes_without_a_stamp_are_still_to_come(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    seed.change("ann", [seed.stamp()], T0)
    late, early = seed.change("bea", [], T0 + 9), seed.change("cleo", [], T0 + 3)
    found = await reads(scheduler).pending_changes(RowFilter(DAY))
    assert [c.changeid for c in found] == [late, early]
    other = BranchFilter(texts=("nowhere",))
    assert await reads(scheduler).pending_changes(RowFilter(DAY, other)) == []


@twisted_test(10)
async def test_who_took_what_is_counted(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    for master in (MASTER_A, MASTER_A, MASTER_B):
        seed.run(ask_for(seed, "b"), master=master)
    ask_for(seed, "waits")
    assert sorted(await reads(scheduler).claims(DAY)) == [("b", MASTER_A, 2), ("b", MASTER_B, 1)]
    assert await reads(scheduler).builders(DAY) == ["b", "waits"]
