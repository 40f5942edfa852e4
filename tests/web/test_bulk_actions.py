"""Acting once on what was selected on a page."""

from __future__ import annotations

import pytest

from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served
from tests.web.forms import Forms
from tests.web.test_permissions import LEVEL1, MISSING, RULES, SHERIFF, start

PATH = "/self-serve/selection"
BUILD, REQUEST = "try/build/12", "try/request/21"


def body(*items: str, **fields: str) -> bytes:
    parts = [f"item={item}" for item in items] + [f"{k}={v}" for k, v in fields.items()]
    return "&".join(parts).encode()


FORM = ZOE | {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("fields", "actions"),
    [
        ({"act": "cancel"}, ["cancel_build", "cancel_request"]),
        ({"act": "rebuild", "count": "3"}, ["rebuild_build", "rebuild_request"]),
    ],
)
@twisted_test()
async def test_each_thing_gets_a_job_of_its_own(
    served: Served, fields: dict[str, str], actions: list[str]
) -> None:
    answer = await served.ask("POST", PATH, FORM | JSON, body(BUILD, REQUEST, BUILD, **fields))
    assert [one["status"] for one in answer.json] == [202, 202]
    assert [job.action for job in served.jobs.jobs.values()] == actions
    assert [one["item"] for one in answer.json] == [f"/self-serve/{i}" for i in (BUILD, REQUEST)]
    ids = [one["body"]["request_id"] for one in answer.json]
    assert ids == list(served.jobs.jobs)
    if "count" in fields:
        assert {job.what["count"] for job in served.jobs.jobs.values()} == {3}


@twisted_test()
async def test_a_page_asks_before_it_cancels_and_then_tells(served: Served) -> None:
    asked = await served.ask("POST", PATH, FORM, body(BUILD, REQUEST, act="cancel"))
    assert asked.status == 200
    assert "can only be rebuilt from the start" in asked.text
    assert not served.jobs.jobs
    ((action, fields),) = Forms(asked.text).posting()
    assert (action, fields["act"], fields["confirm"]) == (PATH, "cancel", "1")
    told = await served.ask("POST", action, FORM, body(BUILD, REQUEST, act="cancel", confirm="1"))
    assert told.status == 200
    for id_ in (1, 2):
        assert f'href="/self-serve/jobs/{id_}"' in told.text


@twisted_test()
async def test_a_question_names_builder_and_revision_of_each_thing(served: Served) -> None:
    """Name build or request id, builder and revision, and say the act on the button."""
    unknown = "try/build/999"
    asked = await served.ask("POST", PATH, FORM, body(BUILD, REQUEST, unknown, act="cancel"))
    for name, path in (("build 12", BUILD), ("request 21", REQUEST)):
        found = (await served.ask("GET", f"/self-serve/{path}", JSON)).json
        about = f"{found['buildername']} at {found['revision'][:12]}"
        assert f"{name} on try: {about}" in asked.text
    assert "build 999 on try<" in asked.text
    assert "Cancel 2 builds and 1 request?" in asked.text
    assert 'value="Cancel selected"' in asked.text
    one = await served.ask("POST", PATH, FORM, body(REQUEST, act="cancel"))
    assert "Cancel request 21?" in one.text
    assert 'value="Cancel request 21"' in one.text
    assert "Keep it" in one.text


@twisted_test()
async def test_what_is_refused_says_so_and_the_rest_is_done(served: Served) -> None:
    data = body("try/build/999", "nope/build/12", REQUEST, act="cancel")
    answer = await served.ask("POST", PATH, FORM | JSON, data)
    assert [one["status"] for one in answer.json] == [404, 404, 202]
    page = await served.ask("POST", PATH, FORM, body("try/build/999", act="rebuild"))
    assert "Build 999 not found on branch try" in page.text


@twisted_test()
async def test_a_priority_is_for_pending_requests(served: Served) -> None:
    data = body(REQUEST, act="priority", priority="7")
    answer = await served.ask("POST", PATH, FORM | JSON, data)
    assert [one["status"] for one in answer.json] == [202]
    assert served.jobs.jobs[1].what == {"brid": 21, "priority": 7}
    refused = await served.ask("POST", PATH, FORM | JSON, body(BUILD, act="priority", priority="7"))
    assert refused.status == 400
    assert "build 12 on try" in refused.json["msg"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (body(act="cancel"), "no build or request is selected"),
        (body("try/build", act="cancel"), "Bad item"),
        (body("try/jobs/1", act="cancel"), "Bad item"),
        (body("a/b/build/1", act="cancel"), "Bad item"),
        (body(BUILD, act="explode"), "allowed are cancel, rebuild, priority"),
        (body(BUILD), "Bad act"),
        (body(*(f"try/build/{n}" for n in range(501)), act="cancel"), "501 (max 500)"),
    ],
)
@twisted_test()
async def test_what_makes_no_sense_is_refused_whole(serve: Serve, data: bytes, words: str) -> None:
    served = serve(max_body=65536)
    answer = await served.ask("POST", PATH, FORM | JSON, data)
    assert answer.status == 400
    assert words in answer.json["msg"]
    assert not served.jobs.jobs


@twisted_test()
async def test_nobody_may(served: Served) -> None:
    headers = JSON | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await served.ask("POST", PATH, headers, body(BUILD, act="cancel"))
    assert answer.status == 403


@twisted_test()
async def test_a_branch_may_have_a_slash_in_its_name(served: Served) -> None:
    answer = await served.ask("POST", PATH, FORM | JSON, b"item=a%252Fb/build/12&act=cancel")
    assert answer.json[0]["body"]["msg"] == "Build 12 not found on branch a/b"


@pytest.mark.parametrize("act", ["rebuild", "priority", "cancel"])
@pytest.mark.parametrize("confirm", ["0", "1"])
@twisted_test()
async def test_a_preview_is_only_for_who_may_send_and_from_our_own_pages(
    served: Served, act: str, confirm: str
) -> None:
    """It reads as much as the act does, and names builds and requests."""
    data = body(REQUEST, act=act, confirm=confirm, priority="3")
    foreign = {"Origin": "https://evil.example.org", "Sec-Fetch-Site": "cross-site"}
    kind = {"Content-Type": FORM["Content-Type"]}
    for headers in (kind, FORM | foreign, kind | {"Authorization": "Bearer bapi_unknown"}):
        answer = await served.ask("POST", PATH, headers, data)
        assert answer.status in (401, 403), headers
        assert "Linux" not in answer.text
    assert not served.jobs.jobs


@twisted_test()
async def test_a_preview_says_what_is_refused_and_records_nothing(serve: Serve) -> None:
    served = start(serve, *RULES)
    for who, refused in ((ZOE, 2), (LEVEL1, 0), (SHERIFF, 0)):
        data = body(BUILD, REQUEST, act="rebuild", confirm="0")
        asked = await served.ask("POST", PATH, FORM | who, data)
        assert asked.status == 200
        assert asked.text.count(MISSING) == refused, who
    assert not served.jobs.jobs
    assert not served.broker.failing.calls
    done = await served.ask("POST", PATH, FORM | JSON, body(BUILD, act="rebuild", confirm="0"))
    assert [one["status"] for one in done.json] == [403], "programs are not asked, and refused"
