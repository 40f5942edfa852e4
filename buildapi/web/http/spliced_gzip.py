"""Compress a text once for many readers, who differ in one word of it (RFC 1951 and 1952).

A page of a user has the CSRF token in hundreds of places, and its value differs each time. The
page is compressed with a stand-in of the same length.  Where that first occurs, the compressed
data is left out and the token goes in, as a stored block; all later places are references to that
place or the one before, so that they say the token without containing it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import attrs

from buildapi.web.http.crc32 import UNIT, WordCRC

LEVEL = 5
RAW = -15
"""zlib's number for deflate without a header, with a window of 32 kB."""

HEADER = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))

NOT_TEXT = bytes(range(0xFF, 0xF7, -1))
"""Bytes that UTF-8 never contains [RFC 3629, section 1]."""

WORD_MAX = 200


def _stand_in() -> bytes:
    """Return a text in which no three bytes occur twice, so that it only ever matches itself.

    It is the beginning of a de Bruijn sequence: the first byte that makes three new ones.
    """
    found, seen = NOT_TEXT[-1:] * 2, set[bytes]()
    while len(found) < WORD_MAX:
        following = (found[-2:] + bytes([byte]) for byte in NOT_TEXT)
        found += next(three for three in following if three not in seen)[-1:]
        seen.add(found[-3:])
    return found


STAND_IN = _stand_in()


@attrs.frozen
class SplicedGzip:
    """The compressed data of a text before and after the first place of a word."""

    before: bytes
    after: bytes
    size: int
    length: int
    crc: WordCRC

    @classmethod
    def of(cls, pieces: Sequence[bytes], size: int) -> SplicedGzip | None:
        """Compress pieces of UTF-8 between which there is a word of ``size`` bytes.

        Return None if zlib did not refer to the word before in all its places: they are more than
        32 kB apart, or follow each other at once.
        """
        if not len(UNIT) <= size <= WORD_MAX:
            return None
        word = STAND_IN[:size]
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW)
        before = packer.compress(pieces[0]) + packer.flush(zlib.Z_SYNC_FLUSH)
        # Left out, but the packer must know it, as the one who unpacks does.
        _ = packer.compress(word) + packer.flush(zlib.Z_SYNC_FLUSH)
        after = packer.compress(word.join(pieces[1:])) + packer.flush()
        length = sum(map(len, pieces)) + size * (len(pieces) - 1)
        found = cls(before, after, size, length, WordCRC.of(pieces, size))
        return found if found._says(pieces, b"~" * size) else None

    def _says(self, pieces: Sequence[bytes], word: bytes) -> bool:
        """Return whether no place has the stand-in itself instead of a reference."""
        try:
            return zlib.decompress(self._deflated(b"", word), RAW) == word.join(pieces)
        except zlib.error:
            return False

    def packed(self, head: bytes, word: bytes) -> bytes:
        """Return gzip data of a head, and this text with a word of the right size."""
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW)
        # Flushed to a byte; what follows has no references into the head.
        begun = packer.compress(head) + packer.flush(zlib.Z_SYNC_FLUSH)
        size = len(head) + self.length
        tail = struct.pack("<II", self.crc.after(head, word), size & 0xFFFFFFFF)
        return b"".join((HEADER, self._deflated(begun, word), tail))

    def _deflated(self, begun: bytes, word: bytes) -> bytes:
        stored = b"\0" + struct.pack("<HH", len(word), len(word) ^ 0xFFFF) + word
        return b"".join((begun, self.before, stored, self.after))
