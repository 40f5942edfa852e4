"""The search of the audit log: for whom, by what, and in pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from buildapi.model.access import AccessPolicy, AccessRule
from buildapi.model.audit import AuditActor, AuditOutcome, AuditSubject, Client
from tests.audits import AT
from tests.db.auditstore_contract import HASH, ODD, RECORD
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served

PATH = "/self-serve/audit"
HTML = {"Accept": "text/html"}
AUDITORS = AccessRule("auditors", users=("zoë@example.org",), actions=("read_audit",))


@pytest.fixture
def permitted(serve: Serve) -> Served:
    """Return a site where zoë reads the audit log, which has 250 records and an odd one."""
    served = serve()
    served.access.adopt(AccessPolicy((AUDITORS,)), {})
    records = [
        attrs.evolve(
            RECORD,
            identity=f"{n:032x}",
            at=AT + n,
            job_id=n,
            id=n,
            subject=AuditSubject("try", n, 1000 + n, f"{n:012x}"),
            client=Client(f"192.0.2.{n}", "127.0.0.1"),
            actor=AuditActor(f"user{n}@example.org", "token", (), n, "a bot"),
            outcome=AuditOutcome.REFUSED if n % 2 else AuditOutcome.ACCEPTED,
        )
        for n in range(1, 251)
    ]
    odd = attrs.evolve(RECORD, identity="f" * 32, id=251, detail=f"<script>{ODD}</script>")
    served.audit.stored += [*records, odd]
    return served


async def ids(served: Served, query: str) -> list[int]:
    answer = await served.ask("GET", f"{PATH}?{query}", JSON | ZOE)
    assert answer.status == 200, answer
    return [record["id"] for record in answer.json["records"]]


# --- for whom


@twisted_test()
async def test_without_a_rule_nobody_may_read_it(served: Served) -> None:
    for who in ({}, ZOE):
        answer = await served.ask("GET", PATH, JSON | who)
        assert (answer.status, answer.json["code"]) == (403, "access_denied")
    assert "may not read the audit log (read_audit)" in answer.json["msg"]
    assert served.audit.actions() == ["read_audit refused"] * 2


@pytest.mark.parametrize("actions", [("*",), ("cancel_build",), ()])
@twisted_test()
async def test_a_rule_must_name_it(served: Served, actions: tuple[str, ...]) -> None:
    served.access.adopt(AccessPolicy((AccessRule("all", actions=actions),)), {})
    assert (await served.ask("GET", PATH, JSON | ZOE)).status == 403


@twisted_test()
async def test_whom_a_rule_names_may_read_it_and_others_may_not(permitted: Served) -> None:
    assert (await permitted.ask("GET", PATH, JSON | ZOE)).status == 200
    other = await permitted.ask("GET", PATH, JSON | {"X-Remote-User": "mia"})
    assert (other.status, other.json["needed"]) == (403, "user zoë@example.org")


@twisted_test()
async def test_an_answer_for_one_user_is_never_that_of_another(permitted: Served) -> None:
    for headers in (JSON, HTML):
        for _ in range(3):
            assert (await permitted.ask("GET", PATH, headers | ZOE)).status == 200
            assert (await permitted.ask("GET", PATH, headers)).status == 403


# --- what


@twisted_test()
async def test_a_record_has_all_that_is_known(permitted: Served) -> None:
    answer = await permitted.ask("GET", f"{PATH}?num=1", JSON | ZOE)
    (record,) = answer.json["records"]
    wanted: Mapping[str, Any] = {
        "id": 251,
        "at": AT,
        "host": "h1",
        "who": "arla@example.org",
        "by": "token",
        "groups": ["sheriffs", "a,b"],
        "token": {"id": 7, "label": "nightly bot"},
        "address": "192.0.2.1",
        "peer": "127.0.0.1",
        "forwarded": "192.0.2.1",
        "user_agent": "curl/8.5",
        "action": "cancel_revision",
        "branch": "try",
        "build_id": 11,
        "request_id": 12,
        "revision": HASH[:12],
        "builders": ["Linux try build", "b,c"],
        "outcome": "refused",
        "status": 403,
        "code": "access_denied",
        "job_id": 4711,
        "detail": f"<script>{ODD}</script>",
        "trace": "4f2a",
        "count": 3,
    }
    assert record == wanted


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("who=user17@example.org", [17]),
        ("build_id=17", [17]),
        ("request_id=1017", [17]),
        (f"revision={17:012x}", [17]),
        ("job_id=17", [17]),
        ("token_id=17", [17]),
        ("address=192.0.2.17", [17]),
        (f"since={int(AT) + 245}&until={int(AT) + 248}", [247, 246, 245]),
        (f"since={int(AT) + 245}&until={int(AT) + 248}&outcome=accepted", [246]),
        ("branch=try&action=cancel_revision&num=2", [251, 250]),
        ("branch=mozilla-central", []),
        ("action=rebuild_build", []),
        ("before=3", [2, 1]),
    ],
)
@twisted_test()
async def test_a_search_finds_what_matches(permitted: Served, query: str, found: list[int]) -> None:
    assert await ids(permitted, query) == found


@pytest.mark.parametrize(
    "query", ["outcome=odd", "build_id=x", "num=0", "num=1001", "since=yesterday", "before=-1"]
)
@twisted_test()
async def test_a_wrong_parameter_is_refused(permitted: Served, query: str) -> None:
    answer = await permitted.ask("GET", f"{PATH}?{query}", JSON | ZOE)
    assert answer.status == 400
    assert answer.json["msg"].startswith(f"Bad {query.partition('=')[0]}")


@twisted_test()
async def test_pages_follow_one_another_to_the_end(permitted: Served) -> None:
    path: str | None = f"{PATH}?num=100&who="
    pages: list[list[int]] = []
    while path:
        answer = await permitted.ask("GET", path, JSON | ZOE)
        pages.append([record["id"] for record in answer.json["records"]])
        path = answer.json["next"]
    assert [len(page) for page in pages] == [100, 100, 51]
    assert [n for page in pages for n in page] == list(range(251, 0, -1))


# --- the page


@twisted_test()
async def test_the_page_shows_records_and_escapes_them(permitted: Served) -> None:
    answer = await permitted.ask("GET", f"{PATH}?num=2&branch=try", HTML | ZOE)
    assert answer.status == 200
    assert "<script>a " not in answer.text
    assert "&lt;script&gt;a " in answer.text
    assert "3 times" in answer.text
    assert 'name="branch" value="try"' in answer.text
    assert f"{PATH}?num=2&amp;branch=try&amp;before=250" in answer.text


@twisted_test()
async def test_an_empty_search_says_so(permitted: Served) -> None:
    answer = await permitted.ask("GET", f"{PATH}?who=nobody", HTML | ZOE)
    assert "No records match." in answer.text
