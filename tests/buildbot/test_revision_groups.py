"""Reads of different revisions that come together: one query, and for each what it gets alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import Clock

from buildapi.buildbot.v08 import farm_reads, queries, scheduler_reports
from buildapi.buildbot.v08.build_reads import REVISIONS_MAX, SQLBuilds
from buildapi.db.call_groups import PATIENCE, CallGroups
from buildapi.db.sql import Database, Params, Row
from buildapi.model.branches import Branch
from buildapi.model.records import BranchDay
from buildapi.model.revisions import RevisionMatch
from tests.buildbot.conftest import OpenScheduler, Scheduler
from tests.contracts.reads import CEDAR, TRY
from tests.reactor import twisted_test

T0 = 1_700_000_000


@attrs.define
class Held:
    """A database that counts its reads, of which the first ones wait for ``gate``."""

    db: Database
    gate: Deferred[None] = attrs.field(factory=Deferred)
    reads: list[Params] = attrs.field(factory=list)

    async def fetch(self, text: str, params: Params) -> Sequence[Row]:
        self.reads.append(params)
        if not self.gate.called:
            await waiting(self.gate)
        return await self.db.fetch(text, params)


def waiting(gate: Deferred[None]) -> Deferred[None]:
    """Return a Deferred of one caller who waits for a gate."""
    one: Deferred[None] = Deferred()
    gate.addCallback(lambda _: one.callback(None))
    return one


def revision(number: int) -> str:
    return f"{number:012x}" + "f" * 28


def ids(found: BranchDay) -> tuple[list[int], list[int]]:
    return [b.id for b in found.builds], [r.id for r in found.pending]


def begun(reads: Sequence[Awaitable[BranchDay]]) -> Deferred[list[Any]]:
    return gatherResults([ensureDeferred(read) for read in reads])  # type: ignore[arg-type]  # coroutines


@twisted_test(15)
async def test_revisions_that_come_while_one_is_read_share_a_query(scheduler: Scheduler) -> None:
    held = Held(scheduler.db)
    builds = SQLBuilds(held)  # type: ignore[arg-type]  # only what is read
    made = [scheduler.seed.request("try", revision(n)) for n in range(REVISIONS_MAX + 3)]
    reading = begun([builds.revision(TRY, RevisionMatch(revision(n))) for n in range(len(made))])
    assert len(held.reads) == 1
    held.gate.callback(None)
    found = await reading
    assert [ids(one) for one in found] == [([], [brid]) for brid in made]
    assert len(held.reads) == 3


@twisted_test(30)
async def test_together_each_gets_what_it_gets_alone(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    hashes = [
        revision(1),
        revision(1)[:12] + "0" * 28,
        revision(2).upper(),
        "tip",
        "TIP",
        "12",
        None,
    ]
    for stored in hashes:
        for branch in ("try", "try-linux", "try-comm-central", "projects/cedar", "TRY"):
            seed.request(branch, stored)
            seed.run(seed.request(branch, stored))
    texts = [
        "tip",
        "TIP",
        "12",
        "1",
        "%",
        "",
        revision(1),
        revision(1)[:12],
        revision(2),
        revision(3),
    ]
    asked: list[tuple[Branch, str]] = [(branch, t) for branch in (TRY, CEDAR) for t in texts]
    alone = [
        await SQLBuilds(scheduler.db).revision(branch, RevisionMatch(text))
        for branch, text in asked
    ]
    held = Held(scheduler.db)
    builds = SQLBuilds(held)  # type: ignore[arg-type]  # only what is read
    reading = begun([builds.revision(branch, RevisionMatch(text)) for branch, text in asked])
    held.gate.callback(None)
    assert await reading == alone
    assert sum(bool(one.builds) for one in alone) > 8
    assert len(held.reads) == 2


@twisted_test(15)
async def test_a_revision_with_too_many_rows_fails_alone(
    scheduler: Scheduler, open_scheduler: OpenScheduler
) -> None:
    small = open_scheduler(scheduler.url, max_rows=10)
    for n in range(11):
        small.seed.request("try", revision(1), builder=f"b{n}")
    brid = small.seed.request("try", revision(2))
    builds = SQLBuilds(small.db)
    reads = [ensureDeferred(builds.revision(TRY, RevisionMatch(revision(n)))) for n in (3, 1, 2)]
    assert ids(await reads[0]) == ([], [])
    with pytest.raises(Exception, match="Too many rows"):
        await reads[1]
    assert ids(await reads[2]) == ([], [brid])


@twisted_test(15)
async def test_what_the_replica_lacks_is_read_from_the_primary(
    scheduler: Scheduler, replica: Scheduler
) -> None:
    old, new = replica.seed.request("try", revision(1)), scheduler.seed.request("try", revision(2))
    builds = SQLBuilds(replica.db, scheduler.db)
    found = await begun([builds.revision(TRY, RevisionMatch(revision(n))) for n in (3, 1, 2)])
    assert [ids(one) for one in found] == [([], []), ([], [old]), ([], [new])]


# --- groups beside each other


@attrs.define
class Endless:
    """Groups that never end; ``begun`` has the calls of each."""

    clock: Clock = attrs.field(factory=Clock)
    begun: list[Sequence[int]] = attrs.field(factory=list)
    begun_at: list[float] = attrs.field(factory=list)
    # Nobody else refers to what is waited for, which then would be collected.
    kept: list[Any] = attrs.field(factory=list)

    async def do(self, items: Sequence[int]) -> Sequence[int]:
        self.begun.append(items)
        self.begun_at.append(self.clock.seconds())
        self.kept.append(Deferred())
        await self.kept[-1]
        return items

    def call(self, groups: CallGroups[int, int], number: int) -> None:
        self.kept.append(ensureDeferred(groups.call(number)))


@given(st.lists(st.floats(0.001, 0.1), min_size=1, max_size=30))
def test_nobody_waits_long_for_a_group_before(pauses: list[float]) -> None:
    endless = Endless()
    groups: CallGroups[int, int] = CallGroups(endless.do, 1000, clock=endless.clock)
    came: list[float] = []
    for number, pause in enumerate(pauses):
        came.append(endless.clock.seconds())
        endless.call(groups, number)
        # In steps, since a Clock calls what is due only when its whole advance is over.
        endless.clock.pump([0.001] * round(pause * 1000))
    endless.clock.pump([0.001] * 25)
    begun = zip(endless.begun_at, endless.begun, strict=True)
    waited = {number: at - came[number] for at, numbers in begun for number in numbers}
    assert sorted(waited) == list(range(len(pauses)))
    assert waited[0] == 0
    assert max(waited.values()) < PATIENCE + 0.002


def test_groups_beside_each_other_are_bounded_by_time() -> None:
    endless = Endless()
    groups: CallGroups[int, int] = CallGroups(endless.do, 1000, clock=endless.clock)
    for number in range(1000):
        endless.call(groups, number)
        endless.clock.advance(0.001)
    assert len(endless.begun) <= 1 + 1 / PATIENCE


def test_without_a_clock_one_group_waits_for_the_other() -> None:
    endless = Endless()
    groups: CallGroups[int, int] = CallGroups(endless.do)
    for number in range(3):
        endless.call(groups, number)
    assert endless.begun == [[0]]


def test_the_callers_of_a_group_go_on_in_several_turns() -> None:
    clock = Turns()

    async def do(items: Sequence[int]) -> Sequence[int]:
        return items

    groups: CallGroups[int, int] = CallGroups(
        do, 100, later=partial(clock.callLater, 0), clock=clock
    )
    turns: dict[int, int] = {}

    async def caller(number: int) -> None:
        assert await groups.call(number) == number
        turns[number] = clock.turn
        clock.rightNow += 0.002

    for number in range(8):
        ensureDeferred(caller(number))
    clock.advance(0)
    assert list(turns) == list(range(8))
    assert list(Counter(turns.values()).values()) == [3, 3, 2]


class Turns(Clock):
    """A clock that counts the calls which a reactor would make in its next turn."""

    turn = 0

    def callLater(self, delay: float, *args: Any, **kw: Any) -> Any:
        self.turn += delay == 0
        return Clock.callLater(self, delay, *args, **kw)


# --- by the index


def of_revision(where: str) -> list[str]:
    """Return the statements that read what belongs to a revision."""
    return [
        queries.of_revision(f"{queries.OF_REVISION} AND {where}").text,
        queries.revisions(where).text,
        farm_reads.of_revision(where).text,
        scheduler_reports.request_rows(f"{where} AND {queries.OF_REVISION}").text,
    ]


@pytest.mark.parametrize("text", [revision(1), "0f" * 20, "tip"])
@twisted_test(10)
async def test_a_revision_is_found_by_the_index(
    scheduler: Scheduler, engine: str, text: str
) -> None:
    for n in range(300):
        scheduler.seed.request("try", revision(n << 20))
    params = {"revision": queries.revision_pattern(RevisionMatch(text))}
    explain = "EXPLAIN QUERY PLAN" if engine == "sqlite" else "EXPLAIN"
    for statement in of_revision("1 = 1"):
        plan = str([tuple(r) for r in await scheduler.db.fetch(f"{explain} {statement}", params)])
        assert "revision_idx" in plan
        assert "SCAN" not in plan


@pytest.mark.parametrize("spell", [str.upper, str.title, str.lower])
@twisted_test(10)
async def test_a_hash_is_found_in_any_case(
    scheduler: Scheduler, spell: Callable[[str], str]
) -> None:
    text = "abcdef0a1b2c" + "d" * 28
    brid = scheduler.seed.request("try", spell(text))
    scheduler.seed.request("try", "abcdef0a1b2d" + "d" * 28)
    builds = SQLBuilds(scheduler.db)
    for asked in (text, text.upper(), text[:12]):
        assert ids(await builds.revision(TRY, RevisionMatch(asked))) == ([], [brid])
        assert await builds.revisions(TRY, RevisionMatch(asked)) == [spell(text)]
