"""Hot answers: identical concurrent reads share one query, and live for a moment."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import attrs
import orjson
from twisted.internet import defer

ENTRIES_MAX = 1000
BYTES_MAX = 64 * 2**20


@attrs.frozen
class Document:
    """A JSON document, encoded, with its entity tag."""

    body: bytes
    etag: bytes

    @classmethod
    def of(cls, value: Any) -> Document:
        """Encode a value."""
        body = encode(value)
        return cls(body, entity_tag(body))

    @property
    def value(self) -> Any:
        """Decode it."""
        return json.loads(self.body)

    @property
    def pretty(self) -> str:
        """Give it for people to read."""
        value = self.value
        try:
            return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
        except TypeError:
            return json.dumps(value, indent=2, ensure_ascii=False)


def _says_something(value: Any) -> bool:
    """Tell what is worth keeping: a replica may lack now what it has in a second."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def entity_tag(body: bytes) -> bytes:
    """Make the tag of a body; it is weak, as compression changes the bytes."""
    return b'W/"%s"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()


def encode(value: Any) -> bytes:
    """Encode as JSON, also what stored properties may hold: huge numbers, lone surrogates.

    Infinity and NaN are null: JSON has no such numbers.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite).encode()


@attrs.define
class Answers:
    """Keep documents for ``seconds``; empty ones are never kept.

    ``clock`` gives seconds on any scale that does not go back.
    """

    _clock: Callable[[], float]
    _seconds: float
    _kept: OrderedDict[Hashable, tuple[float, Document]] = attrs.field(
        factory=OrderedDict, init=False
    )
    _size: int = attrs.field(default=0, init=False)
    _age: int = attrs.field(default=0, init=False)
    _flying: dict[tuple[int, Hashable], list[defer.Deferred[Document]]] = attrs.field(
        factory=dict, init=False
    )

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[Any]]) -> Document:
        """Give the document of a key, computing its value where none is fresh."""
        kept = self._kept.get(key)
        if kept is not None and self._clock() - kept[0] < self._seconds:
            return kept[1]
        waiting: defer.Deferred[Document] = defer.Deferred(lambda _: None)
        flight = self._flying.get((self._age, key))
        if flight is None:
            self._flying[self._age, key] = [waiting]
            defer.ensureDeferred(self._fly(key, compute))
        else:
            flight.append(waiting)
        return await waiting

    def forget(self) -> None:
        """Drop everything, also what is being computed: something has changed."""
        self._kept.clear()
        self._size, self._age = 0, self._age + 1

    async def _fly(self, key: Hashable, compute: Callable[[], Awaitable[Any]]) -> None:
        """Compute once for all who wait; one of them going away does not disturb the others."""
        age = self._age
        try:
            value = await compute()
            document = Document.of(value)
        except Exception as e:
            for waiting in self._flying.pop((age, key)):
                if not waiting.called:
                    waiting.errback(e)
            return
        if _says_something(value) and age == self._age:
            self._keep(key, document)
        for waiting in self._flying.pop((age, key)):
            if not waiting.called:
                waiting.callback(document)

    def _keep(self, key: Hashable, document: Document) -> None:
        self._drop(key)
        self._kept[key] = (self._clock(), document)
        self._size += len(document.body)
        while self._kept and (len(self._kept) > ENTRIES_MAX or self._size > BYTES_MAX):
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._size -= len(old[1].body)
