"""Write files atomically: readers see the old file or the whole new one, never a part."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import attrs

STDOUT = "-"
# wbits of zlib.compressobj: 15 for the largest window, and 16 more for a gzip header.
GZIP_LEVEL, GZIP = 6, 31
STALE_SECONDS = 3600
"""Age in seconds at which a temporary file counts as abandoned."""


@attrs.define(eq=False)
class AtomicFile:
    """A file that replaces the old one of its name once it is whole.

    ``-`` is the standard output; that and anything but a regular file (a pipe, /dev/null) is
    written directly.  A context manager: it keeps the file, or drops it after an exception.  The
    methods may be called from different threads.  ``mode`` is that of the new file, less the umask.
    """

    _name: str
    _gzipped: bool = False
    _mode: int = 0o666
    _out: Any = attrs.field(default=None, init=False)
    _packer: Any = attrs.field(default=None, init=False)
    _temporary: Path | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._out = self._opened()
        if self._gzipped:
            self._packer = zlib.compressobj(GZIP_LEVEL, wbits=GZIP)

    def _opened(self) -> BinaryIO:
        if self._name == STDOUT:
            return sys.stdout.buffer
        path = self._path
        if path.exists() and not path.is_file():
            return path.open("wb")
        # Beside the old file, since rename(2) does not cross file systems, and with a name of its
        # own, so that two writers do not share it.
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        # With its final mode from the start: a secret must not be readable until a chmod. "x"
        # follows no link that somebody else has put there.
        return open(
            self._temporary, "xb", opener=lambda name, flags: os.open(name, flags, self._mode)
        )

    @property
    def _path(self) -> Path:
        return Path(os.path.realpath(self._name))  # replace the target of a link, not the link

    def write(self, data: bytes) -> None:
        """Append data; :raises ValueError: the file was kept or dropped already."""
        with self._lock:
            if self._out is None:
                raise ValueError(f"{self._name} is closed")
            self._out.write(self._packer.compress(data) if self._packer else data)

    def keep(self) -> None:
        """Flush the file to disk and rename it to its name."""
        with self._lock:
            self._finish()
            if self._temporary is not None:
                os.replace(self._temporary, self._path)
                self._temporary = None
                _sync_folder(self._path.parent)

    def _finish(self) -> None:
        if self._packer:
            self._out.write(self._packer.flush())
        self._out.flush()
        if self._temporary is not None:
            # Before the rename, or the name could stand for an empty file after a power cut.
            os.fsync(self._out.fileno())
        self._close()

    def _close(self) -> None:
        out, self._out = self._out, None
        if out is not None and self._name != STDOUT:
            out.close()

    def drop(self) -> None:
        """Remove what was written; the old file stays.  Do nothing after :meth:`keep`."""
        with self._lock:
            try:
                self._close()
            except OSError:  # closing flushes data that the full disk has no room for
                pass
            finally:
                if self._temporary is not None:
                    self._temporary.unlink(missing_ok=True)
                    self._temporary = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.keep()
        finally:
            self.drop()


def replace_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a whole file, which replaces the old one; :raises OSError: that one stays."""
    with AtomicFile(os.path.abspath(path), mode=mode) as file:  # a file named - is one, too
        file.write(data)


def _sync_folder(folder: Path) -> None:
    """Sync the folder, so that the new name survives a power cut; ignore systems that cannot."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_stale(folder: Path, name: str) -> None:
    """Remove temporary files of this name that killed processes left behind."""
    for left in _temporary_files(folder, name):
        with contextlib.suppress(OSError):
            if time.time() - left.lstat().st_mtime > STALE_SECONDS:
                left.unlink()


def _temporary_files(folder: Path, name: str) -> Iterator[Path]:
    start = f".{name}."
    return (p for p in folder.iterdir() if p.name.startswith(start) and p.suffix == ".tmp")
