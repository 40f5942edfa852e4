"""What waits is answered at once, in order, and nobody gets the error of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import defer
from twisted.internet.task import Clock

from buildapi import tracing
from buildapi.db import call_groups
from buildapi.db.call_groups import MOST, CallGroups, rows_by_id, together_or_alone
from buildapi.errors import BadRequest, DatabaseUnavailable, UnclassifiedError
from buildapi.reactor_time import next_turn


@attrs.define
class Work:
    """Groups that are answered as told, with the number of the group and the item."""

    groups: list[list[int]] = attrs.field(factory=list)
    ends: list[defer.Deferred[None]] = attrs.field(factory=list)
    jobs: list[int | None] = attrs.field(factory=list)

    async def do(self, items: Sequence[int]) -> Sequence[str | Exception]:
        number = len(self.groups)
        self.groups.append(list(items))
        self.jobs.append(tracing.job())
        self.ends.append(defer.Deferred())
        await self.ends[number]
        return [BadRequest(f"{n}") if n < 0 else f"{number}:{n}" for n in items]


def started(groups: CallGroups[int, str], *items: int) -> list[defer.Deferred[str]]:
    return [defer.ensureDeferred(groups.call(item)) for item in items]


def test_who_comes_alone_does_not_wait_and_the_others_make_up_the_next_group() -> None:
    work = Work()
    groups = CallGroups(work.do)
    calls = started(groups, 1, 2, 3)
    assert work.groups == [[1]]
    work.ends[0].callback(None)
    assert work.groups == [[1], [2, 3]]
    calls += started(groups, 4)
    work.ends[1].callback(None)
    work.ends[2].callback(None)
    assert [call.result for call in calls] == ["0:1", "1:2", "1:3", "2:4"]
    calls = started(groups, 5)
    assert work.groups[3] == [5]


def test_a_group_is_bounded_and_so_are_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_groups, "WAITING_MAX", 2 * MOST)
    work = Work()
    calls = started(CallGroups(work.do), *range(2 * MOST + 2))
    assert calls[-1].result.check(DatabaseUnavailable)
    calls.pop().addErrback(lambda _: None)
    for n in range(3):
        work.ends[n].callback(None)
    assert [len(group) for group in work.groups] == [1, MOST, MOST]
    assert all(call.called for call in calls)


def test_an_error_of_one_is_raised_to_it_alone() -> None:
    work = Work()
    good, bad, other = started(CallGroups(work.do), 1, -2, 3)
    work.ends[0].callback(None)
    work.ends[1].callback(None)
    assert (good.result, other.result) == ("0:1", "1:3")
    bad.addErrback(lambda f: f.trap(BadRequest))


def test_an_error_of_the_group_is_raised_to_all_and_the_next_group_begins() -> None:
    work = Work()
    calls = started(CallGroups(work.do), 1, 2)
    work.ends[0].errback(DatabaseUnavailable("away"))
    work.ends[1].callback(None)
    calls[0].addErrback(lambda f: f.trap(DatabaseUnavailable))
    assert calls[1].result == "1:2"


def test_who_gives_up_is_left_out_and_holds_nobody_back() -> None:
    work = Work()
    calls = started(CallGroups(work.do), 1, 2, 3)
    for call in calls[:2]:
        call.cancel()
        call.addErrback(lambda f: f.trap(defer.CancelledError))
    work.ends[0].callback(None)
    assert work.groups == [[1], [3]]
    work.ends[1].callback(None)
    assert calls[2].result == "1:3"


def test_a_group_is_of_no_job() -> None:
    work = Work()
    with tracing.about(job=7):
        started(CallGroups(work.do), 1)
    assert work.jobs == [None]


@given(st.lists(st.integers(0, 9) | st.none(), max_size=60))
def test_whatever_comes_when_is_answered_in_order(events: list[int | None]) -> None:
    """A number comes, or the group under way ends."""
    work = Work()
    groups = CallGroups(work.do)
    came: list[int] = []
    calls: list[defer.Deferred[str]] = []
    ended = 0
    for event in [*events, *[None] * (len(events) + 1)]:
        if event is not None:
            came.append(event)
            calls += started(groups, event)
        elif ended < len(work.ends):
            work.ends[ended].callback(None)
            ended += 1
    assert [n for group in work.groups for n in group] == came
    assert [int(str(call.result).partition(":")[2]) for call in calls] == came


async def _refuse(items: Sequence[int]) -> Sequence[int]:
    raise UnclassifiedError("one of them")


def test_where_a_group_fails_each_is_tried_alone() -> None:
    tried: list[int] = []

    async def alone(item: int) -> int:
        tried.append(item)
        if item == 2:
            raise BadRequest("2")
        return item * 10

    found = defer.ensureDeferred(together_or_alone([1, 2, 3], _refuse, alone)).result
    assert (found[0], str(found[1]), found[2]) == (10, "2", 30)
    assert tried == [1, 2, 3]


@pytest.mark.parametrize("count", [1, 3])
def test_where_the_database_is_away_nobody_waits_for_the_others(count: int) -> None:
    tried: list[int] = []

    async def alone(item: int) -> int:
        tried.append(item)
        raise DatabaseUnavailable("away")

    items = list(range(count))
    found = defer.ensureDeferred(together_or_alone(items, _refuse, alone)).result
    assert [type(one) for one in found] == [DatabaseUnavailable] * count
    assert tried == [0]

    async def away(items: Sequence[int]) -> Sequence[int]:
        raise DatabaseUnavailable("away")

    failed = defer.ensureDeferred(together_or_alone([1, 2], away, alone))
    failed.addErrback(lambda f: f.trap(DatabaseUnavailable))
    assert tried == [0]


def test_what_comes_in_one_turn_of_the_reactor_is_one_group() -> None:
    clock, work = Clock(), Work()
    groups = CallGroups(work.do, later=next_turn(clock))
    calls = started(groups, 1, 2)
    calls[0].addErrback(lambda f: f.trap(defer.CancelledError))
    calls[0].cancel()
    calls += started(groups, 3)
    assert work.groups == []
    clock.advance(0)
    assert work.groups == [[2, 3]]
    calls += started(groups, 4)
    work.ends[0].callback(None)
    assert work.groups == [[2, 3], [4]]
    work.ends[1].callback(None)
    assert [call.result for call in calls[1:]] == ["0:2", "0:3", "1:4"]
    started(groups, 5)
    clock.advance(0)
    assert work.groups[2:] == [[5]]


def test_rows_of_several_callers_are_read_together_each_once() -> None:
    asked: list[list[int]] = []
    first = defer.Deferred[None]()

    async def read(ids: Sequence[int]) -> Mapping[int, str]:
        asked.append(list(ids))
        if len(asked) == 1:
            await first
        return {id_: f"row {id_}" for id_ in ids if id_ != 9}

    rows = rows_by_id(read)
    calls = [defer.ensureDeferred(rows.call(id_)) for id_ in (5, 7, 9, 6, 7)]
    first.callback(None)
    assert asked == [[5], [6, 7, 9]]
    assert [call.result for call in calls] == ["row 5", "row 7", None, "row 6", "row 7"]
