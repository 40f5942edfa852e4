"""The embedded broker: the contract, then what is its own, on a clock that is told the time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from buildapi.errors import BrokerUnavailable
from buildapi.model.messages import DeadLetter, Nack
from buildapi.mq.embedded import EmbeddedBroker, EmbeddedConsumer, _Settlement
from buildapi.testing import KEY, BrokerContract, MakeBroker, Recorder
from tests.agent.doubles import BrokerProxy
from tests.mq.settlement_contract import OfBroker, SettlementContract, blocking, taken_of
from tests.reactor import sleep, twisted_test, until
from tests.web.farm import MemoryBroker

QUEUE = "buildapi-agent"


@attrs.define
class Made:
    """The embedded broker in the reactor."""

    broker: EmbeddedBroker
    queue: str = QUEUE

    async def dead_reasons(self) -> Sequence[str]:
        return [letter.reason for letter in self.broker.dead_letters(self.queue)]

    async def stop(self) -> None:
        await self.broker.stopService()

    async def start(self) -> None:
        self.broker.startService()


@pytest_twisted.async_yield_fixture
async def make_broker() -> AsyncIterator[MakeBroker]:
    from twisted.internet import reactor

    made: list[Made] = []

    async def make(tries: int = 5) -> Made:
        made.append(Made(EmbeddedBroker(reactor, tries=tries)))
        await made[-1].start()
        return made[-1]

    yield make
    for m in made:
        await m.stop()


class TestEmbeddedBroker(BrokerContract):
    """In the reactor."""

    @twisted_test(5)
    async def test_a_consumer_is_its_own(self, make_broker: MakeBroker) -> None:
        made = await make_broker()
        consumer = await made.broker.consume(made.queue, Recorder(), prefetch=1)
        assert isinstance(consumer, EmbeddedConsumer)


class TestEmbeddedSettlement(SettlementContract):
    """A delivery of it."""

    @pytest.fixture
    def taken(self, make_broker: MakeBroker) -> OfBroker:
        taken = blocking(_taken(make_broker))
        assert isinstance(taken.settlement, _Settlement)
        return taken


async def _taken(make_broker: MakeBroker) -> OfBroker:
    return await taken_of(await make_broker())


def _in_reactor(make: Any) -> Any:
    """Make a fixture of brokers that are stopped after the test."""

    async def fixture() -> AsyncIterator[MakeBroker]:
        made: list[Made] = []

        async def start(tries: int = 5) -> Made:
            from twisted.internet import reactor

            made.append(Made(make(reactor, tries)))
            await made[-1].start()
            return made[-1]

        yield start
        for m in made:
            await m.stop()

    return pytest_twisted.async_yield_fixture(fixture)


memory_broker = _in_reactor(lambda reactor, tries: MemoryBroker(reactor=reactor, tries=tries))
proxied_broker = _in_reactor(lambda reactor, n: BrokerProxy(EmbeddedBroker(reactor, tries=n)))


class TestMemoryBroker(BrokerContract):
    """The double of the tests of pages."""

    @pytest.fixture
    def make_broker(self, memory_broker: MakeBroker) -> MakeBroker:
        return memory_broker


class TestBrokerProxy(BrokerContract):
    """The double of the agent's tests."""

    @pytest.fixture
    def make_broker(self, proxied_broker: MakeBroker) -> MakeBroker:
        return proxied_broker


# --- its own --------------------------------------------------------------------------------


@attrs.define
class Desk:
    """A broker on a clock."""

    clock: Clock = attrs.field(factory=Clock)
    broker: EmbeddedBroker = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.broker = EmbeddedBroker(self.clock, tries=2, max_messages=3)
        self.broker.startService()

    def send(self, *bodies: str) -> None:
        for body in bodies:
            sent = ensureDeferred(self.broker.publish(KEY, body.encode(), message_id=body))
            assert sent.called

    def turn(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)


@twisted_test()
async def test_a_delivery_happens_in_a_later_turn() -> None:
    desk, got = Desk(), Recorder()
    await desk.broker.consume(QUEUE, got, prefetch=5)
    desk.send("1")
    assert got.bodies == []
    desk.turn()
    assert got.bodies == [b"1"]


@twisted_test()
async def test_a_full_queue_refuses_and_takes_again_when_there_is_room() -> None:
    desk, got = Desk(), Recorder(hold=True)
    await desk.broker.consume(QUEUE, got, prefetch=1)
    desk.send("1", "2", "3")
    desk.turn()
    with pytest.raises(BrokerUnavailable, match="the queue is full: 3 messages wait"):
        await desk.broker.publish(KEY, b"4", message_id="4")
    got.release(b"1")
    desk.send("4")


@twisted_test()
async def test_dead_letters_are_bounded_and_the_oldest_goes() -> None:
    desk, got = Desk(), Recorder([DeadLetter(f"bad {n}") for n in range(4)])
    await desk.broker.consume(QUEUE, got, prefetch=1)
    for n in range(4):
        desk.send(str(n))
        desk.turn()
    assert [letter.reason for letter in desk.broker.dead_letters(QUEUE)] == [
        "bad 1",
        "bad 2",
        "bad 3",
    ]


@twisted_test()
async def test_a_requeue_delay_is_kept_and_holds_its_place() -> None:
    desk, got = Desk(), Recorder([Nack("busy", 10)])
    await desk.broker.consume(QUEUE, got, prefetch=1)
    desk.send("1", "2")
    desk.turn()
    desk.turn(9)
    assert got.bodies == [b"1"]
    depth = await desk.broker.depth(QUEUE)
    assert (depth.ready, depth.unacked) == (1, 1)
    desk.turn(1)
    desk.turn()
    desk.turn()
    assert got.bodies == [b"1", b"2", b"1"]


@twisted_test()
async def test_many_messages_do_not_keep_the_reactor_for_long() -> None:
    from twisted.internet import reactor

    broker, got = EmbeddedBroker(reactor), Recorder()
    broker.startService()
    await broker.consume(QUEUE, got, prefetch=5)
    for n in range(250):
        await broker.publish(KEY, b"%d" % n, message_id=str(n))
    await sleep(0)
    assert 0 < len(got.seen) < 250
    await until(lambda: len(got.seen) == 250)
    await broker.stopService()


@twisted_test()
async def test_consumers_are_served_in_turn() -> None:
    clock, one, two = Clock(), Recorder(hold=True), Recorder(hold=True)
    broker = EmbeddedBroker(clock)
    broker.startService()
    for got in (one, two):
        await broker.consume(QUEUE, got, prefetch=10)
    for n in range(6):
        await broker.publish(KEY, b"%d" % n, message_id=str(n))
    clock.advance(0)
    assert (one.bodies, two.bodies) == ([b"0", b"2", b"4"], [b"1", b"3", b"5"])


@twisted_test()
async def test_unstarted_and_unknown_are_refused() -> None:
    broker = EmbeddedBroker(Clock())
    with pytest.raises(BrokerUnavailable, match="stopped"):
        await broker.publish(KEY, b"1", message_id="1")
    with pytest.raises(BrokerUnavailable, match="no queue 'other'"):
        await broker.consume("other", Recorder(), prefetch=1)


def test_it_says_that_it_keeps_nothing() -> None:
    assert EmbeddedBroker(Clock()).keeps_messages is False
