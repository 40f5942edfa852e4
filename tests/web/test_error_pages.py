"""An error page says what is wrong and how to go on."""

from __future__ import annotations

import pytest

from tests.reactor import twisted_test
from tests.web.conftest import ZOE, Serve, Served
from tests.web.test_permissions import start


@pytest.mark.parametrize("path", ["/nowhere", "/self-serve/try/build/999", "/self-serve/nosuch"])
@twisted_test()
async def test_it_has_a_search_links_and_the_request_id(served: Served, path: str) -> None:
    answer = await served.ask("GET", path, ZOE)
    assert answer.status == 404
    assert 'action="/self-serve/lookup"' in answer.text
    assert 'href="/"' in answer.text
    assert 'href="/status"' in answer.text
    assert f"<code>{answer.headers['x-request-id']}</code>" in answer.text


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/self-serve/try/build/999", "kind=build&amp;q=999"),
        ("/self-serve/try/request/999", "kind=request&amp;q=999"),
        ("/self-serve/try/rev/0%26&lt;9", "kind=revision&amp;q=0%26%26lt%3B9"),
    ],
)
@twisted_test()
async def test_what_is_not_on_a_branch_is_found_on_any(
    served: Served, path: str, link: str
) -> None:
    page = (await served.ask("GET", path, ZOE)).text
    assert f'href="/self-serve/lookup?{link}"' in page


@twisted_test()
async def test_a_refusal_says_what_is_needed(serve: Serve) -> None:
    served = start(serve)
    nobody = await served.ask("DELETE", "/self-serve/try/request/21")
    assert nobody.status == 403
    assert "Needed: a user." in nobody.text
    refused = await served.ask("DELETE", "/self-serve/try/request/21", ZOE)
    assert refused.status == 403
    assert "Needed: " in refused.text
    assert "/self-serve/authorizations" in refused.text
