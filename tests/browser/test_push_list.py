"""The list of pushes: keys go through it, it follows what happens, and nothing moves for that."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visit
from tests.browser.service import BRANCH, quick, seed_of
from tests.browser.test_live import FARM_MS, stays, told, watched
from tests.buildbot.seed import Seed
from tests.e2e.service import Client, Service

pytestmark = pytest.mark.chromium

NUMBERS = itertools.count(1)
WARNINGS, FAILURE, SKIPPED, EXCEPTION, RETRY = 1, 2, 3, 4, 5
NOTICES = """() => {
    window.__notices = [];
    window.Notification = class {
        static requestPermission() { return Promise.resolve(window.__answer ?? "granted"); }
        constructor(text) { window.__notices.push(text); }
        addEventListener() {}
    };
}"""

# Wait until the scripts have looked at what waits.
TICK = """() => import(document.querySelector("script[type=module]").src
    .replace(/[^/]+$/, "times.js"))
    .then(({ everySecond }) => new Promise((done) => everySecond(done)))"""


def pushed(seed: Seed, author: str, *builders: str, later: float = 0) -> tuple[str, Sequence[int]]:
    """Push a revision with a pending request for each builder; return it and the requests."""
    at = int(time.time()) + later
    revision = f"{next(NUMBERS):x}".rjust(40, "5")
    what = {"branch": BRANCH, "revision": revision, "repository": "", "project": "", "is_dir": 0}
    seed.insert("changes", **what, author=author, comments="Bug 1", when_timestamp=at)
    return revision, [seed.request(BRANCH, revision, builder=name, at=at) for name in builders]


def failed(seed: Seed, request: int) -> int:
    """Let a request fail; return its build."""
    now = int(time.time())
    build = seed.run(request, at=now - 30)
    seed.end(build, at=now - 5)
    seed.complete(request, results=FAILURE, at=now - 5)
    return build


def path(author: str, more: str = "") -> str:
    return f"/self-serve/{BRANCH}/pushes?author={author}{more}"


def row(page: Page, revision: str) -> Locator:
    return page.locator(f"tr.push[data-revision='{revision}']")


def job(page: Page, request: int) -> Locator:
    return page.locator(f"a.job[data-requests~='{request}']")


def tab_stops(at: Locator) -> int:
    """Count the jobs of a push that the Tab key comes to."""
    return int(at.locator("a.job").evaluate_all("jobs => jobs.filter((j) => !j.tabIndex).length"))


def panel(page: Page) -> Locator:
    return page.locator("#panel")


def place(at: Locator) -> Any:
    return at.evaluate("e => { const b = e.getBoundingClientRect(); return [b.left, b.top]; }")


def title_at(page: Page, x: float, y: float) -> str:
    """Return what a click there would hit."""
    found = page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y).closest('a')?.dataset.requests ?? ''", [x, y]
    )
    return str(found)


def test_a_failed_job_is_found_rebuilt_and_seen_to_run_by_keys_alone(
    visit: Visit, farm: Service, client: Client
) -> None:
    seed, builder = seed_of(farm), quick(client)["buildername"]
    below, _ = pushed(seed, "keys", "waits for ever")
    revision, (request, _) = pushed(seed, "keys", builder, "waits for ever", later=1)
    build = failed(seed, request)
    page = watched(visit().open(path("keys")))
    failing = page.locator(f"a.job[data-job='build-{build}']")

    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.dataset.revision") == revision
    page.keyboard.press("n")
    expect(failing).to_be_focused()
    before, before_below = place(failing), place(row(page, below))
    page.keyboard.press("Enter")
    expect(panel(page)).to_contain_text(builder)
    page.keyboard.press("r")

    expect(told(page).locator(".state")).to_have_text("done", timeout=FARM_MS)
    new = row(page, revision).locator(f"a.job[title^='{builder}']").nth(1)
    seen = re.compile("running|success|warnings|failure|exception")
    expect(new).to_have_class(seen, timeout=FARM_MS)
    expect(failing).to_be_focused()
    assert place(failing) == before
    assert place(row(page, below)) == before_below
    stays(page)
    seed.close()


def test_who_what_and_state_of_a_push_are_its_first_lines(visit: Visit, farm: Service) -> None:
    seed = seed_of(farm)
    now = int(time.time())
    revision, (request, *more) = pushed(seed, "glance", *(f"b {n}" for n in range(9)))
    failed(seed, request)
    for one, result in zip(more, (0, EXCEPTION), strict=False):
        seed.end(seed.run(one, at=now - 30), at=now - 5)
        seed.complete(one, results=result, at=now - 5)
    seed.run(more[2], at=now)
    push = row(visit().open(path("glance")), revision)
    state, jobs = push.locator(".sum"), push.locator(".jobs")
    # A button that has no room is cut short, and nothing goes to a second line.
    expect(state).to_contain_text(
        re.compile(r"^under way 1 failure 1 exception 1 running 5 pending 1 success ")
    )
    box, under, of = state.bounding_box(), jobs.bounding_box(), push.locator(".rev").bounding_box()
    assert box
    assert under
    assert of
    assert box["height"] < 2 * of["height"]  # one line
    assert abs(box["y"] - of["y"]) < of["height"]
    assert box["y"] + box["height"] <= under["y"] + 1

    # With more states their words give way, and it stays one line.
    for one, result in zip(more[3:], (WARNINGS, SKIPPED, RETRY), strict=False):
        seed.end(seed.run(one, at=now - 30), at=now - 5)
        seed.complete(one, results=result, at=now - 5)
    push = row(visit().open(path("glance")), revision)
    expect(push.locator(".sum .count")).to_have_count(8)
    expect(push.locator(".sum")).to_contain_text("1 warnings")
    more_states = push.locator(".sum").bounding_box()
    assert more_states
    assert more_states["height"] == box["height"]
    seed.close()


def test_keys_go_through_pushes_and_jobs(visit: Visit, farm: Service) -> None:
    seed = seed_of(farm)
    old, (first, second) = pushed(seed, "moves", "a one", "b two")
    new, (third,) = pushed(seed, "moves", "c three", later=1)
    failed(seed, second)
    page = visit().open(path("moves"))
    focused = "document.activeElement.dataset"
    for key, revision in (("j", new), ("j", old), ("j", old), ("k", new), ("k", new)):
        page.keyboard.press(key)
        assert page.evaluate(f"{focused}.revision") == revision
    page.keyboard.press("ArrowRight")
    expect(job(page, third)).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    ids = [page.evaluate(f"{focused}.requests")]
    page.keyboard.press("ArrowRight")
    ids.append(page.evaluate(f"{focused}.requests"))
    assert set(ids) == {str(first), str(second)}
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("n")
    expect(job(page, second)).to_be_focused()
    page.keyboard.press("n")
    expect(told(page)).to_contain_text("No later failed job")
    assert tab_stops(row(page, old)) == 1
    seed.close()


def test_keys_are_left_alone_while_somebody_types_or_holds_another(
    visit: Visit, farm: Service
) -> None:
    seed = seed_of(farm)
    pushed(seed, "typing", "a one")
    page = visit().open(path("typing"))
    page.keyboard.press("/")
    search = page.locator("#find input[type=search]")
    expect(search).to_be_focused()
    page.keyboard.type("jnrc?")
    expect(search).to_have_value("jnrc?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    search.fill("")
    page.keyboard.press("Escape")
    search.blur()
    page.keyboard.press("Control+j")
    page.keyboard.press("Alt+n")
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    page.keyboard.press("f")
    expect(page.locator("#find input[name=author]")).to_be_focused()
    seed.close()


def test_the_keys_are_listed_and_can_be_turned_off(visit: Visit, farm: Service) -> None:
    seed = seed_of(farm)
    revision, _ = pushed(seed, "turned", "a one")
    page = visit().open(path("turned"))
    page.get_by_role("button", name="Keyboard: ?").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("next failed job")
    page.keyboard.press("j")
    expect(dialog).to_be_visible()
    dialog.get_by_role("checkbox").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("j")
    expect(row(page, revision)).not_to_be_focused()
    page.reload()
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_role("checkbox").check()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(row(page, revision)).to_be_focused()
    seed.close()


def test_a_job_is_shown_beside_the_list_which_stays(visit: Visit, farm: Service) -> None:
    seed = seed_of(farm)
    _, (request, _) = pushed(seed, "panel", "a one", "b two")
    page = watched(visit().open(path("panel")))
    before = place(job(page, request))
    job(page, request).click()
    expect(panel(page).get_by_role("link", name=f"Request {request}")).to_be_visible()
    assert place(job(page, request)) == before
    assert page.url.endswith(f"#job=request-{request}")
    stays(page)
    panel(page).locator("input[name=priority]").fill("4")
    panel(page).locator("input[type=submit][value=set]").click()
    expect(told(page).locator(".state")).to_have_text("done", timeout=FARM_MS)
    stays(page)
    page.reload()
    expect(panel(page).locator("input[name=priority]")).to_have_value("4")
    panel(page).get_by_role("link").first.focus()
    page.keyboard.press("ArrowDown")  # scrolls, as elsewhere
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()
    expect(job(page, request)).to_be_focused()
    assert "#" not in page.url
    page.keyboard.press("c")
    expect(page.get_by_role("dialog")).to_contain_text(f"Cancel request {request}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(job(page, request)).to_have_class(re.compile("pending"))
    seed.close()


def test_results_of_the_strip_are_shown_in_the_panel_and_keys_act_on_them(
    visit: Visit, farm: Service
) -> None:
    seed = seed_of(farm)
    _, (earlier,) = pushed(seed, "strip", "with a strip")
    _, (later,) = pushed(seed, "strip", "with a strip", later=1)
    builds = [failed(seed, request) for request in (earlier, later)]
    page = watched(visit().open(path("strip")))
    before = place(job(page, later))
    job(page, later).click()
    panel(page).locator(f".strip a[href$='/build/{builds[0]}']").click()
    expect(panel(page).locator("h2").first).to_contain_text(f"Build {builds[0]} of")
    expect(panel(page).locator(".strip a[aria-current]")).to_be_focused()
    expect(job(page, earlier)).to_have_attribute("aria-current", "true")
    assert page.url.endswith(f"#job=build-{builds[0]}")
    # A build more in the strip would move what has the focus: the new content of the panel waits.
    at = int(time.time())
    seed.run(seed.request(BRANCH, "f" * 40, builder="with a strip", at=at), at=at)
    with page.expect_response(lambda answer: answer.url.endswith(f"/build/{builds[0]}")):
        page.keyboard.press("r")
    expect(told(page)).to_contain_text(f"Rebuild of build {builds[0]} ")
    page.evaluate(TICK)
    page.keyboard.press("Escape")
    expect(job(page, later)).to_be_focused()
    assert place(job(page, later)) == before
    page.keyboard.press("Enter")
    expect(panel(page).locator("h2").first).to_contain_text(f"Build {builds[1]} of")
    page.evaluate(TICK)
    expect(page.locator("#panel-content")).to_have_attribute("data-of", str(later))
    stays(page)
    seed.close()


def test_a_click_hits_what_the_pointer_was_moved_to(visit: Visit, farm: Service) -> None:
    """Jobs that come, run and fail before the one under the pointer do not move it."""
    seed, now = seed_of(farm), int(time.time())
    revision, requests = pushed(seed, "misclick", *(f"b {n}" for n in range(6)))
    page = watched(visit().open(path("misclick")))
    last = job(page, requests[-1])
    last.hover()
    before, (x, y) = (
        place(last),
        last.evaluate(
            "e => { const b = e.getBoundingClientRect(); return [b.left + 3, b.top + 3]; }"
        ),
    )
    page.mouse.move(x, y)
    for request in requests[:3]:
        failed(seed, request)
    come = [seed.request(BRANCH, revision, builder="a first", at=now) for _ in range(4)]
    seed.run(requests[-1], at=now)

    expect(last).to_have_class(re.compile("running"))
    assert title_at(page, x, y) == str(requests[-1])
    assert place(last) == before
    expect(job(page, come[-1])).to_have_count(1)  # behind all others
    assert title_at(page, x, y) == str(requests[-1])
    page.mouse.move(5, 5)
    first = row(page, revision).locator("a.job").first
    expect(first).to_have_attribute("title", re.compile("^a first"))
    expect(job(page, requests[0])).to_have_class(re.compile("failure"))
    stays(page)
    seed.close()


def test_new_pushes_wait_while_somebody_is_at_the_list(visit: Visit, farm: Service) -> None:
    seed = seed_of(farm)
    revision, (request,) = pushed(seed, "waits", "a one")
    page = watched(visit().open(path("waits")))
    job(page, request).hover()
    before = place(job(page, request))
    newer = [pushed(seed, "waits", "b two", "c three", later=n + 1)[0] for n in range(2)]

    show = page.locator("#show-news")
    expect(show).to_have_text("2 new pushes: show")
    assert place(job(page, request)) == before
    show.click()

    expect(page.locator("tr.push")).to_have_count(3)
    order = page.locator("tr.push").evaluate_all("rows => rows.map((r) => r.dataset.revision)")
    assert order == [newer[1], newer[0], revision]
    assert tab_stops(row(page, newer[0])) == 1
    stays(page)
    seed.close()


def test_title_and_icon_say_how_far_the_pushes_are(visit: Visit, farm: Service) -> None:
    seed = seed_of(farm)
    revision, (one, two) = pushed(seed, "titled", "a one", "b two")
    failed(seed, one)
    build = seed.run(two, at=int(time.time()))
    pages = [visit().open(p) for p in (path("titled"), f"/self-serve/{BRANCH}/rev/{revision}")]
    for page in pages:
        expect(page).to_have_title(re.compile("^1 failed, 1 running . "))
    icons = [page.locator("link[rel=icon]").get_attribute("href") for page in pages]
    assert icons[0] == icons[1]
    assert str(icons[0]).startswith("data:image/svg+xml,")
    seed.end(build, at=int(time.time()))
    # Not passed: other tests rebuild the shortest build that did.
    seed.complete(two, results=WARNINGS, at=int(time.time()))
    for page, icon in zip(pages, icons, strict=True):
        expect(page).to_have_title(re.compile("^1 failed, done . "))
        expect(page.locator("link[rel=icon]")).not_to_have_attribute("href", str(icon))
    seed.close()


def test_a_revision_is_copied(visit: Visit, farm: Service) -> None:
    seed = seed_of(farm)
    revision, _ = pushed(seed, "copied", "a one")
    page = visit(permissions=["clipboard-read", "clipboard-write"]).open(path("copied"))
    page.locator("button.copy").click()
    expect(page.locator("button.copy")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == revision
    expect(page.locator("button.copy")).to_have_text("copy")
    seed.close()


@pytest.mark.parametrize("at", ["list", "revision"])
def test_who_asks_for_it_is_notified_when_a_push_is_done(
    visit: Visit, farm: Service, at: str
) -> None:
    seed = seed_of(farm)
    revision, _ = pushed(seed, f"notified-{at}", "a one")
    visitor = visit()
    visitor.context.add_init_script(f"({NOTICES})()")
    page = visitor.context.new_page()
    done = {"job_complete": False, "job_passed": False}
    page.route("**/is_done*", lambda route: route.fulfill(json=done))
    page.goto(path(f"notified-{at}") if at == "list" else f"/self-serve/{BRANCH}/rev/{revision}")
    button = page.locator("button.notify")
    page.evaluate("window.__answer = 'denied'")
    button.click()
    expect(told(page)).to_contain_text("Notifications are blocked")
    expect(button).to_have_attribute("aria-pressed", "false")
    page.evaluate("window.__answer = 'granted'")
    button.click()
    expect(button).to_have_text("will notify")
    page.reload()
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(button).to_have_text("notify when done")
    done |= {"job_complete": True}
    button.click()
    page.wait_for_function("() => window.__notices.length === 1")
    words = f"{revision[:12]} on {BRANCH} is done: not all passed"
    assert page.evaluate("window.__notices") == [words]
    expect(button).to_have_attribute("aria-pressed", "false")
    seed.close()
