"""How commands end where the service refuses, is away, or is something else."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fake import Asked, Reply, fake, silent
from tests.cli.running import COMMAND, buildapi
from tests.patience import eventually
from tests.services.mariadb import free_port

REFUSED = {"status": "FAILED", "msg": "no \x1b[31m", "code": "x"}
QUEUED = {"status": "OK", "request_id": 7, "msg": "queued as job 7"}


@pytest.mark.parametrize(
    ("status", "code"), [(400, 1), (401, 4), (403, 4), (404, 5), (500, 6), (503, 6), (504, 6)]
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
    with silent() as server:
        done = buildapi("branches", "--url", server.url, "--timeout", "0.2")
    assert done.code == 6


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"\xff\xfe", b"[" * 100000])
def test_an_answer_that_is_no_json_asks_for_the_address(body: bytes) -> None:
    with fake(lambda _: Reply(200, body)) as server:
        done = buildapi("branches", "--url", server.url)
    assert done.code == 7
    assert "check the URL" in done.err


@pytest.mark.parametrize("body", [[], [1], "x", 3, {"try": 1}, None, {"try": {"repo": []}}])
@pytest.mark.parametrize("command", [["builds", "b"], ["jobs"], ["job", "1"], ["status"]])
def test_an_answer_of_something_else_is_no_traceback(body: Any, command: list[str]) -> None:
    with fake(lambda _: Reply(200, body)) as server:
        done = buildapi(*command, "--url", server.url)
    assert "Traceback" not in done.err
    assert done.code in (0, 7)


def test_an_answer_without_end_is_given_up() -> None:
    with fake(lambda _: Reply(200, b" " * (65 * 1024 * 1024))) as server:
        done = buildapi("branches", "--url", server.url)
    assert done.code == 7
    assert "more than 64 MiB" in done.err


def test_secrets_do_not_follow_to_another_host(own_settings: Path) -> None:
    (own_settings / "token").write_text("bapi_secret")
    with fake(lambda _: Reply(200, {})) as other:

        def away(_: Asked) -> Reply:
            return Reply(302, b"", {"Location": f"{other.url}/login?token=x"})

        with fake(away) as server:
            done = buildapi("branches", "--url", server.url)
    assert done.code == 4
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
        assert buildapi("branches", "--url", server.url).code == 7
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


def test_is_done_lets_the_service_wait() -> None:
    unfinished = {"stableDelay": 1, "job_complete": False, "job_passed": False}
    finished = {**unfinished, "job_complete": True, "job_passed": True}
    asked: list[str] = []

    def reply(request: Asked) -> Reply:
        asked.append(request.path)
        return Reply(200, finished if len(asked) == 2 else unfinished)

    with fake(reply) as server:
        waits = ["--every=0.1", "--wait=20"]
        assert buildapi("is-done", "try", "abc", *waits, "--url", server.url).code == 0
        assert buildapi("is-done", "try", "abc", "--url", server.url).code == 3
    assert ["wait=1" in path for path in asked] == [True, True, False]


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
        ["builds", "try", "--url", "http://a..b"],
        ["builds", "try", "--url", f"http://{'a' * 64}.example.org"],
        ["builds", "try", "--timeout", "nan"],
        ["is-done", "try", "r", "--wait=nan"],
        ["is-done", "try", "r", "--wait=inf"],
        ["is-done", "try", "r", "--every=nan"],
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


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, REFUSED),
        Reply(400, REFUSED),
        Reply(200, b"<html>log in</html>"),
        Reply(200, {}),
        Reply(302, b"", {"Location": "http://127.0.0.1:1/login"}),
        Reply(301, b"", {"Location": "/again"}),
    ],
)
def test_what_is_no_answer_does_not_look_like_a_failed_revision(reply: Reply) -> None:
    with fake(lambda _: reply) as server:
        done = buildapi("is-done", "try", "abc", "--url", server.url)
    assert done.code in (2, 4, 6, 7)
    assert done.out == b""


@pytest.mark.parametrize("status", [502, 504])
def test_what_a_proxy_lost_may_have_arrived(status: int) -> None:
    lost = Reply(status, b"<html>", {"Retry-After": "0"})
    with fake(lambda _: lost) as server:
        done = buildapi("rebuild", "try", "--build", "1", "--key", "mine", "--url", server.url)
    assert (done.code, len(server.asked)) == (6, 4)
    assert f"({status}); it may have arrived; --key mine repeats it safely" in done.err


def test_an_interrupt_has_a_code_of_its_own_and_names_the_key() -> None:
    with silent() as server:
        command = [COMMAND, "rebuild", "try", "--build", "1", "--key", "mine", "--url", server.url]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        eventually(lambda: len(server.asked), lambda asked: asked == 1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=180)
    assert running.returncode == 130
    assert "--key mine repeats it safely" in said
    assert "Traceback" not in said


def test_an_output_that_cannot_be_written_is_a_line() -> None:
    with fake(lambda _: Reply(200, {"try": {"repo": "r", "repo_type": "hg"}})) as server:
        gone = "| { exec <&-; sleep 1; }; exit ${PIPESTATUS[0]}"
        for shell, code in ((">/dev/full", 7), (">&-", 0), ("| true", 0), (gone, 7)):
            done = subprocess.run(
                [
                    "bash",
                    "-c",
                    f'(sleep 0.3; exec "$0" branches --url {server.url}) {shell}',
                    COMMAND,
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == code, (shell, done)
            assert "Traceback" not in done.stderr
            assert ("No space left" in done.stderr) == ("full" in shell), done.stderr


@pytest.mark.parametrize("answer", [[], {}, 7, [{"status": 202, "body": QUEUED}]])
def test_a_batch_that_was_not_answered_is_not_done(answer: Any) -> None:
    with fake(lambda _: Reply(200, answer)) as server:
        done = buildapi("rebuild", "try", "--build", "1", "--build", "2", "--url", server.url)
    assert (done.code, done.out) == (7, b"")


def test_the_jobs_of_a_batch_share_their_time() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.method == "POST":
            queued = [QUEUED | {"request_id": n} for n in range(1, 5)]
            return Reply(200, [{"status": 202, "body": body} for body in queued])
        return Reply(200, job("running", None))

    builds = [word for n in range(1, 5) for word in ("--build", str(n))]
    with fake(answer) as server:
        done = buildapi("rebuild", "try", *builds, "--wait=0.5", "--url", server.url)
        reads = [re.findall(r"/jobs/(\d)", a.path)[0] for a in server.asked if a.method == "GET"]
    assert done.code == 3
    assert done.err.count("is not finished") == 4
    assert set(reads) == set("1234")
    assert [reads.count(n) for n in "234"] == [1, 1, 1], "there is no time left to look again"


def farm(*submitted: int) -> dict[str, Any]:
    return {
        "pending": {
            "try": {"abc": [{"id": n, "buildername": "b", "submitted_at": n} for n in submitted]}
        }
    }


NO_WORK = "No builds or pending requests"
NO_SUCH_WORK = "No such builds or pending requests"


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_limit_is_that_of_the_service_as_a_table_and_as_json(more: tuple[str, ...]) -> None:
    with fake(lambda _: Reply(200, farm(30))) as server:
        done = buildapi("pending", "--limit", "1", "--utc", *more, "--url", server.url)
        whole = buildapi("pending", "--limit", "2", *more, "--url", server.url)
    assert done.err == "The newest 1 pending requests; there may be more (--limit).\n"
    assert whole.err == ""
    assert [asked.path for asked in server.asked] == ["/pending?limit=1", "/pending?limit=2"]


@pytest.mark.parametrize(
    ("command", "body", "told"),
    [
        (["branches"], {}, "No branches."),
        (["builds", "try"], [], "No builds or pending requests on try today."),
        (["builds", "try", "--date", "2026-02-01"], [], f"{NO_WORK} on try on 2026-02-01."),
        (["rev", "try", "ab"], [], f"{NO_WORK} of ab on try."),
        (
            ["rev", "try", "ab", "--state", "failure"],
            [],
            "No such builds or pending requests of ab on try.",
        ),
        (["pending"], {"pending": {}}, "No pending requests."),
        (["running"], {"running": {}}, "No running builds."),
        (["jobs"], [], "No job requests."),
        (["jobs", "--who", "ann"], [], "No such job requests."),
        (["token", "list"], [], "No tokens of yours."),
    ],
)
def test_an_empty_list_says_what_there_is_none_of(command: list[str], body: Any, told: str) -> None:
    """Print it to standard error, so that a pipe gets no line that is not an item."""
    with fake(lambda _: Reply(200, body)) as server:
        done = buildapi(*command, "--url", server.url)
        as_json = buildapi(*command, "--json", "--url", server.url)
    assert (done.code, done.out, done.err) == (0, b"", f"{told}\n")
    assert (json.loads(as_json.out), as_json.err) == (body, "")


def test_a_branch_that_is_not_there_is_not_an_empty_one() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(200, {"try": {}} if "branches" in asked.path else {"pending": {}})

    with fake(answer) as server:
        empty = buildapi("pending", "try", "--url", server.url)
        wrong = buildapi("pending", "try", "tyr", "--url", server.url)
    assert (empty.code, empty.err) == (0, "No pending requests on try.\n")
    assert wrong.code == 0
    assert wrong.err == "no such branch: tyr\nNo pending requests on try or tyr.\n"


def test_a_cancel_that_found_nothing_says_so() -> None:
    done_job = {**job("done", 2), "items": [{"state": "nothing", "request_id": 1}]}

    def answer(asked: Asked) -> Reply:
        return Reply(202, QUEUED) if asked.method == "DELETE" else Reply(200, done_job)

    with fake(answer) as server:
        done = buildapi("cancel-rev", "try", "abc", "--yes", "--wait=5", "--url", server.url)
    assert done.code == 0
    assert "nothing to do" in done.err


def test_a_token_that_was_not_revoked_is_not_said_to_be() -> None:
    with fake(lambda _: Reply(200, {})) as server:
        assert buildapi("token", "revoke", "5", "--url", server.url).code == 7


def test_manual_pages_that_cannot_be_written_are_a_line() -> None:
    done = buildapi("man", "--write", "/proc/nope")
    assert done.code == 7
    assert done.err.startswith("Error: /proc/nope: ")


def test_a_wait_that_swallows_a_name_says_what_to_write() -> None:
    done = buildapi("is-done", "--wait", "try", "abc")
    assert done.code == 2
    assert "'try' is not a number of seconds: put --wait last, or write --wait=SECONDS" in done.err


def test_warnings_of_a_plan_an_answer_and_a_job_are_printed_once() -> None:
    shared = "build 12 is shared: stopping it also ends request 8 (try by \x1b[2Jjoe)"
    plan = {
        "errors": False,
        "msg": "",
        "items": [],
        "writes": [],
        "pokes": [],
        "warnings": [shared],
    }
    rest = {"completed_at": 1, "complete_data": {"body": {"errors": False, "msg": "Ok"}}}
    job = {"id": 7, "state": "done", "action": "cancel_build", "who": "a", "when": 1, "what": {}}
    job |= {**rest, "items": [], "warnings": [shared], "progress": None}

    def answer(asked: Asked) -> Reply:
        if "dry_run" in (asked.body or {}):
            return Reply(200, {"status": "OK", "msg": "would", "plan": plan})
        if asked.path.endswith("/jobs/7"):
            return Reply(200, job)
        return Reply(202, {"status": "OK", "request_id": 7, "msg": "queued", "warnings": [shared]})

    with fake(answer) as server:
        url = ["--url", server.url]
        planned = buildapi("cancel", "try", "--build", "12", "--dry-run", *url)
        waited = buildapi("cancel", "try", "--build", "12", "--wait", "5", *url)
        shown = buildapi("job", "7", *url)
    for text in (planned.err, waited.err, shown.out.decode()):
        assert text.count("Warning: build 12 is shared") == 1
        assert "\x1b" not in text
