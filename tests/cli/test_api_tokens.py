from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fake import Asked, Reply, fake
from tests.cli.running import buildapi

ANN = {"who": "ann@example.org", "by": "proxy", "token": None, "csrf_token": "of-ann"}
MADE = {"status": "OK", "id": 3, "token": "bapi_new", "label": "l", "expires_at": 10, "msg": "m"}
TRACE = {
    "job": {
        "id": 4711,
        "state": "failed",
        "action": "cancel_build",
        "who": "ann",
        "when": 100,
        "completed_at": 101,
        "what": {"bid": 1},
        "complete_data": {"body": {"errors": True, "msg": "master away"}},
        "items": [{"state": "failed", "build_id": 1, "detail": "no answer"}],
        "progress": None,
    },
    "trace": "rid-1",
    "events": [
        {"at": 100.0, "host": "web1", "part": "http", "event": "recorded", "detail": ""},
        {"at": 100.5, "host": "bm1", "part": "agent", "event": "taken", "detail": "\x1b[2Jx"},
    ],
}


def test_whoami_tells_whom_the_service_sees() -> None:
    with fake(lambda _: Reply(200, ANN)) as server:
        done = buildapi("whoami", "--url", server.url)
    assert (done.code, done.out) == (0, b"ann@example.org, by proxy\n")


YES = {"allowed": "yes", "rule": None, "needed": ""}
NO = {"allowed": "no", "rule": "closed", "needed": "group sheriffs"}
ACCESS = {
    "who": "ann@example.org",
    "groups": [],
    "token": None,
    "branches": {"try": {"access": None, "actions": {"cancel_build": YES, "reprioritize": YES}}},
    "administration": {"read_audit": NO},
}


def test_whoami_lists_what_one_may_do() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(200, ACCESS if asked.path.endswith("/authorizations") else ANN)

    with fake(answer) as server:
        done = buildapi("whoami", "--access", "--url", server.url)
        as_json = buildapi("whoami", "--access", "--json", "--url", server.url)
    assert done.code == 0
    user, head, *rows = done.out.decode().splitlines()
    assert user == "ann@example.org, by proxy"
    assert head.split() == ["branch", "allowed", "action", "rule", "needed"]
    assert rows[0].split() == ["try", "yes", "cancel_build", "reprioritize", "(default)"]
    assert rows[1].split() == ["no", "read_audit", "closed", "group", "sheriffs"]
    assert json.loads(as_json.out) == ACCESS


def test_nobody_is_not_allowed() -> None:
    with fake(lambda _: Reply(200, {"who": None, "by": None, "token": None})) as server:
        assert buildapi("whoami", "--url", server.url).code == 4


def password(folder: Path) -> list[str]:
    path = folder / "pw"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    return ["--user", "ann", "--password-file", str(path)]


def test_a_token_is_made_with_a_password_saved_and_then_used(
    tmp_path: Path, own_settings: Path
) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(201, MADE) if asked.method == "POST" else Reply(200, ANN)

    with fake(answer) as server:
        url = ["--url", server.url]
        made = buildapi("token", "create", "--label", "l", "--save", *password(tmp_path), *url)
        used = buildapi("whoami", *url)
    assert made.code == used.code == 0, (made, used)
    assert "bapi_new" not in made.out.decode() + made.err
    asked = [(one.method, one.path) for one in server.asked[:2]]
    assert asked == [("GET", "/self-serve/whoami"), ("POST", "/self-serve/tokens")]
    assert all(one.headers["Authorization"].startswith("Basic ") for one in server.asked[:2])
    assert server.asked[1].body == {"label": "l", "csrf_token": "of-ann"}
    assert server.asked[2].headers["Authorization"] == "Bearer bapi_new"
    saved = own_settings / "token"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert [p.name for p in own_settings.iterdir()] == ["token"]


