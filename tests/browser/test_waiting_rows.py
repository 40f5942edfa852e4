"""Rows that come and go do not move what somebody is at, and questions name what they ask about."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visit
from tests.browser.service import BRANCH, seed_of, submit
from tests.browser.test_live import FARM_MS, stays, told, watched
from tests.e2e.service import Service

pytestmark = pytest.mark.chromium

BRANCH_PAGE = f"/self-serve/{BRANCH}"


def row(page: Page, request: int) -> Locator:
    return page.locator(f"#request-{request}")


def show(page: Page) -> Locator:
    return page.locator("#show-news")


def point_at(page: Page, request: int) -> None:
    page.locator(f"#request-{request} [data-f=builder]").hover()


def focus_on(page: Page, request: int) -> None:
    page.locator(f"#request-{request} input[name=priority]").focus()


def select(page: Page, request: int) -> None:
    page.locator(f"#request-{request} input[name=item]").dispatch_event("click")


def scroll(page: Page, request: int) -> None:
    page.evaluate("scrollBy(0, 120)")
    page.wait_for_function("scrollY > 0")


def top(page: Page, request: int) -> float:
    where = "id => document.getElementById(id).getBoundingClientRect().top"
    found: float = page.evaluate(where, f"request-{request}")
    return found


@pytest.mark.parametrize("at", [point_at, focus_on, select, scroll])
def test_rows_that_arrive_wait_while_somebody_is_at_the_list(
    visit: Visit, farm: Service, at: Any
) -> None:
    """Rows that arrive do not move what is under the pointer or has the focus."""
    builder = f"arrives while {at.__name__}"
    mine = submit(farm, 30, builder=builder)
    page = watched(visit().open(f"/pending?q={builder.replace(' ', '+')}"))
    expect(row(page, mine[-1])).to_be_visible()
    at(page, mine[-1])
    before, shown = top(page, mine[-1]), page.locator("#list tbody tr").count()

    new = submit(farm, 6, builder=builder, later=5)

    expect(show(page)).to_have_text("6 new: show")
    expect(show(page)).to_be_in_viewport()
    assert page.locator("#news").get_attribute("aria-live") == "polite"
    assert page.locator("#list tbody tr").count() == shown
    assert top(page, mine[-1]) == before
    show(page).focus()
    page.keyboard.press("Enter")
    for request in new:
        expect(row(page, request)).to_have_count(1)
    expect(show(page)).to_be_hidden()
    order = page.locator("#list tbody tr").evaluate_all("rows => rows.map((r) => r.id)")
    assert set(order[:6]) == {f"request-{r}" for r in new}
    assert page.evaluate("document.activeElement.closest('tr')?.id") == order[0]
    stays(page)


def test_rows_come_by_themselves_once_the_list_is_left_alone(visit: Visit, farm: Service) -> None:
    (mine,) = submit(farm, 1, builder="left alone")
    page = watched(visit().open("/pending?q=left+alone"))
    point_at(page, mine)
    (new,) = submit(farm, 1, builder="left alone", later=5)
    expect(show(page)).to_have_text("1 new: show")
    expect(row(page, new)).to_have_count(0)
    page.mouse.move(2, 2)
    expect(row(page, new)).to_be_visible()
    expect(show(page)).to_be_hidden()


def test_a_row_that_goes_keeps_its_place_until_then(visit: Visit, farm: Service) -> None:
    """Do not let the next row slip under the pointer where one above it goes."""
    requests = sorted(submit(farm, 3, builder="goes away"), reverse=True)
    page = watched(visit().open("/pending?q=goes+away"))
    point_at(page, requests[1])
    before = top(page, requests[1])
    farm.client.done(farm.client.delete(f"{BRANCH_PAGE}/request/{requests[0]}"))
    gone = row(page, requests[0])
    expect(gone.locator(".state")).to_have_text("gone")
    expect(gone.locator("input[type=submit][value=cancel]")).to_be_disabled()
    expect(show(page)).to_have_text("1 gone: show")
    assert top(page, requests[1]) == before
    page.mouse.move(2, 2)
    expect(gone).to_have_count(0)
    expect(row(page, requests[1])).to_be_visible()


def test_states_of_rows_change_in_their_places(visit: Visit, farm: Service) -> None:
    """Let the row of a request become that of its build where it is."""
    seed, now = seed_of(farm), int(time.time())
    builder = "changes in place"
    first, second, third = (
        seed.request(BRANCH, f"{n:x}".rjust(40, "c"), builder=builder, at=now) for n in range(3)
    )
    page = watched(visit().open(f"{BRANCH_PAGE}?q=changes+in+place"))
    for request in (first, second, third):
        expect(row(page, request)).to_be_visible()
    point_at(page, first)
    before = top(page, first)
    build = seed.run(second, at=now)
    expect(row(page, second).locator("[data-f=state]")).to_have_text("running")
    assert top(page, first) == before
    page.mouse.move(2, 2)
    expect(page.locator(f"#build-{build}")).to_be_visible()
    expect(row(page, second)).to_have_count(0)
    own = seed.run(first, at=now)  # nobody is at the list
    expect(page.locator(f"#build-{own}")).to_be_visible()
    expect(row(page, first)).to_have_count(0)
    seed.close()
    stays(page)


def test_a_list_that_is_read_again_moves_nothing_either(visit: Visit, farm: Service) -> None:
    """Keep rows where they are also where no events come and the list is polled."""
    mine = submit(farm, 3, builder="read again")
    visitor = visit()
    visitor.refusals.add(503)
    visitor.context.route("**/self-serve/events*", lambda route: route.fulfill(status=503))
    page = watched(visitor.open("/pending?q=read+again"))
    point_at(page, mine[0])
    before = top(page, mine[0])
    (new,) = submit(farm, 1, builder="read again", later=5)
    farm.client.done(farm.client.put(f"{BRANCH_PAGE}/request/{mine[0]}", priority=9))
    expect(show(page)).to_have_text("1 new: show", timeout=180_000)
    expect(row(page, mine[0]).locator("input[name=priority]")).to_have_value("9")
    assert top(page, mine[0]) == before
    show(page).click()
    expect(row(page, new)).to_be_visible()


def test_a_button_stays_under_the_pointer_on_the_page_of_a_request(
    visit: Visit, farm: Service
) -> None:
    seed, now = seed_of(farm), int(time.time())
    request = seed.request(BRANCH, "e" * 40, builder="under the pointer", at=now)
    page = watched(visit().open(f"{BRANCH_PAGE}/request/{request}"))
    button = page.locator("#live input[type=submit][value=cancel]")
    state = page.locator("#live .state").first
    button.hover()
    where = "b => [b.getBoundingClientRect().left, b.getBoundingClientRect().top]"
    before = button.evaluate(where)

    seed.run(request, at=now)

    expect(state).not_to_have_text("pending")
    assert button.evaluate(where) == before
    expect(page.locator("#live input[type=submit][value=set]")).to_be_visible()
    page.mouse.move(2, 2)
    expect(page.locator("#live input[type=submit][value=set]")).to_be_hidden()
    stays(page)
    seed.close()


def test_job_requests_of_others_wait_too(visit: Visit, farm: Service) -> None:
    (request,) = submit(farm, 1, builder="a job to see")
    own = f"{BRANCH_PAGE}/request/{request}"
    farm.client.done(farm.client.put(own, priority=1))
    page = watched(visit().open("/self-serve/jobs"))
    first = page.locator("tbody tr").first
    name = first.get_attribute("id")
    first.hover()
    job = farm.client.done(farm.client.put(own, priority=2))
    expect(show(page)).to_have_text("1 new: show")
    assert page.locator("tbody tr").first.get_attribute("id") == name
    page.mouse.move(2, 2)
    expect(page.locator("tbody tr").first).to_have_attribute("id", f"job-{job['id']}")


def test_a_question_names_the_request_and_its_buttons_say_the_act(
    visit: Visit, farm: Service
) -> None:
    """Name id, builder and revision in question and toast; say the act, not yes and no."""
    (request,) = submit(farm, 1, builder="to be asked about")
    page = watched(visit().open("/pending?q=to+be+asked+about"))
    for keep in (True, False):
        row(page, request).locator("input[type=submit][value=cancel]").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading")).to_have_text(f"Cancel request {request}?")
        about = f"to be asked about at {'f' * 11}0 on {BRANCH}".replace("0 on", "f on")
        expect(dialog).to_contain_text(about)
        assert dialog.get_by_role("button").all_inner_texts() == [
            f"Cancel request {request}",
            "Keep it",
        ]
        dialog.get_by_role("button").nth(1 if keep else 0).click()
    expect(told(page)).to_have_count(1)
    expect(told(page).locator(".state")).to_have_text("done", timeout=FARM_MS)
    expect(told(page)).to_contain_text(f"Cancel of request {request} ({about})")
    expect(row(page, request)).to_have_count(0)


def test_a_question_about_many_lists_them(visit: Visit, farm: Service) -> None:
    requests = submit(farm, 10, builder="asked at once")
    page = watched(visit().open("/pending?q=asked+at+once"))
    page.locator("#all").check()
    page.locator("#selection button[name=act][value=cancel]").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Cancel 10 requests?")
    expect(dialog.get_by_role("listitem")).to_have_count(9)
    expect(dialog.get_by_role("listitem").first).to_have_text(
        re.compile(rf"request {max(requests)}: asked at once at \w{{12}} on {BRANCH}")
    )
    expect(dialog.get_by_role("listitem").last).to_have_text("and 2 more")
    dialog.get_by_role("button", name="Keep them").click()
    expect(told(page)).to_have_count(0)
    page.locator("#selection input[name=priority]").fill("3")
    page.locator("#selection button[name=act][value=priority]").click()
    expect(told(page)).to_have_count(10)
    for request in requests:
        line = told(page).filter(has_text=f"request {request} ")
        expect(line).to_contain_text("asked at once")


def test_a_token_is_not_revoked_by_one_click(visit: Visit) -> None:
    page = visit().open("/self-serve/tokens")
    page.locator("#label").fill("to be revoked")
    page.get_by_role("button", name="Create token").click()
    page.get_by_role("link", name="All your tokens").click()
    line = page.locator("tbody tr").filter(has_text="to be revoked").first
    number = line.locator("td").first.inner_text()
    for keep in (True, False):
        line.get_by_role("button").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading")).to_have_text(f"Revoke token {number}?")
        expect(dialog).to_contain_text("to be revoked")
        name = "Keep it" if keep else f"Revoke token {number}"
        dialog.get_by_role("button", name=name).click()
        expect(page.locator("tbody tr").filter(has_text="to be revoked")).to_have_count(int(keep))
