"""The generated page of recorded cases that differ."""

from __future__ import annotations

from tests.docs.compatibility_cases import PAGE, merged, now, page
from tests.golden.differences import DIFFERENCES
from tests.reports.differences import DIFFERENCES as REPORTS


def test_the_page_is_current() -> None:
    """Else run ``python -m tests.docs.compatibility_cases``."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_listed_case_is_on_the_page() -> None:
    shown = PAGE.read_text(encoding="utf-8")
    cases = [case for d in (*DIFFERENCES, *REPORTS) for case in d.cases]
    assert [c for c in cases if f"`{c.replace('[?]', '?')}`" not in shown] == []


def test_rows_that_say_the_same_are_joined_and_others_keep_their_order() -> None:
    rows = [(["a"], "400", "fix", "x"), (["b"], "404", "fix", "y"), (["c"], "400", "fix", "x")]
    assert list(merged(rows)) == [(["a", "c"], "400", "fix", "x"), (["b"], "404", "fix", "y")]


def test_a_status_is_shown_in_place_of_what_differs() -> None:
    assert now(404, {"status", "body"}) == "404"
    assert now(None, {"type", "body"}) == "body, content type"
