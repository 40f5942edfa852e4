"""Job requests that are repeated with a key of their sender."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred, gatherResults

from buildapi.model.records import KEY_SECONDS
from tests.reactor import twisted_test, until
from tests.web.client import JSON, Answer, request
from tests.web.conftest import ZOE, Served
from tests.web.farm import COMPLETE, NOW, Failing, broker_down, database_down
from tests.web.jobcases import ALL, BUILD, REQUEST, REV, each, each_followed

KEY = {"Idempotency-Key": "retry-1"}
REUSED = "This Idempotency-Key was used for another request"
REPRIORITIZE = ALL["reprioritize"]


async def ask(served: Served, name: str, key: str = "retry-1", query: str = "") -> Answer:
    method, path, fields = ALL[name]
    headers = JSON | ZOE | {"Idempotency-Key": key}
    return await served.ask(method, path + query, headers, fields)


@each
@twisted_test()
async def test_a_repetition_gets_the_first_answer_and_does_nothing(
    served: Served, name: str
) -> None:
    first = await ask(served, name)
    again = await ask(served, name)
    assert (first.status, again.status) == (202, 202)
    assert first.body == again.body
    assert list(served.jobs.jobs) == [1]
    assert len(served.broker.published) == 1
    assert again.headers["cache-control"] == "no-store"


@each_followed
@twisted_test()
async def test_html_clients_are_sent_to_the_same_job(served: Served, name: str) -> None:
    method, path, fields = ALL[name]
    answers = [await served.ask(method, path, ZOE | KEY, fields) for _ in range(2)]
    assert [(a.status, a.headers["location"]) for a in answers] == [(302, "/self-serve/jobs/1")] * 2


@twisted_test()
async def test_without_a_key_a_repetition_is_another_job(served: Served) -> None:
    method, path, fields = REPRIORITIZE
    for headers in ({}, {"Idempotency-Key": ""}):
        assert (await served.ask(method, path, JSON | ZOE | headers, fields)).status == 202
    assert list(served.jobs.jobs) == [1, 2]
    assert not served.jobs.keys


@twisted_test()
async def test_a_repetition_is_answered_even_if_it_could_not_be_accepted_any_more(
    served: Served,
) -> None:
    first = await ask(served, "reprioritize")
    served.builds.requests[21] = attrs.evolve(
        served.builds.requests[21], request=replace(COMPLETE, id=21)
    )
    assert (await ask(served, "reprioritize", key="other")).status == 400
    assert (await ask(served, "reprioritize")).body == first.body
    del served.builds.requests[21]
    assert (await ask(served, "reprioritize", key="other")).status == 404
    assert (await ask(served, "reprioritize")).body == first.body
    served.builds.failing.error = database_down()
    assert (await ask(served, "reprioritize")).body == first.body


@twisted_test()
async def test_a_repetition_after_the_end_may_tell_what_became_of_the_job(served: Served) -> None:
    await ask(served, "cancel_build")
    report = {"body": {"errors": False, "msg": "12: Ok"}, "request_id": 1}
    await served.jobs.finish(1, report, NOW)
    again = await ask(served, "cancel_build", query="?wait=60")
    assert (again.json["request_id"], again.json["job"]["state"]) == (1, "done")


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("PUT", f"{REQUEST}/21", {"priority": 8}),
        ("PUT", f"{REQUEST}/22", {"priority": 7}),
        ("DELETE", f"{REQUEST}/21", {}),
        ("DELETE", f"{BUILD}/12", {}),
        ("POST", REQUEST, {"request_id": 21}),
        ("POST", f"{REV}/pgo", {}),
    ],
)
@twisted_test()
async def test_a_key_stands_for_one_request_only(
    served: Served, method: str, path: str, fields: dict[str, Any]
) -> None:
    await ask(served, "reprioritize")
    answer = await served.ask(method, path, JSON | ZOE | KEY, fields)
    assert (answer.status, answer.json["msg"]) == (422, REUSED)
    assert (answer.json["status"], answer.json["code"]) == ("FAILED", "idempotency_key_reused")
    assert list(served.jobs.jobs) == [1]


@twisted_test()
async def test_a_key_stands_for_one_branch_and_one_way_to_narrow_down(served: Served) -> None:
    served.directory.definitions["cedar"] = {}
    assert (await ask(served, "cancel_revision")).status == 202
    for path in (REV.replace("try", "cedar"), f"{REV}?only=pending", f"{REV}?builder=*"):
        assert (await served.ask("DELETE", path, JSON | ZOE | KEY)).status == 422


@pytest.mark.parametrize("query", ["?format=json", "?wait=0.01", "?dry_run=0"])
@twisted_test()
async def test_how_to_answer_is_no_content(served: Served, query: str) -> None:
    first = await ask(served, "reprioritize")
    again = await ask(served, "reprioritize", query=query)
    assert (again.status, again.json["request_id"]) == (202, 1)
    assert again.json["msg"] == first.json["msg"]


@twisted_test()
async def test_a_form_that_stands_for_a_delete_is_the_same_delete(served: Served) -> None:
    await served.ask("DELETE", f"{BUILD}/12", JSON | ZOE | KEY)
    answer = await served.ask("POST", f"{BUILD}/12", JSON | ZOE | KEY, {"_method": "delete"})
    assert (answer.status, answer.json["request_id"]) == (202, 1)


@twisted_test()
async def test_the_keys_of_users_are_their_own(served: Served) -> None:
    method, path, fields = REPRIORITIZE
    for n, user in enumerate(("zo\u00eb@example.org", "yan@example.org"), 1):
        headers = JSON | KEY | {"X-Remote-User": user}
        assert (await served.ask(method, path, headers, fields)).json["request_id"] == n
    assert [job.who for job in served.jobs.jobs.values()] == [
        "zo\u00eb@example.org",
        "yan@example.org",
    ]


@twisted_test()
async def test_a_key_is_forgotten_after_a_day(served: Served) -> None:
    await ask(served, "reprioritize")
    ((name, (key, job_id, when)),) = served.jobs.keys.items()
    served.jobs.keys[name] = (key, job_id, when - KEY_SECONDS)
    assert (await ask(served, "reprioritize")).json["request_id"] == 1
    served.jobs.keys[name] = (key, job_id, when - KEY_SECONDS - 1)
    assert (await ask(served, "reprioritize")).json["request_id"] == 2


@twisted_test()
async def test_a_key_says_nothing_of_its_user_or_the_request(served: Served) -> None:
    await ask(served, "reprioritize", key="hunter2")
    ((key, _, _),) = served.jobs.keys.values()
    assert "hunter2" not in str(key)
    assert [len(key.name), len(key.content)] == [64, 64]


@pytest.mark.parametrize("key", ["x" * 256, "a\tb", b"\xff", "\u00fc".encode(), b"\x7f"])
@twisted_test()
async def test_what_can_be_no_key_is_refused(served: Served, key: str | bytes) -> None:
    method, path, fields = REPRIORITIZE
    answer = await served.ask(method, path, JSON | ZOE | {"Idempotency-Key": key}, fields)
    assert answer.status == 400
    assert answer.json["msg"] == "Idempotency-Key must be 1 to 255 printable ASCII characters"
    assert not served.jobs.jobs


@twisted_test()
async def test_a_long_key_is_a_key(served: Served) -> None:
    for _ in range(2):
        assert (await ask(served, "reprioritize", key="x" * 255)).json["request_id"] == 1


@each
@twisted_test()
async def test_a_plan_takes_no_key(served: Served, name: str) -> None:
    answer = await ask(served, name, query="?dry_run=1")
    assert answer.status == 200
    assert (await ask(served, name)).status == 202
    assert (await ask(served, name, query="?dry_run=1")).json["dry_run"] is True
    assert len(served.jobs.jobs) == 1


@twisted_test()
async def test_a_refusal_takes_no_key(served: Served) -> None:
    for bad, fields in (("x", {}), ("21", {"priority": "x"})):
        answer = await served.ask("PUT", f"{REQUEST}/{bad}", JSON | ZOE | KEY, fields)
        assert answer.status == 400
    assert (await ask(served, "reprioritize")).status == 202


@twisted_test()
async def test_nobody_has_no_keys(served: Served) -> None:
    await ask(served, "reprioritize")
    method, path, fields = REPRIORITIZE
    assert (await served.ask(method, path, JSON | KEY, fields)).status == 403


# --- at once


@each
@pytest.mark.parametrize("stage", ["adding", "sending", "publishing"])
@twisted_test()
async def test_two_at_once_are_one_job(served: Served, name: str, stage: str) -> None:
    failing = served.broker.failing if stage == "publishing" else getattr(served.jobs, stage)
    held: Deferred[None] = Deferred()
    failing.held = held
    method, path, fields = ALL[name]
    wires = [await served.wire() for _ in range(5)]
    for wire in wires:
        wire.send(request(method, path, JSON | ZOE | KEY, fields))
    # Each has looked for the key.
    await until(lambda: bool(failing.calls) and len(served.jobs.reading.calls) >= 5)
    await served.turn()
    held.callback(None)
    for wire in wires:
        await wire.closed
    answers = [await wire.answer(method) for wire in wires]
    assert {(a.status, a.body) for a in answers} == {(202, answers[0].body)}
    assert list(served.jobs.jobs) == [1]
    assert len(served.broker.published) == 1


@twisted_test()
async def test_two_different_ones_at_once_are_one_job_and_one_refusal(served: Served) -> None:
    held: Deferred[None] = Deferred()
    served.jobs.adding.held = held
    wires = [await served.wire() for _ in range(2)]
    for n, wire in enumerate(wires):
        wire.send(request("PUT", f"{REQUEST}/21", JSON | ZOE | KEY, {"priority": n}))
    await until(lambda: len(served.jobs.adding.calls) == 2)
    held.callback(None)
    for wire in wires:
        await wire.closed
    assert sorted([(await wire.answer("PUT")).status for wire in wires]) == [202, 422]
    assert list(served.jobs.jobs) == [1]


@twisted_test(8)
async def test_while_the_first_is_undecided_the_others_are_told_to_come_again(
    served: Served,
) -> None:
    held: Deferred[None] = Deferred()
    served.broker.failing.held = held
    method, path, fields = REPRIORITIZE
    first = await served.wire()
    first.send(request(method, path, JSON | ZOE | KEY, fields))
    await until(lambda: bool(served.broker.failing.calls))
    second = await ask(served, "reprioritize")
    assert (second.status, second.json["code"]) == (409, "in_progress")
    assert int(second.headers["retry-after"]) > 0
    assert second.headers["cache-control"] == "no-store"
    held.callback(None)
    await first.closed
    assert (await ask(served, "reprioritize")).body == (await first.answer("PUT")).body
    assert list(served.jobs.jobs) == [1]


# --- after a death


@twisted_test(8)
async def test_a_job_whose_process_died_between_row_and_message_is_sent_by_who_asks_again(
    served: Served,
) -> None:
    """Answered as the first would have been, within a client's usual 10 s, and not told 409."""
    first = await ask(served, "reprioritize")
    served.jobs.sent_ids.clear()
    (message,) = served.broker.published
    served.broker.published.clear()
    second = await ask(served, "reprioritize")
    assert (second.status, second.body) == (202, first.body)
    assert list(served.jobs.jobs) == [1]
    (again,) = served.broker.published
    assert json.loads(again[1])["body"] == json.loads(message[1])["body"]
    assert json.loads(again[1])["identity"] == served.jobs.jobs[1].identity
    assert served.jobs.sent_ids == {1}


