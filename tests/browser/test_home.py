"""The farm overview updates itself, and moves nothing while somebody is at it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.chromium

EVERY_MS = 15_500
"""A little more than the time between two reads of the page."""

# Fills the page's section with another row before all others, as a new push does.
ADD = re.compile(r'(<table class="wide latest">(?s:.*?)<tbody>\n)(<tr>(?s:.*?)</tr>)')


def with_a_row(page: Page) -> None:
    """Have each later read of the page find another push at the top."""

    def answer(route: Route) -> None:
        found = route.fetch()
        text = ADD.sub(
            lambda m: f"{m[1]}<tr id='new'><td>new</td></tr>{m[2]}", found.text(), count=1
        )
        route.fulfill(response=found, body=text)

    page.route(lambda url: url.rstrip("/").count("/") == 2, answer)  # of the scheme


def read_again(page: Page) -> None:
    """Let time pass until the page was read again."""
    with page.expect_response(lambda answer: answer.url.rstrip("/").count("/") == 2):
        page.clock.run_for(EVERY_MS)


def first_row(page: Page) -> Locator:
    return page.locator("table.latest").first.locator("tbody tr").first


def test_a_row_that_comes_waits_until_nobody_points_at_the_page(visit: Visit) -> None:
    visitor = visit()
    page = visitor.context.new_page()
    page.clock.install()
    page.goto("/")
    with_a_row(page)
    row = first_row(page)
    row.hover()
    before = row.bounding_box()
    read_again(page)
    expect(page.locator("#new")).to_have_count(0)
    assert row.bounding_box() == before

    page.mouse.move(5, 5)
    read_again(page)
    expect(page.locator("#new")).to_have_count(1)


def test_focus_of_the_keyboard_holds_the_page_too(visit: Visit) -> None:
    page = visit().context.new_page()
    page.clock.install()
    page.goto("/")
    with_a_row(page)
    link = first_row(page).locator("a").first
    link.focus()
    page.keyboard.press("Shift")
    for _ in range(2):
        read_again(page)
        expect(page.locator("#new")).to_have_count(0)
        expect(link).to_be_focused()


def test_what_moves_nothing_is_shown_at_once(visit: Visit) -> None:
    page = visit().context.new_page()
    page.clock.install()
    page.goto("/")
    row = first_row(page)
    row.hover()
    page.evaluate("() => { document.querySelector('#live .card strong').textContent = '-'; }")
    read_again(page)
    expect(page.locator("#live .card strong").first).to_have_text(re.compile(r"\d+"))


def test_the_load_of_the_farm_has_a_chart_that_is_kept_up_to_date(visit: Visit) -> None:
    page = visit().context.new_page()
    page.clock.install()
    page.goto("/")
    chart = page.locator("#load figure.chart.drawn")
    expect(chart).to_be_visible()
    page.evaluate("() => { document.querySelector('#load script').textContent = ''; }")
    with page.expect_response(lambda answer: answer.url.rstrip("/").count("/") == 2):
        page.clock.run_for(60_500)
    page.wait_for_function("() => document.querySelector('#load script').textContent !== ''")
    expect(chart).to_be_visible()
