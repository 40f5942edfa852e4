"""What goes wrong on a page is noticed: the other tests here rest on it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.accessibility import (
    COLOURS,
    ONE_OF_EACH,
    grave,
    told,
    unlabelled,
    violations,
)
from tests.browser.chromium import Visitor
from tests.browser.markup import faults

pytestmark = pytest.mark.chromium

BASE = "http://127.0.0.1:9"
GOOD = '<!doctype html><html lang="en"><head><title>t</title></head><body><main><h1>h</h1>{}</main>'


def shown(browser: Browser, body: str) -> tuple[Visitor, Page]:
    """Show a page to a visitor without any service."""
    visitor = Visitor.of(browser, BASE)
    page = visitor.context.new_page()
    answer = GOOD.format(body)
    page.route(f"{BASE}/", lambda route: route.fulfill(body=answer, content_type="text/html"))
    page.route("**/ill", lambda route: route.fulfill(status=500))
    page.route("**/gone", lambda route: route.abort())
    page.goto("/")
    page.wait_for_load_state("networkidle")
    return visitor, page


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<script>console.error('e')</script>", "console error: e"),
        ("<script>console.warn('w')</script>", "console warning: w"),
        ("<script>throw new Error('thrown')</script>", "page error: thrown"),
        ("<script>Promise.reject(new Error('late'))</script>", "page error: late"),
        ("<script>alert(1)</script>", "dialog alert: 1"),
        ("<img src=/ill alt=x>", f"answered 500: GET {BASE}/ill"),
        ("<img src=/gone alt=x>", f"failed: GET {BASE}/gone"),
        ("<img src=http://127.0.0.1:99/x alt=x>", "asked another host: http://127.0.0.1:99/x"),
    ],
)
def test_trouble_is_noticed(browser: Browser, body: str, words: str) -> None:
    visitor, _ = shown(browser, body)
    with pytest.raises(AssertionError) as caught:
        visitor.leave()
    assert words in str(caught.value)


def test_a_good_page_is_no_trouble(browser: Browser) -> None:
    visitor, page = shown(browser, "<label>a <input></label>")
    assert unlabelled(page) == []
    assert grave(violations(page)) == []
    visitor.leave()


def test_what_keeps_people_out_is_told(browser: Browser) -> None:
    visitor, page = shown(browser, '<input id=a><p style="color:#ccc;background:#fff">pale</p>')
    text = "\n".join(told(grave(violations(page)), "light"))
    assert unlabelled(page) == ['no label: <input id="a">']
    assert "color-contrast (serious, light)" in text
    assert "label (critical, light)" in text
    assert "#a" in text
    visitor.leave()


def test_the_rules_of_a_scheme_are_those_of_colours(browser: Browser) -> None:
    visitor, page = shown(browser, '<input id=a><p style="color:#ccc;background:#fff">pale</p>')
    assert [one["id"] for one in violations(page, *COLOURS)] == ["color-contrast"]
    visitor.leave()


def test_of_rows_that_look_the_same_one_is_left(browser: Browser) -> None:
    rows = (
        "<tr><td class=a>1<td><a href=/x>x</a>",
        "<tr><td class=a>2<td><a href=/y>y</a>",
        "<tr><td class=b>3<td><a href=/x>x</a>",
        "<tr><td class=a>4<td><a href=/x></a>",
        "<tr data-state=failed><td class=a>5<td><a href=/x>x</a>",
        "<tr><td class=a>6<td><a href=/x title=x>x</a>",
        "<tr><td class=b>7<td><a href=/z>z</a>",
    )
    visitor, page = shown(browser, f"<table><tbody>{''.join(rows)}</table>")
    page.evaluate(ONE_OF_EACH)
    left = page.locator("tr td:first-child").all_text_contents()
    assert left == ["1", "3", "4", "5", "6"]
    visitor.leave()


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        (GOOD.format("<p id=a></p><p id=a></p>"), "2 elements have the id 'a'"),
        (GOOD.format("</b>"), "unexpected-end-tag"),
        (GOOD.format("<h1>again</h1>"), "h1 ['h', 'again']"),
        (GOOD.replace(' lang="en"', ""), "no lang"),
        (GOOD.replace("<title>t</title>", ""), "titles []"),
    ],
)
def test_faults_of_html_are_told(html: str, fault: str) -> None:
    (found,) = faults(html)
    assert fault in found


def test_good_html_has_no_faults() -> None:
    assert faults(GOOD.format("<p>fine</p>")) == []
