"""How commands end where the service refuses, is away, or is something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fake import Asked, Reply, fake
from tests.cli.running import buildapi
from tests.services.mariadb import free_port

REFUSED = {"status": "FAILED", "msg": "no \x1b[31m", "code": "x"}
QUEUED = {"status": "OK", "request_id": 7, "msg": "queued as job 7"}


@pytest.mark.parametrize(
    ("status", "code"), [(400, 1), (401, 4), (403, 4), (404, 5), (500, 1), (503, 6), (504, 6)]
)
def test_each_refusal_has_its_exit_code(status: int, code: int) -> None:
    with fake(lambda _: Reply(status, REFUSED)) as server:
        done = buildapi("branches", "--url", server.url)
    assert (done.code, done.out) == (code, b"")
    assert done.err == f"Error: no \ufffd[31m ({status})\n"


def test_nobody_there_is_unavailable() -> None:
    done = buildapi("branches", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.code == 6
    assert "no answer" in done.err


def test_the_address_may_stand_before_the_command_and_the_later_one_counts() -> None:
    with fake(lambda _: Reply(200, {})) as server:
        assert buildapi("--url", server.url, "branches").code == 0
        assert buildapi("--url", "http://127.0.0.1:1", "branches", "-u", server.url).code == 0


def test_a_service_that_does_not_answer_in_time_is_unavailable() -> None:
    import threading

    over = threading.Event()

    def silent(_: Asked) -> Reply:
        over.wait(30)
        return Reply()

    with fake(silent) as server:
        done = buildapi("branches", "--url", server.url, "--timeout", "0.2")
        over.set()
    assert done.code == 6


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"\xff\xfe", b"[" * 100000])
def test_an_answer_that_is_no_json_asks_for_the_address(body: bytes) -> None:
    with fake(lambda _: Reply(200, body)) as server:
        done = buildapi("branches", "--url", server.url)
    assert done.code == 1
    assert "is the address right?" in done.err


@pytest.mark.parametrize("body", [[], [1], "x", 3, {"try": 1}, None, {"try": {"repo": []}}])
@pytest.mark.parametrize("command", [["builds", "b"], ["jobs"], ["job", "1"], ["status"]])
def test_an_answer_of_something_else_is_no_traceback(body: Any, command: list[str]) -> None:
    with fake(lambda _: Reply(200, body)) as server:
        done = buildapi(*command, "--url", server.url)
    assert "Traceback" not in done.err
    assert done.code in (0, 1)


def test_an_answer_without_end_is_given_up() -> None:
    with fake(lambda _: Reply(200, b" " * (65 * 1024 * 1024))) as server:
        done = buildapi("branches", "--url", server.url)
    assert done.code == 1
    assert "more than 64 MiB" in done.err


def test_secrets_do_not_follow_to_another_host(own_settings: Path) -> None:
    (own_settings / "token").write_text("bapi_secret")
    with fake(lambda _: Reply(200, {})) as other:

        def away(_: Asked) -> Reply:
            return Reply(302, b"", {"Location": f"{other.url}/login?token=x"})

        with fake(away) as server:
            done = buildapi("branches", "--url", server.url)
    assert done.code == 1
    assert "not followed" in done.err
    assert server.asked[0].headers["Authorization"] == "Bearer bapi_secret"
    assert other.asked == []
    assert "bapi_secret" not in done.err


def test_a_redirect_of_the_same_service_is_followed() -> None:
    def moved(asked: Asked) -> Reply:
        if asked.path.startswith("/new"):
            return Reply(200, {"try": {"repo": "r", "repo_type": "hg"}})
        return Reply(301, b"", {"Location": "/new"})

    with fake(moved) as server:
        done = buildapi("branches", "--url", server.url)
    assert done.code == 0
    assert b"try" in done.out


def test_redirects_in_circles_end() -> None:
    with fake(lambda _: Reply(301, b"", {"Location": "/again"})) as server:
        assert buildapi("branches", "--url", server.url).code == 1
    assert len(server.asked) < 10


def failing(times: int, reply: Reply) -> Callable[[Asked], Reply]:
    left = iter([reply] * times)
    return lambda _: next(left, Reply(202, QUEUED))


def test_a_job_request_is_sent_again_with_the_same_key() -> None:
    away = Reply(503, REFUSED, {"Retry-After": "0"})
    with fake(failing(2, away)) as server:
        done = buildapi("rebuild", "try", "--build", "11", "--url", server.url)
    assert done.code == 0
    assert done.out == b"queued as job 7\n"
    keys = [asked.headers["Idempotency-Key"] for asked in server.asked]
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_two_commands_have_different_keys_unless_one_is_given() -> None:
    with fake(lambda _: Reply(202, QUEUED)) as server:
        for key in ([], [], ["--key", "mine"]):
            buildapi("rebuild", "try", "--build", "11", "--url", server.url, *key)
    first, second, third = (asked.headers["Idempotency-Key"] for asked in server.asked)
    assert first != second
    assert third == "mine"


def test_a_job_request_is_given_up_after_some_tries() -> None:
    away = Reply(503, REFUSED, {"Retry-After": "0"})
    with fake(lambda _: away) as server:
        done = buildapi("cancel", "try", "--request", "1", "--url", server.url)
    assert (done.code, len(server.asked)) == (6, 4)


def test_a_refusal_is_not_sent_again() -> None:
    with fake(lambda _: Reply(400, REFUSED)) as server:
        assert buildapi("new", "try", "abc", "--url", server.url).code == 1
    assert len(server.asked) == 1


def test_several_are_sent_as_one_batch_and_the_first_failure_counts() -> None:
    bad = {"status": 404, "body": {"status": "FAILED", "msg": "Build 2 not found"}}
    with fake(lambda _: Reply(200, [{"status": 202, "body": QUEUED}, bad])) as server:
        done = buildapi(
            "rebuild", "try", "--build", "1", "--build", "2", "--count", "3", "--url", server.url
        )
    assert (done.code, done.out) == (5, b"queued as job 7\n")
    assert "Build 2 not found" in done.err
    body = {"build_id": 2, "count": 3, "priority": 0}
    assert server.asked[0].body[1] == {
        "method": "POST",
        "path": "/self-serve/try/build",
        "body": body,
    }


def job(state: str, completed: int | None) -> dict[str, Any]:
    data = {"body": {"errors": state == "failed", "msg": "m"}} if completed else None
    head = {"id": 7, "state": state, "action": "a", "who": "w", "when": 1, "what": {}}
    rest = {"completed_at": completed, "complete_data": data, "items": [], "progress": None}
    return {**head, **rest}


@pytest.mark.parametrize(
    ("state", "completed", "code"), [("done", 2, 0), ("failed", 2, 1), ("running", None, 3)]
)
def test_waiting_for_a_job_tells_what_came_of_it(
    state: str, completed: int | None, code: int
) -> None:
    with fake(lambda _: Reply(200, job(state, completed))) as server:
        done = buildapi("job", "7", "--json", "--wait=0.3", "--url", server.url)
    assert done.code == code
    assert json.loads(done.out)["state"] == state


@pytest.mark.parametrize(
    ("complete", "passed", "code"), [(True, True, 0), (True, False, 1), (False, False, 3)]
)
@pytest.mark.parametrize("wait", [[], ["--wait=0.3", "--every", "0.1"]])
def test_is_done_ends_with_what_it_says(
    complete: bool, passed: bool, code: int, wait: list[str]
) -> None:
    document = {"stableDelay": 180, "job_complete": complete, "job_passed": passed}
    with fake(lambda _: Reply(200, document)) as server:
        assert buildapi("is-done", "try", "abc", *wait, "--url", server.url).code == code


def test_waiting_outlasts_a_service_that_is_away_for_a_while() -> None:
    unfinished = {"stableDelay": 1, "job_complete": False, "job_passed": False}
    replies = iter([Reply(200, unfinished), Reply(503, REFUSED), Reply(503, REFUSED)])
    finished = {**unfinished, "job_complete": True, "job_passed": True}
    with fake(lambda _: next(replies, Reply(200, finished))) as server:
        done = buildapi("is-done", "try", "abc", "--every=0.1", "--wait=20", "--url", server.url)
    assert done.code == 0
    assert done.err.count("still waiting") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["rebuild", "try"],
        ["builds", ""],
        ["builds", ".."],
        ["new", "try", "r", "--pgo", "--nightly"],
        ["new", "try", "r", "--property", "a=b"],
        ["new", "try", "r", "--builder", "b", "--property", "a"],
        ["rebuild", "try", "--build", "0"],
        ["rebuild", "try", "--build", "1", "--key", ""],
        ["builds", "try", "--url", "http://ann:hunter2@127.0.0.1"],
        ["builds", "try", "--url", "http://127.0.0.1:99999"],
    ],
)
def test_a_wrong_command_line_is_refused(command: list[str]) -> None:
    done = buildapi(*command)
    assert done.code == 2, done
    assert "hunter2" not in done.err


def test_a_new_build_carries_its_properties_and_files() -> None:
    with fake(lambda _: Reply(202, QUEUED)) as server:
        options = ["--builder", "a/b c", "--property", "x=1=2", "--file", "f", "--priority", "-3"]
        assert buildapi("new", "try", "abc", *options, "--url", server.url).code == 0
    asked = server.asked[0]
    assert asked.path == "/self-serve/try/builders/a%2Fb%20c/abc"
    assert asked.body == {"priority": -3, "properties": {"x": "1=2"}, "files": ["f"]}


def test_a_request_that_may_have_arrived_tells_how_to_repeat_it() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = buildapi("rebuild", "try", "--build", "1", "--key", "mine", "--url", url)
    assert done.code == 6
    assert "--key mine repeats it safely" in done.err


def test_a_job_that_was_queued_is_waited_for_though_the_service_restarts() -> None:
    away = iter([Reply(503, REFUSED)] * 2)

    def answer(asked: Asked) -> Reply:
        if asked.method == "POST":
            return Reply(202, QUEUED)
        return next(away, Reply(200, job("done", 2)))

    with fake(answer) as server:
        done = buildapi("rebuild", "try", "--build", "1", "--wait=30", "--url", server.url)
    assert (done.code, b"job 7 is done: m" in done.out) == (0, True)
