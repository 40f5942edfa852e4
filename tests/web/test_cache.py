"""Values that are cached for a while, and computed once for all who ask at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred

from buildapi.web.http.cache import Kept, RecentValues, SingleFlight, SingleFlightCache
from tests.web.asking import failed, result


@attrs.define
class Source:
    """A read that ends when it is told to."""

    value: Any = "found"
    reads: list[Deferred[Any]] = attrs.field(factory=list)

    async def __call__(self) -> Any:
        self.reads.append(Deferred())
        return await self.reads[-1]

    def end(self) -> None:
        self.reads[-1].callback(self.value)


@attrs.define
class Time:
    """A clock that stands still."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def cache(
    seconds: float,
    *,
    clock: Callable[[], float] | None = None,
    entries: int = 10,
    weight: float = math.inf,
    keeps: Callable[[str], bool] = lambda _: True,
) -> SingleFlightCache[str]:
    values = RecentValues[str](clock or Time(), entries, weight, len)
    return SingleFlightCache(values, seconds, keeps)


def ask(answers: SingleFlightCache[str], source: Source, key: str = "k") -> Deferred[str]:
    return ensureDeferred(answers.get(key, source))


def test_identical_reads_at_a_time_share_one_query() -> None:
    answers, source = cache(2), Source()
    waiting = [ask(answers, source) for _ in range(5)]
    source.end()
    assert len(source.reads) == 1
    assert {result(w) for w in waiting} == {"found"}


def test_different_keys_have_different_queries() -> None:
    answers, source = cache(2), Source()
    ask(answers, source, "a"), ask(answers, source, "b")
    assert len(source.reads) == 2


def test_an_answer_lives_for_its_time() -> None:
    clock, source = Time(), Source()
    answers = cache(2, clock=clock)
    ask(answers, source)
    source.end()
    clock.now += 1.9
    assert result(ask(answers, source)) == "found"
    assert len(source.reads) == 1
    clock.now += 0.1
    ask(answers, source)
    assert len(source.reads) == 2


def test_a_time_of_zero_keeps_nothing() -> None:
    answers, source = cache(0), Source()
    for _ in range(2):
        ask(answers, source)
        source.end()
    assert len(source.reads) == 2


def test_what_is_not_to_be_cached_is_returned_all_the_same() -> None:
    source, cached = Source("odd"), cache(2, keeps=lambda value: value != "odd")
    for _ in range(2):
        waiting = ask(cached, source)
        source.end()
        assert result(waiting) == "odd"
    assert len(source.reads) == 2


def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    answers, source = cache(2), Source()
    waiting = [ask(answers, source) for _ in range(3)]
    source.reads[-1].errback(ZeroDivisionError())
    assert all(isinstance(failed(w), ZeroDivisionError) for w in waiting)
    waiting = [ask(answers, source)]
    source.end()
    assert result(waiting[0]) == "found"


def test_one_who_goes_away_does_not_disturb_the_others() -> None:
    answers, source = cache(2), Source()
    first, second = ask(answers, source), ask(answers, source)
    first.cancel()
    assert isinstance(failed(first), CancelledError)
    source.end()
    assert result(second) == "found"
    assert len(source.reads) == 1


def test_a_read_that_all_have_left_still_fills_the_memory() -> None:
    answers, source = cache(2), Source()
    waiting = ask(answers, source)
    waiting.cancel()
    assert isinstance(failed(waiting), CancelledError)
    source.end()
    assert result(ask(answers, source)) == "found"


def test_a_failure_that_nobody_waits_for_is_silent() -> None:
    answers, source = cache(2), Source()
    waiting = ask(answers, source)
    waiting.cancel()
    assert isinstance(failed(waiting), CancelledError)
    source.reads[-1].errback(ZeroDivisionError())


def test_what_is_forgotten_is_read_again() -> None:
    answers, source = cache(2), Source()
    ask(answers, source)
    source.end()
    answers.forget()
    ask(answers, source)
    assert len(source.reads) == 2


def test_a_read_begun_before_forgetting_serves_only_who_asked_before() -> None:
    answers, old, new = cache(2), Source("old"), Source("new")
    before = ask(answers, old)
    answers.forget()
    after = ask(answers, new)
    new.end()
    old.end()
    assert (result(before), result(after)) == ("old", "new")
    assert result(ask(answers, new)) == "new"


def keep(cached: SingleFlightCache[str], *keys: str, size: int = 1) -> None:
    for key in keys:
        source = Source("x" * size)
        ask(cached, source, key)
        if source.reads:  # else it is cached
            source.end()


def held(cached: SingleFlightCache[str]) -> list[Any]:
    return list(cached._values._held)


def test_the_oldest_go_when_there_are_too_many() -> None:
    cached = cache(2, entries=2)
    keep(cached, "a", "b", "c")
    assert held(cached) == ["b", "c"]


def test_what_was_used_last_stays() -> None:
    cached = cache(2, entries=2)
    keep(cached, "a", "b", "a", "c")
    assert held(cached) == ["a", "c"]


