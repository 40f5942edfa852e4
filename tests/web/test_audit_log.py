"""What is asked for, refused and changed over HTTP is in the audit log."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from buildapi.errors import BrokerUnavailable
from buildapi.model.access import AccessPolicy
from buildapi.model.audit import AuditActor, AuditOutcome, AuditRecord, AuditSubject
from tests.reactor import twisted_test, until
from tests.web.batching import BATCH, HEADERS
from tests.web.client import JSON
from tests.web.conftest import TOKENS, ZOE, Serve, Served
from tests.web.jobcases import BUILDER, REVISION

BRANCH = "/self-serve/try"
CANCEL = f"{BRANCH}/build/12"
WHO = "zoë@example.org"
HOW = {"User-Agent": "curl/8.5", "X-Forwarded-For": "198.51.100.7", "X-Request-Id": "rid-1"}
TOKEN = "bapi_" + "x" * 43


def only(served: Served) -> AuditRecord:
    (record,) = served.audit.stored
    return record


async def token_of(served: Served) -> str:
    form = {"label": "a bot", "csrf_token": TOKENS.of(WHO)}
    made = await served.ask("POST", "/self-serve/tokens", {**JSON, **ZOE}, form)
    assert made.status == 201, made
    return str(made.json["token"])


# --- job requests


@twisted_test()
async def test_an_accepted_job_request_is_recorded_with_who_and_what(served: Served) -> None:
    answer = await served.ask("DELETE", CANCEL, JSON | ZOE | HOW)
    assert answer.status == 202
    record = only(served)
    assert (record.action, record.outcome) == ("cancel_build", AuditOutcome.ACCEPTED)
    assert record.job_id == answer.json["request_id"]
    assert record.actor == AuditActor(WHO, "proxy")
    client = record.client
    assert (client.address, client.peer) == ("198.51.100.7", "127.0.0.1")
    assert (client.forwarded, client.user_agent) == ("198.51.100.7", "curl/8.5")
    assert (record.subject, record.trace) == (AuditSubject("try", 12), "rid-1")


@twisted_test()
async def test_values_of_properties_are_not_recorded(served: Served) -> None:
    body = {"properties": {"password": "hunter2"}, "files": ["http://h/hunter2"]}
    answer = await served.ask("POST", BUILDER, HEADERS, json.dumps(body).encode())
    assert answer.status == 202, answer
    record = only(served)
    assert record.action == "new_build_for_builder"
    subject = AuditSubject("try", revision=REVISION, builders=("Linux try talos/tp5",))
    assert record.subject == subject
    assert "hunter2" not in repr(record)


@twisted_test()
async def test_a_job_request_that_could_not_be_sent_is_a_failure(
    served: Served, logged_errors: list[Any]
) -> None:
    served.broker.failing.error = BrokerUnavailable("away")
    answer = await served.ask("DELETE", CANCEL, JSON | ZOE)
    assert answer.status == 503
    logged_errors.clear()  # that it was not sent
    record = only(served)
    assert (record.outcome, record.status) == (AuditOutcome.FAILED, 503)
    assert (record.code, record.job_id) == ("broker_unavailable", answer.json["request_id"])


@twisted_test()
async def test_a_repeated_request_is_recorded_with_the_same_job(served: Served) -> None:
    for _ in range(2):
        assert (
            await served.ask("DELETE", CANCEL, JSON | ZOE | {"Idempotency-Key": "k"})
        ).status == 202
    first, second = served.audit.stored
    assert first.job_id == second.job_id
    assert (first.detail, second.detail) == ("", "answered again: the same Idempotency-Key")


@twisted_test()
async def test_each_entry_of_a_batch_is_recorded(served: Served) -> None:
    entries: list[dict[str, Any]] = [
        {"method": "DELETE", "path": CANCEL},
        {"method": "DELETE", "path": "/no/such"},
        {"path": f"{BRANCH}/build", "body": {"build_id": 12}},
    ]
    answer = await served.ask("POST", BATCH, HEADERS, json.dumps(entries).encode())
    assert [one["status"] for one in answer.json] == [202, 404, 202]
    assert served.audit.actions() == ["cancel_build accepted", "rebuild_build accepted"]


@twisted_test()
async def test_previews_and_reads_are_not_recorded(served: Served) -> None:
    assert (await served.ask("DELETE", f"{CANCEL}?dry_run=1", JSON | ZOE)).status == 200
    assert (await served.ask("GET", CANCEL, JSON | ZOE)).status == 200
    assert (await served.ask("DELETE", f"{BRANCH}/build/99999", JSON | ZOE)).status == 404
    assert (await served.ask("POST", f"{BRANCH}/build", JSON | ZOE)).status == 400
    assert served.audit.stored == []


# --- refusals


@twisted_test()
async def test_a_change_without_a_user_is_recorded(served: Served) -> None:
    assert (await served.ask("DELETE", CANCEL, JSON | HOW)).status == 403
    record = only(served)
    assert (record.action, record.outcome) == ("cancel_build", AuditOutcome.REFUSED)
    assert (record.status, record.code) == (403, "access_denied")
    assert (record.actor, record.subject) == (AuditActor(), AuditSubject("try", 12))
    assert (record.client.address, record.trace) == ("198.51.100.7", "rid-1")


@twisted_test()
async def test_a_page_of_another_site_is_recorded_with_the_user_it_would_be(
    served: Served,
) -> None:
    foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert (await served.ask("DELETE", CANCEL, JSON | ZOE | foreign)).status == 403
    assert only(served).actor == AuditActor(WHO, "proxy")


@pytest.mark.parametrize("value", [f"Bearer {TOKEN}", "Bearer nothing"])
@twisted_test()
async def test_a_bad_token_is_recorded_without_its_text(served: Served, value: str) -> None:
    path = f"{CANCEL}?token={TOKEN}"
    answer = await served.ask("DELETE", path, JSON | ZOE | {"Authorization": value})
    assert answer.status == 401
    record = only(served)
    assert (record.status, record.code) == (401, "bad_token")
    assert record.actor == AuditActor()
    assert "xxx" not in repr(record)


@twisted_test()
async def test_a_refused_read_is_recorded_by_its_route(serve: Serve) -> None:
    served = serve(reads_free=False)
    assert (await served.ask("GET", CANCEL, JSON)).status == 403
    assert only(served).action == "GET /self-serve/{branch}/build/{build_id}"


@twisted_test()
async def test_too_many_builds_are_recorded_with_what_was_asked_for(serve: Serve) -> None:
    served = serve(builds_per_request=1)
    answer = await served.ask("POST", f"{BRANCH}/build", JSON | ZOE, {"build_id": 12, "count": 2})
    assert answer.status == 429
    record = only(served)
    assert (record.action, record.code) == ("rebuild_build", "too_many_builds")
    assert record.subject == AuditSubject("try", 12)


@twisted_test()
async def test_what_no_rule_permits_is_recorded_with_what_was_asked_for(served: Served) -> None:
    served.access.adopt(AccessPolicy(default_allow=False), {})
    rebuild = {"path": f"{BRANCH}/build", "body": {"build_id": 12}}
    answer = await served.ask("POST", f"{BRANCH}/build", JSON | ZOE, {"build_id": 12})
    assert answer.status == 403
    answer = await served.ask("POST", BATCH, HEADERS, json.dumps([rebuild]).encode())
    assert [one["status"] for one in answer.json] == [403]
    for record in served.audit.stored:
        assert (record.action, record.status) == ("rebuild_build", 403)
        assert (record.subject, record.actor.who) == (AuditSubject("try", 12), WHO)
    assert served.audit.actions() == ["rebuild_build refused"] * 2


@twisted_test()
async def test_other_errors_are_no_refusals(served: Served) -> None:
    for path in ("/nothing", "/self-serve/try/build/0"):
        await served.ask("GET", path, JSON)
    await served.ask("DELETE", "/self-serve/jobs", JSON | ZOE)
    assert served.audit.stored == []


# --- tokens


@twisted_test()
async def test_the_life_of_a_token_is_recorded_and_never_its_text(served: Served) -> None:
    text = await token_of(served)
    showing = JSON | {"Authorization": f"Bearer {text}"}
    assert (await served.ask("GET", "/self-serve/whoami", showing)).status == 200
    await until(lambda: len(served.audit.stored) == 2)
    assert (await served.ask("DELETE", "/self-serve/tokens/1", JSON | ZOE)).status == 200
    assert served.audit.actions() == ["create_token done", "use_token done", "revoke_token done"]
    made, used, _ = served.audit.stored
    assert made.actor == AuditActor(WHO, "proxy", (), 1, "a bot")
    assert used.actor == AuditActor(WHO, "token", (), 1, "a bot")
    assert used.client.address == "127.0.0.1"
    assert {record.actor.token_id for record in served.audit.stored} == {1}
    assert text not in repr(served.audit.stored)


@twisted_test()
async def test_a_job_request_by_a_token_names_it(served: Served) -> None:
    text = await token_of(served)
    answer = await served.ask("DELETE", CANCEL, JSON | {"Authorization": f"Bearer {text}"})
    assert answer.status == 202
    record = served.audit.stored[-1]
    if record.action != "cancel_build":  # the first use may be recorded after it
        record = served.audit.stored[-2]
    assert attrs.evolve(record.actor, groups=()) == AuditActor(WHO, "token", (), 1, "a bot")


def test_the_names_of_job_routes_are_those_of_actions(served: Served) -> None:
    from buildapi.model.actions import ACTIONS

    named: dict[str, Any] = {r.action: r for r in served.routes if r.job and r.action}
    assert set(named) == set(ACTIONS)
