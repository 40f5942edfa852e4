"""The CRC-32 of a text whose parts are known, without another look at all of its bytes.

The CRC of gzip [RFC 1952, 8] is the remainder of the text, as a polynomial over two elements, by a
fixed one, but for constants: so parts can be exchanged by adding a product. Numbers here are such
polynomials, whose bit 31 is the coefficient of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import attrs

POLYNOMIAL = 0xEDB88320
ONE = 0x80000000

UNIT = bytes.fromhex("d38f355b")
"""The four bytes whose remainder is 1: they make the CRC differ by ONE from that of four zeros."""
ZEROS = bytes(len(UNIT))


def product(a: int, b: int) -> int:
    """Return the product of two polynomials, modulo that of CRC-32."""
    found = 0
    while a:
        if a & ONE:
            found ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (POLYNOMIAL if b & 1 else 0)
    return found


@attrs.frozen
class WordCRC:
    """The CRC of a text with a word in many places, for other words of the same size."""

    _of_zeros: int
    _places: int
    _shift: int
    _zeros: int

    @classmethod
    def of(cls, pieces: Sequence[bytes], size: int) -> WordCRC:
        """Look at pieces between which there is a word of ``size`` bytes, at least four."""
        zeros = bytes(size)
        text = zeros.join(pieces)
        found = crc32(text)
        # What a difference of 1 at the end of each word makes, and one before the text.
        places = found ^ crc32((zeros[: -len(UNIT)] + UNIT).join(pieces))
        shift = crc32(text, crc32(UNIT)) ^ crc32(text, crc32(ZEROS))
        return cls(found, places, shift, crc32(zeros))

    def after(self, head: bytes, word: bytes) -> int:
        """Return the CRC of a head and the text with this word."""
        text = self._of_zeros ^ product(self._places, crc32(word) ^ self._zeros)
        return product(self._shift, crc32(head)) ^ text
