"""Encode JSON for files: keys sorted, indented or compact, long lists piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import attrs
import orjson


def encoded(value: object, *, compact: bool) -> bytes:
    """Encode a value, also huge integers and lone surrogates, which orjson refuses."""
    options = orjson.OPT_SORT_KEYS | (0 if compact else orjson.OPT_INDENT_2)
    try:
        return orjson.dumps(value, option=options)
    # json.dumps() escapes all but ASCII, so that the pieces may differ in form, but not in meaning.
    except TypeError:
        separators = (",", ":") if compact else (",", ": ")
        indent = None if compact else 2
        text = json.dumps(value, sort_keys=True, indent=indent, separators=separators)
        return text.encode()


@attrs.define
class ListDocument:
    """A document with one long list, encoded without having all of it in memory.

    The pieces together equal what ``encoded`` returns for the whole; the keys that follow the
    list must sort after its own.
    """

    _name: str
    _compact: bool = False
    _empty: bool = attrs.field(default=True, init=False)

    def head(self) -> bytes:
        """Return the beginning of the document, up to the list."""
        name = encoded(self._name, compact=True)
        return b"{%s:[" % name if self._compact else b"{\n  %s: [" % name

    def items(self, values: Iterable[object]) -> bytes:
        """Encode the next values of the list."""
        return b"".join(map(self._item, values))

    def _item(self, value: object) -> bytes:
        text = encoded(value, compact=self._compact)
        comma, self._empty = b"" if self._empty else b",", False
        return comma + text if self._compact else comma + b"\n    " + _deeper(text, b"    ")

    def tail(self, rest: Mapping[str, object]) -> bytes:
        """Return the end of the list and the keys that follow it."""
        text = encoded(dict(rest), compact=self._compact)
        # orjson writes an empty list as [] also when it indents.
        end = b"]" if self._compact or self._empty else b"\n  ]"
        return end + (b"," + text[1:] if rest else text[1:] if self._compact else b"\n}")


def _deeper(text: bytes, indent: bytes) -> bytes:
    """Indent all lines after the first; JSON strings contain no line feeds."""
    return text.replace(b"\n", b"\n" + indent)
