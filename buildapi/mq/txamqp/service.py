"""Keep one AMQP connection open, with growing pauses between attempts.

A connection ends whenever the broker restarts, a network device forgets it or a heartbeat is
missed, and all of its channels, consumers and unconfirmed messages end with it. So everything that
lives on a connection is set up again by ``setup``, and who needs one waits for ``when_connected``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, fail, succeed
from twisted.logger import Logger

from buildapi.mq.txamqp.client import Client, ClientFactory
from buildapi.mq.txamqp.errors import Closed, describe
from buildapi.reactor_time import ReactorTime, pause, timeout

CONNECT_SECONDS = 30.0
"""Maximum seconds for connecting, login and set-up together."""

GOODBYE_SECONDS = 5.0

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


def backoff(attempt: int) -> float:
    """Return the pause in seconds after the ``attempt``-th failure in a row.

    A random part, up to half, keeps many clients from reconnecting at the same moment.
    """
    # The exponent is bounded: 2.0 ** 1024, after a night without a broker, would overflow.
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt - 1, 10))
    return min(LONGEST_PAUSE, pause * (1 + random.random() / 2))


Setup = Callable[[Client], Awaitable[None]]


@attrs.define(slots=False, eq=False)
class AMQPService(Service):
    """Maintain a connection, reconnecting after every loss.

    ``endpoint`` is an IStreamClientEndpoint, ``reactor`` an IReactorTime; ``now`` returns epoch
    seconds, the unit of ``last_error_at``. ``setup`` runs at every connect; the connection is
    available only after it. A plain loop is used because ClientService cannot handle a connection
    that is lost during its preparation.
    """

    log = Logger()

    reactor: ReactorTime
    endpoint: Any
    factory: ClientFactory
    setup: Setup
    pause: Callable[[int], float] = backoff
    now: Callable[[], float] = time.time
    last_error: str | None = attrs.field(default=None, init=False)
    last_error_at: float | None = attrs.field(default=None, init=False)
    _client: Client | None = attrs.field(default=None, init=False)
    _stopped: bool = attrs.field(default=False, init=False)
    _loop: Deferred[None] | None = attrs.field(default=None, init=False)
    _waiting: list[Deferred[Client]] = attrs.field(factory=list, init=False)

    @property
    def client(self) -> Client | None:
        """Return the connection if there is one."""
        return None if self._client is None or self._client.closed else self._client

    @property
    def waiting(self) -> int:
        """Return the number of callers that wait for the connection."""
        return len(self._waiting)

    def startService(self) -> None:
        """Start connecting."""
        self._stopped = False
        super().startService()  # type: ignore[no-untyped-call]  # Twisted
        self._loop = ensureDeferred(self._run())
        self._loop.addErrback(lambda f: None if f.check(CancelledError) else f)
        self._loop.addErrback(lambda f: self.log.failure("AMQP service ended", failure=f))

    def stopService(self) -> Deferred[None]:
        """Close the connection; fire when it is closed."""
        self._stopped = True
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted
        return ensureDeferred(self._stop())

    def when_connected(self) -> Deferred[Client]:
        """Fire with the connection as soon as there is one; fail with Closed once stopped."""
        if self._stopped:
            return fail(Closed("stopped"))
        if (client := self.client) is not None:
            return succeed(client)
        waiter: Deferred[Client] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    async def _stop(self) -> None:
        for waiter in self._take_waiting():
            waiter.errback(Closed("stopped"))
        if self.client is not None:
            # Before the loop is cancelled, which aborts the connection: the broker would log a
            # client that vanished.
            await self.client.shutdown(GOODBYE_SECONDS)
        if self._loop is not None:
            self._loop.cancel()
            await self._loop
            self._loop = None

    async def _run(self) -> None:
        failures = 0
        while self.running:
            try:
                client = await timeout(
                    ensureDeferred(self._connect()), CONNECT_SECONDS, self.reactor
                )
                failures = 0
                await self._until_lost(client)
                error: Any = client.error
            # Of any kind: a wrong password or a missing vhost may be right at the next attempt.
            # When stopping it is CancelledError, and running is false.
            except Exception as e:
                error = e
            if not self.running:
                return
            failures += 1
            seconds = self.pause(failures)
            self._failed(error, seconds)
            await pause(self.reactor, seconds)

    async def _connect(self) -> Client:
        client: Client = await self.endpoint.connect(self.factory)
        try:
            await client.open()
            await self.setup(client)
        except BaseException:
            # Otherwise the socket and its heartbeats would go on, and nobody would know of them.
            client.abort(Closed("not set up"))
            raise
        return client

    async def _until_lost(self, client: Client) -> None:
        lost = client.disconnected.wait()
        # It may have been lost just after its set-up, and then is no connection to wait for.
        if not client.closed:
            self._client = client
            self.log.info("{label}: connected", label=self.factory.label)
            for waiter in self._take_waiting():
                waiter.callback(client)
        try:
            await lost
        finally:
            self._client = None
            if not client.closed:
                client.abort(Closed("stopped"))

    def _failed(self, error: object, pause: float) -> None:
        self.last_error, self.last_error_at = describe(error), self.now()
        self.log.warn(
            "{label}: no connection: {error}; next attempt in {pause:.1f} s",
            label=self.factory.label,
            error=self.last_error,
            pause=pause,
        )

    def _take_waiting(self) -> list[Deferred[Client]]:
        waiting, self._waiting = self._waiting, []
        return waiting
