"""Batches: how they are sent, and what may be slow behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from tests.reactor import sleep
from tests.web.client import JSON, Answer
from tests.web.conftest import ZOE, Served
from tests.web.farm import Failing
from tests.web.jobcases import ALL, BUILD

BATCH = "/self-serve/batch"
HEADERS = JSON | ZOE | {"Content-Type": "application/json"}
CANCEL: dict[str, Any] = {"method": "DELETE", "path": f"{BUILD}/12"}
KEY = {"Idempotency-Key": "night"}


@attrs.define
class Slow(Failing):
    """Take ``seconds`` each time."""

    seconds: float = 0.1

    async def happen(self, *call: Any) -> None:
        self.calls.append(call)
        await sleep(self.seconds)


@attrs.define
class Hanging(Failing):
    """Never go on."""

    async def happen(self, *call: Any) -> None:
        self.calls.append(call)
        await Deferred()


def entry(name: str, **more: Any) -> dict[str, Any]:
    method, path, fields = ALL[name]
    return {"method": method, "path": path, "body": fields} | more


async def batch(
    served: Served, entries: Any, headers: Mapping[str, str] | None = None, path: str = BATCH
) -> Answer:
    given = HEADERS | dict(headers or {})
    return await served.ask("POST", path, given, json.dumps(entries).encode())


async def answered(
    served: Served, entries: Any, headers: Mapping[str, str] | None = None, query: str = ""
) -> Sequence[Any]:
    answer = await batch(served, entries, headers, BATCH + query)
    assert answer.status == 200, answer
    assert answer.headers["cache-control"] == "no-store"
    assert all(set(one) == {"status", "body"} for one in answer.json)
    return list(answer.json)


def published(served: Served) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body, _, _ in served.broker.published]
