"""What becomes of a delivery in hand."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from buildapi.errors import BrokerUnavailable
from buildapi.model.messages import Ack, DeadLetter, Delivery, Nack, Release
from buildapi.mq.settlement import FAILED_PAUSE, RETRY_PAUSE, ChannelGone, UnsettledDeliveries
from buildapi.testing import Recorder
from tests.mq.settlement_contract import SettlementContract


@attrs.define
class Told:
    """A settlement that notes what it is told, after failing as often as it should."""

    failures: list[Exception] = attrs.field(factory=list)
    ends: list[str] = attrs.field(factory=list)

    def _note(self, what: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.ends.append(what)

    def ack(self) -> None:
        self._note("ack")

    def requeue_unhandled(self) -> None:
        self._note("give back")

    async def requeue(self, *, failed: bool) -> None:
        self._note("requeue" if failed else "requeue, not counted")

    async def dead_letter(self, reason: str) -> None:
        self._note(f"dead: {reason}")


@attrs.define
class Noted:
    """The settlement that notes, at the first attempt."""

    settlement: Told

    async def outcome(self) -> str:
        (end,) = self.settlement.ends
        again = {"give back": 1, "requeue, not counted": 1, "requeue": 2}
        return (
            f"comes again, attempt {again[end]}" if end in again else end.replace("ack", "deleted")
        )

    async def lose(self) -> None:
        self.settlement.failures = [ChannelGone() for _ in range(4)]


class TestTold(SettlementContract):
    """The double keeps the contract."""

    @pytest.fixture
    def taken(self) -> Noted:
        return Noted(Told())


def delivery(message_id: str | None = "m", attempt: int = 1, body: bytes = b"1") -> Delivery:
    return Delivery(body, "requests", message_id, None, attempt > 1, attempt)


def in_hand(handler: Any, prefetch: int = 10) -> tuple[Clock, UnsettledDeliveries]:
    clock = Clock()
    return clock, UnsettledDeliveries(clock, "q", handler, prefetch, tries=3)


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (Ack(), ["ack"]),
        (Release(), []),
        (Nack("busy"), ["requeue"]),
        (DeadLetter("bad"), ["dead: bad"]),
    ],
)
def test_an_answer_settles_the_delivery(answer: Any, ends: list[str]) -> None:
    _, hand = in_hand(Recorder([answer]))
    told = Told()
    hand.handle(delivery(), told)
    assert told.ends == ends
    assert len(hand) == 0


def test_the_last_delivery_is_not_requeued_but_put_aside() -> None:
    _, hand = in_hand(Recorder([Nack("busy")]))
    told = Told()
    hand.handle(delivery(attempt=3), told)
    assert told.ends == ["dead: tried 3 times; the last time: busy"]


def test_one_that_waits_for_what_is_away_is_requeued_however_often_it_came() -> None:
    _, hand = in_hand(Recorder([Nack("away", failed=False)]))
    told = Told()
    hand.handle(delivery(attempt=3), told)
    assert told.ends == ["requeue, not counted"]


def test_a_failing_handler_has_its_message_requeued_after_a_pause(
    logged_errors: list[dict[str, Any]],
) -> None:
    async def handler(_: Delivery) -> Ack:
        raise KeyError("x")

    clock, hand = in_hand(handler)
    told = Told()
    hand.handle(delivery(), told)
    assert told.ends == []
    clock.advance(FAILED_PAUSE)
    assert told.ends == ["requeue"]
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_deliveries_of_the_same_message_run_one_after_the_other() -> None:
    got = Recorder(hold=True)
    _, hand = in_hand(got)
    old, new, other = Told([ChannelGone()]), Told(), Told()
    hand.handle(delivery(body=b"old"), old)
    hand.handle(delivery(body=b"new", attempt=2), new)
    hand.handle(delivery("other", body=b"other"), other)
    assert sorted(got.held) == [b"old", b"other"]
    got.release(b"old")
    assert sorted(got.held) == [b"new", b"other"]
    got.release(b"new")
    got.release(b"other")
    assert (old.ends, new.ends, other.ends) == ([], ["ack"], ["ack"])


def test_messages_without_an_id_do_not_wait_for_each_other() -> None:
    got = Recorder(hold=True)
    _, hand = in_hand(got)
    for body in (b"1", b"2"):
        hand.handle(delivery(None, body=body), Told())
    assert sorted(got.held) == [b"1", b"2"]
    for body in (b"1", b"2"):
        got.release(body)


def test_no_more_run_than_there_are_slots_and_a_stop_gives_the_others_back() -> None:
    got, told = Recorder(hold=True), [Told() for _ in range(3)]
    _, hand = in_hand(got, prefetch=1)
    for n in range(3):
        hand.handle(delivery(str(n), body=b"%d" % n), told[n])
    assert list(got.held) == [b"0"]
    got.release(b"0")
    assert list(got.held) == [b"1"]
    hand.refuse()
    got.release(b"1")
    assert [t.ends for t in told] == [["ack"], ["ack"], ["give back"]]


def test_a_dead_letter_that_the_broker_does_not_take_is_tried_again() -> None:
    clock, hand = in_hand(Recorder([DeadLetter("bad")]))
    told = Told([BrokerUnavailable("blocked"), BrokerUnavailable("blocked")])
    hand.handle(delivery(), told)
    clock.advance(RETRY_PAUSE)
    assert told.ends == []
    clock.advance(RETRY_PAUSE)
    assert told.ends == ["dead: bad"]


def test_a_stop_ends_pauses_and_tries_only_once_more() -> None:
    clock, hand = in_hand(Recorder([DeadLetter("bad"), Nack("busy", 100)]))
    stuck, delayed = Told([BrokerUnavailable("blocked")] * 5), Told()
    hand.handle(delivery("1"), stuck)
    hand.handle(delivery("2"), delayed)
    drained = ensureDeferred(hand.drain(5))
    assert drained.result is True
    assert (stuck.ends, len(stuck.failures)) == ([], 3)
    assert delayed.ends == ["requeue"]
    assert not clock.getDelayedCalls()


def test_draining_waits_and_tells_whether_all_ended() -> None:
    got = Recorder(hold=True)
    clock, hand = in_hand(got)
    hand.handle(delivery(), Told())
    early = ensureDeferred(hand.drain(5))
    clock.advance(5)
    assert early.result is False
    late = ensureDeferred(hand.drain(5))
    got.release(b"1")
    assert late.result is True
    assert not clock.getDelayedCalls()


def test_nothing_is_taken_while_stopping() -> None:
    got, told = Recorder(), Told()
    _, hand = in_hand(got)
    hand.refuse()
    hand.handle(delivery(), told)
    assert (got.seen, told.ends) == ([], ["give back"])
