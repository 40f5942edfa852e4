"""Serve the dump files of builds, compressed ones as gzip-coded JSON where accepted."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs
from twisted.internet import defer
from twisted.web import http

from buildapi.errors import NotFound
from buildapi.reactor_time import ReactorTime
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.negotiation import names
from buildapi.web.http.rendering import JSON_TYPE, SAFE, Page, Reply, known
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.ops.documents import DumpFileDocument, DumpsDocument

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

TYPES = {"js": JSON_TYPE, "json": JSON_TYPE, "gz": "application/gzip"}
"""Media types by file name extension."""

COMPRESSED_JSON = (".js.gz", ".json.gz")
"""Files that have two representations of the same bytes [RFC 9110, 8.4 and 12.5.3].

To a client that accepts the coding gzip it is JSON in that coding, as web servers have always
sent these files.  To any other it is the compressed file, which is saved as a .gz.
"""

# No slash, and no dot at the start, as the names of unfinished files have (AtomicFile).
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.(js|json|gz)")

CHUNK = 2**16
SILENT_SECONDS = 60.0
"""How long a client may read nothing before its connection is cut."""


@attrs.frozen
class Dump:
    """An open file to send."""

    type: str
    size: int
    modified: float
    etag: bytes
    content: BinaryIO = attrs.field(repr=False)
    negotiated: bool = False
    coding: str | None = None

    def to(self, accept_encoding: str) -> Dump:
        """Return the representation that a client accepts; each has a tag of its own."""
        if not self.negotiated or not names(accept_encoding, "gzip"):
            return self
        etag = self.etag[:-1] + b'-gzip"'
        return attrs.evolve(self, type=JSON_TYPE, coding="gzip", etag=etag)


@attrs.frozen
class DumpFiles:
    """Serve the regular files of a folder; symbolic links are not followed."""

    _folder: Path
    _reactor: ReactorTime

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return [
            Route("GET", "/builds", self.listed, LISTED, (FORMAT,)),
            Route("GET", "/builds/{name}", self.file, FILE),
        ]

    async def listed(self, _call: Call) -> Reply:
        """List the dumps."""
        told: DumpsDocument = {"dumps": list(self._files())}
        return Reply.data("Dumps", JSONBody.of(told))

    def _files(self) -> Iterator[DumpFileDocument]:
        try:
            found = sorted(os.scandir(self._folder), key=lambda entry: entry.name)
        except OSError:  # the folder does not exist yet
            return
        for entry in found:
            if NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                is_ = entry.stat(follow_symlinks=False)
                yield {"name": entry.name, "size": is_.st_size, "modified": int(is_.st_mtime)}

    async def file(self, call: Call) -> Reply:
        """Send a file, or 304 if the client has it."""
        dump = opened(self._folder, call.path["name"])

        async def stream(request: BuildAPIRequest) -> bytes:
            with dump.content:
                return await self._sent(request, dump.to(request.text_header("accept-encoding")))

        nothing = Reply(JSONBody.of(None), Page("document.html", "Dump"))
        return attrs.evolve(nothing, stream=stream)

    async def _sent(self, request: BuildAPIRequest, dump: Dump) -> bytes:
        _headers(request, dump)
        if _unchanged(request, dump):
            request.setResponseCode(304)
            return b""
        request.setHeader("content-type", dump.type)
        if dump.coding is not None:
            request.setHeader("content-encoding", dump.coding)
        request.setHeader("content-length", str(dump.size))
        if request.method != b"HEAD" and dump.size:
            sending = DumpTransfer(request, dump, self._reactor)
            request.registerProducer(sending, False)
            await sending.ended
        return b""


@attrs.define(eq=False)
class DumpTransfer:
    """A pull producer that sends a file; a client that reads nothing is cut off."""

    _request: BuildAPIRequest
    _dump: Dump
    _reactor: ReactorTime
    ended: defer.Deferred[None] = attrs.field(factory=defer.Deferred, init=False)
    _left: int = attrs.field(init=False)
    _watch: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self._dump.size
        self._watch = self._reactor.callLater(SILENT_SECONDS, self._cut)

    def resumeProducing(self) -> None:
        """Send the next chunk."""
        if self.ended.called:
            return
        self._watch.reset(SILENT_SECONDS)
        piece = self._dump.content.read(min(CHUNK, self._left))
        if not piece:  # truncated meanwhile: shorter than Content-Length
            self._cut()
            return
        self._left -= len(piece)
        self._request.write(piece)
        if not self._left:
            self._end()

    def stopProducing(self) -> None:
        """Stop: the client is gone."""
        self._end()

    def _cut(self) -> None:
        if self._request.channel is not None:
            self._request.channel.transport.abortConnection()
        self._end()

    def _end(self) -> None:
        if self._watch.active():
            self._watch.cancel()
        if not self.ended.called:
            if self._request.channel is not None:
                self._request.unregisterProducer()
            self.ended.callback(None)


def opened(folder: Path, name: str) -> Dump:
    """Open a dump by name; :raises NotFound: there is none."""
    fits = NAME.fullmatch(name)
    content = _regular(folder / name) if fits else None
    if fits is None or content is None:
        raise NotFound(f"Dump {name[:100]!r} not found")
    is_ = os.fstat(content.fileno())
    # With the inode: a file and its successor may have one size, and one time by a coarse clock.
    etag = b'"%x-%x-%x"' % (is_.st_mtime_ns, is_.st_size, is_.st_ino)
    negotiated = name.endswith(COMPRESSED_JSON)
    return Dump(TYPES[fits[1]], is_.st_size, is_.st_mtime, etag, content, negotiated)


def _regular(path: Path) -> BinaryIO | None:
    """Open a regular file, without following a link or blocking on a FIFO; None for others."""
    try:
        content = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(content.fileno()).st_mode):
        return content
    content.close()
    return None


def _headers(request: BuildAPIRequest, dump: Dump) -> None:
    for name, value in SAFE.items():
        request.setHeader(name, value)
    request.setHeader("etag", dump.etag)
    request.setHeader("last-modified", formatdate(dump.modified, usegmt=True))
    # To be kept, but asked for each time: files are rewritten every few minutes.
    request.setHeader("cache-control", "no-cache")
    request.setHeader("vary", "Accept-Encoding, Origin" if dump.negotiated else "Origin")
    request.setHeader("accept-ranges", "none")  # parts of a replaced file would not fit together


def _unchanged(request: BuildAPIRequest, dump: Dump) -> bool:
    """Return whether the client has this file; its tags are more exact than its date."""
    # If-Modified-Since is ignored beside If-None-Match, or if it is not a date [RFC 9110 13.1.3].
    if request.requestHeaders.hasHeader(b"if-none-match"):
        return known(request, dump.etag)
    since = request.requestHeaders.getRawHeaders(b"if-modified-since", [b""])[0]
    try:
        return bool(int(dump.modified) <= http.stringToDatetime(since))
    except (ValueError, LookupError, OverflowError, AttributeError):
        return False


LISTED = "The dumps: JSON files that are written regularly."
FILE = (
    "A dump: ended builds, what waits, what runs; see docs/commands.md. A .js.gz is JSON in the"
    " content coding gzip for clients that accept that, else the compressed file."
)
