"""One thing at a time keeps its order; different things do not wait for each other."""

from __future__ import annotations

from collections.abc import Hashable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import defer

from buildapi.agent.order import InOrder


@attrs.define
class Street:
    """Callers at an InOrder; each is inside until it is told to leave."""

    order: InOrder = attrs.field(factory=InOrder)
    inside: list[int] = attrs.field(factory=list)
    came: list[int] = attrs.field(factory=list)
    leave: dict[int, defer.Deferred[None]] = attrs.field(factory=dict)

    def call(self, number: int, key: object) -> defer.Deferred[None]:
        """Let a caller come; ``key`` may be a Deferred."""
        return defer.ensureDeferred(self._visit(number, key))

    async def _visit(self, number: int, key: object) -> None:
        async def find() -> Hashable:
            return await key if isinstance(key, defer.Deferred) else key

        async with self.order.turn(find):
            self.inside.append(number)
            self.came.append(number)
            self.leave[number] = defer.Deferred()
            try:
                await self.leave[number]
            finally:
                self.inside.remove(number)


def test_equal_keys_take_turns_in_the_order_they_came() -> None:
    street = Street()
    calls = [street.call(n, "a") for n in range(4)]
    for n in range(4):
        assert street.inside == [n]
        street.leave[n].callback(None)
    assert street.came == [0, 1, 2, 3]
    assert all(c.called for c in calls)


def test_different_keys_are_inside_at_once() -> None:
    street = Street()
    for n, key in enumerate("abc"):
        street.call(n, key)
    assert street.inside == [0, 1, 2]


def test_a_key_that_takes_long_to_find_keeps_the_order_of_those_behind() -> None:
    street = Street()
    slow: defer.Deferred[str] = defer.Deferred()
    street.call(0, slow)
    street.call(1, "a")
    assert street.inside == []
    slow.callback("a")
    assert street.inside == [0]
    street.leave[0].callback(None)
    assert street.inside == [1]


def test_a_key_that_cannot_be_found_lets_the_others_in() -> None:
    street = Street()
    failed = street.call(0, defer.fail(ZeroDivisionError()))
    street.call(1, "a")
    assert street.inside == [1]
    failed.addErrback(lambda f: f.trap(ZeroDivisionError))


def test_an_error_inside_gives_the_turn_on() -> None:
    street = Street()
    first = street.call(0, "a")
    street.call(1, "a")
    street.leave[0].errback(ZeroDivisionError())
    assert street.inside == [1]
    first.addErrback(lambda f: f.trap(ZeroDivisionError))


def test_nothing_is_kept_of_those_who_left() -> None:
    street = Street()
    for n in range(3):
        street.call(n, "a")
    for n in range(3):
        street.leave[n].callback(None)
    assert street.order._tails == {}


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
def test_any_key_will_do(key: Hashable) -> None:
    street = Street()
    street.call(0, key)
    street.call(1, key)
    assert street.inside == [0]
