"""Listen on ports of loopback for the sample farm, and close them with their connections."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.server import Site

CONNECTIONS_MAX = 500
"""Maximum number of connections to one port; more are closed."""


class QuietSite(Site):
    """Serve requests that come from this process without logging them."""

    noisy = False

    def log(self, request: Any) -> None:
        """Write nothing."""


class _LoopbackConnection(ProtocolWrapper):
    """Report the end of a connection after its protocol has handled it."""

    factory: LoopbackConnections

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # ProtocolWrapper is not typed
        self.factory.has_ended()


class LoopbackConnections(WrappingFactory):
    """Track open connections, to limit their number and to end them at a stop."""

    noisy = False
    protocol = _LoopbackConnection

    def __init__(self, factory: Any) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]  # WrappingFactory is not typed
        self._none_left: list[defer.Deferred[None]] = []

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Accept a connection, or close it if there are too many."""
        if len(self.protocols) >= CONNECTIONS_MAX:
            return None
        return super().buildProtocol(addr)

    def has_ended(self) -> None:
        """Record that the protocol of a connection has handled its end."""
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


class LoopbackServer(Service):
    """Serve connections: ``endpoint`` provides IStreamServerEndpoint, ``factory`` the protocols."""

    def __init__(self, name: str, endpoint: Any, factory: Any) -> None:
        self.name = name
        self._endpoint, self._connections = endpoint, LoopbackConnections(factory)
        self._port: Any = None

    async def listen(self) -> int:
        """Start listening; return the port number."""
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
        """Cancel work in progress, or wait for it."""
