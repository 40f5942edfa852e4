"""Serve on ports of loopback; close them together with their connections."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.server import Site

CONNECTIONS_MAX = 500
"""Maximum number of connections to one port; more are closed."""


# Any: an IProtocolFactory, which type checkers do not see in Twisted's classes.
Factory: TypeAlias = Any


class ListeningPort(Protocol):
    """A port that is listened on, as in IListeningPort."""

    def getHost(self) -> Any:  # IPv4Address and the like, of which only TCP's have a port
        """Return its address."""

    def stopListening(self) -> defer.Deferred[None] | None:
        """Stop; fire when it is closed."""


class Endpoint(Protocol):
    """A place to listen at, as in IStreamServerEndpoint."""

    def listen(self, protocolFactory: Factory) -> defer.Deferred[Any]:  # untyped in Twisted
        """Start listening; fire with a :class:`ListeningPort`."""


class QuietSite(Site):
    """Serve requests that come from this process without logging them."""

    noisy = False

    def log(self, request: http.Request) -> None:
        """Write nothing."""


class _LoopbackConnection(ProtocolWrapper):
    """Report the end of a connection after its protocol has handled it."""

    factory: LoopbackConnections

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # ProtocolWrapper is not typed
        self.factory.connection_ended()


class LoopbackConnections(WrappingFactory):
    """Track open connections, to limit their number and to end them at a stop."""

    noisy = False
    protocol = _LoopbackConnection

    def __init__(self, factory: Factory) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]  # WrappingFactory is not typed
        self._waiting: list[defer.Deferred[None]] = []

    def buildProtocol(self, addr: IAddress | None) -> Any:  # as in WrappingFactory, untyped
        """Accept a connection, or close it if there are too many."""
        if len(self.protocols) >= CONNECTIONS_MAX:
            # Twisted closes a connection for which there is no protocol
            # (IProtocolFactory.buildProtocol).
            return None
        return super().buildProtocol(addr)

    def connection_ended(self) -> None:
        """Record that the protocol of a connection has handled its end."""
        if not self.protocols:
            waiting, self._waiting = self._waiting, []
            for d in waiting:
                d.callback(None)

    async def end(self) -> None:
        """End all connections."""
        if not self.protocols:
            return
        ended: defer.Deferred[None] = defer.Deferred()
        self._waiting.append(ended)
        for protocol in list(self.protocols):
            # loseConnection() would wait for a client that does not read.
            protocol.transport.abortConnection()
        await ended


class LoopbackServer(Service):
    """Serve connections with the protocols of ``factory``, an IProtocolFactory."""

    def __init__(self, name: str, endpoint: Endpoint, factory: Factory) -> None:
        self.name = name
        self._endpoint, self._connections = endpoint, LoopbackConnections(factory)
        self._port: ListeningPort | None = None

    async def listen(self) -> int:
        """Start listening; return the port number."""
        self._port = port = await self._endpoint.listen(self._connections)
        return int(port.getHost().port)

    def stopService(self) -> defer.Deferred[None]:
        """Stop listening, then end requests in progress and their connections."""
        Service.stopService(self)
        return defer.ensureDeferred(self._close())

    async def _close(self) -> None:
        if self._port is not None:
            # IListeningPort.stopListening returns None if nothing is left to wait for.
            await defer.maybeDeferred(self._port.stopListening)
            self._port = None
        await self._settle()
        await self._connections.end()

    async def _settle(self) -> None:
        """Cancel work in progress, or wait for it."""
