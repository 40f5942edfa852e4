"""Inspect the queues of a broker, and retry or drop their dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime

from buildapi.admin.printed_rows import print_rows
from buildapi.exit_codes import DONE, MISSING
from buildapi.model.messages import Letter, LetterEnd
from buildapi.model.wire import job_of
from buildapi.mq.amqp import AMQPBroker

CONNECT_SECONDS = 10.0
LETTERS_MOST = 100_000
"""Maximum number of dead letters of a queue that one command reads."""

NOTHING = "no dead letters"

Say = Callable[[str], None]

Queues = Mapping[str, str]
"""The queues of the service, by routing key."""


async def _with_broker(broker: AMQPBroker, work: Callable[[], Awaitable[int]]) -> int:
    """Run a function while the broker runs; :raises BrokerUnavailable: it cannot be reached."""
    broker.startService()  # type: ignore[no-untyped-call]  # Twisted
    try:
        await broker.connected(CONNECT_SECONDS)
        return await work()
    finally:
        await broker.stopService()


async def list_queues(broker: AMQPBroker, queues: Queues, say: Say, *, as_json: bool) -> int:
    """Print the depth, consumers and dead letters of each queue."""

    async def work() -> int:
        depths = {queue: await broker.depth(queue) for queue in queues.values()}
        shown = [
            {"queue": q, "ready": d.ready, "consumers": d.consumers, "dead": d.dead}
            for q, d in depths.items()
        ]
        print_rows(shown, say, as_json=as_json, nothing=NOTHING)
        return DONE

    return await _with_broker(broker, work)


async def list_dead(broker: AMQPBroker, queues: Queues, say: Say, *, as_json: bool) -> int:
    """Print each dead letter with its reason; all stay."""

    async def work() -> int:
        shown: list[Mapping[str, object]] = []
        for key, queue in queues.items():

            async def keep(letter: Letter, key: str = key, queue: str = queue) -> LetterEnd:
                shown.append(_shown(key, queue, letter, whole=as_json))
                return LetterEnd.KEEP

            await broker.review(queue, keep, limit=LETTERS_MOST)
        print_rows(shown, say, as_json=as_json, nothing=NOTHING)
        return DONE

    return await _with_broker(broker, work)


async def settle_dead(
    broker: AMQPBroker, queues: Queues, say: Say, jobs: Collection[int] | None, *, again: bool
) -> int:
    """Retry or drop the dead letters of jobs, or all; print each, and return 5 if there is none."""
    end = LetterEnd.RETRY if again else LetterEnd.DROP

    async def work() -> int:
        settled = 0
        for key, queue in queues.items():

            async def judge(letter: Letter, key: str = key, queue: str = queue) -> LetterEnd:
                nonlocal settled
                job = job_of(key, letter.body)
                if jobs is not None and job not in jobs:
                    return LetterEnd.KEEP
                settled += 1
                say(f"{queue}: dead letter of job {_or_none(job)} is {end.value} ({letter.reason})")
                return end

            # Review no more letters than there were: a retried one may be dead-lettered again at
            # once.
            dead = (await broker.depth(queue)).dead
            await broker.review(queue, judge, limit=min(dead, LETTERS_MOST))
        if not settled:
            say("no such dead letter")
        return DONE if settled else MISSING

    return await _with_broker(broker, work)


def _or_none(job: int | None) -> str:
    return "that cannot be read" if job is None else str(job)


def _shown(key: str, queue: str, letter: Letter, *, whole: bool) -> Mapping[str, object]:
    at = None if letter.at is None else datetime.fromtimestamp(letter.at, UTC)
    shown = {
        "queue": queue,
        "job": job_of(key, letter.body),
        "at": None if at is None else at.strftime("%Y-%m-%d %H:%M:%S"),
        "by": "broker" if letter.by_broker else "buildapi",
        "reason": letter.reason,
    }
    return shown | ({"body": letter.body.decode(errors="replace")} if whole else {})
