"""Changes that were read lately are not read again, and those that follow are found soon."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs
import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from buildapi.buildbot.v08.change_cache import FOUND_SECONDS, MISSING_SECONDS, ChangeCache
from buildapi.errors import DatabaseUnavailable
from buildapi.model.pushes import Change
from tests.reactor import twisted_test


def change(id_: int, revision: str) -> Change:
    return Change(id_, "try", revision, "ann@example.org", "fix", 1_700_000_000 + id_)


@attrs.define
class Farm:
    """Changes by revision, and what was read of them; ``held`` keeps reads waiting."""

    stored: dict[str, list[Change]] = attrs.field(factory=dict)
    reads: list[list[str]] = attrs.field(factory=list)
    held: Deferred[None] | None = None
    error: Exception | None = None

    async def read(self, revisions: Collection[str]) -> Mapping[str, Sequence[Change]]:
        self.reads.append(sorted(revisions))
        if self.held is not None:
            await self.held
        if self.error is not None:
            raise self.error
        return {r: list(self.stored[r]) for r in revisions if r in self.stored}


@pytest.fixture
def farm() -> Farm:
    return Farm({r: [change(i, r)] for i, r in enumerate("abc")})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@twisted_test(10)
async def test_what_was_read_is_not_read_again(farm: Farm, clock: Clock) -> None:
    cache = ChangeCache(farm.read, clock)
    first = await cache.changes({"a", "b", "x"})
    assert first == {r: farm.stored[r] for r in "ab"}
    assert await cache.changes({"a", "x"}) == {"a": farm.stored["a"]}
    assert await cache.changes(["b", "c"]) == {r: farm.stored[r] for r in "bc"}
    assert farm.reads == [["a", "b", "x"], ["c"]]
    assert await cache.changes([]) == {}


@twisted_test(10)
async def test_a_change_that_comes_later_is_found_after_seconds(farm: Farm, clock: Clock) -> None:
    cache = ChangeCache(farm.read, clock)
    await cache.changes(["a", "x"])
    farm.stored["x"] = [change(7, "x")]
    farm.stored["a"].append(change(8, "a"))
    clock.advance(MISSING_SECONDS - 0.1)
    assert await cache.changes(["x"]) == {}
    clock.advance(0.1)
    assert await cache.changes(["a", "x"]) == {"a": [change(0, "a")], "x": [change(7, "x")]}
    clock.advance(FOUND_SECONDS)
    assert (await cache.changes(["a"]))["a"] == [change(0, "a"), change(8, "a")]


@twisted_test(10)
async def test_the_least_recently_used_are_dropped(farm: Farm, clock: Clock) -> None:
    farm.stored["b"] = [change(i, "b") for i in range(3)]
    cache = ChangeCache(farm.read, clock, changes_max=4)
    for revision in ("a", "b", "a", "x", "a"):
        await cache.changes([revision])
    assert farm.reads == [["a"], ["b"], ["x"]]
    await cache.changes(["b"])
    assert farm.reads[3:] == [["b"]]
    assert cache._weight == sum(kept.weight for kept in cache._kept.values()) <= 4


@twisted_test(10)
async def test_a_revision_of_more_changes_than_are_kept_is_answered(
    farm: Farm, clock: Clock
) -> None:
    farm.stored["b"] = [change(i, "b") for i in range(9)]
    cache = ChangeCache(farm.read, clock, changes_max=4)
    for _ in range(2):
        assert len((await cache.changes(["b"]))["b"]) == 9
    assert farm.reads == [["b"], ["b"]]


def test_calls_that_come_during_a_read_share_the_next(farm: Farm, clock: Clock) -> None:
    cache = ChangeCache(farm.read, clock)
    farm.held = Deferred()
    calls = [ensureDeferred(cache.changes([r])) for r in ("a", "b", "b", "x")]
    farm.held.callback(None)
    assert [call.result for call in calls] == [  # type: ignore[attr-defined]  # of a fired Deferred
        {"a": farm.stored["a"]},
        {"b": farm.stored["b"]},
        {"b": farm.stored["b"]},
        {},
    ]
    assert farm.reads == [["a"], ["b", "x"]]


@twisted_test(10)
async def test_a_read_that_fails_is_tried_again(farm: Farm, clock: Clock) -> None:
    cache = ChangeCache(farm.read, clock)
    farm.error = DatabaseUnavailable("away")
    with pytest.raises(DatabaseUnavailable):
        await cache.changes(["a"])
    farm.error = None
    assert await cache.changes(["a"]) == {"a": farm.stored["a"]}


@twisted_test(10)
async def test_texts_that_repeat_are_kept_once(farm: Farm, clock: Clock) -> None:
    comments = ["x" * 100 + str(i // 2) for i in range(2, 4)]
    assert comments[0] is not comments[1]
    farm.stored["a"] = [Change(i, "try", "a", "ann", c, i) for i, c in enumerate(comments)]
    cache = ChangeCache(farm.read, clock)
    await cache.changes(["a"])
    one, two = (await cache.changes(["a"]))["a"]
    assert one.comments is two.comments


@twisted_test(10)
async def test_long_comments_leave_room_for_fewer_changes(farm: Farm, clock: Clock) -> None:
    farm.stored = {r: [Change(1, "try", r, "ann", "x" * 97, 1)] * 2 for r in "abc"}
    cache = ChangeCache(farm.read, clock, text_max=250)
    for revision in ("a", "b", "c", "b"):
        await cache.changes([revision])
    assert farm.reads == [["a"], ["b"], ["c"]]
    await cache.changes(["a"])
    assert farm.reads[3:] == [["a"]]
    assert cache._text == sum(kept.text for kept in cache._kept.values()) == 200
