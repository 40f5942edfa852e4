"""With scripts: actions stay on the page, which follows what becomes of them."""

from __future__ import annotations

import re
import time
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Visit
from tests.browser.service import BRANCH, day_of_rows, days, quick_today, seed_of, submit
from tests.e2e.service import Client, Service

pytestmark = pytest.mark.chromium

BRANCH_PAGE = f"/self-serve/{BRANCH}"
LINK = re.compile(r"/self-serve/jobs/\d+$")
EVENTS = "**/self-serve/events*"
JOBS = "**/self-serve/jobs/*?wait=*"
FARM_MS = 60_000
"""The masters of the sample farm take their time; on a busy machine more of it."""

# Notes each state in which a row was seen, by the request it is about.
WATCH = """() => {
    window.__loaded = true;
    window.__states = {};
    const look = () => {
        for (const row of document.querySelectorAll("tr[data-requests]")) {
            for (const id of row.dataset.requests.split(" ")) {
                const seen = window.__states[id] ??= [];
                if (seen.at(-1) !== row.dataset.state) seen.push(row.dataset.state);
            }
        }
    };
    look();
    new MutationObserver(look).observe(
        document.body, {subtree: true, childList: true, attributes: true});
}"""


def watched(page: Page) -> Page:
    """Leave a mark that is gone when the page is loaded again, and note the states of rows."""
    page.evaluate(WATCH)
    return page


def stays(page: Page) -> None:
    assert page.evaluate("window.__loaded") is True, "the page was left"


def told(page: Page) -> Locator:
    """Find the lines that tell what was asked for."""
    return page.locator("[role=status][aria-live]").get_by_role("listitem")


def job_of(line: Locator) -> int:
    link = line.get_by_role("link", name=re.compile(r"\d+"))
    expect(link).to_have_attribute("href", LINK)
    return int((link.get_attribute("href") or "").rpartition("/")[2])


def test_a_rebuild_is_followed_on_the_page_to_its_end(visit: Visit, client: Client) -> None:
    build = quick_today(client)
    page = watched(visit().open(BRANCH_PAGE))
    url = page.url

    # No pointer at the list: there the new row would wait.
    button = f"#build-{build['build_id']} input[type=submit][value=rebuild]"
    page.locator(button).dispatch_event("click")

    job = job_of(told(page))
    expect(told(page).locator(".state")).to_have_text("done", timeout=FARM_MS)
    (item,) = client.get(f"/self-serve/jobs/{job}").body["items"]
    request = str(item["request_id"])
    # A master of the farm gives a build back now and then: that is a row of its own.
    row = page.locator(f"tr[data-requests~='{request}']:not([data-state=retry])")
    ended = re.compile("success|warnings|failure|exception")
    expect(row).to_have_attribute("data-state", ended, timeout=FARM_MS)
    seen = page.evaluate("id => window.__states[id]", request)
    # A look may fall between the claim and the start of the build, and on a busy machine the claim
    # before the first look: the next test holds a request in each of these states.
    before = seen[: seen.index("running")]
    assert before in ([], ["pending"], ["claimed"], ["pending", "claimed"])
    assert ended.fullmatch(seen[-1])
    expect(row.locator("[data-f=builder]")).to_have_text(build["buildername"])
    stays(page)
    assert page.url == url


def test_a_request_that_a_master_has_claimed_says_so_until_its_build_is_there(
    visit: Visit, farm: Service
) -> None:
    seed, now = seed_of(farm), int(time.time())
    request = seed.request(BRANCH, "d" * 40, builder="slave hangs", at=now)
    pages = [watched(visit().open(path)) for path in (BRANCH_PAGE, "/pending")]
    for page in pages:
        row = page.locator(f"#request-{request}")
        expect(row).to_have_attribute("data-state", "pending")
        expect(row.locator("input[type=submit][value=set]")).to_be_visible()
    seed.claim(request, at=now)
    for page in pages:
        row = page.locator(f"#request-{request}")
        expect(row).to_have_attribute("data-state", "claimed")
        expect(row.locator("[data-f=took]")).to_have_text("claimed by host-a, starting")
        expect(row.locator("input[type=submit][value=set]")).to_be_hidden()
        expect(row.locator("input[type=submit][value=cancel]")).to_be_visible()
    build = seed.start(request, at=now)
    expect(pages[0].locator(f"#build-{build}")).to_have_attribute("data-state", "running")
    for page in pages:
        expect(page.locator(f"#request-{request}")).to_have_count(0)
    seed.end(build, at=now)
    seed.complete(request, at=now)
    seed.close()


