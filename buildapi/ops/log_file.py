"""Write log lines to a file that may be renamed, and whose disk may be full."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import attrs
from twisted.python.logfile import LogFile as RotatedFile


class Sink(Protocol):
    """Accept the lines of a log."""

    def write(self, text: str) -> None:
        """Write whole lines; never raise."""

    def reopen(self) -> None:
        """Reopen the file of the sink, if it has one."""

    def close(self) -> None:
        """Close the file; a later line opens it again."""


@attrs.define
class Complaints:
    """Report a failing log on standard error, once until it works again."""

    # Not sys.stderr, which twistd replaces by a stream that writes into the log.
    _stream: TextIO | None = attrs.field(factory=lambda: sys.__stderr__)
    _said: bool = attrs.field(default=False, init=False)

    @contextmanager
    def of_writing(self, path: str | Path) -> Iterator[None]:
        """Report an OSError that a write raises; record that the log works if it raises none."""
        try:
            yield
        except OSError as e:
            self.report(f"cannot write to {path}: {e.strerror}")
        else:
            self._said = False

    def report(self, what: str) -> None:
        """Write a message, unless one was written since the log last worked."""
        if self._said or self._stream is None:
            return
        self._said = True
        try:
            self._stream.write(f"buildapi: {what}\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody listens there either


@attrs.define
class LogFile:
    """Append to the file of a path, opened with the first line.

    Threads may write, too: each text is written in one call, so that lines stay whole.
    """

    path: Path
    _complaints: Complaints = attrs.field(factory=Complaints)
    _file: Any = attrs.field(default=None, init=False)
    _lock: Any = attrs.field(factory=threading.Lock, init=False)

    def write(self, text: str) -> None:
        """Write whole lines; lines that cannot be written are lost, which is reported once."""
        with self._lock, self._complaints.of_writing(self.path):
            if self._file is None:
                self._file = self._opened()
            self._file.write(text.encode(errors="replace"))

    def reopen(self) -> None:
        """Open the file that now has the path; keep the old one if that fails."""
        with self._lock:
            try:
                opened = self._opened()
            except OSError as e:
                self._complaints.report(f"cannot open {self.path} again: {e.strerror}")
                return
            self._close()
            self._file = opened

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        with self._lock:
            self._close()

    def _opened(self) -> Any:
        return open(self.path, "ab", buffering=0)  # for as long as we run

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@attrs.define
class StreamSink:
    """Write to an open stream, such as standard output."""

    _stream: TextIO
    _lock: Any = attrs.field(factory=threading.Lock, init=False)

    def write(self, text: str) -> None:
        """Write whole lines; ignore a reader that went away."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        # The encoding of a terminal may lack a character of the line.
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        with self._lock:
            try:
                self._stream.write(shown)
                self._stream.flush()
            # A ValueError: the stream is closed.
            except (OSError, ValueError):
                pass

    def reopen(self) -> None:
        """Do nothing: the process that started us owns the stream."""

    def close(self) -> None:
        """Do nothing, for the same reason."""


@attrs.define
class TwistdFile:
    """Write to the file that twistd itself would use, rotated by size and by signal."""

    _path: str
    _file: Any = attrs.field(default=None, init=False)
    _complaints: Complaints = attrs.field(factory=Complaints)

    def __attrs_post_init__(self) -> None:
        self._path = os.path.abspath(self._path)

    def write(self, text: str) -> None:
        """Write whole lines; lines that cannot be written are lost, which is reported once."""
        with self._complaints.of_writing(self._path):
            if self._file is None:
                self._file = RotatedFile.fromFullPath(self._path)
            self._file.write(text.encode(errors="replace"))

    def reopen(self) -> None:
        """Rotate: rename the file to a name with a number, and begin a new one."""
        if self._file is not None:
            self._file.rotate()

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None