@twisted_test(8)
async def test_a_job_that_cannot_be_sent_by_who_asks_again_is_refused_and_its_key_free(
    served: Served, logged_errors: list[Any]
) -> None:
    await ask(served, "reprioritize")
    served.jobs.sent_ids.clear()
    served.broker.failing.error = broker_down()
    assert (await ask(served, "reprioritize")).status == 503
    assert served.jobs.refused_ids == {1}
    served.broker.failing.error = None
    assert (await ask(served, "reprioritize")).json["request_id"] == 2
    logged_errors.clear()


@twisted_test(8)
async def test_a_job_that_is_sent_and_cannot_be_read_afterwards_is_not_answered_503(
    served: Served, logged_errors: list[Any]
) -> None:
    await ask(served, "reprioritize")
    served.jobs.sent_ids.clear()

    class Sent(Failing):
        async def happen(self, *call: Any) -> None:
            served.jobs.reading.error = database_down()

    served.jobs.sending = Sent()
    answer = await ask(served, "reprioritize")
    assert (answer.status, answer.json["code"]) == (500, "outcome_unknown")
    logged_errors.clear()


# --- after a 503


@twisted_test()
async def test_what_was_not_sent_may_be_tried_again_with_its_key(
    served: Served, logged_errors: list[Any]
) -> None:
    served.broker.failing.error = broker_down()
    assert (await ask(served, "reprioritize")).status == 503
    served.broker.failing.error = None
    answer = await ask(served, "reprioritize")
    assert (answer.status, answer.json["request_id"]) == (202, 2)
    assert [
        json.loads(body)["body"]["request_id"] for _, body, _, _ in served.broker.published
    ] == [2]
    logged_errors.clear()


