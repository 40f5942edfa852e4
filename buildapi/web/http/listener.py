"""Listen on the configured endpoints, and drain the connections at shutdown."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import attrs
from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site

from buildapi.reactor_time import ReactorTime, pause
from buildapi.web.http.connection import Traffic
from buildapi.web.http.prompt_sends import send_promptly
from buildapi.web.http.shared_port import SharingReactor

if TYPE_CHECKING:
    from twisted.internet import tcp
    from twisted.internet.interfaces import IAddress, IListeningPort

LOOK_SECONDS = 0.05
CLOSE_SECONDS = 1.0
"""How long a client may take to close its side before the connection is aborted."""

WAITING_MOST = 4096
"""Connections that may wait at a port to be accepted, at most [net.core.somaxconn].

Twisted's 50 are too few: of a client that finds no room Linux drops the packet, and the client
sends it again after 1, 3, 7 seconds [RFC 6298, section 2].  An endpoint may set its own
``backlog``.
"""

ACCEPTED_MOST = 16
"""Upper bound on the connections that a port accepts in a turn of the reactor, while it is open.

Of two processes at one socket the first to wake up would accept all that wait.  With fewer, new
connections would wait while turns are long.
"""

SHARED = "systemd:"
"""Prefix of endpoints whose socket systemd holds as well: no waiting connection is lost."""


class CannotListenError(SystemExit, Exception):
    """Exit with status 1 and without a traceback.

    It is an ``Exception``, too, since twistd as a daemon reports only those to its waiting parent,
    which would wait for ever.
    """

    def __init__(self, text: str) -> None:
        super().__init__(1)
        self._text = text

    def __str__(self) -> str:
        return self._text


@attrs.define(slots=False)
class Listener(Service):
    """Serve a site on endpoints; ``traffic`` holds its unanswered requests and connections.

    With ``shares_ports`` other processes may listen on the same TCP ports.

    A ``held`` listener opens its ports, and accepts no connection before ``admit``.  UNIX sockets
    get the group id ``socket_group``.

    Stopping closes the ports and waits up to ``drain_seconds`` for open requests; ``stopping`` is
    called first, to end streams and waiting clients.  Idle connections stay for ``linger_seconds``,
    since a client may just be sending: its answer then says that the connection closes.
    """

    _reactor: ReactorTime
    _site: Site
    _endpoints: Sequence[str]
    _traffic: Traffic
    _drain_seconds: float
    _stopping: Callable[[], None] = lambda: None
    _linger_seconds: float = 0.0
    _held: bool = False
    _socket_group: int | None = None
    _shares_ports: bool = False
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.name = "http"
        self.ports: list[tcp.Port] = []
        self._site.noisy = False

    def startService(self) -> None:
        """Open all endpoints; :raises CannotListenError: one cannot be opened, which is logged."""
        Service.startService(self)
        self._site.doStart()  # the access log must outlive the ports
        for text in self._endpoints:
            port = self._open(text)
            self.ports.append(port)
            self._hand_over(port, text)
            self._log.info("listening on {endpoint}", endpoint=text)
        if self._held:
            # The kernel completes connections nevertheless, and their clients wait [listen(2)].
            for port in self.ports:
                port.stopReading()

    def _open(self, text: str) -> tcp.Port:
        """Open an endpoint; :raises CannotListenError: it cannot be, or not at once."""
        own = self._shares_ports and not text.startswith(SHARED)
        reactor = SharingReactor(self._reactor) if own else self._reactor
        opened: list[IListeningPort] = []
        failed: list[Failure] = []
        # Twisted's endpoints listen at once, so a port that is taken fails the start.
        opening = serverFromString(reactor, text).listen(self._site)
        opening.addCallbacks(opened.append, failed.append)
        if opened:
            port = cast("tcp.Port", opened[0])  # those of UNIX and TLS are made from it
            accept_few(port)
            send_promptly(port, self._reactor)
            # Sockets of systemd have the Backlog= of their unit.
            if "backlog=" not in text and not text.startswith(SHARED):
                port.socket.listen(WAITING_MOST)
            return port
        # An endpoint of a plugin may open its port later.
        why = failed[0].getErrorMessage() if failed else "the endpoint does not listen at once"
        self._log.critical("cannot listen on {at}: {why}", at=text, why=why)
        raise CannotListenError(f"cannot listen on {text}: {why}")

    def _hand_over(self, port: tcp.Port, text: str) -> None:
        """Set the group of a UNIX socket that we made; :raises CannotListenError: that fails."""
        address = port.getHost()
        ours = isinstance(address, UNIXAddress) and not text.startswith(SHARED)
        if self._socket_group is None or not ours:
            return
        try:
            os.chown(address.name, -1, self._socket_group)
        except OSError as e:
            why = f"cannot set its group to [web] socket_group: {e.strerror}"
            self._log.critical("cannot listen on {at}: {why}", at=text, why=why)
            raise CannotListenError(f"cannot listen on {text}: {why}") from e

    def admit(self) -> None:
        """Accept connections on held ports, first those that wait; a second call does nothing."""
        if self._held and self.running:
            self._held = False
            for port in self.ports:
                port.startReading()

    def announce(self, path: str) -> None:
        """Log the URL of a page on each port."""
        for endpoint, port in zip(self._endpoints, self.ports, strict=True):
            scheme = "https" if endpoint.startswith("ssl:") else "http"
            self._log.info("serving self-serve at {url}", url=_url(scheme, port.getHost()) + path)

    def stopService(self) -> defer.Deferred[None]:
        """Stop accepting connections; return a Deferred that fires after the drain."""
        Service.stopService(self)
        self._traffic.ending = True
        for request in self._traffic.requests:
            request.close_after()
        self._stopping()
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        ports, self.ports = self.ports, []
        began = self._reactor.seconds()
        for text, port in zip(self._endpoints, ports, strict=True):
            _accept_before_closing(port, shared=text.startswith(SHARED))
            await defer.maybeDeferred(port.stopListening)
        linger = began + min(self._linger_seconds, self._drain_seconds)
        await self._drained(linger, began + self._drain_seconds)
        self._give_up()
        # `leave` aborts each after CLOSE_SECONDS; twice that is enough to see the last one end.
        await self._drained(began, self._reactor.seconds() + 2 * CLOSE_SECONDS)
        self._site.doStop()

    async def _drained(self, linger: float, end: float) -> None:
        """Wait until all connections are closed or ``end``; close idle ones from ``linger`` on."""
        while self._traffic.channels and (now := self._reactor.seconds()) < end:
            if now >= linger:
                for channel in [c for c in self._traffic.channels if c.idle]:
                    channel.leave(CLOSE_SECONDS)
            await pause(self._reactor, LOOK_SECONDS)

    def _give_up(self) -> None:
        """Close the connections that are left; log how many have not ended in time."""
        late = [channel for channel in self._traffic.channels if not channel.idle]
        if late:
            self._log.warn(
                "closed {late} connections at shutdown, {unanswered} requests unanswered",
                late=len(late),
                unanswered=len(self._traffic.requests),
            )
        for channel in list(self._traffic.channels):
            channel.leave(CLOSE_SECONDS)


def accept_few(
    port: Any,  # Any: a method of Twisted's Port is replaced
    most: int = ACCEPTED_MOST,
) -> None:
    """Bound the connections that a port accepts in one turn of the reactor."""
    accept = type(port).doRead

    def accept_up_to() -> None:
        # Twisted fits it to the traffic, from 100 on [tcp.Port.doRead].
        port.numberAccepts = most
        accept(port)

    port.doRead = accept_up_to


def _accept_before_closing(
    port: Any,  # Any: a method of Twisted's Port is replaced
    *,
    shared: bool,
) -> None:
    """Make a stopping port accept, as it closes, the connections that the kernel has established.

    Closing would reset them.  Twisted closes in the reactor turn after ``stopListening``, so that
    accepting before it is too early; if descriptors run out, Twisted closes them one by one.
    """
    closed = port.connectionLost

    def accept_and_close(reason: Failure) -> None:
        # Connections at a shared socket are left to the other processes (docs/deploys.md, What
        # happens at SIGTERM).
        if not shared:
            accept_few(port, WAITING_MOST)
            port.doRead()
        closed(reason)

    port.connectionLost = accept_and_close


def _url(scheme: str, address: IAddress) -> str:
    if isinstance(address, UNIXAddress):
        return f"unix:{address.name!r}"
    if not isinstance(address, IPv4Address | IPv6Address):
        return str(address)
    host = {"0.0.0.0": "localhost", "::": "localhost"}.get(str(address.host), str(address.host))  # noqa: S104  # how an open port calls itself
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{address.port}"
