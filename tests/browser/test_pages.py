"""Every page: valid HTML, for everybody on any screen, nothing wrong in the console.

It fits a narrow screen also once its texts are longer, as they are after a live update.
"""

from __future__ import annotations

import pytest

from tests.browser.accessibility import (
    COLOURS,
    ONE_OF_EACH,
    grave,
    told,
    unlabelled,
    violations,
)
from tests.browser.chromium import NARROW, WIDE
from tests.browser.conftest import Visit
from tests.browser.markup import faults
from tests.browser.places import PAGES, Places

pytestmark = pytest.mark.chromium

# Elements that end to the right of the window, but for those inside of something that scrolls.
SIDEWAYS = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("main *, header *")].filter((e) => !e.closest(".scroll, pre")
        && e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map((e) => e.outerHTML)"""

# Headings that two columns of a table have.
DOUBLED = """() => [...document.querySelectorAll("table")].flatMap((table) => {
    const heads = [...table.querySelectorAll("thead th")].map((e) => e.textContent.trim());
    return heads.filter((text, at) => text && heads.indexOf(text) !== at);
})"""

# What a live update may put there: texts of the farm that are longer than those of today.
LENGTHEN = """(text) => document.querySelectorAll("main :is(td, dd, li, p, strong, code, pre, a)")
    .forEach((e) => [...e.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE && n.data.trim())
        .forEach((n) => { n.data = text; }))"""
LONGER = ("a message of several words " * 10, "without-a-blank" * 12)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_valid_and_for_everybody_on_any_screen(
    visit: Visit, places: Places, name: str
) -> None:
    place = PAGES[name]
    visitor = visit(reduced_motion="reduce")  # colours that fade are those of neither scheme
    visitor.refusals.add(place.status)
    page = visitor.context.new_page()

    html = place.visit(page, places).text()

    assert not (found := faults(html)), "\n".join(found)
    assert not (found := unlabelled(page)), "\n".join(found)
    assert page.evaluate(DOUBLED) == []
    page.set_viewport_size(NARROW)
    assert page.evaluate(SIDEWAYS) == []
    page.set_viewport_size(WIDE)
    page.evaluate(ONE_OF_EACH)
    page.emulate_media(color_scheme="light")
    found = told(grave(violations(page)), "light")
    page.emulate_media(color_scheme="dark")
    found += told(grave(violations(page, *COLOURS)), "dark")
    assert not found, "\n".join(found)
    page.set_viewport_size(NARROW)
    for text in LONGER:
        page.evaluate(LENGTHEN, text)
        assert page.evaluate(SIDEWAYS) == []