def test_a_build_that_is_given_back_is_a_retry_and_its_request_waits_again(
    visit: Visit, farm: Service
) -> None:
    seed, now = seed_of(farm), int(time.time())
    request = seed.request(BRANCH, "e" * 40, builder="given back", at=now)
    page = watched(visit().open(BRANCH_PAGE))

    def shows(*states: tuple[str, str]) -> None:
        rows = page.locator(f"tr[data-requests='{request}']")
        for key, state in states:
            expect(page.locator(f"#{key}")).to_have_attribute("data-state", state)
            expect(page.locator(f"#{key} [data-f=state]")).to_have_text(state)
        expect(rows).to_have_count(len(states))

    waiting = f"request-{request}"
    shows((waiting, "pending"))
    first = seed.run(request, at=now)
    shows((f"build-{first}", "running"))
    seed.end(first, at=now)
    seed.give_back(request)
    shows((waiting, "pending"), (f"build-{first}", "retry"))
    second = seed.run(request, at=now)
    shows((f"build-{second}", "running"), (f"build-{first}", "retry"))
    seed.end(second, at=now)
    seed.complete(request, at=now)
    seed.close()
    shows((f"build-{second}", "success"), (f"build-{first}", "retry"))
    stays(page)
    page.reload()
    shows((f"build-{second}", "success"), (f"build-{first}", "retry"))


def test_twenty_selected_requests_are_cancelled_at_once(visit: Visit, farm: Service) -> None:
    requests = submit(farm, 20, builder="twenty")
    page = watched(visit().open("/pending?q=twenty"))
    for request_id in requests:
        page.locator(f"#request-{request_id} input[type=checkbox][name=item]").check()
    expect(page.locator("#selected")).to_contain_text("20")

    page.locator("form#selection button[name=act][value=cancel]").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Cancel 20 requests").click()

    expect(told(page)).to_have_count(20)
    expect(told(page).locator(".state.done")).to_have_count(20, timeout=FARM_MS)
    jobs = {job_of(line) for line in told(page).all()}
    assert len(jobs) == 20
    for request_id in requests:
        expect(page.locator(f"#request-{request_id}")).to_have_count(0)
    stays(page)
    for request_id in requests:
        assert farm.client.get(f"{BRANCH_PAGE}/request/{request_id}").body["complete"] == 1


def test_all_rows_are_selected_by_one_box(visit: Visit, farm: Service) -> None:
    submit(farm, 3, builder="by one box")
    page = visit().open("/pending?" + urlencode({"q": "by one box"}))
    page.locator("#all").check()
    expect(page.locator("#selected")).to_contain_text("3")
    page.locator("input[name=item]").first.uncheck()
    expect(page.locator("#selected")).to_contain_text("2")
    assert page.locator("#all").evaluate("box => box.indeterminate")


@pytest.mark.parametrize("way", ["Keep it", "Escape"])
def test_a_cancel_that_is_not_confirmed_is_not_sent(visit: Visit, farm: Service, way: str) -> None:
    (request_id,) = submit(farm, 1, builder="not confirmed")
    page = watched(visit().open("/pending"))
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.post_data or "") if r.method == "POST" else None)
    button = page.locator(f"#request-{request_id} input[type=submit][value=cancel]")
    button.click()
    expect(page.get_by_role("dialog")).to_be_visible()

    if way == "Keep it":
        page.get_by_role("dialog").get_by_role("button", name=way).click()
    else:
        page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()
    expect(told(page)).to_have_count(0)
    assert [body for body in sent if "dry_run=1" not in body] == []
    stays(page)


@pytest.mark.parametrize("known", [True, False])
def test_the_question_says_who_else_loses_the_build_as_far_as_that_can_be_known(
    visit: Visit, farm: Service, known: bool
) -> None:
    """The answer to a dry run says it; the question is asked without one as well."""
    shared = "Build 12 is shared: stopping it also ends request 8 (try by joe)"
    (request_id,) = submit(farm, 1, builder="shared")
    page = watched(visit().open("/pending"))

    def plan(route: Route) -> None:
        assert "dry_run=1" in (route.request.post_data or "")
        if known:
            route.fulfill(json={"status": "OK", "plan": {"warnings": [shared]}})
        else:
            route.fulfill(body="not JSON", content_type="text/plain")

    page.route(f"**/request/{request_id}", plan)
    page.locator(f"#request-{request_id} input[type=submit][value=cancel]").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_text("Build 12 is shared")).to_have_count(1 if known else 0)
    expect(dialog.get_by_text("A new request goes to the end")).to_have_count(1)
    page.keyboard.press("Escape")


def test_a_list_that_is_read_again_during_a_question_keeps_the_place(
    visit: Visit, farm: Service
) -> None:
    (request_id,) = submit(farm, 1, builder="asked meanwhile")
    page = watched(visit().open("/pending?q=meanwhile"))
    button = page.locator(f"#request-{request_id} input[type=submit][value=cancel]")
    button.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    # Another row in its place, as where the list is read again and shows something new of it.
    row = f"document.getElementById('request-{request_id}')"
    page.evaluate(f"() => {row}.replaceWith({row}.cloneNode(true))")

    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()
    stays(page)


