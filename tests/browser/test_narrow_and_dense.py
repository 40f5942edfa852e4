"""A narrow window shows all of a row and breaks no word; a wide one shows a row in one line."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, ViewportSize

from tests.browser.chromium import NARROW
from tests.browser.conftest import Visit
from tests.browser.places import PAGES, Places
from tests.browser.service import submit
from tests.e2e.service import Service

pytestmark = pytest.mark.chromium

WIDE: ViewportSize = {"width": 1280, "height": 900}
ROW = 24

LISTS = ("day", "revision", "user", "pending", "running")

# Words of buttons, labels, headings, links and states that do not stand in one line: letters of one
# word have different tops. A word that is longer than its line, as a hash is, has to be broken; and
# a hyphen or a slash is where a name may be.
BROKEN = r"""() => {
    const found = [];
    const texts = "button, label, legend, summary, th, dt, h1, h2, h3, a, .state, caption, option";
    for (const element of document.querySelectorAll(`header :is(${texts}), main :is(${texts})`)) {
        if (element.closest("#api") || !element.checkVisibility()) continue;
        const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
        for (let node = walk.nextNode(); node; node = walk.nextNode()) {
            for (const {0: word, index} of node.data.matchAll(/[\p{L}\p{N}]+/gu)) {
                if (word.length > 20) continue;
                const range = document.createRange();
                range.setStart(node, index);
                range.setEnd(node, index + word.length);
                const tops = new Set([...range.getClientRects()].map((r) => Math.round(r.top)));
                const place = `${element.localName}: ${word} in ${node.data.trim()}`;
                if (tops.size > 1) found.push(place);
            }
        }
    }
    return [...new Set(found)].slice(0, 5);
}"""
# An input of the type submit has its text in one line, which may be cut off.
CUT = """() => [...document.querySelectorAll("input[type=submit]")]
    .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1).map((e) => e.value)"""
WIDER = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll *, pre *")
        && e.getBoundingClientRect().right > innerWidth).slice(-3).map((e) => e.outerHTML)"""

# What of the first row with actions is not within the window from left to right.
OUTSIDE = """(names) => {
    const rows = [...document.querySelectorAll(".builds tbody tr[data-kind]")].slice(0, 20);
    const of = (row, name) => name === "acts"
        ? [...row.querySelectorAll("td.acts form:not([hidden]) :is(button, input[type=submit])")]
        : [...row.querySelectorAll(`td[data-f=${name}]`)];
    return rows.length === 0 ? ["no rows"] : rows.flatMap((row) => names.flatMap((name) => {
        const parts = of(row, name).map((e) => e.getBoundingClientRect());
        const seen = parts.length && parts.every((b) =>
            b.width > 0 && b.left >= 0 && b.right <= innerWidth);
        return seen ? [] : [`${row.id}: ${name}`];
    }));
}"""
HEIGHTS = """() => [...document.querySelectorAll(".builds tbody tr")]
    .map((row) => row.getBoundingClientRect().height)"""


@pytest.mark.parametrize("name", PAGES)
def test_a_narrow_window_breaks_no_word_and_is_not_too_narrow(
    visit: Visit, places: Places, name: str
) -> None:
    visitor = visit(viewport=NARROW)
    visitor.refusals.add(PAGES[name].status)
    page = visitor.context.new_page()
    PAGES[name].visit(page, places)
    assert page.evaluate(BROKEN) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate(WIDER) == []


HEADINGS = """() => [...document.querySelectorAll("main table")].map((table) =>
    [...table.querySelectorAll("thead th")].map((h) => h.textContent.trim()).filter(Boolean))"""


@pytest.mark.parametrize("name", PAGES)
def test_no_two_columns_of_a_table_have_one_heading(
    visit: Visit, places: Places, name: str
) -> None:
    visitor = visit(java_script_enabled=not PAGES[name].act and bool(PAGES[name].drawn))
    visitor.refusals.add(PAGES[name].status)
    page = visitor.context.new_page()
    PAGES[name].visit(page, places)
    for headings in page.evaluate(HEADINGS):
        assert len(set(headings)) == len(headings), headings


def opened(page: Page, places: Places, name: str) -> Page:
    PAGES[name].visit(page, places)
    page.locator(".builds tbody tr").first.wait_for()
    return page


@pytest.mark.parametrize("name", LISTS)
def test_a_narrow_list_shows_state_builder_duration_and_actions(
    visit: Visit, farm: Service, places: Places, name: str
) -> None:
    submit(farm, 2, builder="Windows 7 32-bit mozilla-central opt test mochitest-browser-chrome")
    page = opened(visit(viewport=NARROW).context.new_page(), places, name)
    states = ["state"] if page.locator("thead th[data-f=state]").count() else []
    assert states or name in ("pending", "running")  # whose rows are all of one state
    assert page.evaluate(OUTSIDE, [*states, "builder", "took", "acts"]) == []


@pytest.mark.parametrize("name", LISTS)
def test_a_row_of_a_wide_list_is_one_line(
    visit: Visit, farm: Service, places: Places, name: str
) -> None:
    submit(farm, 2, builder="Windows 7 32-bit mozilla-central opt test mochitest-browser-chrome")
    page = opened(visit(viewport=WIDE).context.new_page(), places, name)
    heights = page.evaluate(HEIGHTS)
    assert heights
    assert max(heights) <= ROW
    assert page.evaluate(OUTSIDE, ["builder", "took", "acts"]) == []


LONG = "Windows 7 32-bit mozilla-central opt test mochitest-browser-chrome"
# The builders whose name is not in the cell, or whose end is not within it from left to right.
ENDS_CUT = """() => [...document.querySelectorAll(".builds td[data-f=builder]")].filter((cell) => {
    const end = cell.querySelector(".parted span:last-child"), [box] = end.getClientRects();
    const right = cell.getBoundingClientRect().right + 1;
    return cell.textContent !== cell.title || !box.width || box.right > right;
}).map((cell) => cell.title)"""


@pytest.mark.parametrize("name", LISTS)
def test_a_wide_list_shows_the_end_of_each_builder_and_all_of_it_in_the_title(
    visit: Visit, farm: Service, places: Places, name: str
) -> None:
    submit(farm, 2, builder=LONG)
    page = opened(visit(viewport=WIDE).context.new_page(), places, name)
    assert page.evaluate(ENDS_CUT) == []
