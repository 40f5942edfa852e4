"""A text that is compressed once, with another word for each reader."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.web.http.spliced_gzip import NOT_TEXT, STAND_IN, WORD_MAX, SplicedGzip

WORDS = (b"0" * 128, b"0123456789abcdef" * 8, b"value=\"'<>&#; " * 9 + b"ab")


def packed(pieces: list[bytes], word: bytes, head: bytes = b"head ") -> bytes | None:
    """Return what a reader unpacks; None if it cannot be packed like this."""
    spliced = SplicedGzip.of(pieces, len(word))
    if spliced is None:
        return None
    return gzip.decompress(spliced.packed(head, word))


@given(
    st.lists(st.text().map(lambda text: text.encode(errors="replace")), min_size=2, max_size=30),
    st.sampled_from(WORDS),
    st.text().map(lambda text: text.encode(errors="replace")),
)
def test_every_reader_unpacks_the_own_text(pieces: list[bytes], word: bytes, head: bytes) -> None:
    # None: pieces so short that zlib repeats a part of the stand-in instead of referring to it.
    assert packed(pieces, word, head) in (None, head + word.join(pieces))


@pytest.mark.parametrize("word", WORDS)
def test_a_page_of_many_forms_is_packed_as_small_as_ever(word: bytes) -> None:
    form = b'<form action="/self-serve/try/build/%d"><input name="csrf_token" value="'
    pieces = [form % number for number in range(500)] + [b'"></form>']
    spliced = SplicedGzip.of(pieces, len(word))
    assert spliced is not None
    found = spliced.packed(b"", word)
    assert gzip.decompress(found) == word.join(pieces)
    assert len(found) < 1.1 * len(gzip.compress(word.join(pieces), 5)) + 2 * len(word)
    assert found.count(word) == 1
    assert spliced.packed(b"", word[::-1]).count(word[::-1]) == 1


def test_words_too_far_apart_or_too_long_are_not_packed_so() -> None:
    far = bytes(range(32, 127)) * 400
    assert packed([b"a", far, b"b"], WORDS[0]) is None
    assert packed([far, b"b"], WORDS[0]) is not None, "one place needs no reference"
    assert SplicedGzip.of([b"a", b"b"], WORD_MAX + 1) is None
    assert SplicedGzip.of([b"a", b"b"], 3) is None


def test_the_stand_in_is_no_text_and_is_like_nothing_but_itself() -> None:
    assert set(STAND_IN) <= set(NOT_TEXT)
    threes = [STAND_IN[i : i + 3] for i in range(len(STAND_IN) - 2)]
    assert len(set(threes)) == len(threes)
    assert len(STAND_IN) == WORD_MAX
