"""CRCs of texts in which a word is exchanged, beside those of zlib."""

from __future__ import annotations

from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from buildapi.web.http.crc32 import ONE, UNIT, ZEROS, WordCRC, product

NUMBERS = st.integers(0, 2**32 - 1)


def test_the_unit_has_the_remainder_one() -> None:
    assert crc32(UNIT) ^ crc32(ZEROS) == ONE


@given(NUMBERS, NUMBERS, NUMBERS)
def test_products_are_those_of_polynomials(a: int, b: int, c: int) -> None:
    assert product(a, ONE) == product(ONE, a) == a
    assert product(a, b) == product(b, a)
    assert product(a, b ^ c) == product(a, b) ^ product(a, c)
    assert product(a, product(b, c)) == product(product(a, b), c)


@given(
    st.lists(st.binary(max_size=50), min_size=1, max_size=20),
    st.binary(max_size=50),
    st.integers(4, 40).flatmap(lambda n: st.lists(st.binary(min_size=n, max_size=n), min_size=2)),
)
def test_it_is_the_crc_of_the_whole_text_with_each_word(
    pieces: list[bytes], head: bytes, words: list[bytes]
) -> None:
    made = WordCRC.of(pieces, len(words[0]))
    for word in words:
        assert made.after(head, word) == crc32(head + word.join(pieces))
