"""Pages show as permitted what their user may do, and say why the rest is greyed."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser

import pytest

from buildapi.model.access import AccessPolicy, AccessRule, Actor
from buildapi.model.permissions import Permissions
from buildapi.web.http.page_permissions import OPEN, PagePermissions
from tests.reactor import twisted_test
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import HOSTILE
from tests.web.test_permissions import LEVEL1, RULES, SHERIFF, start

REVISION = "abcdef123456"
PAGES = (
    "/self-serve/try",
    f"/self-serve/try/rev/{REVISION}",
    "/self-serve/try/build/12",
    "/self-serve/try/request/21",
    "/self-serve/try/request/22",
    "/self-serve/try/new",
    "/pending",
    "/running",
)
REFUSED = " disabled data-refused title="


class Controls(HTMLParser):
    """The buttons and radio buttons of a page: their labels and why they are disabled, or ""."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attributes}
        if tag == "button" or named.get("type") in ("submit", "radio"):
            label = named.get("aria-label") or named.get("value", "")
            self.found[label] = named["title"] if "disabled" in named else ""


async def controls(served: Served, path: str, who: Mapping[str, str]) -> dict[str, str]:
    answer = await served.ask("GET", path, who)
    assert answer.status == 200
    return Controls(answer.text).found


@twisted_test()
async def test_the_audit_log_is_linked_for_whoever_may_read_it(serve: Serve) -> None:
    reader = AccessRule("readers", groups=("sheriffs",), actions=("read_audit",))
    served = start(serve, reader, AccessRule("level 1", groups=("level1",)))
    assert "/self-serve/audit" in (await served.ask("GET", "/pending", SHERIFF)).text
    assert "/self-serve/audit" not in (await served.ask("GET", "/pending", LEVEL1)).text


@pytest.mark.parametrize("path", PAGES)
@twisted_test()
async def test_without_rules_nothing_is_greyed(served: Served, path: str) -> None:
    page = (await served.ask("GET", path, ZOE)).text
    assert "data-refused" not in page
    assert "/self-serve/authorizations" not in page
    assert "/self-serve/audit" not in page


@pytest.mark.parametrize("path", PAGES)
@twisted_test()
async def test_no_page_of_one_user_is_that_of_another(serve: Serve, path: str) -> None:
    """Nor is it with other groups of the same user: kept and ready pages tell them apart."""
    served = start(serve, *RULES, cache_seconds=60)
    for _ in range(3):
        for who, refused in ((ZOE, True), (LEVEL1, False), (SHERIFF, False), ({}, False)):
            page = (await served.ask("GET", path, who)).text
            assert (REFUSED in page) == refused, who


@pytest.mark.parametrize("path", PAGES)
@twisted_test()
async def test_a_reload_of_the_rules_changes_the_next_page(serve: Serve, path: str) -> None:
    served = start(serve, *RULES, cache_seconds=60)
    for rules, refused in ((RULES, False), ((), True), (RULES, False)):
        served.access.adopt(AccessPolicy(tuple(rules), default_allow=False), {})
        for _ in range(3):
            assert (REFUSED in (await served.ask("GET", path, LEVEL1)).text) == refused


@twisted_test()
async def test_what_is_greyed_says_why(serve: Serve) -> None:
    rules = (AccessRule("rebuilds", actions=("rebuild_*",)), *RULES[:1])
    served = start(serve, *rules)
    found = await controls(served, f"/self-serve/try/rev/{REVISION}", ZOE)
    why = "on try: no rule permits it; needed: group sheriffs"
    assert found["rebuild Linux try build"] == found["rebuild"] == ""
    assert found["cancel build 12, Linux try build"] == f"You may not cancel builds {why}"
    assert found["cancel request 21, Linux try build"] == f"You may not cancel requests {why}"
    assert found["raise the priority of Linux try build"].startswith("You may not change")
    assert found["cancel"] == f"You may not cancel builds {why}"
    assert found["Build all"] == f"You may not submit new builds {why}"
    assert found["Cancel all …"] == f"You may not cancel revisions {why}"


@twisted_test()
async def test_buttons_of_rows_know_their_builder(serve: Serve) -> None:
    mac = AccessRule("mac", builders=("Mac*",))
    served = start(serve, mac)
    found = await controls(served, "/self-serve/try", ZOE)
    assert found["rebuild Linux try build"] == (
        "You may not rebuild builds on try: no rule permits it; nobody is permitted it"
    )
    assert found["cancel"] == ""  # of selected rows, which may be of other builders
    for path in ("/self-serve/try/build/12", "/self-serve/try/request/21"):
        found = await controls(served, path, ZOE)
        assert all(found[name] for name in found if name not in ("yes", "no", "")), found


@twisted_test()
async def test_the_form_for_new_builds_offers_what_is_permitted(serve: Serve) -> None:
    served = start(serve, AccessRule("pgo", actions=("*pgo*",)))
    found = await controls(served, "/self-serve/try/new", ZOE)
    assert {kind for kind in ("build", "pgo", "nightly", "builder") if not found[kind]} == {"pgo"}
    assert found["0"] == found["1"] == ""  # Submit and Preview
    page = (await served.ask("GET", "/self-serve/try/new", ZOE)).text
    assert " checked" not in page
    nothing = await controls(start(serve, RULES[0]), "/self-serve/try/new", ZOE)
    assert nothing["0"]
    assert nothing["1"]


def test_a_reason_is_escaped() -> None:
    rule = AccessRule(HOSTILE, deny=True)
    found = PagePermissions(Permissions(Actor("zoe"), AccessPolicy((rule,))))
    off = found.off("cancel_build", HOSTILE)
    assert "<" not in off
    assert off.count('"') == 2
    assert OPEN.off("cancel_build", HOSTILE) == ""


def test_a_page_of_all_branches_greys_what_is_permitted_on_none() -> None:
    levels = {"try": "scm_level_1"}
    rule = AccessRule("level 1", access=("scm_level_1",), actions=("rebuild_*",))
    found = PagePermissions(
        Permissions(Actor("zoe"), AccessPolicy((rule,), default_allow=False)), levels.get
    )
    assert found.refusal("rebuild_build") == found.refusal("rebuild_build", "try") == ""
    assert found.refusal("rebuild_build", "cedar")
    assert found.refusal("cancel_build").startswith("You may not cancel builds: no rule")
