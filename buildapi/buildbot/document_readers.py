"""Read the documents of the directory from files and URLs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Thread
from time import monotonic
from urllib.parse import urljoin, urlsplit

import attrs
from twisted.internet import defer
from twisted.python.failure import Failure

from buildapi.buildbot.http_fetch import Fetcher, FetchError
from buildapi.reactor_time import ThreadedReactor, timeout

LIMIT = 64 * 2**20
"""Maximum bytes of a document."""

REDIRECTS_MOST = 3
# Not 300, which names several targets, nor 304, which answers a condition (RFC 9110, 15.4).
REDIRECTS = (301, 302, 303, 307, 308)


def reader(
    location: str | None, fetcher: Fetcher, seconds: float, reactor: ThreadedReactor
) -> Callable[[], Awaitable[bytes]]:
    """Return a function that reads a file path or an http(s) URL within ``seconds``.

    Without a location it returns an empty list.
    """
    if location is None:
        return _nothing
    if location.startswith(("http://", "https://")):
        return lambda: _from_url(location, fetcher, seconds)
    return FileReader(Path(location), seconds, reactor)


async def _nothing() -> bytes:
    return b"[]"


@attrs.define
class FileReader:
    """Read a file, each time within ``seconds``.

    A read that hangs, as on a network share that does not respond, keeps its thread: until it ends,
    others are refused, so that there is never more than one.
    """

    _path: Path
    _seconds: float
    _reactor: ThreadedReactor
    _reading: bool = False

    async def __call__(self) -> bytes:
        """Return the content of the file.

        :raises OSError: it cannot be read.
        :raises FetchError: it takes too long, or is larger than ``LIMIT``.
        """
        if self._reading:
            raise FetchError("an earlier read of the file has not ended", timed_out=True)
        self._reading = True
        answer: defer.Deferred[bytes] = defer.Deferred()
        # Not a thread of the reactor's pool, which waits for all of its threads before the process
        # can end [Twisted, ThreadPool.stop].
        Thread(target=self._read, args=(answer,), name="read document", daemon=True).start()
        try:
            return await timeout(answer, self._seconds, self._reactor)
        except defer.TimeoutError as e:
            raise FetchError(f"not read within {self._seconds:g} s", timed_out=True) from e

    def _ended(self, answer: defer.Deferred[bytes], result: bytes | Failure) -> None:
        self._reading = False
        if not answer.called:
            answer.callback(result)

    # --- in a thread

    def _read(self, answer: defer.Deferred[bytes]) -> None:
        result: bytes | Failure
        try:
            with self._path.open("rb") as file:
                result = file.read(LIMIT + 1)
            if len(result) > LIMIT:
                raise FetchError(f"more than {LIMIT} bytes")
        except Exception:
            result = Failure()
        self._reactor.callFromThread(self._ended, answer, result)


async def _from_url(url: str, fetcher: Fetcher, seconds: float) -> bytes:
    """Read a URL, following redirects, within ``seconds`` in all."""
    end, at, left = monotonic() + seconds, url, seconds
    for _ in range(1 + REDIRECTS_MOST):
        answer = await fetcher.request("GET", at, seconds=left, limit=LIMIT)
        if answer.code not in REDIRECTS:
            break
        at, left = redirected(at, answer.location), max(0.0, end - monotonic())
    else:
        raise FetchError(f"more than {REDIRECTS_MOST} redirects, the last one to {at}")
    if answer.code != 200:
        raise FetchError(f"HTTP {answer.code}" + (f" from {at}" if at != url else ""))
    return answer.body


def redirected(url: str, location: str | None) -> str:
    """Return the target of a redirect: the same scheme, or https.

    Requests carry no credentials, before or after, so none can reach another host.

    :raises FetchError: there is no target, or one that is not allowed.
    """
    if not location:
        raise FetchError("a redirect without Location")
    try:
        # Location may be a relative reference (RFC 9110, 10.2.2).
        target = urljoin(url, location)
        parts = urlsplit(target)
        # urlsplit checks the port only when it is read (urllib.parse, ValueError).
        _ = parts.port
    except ValueError as e:
        raise FetchError("a redirect to an invalid URL") from e
    # A user name would be sent as a login, and shown with the URL in log and status
    # [docs/configuration.md, "[directory]"].
    if not parts.hostname or "@" in parts.netloc or not target.isascii():
        raise FetchError(
            "a redirect to a URL that is not allowed (expected a host, no user name, only ASCII)"
        )
    # From https to http anybody on the way could replace the list of masters.
    if parts.scheme not in (urlsplit(url).scheme, "https"):
        raise FetchError(
            f"a redirect from {urlsplit(url).scheme} to {parts.scheme} is not followed"
        )
    return parts._replace(fragment="").geturl()
