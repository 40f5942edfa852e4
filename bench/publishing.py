"""Publish messages with confirms, without a program around it; runs a reactor until it is done."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from twisted.internet import reactor as installed
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint

from buildapi.mq.txamqp.channel import Channel
from buildapi.mq.txamqp.client import ClientFactory, Credentials

REACTOR: Any = installed
EXCHANGE, QUEUE = "bench", "bench"
CONNECT_SECONDS = 30


async def _published(url: str, size: int, waiting: int, seconds: float) -> tuple[int, float, float]:
    parts = urlsplit(url)
    login = Credentials(parts.username or "", parts.password or "")
    factory = ClientFactory(REACTOR, login, vhost=parts.path.removeprefix("/") or "/")
    endpoint = TCP4ClientEndpoint(REACTOR, parts.hostname or "", parts.port or 0)
    client = await endpoint.connect(factory)  # type: ignore[arg-type]  # attrs hides the interface
    await client.open()
    channel = await client.open_channel(confirm=True)
    await _declare(channel)
    count, own, began = 0, time.process_time(), time.perf_counter()

    async def work(number: int) -> int:
        body, done = b"x" * size, 0
        while time.perf_counter() - began < seconds:
            properties = {"message-id": f"{number}-{done}", "delivery-mode": 2}
            await channel.publish(EXCHANGE, QUEUE, body, properties)
            done += 1
        return done

    done = await gatherResults([ensureDeferred(work(n)) for n in range(waiting)])
    count = sum(done)
    taken, used = time.perf_counter() - began, time.process_time() - own
    await channel.queue_delete(queue=QUEUE)
    await client.shutdown(CONNECT_SECONDS)
    return count, taken, used


async def _declare(channel: Channel) -> None:
    await channel.exchange_declare(exchange=EXCHANGE, type="topic", durable=True)
    kind = {"x-queue-type": "quorum"}
    await channel.queue_declare(queue=QUEUE, durable=True, arguments=kind)
    await channel.queue_bind(queue=QUEUE, exchange=EXCHANGE, routing_key=QUEUE)


def run(url: str, size: int, waiting: int, seconds: float) -> tuple[int, float, float]:
    """Publish; return how many, in how many seconds, with how much processor time.

    It runs the reactor, which no process can do twice.
    """
    found: list[tuple[int, float, float]] = []
    failed: list[object] = []

    def begin() -> None:
        work = ensureDeferred(_published(url, size, waiting, seconds))
        work.addCallbacks(found.append, failed.append)
        work.addBoth(lambda _: REACTOR.stop())

    REACTOR.callWhenRunning(begin)
    REACTOR.run(installSignalHandlers=False)
    if failed:
        raise RuntimeError(str(failed[0]))
    return found[0]
