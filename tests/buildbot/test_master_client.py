"""Masters share slots fairly: a silent one delays nobody else, and nothing waits for ever."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from buildapi.buildbot.directory import Master
from buildapi.buildbot.http_fetch import FetchedAnswer, FetchError
from buildapi.buildbot.v08.master_client import MasterClient, MasterError

SECONDS, WAIT = 10, 10
OK = FetchedAnswer(200, b"{}", None)


@attrs.define
class Wire:
    """A fetcher whose answers the test gives; a master named ``silent`` never answers."""

    clock: Any
    open: dict[str, list[defer.Deferred[FetchedAnswer]]] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    most: int = 0

    async def request(self, method: str, url: str, *, seconds: float, **_: Any) -> FetchedAnswer:
        host, path = url.removeprefix("http://").split(":80/")
        self.asked.append(f"{host}/{path}")
        answer: defer.Deferred[FetchedAnswer] = defer.Deferred()
        self.open.setdefault(host, []).append(answer)
        self.most = max(self.most, self.in_hand)
        try:
            return await answer.addTimeout(seconds, self.clock)
        except defer.TimeoutError as e:
            raise FetchError("no answer", timed_out=True) from e
        finally:
            self.open[host].remove(answer)

    @property
    def in_hand(self) -> int:
        return sum(len(waiting) for waiting in self.open.values())

    def answer(self, host: str) -> None:
        self.open[host][0].callback(OK)


@attrs.define
class Desk:
    """Masters on a clock."""

    per_master: int = 2
    total: int = 4
    wait: float = WAIT
    clock: Clock = attrs.field(factory=Clock)
    wire: Wire = attrs.field(init=False)
    masters: MasterClient = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.wire = Wire(self.clock)
        fetcher: Any = self.wire
        self.masters = MasterClient(
            self.clock,
            fetcher,
            self.directory,
            seconds=SECONDS,
            wait_seconds=self.wait,
            per_master=self.per_master,
            total=self.total,
        )

    def directory(self) -> dict[str, Master]:
        web = {n: Master(n, n, 80, None, None) for n in ("a", "b", "c", "d")}
        return web | {"pb": Master("pb", "pb", None, 9010, None)}

    def ask(self, name: str, path: str = "x") -> defer.Deferred[Any]:
        asked = defer.ensureDeferred(self.masters.ask(name, "GET", path))
        asked.addErrback(lambda f: f.trap(MasterError) and f.value)
        return asked


def results(asked: list[defer.Deferred[Any]]) -> list[str]:
    """Return the result of each, as text."""
    said: list[str] = []
    for one in asked:
        outcome = getattr(one, "result", None)
        said.append(
            "open" if not one.called or isinstance(outcome, defer.Deferred) else str(outcome)
        )
    return said


def test_an_answer_is_given_back() -> None:
    desk = Desk()
    asked = desk.ask("a", "json/x")
    desk.wire.answer("a")
    assert asked.result is OK
    assert desk.wire.asked == ["a/json/x"]


def test_a_master_has_its_slots_and_no_more() -> None:
    desk = Desk(per_master=2, total=10)
    asked = [desk.ask("a", str(n)) for n in range(5)]
    assert desk.wire.asked == ["a/0", "a/1"]
    desk.wire.answer("a")
    assert desk.wire.asked == ["a/0", "a/1", "a/2"]
    for _ in range(4):
        desk.wire.answer("a")
    assert all(one.result is OK for one in asked)
    assert desk.wire.most == 2


def test_all_masters_together_have_their_slots_and_no_more() -> None:
    desk = Desk(per_master=2, total=3)
    asked = [desk.ask(name) for name in "aabbccdd"]
    assert desk.wire.in_hand == 3
    for name in "aabbccdd":
        desk.wire.answer(name)
    assert all(one.result is OK for one in asked)
    assert desk.wire.most == 3


def test_a_silent_master_with_fifty_stops_delays_no_other() -> None:
    desk = Desk(per_master=2, total=4)
    silent = [desk.ask("a", str(n)) for n in range(50)]
    others = [desk.ask(name) for name in "bcd" for _ in range(4)]
    assert desk.wire.in_hand == 4
    while busy := [name for name in "bcd" if desk.wire.open.get(name)]:
        desk.wire.answer(busy[0])
    assert all(one.result is OK for one in others)
    assert results(silent) == ["open"] * 50
    desk.clock.advance(SECONDS)
    assert "open" not in results(silent)
    assert len([a for a in desk.wire.asked if a.startswith("a/")]) <= 4


def test_nothing_waits_longer_for_its_slots_than_it_may() -> None:
    desk = Desk(per_master=1, total=1)
    desk.ask("a")
    waiting = desk.ask("b")
    desk.clock.advance(4)
    late = desk.ask("a")
    desk.clock.advance(5)
    desk.wire.answer("a")  # b is asked after 9 seconds and answers never
    desk.clock.advance(5)  # late came 10 seconds ago
    assert (
        results([waiting, late])[1]
        == "not sent: too many requests to masters for 10 s ([agent] pokes)"
    )
    desk.clock.advance(6)
    assert results([waiting]) == ["no answer"]


def test_the_wait_for_both_slots_counts_together() -> None:
    desk = Desk(per_master=1, total=1)
    desk.ask("b")
    first, second = desk.ask("a"), desk.ask("a")
    desk.clock.advance(9)
    assert results([first, second]) == ["open", "open"]
    desk.clock.advance(1)  # b gives up in the same moment: first gets its slot
    assert results([first, second]) == [
        "open",
        "not sent: too many requests to masters for 10 s ([agent] pokes)",
    ]
    desk.wire.answer("a")
    assert first.result is OK


def test_waiting_for_a_turn_does_not_shorten_the_time_for_an_answer() -> None:
    desk = Desk(per_master=1, total=10, wait=120)
    asked = [desk.ask("a", str(n)) for n in range(10)]
    for _ in asked:  # each is answered a little before its deadline
        desk.clock.advance(SECONDS - 1)
        desk.wire.answer("a")
    assert all(one.result is OK for one in asked)
    assert desk.clock.seconds() == 90


def test_a_turn_that_does_not_come_in_time_is_given_up() -> None:
    desk = Desk(per_master=1, total=10, wait=25)
    asked = [desk.ask("a", str(n)) for n in range(4)]
    for _ in range(3):
        desk.clock.advance(SECONDS - 1)
        desk.wire.answer("a")
    assert results(asked) == [str(OK)] * 3 + [
        "not sent: too many requests to masters for 25 s ([agent] pokes)"
    ]


def test_a_turn_given_up_leaves_its_slot_to_the_next() -> None:
    desk = Desk(per_master=1, total=1, wait=5)
    desk.ask("a")
    gone = desk.ask("a")
    desk.clock.advance(5)
    assert results([gone]) == ["not sent: too many requests to masters for 5 s ([agent] pokes)"]
    desk.wire.answer("a")
    again = desk.ask("a")
    desk.wire.answer("a")
    assert again.result is OK


def test_those_who_wait_for_a_master_that_keeps_silent_are_not_sent_after_the_others() -> None:
    desk = Desk(per_master=1)
    desk.ask("a", "first")
    desk.clock.advance(6)
    waiting = [desk.ask("a", str(n)) for n in range(3)]
    desk.clock.advance(4)
    assert results(waiting) == ["not sent: the master does not respond"] * 3
    assert desk.wire.asked == ["a/first"]


def test_any_number_may_wait_for_a_master_that_keeps_silent() -> None:
    desk = Desk(per_master=1, wait=120)
    desk.ask("a")
    waiting = [desk.ask("a", str(n)) for n in range(3000)]
    desk.clock.advance(SECONDS - 1)
    late = desk.ask("a")
    desk.clock.advance(1)
    assert set(results([*waiting, late])) == {"not sent: the master does not respond"}
    again = desk.ask("a", "again")
    desk.wire.answer("a")
    assert again.result is OK


def test_a_master_that_kept_silent_is_asked_again_by_those_who_come_later() -> None:
    desk = Desk(per_master=1)
    desk.ask("a")
    desk.clock.advance(SECONDS)
    again = desk.ask("a", "again")
    desk.wire.answer("a")
    assert again.result is OK


def test_slots_come_back_after_a_failure() -> None:
    desk = Desk(per_master=1, total=1)
    for _ in range(3):
        failed = desk.ask("a")
        desk.wire.open["a"][0].errback(FetchError("refused", sent=False))
        assert isinstance(failed.result, MasterError)
        assert not failed.result.asked


@pytest.mark.parametrize(
    ("name", "text"),
    [("z", "no master z in the directory"), ("pb", "master pb has no web interface")],
)
def test_who_cannot_be_asked_is_not(name: str, text: str) -> None:
    desk = Desk()
    (said,) = results([desk.ask(name)])
    assert said == text
    assert desk.wire.asked == []


def test_others_are_those_with_a_web_interface() -> None:
    assert Desk().masters.others("b") == ["a", "c", "d"]
