"""Which texts a column can hold, by its character set and its length, as MySQL names them."""

from __future__ import annotations

from collections.abc import Callable

import attrs

BMP_MAX = "\uffff"
"""The last character of Unicode's Basic Multilingual Plane, which needs three bytes of UTF-8."""

# Source: MySQL, West European Character Sets.
_CP1252_HOLES = "\x81\x8d\x8f\x90\x9d"
"""What Windows-1252 leaves undefined, and MySQL's latin1 takes as controls."""

AUTHOR_MAX = 1024
"""Characters of the author of a change in the scheduler database."""

SHOWN = 40
"""Characters of a text that are shown with what is wrong with it."""


def _in_latin1(char: str) -> bool:
    """Return whether MySQL's latin1, which is Windows-1252, has a character."""
    try:
        char.encode("cp1252")
    except UnicodeEncodeError:
        return char in _CP1252_HOLES
    return True


def _in_bmp(char: str) -> bool:
    return char <= BMP_MAX


CHARSETS: dict[str, Callable[[str], bool]] = {
    "ascii": str.isascii,
    "latin1": _in_latin1,
    # Only an alias of utf8mb3 (MySQL, The utf8 Character Set).
    "utf8": _in_bmp,
    "utf8mb3": _in_bmp,
    "ucs2": _in_bmp,
}
"""Character sets that are known to lack something; any other is taken to have everything."""


@attrs.frozen
class TextColumn:
    """What a column for texts can hold; ``length`` is in characters, None is no bound."""

    charset: str | None = None
    length: int | None = None

    def refusal(self, text: str) -> str | None:
        """Return why it cannot hold a text; None: it can."""
        if self.length is not None and len(text) > self.length:
            return f"{_shown(text)} has {len(text)} characters, and {self.length} fit"
        has = CHARSETS.get(self.charset or "")
        if has is None or text.isascii():
            return None
        foreign = next((char for char in text if not has(char)), None)
        if foreign is None:
            return None
        return f"{_shown(text)} has {foreign!r} (U+{ord(foreign):04X}), and {self.charset} lacks it"


def _shown(text: str) -> str:
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r}..."


def escaped(who: str) -> str:
    r"""Spell in ASCII who made a change, as in ``\u0141uk``; what is past the column is cut.

    Without accents it could be the name of somebody else.
    """
    return who.encode("ascii", "backslashreplace").decode()[:AUTHOR_MAX]
