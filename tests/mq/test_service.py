"""Connecting again and again, on a clock that is told the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock

from buildapi.mq.txamqp.client import Client, ClientFactory, Credentials
from buildapi.mq.txamqp.errors import Closed
from buildapi.mq.txamqp.service import AMQPService, backoff
from tests.mq.peer import Endpoint

Setup = Callable[[Client], Any]


async def nothing(_: Client) -> None:
    """Need no set-up."""


def make(endpoint: Endpoint, setup: Setup = nothing) -> AMQPService:
    factory = ClientFactory(endpoint.clock, Credentials("me", "geheim"), heartbeat=0)
    service = AMQPService(
        endpoint.clock, endpoint, factory, setup, pause=float, now=endpoint.clock.seconds
    )
    service.startService()
    endpoint.clock.advance(0)
    return service


def stop(service: AMQPService) -> None:
    stopped = service.stopService()
    service.reactor.advance(0)
    assert stopped.called
    assert not service.reactor.getDelayedCalls()


def test_pauses_grow_to_half_a_minute() -> None:
    for attempt, low in [(1, 0.5), (2, 1), (3, 2), (6, 16)]:
        assert all(low <= backoff(attempt) <= 1.5 * low for _ in range(50))
    assert backoff(7) == backoff(1000) == 30
    assert len({backoff(1) for _ in range(20)}) > 1


def test_it_connects_and_tells_all_who_wait() -> None:
    endpoint = Endpoint(Clock(), silent={"connection.open"})
    service = make(endpoint)
    waiting = [service.when_connected() for _ in range(2)]
    assert service.client is None
    assert service.waiting == 2
    endpoint.peers[0].send(0, "connection.open-ok")
    assert all(d.called for d in waiting)
    assert service.waiting == 0
    assert service.when_connected().called
    stop(service)


def test_it_is_connected_only_once_the_set_up_is_done() -> None:
    gate: Deferred[None] = Deferred()

    async def setup(_: Client) -> None:
        await gate

    service = make(Endpoint(Clock()), setup)
    assert service.client is None
    gate.callback(None)
    assert service.client is not None
    stop(service)


def test_it_tries_again_with_growing_pauses_and_says_why() -> None:
    endpoint = Endpoint(Clock(), errors=[Refused(f"no {n}") for n in range(3)])
    service = make(endpoint)
    assert "no 0" in (service.last_error or "")
    for _ in range(65):
        endpoint.clock.advance(0.1)
    assert [round(t) for t in endpoint.attempts] == [0, 1, 3, 6]
    assert service.client is not None
    assert "no 2" in (service.last_error or "")
    assert round(service.last_error_at or 0) == 3
    stop(service)


def test_it_comes_back_after_a_loss_and_begins_with_a_short_pause() -> None:
    endpoint = Endpoint(Clock(), errors=[Refused(), Refused()])
    service = make(endpoint)
    for _ in range(35):
        endpoint.clock.advance(0.1)
    endpoint.peers[0].send(0, "connection.close", reply_code=320, reply_text="CONNECTION_FORCED")
    endpoint.clock.advance(0)
    assert service.client is None
    assert service.last_error == "320 CONNECTION_FORCED"
    endpoint.clock.advance(1)
    endpoint.clock.advance(0)
    assert len(endpoint.peers) == 2
    assert service.client is not None
    stop(service)


def test_a_failed_set_up_drops_the_connection_and_tries_again() -> None:
    calls = []

    async def setup(_: Client) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Closed("404 NOT_FOUND")

    endpoint = Endpoint(Clock())
    service = make(endpoint, setup)
    assert endpoint.peers[0].lost
    assert service.last_error == "404 NOT_FOUND"
    endpoint.clock.advance(1)
    endpoint.clock.advance(0)
    assert service.client is not None
    stop(service)


def test_a_broker_that_never_answers_is_given_up() -> None:
    endpoint = Endpoint(Clock(), silent={"connection.start-ok"})
    service = make(endpoint)
    endpoint.clock.advance(30)
    assert endpoint.peers[0].lost
    assert service.last_error == "no answer in time"
    stop(service)


@pytest.mark.parametrize("state", ["connecting", "logging in", "pausing", "connected"])
def test_it_can_be_stopped_in_any_state(state: str) -> None:
    endpoint = Endpoint(Clock())
    endpoint.mute = state == "connecting"
    endpoint.silent = {"connection.start-ok"} if state == "logging in" else set()
    endpoint.errors = [Refused()] if state == "pausing" else []
    service = make(endpoint)
    waiting = service.when_connected()
    stop(service)
    if state != "connected":
        assert waiting.result.check(Closed)  # type: ignore[union-attr]  # a Failure
        waiting.addErrback(lambda _: None)
    late = service.when_connected()
    assert late.result.check(Closed)  # type: ignore[union-attr]  # a Failure
    late.addErrback(lambda _: None)
    assert all(p.lost for p in endpoint.peers)


def test_it_can_be_started_again() -> None:
    endpoint = Endpoint(Clock())
    service = make(endpoint)
    stop(service)
    service.startService()
    endpoint.clock.advance(0)
    assert service.client is not None
    stop(service)


def test_the_password_is_in_no_representation() -> None:
    service = make(Endpoint(Clock()))
    assert "geheim" not in repr(service)
    assert "geheim" not in repr(service.factory)
    stop(service)
