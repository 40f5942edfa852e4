"""Documents that are kept for a moment."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred

from buildapi.web.http import answers as module
from buildapi.web.http.answers import AnswerCache, JSONBody, encode
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


def ask(answers: AnswerCache, source: Source, key: str = "k") -> Deferred[JSONBody]:
    return ensureDeferred(answers.get(key, source))


def test_identical_reads_at_a_time_share_one_query() -> None:
    answers, source = AnswerCache(Time(), 2), Source()
    waiting = [ask(answers, source) for _ in range(5)]
    source.end()
    assert len(source.reads) == 1
    assert {result(w).body for w in waiting} == {b'"found"'}


def test_different_keys_have_different_queries() -> None:
    answers, source = AnswerCache(Time(), 2), Source()
    ask(answers, source, "a"), ask(answers, source, "b")
    assert len(source.reads) == 2


def test_an_answer_lives_for_its_time() -> None:
    clock, source = Time(), Source()
    answers = AnswerCache(clock, 2)
    ask(answers, source)
    source.end()
    clock.now += 1.9
    assert result(ask(answers, source)).value == "found"
    assert len(source.reads) == 1
    clock.now += 0.1
    ask(answers, source)
    assert len(source.reads) == 2


def test_a_time_of_zero_keeps_nothing() -> None:
    answers, source = AnswerCache(Time(), 0), Source()
    for _ in range(2):
        ask(answers, source)
        source.end()
    assert len(source.reads) == 2


@pytest.mark.parametrize("empty", [[], {}, None, {"builds": [], "pending": []}])
def test_an_empty_answer_is_given_but_never_kept(empty: Any) -> None:
    answers, source = AnswerCache(Time(), 2), Source(empty)
    for _ in range(2):
        waiting = ask(answers, source)
        source.end()
        assert result(waiting).value == empty
    assert len(source.reads) == 2


def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    answers, source = AnswerCache(Time(), 2), Source()
    waiting = [ask(answers, source) for _ in range(3)]
    source.reads[-1].errback(ZeroDivisionError())
    assert all(isinstance(failed(w), ZeroDivisionError) for w in waiting)
    waiting = [ask(answers, source)]
    source.end()
    assert result(waiting[0]).value == "found"


def test_what_cannot_be_encoded_is_a_failure_too() -> None:
    answers, source = AnswerCache(Time(), 2), Source(object())
    waiting = ask(answers, source)
    source.end()
    assert isinstance(failed(waiting), TypeError)
    ask(answers, source)
    assert len(source.reads) == 2


def test_one_who_goes_away_does_not_disturb_the_others() -> None:
    answers, source = AnswerCache(Time(), 2), Source()
    first, second = ask(answers, source), ask(answers, source)
    first.cancel()
    assert isinstance(failed(first), CancelledError)
    source.end()
    assert result(second).value == "found"
    assert len(source.reads) == 1


def test_a_read_that_all_have_left_still_fills_the_memory() -> None:
    answers, source = AnswerCache(Time(), 2), Source()
    waiting = ask(answers, source)
    waiting.cancel()
    assert isinstance(failed(waiting), CancelledError)
    source.end()
    assert result(ask(answers, source)).value == "found"


def test_a_failure_that_nobody_waits_for_is_silent() -> None:
    answers, source = AnswerCache(Time(), 2), Source()
    waiting = ask(answers, source)
    waiting.cancel()
    assert isinstance(failed(waiting), CancelledError)
    source.reads[-1].errback(ZeroDivisionError())


def test_what_is_forgotten_is_read_again() -> None:
    answers, source = AnswerCache(Time(), 2), Source()
    ask(answers, source)
    source.end()
    answers.forget()
    ask(answers, source)
    assert len(source.reads) == 2


def test_a_read_begun_before_forgetting_serves_only_who_asked_before() -> None:
    answers, old, new = AnswerCache(Time(), 2), Source("old"), Source("new")
    before = ask(answers, old)
    answers.forget()
    after = ask(answers, new)
    new.end()
    old.end()
    assert (result(before).value, result(after).value) == ("old", "new")
    assert result(ask(answers, new)).value == "new"


def keep(answers: AnswerCache, key: str, value: Any) -> None:
    source = Source(value)
    ask(answers, source, key)
    source.end()


def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES_MAX", 2)
    answers = AnswerCache(Time(), 2)
    for key in "abc":
        keep(answers, key, key)
    assert list(answers._kept) == ["b", "c"]


def test_the_oldest_go_when_they_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_MAX", 100)
    answers = AnswerCache(Time(), 0)
    for key in "abca":
        keep(answers, key, "x" * 38)  # 40 bytes
    assert (list(answers._kept), answers._size) == (["c", "a"], 80)
    keep(answers, "d", "x" * 200)
    assert (list(answers._kept), answers._size) == ([], 0)


def test_equal_values_have_equal_tags() -> None:
    one, same, other = (JSONBody.of(v) for v in ({"a": 1}, {"a": 1}, {"a": 2}))
    assert one.etag == same.etag != other.etag
    assert one.etag.startswith(b'W/"')


def test_numbers_that_json_lacks_are_null() -> None:
    odd = [float("inf"), -float("inf"), float("nan")]
    assert json.loads(encode(odd)) == [None] * 3
    assert json.loads(encode([*odd, 10**40])) == [None, None, None, 10**40]


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSONISH)
def test_whatever_is_stored_can_be_encoded(value: Any) -> None:
    assert json.loads(encode(value)) == value
    assert JSONBody.of(value).pretty.encode(errors="replace")
