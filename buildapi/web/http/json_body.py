"""JSON documents: a value beside the bytes and the entity tag that clients get."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import attrs
import orjson

from buildapi.model.json_types import JSONValue
from buildapi.web.http.cache import RecentValues, SingleFlightCache

ENTRIES_MAX = 1000
BYTES_MAX = 64 * 2**20
"""Bytes of memory that cached documents may take, by estimate."""

VALUE_FACTOR = 2
"""Memory of a value in units of its JSON: values of 65 MB stood beside 34 MB of JSON of builds."""

ROW_BYTES = 1500
"""Memory of a row of a list that only a page shows, by estimate: an item and its requests."""

TAG_DIGITS = 24
"""Hexadecimal digits of an entity tag: 96 bits, as documents are only compared with each other."""

CHARACTER_BYTES = 2
"""Memory of a character, by estimate: one byte to four [PEP 393]."""

M = TypeVar("M")


@attrs.frozen
class JSONBody:
    """A value, its JSON and the entity tag of that; pages are made from the value.

    The value may be cached, and so must not be changed.
    """

    value: JSONValue
    body: bytes
    etag: bytes
    _page_bytes: int = 0
    _made: dict[Hashable, Any] = attrs.field(factory=dict, init=False, eq=False, repr=False)

    @classmethod
    def of(cls, value: object) -> JSONBody:
        """Encode a value."""
        body = encode(value)
        return cls(value, body, entity_tag(body))

    @classmethod
    def of_page(cls, value: object, rows: int, text: int = 0) -> JSONBody:
        """Return a value of some rows that only a page shows: it has no JSON.

        ``text`` is the number of characters of long texts in it.
        """
        size = rows * ROW_BYTES + text * CHARACTER_BYTES
        return cls(value, b"", b"", page_bytes=size)

    def once(self, name: Hashable, make: Callable[[], M]) -> M:
        """Return what is made of the value, such as the rows of a page; make it once.

        It is kept as long as this is.
        """
        if name not in self._made:
            self._made[name] = make()
        made: M = self._made[name]
        return made

    @property
    def pretty(self) -> str:
        """Return the JSON indented, for people to read."""
        try:
            return orjson.dumps(self.value, option=orjson.OPT_INDENT_2).decode()
        except TypeError:
            return json.dumps(json.loads(self.body), indent=2, ensure_ascii=False)

    @property
    def weight(self) -> int:
        """Return the bytes of memory that this takes, by estimate."""
        return (1 + VALUE_FACTOR) * len(self.body) + self._page_bytes

    @property
    def has_content(self) -> bool:
        """Return whether there is anything in it."""
        value = self.value
        return any(value.values()) if isinstance(value, dict) else bool(value)


def entity_tag(body: bytes) -> bytes:
    """Return the entity tag of a body; it is weak, since compression changes the bytes."""
    # Most processors compute this digest by themselves: in 0.7 ms for a MB, BLAKE2 in 1.8 ms.
    return b'W/"%s"' % hashlib.sha256(body).hexdigest()[:TAG_DIGITS].encode()


def encode(value: object) -> bytes:
    """Encode a value as JSON, including huge numbers and lone surrogates of stored properties.

    Infinity and NaN become null, since JSON has no such numbers.
    """
    try:
        # orjson raises a TypeError for integers beyond 64 bits and lone surrogates [orjson, dumps].
        return orjson.dumps(value)
    except TypeError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite).encode()


def json_cache(clock: Callable[[], float], seconds: float) -> SingleFlightCache[JSONBody]:
    """Return a cache of JSON documents; ``clock`` returns seconds of a monotonic clock.

    Empty documents are not cached: a lagging replica may have rows a second later.
    """
    values = RecentValues[JSONBody](clock, ENTRIES_MAX, BYTES_MAX, lambda found: found.weight)
    return SingleFlightCache(values, seconds, lambda found: found.has_content)
