"""The clobberer of the recorded farm: it takes whatever it is told."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.web.resource import Resource
from twisted.web.server import Site

PORT = 15120
"""Where it listened when the cases were recorded."""

TOKEN = "oracle-token"  # that of a farm which never was


@attrs.frozen
class Told:
    """A request that reached it."""

    method: str
    path: str
    authorization: str
    body: str


@attrs.define
class Clobberer:
    """Listen on a free port from :meth:`start` to :meth:`stop`."""

    told: list[Told] = attrs.field(factory=list)
    _port: Any = None

    def start(self) -> None:
        """Listen."""
        from twisted.internet import reactor

        listening: Any = reactor
        site = Site(_Everything(self.told), timeout=None)
        self._port = listening.listenTCP(0, site, interface="127.0.0.1")

    async def stop(self) -> None:
        """Listen no more."""
        await self._port.stopListening()

    @property
    def url(self) -> str:
        """Return what to post to."""
        return f"http://127.0.0.1:{self._port.getHost().port}/clobber"


class _Everything(Resource):
    isLeaf = True

    def __init__(self, told: list[Told]) -> None:
        Resource.__init__(self)
        self.told = told

    def render(self, request: Any) -> bytes:
        method, path = request.method.decode(), request.path.decode()
        authorization = request.getHeader("authorization") or ""
        body = request.content.read().decode()
        self.told.append(Told(method, path, authorization, body))
        return b"{}"
