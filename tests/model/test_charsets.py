"""What a column can hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.charsets import AUTHOR_MAX, CHARSETS, TextColumn, escaped

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("charset", "text", "foreign"),
    [
        ("latin1", "\u20acuro zo\u00eb \x81", None),
        ("latin1", "\u0141uk", "\u0141"),
        ("ascii", "zo\u00eb", "\u00eb"),
        ("utf8mb3", "\u0141\u6f22\uffff", None),
        ("utf8", "a\U0001f680b\U0001f681", "\U0001f680"),
        ("utf8mb4", "\U0001f680", None),
        ("koi8r", "\U0001f680", None),
        (None, "\U0001f680", None),
    ],
)
def test_the_first_character_that_is_lacking_is_named(
    charset: str | None, text: str, foreign: str | None
) -> None:
    """What is not known to lack anything holds everything."""
    why = TextColumn(charset).refusal(text)
    if foreign is None:
        assert why is None
    else:
        assert why == f"{text!r} has {foreign!r} (U+{ord(foreign):04X}), and {charset} lacks it"


@pytest.mark.parametrize(("size", "held"), [(9, True), (10, True), (11, False)])
def test_characters_are_counted(size: int, held: bool) -> None:
    why = TextColumn("utf8mb4", 10).refusal("\U0001f680" * size)
    assert (why is None) is held


def test_a_long_text_is_not_shown_whole() -> None:
    assert TextColumn("latin1", 99).refusal("x" * 5000) == (
        f"'{'x' * 40}'... has 5000 characters, and 99 fit"
    )


def test_a_long_name_fits_when_it_is_escaped() -> None:
    assert len(escaped("\U0001f680" * 512)) == AUTHOR_MAX


@given(text=TEXTS, charset=st.sampled_from(sorted(CHARSETS)))
def test_an_escaped_name_fits_any_character_set_and_stays_the_name(text: str, charset: str) -> None:
    """ASCII is left as it is, so a name becomes none that is another one without accents."""
    assert TextColumn(charset).refusal(escaped(text)) is None
    assert (escaped(text) == text) is text.isascii()
