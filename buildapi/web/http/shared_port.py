"""Open TCP ports that several processes of one user share: SO_REUSEPORT [socket(7)].

The kernel spreads connections over the processes that listen, each with a queue of its own. One
that is killed takes its queue along; one that stops accepts what is in it first.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, cast

import attrs
from twisted.internet import tcp

from buildapi.reactor_time import ReactorTime

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocolFactory


class SharedPort(tcp.Port):
    """Listen on a port that other processes listen on as well."""

    def createInternetSocket(self) -> socket.socket:
        """Create the socket; the option must be set before it is bound, by each process."""
        made = cast("socket.socket", super().createInternetSocket())  # type: ignore[no-untyped-call]  # of Twisted
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return made


@attrs.frozen
class SharingReactor:
    """Open shared ports for Twisted's TCP endpoints, which ask a reactor for them."""

    _reactor: ReactorTime

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> SharedPort:
        """Listen, as IReactorTCP; :raises twisted.internet.error.CannotListenError: it cannot."""
        made = SharedPort(port, factory, backlog, interface, self._reactor)
        made.startListening()
        return made
