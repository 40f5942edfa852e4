"""Compressed bodies: made once, long ones in a thread, and never more in hand than a bound."""

from __future__ import annotations

import gzip
import threading
from typing import Any

import pytest
from twisted.internet import defer

from buildapi.web.http import compression
from buildapi.web.http.compression import Compressor
from tests.reactor import twisted_test
from tests.web.asking import result

LONG = b"0123456789" * compression.SHORT


def begun(work: Any) -> defer.Deferred[Any]:
    return defer.ensureDeferred(work)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return whether each compression ran in the thread of the reactor."""
    seen: list[bool] = []
    plain = compression.compressed

    def counted(body: bytes, level: int = compression.LEVEL) -> bytes:
        seen.append(threading.current_thread() is threading.main_thread())
        return plain(body, level)

    monkeypatch.setattr(compression, "compressed", counted)
    return seen


def test_what_is_named_by_its_content_is_compressed_once(calls: list[bool]) -> None:
    made = Compressor()
    first, second = (result(begun(made.gzip(b"x" * 99, b"tag"))) for _ in range(2))
    assert first is second
    assert (gzip.decompress(first), calls) == (b"x" * 99, [True])


def test_what_has_no_name_is_not_kept(calls: list[bool]) -> None:
    made = Compressor()
    for _ in range(2):
        assert gzip.decompress(result(begun(made.gzip(b"x" * 99, None)))) == b"x" * 99
    assert len(calls) == 2


@twisted_test()
async def test_what_is_sent_once_takes_less_time_to_compress(calls: list[bool]) -> None:
    made, long = Compressor(), b"".join(b"<td>%d</td>" % (n * n) for n in range(9999))
    once, often = await begun(made.gzip(long, None)), await begun(made.gzip(long, b"tag"))
    assert once is not None
    assert once == compression.compressed(long, compression.LEVEL_ONCE) != often
    assert gzip.decompress(once) == long


@twisted_test()
async def test_long_bodies_are_compressed_in_a_thread_and_once_at_a_time(
    calls: list[bool],
) -> None:
    made = Compressor()
    waiting = [begun(made.gzip(LONG, b"tag")) for _ in range(3)]
    found = [await w for w in waiting]
    assert gzip.decompress(found[0]) == LONG
    assert [one is found[0] for one in found] == [True] * 3
    assert await made.gzip(LONG, b"tag") is found[0]
    assert calls == [False]


@twisted_test()
async def test_a_client_that_leaves_disturbs_no_other(calls: list[bool]) -> None:
    made = Compressor()
    first, second = (begun(made.gzip(LONG, b"tag")) for _ in range(2))
    first.addErrback(lambda failure: failure.trap(defer.CancelledError))
    first.cancel()
    assert gzip.decompress(await second) == LONG
    assert calls == [False]


@twisted_test()
async def test_beyond_the_bound_long_bodies_are_not_compressed() -> None:
    made = Compressor()
    waiting = [begun(made.gzip(LONG, None)) for _ in range(compression.WAITING_MAX)]
    assert await made.gzip(LONG, b"tag") is None
    assert await made.gzip(b"short", b"other") is not None
    for one in waiting:
        assert gzip.decompress(await one) == LONG
    assert await made.gzip(LONG, b"tag") is not None


def test_the_kept_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "BYTES_MAX", 100)
    made = Compressor()
    for n in range(50):
        result(begun(made.gzip(b"%d" % n, b"%d" % n)))
    assert 1 <= len(made._kept) <= 100 // 20
    assert made._kept._weight <= 100
