"""Token buckets: no more than the rate, none forgiven for lack of room, and true waiting times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.web.http.rate_limits import (
    SWEEP_SECONDS,
    WINDOW,
    Taken,
    TokenBuckets,
    limit_field,
    policy_field,
    subnet_of,
)

RATES = st.integers(1, 200)
PAUSES = st.floats(0, 90)
STARTS = st.floats(0, 1e7)
KEYS = st.integers(0, 30)
BIT = 1e-4
"""Seconds or tokens that do not matter."""


def test_a_bucket_gives_what_it_holds_and_then_as_fast_as_it_fills() -> None:
    buckets = TokenBuckets(6)
    assert [buckets.take("a", 0.0)[:2] for _ in range(7)] == [
        *((True, n) for n in (5, 4, 3, 2, 1, 0)),
        (False, 0),
    ]
    assert buckets.take("a", 9.9) == Taken(False, 0, pytest.approx(0.1))
    assert buckets.take("a", 10.0) == Taken(True, 0, pytest.approx(10.0))
    assert buckets.take("b", 10.0).left == 5


@given(rate=RATES, start=STARTS, pauses=st.lists(PAUSES, max_size=300))
def test_no_window_has_more_than_its_share(rate: int, start: float, pauses: list[float]) -> None:
    buckets, now, granted = TokenBuckets(rate), start, list[float]()
    for pause in pauses:
        now += pause / rate
        if buckets.take("a", now).granted:
            granted.append(now)
    for first, begin in enumerate(granted):
        for number, end in enumerate(granted[first:], 1):
            assert number <= rate + (end - begin) * rate / WINDOW + BIT


@given(rate=RATES, start=STARTS, takes=st.lists(st.tuples(PAUSES, st.integers(1, 300))))
def test_the_time_to_wait_is_long_enough_and_no_longer(
    rate: int, start: float, takes: list[tuple[float, int]]
) -> None:
    buckets, now = TokenBuckets(rate), start
    for pause, count in takes:
        now += pause
        taken = buckets.take("a", now, count)
        if not taken.granted:
            assert not buckets.take("a", now + taken.seconds - BIT, count).granted
            assert buckets.take("a", now + taken.seconds + BIT, count).granted
            now += taken.seconds + BIT
        assert taken.retry_after >= 1
        assert 0 <= taken.left <= rate


@given(rate=RATES, before=st.integers(0, 200), count=st.integers(1, 300))
def test_tokens_that_are_held_count_once(rate: int, before: int, count: int) -> None:
    at_once, in_two = TokenBuckets(rate), TokenBuckets(rate)
    for buckets in (at_once, in_two):
        buckets.take("a", 0.0, before)
    whole = at_once.take("a", 0.0, count)
    if in_two.take("a", 0.0).granted:
        assert in_two.take("a", 0.0, count, held=1).granted == whole.granted
        assert at_once._missing("a", 0.0) + (not whole.granted) == in_two._missing("a", 0.0)


@given(rate=RATES, count=st.integers(1, 1000))
def test_a_count_beyond_the_size_needs_a_full_bucket_and_is_paid_for(rate: int, count: int) -> None:
    buckets = TokenBuckets(rate)
    assert buckets.take("a", 0.0, count).granted
    paid = count * WINDOW / rate - WINDOW
    assert not buckets.take("a", max(0.0, paid), 1).granted or count < rate
    assert buckets.take("a", max(0.0, paid) + WINDOW / rate + BIT, 1).granted


@given(
    rate=st.integers(2, 20),
    most=st.integers(1, 8),
    takes=st.lists(st.tuples(KEYS, PAUSES, st.integers(1, 20)), max_size=200),
)
def test_who_is_refused_stays_so_until_a_token_is_there_whoever_else_asks(
    rate: int, most: int, takes: list[tuple[int, float, int]]
) -> None:
    buckets, now = TokenBuckets(rate, most), 0.0
    refused: dict[int, float] = {}
    for key, pause, count in takes:
        now += pause / 10
        held = key in buckets._levels
        taken = buckets.take(key, now)
        assert not (taken.granted and now < refused.get(key, 0) - BIT), "forgiven"
        if not taken.granted and held:
            refused[key] = now + taken.seconds
        elif taken.granted and count > 10:  # some take all that they can get
            buckets.take(key, now, buckets.left(key, now).left or 1)
        assert len(buckets) <= most


@given(
    rate=st.integers(2, 20),
    levels=st.lists(st.integers(1, 20), min_size=4, max_size=40),
    now=st.floats(0, 60),
)
def test_the_fullest_make_room_and_none_without_a_token(
    rate: int, levels: list[int], now: float
) -> None:
    buckets = TokenBuckets(rate, len(levels))
    for key, level in enumerate(levels):
        buckets.take(key, 0.0, min(level, rate))
    before = {key: buckets._refilled(level, now) for key, level in buckets._levels.items()}
    new = buckets.take("new", now)
    kept = {key for key in buckets._levels if key != "new"}
    gone = before.keys() - kept
    assert all(rate - before[key] >= 1 for key in gone)
    assert max((before[k] for k in gone), default=0) <= min((before[k] for k in kept), default=rate)
    assert new.granted == bool(gone)
    if not new.granted:
        assert all(rate - missing < 1 for missing in before.values())


def test_one_that_finds_no_room_comes_in_once_others_have_a_token() -> None:
    buckets = TokenBuckets(60, 2)
    for key in "ab":
        buckets.take(key, 0.0, 60)
    assert buckets.take("c", 0.5) == Taken(False, 0, pytest.approx(1.0))
    assert not buckets.take("c", 1.2).granted, "not every request looks at all buckets"
    assert buckets.take("c", 0.5 + SWEEP_SECONDS).granted
    assert len(buckets) == 2


@given(
    before=RATES,
    after=RATES,
    used=st.integers(0, 200),
)
def test_another_size_leaves_each_bucket_as_full_as_it_is(
    before: int, after: int, used: int
) -> None:
    buckets = TokenBuckets(before)
    for _ in range(used):
        buckets.take("a", 0.0)
    was = buckets._missing("a", 0.0) / before
    buckets.resize(after)
    assert buckets._missing("a", 0.0) / after == pytest.approx(was)
    assert buckets.take("a", WINDOW + BIT, after).granted


def test_a_clock_that_goes_back_refills_nothing() -> None:
    buckets = TokenBuckets(2)
    buckets.take("a", 100.0, 2)
    assert not buckets.take("a", 50.0).granted
    assert not buckets.left("a", 100.0).granted
    assert buckets.left("a", 130.0).granted


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("unix", "unix", True),
        ("", "unix", False),
    ],
)
def test_what_one_host_chooses_from_counts_as_one_address(
    one: str, other: str, *, same: bool
) -> None:
    assert (subnet_of(one) == subnet_of(other)) is same


def test_the_header_fields_are_lists_of_strings_with_integers() -> None:
    taken = TokenBuckets(6).take("a", 0.0)
    assert limit_field("reads", taken) == '"reads";r=5;t=10'
    assert policy_field("reads", 6) == '"reads";q=6;w=60'