@twisted_test()
async def test_what_was_not_recorded_may_be_tried_again_with_its_key(served: Served) -> None:
    served.jobs.adding.error = database_down()
    assert (await ask(served, "reprioritize")).status == 503
    served.jobs.adding.error = None
    assert (await ask(served, "reprioritize")).json["request_id"] == 1


@twisted_test()
async def test_who_waits_for_one_that_is_not_sent_is_told_to_come_again(
    served: Served, logged_errors: list[Any]
) -> None:
    """The one that failed is not this one: it may be tried again at once."""
    held: Deferred[None] = Deferred()
    served.broker.failing.held, served.broker.failing.error = held, broker_down()
    method, path, fields = REPRIORITIZE
    wires = [await served.wire() for _ in range(2)]
    for wire in wires:
        wire.send(request(method, path, JSON | ZOE | KEY, fields))
        await until(lambda: bool(served.broker.failing.calls))
    # One look of the first; a second one of the other, which waits for it.
    await until(lambda: len(served.jobs.reading.calls) >= 3)
    held.callback(None)
    await gatherResults([wire.closed for wire in wires])
    statuses = [(await wire.answer(method)).status for wire in wires]
    assert statuses[0] == 503
    assert statuses[1] in (409, 503)
    assert not served.broker.published
    assert not served.jobs.keys
    logged_errors.clear()


@twisted_test()
async def test_without_the_keys_nothing_is_accepted(served: Served) -> None:
    served.jobs.reading.error = database_down()
    assert (await ask(served, "reprioritize")).status == 503
    assert not served.jobs.jobs


@twisted_test(20)
async def test_a_body_nested_deeply_is_refused_or_taken(served: Served) -> None:
    """Between what can be read and what can be hashed lies no fault."""
    headers = JSON | ZOE | KEY | {"Content-Type": "application/json"}
    for depth in [*range(100, 1000, 50), *range(880, 1000, 4)]:
        nested = "[" * depth + "]" * depth
        for name in ("x", "dry_run", "wait", "priority", "build_id"):
            body = f'{{"build_id": 11, "{name}": {nested}}}'.encode()
            answer = await served.ask("POST", BUILD, headers, body)
            assert answer.status in (202, 400, 422), (depth, name)
