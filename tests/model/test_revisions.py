"""Only a hash is given by its beginning; everything else means itself alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.revisions import (
    RevisionMatch,
    ambiguity,
    distinct,
    longest_spelling,
    same_revision,
    short_revision,
)

HASH = "abcdef0123456789abcdef0123456789abcdef01"


def choose(text: str, *stored: str) -> tuple[list[str], list[str]]:
    meant, between = RevisionMatch(text).choose(stored, str)
    return meant, list(between)


@pytest.mark.parametrize(
    ("text", "stored", "fits"),
    [
        (HASH[:12], HASH, True),
        (HASH, HASH[:12], True),
        (HASH[:12].upper(), HASH, True),
        (HASH[:11], HASH, False),
        (HASH[:11], HASH[:11], True),
        ("1234", "12345", False),
        ("1234", "1234", True),
        ("release-12345678-b", "release-12345678-c", False),
        ("Release", "release", False),
        ("%", "abc", False),
        ("a_c", "abc", False),
        (HASH[:12], None, False),
        ("123456789012", "1234567890123", True),
    ],
)
def test_a_revision_is_a_prefix_only_where_it_has_twelve_hexadecimal_digits(
    text: str, stored: str | None, fits: bool
) -> None:
    assert RevisionMatch(text).fits(stored) is fits


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_any_text_fits_itself_and_only_hashes_fit_longer_ones(text: str, more: str) -> None:
    wanted = RevisionMatch(text)
    assert wanted.fits(text)
    assert wanted.fits(text + more) is (more == "" or wanted.prefix is not None)


def test_more_characters_decide_where_twelve_fit_two_revisions() -> None:
    one, other = HASH[:12] + "1" * 28, HASH[:12] + "2" * 28
    assert choose(HASH[:12], one, other) == ([one, other], [one, other])
    assert choose(HASH[:12] + "1", one, other) == ([one], [])
    assert choose(one, one, other) == ([one], [])
    assert choose(HASH[:12] + "3" * 28, one, other) == ([], [])


def test_twelve_characters_decide_where_they_fit_one_revision() -> None:
    """What is behind them is not compared then, as of old."""
    assert choose(HASH[:12] + "f" * 28, HASH) == ([HASH], [])


def test_a_hash_and_its_beginning_are_one_revision() -> None:
    assert choose(HASH[:12], HASH[:12], HASH, HASH.upper()) == ([HASH[:12], HASH, HASH.upper()], [])
    assert distinct([HASH[:12], HASH, HASH[:20]]) == [HASH]


def test_only_hashes_are_shortened() -> None:
    assert short_revision(HASH) == HASH[:12]
    assert short_revision("FIREFOX_3_6_RELEASE") == "FIREFOX_3_6_RELEASE"


def test_the_words_name_what_is_not_decided() -> None:
    assert ambiguity("abc", ()) == ""
    assert ambiguity("abc", ["abc1", "abc2"]) == "Revision abc fits 2 revisions: abc1, abc2"


SHORT = "abcdef012345"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (SHORT, SHORT + "6" * 28, True),
        (SHORT.upper(), SHORT + "6" * 28, True),
        (SHORT + "6", SHORT + "66", True),
        (SHORT + "6" * 28, SHORT + "7" * 28, False),
        (SHORT[:11], SHORT, False),
        (SHORT, SHORT + "g", False),
        ("tip", "tip", True),
        ("tip", "Tip", False),
        ("1234", "12345", False),
    ],
)
def test_a_hash_and_its_abbreviation_are_the_same(one: str, other: str, same: bool) -> None:
    assert same_revision(one, other) is same_revision(other, one) is same


def test_the_longest_spelling_is_that_of_one_revision() -> None:
    whole = SHORT + "6" * 28
    assert longest_spelling([SHORT, whole, SHORT + "6"]) == whole
    assert longest_spelling([SHORT, whole, SHORT + "7"]) is None
    assert longest_spelling(["tip"]) == "tip"
