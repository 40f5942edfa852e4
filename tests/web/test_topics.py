"""How often a change drops the answers of its topics."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import attrs
from twisted.internet.task import Clock

from buildapi.web.http.topics import DROP_SECONDS, TopicDrops


@attrs.define
class Dropped:
    """Drops of topics, each with the time since the start."""

    clock: Clock = attrs.field(factory=Clock)
    found: list[tuple[Hashable, float]] = attrs.field(factory=list)
    drops: TopicDrops = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        reactor: Any = self.clock
        self.drops = TopicDrops(reactor, lambda topic: self.found.append((topic, self.now)))

    @property
    def now(self) -> float:
        return self.clock.seconds()


def test_a_change_drops_at_once_and_those_soon_after_it_together() -> None:
    at = Dropped()
    at.drops.changed("a")
    assert at.found == [("a", 0.0)]
    for _ in range(3):
        at.clock.advance(0.0625)
        at.drops.changed("a")
    assert at.found == [("a", 0.0)]
    at.clock.advance(0.0625)
    assert at.found == [("a", 0.0), ("a", DROP_SECONDS)]


def test_a_change_after_the_pause_drops_at_once() -> None:
    at = Dropped()
    at.drops.changed("a")
    at.clock.advance(DROP_SECONDS)
    assert at.found == [("a", 0.0)], "nothing changed meanwhile"
    at.clock.advance(1)
    at.drops.changed("a")
    assert at.found[1:] == [("a", at.now)]


def test_a_busy_topic_is_dropped_four_times_a_second() -> None:
    at = Dropped()
    for _ in range(64):
        at.drops.changed("a")
        at.clock.advance(1 / 32)
    assert [when for _, when in at.found] == [n * DROP_SECONDS for n in range(9)]


def test_topics_do_not_wait_for_each_other() -> None:
    at = Dropped()
    for topic in "abab":
        at.drops.changed(topic)
    assert at.found == [("a", 0.0), ("b", 0.0)]


def test_nothing_is_left_of_pauses_that_are_ended() -> None:
    at = Dropped()
    for _ in range(2):
        at.drops.changed("a")
    at.drops.close()
    at.clock.advance(1)
    assert (at.found, at.clock.getDelayedCalls()) == ([("a", 0.0)], [])
    at.drops.changed("a")
    assert (at.found, at.clock.getDelayedCalls()) == ([("a", 0.0), ("a", 1.0)], [])