def test_a_priority_is_set_and_shown(visit: Visit, farm: Service) -> None:
    (request_id,) = submit(farm, 1, builder="a priority")
    page = watched(visit().open("/pending?q=priority"))
    row = page.locator(f"#request-{request_id}")

    row.get_by_role("button", name=re.compile("^raise")).click()

    expect(told(page).locator(".state")).to_have_text("done", timeout=FARM_MS)
    expect(row.locator("input[name=priority]")).to_have_value("1")
    row.locator("input[name=priority]").fill("7")
    row.locator("input[type=submit][value=set]").click()
    expect(told(page)).to_have_count(2)
    expect(told(page).first.locator(".state")).to_have_text("done", timeout=FARM_MS)
    expect(row.locator("input[name=priority]")).to_have_value("7")
    assert farm.client.get(f"{BRANCH_PAGE}/request/{request_id}").body["priority"] == 7
    stays(page)


def test_rows_are_filtered_while_typing(visit: Visit, client: Client) -> None:
    day, items = day_of_rows(client)
    words = items[0]["buildername"]
    path = f"{BRANCH_PAGE}?date={day}"
    visitor = visit()
    page = watched(visitor.open(path))
    rows, search = page.locator("#list tbody tr"), page.locator("input[type=search][name=q]")
    before = rows.count()
    steps = page.evaluate("history.length")

    search.press_sequentially(words, delay=5)

    cells = page.locator("#list tbody td[data-f=builder]")
    page.wait_for_function("q => new URLSearchParams(location.search).get('q') === q", arg=words)
    found = cells.all_inner_texts()
    assert 0 < len(found) < before
    assert set(found) == {words}
    expect(search).to_be_focused()
    expect(search).to_have_value(words)
    assert f"date={day}" in page.url
    assert page.evaluate("history.length") == steps, "typing is no step back"
    stays(page)
    page.reload()
    expect(search).to_have_value(words)
    assert cells.all_inner_texts() == found
    search.fill("")
    expect(rows).to_have_count(before)
    assert "q=" not in page.url


def test_the_state_filters_without_a_page_load(visit: Visit, client: Client) -> None:
    day, _ = day_of_rows(client)
    page = watched(visit().open(f"{BRANCH_PAGE}?date={day}"))
    page.locator("#find select[name=state]").select_option("success")
    page.wait_for_url("**state=success**")
    assert set(page.locator("#list td[data-f=state]").all_inner_texts()) == {"success"}
    stays(page)


def test_what_others_submit_comes_and_goes(visit: Visit, farm: Service) -> None:
    page = watched(visit(user=None).open("/pending"))
    (request_id,) = submit(farm, 1, builder="of others")
    row = page.locator(f"#request-{request_id}")
    expect(row).to_be_visible()
    expect(row.locator("[data-f=builder]")).to_have_text("of others")
    farm.client.done(farm.client.delete(f"{BRANCH_PAGE}/request/{request_id}"))
    expect(row).to_have_count(0)
    stays(page)


def test_a_row_that_comes_says_whose_push_it_is(visit: Visit, farm: Service) -> None:
    revision, author = "e" * 40, "<b>zoë</b> &amp; co@example.org"
    page = watched(visit(user=None).open("/pending?q=zoë"))
    seed = seed_of(farm)
    seed.change(author, [], branch=BRANCH, revision=revision, comments="fix <i>&amp;\n\nmore")
    request_id = seed.request(BRANCH, revision, builder="of a push", at=int(time.time()))
    seed.close()
    cell = page.locator(f"#request-{request_id} [data-f=push]")
    expect(cell).to_have_text("<b>zoë</b> &amp; co fix <i>&amp;")
    expect(cell).to_have_attribute("title", f"{author}: fix <i>&amp;")
    made = cell.inner_html()
    page.reload()
    assert cell.inner_html() == made, "the service makes the same"


def test_a_build_that_fails_may_be_built_again_at_once(visit: Visit, farm: Service) -> None:
    """The button follows what fails, and the row stays where it is under the pointer."""
    revision, now = "ba11" * 10, int(time.time())
    seed = seed_of(farm)
    request_id = seed.request(BRANCH, revision, builder="fails soon", at=now - 99)
    build_id = seed.run(request_id, at=now - 90)
    page = watched(visit().open(f"{BRANCH_PAGE}/rev/{revision}"))
    button = page.locator("#rebuild-failed input[type=submit]")
    expect(button).to_be_disabled()

    seed.end(build_id, at=now)
    seed.complete(request_id, results=2, at=now)
    seed.close()

    expect(button).to_have_value("Rebuild 1 failed …", timeout=FARM_MS)
    expect(button).to_be_enabled()
    stays(page)
    button.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Rebuild build {build_id}?")


