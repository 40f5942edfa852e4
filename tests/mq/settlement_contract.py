"""What it promises to settle one delivery, whatever broker it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import pytest
from twisted.internet.defer import ensureDeferred

from buildapi.model.messages import Delivery
from buildapi.mq.settlement import ChannelGone, Settlement, UnsettledDeliveries
from buildapi.testing import BrokerUnderTest, Recorder, send
from tests.reactor import twisted_test, until


class SettlementUnderTest(Protocol):
    """A delivery in hand that nobody has settled."""

    @property
    def settlement(self) -> Settlement:
        """Return what is tested."""

    async def outcome(self) -> str:
        """Return what became of the message: "deleted", "comes again, attempt N" or "dead: WHY"."""

    async def lose(self) -> None:
        """Lose what the delivery came over."""


class SettlementContract:
    """Tests of a Settlement; a subclass has the fixture ``taken`` (see SettlementUnderTest)."""

    @twisted_test(20)
    async def test_what_is_acknowledged_is_deleted(self, taken: SettlementUnderTest) -> None:
        taken.settlement.ack()
        assert await taken.outcome() == "deleted"

    @twisted_test(20)
    async def test_what_was_not_handled_comes_again_as_it_came(
        self, taken: SettlementUnderTest
    ) -> None:
        taken.settlement.requeue_unhandled()
        assert await taken.outcome() == "comes again, attempt 1"

    @pytest.mark.parametrize(("failed", "attempt"), [(True, 2), (False, 1)])
    @twisted_test(20)
    async def test_what_is_requeued_counts_where_it_failed(
        self, taken: SettlementUnderTest, failed: bool, attempt: int
    ) -> None:
        await taken.settlement.requeue(failed=failed)
        assert await taken.outcome() == f"comes again, attempt {attempt}"

    @twisted_test(20)
    async def test_a_dead_letter_has_its_reason(self, taken: SettlementUnderTest) -> None:
        await taken.settlement.dead_letter("not JSON: \u00fc")
        assert await taken.outcome() == "dead: not JSON: \u00fc"

    @twisted_test(20)
    async def test_nothing_is_settled_over_what_is_gone(self, taken: SettlementUnderTest) -> None:
        await taken.lose()
        for settle in (taken.settlement.ack, taken.settlement.requeue_unhandled):
            with pytest.raises(ChannelGone):
                settle()
        with pytest.raises(ChannelGone):
            await taken.settlement.requeue(failed=True)
        with pytest.raises(ChannelGone):
            await taken.settlement.dead_letter("bad")


@attrs.define(eq=False)
class _Hand(UnsettledDeliveries):
    """Keep what is delivered, unsettled."""

    kept: list[Settlement] = attrs.field(factory=list)

    def handle(self, delivery: Delivery, settlement: Settlement) -> None:
        self.kept.append(settlement)


@attrs.define
class OfBroker:
    """A delivery of a broker."""

    made: BrokerUnderTest
    consumer: Any
    settlement: Settlement

    async def lose(self) -> None:
        await self.consumer.stop(5)

    async def outcome(self) -> str:
        await self.lose()
        again = Recorder()
        await self.made.broker.consume(self.made.queue, again, prefetch=1)
        await send(self.made.broker, b"the next")
        await until(lambda: b"the next" in again.bodies)
        if again.bodies[0] == b"1" or again.bodies[-1] == b"1":
            (came,) = [d for d in again.seen if d.body == b"1"]
            return f"comes again, attempt {came.attempt}"
        reasons: Sequence[str] = await self.made.dead_reasons()
        return f"dead: {reasons[0]}" if reasons else "deleted"


async def taken_of(made: BrokerUnderTest) -> OfBroker:
    """Let a message be delivered and settle nothing."""
    from twisted.internet import reactor

    consumer: Any = await made.broker.consume(made.queue, Recorder(), prefetch=1)
    hand = consumer.unsettled = _Hand(reactor, made.queue, Recorder(), 1, 5)
    await send(made.broker, b"1")
    await until(lambda: bool(hand.kept))
    return OfBroker(made, consumer, hand.kept[0])


def blocking(taken: Any) -> OfBroker:
    """Wait for a delivery in a fixture."""
    import pytest_twisted

    made: OfBroker = pytest_twisted.blockon(ensureDeferred(taken))
    return made
