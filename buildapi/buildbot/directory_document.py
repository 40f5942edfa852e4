"""Read one document of the directory, parse it off the reactor thread, keep the last good one."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs
from twisted.internet import defer
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from buildapi.atomic_file import remove_stale, replace_file
from buildapi.model.ops import DocumentState

T = TypeVar("T")

log = Logger()


class NotADirectoryFile(Exception):
    """A document is not a branches, masters or builders file; the message says why."""


@attrs.frozen
class ParsedDocument(Generic[T]):
    """Hold the value of a document, the number of usable entries, and warnings about others."""

    value: T
    usable: int
    warnings: Sequence[str] = ()


Parse = Callable[[Any], ParsedDocument[Any]]
Read = Callable[[], Awaitable[bytes]]


InThread = Callable[..., Awaitable[Any]]
"""Call a function with arguments in a thread."""


def decode(data: bytes, warnings: list[str]) -> Any:
    """Decode JSON without blocking other threads; :raises ValueError: it is not JSON.

    Of a name that an object lists twice the later value is used, with a warning.

    The decoder of the standard library is one call into C that holds the interpreter lock until it
    is done: 0.4 s for 18 MB, in any thread. With a hook in Python other threads run at each object,
    since the interpreter switches threads only between its own instructions.
    """

    def to_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            times = Counter(name for name, _ in pairs)
            warnings.extend(listed_twice(quoted(name)) for name, n in times.items() if n > 1)
        return found

    return json.loads(data, object_pairs_hook=to_object)


def listed_twice(what: str) -> str:
    """Return the warning for an entry that replaces an earlier one of its name."""
    # One rule for the lists and objects of all documents; that of JSON objects is Python's
    # [json, "Repeated Names Within an Object"].
    return f"{what} is listed twice: the later entry is used"


def quoted(value: object) -> str:
    """Quote a name or value for a warning: escaped if it cannot be encoded, and cut."""
    text = json.dumps(value, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()[:80]


def parsed(data: bytes, parse: Parse, name: str, *, allow_empty: bool) -> ParsedDocument[Any]:
    """Decode and parse a document.

    :raises NotADirectoryFile: it is something else, or has no usable entry.
    """
    warnings: list[str] = []
    found = parse(decode(data, warnings))
    # A failed export is often valid JSON without entries: with it, every branch or master would be
    # gone [docs/explanation/failure-model.md, "The directory"].
    if not found.usable and not allow_empty:
        raise NotADirectoryFile("; ".join([_empty(name), *found.warnings[:WORDED_MOST]]))
    return attrs.evolve(found, warnings=(*warnings, *found.warnings))


WORDED_MOST = 3
"""Maximum number of warnings repeated in the error of an empty document."""


def _empty(name: str) -> str:
    return f"no usable entry: refused unless [directory] allow_empty lists {name!r}"


@attrs.frozen
class _Taken:
    """Hold what a thread parsed; ``found`` is None if the bytes are as before."""

    digest: bytes
    found: ParsedDocument[Any] | None
    not_kept: str | None


@attrs.define
class DocumentSource:
    """Refresh one document, and keep its last good value with the time of that.

    A document without usable entries never replaces a good one, unless ``allow_empty``. ``remarks``
    returns further warnings about a value; ``in_thread`` runs slow calls.
    """

    name: str
    read: Read
    parse: Parse
    kept: Path
    allow_empty: bool = False
    in_thread: InThread = deferToThread
    remarks: Callable[[Any], Sequence[str]] = lambda _: ()
    good: Any = None
    good_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    warnings: Sequence[str] = ()
    _digest: bytes = b""

    async def refresh(self, now: float) -> bool:
        """Read the document again; on failure keep the old one, log the reason and return False."""
        try:
            taken = await self.in_thread(self._take, await self.read())
        # Cancelled at the end of the service (in Twisted it is an Exception): no fault of the
        # document.
        except defer.CancelledError:
            raise
        except Exception as e:
            self.last_error, self.last_error_at = f"{type(e).__name__}: {e}", now
            log.warn(
                "directory: {name} not refreshed, the last good version stays in use: {error}",
                name=self.name,
                error=self.last_error,
            )
            return False
        self.good_at, self.last_error, self.last_error_at = now, None, None
        if taken.found is not None:
            self._adopt(taken.found, taken.digest)
        if taken.not_kept is not None:
            log.warn("directory: cannot save {path}: {error}", path=self.kept, error=taken.not_kept)
        return True

    def state(self, now: float) -> DocumentState:
        """Return its age in seconds at a time, its last error and its warnings."""
        age = None if self.good_at is None else max(0.0, now - self.good_at)
        return DocumentState(
            self.name, age, self.last_error, self.last_error_at, tuple(self.warnings)
        )

    async def recall(self) -> None:
        """Load the copy that an earlier process kept, if there is one."""
        try:
            # Before the read: a file that is replaced in between then counts as older than it is.
            stored = self.kept.stat()
            found, digest = await self.in_thread(self._recalled)
        except FileNotFoundError:
            return
        except defer.CancelledError:
            raise
        except Exception as e:
            log.warn(
                "directory: ignoring the saved {path}: {error}", path=str(self.kept), error=str(e)
            )
            return
        self._adopt(found, digest)
        self.good_at = stored.st_mtime

    def _adopt(self, found: ParsedDocument[Any], digest: bytes) -> None:
        """Replace the value; log new warnings."""
        before = set(self.warnings)
        self.good, self._digest = found.value, digest
        self.warnings = (*found.warnings, *self.remarks(found.value))
        for warning in self.warnings:
            if warning not in before:
                log.warn("directory: {name}: {warning}", name=self.name, warning=warning)

    # --- in a thread

    def _take(self, data: bytes) -> _Taken:
        """Parse and keep new bytes; the kept file's age is that of the last good read."""
        digest = _digest_of(data)
        # Bytes as before are not parsed again: decoding 18 MB takes 0.4 s of a core.
        if digest == self._digest:
            return _Taken(digest, None, self._kept_again())
        found = parsed(data, self.parse, self.name, allow_empty=self.allow_empty)
        return _Taken(digest, found, self._keep(data))

    def _recalled(self) -> tuple[ParsedDocument[Any], bytes]:
        data = self.kept.read_bytes()
        found = parsed(data, self.parse, self.name, allow_empty=self.allow_empty)
        return found, _digest_of(data)

    def _kept_again(self) -> str | None:
        try:
            # Otherwise a process started later would take an unchanged document for an old one.
            os.utime(self.kept)
        except OSError as e:
            return str(e)
        return None

    def _keep(self, data: bytes) -> str | None:
        """Keep the bytes for the next process; return why that fails, or None."""
        try:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            # A process that was killed while it wrote may have left a temporary file.
            remove_stale(self.kept.parent, self.kept.name)
            replace_file(self.kept, data)
        except OSError as e:
            # A full disk must not keep a good document from being used
            # [docs/explanation/failure-model.md, "Our processes"].
            return str(e)
        return None


def _digest_of(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
