"""Pages without the values of their users, and how long they are kept."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import attrs
from hypothesis import given
from hypothesis import strategies as st

from buildapi.web.http import page_text
from buildapi.web.http.cache import Freshness
from buildapi.web.http.page_text import KeptPages, PageText

NAMES = ["who", "who_query", "token"]


def a_page(stored: str = "") -> PageText:
    def render(marks: Mapping[str, str]) -> bytes:
        return f"<a title={marks['token']}>{marks['who']}</a>{stored}{marks['token']}".encode()

    return PageText.rendered(render, NAMES)


def test_a_page_is_filled_with_the_escaped_values_of_each_user() -> None:
    page = a_page("stored")
    for who, token in (("zoë", "t1"), ("<b>", "t2&")):
        filled = page.filled({"who": who, "who_query": "unused", "token": token}).decode()
        safe, who_safe = token.replace("&", "&amp;"), who.replace("<", "&lt;").replace(">", "&gt;")
        assert filled == f"<a title={safe}>{who_safe}</a>stored{safe}"


@given(st.text())
def test_no_stored_text_is_taken_for_a_value(stored: str) -> None:
    values = dict(zip(NAMES, ("zoë", "zo%C3%AB", "t"), strict=True))
    html = stored.encode(errors="replace")
    assert PageText.rendered(lambda _: html, NAMES).filled(values) == html


def test_the_marks_of_one_page_are_no_marks_of_another() -> None:
    seen: list[Mapping[str, str]] = []

    def render(marks: Mapping[str, str]) -> bytes:
        seen.append(marks)
        return marks["who"].encode()

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
    large = PageText.rendered(lambda _: b"x" * (page_text.BYTES_MAX * 2 // 3), [])
    for key in "ab":
        pages.keep(key, freshness, large)
    assert (pages.fresh("a", freshness), pages.fresh("b", freshness)) == (None, large)


def a_long_page() -> PageText:
    def render(marks: Mapping[str, str]) -> bytes:
        field = f"<input name=csrf_token value={marks['token']}>"
        rows = "".join(f"<form action=build/{n}>{field}" for n in range(500))
        return f"{field}<a href=?{marks['who_query']}>{marks['who']}</a>{rows}".encode()

    return PageText.rendered(render, NAMES)


def test_a_page_that_is_asked_for_again_is_compressed_for_all_users() -> None:
    page, seen = a_long_page(), list[bytes | None]()
    for who, token in (("zoë", "0" * 128), ("mo", "1f" * 64), ("zoë", "2" * 128)):
        values = {"who": who, "who_query": who, "token": token}
        seen.append(page.packed(values))
        assert seen[-1] is None or gzip.decompress(seen[-1]) == page.filled(values)
    assert [one is None for one in seen] == [True, False, False]


def test_pages_that_are_short_or_without_a_token_are_compressed_as_others() -> None:
    long = b"stored" * 9999

    def late(marks: Mapping[str, str]) -> bytes:
        return f"{marks['token']}{marks['who']}".encode() + long

    for page in (
        a_page(),
        PageText.rendered(lambda _: long, []),
        PageText.rendered(late, NAMES),
    ):
        values = {"who": "z", "who_query": "z", "token": "t" * 128}
        for _ in range(3):
            assert page.packed(values) is None


def test_a_token_of_another_length_is_compressed_on_its_own() -> None:
    page = a_long_page()
    for size in (128, 128, 64):
        token = "0" * size
        packed = page.packed({"who": "z", "who_query": "z", "token": token})
    assert packed is None
