"""Where the documents of the directory come from: files and URLs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.internet.threads import deferToThread

from buildapi.buildbot.fetch import Fetcher, FetchError

LIMIT = 64 * 2**20
"""Bytes of the largest document taken."""


def reader(
    location: str | None, fetcher: Fetcher, seconds: float
) -> Callable[[], Awaitable[bytes]]:
    """Give a function that reads a file path or an http(s) URL within ``seconds``.

    No location stands for an empty list.
    """
    if location is None:
        return _nothing
    if location.startswith(("http://", "https://")):
        return lambda: _from_url(location, fetcher, seconds)
    return lambda: deferToThread(Path(location).read_bytes)


async def _nothing() -> bytes:
    return b"[]"


async def _from_url(url: str, fetcher: Fetcher, seconds: float) -> bytes:
    answer = await fetcher.request("GET", url, seconds=seconds, limit=LIMIT)
    if answer.code != 200:
        raise FetchError(f"HTTP {answer.code}")
    return answer.body
