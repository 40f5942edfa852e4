"""``buildapi queue``: what an operator sees of a real RabbitMQ, and does about its dead letters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from buildapi.model.actions import Reprioritize
from buildapi.model.messages import DeadLetter, Nack
from buildapi.model.wire import JobMessage, encode_request
from buildapi.mq.amqp import AMQPBroker
from buildapi.testing import KEY, Recorder
from tests.cli.running import Done, buildapi
from tests.e2e.service import toml
from tests.mq.conftest import Names, broker_on
from tests.reactor import sleep, twisted_test
from tests.services.rabbitmq import RabbitMQ

pytestmark = pytest.mark.rabbitmq


def configure(folder: Path, node: RabbitMQ, names: Names, **broker: Any) -> None:
    for name in ("branches.json", "masters.json"):
        (folder / name).write_text("{}")
    section = {
        "url": f"amqp://{node.user}@{node.host}:{node.port}/",
        "password": node.password,
        "exchange": names.exchange,
        "agent_queue": names.agent_queue,
        "web_queue": names.web_queue,
        **broker,
    }
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "scheduler.sqlite").touch()
    directory = {"branches": "branches.json", "masters": "masters.json"}
    document = {"directory": directory, "broker": section}
    (folder / "buildapi.toml").write_text(toml(document))


def run(folder: Path, *command: str) -> Deferred[Done]:
    def work() -> Done:
        return buildapi("queue", *command, "-c", "buildapi.toml", folder=folder)

    return deferToThread(work)


async def with_letters(broker: AMQPBroker, names: Names) -> None:
    """Put aside a message of job 3, and one that cannot be read."""
    up = Reprioritize(7, 5)
    await broker.publish(KEY, encode_request(JobMessage(3, "zoe", 5, up)), message_id="job-3")
    await broker.publish(KEY, b"no \x1b[31mJSON", message_id="m")
    letters = Recorder([Nack("KeyError"), DeadLetter("not JSON")])
    consumer = await broker.consume(names.agent_queue, letters, prefetch=1)
    while (await broker.depth(names.agent_queue)).dead != 2:
        await sleep(0.02)
    await consumer.stop(5)


@twisted_test(240)
async def test_an_operator_lists_retries_and_drops_dead_letters(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    names = Names.fresh()
    configure(tmp_path, rabbitmq, names)
    broker = broker_on(rabbitmq, names, tries=1)
    broker.startService()
    try:
        await broker.connected(10)
        await with_letters(broker, names)

        done = await run(tmp_path, "list", "--json")
        assert (done.code, done.err) == (0, "")
        listed = json.loads(done.out)
        assert listed[0] == {"queue": names.agent_queue, "ready": 0, "consumers": 0, "dead": 2}

        shown = (await run(tmp_path, "dead", "list")).out.decode()
        assert "tried 1 times; the last time: KeyError" in shown
        assert "\x1b" not in shown
        letters = json.loads((await run(tmp_path, "dead", "list", "--json")).out)
        assert [(x["job"], x["by"], x["reason"]) for x in letters] == [
            (3, "buildapi", "tried 1 times; the last time: KeyError"),
            (None, "buildapi", "not JSON"),
        ]

        assert (await run(tmp_path, "dead", "drop", "--job", "9")).code == 5
        assert (await broker.depth(names.agent_queue)).dead == 2, "all are where they were"

        retried = await run(tmp_path, "dead", "retry", "--job", "3")
        assert (retried.code, b"dead letter of job 3 is retried" in retried.out) == (0, True)
        depth = await broker.depth(names.agent_queue)
        assert (depth.ready, depth.dead) == (1, 1)

        assert (await run(tmp_path, "dead", "drop", "--all")).code == 0
        assert (await broker.depth(names.agent_queue)).dead == 0
        assert (await run(tmp_path, "dead", "list")).out == b"no dead letters\n"
    finally:
        await broker.stopService()


@twisted_test(60)
async def test_a_broker_that_cannot_be_used_is_told_in_words(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    configure(tmp_path, rabbitmq, Names.fresh(), password="falsch-geheim")
    done = await run(tmp_path, "list")
    assert done.code == 6
    assert "ACCESS_REFUSED" in done.err
    assert "falsch-geheim" not in done.err


@twisted_test(20)
async def test_which_letters_must_be_said(rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    configure(tmp_path, rabbitmq, Names.fresh())
    for chosen in ((), ("--all", "--job", "3")):
        done = await run(tmp_path, "dead", "drop", *chosen)
        assert done.code == 2
        assert "--job or --all is required, and not both" in done.err


def test_the_embedded_broker_has_its_queues_in_the_service(tmp_path: Path) -> None:
    (tmp_path / "buildapi.toml").write_text("[sample]\nenabled = true\n")
    done = buildapi("queue", "list", "-c", "buildapi.toml", folder=tmp_path)
    assert done.code == 2
    assert "exist only inside the service" in done.err
