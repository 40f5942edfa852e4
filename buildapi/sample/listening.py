"""Ports of loopback that the sample farm listens on, and that a stop closes for good."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.server import Site

CONNECTIONS = 500
"""Connections to one port at once; more are closed."""


class QuietSite(Site):
    """A site whose requests come from this process: they are not worth log lines."""

    noisy = False

    def log(self, request: Any) -> None:
        """Write nothing."""


class _Connection(ProtocolWrapper):
    """A connection that tells of its end when all else that belongs to it is done."""

    factory: Connections

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # ProtocolWrapper is not typed
        self.factory.has_ended()


class Connections(WrappingFactory):
    """Know the open connections, so that there are not too many and a stop can end them."""

    noisy = False
    protocol = _Connection

    def __init__(self, factory: Any) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]  # WrappingFactory is not typed
        self._none_left: list[defer.Deferred[None]] = []

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Take a connection, or close it where there are too many."""
        if len(self.protocols) >= CONNECTIONS:
            return None
        return super().buildProtocol(addr)

    def has_ended(self) -> None:
        """Note that the protocol of a connection knows of its end."""
        if not self.protocols:
            waiting, self._none_left = self._none_left, []
            for d in waiting:
                d.callback(None)

    async def end(self) -> None:
        """End all connections."""
        if not self.protocols:
            return
        ended: defer.Deferred[None] = defer.Deferred()
        self._none_left.append(ended)
        for protocol in list(self.protocols):
            protocol.transport.abortConnection()
        await ended


class Listening(Service):
    """Serve connections: ``endpoint`` provides IStreamServerEndpoint, ``factory`` their side."""

    def __init__(self, name: str, endpoint: Any, factory: Any) -> None:
        self.name = name
        self._endpoint, self._connections = endpoint, Connections(factory)
        self._port: Any = None

    async def listen(self) -> int:
        """Begin to listen; give the port number."""
        self._port = await self._endpoint.listen(self._connections)
        return int(self._port.getHost().port)

    def stopService(self) -> defer.Deferred[None]:
        """Stop listening and end what is being answered."""
        Service.stopService(self)
        return defer.ensureDeferred(self._close())

    async def _close(self) -> None:
        if self._port is not None:
            await defer.maybeDeferred(self._port.stopListening)
            self._port = None
        await self._settle()
        await self._connections.end()

    async def _settle(self) -> None:
        """Give up, or wait for, what is under way."""
