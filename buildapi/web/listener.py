"""Listen where the configuration says, and stop without cutting anybody off."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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
"""How long a client may take to agree to the end of its connection before that is cut."""

WAITING_MOST = 4096
"""More connections than that do not wait at a port to be accepted [net.core.somaxconn]."""

SHARED = "systemd:"
"""Begins an endpoint whose socket others hold, too: what waits at it is lost to nobody."""


class CannotListenError(SystemExit, Exception):
    """End the program with 1 and no traceback.

    twistd as a daemon tells only of an ``Exception`` whoever waits for it, who else waits for ever.
    """

    def __init__(self, text: str) -> None:
        super().__init__(1)
        self._text = text

    def __str__(self) -> str:
        return self._text


@attrs.define(slots=False)
class Listener(Service):
    """Serve a site on endpoints; ``traffic`` holds its unanswered requests and connections.

    A held listener has its ports open, and lets who comes wait until ``admit``.  UNIX sockets are
    given to the group of the number ``socket_group``.

    Stopping takes no more connections and waits up to ``drain_seconds`` for those; ``stopping``
    is called first, to end what only waits.  Idle connections are kept for ``linger_seconds``,
    for their clients may be sending just now: the answer says that the connection ends.
    """

    _reactor: Any
    _site: Site
    _endpoints: Sequence[str]
    _traffic: Traffic
    _drain_seconds: float
    _stopping: Callable[[], None] = lambda: None
    _linger_seconds: float = 0.0
    _held: bool = False
    _socket_group: int | None = None
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.name = "http"
        self.ports: list[Any] = []
        self._site.noisy = False

    def startService(self) -> None:
        """Open all endpoints; :raises CannotListenError: one cannot be opened, which is logged."""
        Service.startService(self)
        self._site.doStart()  # its access log is to outlive the ports
        for text in self._endpoints:
            failed: list[Failure] = []
            opening = serverFromString(self._reactor, text).listen(self._site)
            opening.addCallbacks(self.ports.append, failed.append)
            if failed:
                why = failed[0].getErrorMessage()
                self._log.critical("cannot listen on {at}: {why}", at=text, why=why)
                raise CannotListenError(f"cannot listen on {text}: {why}")
            self._hand_over(self.ports[-1], text)
            self._log.info("listening on {endpoint}", endpoint=text)
        if self._held:
            for port in self.ports:
                port.stopReading()

    def _hand_over(self, port: Any, text: str) -> None:
        """Give a UNIX socket of ours to its group; :raises CannotListenError: that fails."""
        address = port.getHost()
        ours = isinstance(address, UNIXAddress) and not text.startswith(SHARED)
        if self._socket_group is None or not ours:
            return
        try:
            os.chown(address.name, -1, self._socket_group)
        except OSError as e:
            why = f"it cannot be given to the group of [web] socket_group: {e.strerror}"
            self._log.critical("cannot listen on {at}: {why}", at=text, why=why)
            raise CannotListenError(f"cannot listen on {text}: {why}") from e

    def admit(self) -> None:
        """Let in who waits at a held port, and whoever comes; a second call does nothing."""
        if self._held and self.running:
            self._held = False
            for port in self.ports:
                port.startReading()

    def announce(self, path: str) -> None:
        """Log the address of a page for each port."""
        for endpoint, port in zip(self._endpoints, self.ports, strict=True):
            scheme = "https" if endpoint.startswith("ssl:") else "http"
            self._log.info("self-serve is at {url}", url=_url(scheme, port.getHost()) + path)

    def stopService(self) -> defer.Deferred[None]:
        """Take no more, and wait for what is being answered."""
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
        await self._drained(began, self._reactor.seconds() + 2 * CLOSE_SECONDS)
        self._site.doStop()

    async def _drained(self, linger: float, end: float) -> None:
        """Wait until all connections are closed; close what is idle at ``linger`` or later."""
        while self._traffic.channels and (now := self._reactor.seconds()) < end:
            if now >= linger:
                for channel in [c for c in self._traffic.channels if c.idle]:
                    channel.leave(CLOSE_SECONDS)
            await task.deferLater(self._reactor, LOOK_SECONDS)

    def _give_up(self) -> None:
        """Cut what has not ended in time, and say what that is."""
        late = [channel for channel in self._traffic.channels if not channel.idle]
        if late:
            self._log.warn(
                "{late} connections are cut, {unanswered} requests on them unanswered",
                late=len(late),
                unanswered=len(self._traffic.requests),
            )
        for channel in list(self._traffic.channels):
            channel.leave(CLOSE_SECONDS)


def _accept_before_closing(port: Any, *, shared: bool) -> None:
    """Have a port that stops take in, in the moment it closes, whom the kernel has connected.

    Closing would reset those.  Twisted closes in the turn after ``stopListening``, too late to
    do it before that; where descriptors run out it closes them itself, one by one.
    """
    closed = port.connectionLost

    def accept_and_close(reason: Any) -> None:
        if not shared:
            port.numberAccepts = WAITING_MOST
            port.doRead()
        closed(reason)

    port.connectionLost = accept_and_close


def _url(scheme: str, address: Any) -> str:
    if isinstance(address, UNIXAddress):
        return f"unix:{address.name!r}"
    host = {"0.0.0.0": "localhost", "::": "localhost"}.get(address.host, address.host)  # noqa: S104  # how an open port calls itself
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{address.port}"