def test_no_token_is_made_that_cannot_be_saved(tmp_path: Path, own_settings: Path) -> None:
    own_settings.rmdir()
    own_settings.write_text("no folder")
    with fake(lambda _: Reply(201, MADE)) as server:
        url = ["--url", server.url]
        done = buildapi("token", "create", "--label", "l", "--save", *password(tmp_path), *url)
    assert (done.code, done.out) == (1, b"")
    assert f"{own_settings}/token: cannot save a token there" in done.err
    assert server.asked == []


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_token_whose_file_cannot_be_written_after_all_is_printed(
    tmp_path: Path, own_settings: Path, more: list[str]
) -> None:
    (own_settings / "token").symlink_to("/dev/full")

    def answer(asked: Asked) -> Reply:
        return Reply(201, MADE) if asked.method == "POST" else Reply(200, ANN)

    with fake(answer) as server:
        url = ["--url", server.url, *more]
        done = buildapi("token", "create", "--label", "l", "--save", *password(tmp_path), *url)
    assert done.code == 1
    assert done.out.decode() == (json.dumps(MADE, indent=2) if more else "bapi_new") + "\n"
    assert "cannot save the token, printed instead: No space left on device" in done.err
    assert "saved to" not in done.err


def test_a_token_that_is_not_saved_is_all_of_the_output(tmp_path: Path) -> None:
    with fake(lambda _: Reply(201, MADE)) as server:
        done = buildapi("token", "create", "--label", "l", *password(tmp_path), "--url", server.url)
    assert done.out == b"bapi_new\n"


