"""Job requests under access rules: who is refused what, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from msgspec.structs import replace

from buildapi.model.access import AccessRule
from buildapi.model.records import BuildDetails
from buildapi.model.steps import Sharer
from buildapi.model.token_scope import NO_LIMITS, TokenScope
from buildapi.web.http.token_auth import digest_of, new_token
from tests.reactor import twisted_test
from tests.web.batching import answered, entry
from tests.web.client import JSON, Answer
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import HOSTILE, NOW, RUNNING, RUNNING_BUILD, database_down
from tests.web.jobcases import ALL, each

GROUPS = "X-Groups"
ZOE_NAME = "zoë@example.org"
LEVEL1 = ZOE | {GROUPS: "level1"}
SHERIFF = {"X-Remote-User": "sue@example.org", GROUPS: "sheriffs,level1"}
BRANCHES: Mapping[str, Any] = {
    "try": {"repo": "https://hg.example.org/try", "access": "scm_level_1"},
    "cedar": {"repo": "https://hg.example.org/projects/cedar", "access": "scm_level_3"},
}
RULES = (
    AccessRule("sheriffs", groups=("sheriffs",)),
    AccessRule("level 1", groups=("level1",), access=("scm_level_1",)),
)
MISSING = "no rule permits it; needed: group sheriffs"


def start(serve: Serve, *rules: AccessRule, **settings: Any) -> Served:
    """Start a site with these rules, and nothing permitted without one."""
    served = serve(
        **{"groups_header": GROUPS, "rules": rules or RULES, "default_allow": False} | settings
    )
    served.directory.definitions = BRANCHES
    served.observer.directory.definitions = BRANCHES
    return served


async def send(served: Served, name: str, who: Mapping[str, str], query: str = "") -> Answer:
    method, path, fields = ALL[name]
    return await served.ask(method, path + query, JSON | dict(who), fields)


def check_nothing_done(served: Served) -> None:
    assert not served.jobs.adding.calls
    assert not served.jobs.keys
    assert not served.broker.failing.calls


@each
@twisted_test()
async def test_a_permitted_job_request_is_accepted(serve: Serve, name: str) -> None:
    for who in (LEVEL1, SHERIFF):
        answer = await send(start(serve), name, who)
        assert answer.status == 202, answer.body


@each
@pytest.mark.parametrize("query", ["", "?dry_run=1"])
@twisted_test()
async def test_a_refusal_names_action_branch_rule_and_what_is_needed(
    serve: Serve, name: str, query: str
) -> None:
    served = start(serve)
    answer = await send(served, name, ZOE, query)
    assert answer.status == 403
    assert set(answer.json) == {"status", "msg", "code", "rule", "needed"}
    assert (answer.json["status"], answer.json["code"]) == ("FAILED", "access_denied")
    assert (answer.json["rule"], answer.json["needed"]) == (None, "group sheriffs or level1")
    assert answer.json["msg"].startswith("zoë@example.org may not ")
    assert f"({name}) on try (scm_level_1): no rule permits it" in answer.json["msg"]
    assert "needed: group sheriffs or level1" in answer.json["msg"]
    check_nothing_done(served)


@each
@twisted_test()
async def test_a_rule_that_denies_is_named(serve: Serve, name: str) -> None:
    closed = AccessRule("tree closed", deny=True, actions=(name,), branches=("try",))
    served = start(serve, closed, default_allow=True)
    for other in ALL:
        answer = await send(served, other, ZOE)
        assert answer.status == (403 if other == name else 202)
        if other == name:
            assert (answer.json["rule"], answer.json["needed"]) == ("tree closed", "")
            assert "refused by tree closed; nobody is permitted it" in answer.json["msg"]


@twisted_test()
async def test_what_does_not_exist_is_not_found_before_it_is_refused(serve: Serve) -> None:
    served = start(serve)
    for path in ("/self-serve/nope/build/12", "/self-serve/try/build/999"):
        assert (await served.ask("DELETE", path, JSON | ZOE)).status == 404


@each
@twisted_test()
async def test_without_rules_nothing_more_is_read(serve: Serve, name: str) -> None:
    """The rules of others cost nothing either: what is settled for a user needs no facts."""
    plain, ruled = serve(), start(serve)
    plain.directory.definitions = BRANCHES
    for served, who in ((plain, ZOE), (ruled, SHERIFF)):
        assert (await send(served, name, who)).status == 202
        assert not served.observer.failing.calls
    assert plain.builds.failing.calls == ruled.builds.failing.calls
    assert len(plain.builds.failing.calls) <= 1


@twisted_test()
async def test_a_priority_and_a_count_are_bounded_by_rules(serve: Serve) -> None:
    rule = AccessRule("some", actions=("re*",), priorities=(0, 5), count=3)
    served = start(serve, rule)
    path = "/self-serve/try/build"
    for fields, status in (
        ({}, 202),
        ({"priority": 5, "count": 3}, 202),
        ({"priority": 6}, 403),
        ({"count": 4}, 403),
        ({"priority": -1}, 403),
    ):
        answer = await served.ask("POST", path, JSON | ZOE, {"build_id": 11} | fields)
        assert answer.status == status, fields


# --- items of batches and selections


@twisted_test()
async def test_each_entry_of_a_batch_is_asked_about(serve: Serve) -> None:
    served = start(serve, AccessRule("rebuilds", actions=("rebuild_*",)))
    names = ["rebuild_build", "cancel_build", "rebuild_request", "new_build_at_revision"]
    answers = await answered(served, [entry(name) for name in names])
    assert [one["status"] for one in answers] == [202, 403, 202, 403]
    assert [one["body"].get("rule", "") for one in answers] == ["", None, "", None]
    assert [job.action for job in served.jobs.jobs.values()] == [names[0], names[2]]


@twisted_test()
async def test_each_selected_row_is_asked_about(serve: Serve) -> None:
    served = start(serve, AccessRule("builds", actions=("*_build",)))
    form = ZOE | {"Content-Type": "application/x-www-form-urlencoded"}
    body = b"item=try/build/12&item=try/request/21&act=cancel"
    asked = await served.ask("POST", "/self-serve/selection", form, body)
    assert asked.status == 200
    assert "may not cancel requests (cancel_request) on try" in asked.text
    done = await served.ask("POST", "/self-serve/selection", form | JSON, body)
    assert [one["status"] for one in done.json] == [202, 403]
    assert [job.action for job in served.jobs.jobs.values()] == ["cancel_build"]


@twisted_test()
async def test_the_form_for_new_builds_is_asked_about(serve: Serve) -> None:
    served = start(serve, AccessRule("pgo", actions=("*pgo*",)))
    revision = "abcdef123456"
    for kind, status in (("pgo", 202), ("nightly", 403), ("build", 403)):
        body = {"kind": kind, "revision": revision}
        answer = await served.ask("POST", "/self-serve/try/new", ZOE | JSON, body)
        assert answer.status == status


@twisted_test()
async def test_a_repetition_is_answered_although_a_rule_came_in_between(serve: Serve) -> None:
    """Nothing is done again: the answer says what was accepted before."""
    served = start(serve)
    key = {"Idempotency-Key": "night"}
    first = await send(served, "rebuild_build", LEVEL1 | key)
    again = await send(served, "rebuild_build", ZOE | key)
    assert (first.status, again.status) == (202, 202)
    assert first.json["request_id"] == again.json["request_id"]
    assert len(served.jobs.jobs) == 1


# --- builders


@twisted_test()
async def test_the_builder_of_a_build_is_asked_about_without_more_reads(serve: Serve) -> None:
    for builder, status in (("Linux*", 202), ("Mac*", 403)):
        served = start(serve, AccessRule("some", builders=(builder,), access=("*",)))
        answer = await send(served, "reprioritize", ZOE)
        assert answer.status == status
        assert not served.observer.failing.calls


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 403), ("?builder=Linux*", 202), ("?builder=Mac*", 403), ("?only=running", 202)],
)
@twisted_test()
async def test_the_cancel_of_a_revision_is_about_the_builders_that_it_means(
    serve: Serve, query: str, status: int
) -> None:
    served = start(serve, AccessRule("linux", builders=("Linux*",)))
    pending = served.builds.requests[21]
    mac = replace(pending.request, buildername="Mac try build")
    served.builds.requests[21] = attrs.evolve(pending, request=mac)
    answer = await send(served, "cancel_revision", ZOE, query)
    assert answer.status == status, answer.body


@twisted_test()
async def test_rules_for_two_builders_permit_the_cancel_of_both(serve: Serve) -> None:
    rules = [AccessRule(name, builders=(f"{name}*",)) for name in ("Linux", "Mac")]
    served = start(serve, *rules)
    assert (await send(served, "cancel_revision", ZOE)).status == 202


# --- builds that serve others

SHARERS = [
    Sharer(22, "try", "abcdef123456"),
    Sharer(77, "projects/cedar", "0123", "mo@example.org"),
]


def shared(serve: Serve, *rules: AccessRule, **settings: Any) -> Served:
    served = start(serve, *rules, **settings)
    served.observer.sharers = SHARERS
    # The request of build 12 has the same row in both lists of this farm.
    served.builds.builds[12] = BuildDetails(RUNNING_BUILD, [{}])
    assert RUNNING_BUILD.requests == [RUNNING]
    return served


SHARED = {
    "cancel_build": ("DELETE", "/self-serve/try/build/12", {}),
    "cancel_request": ("DELETE", "/self-serve/try/request/22", {}),
    "rebuild_build": ("POST", "/self-serve/try/build", {"build_id": 12}),
    "rebuild_request": ("POST", "/self-serve/try/request", {"request_id": 22}),
    "cancel_revision": ALL["cancel_revision"],
}


@pytest.mark.parametrize("name", SHARED)
@twisted_test()
async def test_a_build_that_serves_another_branch_needs_the_permission_there(
    serve: Serve, name: str
) -> None:
    served, (method, path, fields) = shared(serve), SHARED[name]
    refused = await served.ask(method, path, JSON | LEVEL1, fields)
    assert refused.status == 403
    assert (refused.json["rule"], refused.json["needed"]) == (None, "group sheriffs")
    assert (
        f"({name}) on cedar (scm_level_3), whose request 77 has the same build: {MISSING}"
        in refused.json["msg"]
    )
    check_nothing_done(served)
    assert (await served.ask(method, path, JSON | SHERIFF, fields)).status == 202


@twisted_test()
async def test_a_build_shared_within_the_branch_needs_nothing_more(serve: Serve) -> None:
    served = shared(serve)
    served.observer.sharers = [SHARERS[0], Sharer(23, "try-linux", "fedcba")]
    assert (await served.ask("DELETE", "/self-serve/try/build/12", JSON | LEVEL1)).status == 202


@pytest.mark.parametrize("stored", ["elsewhere", None])
@twisted_test()
async def test_a_shared_build_of_no_known_branch_is_asked_about_by_its_stored_name(
    serve: Serve, stored: str | None
) -> None:
    rules = [AccessRule("try", branches=("try",)), AccessRule("rest", branches=("else*",))]
    served = shared(serve, *rules)
    served.observer.sharers = [SHARERS[0], Sharer(77, stored, None)]
    answer = await served.ask("DELETE", "/self-serve/try/build/12", JSON | LEVEL1)
    assert answer.status == (202 if stored else 403)


@twisted_test()
async def test_what_decides_and_cannot_be_read_refuses_for_now(serve: Serve) -> None:
    served = shared(serve)
    served.observer.failing.error = database_down()
    answer = await served.ask("DELETE", "/self-serve/try/build/12", JSON | LEVEL1)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    check_nothing_done(served)
    # Whatever it shares, a sheriff may: nothing is read.
    assert (await served.ask("DELETE", "/self-serve/try/build/12", JSON | SHERIFF)).status == 202


@twisted_test()
async def test_entries_of_a_batch_are_refused_alone_for_the_builds_they_share(
    serve: Serve,
) -> None:
    served = shared(serve)
    entries = [
        {"method": "DELETE", "path": "/self-serve/try/build/12"},
        {"method": "DELETE", "path": "/self-serve/try/request/21"},
    ]
    answers = await answered(served, entries, LEVEL1)
    assert [one["status"] for one in answers] == [403, 202]


# --- tokens


async def token_of_zoe(served: Served, scope: TokenScope) -> dict[str, str]:
    text = new_token()
    await served.tokens.add(ZOE_NAME, "night", digest_of(text), NOW, NOW + 86400, scope=scope)
    return {"Authorization": f"Bearer {text}"}


@twisted_test()
async def test_the_scope_of_a_token_narrows_what_its_user_may(serve: Serve) -> None:
    for served in (serve(), start(serve, AccessRule("all"))):
        bearer = await token_of_zoe(served, TokenScope(actions=("rebuild_*",)))
        assert (await send(served, "rebuild_build", bearer)).status == 202
        refused = await send(served, "cancel_build", bearer)
        assert refused.status == 403
        assert refused.json["rule"] == f"the scope of token {ZOE_NAME}/night"
        assert "its actions are rebuild_*" in refused.json["needed"]
        assert (await send(served, "cancel_build", ZOE)).status == 202


@twisted_test()
async def test_a_scope_gives_no_permission_that_its_user_lacks(serve: Serve) -> None:
    served = start(serve)
    bearer = await token_of_zoe(served, TokenScope(actions=("*",), branches=("*",)))
    assert (await send(served, "rebuild_build", bearer)).json["rule"] is None


@twisted_test()
async def test_a_rule_can_be_about_a_token(serve: Serve) -> None:
    served = start(serve, AccessRule("bot", tokens=(f"{ZOE_NAME}/night",)))
    bearer = await token_of_zoe(served, NO_LIMITS)
    assert (await send(served, "rebuild_build", bearer)).status == 202
    assert (await send(served, "rebuild_build", ZOE)).status == 403


# --- what may I do


async def authorizations(served: Served, who: Mapping[str, str]) -> Any:
    answer = await served.ask("GET", "/self-serve/authorizations", JSON | dict(who))
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    return answer.json


@twisted_test()
async def test_without_rules_every_user_may_do_everything_everywhere(serve: Serve) -> None:
    found = await authorizations(serve(), ZOE)
    assert (found["who"], found["groups"], found["token"]) == (ZOE_NAME, [], None)
    assert set(found["branches"]) == {"try", HOSTILE, "a/b"}
    for branch in found["branches"].values():
        assert set(branch["actions"]) == set(ALL)
        for one in branch["actions"].values():
            assert one == {"allowed": "yes", "rule": None, "needed": ""}
    assert {one["allowed"] for one in found["administration"].values()} == {"no"}


@twisted_test()
async def test_nobody_may_do_nothing(serve: Serve) -> None:
    for served in (serve(), start(serve)):
        found = await authorizations(served, {})
        assert found["who"] is None
        allowed = {
            one["allowed"] for b in found["branches"].values() for one in b["actions"].values()
        }
        assert allowed == {"no"}


@twisted_test()
async def test_each_branch_and_action_has_its_rule(serve: Serve) -> None:
    few = AccessRule("few", groups=("level1",), branches=("cedar",), builders=("Linux*",), count=2)
    audit = AccessRule("audit", groups=("level1",), actions=("read_audit",))
    found = await authorizations(start(serve, *RULES, few, audit), LEVEL1)
    assert found["groups"] == ["level1"]
    on_try, on_cedar = found["branches"]["try"], found["branches"]["cedar"]
    assert (on_try["access"], on_cedar["access"]) == ("scm_level_1", "scm_level_3")
    permitted = {"allowed": "yes", "rule": "level 1", "needed": ""}
    assert on_try["actions"]["cancel_revision"] == permitted
    assert on_cedar["actions"]["rebuild_build"] == {
        "allowed": "partly",
        "rule": "few",
        "needed": "group sheriffs",
        "rules": [
            {"rule": "few", "effect": "allow", "builders": ["Linux*"], "count": 2},
            {"rule": None, "effect": "deny"},
        ],
    }
    assert on_cedar["actions"]["new_build_at_revision"] == {
        "allowed": "no",
        "rule": None,
        "needed": "group sheriffs",
    }
    assert found["administration"]["read_audit"]["rule"] == "audit"
    assert found["administration"]["manage_tokens"]["allowed"] == "no"


@twisted_test()
async def test_a_token_is_told_what_it_may_do_itself(serve: Serve) -> None:
    served = serve()
    bearer = await token_of_zoe(served, TokenScope(branches=("try",)))
    found = await authorizations(served, bearer)
    assert found["token"] == f"{ZOE_NAME}/night"
    assert found["branches"]["try"]["actions"]["cancel_build"]["allowed"] == "yes"
    other = found["branches"]["a/b"]["actions"]["cancel_build"]
    assert (other["allowed"], other["rule"]) == ("no", f"the scope of token {ZOE_NAME}/night")


@twisted_test()
async def test_without_the_branches_file_the_rest_is_told(serve: Serve) -> None:
    served = start(serve)
    served.directory.missing = "no branches yet"
    assert (await authorizations(served, ZOE))["branches"] == {}
    page = await served.ask("GET", "/self-serve/authorizations", ZOE)
    assert (page.status, "no branches yet" in page.text) == (200, True)


@twisted_test()
async def test_the_page_of_permissions_says_the_same(serve: Serve) -> None:
    few = AccessRule("few", groups=("level1",), branches=("cedar",), priorities=(0, 5), count=2)
    served = start(serve, *RULES, few)
    page = (await served.ask("GET", "/self-serve/authorizations", LEVEL1)).text
    assert "Groups: level1." in page
    assert "allow by few (priority 0 to 5; at most 2 builds); deny by the default" in page
    assert "cedar (scm_level_3)" in page
    assert 'aria-current="page">permissions</a>' in page
    assert "Log in to see" in (await served.ask("GET", "/self-serve/authorizations")).text
