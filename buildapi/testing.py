"""Contract tests that every implementation of an interface must pass."""

# ruff: noqa: S101  # tests assert

from __future__ import annotations

import functools
import json
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent

from buildapi.errors import BrokerUnavailable
from buildapi.interfaces import Broker
from buildapi.model.messages import (
    Ack,
    DeadLetter,
    Delivery,
    Disposition,
    Letter,
    LetterEnd,
    Nack,
    Release,
)

# --- running --------------------------------------------------------------------------------


def limited(seconds: float) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Any]:
    """Fail an ``async def`` test after a time limit; for runners that wait for Deferreds."""

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Any:
        @functools.wraps(test)
        def started(*args: Any, **kwargs: Any) -> Deferred[None]:
            return ensureDeferred(test(*args, **kwargs)).addTimeout(seconds, _reactor())

        return started

    return decorate


def _reactor() -> Any:
    # Only when a test runs: the import installs the default reactor.
    from twisted.internet import reactor

    return reactor


async def pause(seconds: float) -> None:
    """Wait while the reactor runs."""
    await deferLater(_reactor(), seconds)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, up to the time limit of the test."""
    while not condition():
        await pause(0.01)


# --- broker ---------------------------------------------------------------------------------

KEY = "requests"


class BrokerUnderTest(Protocol):
    """A started broker with empty queues; ``queue`` is bound to routing key ``requests``."""

    broker: Broker
    queue: str

    async def dead_reasons(self) -> Sequence[str]:
        """List why messages of ``queue`` were dead-lettered, oldest first."""

    async def stop(self) -> None:
        """Stop the broker as its service would."""

    async def start(self) -> None:
        """Start the broker again."""


MakeBroker = Callable[..., Awaitable[BrokerUnderTest]]
"""Makes a broker, which is stopped after the test; ``tries`` is its number of attempts."""


@attrs.define
class Recorder:
    """A handler that records deliveries; it returns from ``answers``, or once released."""

    answers: list[Disposition] = attrs.field(factory=list)
    hold: bool = False
    seen: list[Delivery] = attrs.field(factory=list, init=False)
    held: dict[bytes, Deferred[Disposition]] = attrs.field(factory=dict, init=False)
    most: int = attrs.field(default=0, init=False)

    async def __call__(self, delivery: Delivery) -> Disposition:
        """Record a delivery; return the next answer, by default an Ack, or wait to be released."""
        self.seen.append(delivery)
        if not self.hold:
            return self.answers.pop(0) if self.answers else Ack()
        held = self.held[delivery.body] = Deferred()
        self.most = max(self.most, len(self.held))
        try:
            return await held
        finally:
            del self.held[delivery.body]

    def release(self, body: bytes, answer: Disposition | None = None) -> None:
        """End the held handling of a message."""
        self.held[body].callback(answer or Ack())

    @property
    def bodies(self) -> list[bytes]:
        """List the bodies in the order of their deliveries."""
        return [d.body for d in self.seen]


async def send(broker: Broker, *bodies: bytes) -> None:
    """Publish messages; the first 20 bytes of each body are its message id."""
    for body in bodies:
        await broker.publish(KEY, body, message_id=body[:20].decode("latin-1").strip())


async def refusal(attempt: Awaitable[object]) -> str:
    """Return the message of the BrokerUnavailable that an attempt must raise."""
    try:
        await attempt
    except BrokerUnavailable as e:
        return e.msg
    raise AssertionError("not refused")


class ConsumerContract:
    """Tests of what stops a Consumer, with the fixture ``make_broker`` of BrokerContract."""

    @limited(20)
    async def test_stopping_waits_for_what_is_in_hand_and_leaves_the_rest(
        self, make_broker: MakeBroker
    ) -> None:
        made, got = await make_broker(), Recorder(hold=True)
        await send(made.broker, b"1", b"2", b"3")
        consumer = await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: len(got.held) == 1)
        stopped = ensureDeferred(consumer.stop(5))
        await pause(0.1)
        assert not stopped.called
        got.release(b"1")
        assert await stopped
        assert got.bodies == [b"1"]
        again = Recorder()
        await made.broker.consume(made.queue, again, prefetch=1)
        await until(lambda: len(again.seen) == 2)
        assert sorted(again.bodies) == [b"2", b"3"]

    @limited(20)
    async def test_what_is_in_hand_past_the_deadline_comes_again(
        self, make_broker: MakeBroker
    ) -> None:
        made, got = await make_broker(), Recorder(hold=True)
        await send(made.broker, b"1")
        consumer = await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: bool(got.held))
        assert not await consumer.stop(0.1)
        again = Recorder()
        await made.broker.consume(made.queue, again, prefetch=1)
        await until(lambda: bool(again.seen))
        assert (again.seen[0].redelivered, again.seen[0].attempt) == (True, 1), "it failed nowhere"
        got.release(b"1")  # too late to count
        await pause(0.05)
        assert again.bodies == [b"1"]

    @limited(20)
    async def test_stopping_does_not_wait_for_a_requeue_delay(
        self, make_broker: MakeBroker
    ) -> None:
        made, got = await make_broker(), Recorder([Nack("much later", 3600)])
        await send(made.broker, b"1")
        consumer = await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: bool(got.seen))
        await pause(0.05)
        assert await consumer.stop(5)
        again = Recorder()
        await made.broker.consume(made.queue, again, prefetch=1)
        await until(lambda: bool(again.seen))

    @limited(20)
    async def test_a_message_left_alone_waits_for_the_next_consumer(
        self, make_broker: MakeBroker
    ) -> None:
        made, got = await make_broker(), Recorder([Release()])
        await send(made.broker, b"1")
        consumer = await made.broker.consume(made.queue, got, prefetch=2)
        await until(lambda: bool(got.seen))
        await pause(0.1)
        assert len(got.seen) == 1
        assert await consumer.stop(5)
        again = Recorder()
        await made.broker.consume(made.queue, again, prefetch=1)
        await until(lambda: bool(again.seen))
        assert again.seen[0].redelivered

    @limited(20)
    async def test_a_consumer_is_stopped_twice_as_well(self, make_broker: MakeBroker) -> None:
        made, got = await make_broker(), Recorder()
        consumer = await made.broker.consume(made.queue, got, prefetch=1)
        assert await consumer.stop(5)
        assert await consumer.stop(5)
        await send(made.broker, b"1")
        await pause(0.1)
        assert not got.seen


class BrokerContract(ConsumerContract):
    """Tests of a Broker; a subclass defines the fixture ``make_broker`` (see MakeBroker).

    The fixture ``logged_errors`` is the list of errors logged during the test.
    """

    @limited(20)
    async def test_a_published_message_waits_in_the_queue(self, make_broker: MakeBroker) -> None:
        made = await make_broker()
        await send(made.broker, b"1", b"2")
        assert (await made.broker.depth(made.queue)).ready == 2

    @limited(20)
    async def test_a_message_arrives_as_it_was_sent(self, make_broker: MakeBroker) -> None:
        made, got = await make_broker(), Recorder()
        body = json.dumps({"who": "Zoë <zoë@example.org>"}, ensure_ascii=False).encode()
        await made.broker.publish(KEY, body, message_id="m-1", correlation_id="17")
        await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: bool(got.seen))
        assert got.seen == [Delivery(body, KEY, "m-1", "17", redelivered=False, attempt=1)]

    @limited(20)
    async def test_a_message_of_300_kb_arrives_whole(self, make_broker: MakeBroker) -> None:
        made, got, body = await make_broker(), Recorder(), os.urandom(300_000)
        await made.broker.publish(KEY, body, message_id="large")
        await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: bool(got.seen))
        assert got.bodies == [body]

    @limited(20)
    async def test_messages_arrive_in_order(self, make_broker: MakeBroker) -> None:
        made, got = await make_broker(), Recorder()
        bodies = [b"%d" % n for n in range(30)]
        await send(made.broker, *bodies)
        await made.broker.consume(made.queue, got, prefetch=5)
        await until(lambda: len(got.seen) == 30)
        assert got.bodies == bodies

    @limited(20)
    async def test_an_acknowledged_message_does_not_come_again(
        self, make_broker: MakeBroker
    ) -> None:
        made, got = await make_broker(), Recorder()
        await send(made.broker, b"1")
        consumer = await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: bool(got.seen))
        assert await consumer.stop(5)
        depth = await made.broker.depth(made.queue)
        assert (depth.ready, depth.dead) == (0, 0)

    @limited(20)
    async def test_a_requeued_message_comes_again_and_is_counted(
        self, make_broker: MakeBroker
    ) -> None:
        made, got = await make_broker(), Recorder([Nack("later"), Nack("later")])
        await made.broker.publish(KEY, b"1", message_id="m", correlation_id="c")
        await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: len(got.seen) == 3)
        assert [(d.redelivered, d.attempt) for d in got.seen] == [(False, 1), (True, 2), (True, 3)]
        assert {(d.routing_key, d.message_id, d.correlation_id) for d in got.seen} == {
            (KEY, "m", "c")
        }

    @limited(20)
    async def test_waiting_for_what_is_away_is_no_try_that_failed(
        self, make_broker: MakeBroker
    ) -> None:
        away = [Nack("the database is away", failed=False)] * 5
        made, got = await make_broker(tries=2), Recorder([*away, Nack("a fault")])
        await send(made.broker, b"1")
        await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: len(got.seen) == 7)
        assert [d.attempt for d in got.seen] == [1] * 6 + [2]
        assert (await made.broker.depth(made.queue)).dead == 0

    @limited(20)
    async def test_dead_letters_are_reviewed_in_their_order_and_those_kept_stay(
        self, make_broker: MakeBroker
    ) -> None:
        made, seen = await make_broker(), list[Letter]()
        await send(made.broker, b"1", b"2", b"3", b"4")
        bad = Recorder([DeadLetter(f"bad {n}") for n in range(4)])
        consumer = await made.broker.consume(made.queue, bad, prefetch=1)
        await self._dead(made, 4)
        await consumer.stop(5)
        ends = [LetterEnd.KEEP, LetterEnd.DROP, LetterEnd.RETURN, LetterEnd.KEEP]

        async def judge(letter: Letter) -> LetterEnd:
            seen.append(letter)
            return ends[len(seen) - 1]

        await made.broker.review(made.queue, judge, limit=10)
        assert [(x.body, x.reason, x.by_broker) for x in seen] == [
            (b"%d" % (n + 1), f"bad {n}", False) for n in range(4)
        ]
        await self._dead(made, 2)
        assert (await made.broker.depth(made.queue)).ready == 1
        assert await made.dead_reasons() == ["bad 0", "bad 3"]

    @limited(20)
    async def test_a_review_that_fails_loses_no_letter(self, make_broker: MakeBroker) -> None:
        made = await make_broker()
        await send(made.broker, b"1", b"2")
        await made.broker.consume(made.queue, Recorder([DeadLetter("bad")] * 2), prefetch=1)
        await self._dead(made, 2)

        async def judge(_: Letter) -> LetterEnd:
            raise ZeroDivisionError

        try:
            await made.broker.review(made.queue, judge, limit=10)
        except ZeroDivisionError:
            await self._dead(made, 2)
        else:
            raise AssertionError("the fault of a judge is its caller's")

    @limited(20)
    async def test_a_letter_that_is_tried_again_has_no_tries_behind_it(
        self, make_broker: MakeBroker
    ) -> None:
        made, got = await make_broker(tries=1), Recorder([Nack("a fault")])
        await made.broker.publish(KEY, b"1", message_id="m", correlation_id="17")
        await made.broker.consume(made.queue, got, prefetch=1)
        await self._dead(made, 1)

        async def judge(letter: Letter) -> LetterEnd:
            return LetterEnd.RETRY if letter.exhausted else LetterEnd.KEEP

        await made.broker.review(made.queue, judge, limit=10)
        await until(lambda: len(got.seen) == 2)
        assert attrs.evolve(got.seen[1], redelivered=False) == got.seen[0]

    @limited(20)
    async def test_a_requeued_message_comes_after_its_delay(self, make_broker: MakeBroker) -> None:
        made, got = await make_broker(), Recorder([Nack("later", 0.4)])
        await send(made.broker, b"1")
        await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: bool(got.seen))
        start = _reactor().seconds()
        await until(lambda: len(got.seen) == 2)
        assert _reactor().seconds() - start >= 0.35

    @limited(20)
    async def test_a_message_is_put_aside_after_the_last_delivery(
        self, make_broker: MakeBroker
    ) -> None:
        made, got = await make_broker(tries=3), Recorder([Nack("no luck")] * 9)
        await send(made.broker, b"1", b"2")
        await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: len(got.seen) == 6)
        await self._dead(made, 2)
        assert sorted(d.attempt for d in got.seen) == [1, 1, 2, 2, 3, 3]
        assert [("no luck" in r, "3 times" in r) for r in await made.dead_reasons()] == [
            (True, True)
        ] * 2

    @limited(20)
    async def test_a_dead_letter_is_kept_with_its_reason(self, make_broker: MakeBroker) -> None:
        made, got = await make_broker(), Recorder([DeadLetter("not JSON: ü")])
        await send(made.broker, b"1")
        await made.broker.consume(made.queue, got, prefetch=1)
        await self._dead(made, 1)
        assert await made.dead_reasons() == ["not JSON: ü"]
        assert len(got.seen) == 1

    @limited(20)
    async def test_no_more_than_the_prefetch_are_in_hand(self, make_broker: MakeBroker) -> None:
        made, got = await make_broker(), Recorder(hold=True)
        await send(made.broker, *[b"%d" % n for n in range(8)])
        await made.broker.consume(made.queue, got, prefetch=3)
        while len(got.seen) < 8 or got.held:
            await until(lambda: len(got.held) == min(3, 8 - len(got.seen) + len(got.held)))
            await pause(0.05)  # time for one too many to arrive
            assert len(got.held) <= 3
            got.release(next(iter(got.held)))
            await pause(0)
        assert got.most == 3

    @limited(20)
    async def test_messages_may_be_settled_in_any_order(self, make_broker: MakeBroker) -> None:
        made, got = await make_broker(), Recorder(hold=True)
        await send(made.broker, b"1", b"2", b"3")
        consumer = await made.broker.consume(made.queue, got, prefetch=3)
        await until(lambda: len(got.held) == 3)
        for body in (b"3", b"1"):
            got.release(body)
        assert not await consumer.stop(0.2)
        again = Recorder()
        await made.broker.consume(made.queue, again, prefetch=3)
        await until(lambda: bool(again.seen))
        await pause(0.1)
        assert again.bodies == [b"2"]
        got.release(b"2")

    @limited(20)
    async def test_a_failing_handler_is_logged_once_and_the_message_comes_again(
        self, make_broker: MakeBroker, logged_errors: list[LogEvent]
    ) -> None:
        made, got = await make_broker(), Recorder()

        async def handler(delivery: Delivery) -> Disposition:
            await got(delivery)
            if delivery.attempt == 1:
                raise ZeroDivisionError("in the handler")
            return Ack()

        await send(made.broker, b"1", b"2")
        await made.broker.consume(made.queue, handler, prefetch=2)
        await until(lambda: len(got.seen) == 4)
        assert sorted((d.body, d.attempt) for d in got.seen) == [
            (b"1", 1),
            (b"1", 2),
            (b"2", 1),
            (b"2", 2),
        ]
        assert len(logged_errors) == 2
        assert all(e["log_failure"].check(ZeroDivisionError) for e in logged_errors)
        logged_errors.clear()

    @limited(20)
    async def test_two_consumers_share_a_queue(self, make_broker: MakeBroker) -> None:
        made, one, two = await make_broker(), Recorder(hold=True), Recorder(hold=True)
        await send(made.broker, b"1", b"2")
        await made.broker.consume(made.queue, one, prefetch=1)
        await made.broker.consume(made.queue, two, prefetch=1)
        await until(lambda: len(one.held) == len(two.held) == 1)
        assert sorted(one.bodies + two.bodies) == [b"1", b"2"]
        one.release(one.bodies[0])
        two.release(two.bodies[0])
        await pause(0.1)
        assert (await made.broker.depth(made.queue)).consumers == 2

    @limited(20)
    async def test_a_message_that_nobody_takes_is_refused(self, make_broker: MakeBroker) -> None:
        made = await make_broker()
        text = await refusal(made.broker.publish("nobody", b"1", message_id="1"))
        assert "no queue is bound to 'nobody'" in text

    @limited(20)
    async def test_the_depth_of_an_unknown_queue_is_unknown(self, make_broker: MakeBroker) -> None:
        made = await make_broker()
        assert "no-such-queue" in await refusal(made.broker.depth("no-such-queue"))

    @limited(20)
    async def test_a_stopped_broker_refuses_at_once(self, make_broker: MakeBroker) -> None:
        made = await make_broker()
        assert made.broker.status().connected
        await made.stop()
        assert not made.broker.status().connected
        start = _reactor().seconds()
        assert await refusal(send(made.broker, b"1"))
        assert await refusal(made.broker.depth(made.queue))
        assert _reactor().seconds() - start < 1

    @limited(20)
    async def test_what_is_in_hand_when_the_broker_is_stopped_comes_again(
        self, make_broker: MakeBroker
    ) -> None:
        made, got, again = await make_broker(), Recorder(hold=True), Recorder()
        await send(made.broker, b"1", b"2")
        await made.broker.consume(made.queue, got, prefetch=1)
        await until(lambda: bool(got.held))
        await made.stop()
        got.release(b"1")  # too late to count
        await made.start()
        await made.broker.consume(made.queue, again, prefetch=2)
        await until(lambda: len(again.seen) == 2)
        assert sorted((d.body, d.redelivered) for d in again.seen) == [(b"1", True), (b"2", False)]

    async def _dead(self, made: BrokerUnderTest, count: int) -> None:
        while (await made.broker.depth(made.queue)).dead != count:
            await pause(0.02)