def test_an_older_service_that_tells_no_form_token_is_sent_none(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        known = {name: value for name, value in ANN.items() if name != "csrf_token"}
        return Reply(201, MADE) if asked.method == "POST" else Reply(200, known)

    with fake(answer) as server:
        buildapi("token", "create", "--label", "l", *password(tmp_path), "--url", server.url)
    assert server.asked[1].body == {"label": "l"}


def test_a_token_is_made_with_limits_and_warnings_are_told(tmp_path: Path) -> None:
    warning = "tyr* matches no branch of the branches file"

    def answer(asked: Asked) -> Reply:
        return (
            Reply(201, MADE | {"warnings": [warning]})
            if asked.method == "POST"
            else Reply(200, ANN)
        )

    with fake(answer) as server:
        more = [*password(tmp_path), "--url", server.url]
        limits = ["--action", "rebuild_*", "--action", "cancel_build", "--branch", "tyr*"]
        done = buildapi("token", "create", "--label", "l", *limits, *more)
        read_only = buildapi("token", "create", "--label", "l", "--read-only", *more)
    assert (done.out, read_only.out) == (b"bapi_new\n", b"bapi_new\n")
    assert f"warning: {warning}" in done.err
    given = {"label": "l", "csrf_token": "of-ann"}
    assert [asked.body for asked in server.asked if asked.method == "POST"] == [
        {**given, "actions": ["rebuild_*", "cancel_build"], "branches": ["tyr*"]},
        {**given, "read_only": True},
    ]


SCOPE = {"actions": ["rebuild_*"], "branches": ["try", "b2"], "read_only": False}


def test_the_limits_of_the_token_in_use_are_told() -> None:
    told = {"id": 3, "label": "bot", "expires_at": 10}
    for scope, words in (
        (SCOPE, "(bot; actions rebuild_*; branches try, b2)"),
        ({**SCOPE, "read_only": True}, "(bot; read-only)"),
        (None, "(bot)"),
    ):
        document = {**ANN, "by": "token", "token": {**told, "scope": scope}}
        with fake(lambda _, d=document: Reply(200, d)) as server:
            done = buildapi("whoami", "--utc", "--url", server.url)
        assert f"token 3 {words}, which expires 1970" in done.out.decode()


def test_tokens_of_another_user_are_listed_and_revoked() -> None:
    token = {"id": 3, "label": "bot", "created_at": 0, "expires_at": 10, "used_at": 5}
    listed = [{**token, "used_from": "192.0.2.7", "scope": SCOPE}]

    def answer(asked: Asked) -> Reply:
        told = {"status": "OK", "user": "ann", "ids": [3, 4], "msg": "m"}
        return Reply(200, listed if asked.method == "GET" else told)

    with fake(answer) as server:
        of_ann = ["--owner", "ann", "--url", server.url]
        shown = buildapi("token", "list", "--utc", *of_ann)
        one = buildapi("token", "revoke", "3", *of_ann)
        every = buildapi("token", "revoke", "--all", *of_ann)
        wrong = [
            buildapi("token", "revoke", *words, "--url", server.url)
            for words in ([], ["--all"], ["3", "--all", "--owner", "ann"])
        ]
    assert b"actions rebuild_*; branches try, b2" in shown.out
    assert b"192.0.2.7" in shown.out
    assert (one.code, every.out) == (0, b"2 tokens of ann are revoked\n")
    assert [done.code for done in wrong] == [2, 2, 2]
    asked = [(a.method, a.path, a.body) for a in server.asked]
    assert asked[1:] == [
        ("DELETE", "/self-serve/tokens/3", {"user": "ann"}),
        ("DELETE", "/self-serve/tokens", {"user": "ann"}),
    ]
    assert server.asked[0].path == "/self-serve/tokens?user=ann"


def test_a_limit_of_an_hour_is_told_and_not_waited_for(tmp_path: Path) -> None:
    told = {"status": "FAILED", "msg": "too many builds", "code": "too_many_builds"}
    with fake(lambda _: Reply(429, told, {"Retry-After": "3600"})) as server:
        done = buildapi("rebuild", "try", "--build", "11", "--url", server.url)
    assert done.code != 0
    assert "too many builds" in done.err
    assert len(server.asked) == 1


def test_tokens_are_listed_and_revoked() -> None:
    listed: list[dict[str, Any]] = [
        {"id": 3, "label": "bot", "created_at": 0, "expires_at": 10, "used_at": None}
    ]

    def answer(asked: Asked) -> Reply:
        return Reply(200, listed if asked.method == "GET" else {"status": "OK"})

    with fake(answer) as server:
        shown = buildapi("token", "list", "--utc", "--url", server.url)
        assert buildapi("token", "revoke", "3", "--url", server.url).code == 0
    assert b"3  bot    none    1970-01-01 00:00:00  1970-01-01 00:00:10" in shown.out
    assert (server.asked[1].method, server.asked[1].path) == ("DELETE", "/self-serve/tokens/3")


def test_a_token_comes_from_the_environment_a_file_or_standard_input(tmp_path: Path) -> None:
    with fake(lambda _: Reply(200, ANN)) as server:
        url = ["--url", server.url]
        buildapi("whoami", *url, environment={"BUILDAPI_TOKEN": "bapi_e"})
        buildapi("whoami", *url, "--token-file", "-", given="bapi_s\n")
        (tmp_path / "t").write_text("bapi_f")
        buildapi("whoami", *url, "--token-file", tmp_path / "t")
    sent = [asked.headers["Authorization"] for asked in server.asked]
    assert sent == ["Bearer bapi_e", "Bearer bapi_s", "Bearer bapi_f"]


def test_a_trace_tells_what_happened_to_a_job() -> None:
    with fake(lambda _: Reply(200, TRACE)) as server:
        done = buildapi("job", "4711", "--trace", "--utc", "--url", server.url)
    out = done.out.decode()
    assert done.code == 1
    assert server.asked[0].path == "/self-serve/jobs/4711/trace"
    assert "submitted by ann at 1970-01-01 00:01:40" in out
    assert "+0.500 s  bm1   agent  taken     \ufffd[2Jx" in out
    assert out.endswith("job 4711 is failed: master away\n")
    assert "\x1b" not in out


STATUS: dict[str, Any] = {
    "status": "OK",
    "ready": True,
    "reasons": [],
    "process": {"name": "h", "roles": ["api"], "state": "running", "uptime": 65},
    "versions": {"buildapi": "1"},
    "parts": [{"name": "broker", "ok": True, "detail": "connected", "last_error": None}],
    "broker": {
        "queues": [
            {"name": "q", "ready": 2, "unacked": None, "consumers": 1, "dead": 0, "error": None}
        ]
    },
    "databases": [{"name": "jobs", "ok": False, "connect_seconds": None, "error": "gone"}],
    "masters": {"known": 4, "asked": 4, "unreachable": ["bm1:/a"], "share": 0.75},
    "agents": [
        {"name": "h", "state": "running", "live": False, "age": 90, "in_hand": 1, "jobs": [4711]}
    ],
    "jobs": {"open": 1, "oldest_open": {"age": 61}, "failed": 2, "error": None},
    "farm": {"pending": None, "running": None, "error": "gone"},
}


@pytest.mark.parametrize(("state", "code"), [("OK", 0), ("DEGRADED", 1)])
def test_status_shows_the_parts(state: str, code: int) -> None:
    with fake(lambda _: Reply(200, {**STATUS, "status": state})) as server:
        done = buildapi("status", "--url", server.url)
        plain = buildapi("status", "--json", "--url", server.url)
    assert (done.code, plain.code) == (code, code), done
    out = done.out.decode()
    assert "h (api) is running, version 1, up 1m 05s" in out
    assert "2 ready, 1 consumers, 0 dead" in out
    assert "silent" in out
    assert json.loads(plain.out)["status"] == state
