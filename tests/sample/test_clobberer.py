"""The clobberer of the sample farm, over loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import attrs
import pytest
import pytest_twisted
import treq
from twisted.internet import defer
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.client import Agent, FileBodyProducer
from twisted.web.http_headers import Headers

from buildapi.sample.clobberer import CLOBBER_TOKEN, REMEMBERED, ClobbererServer
from tests.reactor import twisted_test

ORDER = {"slave": "bld-linux64-ec2-001", "buildername": "Linux mozilla-central build"}
BEARER = f"Bearer {CLOBBER_TOKEN}"


@attrs.define
class Clobberer:
    port: int
    web: ClobbererServer

    async def ask(
        self, method: str, body: Any = None, path: str = "clobber", token: str | None = BEARER
    ) -> tuple[int, Any]:
        from twisted.internet import reactor

        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent: Any = FileBodyProducer(BytesIO(data))
        response = await Agent(reactor).request(
            method.encode(),
            f"http://127.0.0.1:{self.port}/{path}".encode(),
            Headers({"authorization": [token]} if token else {}),
            sent if method != "GET" else None,
        )
        assert response.headers.getRawHeaders("content-type") == ["application/json"]
        return response.code, json.loads(await treq.content(response))


@pytest.fixture
def clobberer() -> Iterator[Clobberer]:
    from twisted.internet import reactor

    web = ClobbererServer(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"))
    port = pytest_twisted.blockon(defer.ensureDeferred(web.listen()))
    yield Clobberer(port, web)
    pytest_twisted.blockon(web.stopService())


@twisted_test()
async def test_what_was_clobbered_is_remembered(clobberer: Clobberer) -> None:
    assert await clobberer.ask("GET") == (200, [])
    other = ORDER | {"slave": "bld-linux64-ec2-002"}
    assert await clobberer.ask("POST", [ORDER]) == (200, {"result": "ok"})
    assert await clobberer.ask("POST", [other, ORDER]) == (200, {"result": "ok"})
    assert await clobberer.ask("GET", token=None) == (200, [ORDER, other, ORDER])


@twisted_test()
async def test_only_the_last_are_remembered(clobberer: Clobberer) -> None:
    names = [f"slave-{i}" for i in range(REMEMBERED + 5)]
    for part in (names[:5], names[5:]):
        code, _ = await clobberer.ask("POST", [ORDER | {"slave": name} for name in part])
        assert code == 200
    _, listed = await clobberer.ask("GET")
    assert [order["slave"] for order in listed] == names[5:]


@pytest.mark.parametrize("token", [None, "Bearer wrong", CLOBBER_TOKEN, "Basic x"])
@twisted_test()
async def test_a_wrong_token_is_403(clobberer: Clobberer, token: str | None) -> None:
    code, _ = await clobberer.ask("POST", [ORDER], token=token)
    assert (code, list(clobberer.web.clobberings.done)) == (403, [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 50_000,
        {},
        [[]],
        [{"slave": "x"}],
        [ORDER, {"slave": 7, "buildername": "x"}],
        [{"slave": "", "buildername": "x"}],
        [{"slave": "x" * 257, "buildername": "x"}],
        [ORDER] * 101,
    ],
)
@twisted_test()
async def test_anything_but_orders_is_400(clobberer: Clobberer, body: Any) -> None:
    code, _ = await clobberer.ask("POST", body)
    assert (code, list(clobberer.web.clobberings.done)) == (400, [])


@twisted_test()
async def test_a_body_that_is_too_large_is_413(clobberer: Clobberer) -> None:
    code, _ = await clobberer.ask("POST", b" " * 100_001)
    assert code == 413
    assert (await clobberer.ask("POST", b" " * 99_000 + json.dumps([ORDER]).encode()))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "", 404),
        ("POST", "clobber/", 404),
        ("POST", "clobber/x", 404),
        ("PUT", "clobber", 405),
    ],
)
@twisted_test()
async def test_there_is_nothing_else(
    clobberer: Clobberer, method: str, path: str, code: int
) -> None:
    answer, _ = await clobberer.ask(method, [ORDER], path=path)
    assert answer == code
