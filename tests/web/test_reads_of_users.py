"""Reads that are for users alone, where the configuration says so."""

from __future__ import annotations

from collections.abc import Sequence

from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served


def reads(served: Served) -> Sequence[str]:
    """List a path for each route that is read."""
    values = {"{branch}": "try", "{name}": "x.css", "{": "1"}
    paths = [route.path for route in served.routes if route.method == "GET"]
    for word, value in values.items():
        paths = [path.replace(word, value) for path in paths]
    return [path.replace("}", "") for path in paths]


@twisted_test(20)
async def test_where_reads_are_for_users_nobody_else_reads(serve: Serve) -> None:
    served = serve(reads_free=False)
    for path in reads(served):
        if path.startswith("/static/"):
            continue
        answer = await served.ask("GET", path, JSON)
        assert (answer.status, answer.json["msg"]) == (403, "ACCESS DENIED!"), path
        assert answer.headers["cache-control"] == "no-store"
    page = await served.ask("GET", "/self-serve/try")
    assert page.status == 403
    assert "ACCESS DENIED!" in page.text
    assert (await served.ask("HEAD", "/self-serve/try")).status == 403
    assert (await served.ask("OPTIONS", "/self-serve/try")).status == 204


@twisted_test(5)
async def test_where_reads_are_for_users_they_read(serve: Serve) -> None:
    served = serve(reads_free=False)
    assert (await served.ask("GET", "/self-serve/try", JSON | ZOE)).status == 200
    bad = JSON | {"Authorization": "Bearer bapi_of_nobody"}
    assert (await served.ask("GET", "/self-serve/try", bad)).status == 401


@twisted_test(5)
async def test_style_sheets_are_for_anybody(serve: Serve) -> None:
    served = serve(reads_free=False)
    assert (await served.ask("GET", "/static/buildapi.css")).status == 200


@twisted_test(5)
async def test_by_default_reads_are_for_anyone(served: Served) -> None:
    assert (await served.ask("GET", "/self-serve/try", JSON)).status == 200
