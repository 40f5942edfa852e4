"""Many job requests in one call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from buildapi.web.selfserve.batch import ENTRIES_MAX
from tests.reactor import twisted_test, until
from tests.web.batching import (
    BATCH,
    CANCEL,
    HEADERS,
    KEY,
    answered,
    batch,
    entry,
    published,
)
from tests.web.client import FORM, JSON, request
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import broker_down
from tests.web.jobcases import ALL, BUILD, BUILDER, REQUEST, REV, WHAT, each


@twisted_test()
async def test_all_entries_are_done_and_answered_in_their_order(served: Served) -> None:
    answers = await answered(served, [entry(name) for name in ALL])
    assert [a["status"] for a in answers] == [202] * 10
    assert [a["body"]["request_id"] for a in answers] == list(range(1, 11))
    messages = published(served)
    assert [m["action"] for m in messages] == list(ALL)
    for n, (name, message) in enumerate(zip(ALL, messages, strict=True), 1):
        assert message["who"] == "zo\u00eb@example.org"
        assert message["body"].items() >= {"request_id": n, **WHAT[name]}.items()
        assert served.jobs.jobs[n].what == WHAT[name]
    assert served.jobs.sent_ids == set(range(1, 11))


@twisted_test()
async def test_the_order_does_not_depend_on_how_long_a_check_takes(served: Served) -> None:
    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    names = ["rebuild_build", "new_build_at_revision", "cancel_request", "cancel_revision"]
    wire = await served.wire()
    wire.send(request("POST", BATCH, HEADERS, json.dumps([entry(n) for n in names]).encode()))
    await until(lambda: len(served.builds.failing.calls) == 3)
    assert not served.jobs.adding.calls
    held.callback(None)
    await wire.closed
    assert [m["action"] for m in published(served)] == names


@each
@twisted_test()
async def test_an_entry_is_answered_as_if_it_were_alone(serve: Serve, name: str) -> None:
    method, path, fields = ALL[name]
    alone = await serve().ask(method, path, HEADERS, json.dumps(fields).encode())
    (one,) = await answered(serve(), [entry(name)])
    assert (one["status"], one["body"]) == (alone.status, alone.json)


REFUSED = [
    ("DELETE", f"{BUILD}/99", {}),
    ("DELETE", f"{BUILD}/x", {}),
    ("DELETE", "/self-serve/nobranch/build/12", {}),
    ("PUT", f"{REQUEST}/23", {"priority": 1}),
    ("PUT", f"{REQUEST}/21", {}),
    ("POST", BUILD, {"build_id": 11, "count": 0}),
    ("POST", BUILD, {"dry_run": "maybe", "build_id": 11}),
    ("POST", f"{REV}/pgo", {"priority": 2**31}),
    ("POST", BUILDER, {"properties": "{"}),
    ("POST", BUILDER.replace("talos", "unknown"), {}),
    ("DELETE", "/self-serve/try/rev/abc", {}),
    ("DELETE", REV, {"only": "x"}),
    ("POST", "/self-serve/nobranch/rev/abcd", {"dry_run": "maybe"}),
    ("DELETE", "/self-serve/try/rev/%FF%FF%FF%FF", {}),
    ("DELETE", "/self-serve/try/rev/%C3%BC", {}),
    ("POST", "/self-serve/try/rev/%C3%BC/pgo", {}),
    ("DELETE", "/self-serve/try%2Fbuild/12", {}),
]


@twisted_test(8)
async def test_a_refused_entry_is_refused_as_if_it_were_alone(served: Served) -> None:
    alone = [
        await served.ask(method, path, HEADERS, json.dumps(fields).encode())
        for method, path, fields in REFUSED
    ]
    entries = [{"method": m, "path": p, "body": b} for m, p, b in REFUSED]
    answers = await answered(served, [*entries, entry("cancel_build")])
    for case, single, one in zip(REFUSED[:-1], alone, answers, strict=False):
        assert (one["status"], one["body"]) == (single.status, single.json), case
    assert (answers[-2]["status"], alone[-1].status) == (404, 404)  # the texts differ
    assert answers[-1]["status"] == 202
    assert list(served.jobs.jobs) == [1]


@pytest.mark.parametrize("path", ["/self-serve/a%2Fb/rev/abcdef", "/self-serve/a%2fb/rev/abcdef"])
@twisted_test()
async def test_a_segment_may_hold_a_slash(served: Served, path: str) -> None:
    (one,) = await answered(served, [{"path": path}])
    assert one["status"] == 202
    assert served.jobs.jobs[1].what["branch"] == "a/b"


@pytest.mark.parametrize(
    ("junk", "status", "msg"),
    [
        (None, 400, "An entry is a JSON object of body, idempotency_key, method, path"),
        ([], 400, "An entry is a JSON object"),
        ("x", 400, "An entry is a JSON object"),
        (CANCEL | {"more": 1}, 400, "An entry is a JSON object"),
        (CANCEL | {"dry_run": 1}, 400, "An entry is a JSON object"),
        ({}, 400, "path must be a path such as /self-serve/try/build"),
        ({"path": 7}, 400, "path must be a path such as"),
        ({"path": "self-serve/try/build"}, 400, "path must be a path such as"),
        ({"path": "http://evil.example.org/self-serve/try/build"}, 400, "path must be a path such"),
        ({"path": "//evil/self-serve/try/build"}, 400, "path must be only a path"),
        ({"path": "//["}, 400, "path must be only a path"),
        (CANCEL | {"path": f"{BUILD}/12?priority=1"}, 400, "path must be only a path"),
        (CANCEL | {"path": f"{BUILD}/12?"}, 400, "path must be only a path"),
        (CANCEL | {"path": f"{BUILD}/12#x"}, 400, "path must be only a path"),
        (CANCEL | {"path": f"{BUILD}/1\n2"}, 400, "Non-integer build_id"),
        (CANCEL | {"path": "/self-serve/%FF/build/12"}, 400, "The path is not UTF-8"),
        (CANCEL | {"path": f"{BUILD}/12/"}, 404, "Unknown job request: DELETE"),
        (CANCEL | {"path": "/nowhere"}, 404, "Unknown job request: DELETE /nowhere"),
        (CANCEL | {"path": "/self-serve/jobs"}, 404, "Unknown job request: "),
        (CANCEL | {"method": "POST"}, 404, f"Unknown job request: POST {BUILD}/12"),
        (CANCEL | {"method": "GET"}, 400, "method must be one of POST, PUT, DELETE"),
        (CANCEL | {"method": "delete"}, 400, "method must be one of"),
        (CANCEL | {"method": None}, 400, "method must be one of"),
        (CANCEL | {"method": ["DELETE"]}, 400, "method must be one of"),
        (CANCEL | {"body": []}, 400, "body must be a JSON object"),
        (CANCEL | {"body": [1]}, 400, "body must be a JSON object"),
        (CANCEL | {"body": ""}, 400, "body must be a JSON object"),
        (CANCEL | {"body": 0}, 400, "body must be a JSON object"),
        (CANCEL | {"body": False}, 400, "body must be a JSON object"),
        (CANCEL | {"body": {"wait": 1}}, 400, "Parameter wait is not allowed in a batch"),
        (CANCEL | {"body": {"wait": 0}}, 400, "Parameter wait is not allowed in a batch"),
        (CANCEL | {"idempotency_key": 7}, 400, "idempotency_key must be a string"),
        (CANCEL | {"idempotency_key": 0}, 400, "idempotency_key must be a string"),
        (CANCEL | {"idempotency_key": "\u00fc"}, 400, "Idempotency-Key must be 1 to 255"),
        ({"path": BATCH, "body": {}}, 404, f"Unknown job request: POST {BATCH}"),
        ({"path": BATCH, "body": [CANCEL]}, 400, "body must be a JSON object"),
    ],
)
@twisted_test()
async def test_junk_is_refused_and_the_others_are_done(
    served: Served, junk: Any, status: int, msg: str
) -> None:
    before, one, after = await answered(served, [CANCEL, junk, CANCEL])
    assert one["status"] == status
    assert one["body"]["status"] == "FAILED"
    assert one["body"]["msg"].startswith(msg)
    assert [before["body"]["request_id"], after["body"]["request_id"]] == [1, 2]
    assert len(published(served)) == 2


@pytest.mark.parametrize("more", [{}, {"body": None}, {"idempotency_key": None}, {"body": {}}])
@twisted_test()
async def test_an_entry_needs_only_a_path(served: Served, more: dict[str, Any]) -> None:
    (one,) = await answered(served, [{"path": REV} | more])
    assert one["status"] == 202
    assert served.jobs.jobs[1].action == "new_build_at_revision"


# --- the whole of it


@twisted_test()
async def test_an_empty_batch_is_done_at_once(served: Served) -> None:
    assert await answered(served, []) == []


@pytest.mark.parametrize("kind", ["job requests", "reads of the same"])
@twisted_test(20)
async def test_as_many_entries_as_allowed_are_taken(serve: Serve, kind: str) -> None:
    served = serve(max_body=2**20, request_seconds=15, batch_seconds=15)
    entries = [entry("reprioritize", body={"priority": n}) for n in range(ENTRIES_MAX)]
    query = "" if kind == "job requests" else "?dry_run=1"
    answers = await answered(served, entries, query=query)
    if query:
        assert {a["status"] for a in answers} == {200}
        assert not served.jobs.jobs
        return
    assert [a["body"]["request_id"] for a in answers] == list(range(1, ENTRIES_MAX + 1))
    assert [m["body"]["priority"] for m in published(served)] == list(range(ENTRIES_MAX))


@twisted_test()
async def test_more_entries_are_refused_together(serve: Serve) -> None:
    served = serve(max_body=2**20)
    answer = await batch(served, [CANCEL] * (ENTRIES_MAX + 1))
    assert answer.status == 400
    assert answer.json["msg"] == "Too many job requests in a batch: 501 (max 500)"
    assert not served.jobs.jobs


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("application/json", json.dumps(CANCEL).encode()),
        ("application/json", b""),
        (FORM, b"path=/self-serve/try/build"),
    ],
)
@twisted_test()
async def test_a_batch_is_a_list(served: Served, kind: str, body: bytes) -> None:
    answer = await served.ask("POST", BATCH, HEADERS | {"Content-Type": kind}, body)
    assert (answer.status, answer.json["msg"]) == (400, "The body is not a JSON list")
    broken = await served.ask("POST", BATCH, HEADERS, b"[")
    assert (broken.status, broken.json["msg"]) == (400, "The body is not JSON")


@twisted_test()
async def test_a_batch_of_a_content_type_that_nobody_reads_is_refused(served: Served) -> None:
    headers = HEADERS | {"Content-Type": "text/plain"}
    answer = await served.ask("POST", BATCH, headers, json.dumps([CANCEL]).encode())
    assert answer.status == 400
    assert answer.json["msg"].startswith("The body is of content type 'text/plain'")
    assert not served.jobs.jobs


@twisted_test()
async def test_nobody_has_no_batches(served: Served) -> None:
    for body in (json.dumps([CANCEL]).encode(), b"["):
        headers = JSON | {"Content-Type": "application/json"}
        answer = await served.ask("POST", BATCH, headers, body)
        assert (answer.status, answer.json["msg"]) == (403, "ACCESS DENIED!")
    assert not served.builds.failing.calls


@twisted_test()
async def test_html_clients_read_the_answers(served: Served) -> None:
    headers = ZOE | {"Content-Type": "application/json"}
    answer = await served.ask("POST", BATCH, headers, json.dumps([CANCEL]).encode())
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "is queued as job 1" in answer.text


@pytest.mark.parametrize("mount", ["", "/buildapi"])
@twisted_test()
async def test_paths_are_those_the_client_uses(serve: Serve, mount: str) -> None:
    served = serve(prefix="/buildapi")
    paths = [mount + BUILD, BUILD, "/buildapi" + BUILD[1:]]
    entries = [{"path": path, "body": {"build_id": 11}} for path in paths]
    answer = await batch(served, entries, path=mount + BATCH)
    assert [one["status"] for one in answer.json] == [202, 202, 404]


# --- plans


@twisted_test()
async def test_the_plans_of_all_may_be_asked_for(served: Served) -> None:
    entries = [*map(entry, ALL), entry("cancel_build", path=f"{BUILD}/99")]
    answers = await answered(served, entries, query="?dry_run=1")
    assert [a["status"] for a in answers] == [200] * 10 + [404]
    assert all(a["body"]["dry_run"] is True for a in answers[:-1])
    assert not served.jobs.jobs
    assert not served.broker.failing.calls


@twisted_test()
async def test_one_entry_may_ask_for_its_plan(served: Served) -> None:
    entries = [CANCEL, CANCEL | {"body": {"dry_run": True}}, CANCEL]
    answers = await answered(served, entries)
    assert [a["status"] for a in answers] == [202, 200, 202]
    assert len(served.jobs.jobs) == 2


@twisted_test()
async def test_another_word_for_plans_is_refused(served: Served) -> None:
    answer = await batch(served, [CANCEL], path=f"{BATCH}?dry_run=maybe")
    assert (answer.status, answer.json["msg"]) == (400, "Bad dry_run: allowed are 1 and 0")
    assert not served.jobs.jobs


# --- keys


@twisted_test()
async def test_an_entry_has_the_key_of_a_single_request(served: Served) -> None:
    entries = [CANCEL | {"idempotency_key": "k"}, entry("reprioritize", idempotency_key="l")]
    first = await answered(served, entries)
    assert await answered(served, entries) == first
    alone = await served.ask("DELETE", f"{BUILD}/12", HEADERS | {"Idempotency-Key": "k"})
    assert alone.json == first[0]["body"]
    assert list(served.jobs.jobs) == [1, 2]


@twisted_test()
async def test_the_key_of_a_batch_makes_keys_for_entries_without(served: Served) -> None:
    entries = [CANCEL, CANCEL, CANCEL | {"idempotency_key": "own"}]
    first = await answered(served, entries, KEY)
    assert [a["body"]["request_id"] for a in first] == [1, 2, 3]
    assert await answered(served, entries, KEY) == first
    more = await answered(served, [*entries, CANCEL], KEY)
    assert [a["body"]["request_id"] for a in more] == [1, 2, 3, 4]
    other = await answered(served, [entry("reprioritize"), *entries[1:]], KEY)
    assert [a["status"] for a in other] == [422, 202, 202]
    for key, job_id in (("night#1", 2), ("own", 3)):
        alone = await served.ask("DELETE", f"{BUILD}/12", HEADERS | {"Idempotency-Key": key})
        assert alone.json["request_id"] == job_id


@twisted_test()
async def test_one_key_twice_in_a_batch_is_one_job(served: Served) -> None:
    entries = [CANCEL | {"idempotency_key": "k"}] * 3
    answers = await answered(served, [*entries, entry("reprioritize", idempotency_key="k")])
    assert [a["status"] for a in answers] == [202, 202, 202, 422]
    assert [a["body"]["request_id"] for a in answers[:3]] == [1, 1, 1]
    assert len(published(served)) == 1


@twisted_test()
async def test_what_failed_of_a_batch_may_be_sent_again_with_its_key(
    served: Served, logged_errors: list[Any]
) -> None:
    served.broker.failing.error = broker_down()
    assert [a["status"] for a in await answered(served, [CANCEL] * 2, KEY)] == [503, 503]
    served.broker.failing.error = None
    again = await answered(served, [CANCEL] * 2, KEY)
    assert [a["body"]["request_id"] for a in again] == [3, 4]
    logged_errors.clear()
