"""What surrounds a 0.8 farm, for tests: masters on loopback that count, documents, a database."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet import defer, task
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from buildapi.buildbot.directory import Master
from buildapi.model.branches import Branches
from buildapi.model.builders import Builders
from tests.buildbot.seed import T0

Answer = Callable[[Any], Any]


@attrs.define
class Crowd:
    """How many requests are in hand at once."""

    now: int = 0
    most: int = 0

    def enter(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def leave(self) -> None:
        self.now -= 1


def hang(request: Any) -> Any:
    """Never answer."""
    return NOT_DONE_YET


def status(code: int) -> Answer:
    """Answer with a status and nothing else."""

    def answer(request: Any) -> bytes:
        request.setResponseCode(code)
        return b""

    return answer


def redirect(target: str) -> Answer:
    """Answer a stop as masters do, whatever happened."""

    def answer(request: Any) -> bytes:
        request.setResponseCode(302)
        request.setHeader(b"location", target.encode())
        return b"<html>click here</html>"

    return answer


def after(seconds: float, then: Answer) -> Answer:
    """Answer later."""

    def answer(request: Any) -> Any:
        from twisted.internet import reactor

        def late() -> None:
            with contextlib.suppress(RuntimeError):  # the client has gone
                request.write(then(request))
                request.finish()

        clock: Any = reactor
        task.deferLater(clock, seconds, late)
        return NOT_DONE_YET

    return answer


def build_json(
    builder: str = "linux",
    start: float = T0 + 11.03,
    revision: str | None = "abcdef012345",
    results: int | None = None,
    **more: Any,
) -> bytes:
    """Return what a master says of a build under ``/json``."""
    times = [start, None if results is None else start + 60]
    source: dict[str, Any] = {"branch": "try", "revision": revision, "changes": []}
    return json.dumps(
        {
            "builderName": builder,
            "number": 1,
            "results": results,
            "times": times,
            "sourceStamp": source,
            **more,
        }
    ).encode()


class Asked(Resource):
    """What a master is asked goes to ``json`` or ``stop``, a function of the request."""

    isLeaf = True

    def __init__(self, crowds: list[Crowd]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted
        self.crowds = crowds
        self.json: Answer = status(404)
        self.stop: Answer = status(404)
        self.seen: list[tuple[str, str]] = []
        self.forms: list[dict[bytes, list[bytes]]] = []
        self.documents: list[Any] = []
        self.headers: list[dict[str, str]] = []

    def render(self, request: Request) -> Any:
        self.seen.append((request.method.decode(), request.uri.decode()))
        if request.method == b"POST":
            self._note(request)
        for crowd in self.crowds:
            crowd.enter()
        request.notifyFinish().addBoth(self._leave)
        return (self.json if request.path.startswith(b"/json/") else self.stop)(request)

    def _note(self, request: Request) -> None:
        self.forms.append(dict(request.args or {}))
        content = request.content.read() if request.content else b""
        kind = request.getHeader("content-type") or ""
        self.documents.append(json.loads(content) if kind.startswith("application/json") else None)
        sent = request.requestHeaders.getAllRawHeaders()
        self.headers.append({k.decode().lower(): v[0].decode() for k, v in sent})

    def _leave(self, _: object) -> None:
        for crowd in self.crowds:
            crowd.leave()


@attrs.define
class MasterDouble:
    """One master."""

    name: str
    asked: Asked
    crowd: Crowd
    port: Any
    enabled: bool = True
    number: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.number = self.port.getHost().port

    @property
    def entry(self) -> Master:
        return Master(self.name, "127.0.0.1", self.number, None, None, enabled=self.enabled)

    @property
    def posts(self) -> list[str]:
        return [uri for method, uri in self.asked.seen if method == "POST"]


@attrs.define
class Masterfarm:
    """Several masters; ``crowd`` counts over all of them."""

    masters: dict[str, MasterDouble] = attrs.field(factory=dict)
    crowd: Crowd = attrs.field(factory=Crowd)

    def add(
        self, name: str, json: Answer | None = None, stop: Answer | None = None
    ) -> MasterDouble:
        """Start a master."""
        from twisted.internet import reactor

        own = Crowd()
        asked = Asked([own, self.crowd])
        asked.json, asked.stop = json or asked.json, stop or asked.stop
        site = Site(asked, timeout=None)
        network: Any = reactor
        port = network.listenTCP(0, site, interface="127.0.0.1")
        self.masters[name] = MasterDouble(name, asked, own, port)
        return self.masters[name]

    def directory(self) -> dict[str, Master]:
        return {name: m.entry for name, m in self.masters.items()}

    async def close(self) -> None:
        for master in self.masters.values():
            await defer.maybeDeferred(master.port.stopListening)


@attrs.define
class Papers:
    """Documents that never change; ``definitions`` is the branches file."""

    definitions: Mapping[str, Mapping[str, Any]] = attrs.field(factory=lambda: {"try": {}})
    builder_list: Builders | None = None
    master_list: Sequence[Master] = ()

    def branches(self) -> Branches:
        return Branches.from_definitions(self.definitions)

    def builders(self) -> Builders | None:
        return self.builder_list

    def is_listed(self, buildername: str) -> bool | None:
        return None if self.builder_list is None else buildername in self.builder_list

    def masters(self) -> Mapping[str, Master]:
        return {m.db_name: m for m in self.master_list}
