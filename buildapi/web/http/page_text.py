"""Rendered pages without the values of their users, kept as long as the documents they show."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Mapping

import attrs
from markupsafe import escape

from buildapi.web.http.cache import Freshness, RecentValues
from buildapi.web.http.compression import SHORT
from buildapi.web.http.json_body import entity_tag
from buildapi.web.http.spliced_gzip import SplicedGzip

ENTRIES_MAX = 500
BYTES_MAX = 32 * 2**20
"""Bytes of memory that kept pages may take, by estimate."""

MARK_BYTES = 16
DIGITS = 2
"""Digits after the random part of a mark, which say whose mark it is."""
TOKEN = b"token"

SPLICED_FROM = 2
"""The first time that a page is asked for from which on it is compressed for all users at once."""


@attrs.define(eq=False)
class PageText:
    """The HTML of a page in pieces; every second one is the name of a value of the user.

    It has no such value, so that it may be filled with those of another user.
    """

    _pieces: list[bytes]
    _tag: bytes = attrs.field(init=False)
    _asked: int = attrs.field(default=0, init=False)
    _head: list[bytes] = attrs.field(factory=list, init=False)
    _spliced: SplicedGzip | None = attrs.field(default=None, init=False)
    _size: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._tag = entity_tag(b"\0".join(self._pieces))
        self._size = sum(map(len, self._pieces))

    @classmethod
    def rendered(cls, render: Callable[[Mapping[str, str]], bytes], names: list[str]) -> PageText:
        """Render a page in UTF-8 with marks in place of the values that have these names.

        The marks are random and of this page alone: no stored text can be taken for one.
        """
        mark = secrets.token_hex(MARK_BYTES)
        marks = {name: f"{mark}{number:0{DIGITS}}" for number, name in enumerate(names)}
        html = render(marks)
        if not marks:
            return cls([html])
        # Split at what the marks have in common: an expression of all takes twenty times as long.
        first, *rest = html.split(mark.encode())
        pieces = [first]
        for piece in rest:
            pieces += names[int(piece[:DIGITS])].encode(), piece[DIGITS:]
        return cls(pieces)

    @property
    def weight(self) -> int:
        """Return the bytes of memory that this takes, by estimate."""
        return self._size + 64 * len(self._pieces)

    def etag(self, who: str | None) -> bytes:
        """Return the entity tag of the page of a user; the CSRF token, which varies, is left out.

        It is weak, since compression changes the bytes.
        """
        if who is None:
            return self._tag
        return entity_tag(self._tag + who.encode(errors="surrogatepass"))

    def filled(self, values: Mapping[str, str]) -> bytes:
        """Return the page with the values of a user, escaped."""
        return _filled(self._pieces, _escaped(values))

    def packed(self, values: Mapping[str, str]) -> bytes | None:
        """Return the page of a user as gzip; None if that is quicker or possible only otherwise."""
        escaped = _escaped(values)
        word = escaped.get(TOKEN, b"")
        if self._size + len(self._pieces) // 2 * len(word) <= SHORT:
            return None
        self._asked += 1
        # The first time it takes as long as to compress the page, which a thread can do.
        if self._asked == SPLICED_FROM:
            self._splice(len(word))
        if self._spliced is None or self._spliced.size != len(word):
            return None
        return self._spliced.packed(_filled(self._head, escaped), word)

    def _splice(self, size: int) -> None:
        """Compress what follows the last value but tokens, which has a length of each user."""
        values = range(1, len(self._pieces), 2)
        last = max((i for i in values if self._pieces[i] != TOKEN), default=-1)
        rest = self._pieces[last + 1 :: 2]
        if len(rest) > 1:
            self._head = self._pieces[: last + 1]
            self._spliced = SplicedGzip.of(rest, size)


def _escaped(values: Mapping[str, str]) -> Mapping[bytes, bytes]:
    return {n.encode(): escape(v).encode(errors="replace") for n, v in values.items()}


def _filled(pieces: list[bytes], escaped: Mapping[bytes, bytes]) -> bytes:
    filled = pieces.copy()
    filled[1::2] = [escaped[name] for name in filled[1::2]]
    return b"".join(filled)


@attrs.define
class KeptPages:
    """Keep pages for ``seconds``, and no longer than the document they show may be served.

    ``clock`` returns seconds of the clock of the documents' cache.
    """

    _clock: Callable[[], float]
    _seconds: float
    _values: RecentValues[tuple[Freshness, PageText]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._values = RecentValues(
            self._clock, ENTRIES_MAX, BYTES_MAX, lambda held: held[1].weight
        )

    def fresh(self, key: Hashable, freshness: Freshness | None) -> PageText | None:
        """Return the page of a key if it shows the document of this freshness, else None."""
        held = self._values.fresh(key)
        if held is None or held[0] is not freshness:
            return None
        return held[1]

    def keep(self, key: Hashable, freshness: Freshness | None, text: PageText) -> None:
        """Keep a page, unless its document may not be served to others."""
        if freshness is not None and freshness.holds(self._clock()):
            # Pages of documents that were dropped would otherwise hold their memory.
            self._values.drop_stale()
            self._values.put(key, (freshness, text), self._seconds)