def test_the_oldest_go_when_they_are_too_large() -> None:
    cached = cache(2, weight=100)
    keep(cached, "a", "b", "c", "a", size=40)
    assert (held(cached), cached._values._weight) == (["c", "a"], 80)
    keep(cached, "d", size=200)
    assert (held(cached), cached._values._weight) == ([], 0)


def test_what_is_stale_takes_no_room() -> None:
    clock = Time()
    cached = cache(2, clock=clock)
    keep(cached, "a", "b")
    clock.now += 2
    keep(cached, "c")
    assert held(cached) == ["c"]


def test_a_value_may_be_cached_for_a_time_of_its_own() -> None:
    clock, source = Time(), Source()
    cached = cache(2, clock=clock)
    ensureDeferred(cached.get("k", source, 10))
    source.end()
    clock.now += 9.9
    assert result(ask(cached, source)) == "found"
    clock.now += 0.2
    ask(cached, source)
    assert len(source.reads) == 2


def test_values_are_dropped_by_what_they_are() -> None:
    values = RecentValues[str](Time(), 10)
    for key in "abc":
        values.put(key, key, 1)
    values.drop(lambda value: value == "b")
    assert [values.latest(key) for key in "abc"] == ["a", None, "c"]
    values.drop()
    assert len(values) == 0


def test_a_replaced_value_is_fresh_as_long_as_the_old_one() -> None:
    clock = Time()
    values = RecentValues[str](clock, 10)
    values.put("k", "old", 2)
    clock.now += 1
    values.replace("k", "new")
    assert values.fresh("k") == "new"
    clock.now += 1
    assert (values.fresh("k"), values.latest("k")) == (None, "new")


def kept_of(
    cached: SingleFlightCache[str], source: Source, key: str = "k", *topics: str
) -> Kept[str]:
    waiting = ensureDeferred(cached.kept(key, source, topics=topics))
    if not waiting.called:
        source.end()
    return result(waiting)


def test_a_cached_value_comes_with_how_long_it_may_be_served() -> None:
    clock = Time()
    cached = cache(2, clock=clock)
    first, second = kept_of(cached, Source()), kept_of(cached, Source())
    assert first.freshness is second.freshness
    assert [first.freshness.holds(clock.now + s) for s in (0, 1.9, 2)] == [True, True, False]


def test_the_freshness_of_what_is_not_cached_never_holds() -> None:
    clock = Time()
    cached = cache(2, clock=clock, keeps=lambda value: value != "odd")
    kept = kept_of(cached, Source("odd"))
    assert (kept.value, kept.freshness.holds(clock.now)) == ("odd", False)


def test_a_value_heavier_than_the_bound_is_not_fresh_for_those_who_waited() -> None:
    clock = Time()
    kept = kept_of(cache(2, clock=clock, weight=3), Source("too long"))
    assert (kept.value, kept.freshness.holds(clock.now)) == ("too long", False)


def test_a_value_that_is_dropped_is_served_no_more() -> None:
    clock = Time()
    cached = cache(2, clock=clock, entries=2)
    held = {key: kept_of(cached, Source(), key).freshness for key in "abc"}
    assert [f.holds(clock.now) for f in held.values()] == [False, True, True], "a had no room"
    cached.forget()
    assert not any(f.holds(clock.now) for f in held.values())


def test_a_topic_is_dropped_without_the_others() -> None:
    cached = cache(2)
    freshness = [
        kept_of(cached, Source(), key, *topics).freshness
        for key, topics in {"a": ["cedar"], "b": ["try"], "c": ["cedar", "try"], "d": []}.items()
    ]
    cached.forget_topic("cedar")
    assert held(cached) == ["b", "d"]
    assert [f.dropped for f in freshness] == [True, False, True, False]


def test_nothing_is_left_of_topics_that_no_value_has() -> None:
    clock = Time()
    cached = cache(2, clock=clock, entries=2)
    for key in "abc":
        kept_of(cached, Source(), key, "cedar", key)
    clock.now += 2
    kept_of(cached, Source(), "d", "try")
    assert cached._values._keys == {"try": {"d"}}
    cached.forget()
    assert cached._values._keys == {}


def test_a_read_begun_before_its_topic_is_dropped_serves_only_who_asked_before() -> None:
    cached, old, other = cache(2), Source("old"), Source("other")
    before = ensureDeferred(cached.kept("k", old, topics=["cedar"]))
    beside = ensureDeferred(cached.kept("o", other, topics=["try"]))
    cached.forget_topic("cedar")
    after = kept_of(cached, Source("new"), "k", "cedar")
    old.end(), other.end()
    late = result(before)
    assert (late.value, after.value) == ("old", "new")
    assert not late.freshness.holds(0.0)
    assert kept_of(cached, Source("again"), "k").value == "new"
    assert kept_of(cached, Source("again"), "o") is result(beside)


def test_outdated_reads_still_count_as_running() -> None:
    flights = SingleFlight[str]()
    source = Source()
    ensureDeferred(flights.get("k", source, lambda _: None))
    flights.renew()
    assert ("k" in flights, len(flights)) == (False, 1)
    source.end()
    assert len(flights) == 0
