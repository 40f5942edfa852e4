"""Limits of tokens, and who manages the tokens of others, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from buildapi.errors import DatabaseUnavailable
from buildapi.model.access import AccessPolicy, AccessRule
from tests.reactor import twisted_test
from tests.web.client import JSON, Answer
from tests.web.conftest import TOKENS, ZOE, Serve, Served
from tests.web.farm import HOSTILE
from tests.web.forms import Forms

PATH, WHOAMI = "/self-serve/tokens", "/self-serve/whoami"
WHO = "zoë@example.org"
HTML = {"Accept": "text/html"}
READ_ONLY = {"actions": [], "branches": [], "read_only": True}
BOT = {"actions": ["rebuild_*", "cancel_build"], "branches": ["try"], "read_only": False}
SUE = {**JSON, "X-Remote-User": "sue"}
MANAGERS = AccessPolicy((AccessRule("managers", users=("sue",), actions=("manage_tokens",)),))


async def make(served: Served, headers: Mapping[str, str] = ZOE, **fields: Any) -> Answer:
    """Ask for a token by a JSON body."""
    who = headers["X-Remote-User"]
    body = {"label": "a bot", "csrf_token": TOKENS.of(who), **fields}
    kind = {"Content-Type": "application/json"}
    return await served.ask("POST", PATH, {**JSON, **headers, **kind}, json.dumps(body).encode())


async def token_of(
    served: Served, headers: Mapping[str, str] = ZOE, **scope: Any
) -> dict[str, str]:
    made = await make(served, headers, **scope)
    assert made.status == 201, made
    return {**JSON, "Authorization": f"Bearer {made.json['token']}"}


# --- creating


@pytest.mark.parametrize(
    ("fields", "scope"),
    [
        ({}, None),
        ({"read_only": False, "actions": "", "branches": ""}, None),
        ({"read_only": True}, READ_ONLY),
        ({"read_only": "1"}, READ_ONLY),
        ({"actions": ["rebuild_*", "cancel_build"], "branches": "try"}, BOT),
        ({"actions": "rebuild_*, cancel_build", "branches": ["try"]}, BOT),
        ({"actions": "rebuild_*\ncancel_build cancel_build", "branches": [" try "]}, BOT),
        (
            {"actions": ["manage_tokens"]},
            {"actions": ["manage_tokens"], "branches": [], "read_only": False},
        ),
    ],
)
@twisted_test()
async def test_limits_are_told_wherever_the_token_is(
    served: Served, fields: dict[str, Any], scope: Any
) -> None:
    made = await make(served, **fields)
    assert (made.status, made.json["scope"]) == (201, scope)
    assert "warnings" not in made.json
    (listed,) = (await served.ask("GET", PATH, {**JSON, **ZOE})).json
    assert listed["scope"] == scope
    headers = {**JSON, "Authorization": f"Bearer {made.json['token']}"}
    assert (await served.ask("GET", WHOAMI, headers)).json["token"]["scope"] == scope


@twisted_test()
async def test_a_form_may_repeat_them(served: Served) -> None:
    body = b"label=x&actions=rebuild_*&actions=cancel_build&branches=try&read_only=0&csrf_token="
    headers = {**JSON, **ZOE, "Content-Type": "application/x-www-form-urlencoded"}
    made = await served.ask("POST", PATH, headers, body + TOKENS.of(WHO).encode())
    assert (made.status, made.json["scope"]) == (201, BOT)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"actions": "rebuild_bild"},
            "unknown action 'rebuild_bild': did you mean 'rebuild_build'",
        ),
        ({"actions": "fly"}, "unknown action 'fly': allowed are reprioritize, cancel_request"),
        ({"actions": "rebuidl_*"}, "'rebuidl_*' matches no job request; allowed are"),
        ({"actions": "manage_*"}, "'manage_*' matches no job request"),
        ({"actions": ["cancel_build", "Rebuild_build"]}, "did you mean 'rebuild_build'?"),
        ({"actions": []}, "Bad actions: the list is empty"),
        ({"branches": []}, "Bad branches: the list is empty"),
        ({"branches": " , "}, "Bad branches: there is no pattern in it"),
        ({"branches": [5]}, "Bad branches: allowed are texts"),
        ({"branches": {"a": 1}}, "Bad branches: allowed are texts"),
        ({"branches": [f"b{n}" for n in range(21)]}, "Bad branches: 21 patterns (max 20)"),
        ({"branches": "x" * 257}, "Bad branches: a pattern has up to 256"),
        ({"branches": "a\u202eb"}, "Bad branches: a pattern has up to 256"),
        ({"read_only": "maybe"}, "Bad read_only: allowed are 1 and 0"),
        ({"read_only": True, "actions": "rebuild_*"}, "a read-only token has no actions"),
        ({"read_only": True, "branches": "try"}, "a read-only token has no actions"),
        ({"action": "rebuild_build"}, "unknown parameter 'action': did you mean 'actions'?"),
    ],
)
@twisted_test()
async def test_limits_that_mean_nothing_are_refused(
    served: Served, fields: dict[str, Any], words: str
) -> None:
    answer = await make(served, **fields)
    assert answer.status == 400, answer
    assert words in answer.json["msg"]
    assert not served.tokens.tokens


@twisted_test()
async def test_a_branch_that_is_not_there_is_a_warning(served: Served) -> None:
    made = await make(served, branches=["try", "tyr", "t?y*"])
    assert made.status == 201
    assert made.json["warnings"] == ["tyr matches no branch of the branches file"]
    page = await served.ask(
        "POST",
        PATH,
        {**HTML, **ZOE},
        {"label": "x", "branches": "tyr", "csrf_token": TOKENS.of(WHO)},
    )
    assert "tyr matches no branch" in page.text


@twisted_test()
async def test_the_page_offers_limits_and_shows_them(served: Served) -> None:
    page = await served.ask("GET", PATH, {**HTML, **ZOE})
    ((action, fields),) = Forms(page.text).posting()
    assert {"actions", "branches", "read_only"} <= set(fields)
    limits = {"label": HOSTILE, "actions": "rebuild_*", "branches": HOSTILE.split()[0]}
    made = await served.ask("POST", action, {**HTML, **ZOE}, {**fields, **limits})
    assert made.status == 201
    listed = (await served.ask("GET", PATH, {**HTML, **ZOE})).text
    assert "actions rebuild_*; branches " in listed
    assert HOSTILE.split()[0] not in listed
    await served.ask("POST", action, {**HTML, **ZOE}, {**fields, "label": "x", "read_only": "1"})
    assert "read-only" in (await served.ask("GET", PATH, {**HTML, **ZOE})).text


# --- job requests

CANCEL = "/self-serve/try/build/12"
REQUESTS: list[tuple[str, str, Any, str]] = [
    ("DELETE", CANCEL, None, "cancel_build"),
    ("DELETE", f"{CANCEL}?dry_run=1", None, "cancel_build"),
    ("POST", "/self-serve/try/build", {"build_id": 11}, "rebuild_build"),
    ("PUT", "/self-serve/try/request/21", {"priority": 3}, "reprioritize"),
    ("POST", "/self-serve/try/rev/abcdef123456", {}, "new_build_at_revision"),
]


@pytest.mark.parametrize(("method", "path", "body", "action"), REQUESTS)
@pytest.mark.parametrize(
    ("scope", "limit"),
    [
        ({"read_only": True}, "it is read-only"),
        ({"actions": "cancel_request"}, "its actions are cancel_request"),
        ({"branches": "moz*, t"}, "its branches are moz*, t"),
    ],
)
@twisted_test()
async def test_what_the_limits_do_not_permit_is_refused_before_anything_is_recorded(
    served: Served,
    *,
    method: str,
    path: str,
    body: Any,
    action: str,
    scope: dict[str, Any],
    limit: str,
) -> None:
    token = await token_of(served, **scope)
    answer = await served.ask(method, path, token, body)
    assert (answer.status, answer.json["code"]) == (403, "access_denied"), answer
    assert limit in answer.json["msg"]
    assert action in answer.json["msg"]
    assert not served.jobs.jobs
    assert not served.broker.published


@twisted_test()
async def test_limits_hold_for_each_entry_of_a_batch_and_each_selected_row(served: Served) -> None:
    token = await token_of(served, actions="cancel_*", branches="try")
    entries = [
        {"method": "DELETE", "path": CANCEL},
        {"path": "/self-serve/try/build", "body": {"build_id": 11}},
    ]
    kind = {"Content-Type": "application/json"}
    batch = json.dumps(entries).encode()
    answer = await served.ask("POST", "/self-serve/batch", {**token, **kind}, batch)
    assert [one["status"] for one in answer.json] == [202, 403]
    read_only = await token_of(served, read_only=True)
    fields = {"item": "try/build/12", "act": "cancel"}
    selected = await served.ask("POST", "/self-serve/selection", read_only, fields)
    assert "read-only" in selected.text
    assert len(served.jobs.jobs) == 1


@twisted_test()
async def test_limits_permit_what_they_name_and_all_reads(served: Served) -> None:
    token = await token_of(served, actions="cancel_build", branches="try")
    assert (await served.ask("DELETE", CANCEL, token)).status == 202
    for one in (token, await token_of(served, read_only=True)):
        for path in ("/self-serve/try", "/self-serve/jobs", "/self-serve/branches", PATH):
            assert (await served.ask("GET", path, one)).status == 200


@twisted_test()
async def test_limits_add_nothing_to_what_the_user_may_at_that_moment(served: Served) -> None:
    token = await token_of(served, actions="cancel_build")
    served.access.adopt(AccessPolicy((AccessRule("closed", deny=True, users=(WHO,)),)), {})
    answer = await served.ask("DELETE", CANCEL, token)
    assert (answer.status, answer.json["rule"]) == (403, "closed")
    served.access.adopt(AccessPolicy(), {})
    assert (await served.ask("DELETE", CANCEL, token)).status == 202


@twisted_test()
async def test_only_a_token_that_names_it_manages_the_tokens_of_others(served: Served) -> None:
    served.access.adopt(MANAGERS, {})
    sue = {"X-Remote-User": "sue"}
    of_zoe = f"{PATH}?user=zo%C3%AB@example.org"
    answers = [
        (await served.ask("GET", of_zoe, await token_of(served, sue, **scope))).status
        for scope in (
            {},
            {"actions": "manage_tokens"},
            {"actions": "*"},
            {"branches": "*"},
            {"read_only": True},
        )
    ]
    assert answers == [200, 200, 403, 403, 403]


# --- what a limited token may do to tokens


@twisted_test()
async def test_a_limited_token_revokes_itself_alone(served: Served) -> None:
    plain = await token_of(served)
    limited = await token_of(served, read_only=True)
    for path in (f"{PATH}/1", f"{PATH}/99", f"{PATH}?user={WHO.replace('ë', '%C3%AB')}"):
        answer = await served.ask("DELETE", path, limited)
        assert (answer.status, "limited" in answer.json["msg"]) == (403, True)
    assert (await served.ask("GET", PATH, limited)).status == 200
    assert (await served.ask("DELETE", f"{PATH}/2", limited)).status == 200
    assert (await served.ask("GET", WHOAMI, limited)).status == 401
    assert (await served.ask("GET", WHOAMI, plain)).status == 200


# --- tokens of others


@twisted_test()
async def test_nobody_manages_the_tokens_of_others_by_default(served: Served) -> None:
    await make(served)
    for method, path in (
        ("GET", f"{PATH}?user=zo%C3%AB@example.org"),
        ("DELETE", f"{PATH}?user=zo%C3%AB@example.org"),
        ("DELETE", f"{PATH}/1?user=zo%C3%AB@example.org"),
    ):
        answer = await served.ask(method, path, SUE)
        assert answer.status == 403, answer
        assert "manage_tokens" in answer.json["msg"]
    assert (await served.ask("DELETE", f"{PATH}/1", SUE)).status == 404
    assert len(served.tokens.tokens) == 1
    assert "Tokens of user" not in (await served.ask("GET", PATH, {**SUE, **HTML})).text


@twisted_test()
async def test_who_may_manage_tokens_lists_and_revokes_those_of_others(served: Served) -> None:
    served.access.adopt(MANAGERS, {})
    tokens = [await token_of(served), await token_of(served, read_only=True)]
    await token_of(served, {"X-Remote-User": "ann"})
    of_zoe = f"{PATH}?user=zo%C3%AB@example.org"
    listed = await served.ask("GET", of_zoe, SUE)
    assert [t["id"] for t in listed.json] == [2, 1]
    assert all("token" not in t for t in listed.json)
    assert (await served.ask("DELETE", f"{PATH}/3?user=zo%C3%AB@example.org", SUE)).status == 404
    assert (await served.ask("DELETE", f"{PATH}/1", {**SUE}, {"user": WHO})).status == 200
    assert (await served.ask("GET", WHOAMI, tokens[0])).status == 401
    gone = await served.ask("DELETE", of_zoe, SUE)
    assert (gone.status, gone.json["ids"], gone.json["user"]) == (200, [2], WHO)
    assert (await served.ask("GET", WHOAMI, tokens[1])).status == 401
    assert (await served.ask("DELETE", of_zoe, SUE)).json["ids"] == []
    assert [t.who for t in served.tokens.tokens.values()] == ["ann"]
    refused = await served.ask("GET", of_zoe, {**JSON, "X-Remote-User": "ann"})
    assert (refused.status, "user sue" in refused.json["msg"]) == (403, True)


@twisted_test()
async def test_the_page_of_another_user_revokes_by_forms_alone(serve: Serve) -> None:
    served = serve(prefix="/buildapi")
    served.access.adopt(MANAGERS, {})
    for _ in range(2):
        await make(served, label=HOSTILE)
    page = await served.ask("GET", f"/buildapi{PATH}?user=zo%C3%AB@example.org", {**SUE, **HTML})
    assert WHO in page.text
    assert HOSTILE not in page.text
    revoking = Forms(page.text).posting()
    assert len(revoking) == 3, "nobody makes tokens for others"
    sue = {**HTML, "X-Remote-User": "sue"}
    moved = await served.ask("POST", revoking[0][0], sue, revoking[0][1])
    assert moved.status == 302
    assert moved.headers["location"].endswith("?user=zo%C3%AB%40example.org")
    assert len(served.tokens.tokens) == 1
    await served.ask("POST", revoking[-1][0], sue, revoking[-1][1])
    assert not served.tokens.tokens


@twisted_test()
async def test_all_tokens_are_revoked_only_of_a_user_who_is_named(served: Served) -> None:
    await make(served)
    answer = await served.ask("DELETE", PATH, {**JSON, **ZOE})
    assert (answer.status, "Bad user" in answer.json["msg"]) == (400, True)
    assert len(served.tokens.tokens) == 1
    mine = await served.ask("DELETE", PATH, {**JSON, **ZOE}, {"user": WHO})
    assert mine.json["ids"] == [1]
    served.tokens.revoking.error = DatabaseUnavailable("the jobs database is away")
    away = await served.ask("DELETE", PATH, {**JSON, **ZOE}, {"user": WHO})
    assert (away.status, away.headers["retry-after"]) == (503, "5")
