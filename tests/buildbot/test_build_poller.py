"""Looks at many builds at once cost a query or two, and one waiter does not harm another."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from buildapi.buildbot.v08.build_poller import BuildPoller
from buildapi.db.sql import CHUNK, Params, Row
from buildapi.errors import DatabaseUnavailable
from tests.buildbot.acting import the_reactor
from tests.buildbot.conftest import Scheduler
from tests.buildbot.seed import T0
from tests.db.scripted import ScriptedDatabase
from tests.reactor import twisted_test


@attrs.define
class Slow:
    """A database that answers when the test says so."""

    asked: list[tuple[list[int], defer.Deferred[list[Row]]]] = attrs.field(factory=list)

    async def fetch(self, text: str, params: Params) -> list[Row]:
        answer: defer.Deferred[list[Row]] = defer.Deferred()
        self.asked.append((sorted(params.values()), answer))
        return await answer


@attrs.define
class Desk:
    """Looks on a clock."""

    clock: Clock = attrs.field(factory=Clock)
    db: Slow = attrs.field(factory=Slow)
    looks: BuildPoller = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        db: Any = self.db
        self.looks = BuildPoller(self.clock, db)

    def look(self, build: int) -> defer.Deferred[Any]:
        return defer.ensureDeferred(self.looks.is_over(build))


def failure_of(one: defer.Deferred[Any]) -> BaseException:
    caught: list[BaseException] = []
    one.addErrback(lambda failure: caught.append(failure.value))
    return caught[0]


@twisted_test(20)
async def test_a_thousand_looks_at_once_are_a_few_queries(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    requests = [seed.request() for _ in range(20)]
    builds = [seed.start(request, at=T0 + 11) for request in requests]
    for build in builds[::2]:
        seed.end(build)
    db: Any = ScriptedDatabase(scheduler.db)
    looks = BuildPoller(the_reactor(), db)
    ids = [*builds, *range(100_000, 100_000 + 980)]
    asked = [defer.ensureDeferred(looks.is_over(id_)) for id_ in ids]
    over = await defer.gatherResults(asked)
    assert over == [True, False] * 10 + [True] * 980
    assert len(db.texts) == 1000 // CHUNK


def test_all_of_a_turn_wait_for_the_same_answer() -> None:
    desk = Desk()
    asked = [desk.look(build) for build in (7, 8, 7)]
    assert desk.db.asked == []
    desk.clock.advance(0)
    ((ids, answer),) = desk.db.asked
    assert ids == [7, 8]
    answer.callback([(8,)])
    assert [one.result for one in asked] == [True, False, True]


def test_who_comes_while_a_query_is_under_way_is_answered_by_the_next() -> None:
    desk = Desk()
    first = desk.look(7)
    desk.clock.advance(0)
    second = desk.look(7)
    desk.clock.advance(0)
    (_, early), (_, late) = desk.db.asked
    late.callback([])
    assert second.result is True
    assert not first.called
    early.callback([(7,)])
    assert first.result is False


def test_an_error_of_the_database_reaches_all_and_is_over_with_the_turn() -> None:
    desk = Desk()
    asked = [desk.look(build) for build in (7, 8, 8)]
    desk.clock.advance(0)
    desk.db.asked[0][1].errback(DatabaseUnavailable("gone"))
    for one in asked:
        assert isinstance(failure_of(one), DatabaseUnavailable)
    again = desk.look(7)
    desk.clock.advance(0)
    desk.db.asked[1][1].callback([])
    assert again.result is True


@pytest.mark.parametrize("under_way", [False, True])
def test_a_waiter_that_goes_away_harms_nobody(under_way: bool) -> None:
    desk = Desk()
    gone, stays, other = desk.look(7), desk.look(7), desk.look(8)
    if under_way:
        desk.clock.advance(0)
    gone.cancel()
    assert isinstance(failure_of(gone), defer.CancelledError)
    desk.clock.advance(0)
    desk.db.asked[0][1].callback([(7,)])
    assert (stays.result, other.result) == (False, True)
    assert desk.clock.getDelayedCalls() == []
