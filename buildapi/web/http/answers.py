"""Cache JSON answers for a moment; identical concurrent reads share one query."""

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
class JSONBody:
    """An encoded JSON document and its entity tag."""

    body: bytes
    etag: bytes

    @classmethod
    def of(cls, value: Any) -> JSONBody:
        """Encode a value as a document."""
        body = encode(value)
        return cls(body, entity_tag(body))

    @property
    def value(self) -> Any:
        """Decode the document."""
        return json.loads(self.body)

    @property
    def pretty(self) -> str:
        """Return the document indented, for people to read."""
        value = self.value
        try:
            return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
        except TypeError:
            return json.dumps(value, indent=2, ensure_ascii=False)


def _says_something(value: Any) -> bool:
    """Return whether a value is worth caching: a lagging replica may have rows a second later."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def entity_tag(body: bytes) -> bytes:
    """Return the entity tag of a body; it is weak, since compression changes the bytes."""
    return b'W/"%s"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()


def encode(value: Any) -> bytes:
    """Encode a value as JSON, including huge numbers and lone surrogates of stored properties.

    Infinity and NaN become null, since JSON has no such numbers.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite).encode()


@attrs.define
class AnswerCache:
    """Cache documents for ``seconds``; empty ones are never kept.

    ``clock`` returns seconds of a monotonic clock.
    """

    _clock: Callable[[], float]
    _seconds: float
    _kept: OrderedDict[Hashable, tuple[float, JSONBody]] = attrs.field(
        factory=OrderedDict, init=False
    )
    _size: int = attrs.field(default=0, init=False)
    _age: int = attrs.field(default=0, init=False)
    _flying: dict[tuple[int, Hashable], list[defer.Deferred[JSONBody]]] = attrs.field(
        factory=dict, init=False
    )

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[Any]]) -> JSONBody:
        """Return the document of a key; compute it unless a fresh one is cached."""
        kept = self._kept.get(key)
        if kept is not None and self._clock() - kept[0] < self._seconds:
            return kept[1]
        waiting: defer.Deferred[JSONBody] = defer.Deferred(lambda _: None)
        flight = self._flying.get((self._age, key))
        if flight is None:
            self._flying[self._age, key] = [waiting]
            defer.ensureDeferred(self._fly(key, compute))
        else:
            flight.append(waiting)
        return await waiting

    def forget(self) -> None:
        """Drop all documents, and do not keep those still being computed (after a change)."""
        self._kept.clear()
        self._size, self._age = 0, self._age + 1

    async def _fly(self, key: Hashable, compute: Callable[[], Awaitable[Any]]) -> None:
        """Compute once for all waiters; cancelling one of them does not disturb the others."""
        age = self._age
        try:
            value = await compute()
            document = JSONBody.of(value)
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

    def _keep(self, key: Hashable, document: JSONBody) -> None:
        self._drop(key)
        self._kept[key] = (self._clock(), document)
        self._size += len(document.body)
        while self._kept and (len(self._kept) > ENTRIES_MAX or self._size > BYTES_MAX):
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._size -= len(old[1].body)
