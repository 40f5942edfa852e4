"""Every page there is: add a line to PAGES and it is looked at by all tests of pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import attrs
from playwright.sync_api import Page, Response

from buildapi.model.results import FAILURE
from tests.browser.service import BRANCH, day_of_rows, days, submit
from tests.e2e.service import Client, Service

# Sends the form of a page as it is without scripts, with what its button would add.
SEND = """(form, [name, value]) => {
    const field = document.createElement("input");
    Object.assign(field, {type: "hidden", name, value});
    form.append(field);
    HTMLFormElement.prototype.submit.call(form);
}"""


@attrs.frozen
class Places:
    """Things of a farm that have pages."""

    branch: str
    day: str
    build: int
    failed_build: int
    request: int
    revision: str
    failed: str
    builder: str
    user: str
    job: int
    slave: str

    @classmethod
    def of(cls, service: Service) -> Places:
        """Choose some; requests and a job request are made, so that there are some."""
        client = service.client
        day, items = day_of_rows(client)
        build = next(i for i in items if i.get("status") == 0)
        waiting = submit(service, 3)[0]
        request = f"/self-serve/{BRANCH}/request/{waiting}"
        return cls(
            branch=BRANCH,
            day=day,
            build=build["build_id"],
            failed_build=_failed_build(client),
            request=waiting,
            revision=build["revision"],
            failed=_failed(client),
            builder=build["buildername"],
            user=_author(client),
            job=client.done(client.put(request, priority=1))["id"],
            slave=client.get("/recent").body[0]["slavename"],
        )

    def path(self, template: str) -> str:
        """Fill in a path."""
        values = attrs.asdict(self)
        return template.format_map({k: quote(str(v), safe="") for k, v in values.items()})


def _failed(client: Client) -> str:
    """Find a revision of which a builder failed, and nothing else became of that builder."""
    # Of any day: after midnight, or on a small farm, today's has few.
    items = [i for day in days() for i in client.get(f"/self-serve/{BRANCH}?date={day}").body]
    others = {(i["revision"], i["buildername"]) for i in items if i.get("status") != FAILURE}
    failed = [i for i in items if i.get("status") == FAILURE]
    return next(i["revision"] for i in failed if (i["revision"], i["buildername"]) not in others)


def _failed_build(client: Client) -> int:
    """Find a build that failed."""
    for day in days():
        for item in client.get(f"/self-serve/{BRANCH}?date={day}").body:
            if item.get("status") == FAILURE:
                return int(item["build_id"])
    raise AssertionError("nothing failed")


def _author(client: Client) -> str:
    """Find somebody who has builds."""
    pushes: Mapping[str, Any] = client.get("/pushes").body
    for name in pushes:
        found = client.get(f"/self-serve/{BRANCH}/user/{quote(name, safe='')}")
        if found.status == 200 and found.body["builds"]:
            return name
    raise AssertionError("nobody has builds")


def _cancel_all(page: Page) -> None:
    page.locator("input[type=submit][value^='Cancel all']").click()


def _show_plan(page: Page) -> None:
    page.locator("button[name=dry_run][value='1']").click()


def _ask_for_builder(page: Page) -> None:
    page.locator("input[name=kind][value=builder]").check()
    page.locator("#properties").fill('{"note": "<b>ü</b>"}')
    _show_plan(page)


def _question(page: Page) -> None:
    for box in page.locator("input[name=item]").all()[:3]:
        box.check()
    page.locator("form#selection").evaluate(SEND, ["act", "cancel"])


def _rebuild_failed(page: Page) -> None:
    page.locator("#rebuild-failed input[type=submit]").click()


def _selected(page: Page) -> None:
    for box in page.locator("tr[data-kind=request] input[name=item]").all()[:2]:
        box.check()
    page.locator("form#selection").evaluate(SEND, ["act", "priority"])


def _make_token(page: Page) -> None:
    page.locator("#label").fill("<b>nightly bot</b> \u00fc")
    page.locator("main input[type=submit]").first.click()


@attrs.frozen
class Place:
    """A page: its path, what is done there to come to the page meant, and its status.

    ``drawn`` is a selector of what scripts put there.
    """

    path: str
    act: Callable[[Page], None] | None = None
    status: int = 200
    drawn: str = ""

    def visit(self, page: Page, places: Places) -> Response:
        """Go there; give the answer that is the page."""
        response = page.goto(places.path(self.path))
        if self.act is not None:
            with page.expect_navigation() as navigation:
                self.act(page)
            response = navigation.value
        assert response is not None
        assert response.status == self.status, response.text()[:2000]
        if self.drawn:
            page.locator(self.drawn).first.wait_for()
        return response


_BRANCH = "/self-serve/{branch}"

PAGES: Mapping[str, Place] = {
    "home": Place("/"),
    "self-serve": Place("/self-serve"),
    "branches": Place("/self-serve/branches"),
    "day": Place(_BRANCH + "?date={day}"),
    "day, searched": Place(_BRANCH + "?date={day}&q=opt&state=success&sort=-took"),
    "day, nothing found": Place(_BRANCH + "?date={day}&q=no+such+thing"),
    "day, empty": Place(_BRANCH + "?date=2011-01-01"),
    "revision": Place(_BRANCH + "/rev/{revision}"),
    "is_done": Place(_BRANCH + "/rev/{revision}/is_done"),
    "build": Place(_BRANCH + "/build/{build}"),
    "build, failed": Place(_BRANCH + "/build/{failed_build}"),
    "steps": Place(_BRANCH + "/build/{failed_build}/steps"),
    "request": Place(_BRANCH + "/request/{request}"),
    "builders": Place(_BRANCH + "/builders"),
    "user": Place(_BRANCH + "/user/{user}"),
    "pushes of a branch": Place(_BRANCH + "/pushes"),
    "pushes of a branch, all jobs": Place(_BRANCH + "/pushes?show=all&failures=1&limit=50"),
    "pushes of a branch, nothing found": Place(_BRANCH + "/pushes?author=nobody"),
    "pushes of all branches": Place("/self-serve/pushes?limit=5"),
    "pushes of a user": Place("/self-serve/user/{user}"),
    "new builds": Place(_BRANCH + "/new"),
    "new builds, filled in": Place(_BRANCH + "/new?revision={revision}&builder={builder}"),
    "jobs": Place("/self-serve/jobs"),
    "job": Place("/self-serve/jobs/{job}"),
    "tokens": Place("/self-serve/tokens"),
    "tokens, one made": Place("/self-serve/tokens", _make_token, status=201),
    "tokens, some there": Place("/self-serve/tokens"),
    "whoami": Place("/self-serve/whoami"),
    "lookup": Place("/self-serve/lookup?kind=revision&q={revision}"),
    "pending": Place("/pending"),
    "pending of a branch": Place("/pending?branch={branch}"),
    "running": Place("/running"),
    "load": Place("/load?step=60"),
    "recent": Place("/recent"),
    "recent on a slave": Place("/recent/{slave}"),
    "farm-wide revision": Place("/revision/{branch}/{revision}"),
    "pushes by author": Place("/pushes"),
    "status": Place("/status"),
    "readiness": Place("/readyz"),
    "reports": Place("/reports"),
    "waittimes": Place("/reports/waittimes/testpool"),
    "report of pushes": Place("/reports/pushes"),
    "report of builders": Place("/reports/builders/{branch}"),
    "report of a builder": Place("/reports/builder/{builder}?hours=96"),
    "report of end to end times": Place("/reports/endtoend/{branch}"),
    "report of a build run": Place("/reports/revision/{branch}/{revision}"),
    "report of which build run": Place("/reports/revision"),
    "report of the try syntax": Place("/reports/trychooser/try"),
    "report of slaves": Place("/reports/slaves"),
    "report of a slave": Place("/reports/slaves/1"),
    "report by status": Place("/reports/status_builders"),
    "report of a builder by status": Place("/reports/status_builders/{builder}?hours=96"),
    "report of test runs": Place("/reports/testruns"),
    "report of idle jobs": Place("/reports/idlejobs?int_size=7200"),
    "report of names": Place("/reports/names"),
    "API": Place("/docs", drawn=".opblock"),
    "not found": Place("/nowhere", status=404),
    "no such build": Place(_BRANCH + "/build/999999999", status=404),
    "plan of a cancel": Place(_BRANCH + "/rev/{revision}", _cancel_all),
    "plan of a change": Place(_BRANCH + "/new?revision={revision}", _show_plan),
    "plan of a build": Place(
        _BRANCH + "/new?revision={revision}&builder={builder}", _ask_for_builder
    ),
    "question of a rebuild": Place(_BRANCH + "/rev/{failed}", _rebuild_failed),
    "question": Place(_BRANCH + "?date={day}", _question),
    "selection": Place("/pending", _selected, status=200),
}
