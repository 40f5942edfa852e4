"""Listen where the configuration says, and stop without cutting anybody off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import defer, task
from twisted.internet.address import UNIXAddress
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site

from buildapi.web.channel import Traffic

LOOK_SECONDS = 0.05
CLOSE_SECONDS = 1.0
"""How long a client may take to fetch what was written before its connection is cut."""


@attrs.define(slots=False)
class Listener(Service):
    """Serve a site on endpoints; ``traffic`` holds its unanswered requests and connections.

    Stopping takes no more connections and waits up to ``drain_seconds`` for those; ``stopping``
    is called first, to end what only waits.
    """

    _reactor: Any
    _site: Site
    _endpoints: Sequence[str]
    _traffic: Traffic
    _drain_seconds: float
    _stopping: Callable[[], None] = lambda: None
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.name = "http"
        self.ports: list[Any] = []
        self._site.noisy = False

    def startService(self) -> None:
        """Open all endpoints; :raises SystemExit: one cannot be opened, which is logged."""
        Service.startService(self)
        self._site.doStart()  # its access log is to outlive the ports
        for text in self._endpoints:
            failed: list[Failure] = []
            opening = serverFromString(self._reactor, text).listen(self._site)
            opening.addCallbacks(self.ports.append, failed.append)
            if failed:
                why = failed[0].getErrorMessage()
                self._log.critical("cannot listen on {at}: {why}", at=text, why=why)
                raise SystemExit(1)
            self._log.info("listening on {endpoint}", endpoint=text)

    def announce(self, path: str) -> None:
        """Log the address of a page for each port."""
        for endpoint, port in zip(self._endpoints, self.ports, strict=True):
            scheme = "https" if endpoint.startswith("ssl:") else "http"
            self._log.info("self-serve is at {url}", url=_url(scheme, port.getHost()) + path)

    def stopService(self) -> defer.Deferred[None]:
        """Take no more, and wait for what is being answered."""
        Service.stopService(self)
        self._stopping()
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        ports, self.ports = self.ports, []
        for port in ports:
            await defer.maybeDeferred(port.stopListening)
        for request in self._traffic.requests:
            request.close_after()
        busy = [request.channel for request in self._traffic.requests]
        _close(c for c in self._open() if c not in busy)
        await self._until(lambda: not self._traffic.requests, self._drain_seconds)
        _close(self._open())
        await self._until(lambda: not self._open(), CLOSE_SECONDS)
        for connection in self._open():
            connection.transport.abortConnection()
        await self._until(lambda: not self._open(), CLOSE_SECONDS)
        self._site.doStop()

    def _open(self) -> Sequence[Any]:
        return list(self._traffic.channels)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        end = self._reactor.seconds() + seconds
        while not condition() and self._reactor.seconds() < end:
            await task.deferLater(self._reactor, LOOK_SECONDS)


def _close(connections: Iterable[Any]) -> None:
    for connection in connections:
        connection.transport.loseConnection()


def _url(scheme: str, address: Any) -> str:
    if isinstance(address, UNIXAddress):
        return f"unix:{address.name!r}"
    host = {"0.0.0.0": "localhost", "::": "localhost"}.get(address.host, address.host)  # noqa: S104  # how an open port calls itself
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{address.port}"
