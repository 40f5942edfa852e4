"""Answer repeated reads before they are routed, from bytes that are ready to be sent.

The long way of a read parses, routes, authenticates, looks in the cache and renders headers, for
bytes that differ from the last ones only in date and request id.  An answer is kept here by its
handler's word alone: its reply carries the freshness of a cached document, which handlers set
where nothing but the URI and ``Accept`` decides (`Reply.freshness`).  Pages, which show their
user, are kept for that user alone, with the CSRF token in them.  Repeating it tells nothing about
it: a page of another site, which wants to learn a token from how well it is compressed beside
guesses in the URI [BREACH], must send another URI with each guess, and each has another token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs
from twisted.web.http import datetimeToString
from twisted.web.server import version as SERVER

from buildapi.web.http.cache import Freshness, RecentValues
from buildapi.web.http.client_limits import RATE_HEADERS
from buildapi.web.http.page_permissions import Reader
from buildapi.web.http.rendering import BODY_HEADERS, known

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

ENTRIES_MAX = 1000
BYTES_MAX = 32 * 2**20
"""Bytes of all bodies and headers, most of which are shared with the caches that they are from."""

BYTES_OF_USER = 2**16
"""Longer pages of users are not kept: each would take the place of many answers for all."""

ANYBODY: Reader = ("", ())
"""The reader of a document that is the same for everybody."""

# Set for each answer; the rest is the same as long as the document is.
EACH = {b"Connection", b"X-Request-Id", b"Server", b"Date", *RATE_HEADERS}

Asked = tuple[bytes, tuple[bytes, ...], tuple[bytes, ...]]
Key = tuple[Asked, Reader]


@attrs.frozen
class ReadyAnswer:
    """An answer of 200 as bytes, and its headers of 304; ``route`` is the path of its route.

    Its key names whom it is for.  One whose ``body`` is None was made of an answer of 304: it is
    for clients that have this version.
    """

    key: Key
    route: str
    etag: bytes
    head: bytes
    head_unchanged: bytes
    body: bytes | None
    freshness: Freshness

    @property
    def weight(self) -> int:
        """Return the bytes of memory that this takes."""
        (uri, accept, encodings), reader = self.key
        named = len(uri) + sum(map(len, accept + encodings)) + len(reader[0] if reader else "")
        return named + len(self.head) + len(self.head_unchanged) + len(self.body or b"")

    def fits(self, request: BuildAPIRequest) -> bool:
        """Return whether it answers a request with its key."""
        return not self.freshness.dropped and (self.body is not None or known(request, self.etag))

    def send(self, request: BuildAPIRequest) -> None:
        """Answer a request: 304 if its client has this version."""
        request.route, request.ready = self.route, True
        if self.body is None or known(request, self.etag):
            request.send(304, _head(request, self.head_unchanged), b"")
        else:
            request.send(200, _head(request, self.head), self.body)


@attrs.define
class ReadyAnswers:
    """Keep answers as long as the documents they were made from, within bounds.

    ``clock`` is that of the cache of the documents.
    """

    _clock: Callable[[], float]
    _held: RecentValues[ReadyAnswer] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._held = RecentValues(self._clock, ENTRIES_MAX, BYTES_MAX, lambda held: held.weight)

    def find(self, request: BuildAPIRequest, reader: Callable[[], Reader]) -> ReadyAnswer | None:
        """Return the answer that is ready for a request of a reader, if there is one."""
        asked = _asked(request)
        if asked is None:
            return None
        found = self._held.fresh((asked, ANYBODY)) or self._held.fresh((asked, reader()))
        return found if found is not None and found.fits(request) else None

    def keep(
        self, request: BuildAPIRequest, freshness: Freshness, body: bytes, reader: Reader
    ) -> None:
        """Keep the answer to a request, whose headers are set, as long as it is fresh.

        One of 304 is kept, too: where all clients have the current version, no other is sent.
        """
        asked, now = _asked(request), self._clock()
        etags = request.responseHeaders.getRawHeaders(b"etag", [])
        if asked is None or request.code not in (200, 304) or not (etags and freshness.holds(now)):
            return
        if reader not in (None, ANYBODY) and len(body) > BYTES_OF_USER:
            return
        lines = [
            (name, value)
            for name, values in request.responseHeaders.getAllRawHeaders()
            for value in values
            if name not in EACH
        ]
        unchanged = [line for line in lines if line[0].lower() not in BODY_HEADERS]
        answer = ReadyAnswer(
            (asked, reader),
            request.route,
            etags[0],
            _spelled(lines),
            _spelled(unchanged),
            None if request.code == 304 else body,
            freshness,
        )
        self._held.drop_stale()
        self._held.put(answer.key, answer, freshness.until - now)

    def forget(self) -> None:
        """Drop all answers (after a reload)."""
        self._held.drop()


def _asked(request: BuildAPIRequest) -> Asked | None:
    """Return what an answer depends on, but for its reader; None for what must go the long way.

    Those change something, name a user by a token, or come from a page of another site.
    """
    headers = request.requestHeaders
    if request.method not in (b"GET", b"HEAD") or request.refusal is not None:
        return None
    if headers.hasHeader(b"authorization") or headers.hasHeader(b"origin"):
        return None
    accept = tuple(headers.getRawHeaders(b"accept", ()))
    return request.uri, accept, tuple(headers.getRawHeaders(b"accept-encoding", ()))


def _head(request: BuildAPIRequest, lines: bytes) -> bytes:
    """Return the headers of an answer in the order of the long way."""
    connection = request.responseHeaders.getRawHeaders(b"connection", ())
    first = _spelled((b"Connection", value) for value in connection) if connection else b""
    trace, moment = request.trace.encode(), _moment(int(time.time()))
    return b"%bX-Request-Id: %b\r\n%b%b%b" % (first, trace, moment, request.rate_lines, lines)


def _spelled(lines: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % line for line in lines)


@lru_cache(maxsize=1)
def _moment(second: int) -> bytes:
    return _spelled([(b"Server", SERVER), (b"Date", datetimeToString(second))])
