"""Only pages of ours, and those of configured sites, may change things for who looks at them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.web.http.csrf import CSRFTokens, kept_secret
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ORIGIN, TOKENS, ZOE, Served
from tests.web.forms import Forms

CANCEL = "/self-serve/try/build/12"
DELETE = {"_method": "DELETE"}
TOKEN = {"csrf_token": TOKENS.of("zoë@example.org")}


@given(st.text(), st.text(), st.binary())
def test_a_token_fits_its_user_and_its_secret_alone(who: str, other: str, secret: bytes) -> None:
    tokens = CSRFTokens(secret)
    token = tokens.of(who)
    assert tokens.fits(token, who)
    assert tokens.fits(token, other) == (who == other)
    assert not CSRFTokens(secret + b"x").fits(token, who)
    assert token != tokens.of(who), "or compression would tell what it is"


@given(st.text() | st.binary().map(bytes.hex))
def test_nothing_made_up_fits(text: str) -> None:
    assert not TOKENS.fits(text, "zoë")


@pytest.mark.parametrize(
    ("headers", "fields", "status"),
    [
        # programs say nothing of a page
        ({}, {}, 202),
        ({}, TOKEN, 202),
        # our own pages
        ({"Origin": "http://127.0.0.1"}, {}, 202),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, TOKEN, 202),
        ({"Sec-Fetch-Site": "none"}, {}, 202),
        ({"Referer": "http://127.0.0.1/self-serve/try"}, {}, 202),
        # behind a proxy that hides the name we are asked by, the token tells
        ({"Origin": "https://builds.example.org"}, TOKEN, 202),
        # configured sites
        ({"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}, {}, 202),
        # anybody else
        ({"Origin": "https://evil.example.org"}, {}, 403),
        ({"Origin": "null"}, {}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, {}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://b.127.0.0.1"}, {}, 403),
        ({"Referer": "https://evil.example.org/page"}, {}, 403),
        ({"Origin": "https://evil.example.org"}, {"csrf_token": ""}, 403),
        # a token that is not the user's is refused whatever the browser says
        ({"Sec-Fetch-Site": "same-origin"}, {"csrf_token": TOKENS.of("ann")}, 403),
        ({}, {"csrf_token": "00"}, 403),
    ],
)
@twisted_test()
async def test_who_may_act_for_a_user(
    served: Served, headers: dict[str, str], fields: dict[str, str], status: int
) -> None:
    answer = await served.ask("POST", CANCEL, ZOE | JSON | headers, DELETE | fields)
    assert answer.status == status, answer
    assert len(served.jobs.jobs) == (status == 202)


@pytest.mark.parametrize(
    "path", ["/self-serve/try", "/self-serve/try/rev/abcdef123456", "/self-serve/try/new"]
)
@twisted_test()
async def test_every_form_that_changes_something_has_the_token(served: Served, path: str) -> None:
    forms = Forms((await served.ask("GET", path, ZOE)).text).posting()
    assert forms
    for action, fields in forms:
        assert TOKENS.fits(fields["csrf_token"], "zoë@example.org"), action


@twisted_test()
async def test_the_token_is_nothing_that_changes_a_page(served: Served) -> None:
    first = await served.ask("GET", "/self-serve/try", ZOE)
    known = {"If-None-Match": first.headers["etag"]}
    assert (await served.ask("GET", "/self-serve/try", ZOE | known)).status == 304
    assert (await served.ask("GET", "/self-serve/try", known)).status == 200, "nobody's is another"


def test_the_secret_of_a_host_is_kept_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "data" / "form-secret"
    secret = kept_secret(path)
    assert len(secret) == 32
    assert kept_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("not hex")
    assert kept_secret(path) not in (b"", secret)
