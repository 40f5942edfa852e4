"""One thing at a time keeps its order; different things do not wait for each other."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import defer

from buildapi.agent.locks import KeyedLocks, Lease, LockKeys

Key = str | int | tuple[str, int] | None


@attrs.define
class Street:
    """Callers of keyed locks; each is inside until it is told to leave."""

    locks: KeyedLocks = attrs.field(factory=KeyedLocks)
    inside: list[int] = attrs.field(factory=list)
    came: list[int] = attrs.field(factory=list)
    leave: dict[int, defer.Deferred[None]] = attrs.field(factory=dict)
    turns: dict[int, Lease] = attrs.field(factory=dict)

    def call(self, number: int, key: Key | LockKeys | defer.Deferred[str]) -> defer.Deferred[None]:
        """Let a caller come; a plain key is kept to the end."""
        return defer.ensureDeferred(self._visit(number, key))

    async def _visit(self, number: int, key: Key | LockKeys | defer.Deferred[str]) -> None:
        async def find() -> LockKeys:
            found = await key if isinstance(key, defer.Deferred) else key
            return found if isinstance(found, LockKeys) else LockKeys([found])

        async with self.locks.hold(find) as turn:
            self.inside.append(number)
            self.came.append(number)
            self.turns[number] = turn
            self.leave[number] = defer.Deferred()
            try:
                await self.leave[number]
            finally:
                self.inside.remove(number)

    def empty(self) -> None:
        """Let all leave, also those that come in then."""
        while inside := [leaving for leaving in self.leave.values() if not leaving.called]:
            for leaving in inside:
                leaving.callback(None)


@pytest.fixture
def street() -> Iterator[Street]:
    """Return a street that is empty after the test.

    Whoever were still inside would end when the garbage is collected, in any order.
    """
    found = Street()
    yield found
    found.empty()


def test_equal_keys_take_turns_in_the_order_they_came(street: Street) -> None:
    calls = [street.call(n, "a") for n in range(4)]
    for n in range(4):
        assert street.inside == [n]
        street.leave[n].callback(None)
    assert street.came == [0, 1, 2, 3]
    assert all(c.called for c in calls)


def test_a_caller_without_keys_waits_for_nobody(street: Street) -> None:
    for n in range(3):
        street.call(n, LockKeys())
    assert street.inside == [0, 1, 2]


def test_whoever_has_written_lets_those_in_that_waited_for_its_writes_only(street: Street) -> None:
    street.call(0, LockKeys([7], ["abcd"]))
    street.call(1, LockKeys([8], ["abcd"]))
    street.call(2, LockKeys([7], []))
    street.call(3, LockKeys(exclusive_until_written=["ef01"]))
    assert street.inside == [0, 3]
    street.turns[0].written()
    assert street.inside == [0, 3, 1]
    street.turns[0].written()
    street.leave[0].callback(None)
    assert street.inside == [3, 1, 2]


def test_those_beside_each_other_wait_for_one_alone_and_it_for_them(street: Street) -> None:
    street.call(0, LockKeys(shared=["abcd"]))
    street.call(1, LockKeys([7], shared=["abcd"]))
    street.call(2, LockKeys(exclusive_until_written=["abcd"]))
    street.call(3, LockKeys(shared=["abcd"]))
    assert street.inside == [0, 1]
    street.turns[0].written()
    assert street.inside == [0, 1]
    street.turns[1].written()
    assert street.inside == [0, 1, 2]
    street.turns[2].written()
    assert street.inside == [0, 1, 2, 3]


def test_one_beside_that_waits_for_another_key_delays_no_other_beside(street: Street) -> None:
    street.call(0, LockKeys([7], shared=["abcd"]))
    street.turns[0].written()  # its pokes hang
    street.call(1, LockKeys([7], shared=["abcd"]))
    street.call(2, LockKeys([8], shared=["abcd"]))
    street.call(3, LockKeys(exclusive_until_written=["abcd"]))
    assert street.inside == [0, 2]
    street.leave[2].callback(None)
    street.leave[0].callback(None)
    assert street.inside == [1]
    street.turns[1].written()
    assert street.inside == [1, 3]


def test_whoever_has_written_lets_one_in_not_all(street: Street) -> None:
    for n in range(4):
        street.call(n, LockKeys(exclusive_until_written=["abcd"]))
    street.turns[0].written()
    street.turns[0].written()
    assert street.inside == [0, 1]
    street.call(4, LockKeys(exclusive_until_written=["abcd"]))
    street.turns[1].written()
    assert street.inside == [0, 1, 2]


def test_whoever_leaves_without_having_written_lets_the_next_in(street: Street) -> None:
    street.call(0, LockKeys(exclusive_until_written=["abcd"]))
    street.call(1, LockKeys(exclusive_until_written=["abcd"]))
    street.leave[0].callback(None)
    assert street.inside == [1]


def test_one_who_waits_for_two_comes_when_both_have_let_go(street: Street) -> None:
    street.call(0, 7)
    street.call(1, LockKeys(exclusive_until_written=["abcd"]))
    street.call(2, LockKeys([7], ["abcd"]))
    street.call(3, LockKeys([7], []))
    street.turns[1].written()
    assert street.inside == [0, 1]
    street.leave[0].callback(None)
    assert street.inside == [1, 2]


def test_different_keys_are_inside_at_once(street: Street) -> None:
    for n, key in enumerate("abc"):
        street.call(n, key)
    assert street.inside == [0, 1, 2]


def test_a_key_that_takes_long_to_find_keeps_the_order_of_those_behind(street: Street) -> None:
    slow: defer.Deferred[str] = defer.Deferred()
    street.call(0, slow)
    street.call(1, "a")
    assert street.inside == []
    slow.callback("a")
    assert street.inside == [0]
    street.leave[0].callback(None)
    assert street.inside == [1]


def test_keys_are_looked_for_at_once_and_queue_in_the_order_of_arrival(street: Street) -> None:
    slow = [defer.Deferred[str]() for _ in range(3)]
    for n in range(3):
        street.call(n, slow[n])
    slow[2].callback("a")
    slow[1].callback("b")
    assert street.inside == []
    slow[0].callback("a")
    assert sorted(street.inside) == [0, 1]
    street.leave[0].callback(None)
    assert sorted(street.inside) == [1, 2]


def test_many_jobs_behind_one_slow_key_go_on_without_filling_the_stack(street: Street) -> None:
    slow: defer.Deferred[str] = defer.Deferred()
    street.call(0, slow)
    for n in range(1, 3000):
        street.call(n, n)
    slow.callback("a")
    assert sorted(street.inside) == list(range(3000))


def test_many_jobs_of_one_request_that_end_at_once_do_not_fill_the_stack() -> None:
    """So they do when the agent stops: each is given up as soon as it may go on."""
    locks, ended = KeyedLocks(), list[int]()
    first: defer.Deferred[None] = defer.Deferred()

    async def keys() -> LockKeys:
        return LockKeys([7])

    async def job(number: int) -> None:
        async with locks.hold(keys):
            if number == 0:
                await first
            ended.append(number)

    jobs = [defer.ensureDeferred(job(number)) for number in range(3000)]
    first.callback(None)
    assert ended == list(range(3000))
    assert [one.result for one in jobs] == [None] * 3000


@pytest.mark.parametrize("is_known", [False, True])
def test_a_job_that_is_given_up_on_its_way_holds_nobody_back(
    street: Street, is_known: bool
) -> None:
    slow: defer.Deferred[str] = defer.Deferred()
    first = street.call(0, slow)
    given_up = street.call(1, "a" if is_known else defer.Deferred[str]())
    street.call(2, "a")
    given_up.cancel()
    given_up.addErrback(lambda f: f.trap(defer.CancelledError))
    slow.callback("b")
    assert sorted(street.inside) == [0, 2]
    assert not first.called


def test_a_key_that_cannot_be_found_lets_the_others_in(street: Street) -> None:
    failed = street.call(0, defer.fail(ZeroDivisionError()))
    street.call(1, "a")
    assert street.inside == [1]
    failed.addErrback(lambda f: f.trap(ZeroDivisionError))


def test_an_error_inside_gives_the_turn_on(street: Street) -> None:
    first = street.call(0, "a")
    street.call(1, "a")
    street.leave[0].errback(ZeroDivisionError())
    assert street.inside == [1]
    first.addErrback(lambda f: f.trap(ZeroDivisionError))


def test_nothing_is_kept_of_those_who_left(street: Street) -> None:
    for n in range(3):
        street.call(n, LockKeys([7], ["abcd"]))
    for n in range(3):
        street.turns[n].written()
        street.leave[n].callback(None)
    assert street.locks._queues == {}


KEYS = st.lists(st.sampled_from(["a", "b"]), unique=True, max_size=2)
VISITS = st.builds(LockKeys, KEYS, st.lists(st.sampled_from(["x", "y"]), unique=True, max_size=2))
EVENTS = st.lists(VISITS | st.tuples(st.booleans(), st.integers(0, 9)), max_size=40)
"""Somebody comes, or one of those inside writes or leaves."""


@given(EVENTS)
def test_whatever_happens_nobody_shares_a_key_that_is_held_and_all_come_in(
    events: list[LockKeys | tuple[bool, int]],
) -> None:
    street = Street()
    keys: list[LockKeys] = []
    calls: list[defer.Deferred[None]] = []
    wrote: set[int] = set()

    def held(number: int) -> set[Hashable]:
        written = set() if number in wrote else set(keys[number].exclusive_until_written)
        return written | set(keys[number].exclusive)

    def leave(writes: bool, which: int) -> None:
        number = street.inside[which % len(street.inside)]
        if writes:
            wrote.add(number)
            street.turns[number].written()
        else:
            street.leave[number].callback(None)

    for event in events:
        if isinstance(event, LockKeys):
            keys.append(event)
            calls.append(street.call(len(keys) - 1, event))
        elif street.inside:
            leave(*event)
        all_held = [key for n in street.inside for key in held(n)]
        assert len(all_held) == len(set(all_held))
    while street.inside:
        leave(False, 0)
    assert [c.result for c in calls] == [None] * len(keys)
    assert sorted(street.came) == list(range(len(keys)))
    for key in "abxy":
        mine = [
            n for n in street.came if key in (*keys[n].exclusive, *keys[n].exclusive_until_written)
        ]
        assert mine == sorted(mine)
    assert street.locks._queues == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30), st.randoms())
def test_whoever_leaves_when_order_is_kept_for_each_key(
    visits: list[tuple[str, bool]], choice: object
) -> None:
    street = Street()
    keys: dict[int, str] = {}
    for number, (key, leaving) in enumerate(visits):
        keys[number] = key
        street.call(number, key)
        if leaving and street.inside:
            street.leave[street.inside[number % len(street.inside)]].callback(None)
        assert len({keys[n] for n in street.inside}) == len(street.inside)
    while street.inside:
        street.leave[street.inside[0]].callback(None)
    assert sorted(street.came) == list(keys)
    for key in "abc":
        mine = [n for n in street.came if keys[n] == key]
        assert mine == sorted(mine)


@pytest.mark.parametrize("key", [None, 7, ("a", 1)])
def test_any_key_will_do(street: Street, key: Key) -> None:
    street.call(0, key)
    street.call(1, key)
    assert street.inside == [0]
