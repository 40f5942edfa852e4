"""Dropped requests are looked at again: masters claim without looking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from msgspec.structs import replace
from twisted.internet import defer
from twisted.internet.task import Clock

from buildapi.buildbot.v08.build_stopper import LOOK_SECONDS
from buildapi.buildbot.v08.dropped_requests import DroppedRequestWatcher
from buildapi.buildbot.v08.lowered_plan import WatchDropped
from buildapi.errors import DatabaseUnavailable
from buildapi.model.facts import RequestFacts
from buildapi.model.outcome import Item
from buildapi.model.records import BuildRequest, RequestBuild
from buildapi.model.steps import StopBuild
from tests.buildbot.acting import make_farm, make_observer, the_reactor
from tests.buildbot.conftest import Scheduler
from tests.buildbot.seed import MASTER_A, T0
from tests.db.scripted import ScriptedDatabase
from tests.model.values import job
from tests.reactor import sleep, twisted_test

RECHECK, VERIFY = 3.0, 10.0


def facts(
    brid: int, *, complete: bool = True, claimed: bool = False, tries: Sequence[RequestBuild] = ()
) -> RequestFacts:
    request = BuildRequest(
        id=brid,
        buildsetid=brid,
        buildername="linux",
        branch="try",
        revision="abc",
        reason="",
        priority=0,
        submitted_at=T0,
        claimed_at=T0 + 10 if claimed else 0,
        claimed_by_name=MASTER_A if claimed else None,
        complete=complete,
        complete_at=None,
        results=None,
    )
    return RequestFacts(request, tries)


def running(brid: int, number: int = 1) -> RequestBuild:
    return RequestBuild(100 * brid + number, number, brid, T0 + 11, None)


def ended(brid: int) -> RequestBuild:
    return replace(running(brid), finish_time=T0 + 20)


@attrs.define
class Desk:
    """A watcher on a clock, over requests that the test changes."""

    known: dict[int, RequestFacts] = attrs.field(factory=dict)
    clock: Clock = attrs.field(factory=Clock)
    looks: list[tuple[float, list[int]]] = attrs.field(factory=list)
    stopped: list[StopBuild] = attrs.field(factory=list)
    error: Exception | None = None

    async def read(self, brids: Sequence[int]) -> Sequence[RequestFacts]:
        self.looks.append((self.clock.seconds(), list(brids)))
        if self.error is not None:
            raise self.error
        return [self.known[brid] for brid in brids if brid in self.known]

    async def stop(self, step: StopBuild, who: str) -> Item:
        self.stopped.append(step)
        return Item("done", f"stopped for {who}", request_id=step.brid, build_id=step.build_id)

    def knows(self, *found: RequestFacts) -> None:
        self.known |= {f.request.id: f for f in found}

    def watch(self, step: WatchDropped) -> defer.Deferred[Any]:
        stopper: Any = self
        watcher = DroppedRequestWatcher(self.clock, self.read, stopper, RECHECK, VERIFY)
        return defer.ensureDeferred(watcher.watch(step, "zoe"))

    def watched(self, step: WatchDropped) -> list[Item]:
        watching = self.watch(step)
        self.clock.pump([RECHECK] + [LOOK_SECONDS] * int(2 + VERIFY / LOOK_SECONDS))
        return list(watching.result)


DONE, IN_DOUBT, NOTHING = "done", "unconfirmed", "nothing"


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (None, DONE, "the request no longer exists"),
        (facts(7), DONE, "cancelled before a build started"),
        (
            facts(7, complete=False),
            IN_DOUBT,
            "a master released its claim meanwhile: cancel it again",
        ),
        (facts(7, claimed=True, tries=[ended(7)]), NOTHING, "its build has ended"),
        (
            facts(7, claimed=True),
            IN_DOUBT,
            "a master has claimed the request, but no build of it is running",
        ),
        (
            facts(7, complete=False, claimed=True, tries=[ended(7)]),
            IN_DOUBT,
            "a master has claimed the request, but no build of it is running",
        ),
        (
            facts(7, complete=False, claimed=True),
            IN_DOUBT,
            "a master has claimed the request, but no build of it is running",
        ),
        (facts(7, claimed=True, tries=[ended(7), running(7, 2)]), DONE, "stopped for zoe"),
        (facts(7, complete=False, claimed=True, tries=[running(7)]), DONE, "stopped for zoe"),
    ],
)
def test_each_request_is_told_of_by_what_became_of_it(
    found: RequestFacts | None, state: str, words: str
) -> None:
    desk = Desk({} if found is None else {7: found})
    (item,) = desk.watched(WatchDropped((7,)))
    assert (item.state, item.detail, item.request_id) == (state, words, 7)


@pytest.mark.parametrize("tries", [[], [running(7)], [ended(7)]])
def test_what_masters_had_claimed_is_left_alone_where_only_pending_ones_are_meant(
    tries: list[RequestBuild],
) -> None:
    desk = Desk()
    desk.knows(facts(7, complete=False, claimed=True, tries=tries))
    (item,) = desk.watched(WatchDropped((7,), claimed=False))
    assert (item.state, item.detail) == (NOTHING, "a master had already started it")
    assert desk.stopped == []
    assert len(desk.looks) == 1


def test_a_raced_one_is_stopped_even_where_only_pending_ones_are_meant() -> None:
    desk = Desk()
    desk.knows(facts(7, claimed=True, tries=[running(7)]))
    (item,) = desk.watched(WatchDropped((7,), claimed=False))
    assert (item.state, [s.brid for s in desk.stopped]) == (DONE, [7])


def test_what_was_raced_is_stopped_with_the_note_where_it_runs() -> None:
    desk = Desk()
    desk.knows(facts(7, claimed=True, tries=[running(7, 4), running(7, 9)]), facts(8))
    items = desk.watched(WatchDropped((7, 8), note="backed out"))
    expected = [
        StopBuild(b, 7, n, "linux", T0 + 11, "abc", MASTER_A, "backed out")
        for b, n in ((704, 4), (709, 9))
    ]
    assert desk.stopped == expected
    assert sorted((i.request_id, i.build_id) for i in items if i.build_id) == [(7, 704), (7, 709)]
    assert [i.state for i in items] == [DONE] * 3


def test_nothing_is_looked_at_before_the_recheck_is_due() -> None:
    desk = Desk()
    desk.knows(facts(7))
    watching = desk.watch(WatchDropped((7,)))
    desk.clock.advance(RECHECK - 0.1)
    assert desk.looks == []
    desk.clock.advance(0.1)
    assert watching.called
    assert desk.clock.getDelayedCalls() == []


def test_only_those_in_doubt_are_looked_at_again_and_given_up_in_time() -> None:
    desk = Desk()
    desk.knows(facts(6), facts(7, claimed=True), facts(8, claimed=True), facts(9))
    watching = desk.watch(WatchDropped((6, 7, 8, 9)))
    desk.clock.pump([RECHECK, LOOK_SECONDS])
    desk.knows(facts(8, claimed=True, tries=[ended(8)]))
    desk.clock.pump([LOOK_SECONDS] * 38)
    assert not watching.called
    desk.clock.advance(LOOK_SECONDS)
    assert watching.called
    assert [brids for _, brids in desk.looks[:4]] == [[6, 7, 8, 9], [7, 8], [7, 8], [7]]
    assert desk.looks[-1][0] == RECHECK + VERIFY
    states = {i.request_id: (i.state, i.master) for i in watching.result}
    assert states == {
        6: (DONE, None),
        7: (IN_DOUBT, MASTER_A),
        8: (NOTHING, None),
        9: (DONE, None),
    }


def test_a_build_that_starts_only_later_is_stopped() -> None:
    desk = Desk()
    desk.knows(facts(7, claimed=True))
    watching = desk.watch(WatchDropped((7,)))
    desk.clock.pump([RECHECK, LOOK_SECONDS])
    desk.knows(facts(7, claimed=True, tries=[running(7)]))
    desk.clock.advance(LOOK_SECONDS)
    assert [i.build_id for i in watching.result] == [701]


def test_each_of_many_is_told_of_once() -> None:
    desk = Desk()
    kinds = [
        facts,
        lambda n: facts(n, claimed=True, tries=[ended(n)]),
        lambda n: facts(n, claimed=True, tries=[running(n)]),
        lambda n: facts(n, claimed=True),
    ]
    desk.knows(*(kinds[n % 4](n) for n in range(1, 501)))
    items = desk.watched(WatchDropped(list(range(1, 501))))
    assert sorted(i.request_id or 0 for i in items) == list(range(1, 501))
    assert len(desk.stopped) == 125


def test_a_database_that_is_gone_ends_the_watch() -> None:
    desk = Desk(error=DatabaseUnavailable("gone"))
    watching = desk.watch(WatchDropped((7,)))
    desk.clock.advance(RECHECK)
    caught: list[BaseException] = []
    watching.addErrback(lambda failure: caught.append(failure.value))
    assert isinstance(caught[0], DatabaseUnavailable)
    assert desk.clock.getDelayedCalls() == []


# --- rows of masters ------------------------------------------------------------------------


@twisted_test(15)
async def test_five_hundred_requests_cost_a_few_queries(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    set_ = seed.buildset(seed.stamp())
    seed.execute("BEGIN")
    requests = [seed.request(buildset=set_) for _ in range(500)]
    seed.complete(*requests, results=2)
    seed.run(*requests[:50])
    seed.execute("COMMIT")
    counted, desk = ScriptedDatabase(scheduler.db), Desk()
    observer = make_observer(Scheduler(scheduler.url, seed, counted))  # type: ignore[arg-type]  # a database that counts
    stopper: Any = desk
    watcher = DroppedRequestWatcher(the_reactor(), observer.requests, stopper, 0.0, VERIFY)
    items = await watcher.watch(WatchDropped(requests), "zoe")
    assert len(items) == 500
    assert {s.brid for s in desk.stopped} == set(requests[:50])
    assert len(counted.texts) == 3, "with those who share builds"


@twisted_test()
async def test_the_farm_watches_and_stops_by_what_its_database_says(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    left, raced, late = (seed.request() for _ in range(3))
    seed.complete(left, raced, late, results=2)
    build = seed.run(raced)
    seed.claim(late)
    farm = make_farm(scheduler, verify=3)
    watching = defer.ensureDeferred(farm.poke(job(1), WatchDropped((left, raced, late)), "zoe"))
    await sleep(0.1)
    assert not watching.called
    later = seed.start(late)
    items = {i.request_id: (i.state, i.build_id) for i in await watching}
    assert items == {left: (DONE, None), raced: ("failed", build), late: ("failed", later)}
