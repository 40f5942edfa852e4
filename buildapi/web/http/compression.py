"""Compress bodies: the same content once, and long bodies in a thread."""

from __future__ import annotations

import gzip
import math
from collections.abc import Hashable
from functools import partial

import attrs
from twisted.internet import defer, threads

from buildapi.web.http.cache import RecentValues, SingleFlight

LEVEL = 5

LEVEL_ONCE = 3
"""For long bodies that are sent once: a page of 250 rows takes half the time, and 36 kB for 30."""

SHORT = 2**15
"""Bytes of a body that is compressed on the reactor, which takes a quarter of a millisecond."""

THREADS = 2
"""Bodies that are compressed at a time, each in a thread of the reactor's pool."""

WAITING_MAX = 50
"""Long bodies in hand beyond which further ones are sent as they are."""

ENTRIES_MAX = 1000
BYTES_MAX = 16 * 2**20
"""Compressed bytes that are kept."""


def compressed(body: bytes, level: int = LEVEL) -> bytes:
    """Return a body as gzip, the same bytes each time."""
    return gzip.compress(body, level, mtime=0)


@attrs.define
class Compressor:
    """Compress bodies, and keep the bytes of those that are named by their content."""

    _kept: RecentValues[bytes] = attrs.field(
        # What a digest names never changes: nothing is stale, and the clock may stand still.
        factory=lambda: RecentValues[bytes](lambda: 0.0, ENTRIES_MAX, BYTES_MAX, len),
        init=False,
    )
    _flights: SingleFlight[bytes] = attrs.field(factory=SingleFlight, init=False)
    _free: defer.DeferredSemaphore = attrs.field(
        factory=lambda: defer.DeferredSemaphore(THREADS), init=False
    )

    async def gzip(self, body: bytes, digest: bytes | None) -> bytes | None:
        """Return a body as gzip, None while too many wait.

        ``digest`` names its content; None for what is not to be kept.
        """
        kept = None if digest is None else self._kept.fresh(digest)
        if kept is not None:
            return kept
        if len(body) <= SHORT:
            found = compressed(body)
            if digest is not None:
                self._keep(digest, found)
            return found
        key: Hashable = object() if digest is None else digest
        if key not in self._flights and len(self._flights) >= WAITING_MAX:
            return None
        level = LEVEL_ONCE if digest is None else LEVEL
        return await self._flights.get(
            key, partial(self._in_thread, body, level), partial(self._keep, digest)
        )

    async def _in_thread(self, body: bytes, level: int) -> bytes:
        # zlib lets other threads run meanwhile [Python, zlib.compressobj].
        return await self._free.run(threads.deferToThread, compressed, body, level)

    def _keep(self, digest: bytes | None, found: bytes) -> None:
        if digest is not None:
            self._kept.put(digest, found, math.inf)
