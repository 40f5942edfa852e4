"""JSON documents: their bytes, tags and values, and which of them are cached."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred, succeed

from buildapi.web.http import json_body as module
from buildapi.web.http.json_body import JSONBody, encode, json_cache
from tests.web.asking import failed, result


@pytest.mark.parametrize(
    ("value", "reads"),
    [("x", 1), ({"a": 0, "b": 1}, 1), ([], 2), ({}, 2), (None, 2), ({"a": [], "b": []}, 2)],
)
def test_an_empty_document_is_not_cached(value: Any, reads: int) -> None:
    cache, read = json_cache(lambda: 0.0, 2), list[int]()

    async def compute() -> JSONBody:
        read.append(1)
        return JSONBody.of(value)

    for _ in range(2):
        assert result(ensureDeferred(cache.get("k", compute))).value == value
    assert len(read) == reads


def test_cached_documents_and_their_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_MAX", 300)
    cache, document = (
        json_cache(lambda: 0.0, 2),
        JSONBody.of("x" * 38),
    )  # 40 bytes, 120 with its value
    for key in "abca":
        result(ensureDeferred(cache.get(key, lambda: succeed(document))))
    assert list(cache._values._held) == ["c", "a"]


def test_what_cannot_be_encoded_is_a_failure_of_all_who_wait() -> None:
    async def compute() -> JSONBody:
        return JSONBody.of(object())

    cache = json_cache(lambda: 0.0, 2)
    assert isinstance(failed(ensureDeferred(cache.get("k", compute))), TypeError)


def test_a_document_has_its_value() -> None:
    assert JSONBody.of({"a": [1]}).value == {"a": [1]}


def test_equal_values_have_equal_tags() -> None:
    one, same, other = (JSONBody.of(v) for v in ({"a": 1}, {"a": 1}, {"a": 2}))
    assert one.etag == same.etag != other.etag
    assert one.etag.startswith(b'W/"')


def test_numbers_that_json_lacks_are_null() -> None:
    odd = [float("inf"), -float("inf"), float("nan")]
    assert json.loads(encode(odd)) == [None] * 3
    assert json.loads(encode([*odd, 10**40])) == [None, None, None, 10**40]


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSONISH)
def test_whatever_is_stored_can_be_encoded(value: Any) -> None:
    assert json.loads(encode(value)) == value
    assert JSONBody.of(value).pretty.encode(errors="replace")
