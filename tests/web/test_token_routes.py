"""Tokens over HTTP: whom they stand for, who makes them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher

from buildapi.errors import DatabaseUnavailable
from buildapi.web.http.token_auth import GUESSES_PER_MINUTE
from buildapi.web.selfserve.token_routes import KEPT_DAYS, TOKENS_MAX
from tests.reactor import twisted_test, until
from tests.web.client import JSON, Answer, request
from tests.web.conftest import ORIGIN, TOKENS, ZOE, Serve, Served
from tests.web.farm import HOSTILE, NOW
from tests.web.forms import Forms

PATH = "/self-serve/tokens"
WHOAMI = "/self-serve/whoami"
CANCEL = "/self-serve/try/build/12"
WHO = "zoë@example.org"
HTML = {"Accept": "text/html"}
WRONG = "bapi_" + "x" * 43
DAY = 86_400

Headers = Mapping[str, str]


def of_form(who: str = WHO) -> dict[str, str]:
    """Return what the forms of our pages carry for a user."""
    return {"csrf_token": TOKENS.of(who)}


async def made(served: Served, who: Headers = ZOE, **fields: Any) -> dict[str, Any]:
    form = of_form(who.get("X-Remote-User", "me"))
    answer = await served.ask("POST", PATH, {**JSON, **who}, {"label": "a bot", **form, **fields})
    assert answer.status == 201, answer
    told: dict[str, Any] = answer.json
    return told


def showing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def is_refused(answer: Answer, msg: str = "") -> bool:
    assert answer.headers["www-authenticate"].startswith('Bearer realm="BuildAPI"'), answer
    assert (answer.status, answer.json["code"]) == (401, "bad_token"), answer
    assert answer.headers["cache-control"] == "no-store"
    return msg in answer.json["msg"]


# --- who one is


@twisted_test()
async def test_one_is_told_who_one_is(serve: Serve) -> None:
    served = serve(development_user="me")
    told = await made(served)
    shown = {k: told[k] for k in ("id", "label", "expires_at", "scope")}
    for headers, wanted in (
        (ZOE, {"who": WHO, "by": "proxy", "token": None}),
        ({}, {"who": "me", "by": "development", "token": None}),
        (showing(told["token"]), {"who": WHO, "by": "token", "token": shown}),
    ):
        answer = await served.ask("GET", WHOAMI, {**JSON, **headers})
        found = answer.json
        form = found.pop("csrf_token")
        assert found == wanted
        assert (form is None) == (wanted["by"] == "token")
        assert form is None or TOKENS.fits(form, str(wanted["who"]))
        assert answer.headers["cache-control"] == "no-store"


@twisted_test()
async def test_nobody_is_told_so(served: Served) -> None:
    nobody = {"who": None, "by": None, "token": None, "csrf_token": None}
    assert (await served.ask("GET", WHOAMI, JSON)).json == nobody
    assert (await served.ask("GET", WHOAMI, HTML)).status == 200


# --- what a token is good for


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", CANCEL, None, 202),
        ("POST", "/self-serve/try/build", {"build_id": 11}, 202),
        ("PUT", "/self-serve/try/request/21", {"priority": 3}, 202),
        ("POST", "/self-serve/selection", {"item": "try/build/12", "act": "cancel"}, 200),
        (
            "POST",
            "/self-serve/batch",
            b'[{"method": "DELETE", "path": "%s"}]' % CANCEL.encode(),
            200,
        ),
    ],
)
@twisted_test()
async def test_a_token_acts_for_its_user_from_anywhere(
    serve: Serve, method: str, path: str, body: Any, status: int
) -> None:
    """No proxy, no form token, and whatever the program says of where it comes from."""
    served = serve(trusted=["127.0.0.1"])
    token = (await made(served))["token"]
    says = {"Origin": "https://elsewhere.example.org", "Sec-Fetch-Site": "cross-site"}
    kind = {"Content-Type": "application/json"} if isinstance(body, bytes) else {}
    answer = await served.ask(method, path, {**JSON, **says, **kind, **showing(token)}, body)
    assert answer.status == status, answer
    assert [job.who for job in served.jobs.jobs.values()] == [WHO]


@twisted_test()
async def test_a_peer_that_nobody_trusts_may_show_a_token(serve: Serve) -> None:
    served = serve(trusted=[], development_user="me")
    token = (await made(served, {}))["token"]
    spoofed = {**JSON, **showing(token), "X-Remote-User": "root"}
    assert (await served.ask("DELETE", CANCEL, spoofed)).status == 202
    assert served.jobs.jobs[1].who == "me"


@pytest.mark.parametrize("header", ["ann", "(null)", "", b"\xff", "a\tb"])
@twisted_test()
async def test_a_token_comes_before_what_a_proxy_says(served: Served, header: str) -> None:
    """A proxy that lets tokens through has not looked who sends them."""
    token = (await made(served))["token"]
    headers = {**JSON, **showing(token), "X-Remote-User": header}
    assert (await served.ask("GET", WHOAMI, headers)).json["who"] == WHO
    assert (await served.ask("DELETE", CANCEL, headers)).status == 202
    assert served.jobs.jobs[1].who == WHO


@twisted_test()
async def test_a_password_for_the_proxy_is_none_of_ours(served: Served) -> None:
    basic = {"Authorization": "Basic em9lOnNlY3JldA=="}
    assert (await served.ask("GET", WHOAMI, {**JSON, **basic})).json["who"] is None
    assert (await served.ask("GET", WHOAMI, {**JSON, **basic, **ZOE})).json["by"] == "proxy"


@twisted_test()
async def test_pages_shown_to_a_token_name_its_user_and_have_no_form_token(served: Served) -> None:
    token = (await made(served))["token"]
    page = await served.ask("GET", "/self-serve/try/new", {**HTML, **showing(token)})
    assert WHO in page.text
    assert "csrf_token" not in page.text
    missing = await served.ask("GET", "/self-serve/nope", {**HTML, **showing(token)})
    assert missing.status == 404
    assert WHO in missing.text


@twisted_test()
async def test_the_log_says_which_token_a_job_came_by(served: Served) -> None:
    told = await made(served, label="nightly bot")
    events: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(events.append)
    try:
        await served.ask("DELETE", CANCEL, {**JSON, **showing(told["token"])})
    finally:
        globalLogPublisher.removeObserver(events.append)
    (event,) = [e for e in events if "by token" in (e.get("log_format") or "")]
    assert (event["id"], event["token"], event["label"]) == (1, told["id"], "nightly bot")
    assert told["token"] not in repr(events)


# --- what is refused


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/self-serve/try"),
        ("GET", WHOAMI),
        ("GET", PATH),
        ("DELETE", CANCEL),
        ("POST", PATH),
    ],
)
@pytest.mark.parametrize(
    "value", [f"Bearer {WRONG}", "Bearer x", "bearer", f"Basic x, Bearer {WRONG}"]
)
@twisted_test()
async def test_a_wrong_token_is_refused_whatever_a_proxy_says(
    served: Served, method: str, path: str, value: str
) -> None:
    headers = {**JSON, **ZOE, "Authorization": value}
    assert is_refused(await served.ask(method, path, headers, {"label": "x"}))
    assert not served.jobs.jobs
    assert not served.tokens.tokens
    page = await served.ask(method, path, {**headers, **HTML}, {"label": "x"})
    assert page.status == 401
    assert page.headers["content-type"].startswith("text/html")
    assert WHO not in page.text, "nobody has looked whether that is so"


@twisted_test()
async def test_a_token_ends_when_it_expires(served: Served) -> None:
    token = (await made(served, days=1))["token"]
    served.time.now = NOW + DAY - 1
    assert (await served.ask("DELETE", CANCEL, {**JSON, **showing(token)})).status == 202
    served.time.now = NOW + DAY
    answer = await served.ask("DELETE", CANCEL, {**JSON, **showing(token)})
    assert is_refused(answer, "expired")
    assert len(served.jobs.jobs) == 1


@twisted_test()
async def test_while_nobody_can_tell_whom_it_stands_for_nothing_is_done(served: Served) -> None:
    token = (await made(served))["token"]
    served.tokens.finding.error = DatabaseUnavailable("the jobs database is away")
    for method, path in (("DELETE", CANCEL), ("GET", "/self-serve/try")):
        answer = await served.ask(method, path, {**JSON, **showing(token)})
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert not served.jobs.jobs
    assert (await served.ask("GET", "/self-serve/try", {**JSON, **ZOE})).status == 200
    served.tokens.finding.error = None
    assert (await served.ask("DELETE", CANCEL, {**JSON, **showing(token)})).status == 202


@twisted_test()
async def test_where_tokens_are_off_they_are_refused_and_none_are_made(serve: Serve) -> None:
    served = serve(tokens=False)
    for headers in (showing(WRONG), {**showing(WRONG), **ZOE}):
        assert is_refused(await served.ask("GET", WHOAMI, {**JSON, **headers}), "switched off")
    for method, path in (("GET", PATH), ("POST", PATH), ("DELETE", f"{PATH}/1")):
        fields = {"label": "x", **of_form()} if method == "POST" else None
        answer = await served.ask(method, path, {**JSON, **ZOE}, fields)
        assert (answer.status, "switched off" in answer.json["msg"]) == (403, True)
    assert (await served.ask("GET", WHOAMI, {**JSON, **ZOE})).json["who"] == WHO
    assert PATH not in (await served.ask("GET", "/self-serve/jobs", {**HTML, **ZOE})).text


@twisted_test(20)
async def test_who_guesses_tokens_is_told_to_wait_and_disturbs_nobody(served: Served) -> None:
    """The address is that of the client, as a trusted proxy forwards it."""
    token = (await made(served))["token"]
    mine = {**JSON, **showing(token), "X-Forwarded-For": "192.0.2.7"}
    assert (await served.ask("GET", WHOAMI, mine)).status == 200
    answers = [
        await served.ask("GET", WHOAMI, {**mine, **showing(f"bapi_{n:043d}")})
        for n in range(GUESSES_PER_MINUTE + 1)
    ]
    assert [a.status for a in answers] == [401] * GUESSES_PER_MINUTE + [429]
    refused = answers[-1]
    assert refused.json["code"] == "too_many_requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert len(served.tokens.finding.calls) == GUESSES_PER_MINUTE + 1
    assert (await served.ask("GET", WHOAMI, mine)).json["who"] == WHO
    assert (await served.ask("GET", WHOAMI, {**JSON, **ZOE})).status == 200
    elsewhere = {**JSON, **showing(WRONG), "X-Forwarded-For": "192.0.2.8"}
    assert is_refused(await served.ask("GET", WHOAMI, elsewhere))


# --- making, listing, revoking


@twisted_test()
async def test_a_token_is_told_once_and_listed_without_its_text(served: Served) -> None:
    answer = await served.ask(
        "POST", PATH, {**JSON, **ZOE}, {"label": " my bot ", "days": "7", **of_form()}
    )
    told = answer.json
    assert answer.headers["cache-control"] == "no-store"
    assert told == {
        "status": "OK",
        "id": 1,
        "token": told["token"],
        "label": "my bot",
        "expires_at": NOW + 7 * DAY,
        "scope": None,
        "msg": "Token 1 created: copy its text now, it is not shown again",
    }
    listed = await served.ask("GET", PATH, {**JSON, **ZOE})
    one = {"id": 1, "label": "my bot", "created_at": NOW, "expires_at": NOW + 7 * DAY}
    unused = {"used_at": None, "used_from": None, "scope": None}
    assert listed.json == [{**one, **unused}]
    assert listed.headers["cache-control"] == "no-store"
    await served.ask("GET", WHOAMI, {**JSON, **showing(told["token"])})
    assert (await served.ask("GET", PATH, {**JSON, **ZOE})).json == [
        {**one, "used_at": NOW, "used_from": "127.0.0.1", "scope": None}
    ]
    assert (await served.ask("GET", PATH, {**JSON, "X-Remote-User": "ann"})).json == []
    assert not any(told["token"] in repr(kept) for kept in served.tokens.tokens.items())


@pytest.mark.parametrize(("most", "days"), [(90, 30), (30, 30), (7, 7)])
@twisted_test()
async def test_without_days_it_lives_a_month_or_as_long_as_it_may(
    serve: Serve, most: int, days: int
) -> None:
    assert (await made(serve(token_days=most)))["expires_at"] == NOW + days * DAY


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"label": ""},
        {"label": "  "},
        {"label": "x" * 101},
        {"label": "a\nb"},
        {"label": "a\u202eb"},
        {"label": "x", "days": "0"},
        {"label": "x", "days": "91"},
        {"label": "x", "days": "-1"},
        {"label": "x", "days": "1.5"},
        {"label": "x", "days": "soon"},
        {"label": "x", "days": "9" * 40},
    ],
)
@twisted_test()
async def test_what_cannot_be_a_token_is_refused_by_name(
    served: Served, fields: dict[str, str]
) -> None:
    answer = await served.ask("POST", PATH, {**JSON, **ZOE}, {**fields, **of_form()})
    assert answer.status == 400
    assert answer.json["msg"].startswith("Bad days" if "days" in fields else "Bad label")
    assert not served.tokens.tokens


@twisted_test()
async def test_json_bodies_make_tokens_too(served: Served) -> None:
    kind = {"Content-Type": "application/json"}
    labels = {"\U0001f600": 201, "\ud800": 400, "": 400}
    for label, status in [*labels.items(), (7, 400), (["x"], 400)]:
        body = json.dumps({"label": label, "days": 90, **of_form()}).encode()
        assert (await served.ask("POST", PATH, {**JSON, **ZOE, **kind}, body)).status == status
    for wrong in (b"[]", b"{"):
        assert (await served.ask("POST", PATH, {**JSON, **ZOE, **kind}, wrong)).status == 403
    assert [t.label for t in served.tokens.tokens.values()] == ["\U0001f600"]


@twisted_test()
async def test_nobody_has_tokens(served: Served) -> None:
    for method, path in (("GET", PATH), ("POST", PATH), ("DELETE", f"{PATH}/1")):
        answer = await served.ask(method, path, JSON, b"{")
        assert (answer.status, answer.json["msg"]) == (403, "ACCESS DENIED!")


@twisted_test()
async def test_a_token_makes_no_tokens_but_may_be_given_back(served: Served) -> None:
    told = await made(served)
    headers = {**JSON, **showing(told["token"])}
    for more in ({}, ZOE):
        answer = await served.ask("POST", PATH, {**headers, **more}, {"label": "x"})
        assert (answer.status, answer.json["code"]) == (403, "access_denied")
    assert [t["id"] for t in (await served.ask("GET", PATH, headers)).json] == [told["id"]]
    assert (await served.ask("DELETE", f"{PATH}/{told['id']}", headers)).status == 200
    assert is_refused(await served.ask("GET", WHOAMI, headers), "revoked")


@twisted_test()
async def test_a_revoked_token_is_refused_at_once(served: Served) -> None:
    told = await made(served)
    assert (await served.ask("GET", WHOAMI, {**JSON, **showing(told["token"])})).status == 200
    answer = await served.ask("DELETE", f"{PATH}/{told['id']}", {**JSON, **ZOE})
    assert answer.json == {"status": "OK", "id": 1, "msg": "Token 1 revoked"}
    assert answer.headers["cache-control"] == "no-store"
    assert is_refused(await served.ask("GET", WHOAMI, {**JSON, **showing(told["token"])}))


@twisted_test()
async def test_a_stream_ends_with_its_token_and_not_while_nobody_can_tell(
    served: Served, monkeypatch: pytest.MonkeyPatch, logged_errors: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr("buildapi.web.http.token_revocation.LOOK_SECONDS", 0.05)
    told = await made(served)
    wire = await served.wire()
    wire.send(request("GET", "/self-serve/events", showing(told["token"])))
    await wire.until(lambda: b"event: hello" in wire.received)
    assert served.bearers is not None
    before = len(served.tokens.finding.calls)
    served.tokens.finding.error = DatabaseUnavailable("the jobs database is away")
    served.bearers.forget(lambda token: token.id == told["id"])  # as after a few seconds
    await until(lambda: len(served.tokens.finding.calls) > before + 1)
    assert not wire.is_closed
    served.tokens.finding.error = ZeroDivisionError()
    await until(lambda: len(logged_errors) > 1)
    logged_errors.clear()
    assert not wire.is_closed
    served.tokens.finding.error = None
    await served.ask("DELETE", f"{PATH}/{told['id']}", {**JSON, **ZOE})
    await wire.closed
    assert wire.received.endswith(b"0\r\n\r\n")
    assert not served.events._listeners
    logged_errors.clear()


@pytest.mark.parametrize("id_", ["1", "2", "x", "0", "-1", "9" * 40, "1%2F2", "%C3%BC"])
@twisted_test()
async def test_what_is_not_ones_own_cannot_be_revoked(served: Served, id_: str) -> None:
    await made(served)
    answer = await served.ask("DELETE", f"{PATH}/{id_}", {**JSON, "X-Remote-User": "ann"})
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert len(served.tokens.tokens) == 1


@twisted_test(20)
async def test_one_has_a_bounded_number_of_tokens(served: Served) -> None:
    for _ in range(TOKENS_MAX):
        await made(served, days=1)
    answer = await served.ask("POST", PATH, {**JSON, **ZOE}, {"label": "x", **of_form()})
    assert answer.status == 400
    assert str(TOKENS_MAX) in answer.json["msg"]
    await made(served, {"X-Remote-User": "ann"})
    served.time.now = NOW + DAY  # those that have expired do not count
    await made(served)
    served.time.now = NOW + (KEPT_DAYS + 2) * DAY  # and are forgotten some time later
    await made(served)
    assert len((await served.ask("GET", PATH, {**JSON, **ZOE})).json) == 2


@pytest.mark.parametrize(
    ("headers", "fields", "status", "revoked"),
    [
        ({"Origin": "https://evil.example.org"}, {}, 403, 403),
        ({"Sec-Fetch-Site": "cross-site"}, {}, 403, 403),
        ({"Referer": "https://evil.example.org/page"}, {}, 403, 403),
        ({}, {"csrf_token": TOKENS.of("ann")}, 403, 403),
        ({"Sec-Fetch-Site": "same-origin"}, {"csrf_token": "00"}, 403, 403),
        ({"Origin": "https://builds.example.org"}, {"csrf_token": TOKENS.of(WHO)}, 201, 200),
        # a site whose pages may send job requests has no say about tokens
        ({"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}, {}, 403, 403),
        # to make one needs the token of a form, whoever asks
        ({}, {}, 403, 200),
        ({"Sec-Fetch-Site": "same-origin"}, {}, 403, 200),
    ],
)
@twisted_test()
async def test_only_pages_of_ours_make_and_revoke_tokens_for_who_looks_at_them(
    served: Served, headers: Headers, fields: dict[str, str], status: int, revoked: int
) -> None:
    sent = {**JSON, **ZOE, **headers}
    answer = await served.ask("POST", PATH, sent, {"label": "x", **fields})
    assert answer.status == status
    assert len(served.tokens.tokens) == (status == 201)
    await made(served)
    id_ = served.tokens.last
    ended = await served.ask("POST", f"{PATH}/{id_}", sent, {"_method": "DELETE", **fields})
    assert ended.status == revoked


@twisted_test()
async def test_a_program_that_its_user_is_logged_in_to_finds_the_token_of_forms(
    served: Served,
) -> None:
    found = (await served.ask("GET", WHOAMI, {**JSON, **ZOE})).json["csrf_token"]
    fields = {"label": "x", "csrf_token": found}
    assert (await served.ask("POST", PATH, {**JSON, **ZOE}, fields)).status == 201
    refused = await served.ask("POST", PATH, {**JSON, **ZOE}, {"label": "x"})
    assert "/self-serve/whoami" in refused.json["msg"]


@twisted_test()
async def test_a_page_of_another_site_reads_no_form_token_though_it_may_send_jobs(
    served: Served,
) -> None:
    other = {**ZOE, "Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}
    told = await served.ask("GET", WHOAMI, {**JSON, **other})
    assert told.headers["access-control-allow-origin"] == ORIGIN
    assert (told.json["who"], told.json["csrf_token"]) == (WHO, None)
    for path in (PATH, "/self-serve/try", "/self-serve/try/new"):
        page = await served.ask("GET", path, {**HTML, **other})
        assert page.status == 200
        assert "csrf_token" not in page.text, path
    plan = await served.ask("DELETE", f"{CANCEL}?dry_run=1", {**HTML, **other})
    assert plan.status == 200
    assert "csrf_token" not in plan.text


@pytest.mark.parametrize("part", ["adding", "listing", "revoking"])
@twisted_test()
async def test_without_the_store_nothing_is_made_or_revoked(served: Served, part: str) -> None:
    await made(served)
    getattr(served.tokens, part).error = DatabaseUnavailable("the jobs database is away")
    method, path = ("DELETE", f"{PATH}/1") if part == "revoking" else ("POST", PATH)
    fields = {"label": "x", **of_form()} if method == "POST" else {}
    answer = await served.ask(method, path, {**JSON, **ZOE}, fields)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert len(served.tokens.tokens) == 1


@twisted_test()
async def test_who_makes_and_revokes_tokens_is_in_the_log_without_their_texts(
    served: Served,
) -> None:
    events: list[dict[str, Any]] = []
    observe: Callable[[dict[str, Any]], None] = events.append
    globalLogPublisher.addObserver(observe)
    try:
        told = await made(served, label="my bot")
        await served.ask("DELETE", f"{PATH}/1", {**JSON, **ZOE})
    finally:
        globalLogPublisher.removeObserver(observe)
    ours = [e for e in events if (e.get("log_format") or "").startswith("token {id}")]
    assert [(e["id"], e["who"]) for e in ours] == [(1, WHO), (1, WHO)]
    assert ours[0]["label"] == "my bot"
    assert told["token"] not in repr(events)


# --- the page


@twisted_test()
async def test_the_page_makes_shows_and_revokes_tokens_by_forms_alone(serve: Serve) -> None:
    served = serve(prefix="/buildapi")
    page = f"/buildapi{PATH}"
    start = (await served.ask("GET", "/buildapi/self-serve/jobs", {**HTML, **ZOE})).text
    assert f'href="{page}"' in start
    ((action, fields),) = Forms((await served.ask("GET", page, {**HTML, **ZOE})).text).posting()
    assert action == page
    shown = await served.ask("POST", action, {**HTML, **ZOE}, {**fields, "label": HOSTILE})
    assert shown.status == 201
    assert shown.headers["cache-control"] == "private, no-store"
    assert HOSTILE not in shown.text
    (text,) = {
        part.split('"')[0] for part in shown.text.split('value="')[1:] if "bapi_" in part[:5]
    }
    assert (await served.ask("GET", WHOAMI, {**JSON, **showing(text)})).json["who"] == WHO
    listed = (await served.ask("GET", page, {**HTML, **ZOE})).text
    assert text not in listed
    assert HOSTILE not in listed
    action, fields = Forms(listed).posting()[1]
    moved = await served.ask("POST", action, {**HTML, **ZOE}, fields)
    assert (moved.status, moved.headers["location"]) == (302, page)
    assert is_refused(await served.ask("GET", WHOAMI, {**JSON, **showing(text)}))


@twisted_test()
async def test_the_page_says_what_is_wrong_and_what_has_expired(served: Served) -> None:
    answer = await served.ask("POST", PATH, {**HTML, **ZOE}, {"label": "", **of_form()})
    assert answer.status == 400
    assert "Bad label" in answer.text
    assert (await served.ask("GET", PATH, HTML)).status == 403
    await made(served, days=1)
    for expired in (False, True):
        page = (await served.ask("GET", PATH, {**HTML, **ZOE})).text
        assert (">expired<" in page) == expired
        served.time.now = NOW + 2 * DAY


# --- anything


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    values=st.lists(
        st.sampled_from([b"Bearer", b"bearer " + WRONG.encode(), b"Bearer \xff", b"Basic eA=="])
        | st.binary(max_size=60).map(lambda b: b.translate(None, b"\r\n\0"))
        | st.binary(max_size=60).map(lambda b: b"Bearer " + b.translate(None, b"\r\n\0")),
        max_size=3,
    ),
    path=st.sampled_from([PATH, WHOAMI, CANCEL, "/self-serve/try", "/nowhere"]),
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD", "OPTIONS"]),
    named=st.booleans(),
)
@twisted_test(20)
async def test_no_authorization_makes_it_fail(
    served: Served, *, values: list[bytes], path: str, method: str, named: bool
) -> None:
    headers: list[tuple[str, str | bytes]] = [("Authorization", v) for v in values]
    headers += [("X-Remote-User", "zoe")] if named else []
    answer = await served.ask(method, path, [*JSON.items(), *headers])
    assert answer.status < 500, answer
    if answer.status == 401:
        assert answer.headers["www-authenticate"].startswith('Bearer realm="BuildAPI"')
    if any(v.strip().lower().startswith(b"bearer") for v in values):
        assert answer.status in (204, 401, 404, 405), "nobody is let in by the header beside it"
