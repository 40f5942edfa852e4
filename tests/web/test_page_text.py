"""Pages without the values of their users, and how long they are kept."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from hypothesis import given
from hypothesis import strategies as st

from buildapi.web.http import page_text
from buildapi.web.http.cache import Freshness
from buildapi.web.http.page_text import KeptPages, PageText

NAMES = ["who", "who_query", "token"]


def a_page(stored: str = "") -> PageText:
    return PageText.rendered(
        lambda marks: f"<a title={marks['token']}>{marks['who']}</a>{stored}{marks['token']}", NAMES
    )


def test_a_page_is_filled_with_the_escaped_values_of_each_user() -> None:
    page = a_page("stored")
    for who, token in (("zoë", "t1"), ("<b>", "t2&")):
        filled = page.filled({"who": who, "who_query": "unused", "token": token}).decode()
        safe, who_safe = token.replace("&", "&amp;"), who.replace("<", "&lt;").replace(">", "&gt;")
        assert filled == f"<a title={safe}>{who_safe}</a>stored{safe}"


@given(st.text())
def test_no_stored_text_is_taken_for_a_value(stored: str) -> None:
    values = dict(zip(NAMES, ("zoë", "zo%C3%AB", "t"), strict=True))
    text = PageText.rendered(lambda _: stored, NAMES).filled(values)
    assert text == stored.encode(errors="replace")


def test_the_marks_of_one_page_are_no_marks_of_another() -> None:
    seen: list[Mapping[str, str]] = []

    def render(marks: Mapping[str, str]) -> str:
        seen.append(marks)
        return marks["who"]

    for _ in range(2):
        PageText.rendered(render, ["who"])
    stored = seen[0]["who"]
    assert stored != seen[1]["who"]
    assert a_page(stored).filled({"who": "z", "token": "t"}).count(stored.encode()) == 1


def test_the_tag_is_of_the_page_and_its_user_and_not_of_the_token() -> None:
    assert a_page("a").etag("zoë") == a_page("a").etag("zoë"), "marks are left out"
    assert len({a_page("a").etag("zoë"), a_page("b").etag("zoë"), a_page("a").etag("mo")}) == 3
    assert a_page("a").etag(None) != a_page("a").etag("zoë")
    assert a_page("a").etag("\udcff").startswith(b'W/"')


@attrs.define
class Time:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_page_is_kept_for_its_seconds_and_while_its_document_may_be_served() -> None:
    clock = Time()
    pages, freshness, text = KeptPages(clock, 2), Freshness(until=103.0), a_page()
    pages.keep("k", freshness, text)
    assert pages.fresh("k", freshness) is text
    assert pages.fresh("k", Freshness(until=103.0)) is None, "of another document"
    assert pages.fresh("other", freshness) is None
    assert pages.fresh("k", None) is None
    clock.now += 2
    assert pages.fresh("k", freshness) is None


def test_a_page_of_what_is_not_cached_or_was_dropped_is_not_kept() -> None:
    pages = KeptPages(Time(), 2)
    for freshness in (None, Freshness(), Freshness(until=103.0, dropped=True)):
        pages.keep("k", freshness, a_page())
        assert pages.fresh("k", freshness) is None


def test_the_entries_and_bytes_of_kept_pages_are_bounded() -> None:
    pages, freshness = KeptPages(Time(), 2), Freshness(until=103.0)
    for number in range(page_text.ENTRIES_MAX + 5):
        pages.keep(number, freshness, a_page())
    assert pages.fresh(4, freshness) is None
    assert pages.fresh(5, freshness) is not None
    large = PageText.rendered(lambda _: "x" * (page_text.BYTES_MAX * 2 // 3), [])
    for key in "ab":
        pages.keep(key, freshness, large)
    assert (pages.fresh("a", freshness), pages.fresh("b", freshness)) == (None, large)