def test_the_page_of_a_request_follows_it(visit: Visit, farm: Service) -> None:
    (request_id,) = submit(farm, 1, builder="a page of its own")
    page = watched(visit().open(f"{BRANCH_PAGE}/request/{request_id}"))
    expect(page.get_by_role("main").locator(".state").first).to_have_text("pending")
    farm.client.done(farm.client.delete(f"{BRANCH_PAGE}/request/{request_id}"))
    complete = page.locator("dt", has_text="Complete").locator("+ dd")
    expect(complete).not_to_have_text("no")
    stays(page)


def test_the_page_of_a_request_shows_what_was_done_there(visit: Visit, farm: Service) -> None:
    (request_id,) = submit(farm, 1, builder="done there")
    page = watched(visit().open(f"{BRANCH_PAGE}/request/{request_id}"))
    page.locator("input[name=priority]").fill("7")
    page.locator("input[type=submit][value=set]").click()
    expect(told(page).locator(".state")).to_have_text("done", timeout=FARM_MS)
    expect(page.locator("dt", has_text="Priority").locator("+ dd")).to_have_text("7")
    stays(page)


@pytest.mark.parametrize("at", ["list", "page"])
def test_what_is_typed_is_kept_as_the_page_follows(visit: Visit, farm: Service, at: str) -> None:
    """Nobody sends what they did not type."""
    (request_id,) = submit(farm, 1, builder="typed")
    own = f"{BRANCH_PAGE}/request/{request_id}"
    page = watched(visit().open(own if at == "page" else "/pending?q=typed"))
    farm.client.done(farm.client.put(own, priority=3))
    scope = page.locator("main" if at == "page" else f"#request-{request_id}")
    field = scope.locator("input[name=priority]")
    expect(field).to_have_value("3")
    field.fill("42")
    scope.get_by_role("link").first.focus()

    farm.client.done(farm.client.put(own, priority=5))

    expect(scope.locator("button[data-step='1']")).to_have_attribute("value", "6")
    expect(field).to_have_value("42")
    stays(page)


def test_a_job_is_followed_where_no_events_come(visit: Visit, farm: Service) -> None:
    (request_id,) = submit(farm, 1, builder="no events")
    visitor = visit()
    visitor.refusals.add(503)
    visitor.context.route(EVENTS, lambda route: route.fulfill(status=503))
    page = watched(visitor.open("/pending"))
    busy = {"Retry-After": "1"}
    page.route(JOBS, lambda route: route.fulfill(status=503, headers=busy), times=1)

    page.locator(f"#request-{request_id} input[type=submit][value=set]").click()

    job_of(told(page))
    expect(told(page).locator(".state")).to_have_text("done", timeout=FARM_MS)
    stays(page)


def test_a_job_that_cannot_be_followed_says_so(visit: Visit, farm: Service) -> None:
    (request_id,) = submit(farm, 1, builder="not followed")
    visitor = visit()
    visitor.refusals |= {401, 503}
    visitor.context.route(EVENTS, lambda route: route.fulfill(status=503))
    page = watched(visitor.open("/pending"))
    page.route(JOBS, lambda route: route.fulfill(status=401))

    page.locator(f"#request-{request_id} input[type=submit][value=set]").click()

    words = "no longer followed (the service answered 401): reload the page"
    expect(told(page)).to_contain_text(words)


def test_what_is_refused_is_told(visit: Visit, farm: Service) -> None:
    (request_id,) = submit(farm, 1, builder="refused")
    visitor = visit()
    visitor.refusals |= {400, 503}
    visitor.context.route(EVENTS, lambda route: route.fulfill(status=503))  # the field is left be
    page = watched(visitor.open(f"{BRANCH_PAGE}/request/{request_id}"))
    field = page.locator("input[name=priority]")
    field.evaluate("field => { field.type = 'text'; field.value = 'soon'; }")

    page.locator("input[type=submit][value=set]").click()

    expect(told(page).locator(".state")).to_have_text("refused")
    expect(told(page)).to_contain_text("priority")
    stays(page)


def test_nobody_is_offered_no_action_and_sees_all(visit: Visit, client: Client) -> None:
    day, items = day_of_rows(client)
    page = visit(user=None).open(f"{BRANCH_PAGE}?date={day}")
    expect(page.locator("#list tbody tr")).to_have_count(min(len(items), 250))
    expect(page.locator("form[method=post], #selection, input[name=item]")).to_have_count(0)
    assert days()[0] >= day
