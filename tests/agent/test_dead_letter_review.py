"""Dead letters are noticed: their jobs are taken up again, or end."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from buildapi.agent.dead_letter_review import AGAIN_SECONDS, INTERVAL, DeadLetterReview
from buildapi.agent.reconciler import TOO_OLD
from buildapi.model.actions import Reprioritize
from buildapi.model.messages import DeadLetter, Delivery, Disposition
from buildapi.model.records import JobState
from buildapi.model.wire import FINISHED, REQUESTS, JobMessage, encode_request
from buildapi.mq.embedded import EmbeddedDeadLetter
from tests.agent.doubles import NOW, Rig, msg
from tests.reactor import twisted_test, until

UP = Reprioritize(7, 5)
QUEUES = {REQUESTS: "buildapi-agent", FINISHED: "buildapi-web"}


@attrs.define
class Reviewer:
    """A review on a clock, over a broker whose dead letters may be called the broker's own."""

    rig: Rig
    clock: Clock = attrs.field(factory=Clock)
    counted: list[tuple[str, str]] = attrs.field(factory=list)
    later: float = 0.0
    service: DeadLetterReview = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        broker: Any = self.rig.broker
        store: Any = self.rig.store
        self.service = DeadLetterReview(
            self.clock,
            broker,
            store,
            QUEUES,
            lambda: NOW + self.later,
            self.rig.trail,
            lambda letter: self.counted.append((letter.queue, letter.end.value)),
        )
        self.rig.services.append(self.service)

    async def turn(self, seconds: float) -> None:
        """Let time pass, and wait until the service has done what is due by then."""
        self.clock.advance(seconds)
        await until(lambda: bool(self.clock.getDelayedCalls()))

    async def put_aside(self, job: int, reason: str, queue: str = "buildapi-agent") -> None:
        """Dead-letter the message of a job."""

        async def refuse(_: Delivery) -> Disposition:
            return DeadLetter(reason)

        consumer = await self.rig.broker.consume(queue, refuse, prefetch=1)
        await self.rig.send(job, UP)
        await until(lambda: bool(self.rig.dead(queue)))
        await consumer.stop(1)


@pytest.fixture
def reviewer(rig: Rig) -> Reviewer:
    return Reviewer(rig)


@twisted_test()
async def test_a_job_that_was_tried_as_often_as_it_may_ends_with_the_reason(
    rig: Rig, reviewer: Reviewer
) -> None:
    job = await rig.record(UP)
    await reviewer.put_aside(job, "tried 3 times; the last time: KeyError")
    await reviewer.service.review(REQUESTS)
    done = await rig.get(job)
    assert done.state is JobState.FAILED
    assert "the last time: KeyError" in msg(done)
    assert rig.dead() == [], "the job tells the reason"
    assert reviewer.counted == [("buildapi-agent", "failed")]


@twisted_test()
async def test_a_letter_of_a_job_that_ended_well_is_dropped(rig: Rig, reviewer: Reviewer) -> None:
    job = await rig.record(UP)
    await reviewer.put_aside(job, "tried 3 times; the last time: KeyError")
    await rig.store.inner.finish(job, {"request_id": job, "body": {"errors": False}}, NOW)
    await reviewer.service.review(REQUESTS)
    assert (rig.dead(), reviewer.counted) == ([], [("buildapi-agent", "dropped")])


@twisted_test()
async def test_a_letter_of_the_brokers_is_taken_up_again_and_carried_out(
    rig: Rig, reviewer: Reviewer
) -> None:
    job = await rig.record(UP)
    await reviewer.put_aside(job, "delivery_limit")
    letters = rig.broker.inner._queues["buildapi-agent"].dead
    letters[0] = BrokersOwn(letters[0].delivery, letters[0].reason)
    await reviewer.service.review(REQUESTS)
    assert (rig.dead(), reviewer.counted) == ([], [("buildapi-agent", "returned")])
    rig.agent()
    rig.finisher()
    assert (await rig.finished(job)).state is JobState.DONE
    assert len(rig.farm.effects) == 1


@twisted_test()
async def test_one_of_a_job_that_is_too_old_is_not_carried_out(
    rig: Rig, reviewer: Reviewer
) -> None:
    job = await rig.record(UP)
    await reviewer.put_aside(job, "delivery_limit")
    letters = rig.broker.inner._queues["buildapi-agent"].dead
    letters[0] = BrokersOwn(letters[0].delivery, letters[0].reason)
    reviewer.later = TOO_OLD + 1
    await reviewer.service.review(REQUESTS)
    assert (await rig.get(job)).state is JobState.FAILED


@twisted_test()
async def test_letters_that_stay_do_not_hide_those_behind_them(
    rig: Rig, reviewer: Reviewer
) -> None:
    """A bug, or whoever may publish, can leave thousands that nobody can read."""
    letters = rig.broker.inner._queues["buildapi-agent"].dead
    unreadable = Delivery(b"no JSON", REQUESTS, "m", None, redelivered=False, attempt=1)
    letters.extend(EmbeddedDeadLetter(unreadable, "not JSON") for _ in range(1500))
    job = await rig.record(UP)
    tried = encode_request(JobMessage(job, "zoe", NOW, UP))
    reason = "tried 3 times; the last time: KeyError"
    letters.append(EmbeddedDeadLetter(attrs.evolve(unreadable, body=tried), reason))
    await reviewer.service.review(REQUESTS)
    assert (await rig.get(job)).state is JobState.FAILED
    assert len(rig.dead()) == 1500


class BrokersOwn:
    """A letter as RabbitMQ makes it by itself."""

    def __init__(self, delivery: Delivery, reason: str) -> None:
        self.delivery, self.reason = delivery, reason

    def letter(self) -> Any:
        return attrs.evolve(EmbeddedDeadLetter(self.delivery, self.reason).letter(), by_broker=True)


@twisted_test()
async def test_letters_that_were_kept_are_reviewed_again_only_when_there_are_more(
    rig: Rig, reviewer: Reviewer
) -> None:
    reviewer.service.startService()
    await until(lambda: bool(reviewer.clock.getDelayedCalls()))
    await reviewer.put_aside(4711, "there is no job 4711")
    for _ in range(4):
        asked = len(rig.store.script.calls)
        await reviewer.turn(INTERVAL)
    assert len(rig.store.script.calls) == asked


@twisted_test()
async def test_a_letter_that_was_kept_is_settled_once_its_job_has_ended(
    rig: Rig, reviewer: Reviewer
) -> None:
    reviewer.service.startService()
    job = await rig.record(UP)
    await reviewer.put_aside(job, "the agent refused it")
    await reviewer.turn(INTERVAL)
    await rig.store.inner.finish(job, {"request_id": job, "body": {"errors": False}}, NOW)
    await reviewer.turn(INTERVAL)
    assert len(rig.dead()) == 1
    await reviewer.turn(AGAIN_SECONDS)
    assert (rig.dead(), reviewer.counted) == ([], [("buildapi-agent", "dropped")])
