"""Job requests over HTTP: what is checked in which order, and what is answered."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.reactor import twisted_test, until
from tests.web.client import FORM, JSON, request
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import NOW, broker_down, database_down
from tests.web.jobcases import (
    ALL,
    BUILD,
    NEW,
    REQUEST,
    THINGS,
    WHAT,
    each,
    each_followed,
    each_new,
    each_thing,
)


@each
@twisted_test()
async def test_an_accepted_job_is_recorded_sent_and_answered(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    answer = await served.ask(method, path, JSON | ZOE, fields)
    assert answer.status == 202
    assert set(answer.json) == {"status", "request_id", "msg"}
    assert (answer.json["status"], answer.json["request_id"]) == ("OK", 1)
    assert answer.json["msg"]
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers
    job = served.jobs.jobs[1]
    assert (job.action, job.what, job.who, job.when) == (name, WHAT[name], "zoë@example.org", NOW)
    ((key, body, message_id, correlation),) = served.broker.published
    assert (key, message_id, correlation) == ("requests", "job-1", "1")
    assert json.loads(body) == {
        "action": name,
        "who": "zoë@example.org",
        "body": {"request_id": 1, "when": NOW, **WHAT[name]},
        "trace": answer.headers["x-request-id"],
        "identity": job.identity,
    }
    assert len(job.identity) == 32
    assert served.jobs.sent_ids == {1}


@each_followed
@twisted_test()
async def test_html_clients_are_sent_to_the_job(serve: Serve, name: str) -> None:
    served = serve(prefix="/buildapi")
    method, path, fields = ALL[name]
    for mount in ("", "/buildapi"):
        answer = await served.ask(method, mount + path, ZOE, fields)
        assert answer.status == 302
        where = f"{mount}/self-serve/jobs/{len(served.jobs.jobs)}"
        assert answer.headers["location"] == where
        assert f'href="{where}"' in answer.text
        assert answer.headers["cache-control"] == "private, no-store"
        assert (await served.ask("GET", where)).status == 200


@each_new
@twisted_test()
async def test_html_clients_of_a_new_build_read_the_answer(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    answer = await served.ask(method, path, ZOE, fields)
    assert (answer.status, answer.headers["content-type"]) == (202, "text/html; charset=utf-8")
    assert "location" not in answer.headers
    (shown,) = re.findall("<pre[^>]*>(.*?)</pre>", answer.text, re.DOTALL)
    told = json.loads(unescape(shown))
    assert (told["status"], told["request_id"]) == ("OK", 1)
    assert told["msg"].endswith("is queued as job 1")
    assert answer.headers["cache-control"] == "private, no-store"


@each
@twisted_test()
async def test_nothing_is_looked_at_before_there_is_a_user(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    wrong = path.replace("try", "nobranch") + "?format=xml&x=%FF"
    broken = JSON | {"Content-Type": "application/json"}
    for target, headers, body in ((path, JSON, fields), (wrong, JSON, {}), (path, broken, b"{")):
        answer = await served.ask(method, target, headers, body)
        assert answer.status == 403
        assert (answer.json["status"], answer.json["msg"]) == ("FAILED", "ACCESS DENIED!")
    assert not served.builds.failing.calls
    assert not served.jobs.jobs


@each
@twisted_test()
async def test_the_branch_is_looked_for_before_the_values(served: Served, name: str) -> None:
    method, path, _ = ALL[name]
    wrong = path.replace("try", "nobranch", 1).replace("21", "x").replace("12", "x")
    as_json = JSON | {"Content-Type": "application/json"}
    for query, headers, body in (
        ("", JSON, b""),
        ("", as_json, b"{"),
        ("", as_json, b"[]"),
        ("?wait=x", JSON, b""),
        ("?dry_run=maybe", JSON, b""),
    ):
        answer = await served.ask(method, wrong + query, ZOE | headers, body)
        assert (answer.status, answer.json["msg"]) == (404, "Branch nobranch not found")


@each_thing
@twisted_test()
async def test_what_is_not_there_is_not_found(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    for id_ in ("99", str(2**31), "9" * 25):
        given = {k: id_ if k.endswith("_id") else v for k, v in fields.items()}
        target = path.replace("21", id_).replace("12", id_)
        answer = await served.ask(method, target, JSON | ZOE, given)
        what = "Request" if "request" in path else "Build"
        assert (answer.status, answer.json["msg"]) == (404, f"{what} {id_} not found on branch try")
    assert not served.jobs.jobs


@twisted_test()
async def test_a_thing_of_another_branch_is_not_found(served: Served) -> None:
    answer = await served.ask("DELETE", "/self-serve/a%2Fb/build/11", JSON | ZOE)
    assert (answer.status, answer.json["msg"]) == (404, "Build 11 not found on branch a/b")


@twisted_test(10)
async def test_an_id_in_the_path_of_a_job_request_is_digits(served: Served) -> None:
    for id_ in ["506453abc", "x", "-11", "+11", "%D9%A1", "1.0", "%2011", "1%2F2"]:
        for method, path, name in (
            ("DELETE", BUILD, "build_id"),
            ("DELETE", REQUEST, "request_id"),
            ("PUT", REQUEST, "request_id"),
        ):
            fields = {"priority": 1} if method == "PUT" else {}
            answer = await served.ask(method, f"{path}/{id_}", JSON | ZOE, fields)
            assert (answer.status, answer.json["msg"]) == (400, f"Non-integer {name}")


GOOD = {" 7 ": 7, "+4": 4, "-4": -4, "007": 7, "\t7\n": 7, "2147483647": 2**31 - 1}
BAD = ["3.5", "1e3", "0x10", "x", " ", "+", "--1", "1 2", "1_000", "\u0661", "9" * 5000, "None"]


@twisted_test()
async def test_whole_numbers_may_have_a_sign_and_blanks(served: Served) -> None:
    for text in GOOD:
        answer = await served.ask("PUT", f"{REQUEST}/21", JSON | ZOE, {"priority": text})
        assert answer.status == 202
    jobs = served.jobs.jobs.values()
    assert [job.what["priority"] for job in jobs] == list(GOOD.values())


@twisted_test(10)
async def test_other_texts_are_no_numbers(serve: Serve) -> None:
    served = serve(max_body=20000)
    for text in BAD:
        for name, fields in (
            ("build_id", {"build_id": text}),
            ("priority", {"build_id": 11, "priority": text}),
            ("count", {"build_id": 11, "count": text}),
        ):
            answer = await served.ask("POST", BUILD, JSON | ZOE, fields)
            assert (answer.status, answer.json["msg"]) == (400, f"Bad {name}")
        answer = await served.ask("PUT", f"{REQUEST}/21", JSON | ZOE, {"priority": text})
        assert answer.json["msg"] == "Bad priority"


@twisted_test(10)
async def test_json_values_must_be_whole_numbers(served: Served) -> None:
    for value in ["1.5", "true", "[]", "{}", "1e400", "1.0", '"x"', "NaN"]:
        headers = JSON | ZOE | {"Content-Type": "application/json"}
        body = f'{{"build_id": 11, "priority": {value}}}'.encode()
        answer = await served.ask("POST", BUILD, headers, body)
        assert (answer.status, answer.json["msg"]) == (400, "Bad priority")


@twisted_test()
async def test_empty_and_missing_values_mean_the_default(served: Served) -> None:
    fields: dict[str, Any] = {"build_id": 11, "priority": "", "count": ""}
    assert (await served.ask("POST", BUILD, JSON | ZOE, fields)).status == 202
    assert served.jobs.jobs[1].what == {"bid": 11, "priority": 0, "count": 1}
    for fields in ({"build_id": ""}, {}):
        answer = await served.ask("POST", BUILD, JSON | ZOE, fields)
        assert answer.json["msg"] == "Bad build_id"
    for fields in ({"priority": ""}, {}):
        answer = await served.ask("PUT", f"{REQUEST}/21", JSON | ZOE, fields)
        assert answer.json["msg"] == "Bad priority"


@pytest.mark.parametrize(("count", "status"), [(1, 202), (5, 202), (6, 400), (0, 400), (-1, 400)])
@twisted_test()
async def test_the_count_is_bounded_by_the_configuration(
    serve: Serve, count: int, status: int
) -> None:
    served = serve(count_max=5)
    for path, name in ((BUILD, "build_id"), (REQUEST, "request_id")):
        id_ = 11 if path == BUILD else 21
        answer = await served.ask("POST", path, JSON | ZOE, {name: id_, "count": count})
        assert answer.status == status
        assert status == 202 or answer.json["msg"] == "Bad count"


@twisted_test(10)
async def test_a_priority_beyond_32_bits_is_bad(served: Served) -> None:
    for priority in [2**31, -(2**31) - 1, 10**25]:
        for method, path in (("PUT", f"{REQUEST}/21"), ("POST", BUILD)):
            fields = {"priority": priority} | ({"build_id": 11} if method == "POST" else {})
            answer = await served.ask(method, path, JSON | ZOE, fields)
            assert (answer.status, answer.json["msg"]) == (400, "Bad priority")


@twisted_test()
async def test_only_a_pending_request_gets_another_priority(served: Served) -> None:
    for id_, msg in ((22, "Request is already running"), (23, "Request already complete")):
        answer = await served.ask("PUT", f"{REQUEST}/{id_}", JSON | ZOE, {"priority": 1})
        assert (answer.status, answer.json["msg"]) == (400, msg)
    assert not served.jobs.jobs


@each
@twisted_test()
async def test_a_list_is_for_batches_only(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    headers = JSON | ZOE | {"Content-Type": "application/json"}
    for body in ([], [fields]):
        answer = await served.ask(method, path, headers, json.dumps(body).encode())
        assert (answer.status, answer.json["msg"]) == (400, "The body is not a JSON object")
    assert not served.jobs.jobs


# --- what fails


@each
@pytest.mark.parametrize("headers", [JSON, {}], ids=["json", "html"])
@twisted_test()
async def test_a_job_that_cannot_be_recorded_is_refused(
    served: Served, name: str, headers: dict[str, str]
) -> None:
    method, path, fields = ALL[name]
    served.jobs.adding.error = database_down()
    answer = await served.ask(method, path, headers | ZOE, fields)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    names_user = "" if headers else "private, "  # a page does, for whoever has a name
    assert answer.headers["cache-control"] == f"{names_user}no-store"
    assert "Couldn&#39;t create JobRequest row" in answer.text or answer.json["msg"] == (
        "Couldn't create JobRequest row"
    )
    assert not served.broker.published


@each
@twisted_test()
async def test_a_job_that_cannot_be_sent_is_refused_for_good(
    served: Served, name: str, logged_errors: list[Any]
) -> None:
    method, path, fields = ALL[name]
    served.broker.failing.error = broker_down()
    answer = await served.ask(method, path, JSON | ZOE, fields)
    assert answer.status == 503
    assert answer.json == {
        "status": "FAILED",
        "msg": "Couldn't send message to broker",
        "code": "broker_unavailable",
        "request_id": 1,
        "away": ["no connection to mq1"],
        "trace": answer.headers["x-request-id"],
        "retry_after": int(answer.headers["retry-after"]),
        "status_page": "/status",
    }
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["cache-control"] == "no-store"
    job = (await served.ask("GET", "/self-serve/jobs/1", JSON)).json
    assert job["completed_at"] == NOW
    assert job["complete_data"]["body"] == {
        "errors": True,
        "msg": "Couldn't send message to broker",
    }
    assert len(logged_errors) == 1
    logged_errors.clear()


@twisted_test()
async def test_a_job_an_agent_has_begun_counts_as_accepted(
    served: Served, logged_errors: list[Any]
) -> None:
    served.broker.failing.error = broker_down()
    served.jobs.faster = True
    answer = await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)
    assert (answer.status, answer.json["request_id"]) == (202, 1)
    logged_errors.clear()


@twisted_test(4)
async def test_a_slow_job_store_is_given_up_in_time(serve: Serve) -> None:
    served = serve(answer_seconds=0.2)
    served.jobs.adding.held = Deferred()
    answer = await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)
    assert (answer.status, answer.json["msg"]) == (503, "Couldn't create JobRequest row")
    assert not served.broker.published


@twisted_test(4)
async def test_a_slow_look_is_given_up_in_time(serve: Serve) -> None:
    served = serve(answer_seconds=0.2)
    served.directory.listed = None
    for method, path, fields in (*THINGS.values(), NEW["new_build_for_builder"]):
        served.builds.failing.held = Deferred()
        answer = await served.ask(method, path, JSON | ZOE, fields)
        assert answer.status == 503
        assert "retry-after" in answer.headers
    assert not served.jobs.jobs


@twisted_test(4)
async def test_a_slow_note_that_a_job_is_sent_does_not_hold_up_the_answer(serve: Serve) -> None:
    served = serve(answer_seconds=0.2)
    served.jobs.sending.held = Deferred()
    answer = await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE)
    assert answer.status == 202
    assert served.broker.published


@pytest.mark.parametrize("stage", ["adding", "sending", "broker"])
@twisted_test(4)
async def test_a_client_that_leaves_does_not_stop_its_job_halfway(
    served: Served, stage: str
) -> None:
    failing = served.broker.failing if stage == "broker" else getattr(served.jobs, stage)
    held: Deferred[None] = Deferred()
    failing.held = held
    wire = await served.wire()
    wire.send(request("POST", BUILD, JSON | ZOE | {"Content-Type": FORM}, b"build_id=11"))
    await until(lambda: bool(failing.calls))
    wire.close()
    await wire.closed
    await until(lambda: not served.in_flight)
    held.callback(None)
    await until(lambda: served.jobs.sent_ids == {1})
    assert len(served.broker.published) == 1


@twisted_test(4)
async def test_a_client_that_leaves_before_its_job_is_recorded_has_sent_none(
    served: Served,
) -> None:
    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    wire = await served.wire()
    wire.send(request("POST", BUILD, JSON | ZOE | {"Content-Type": FORM}, b"build_id=11"))
    await until(lambda: bool(served.builds.failing.calls))
    wire.close()
    await wire.closed
    await until(lambda: held.called)  # cancelled
    await served.turn()
    assert not served.jobs.jobs
