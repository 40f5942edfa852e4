"""A file of lines that may be renamed, and whose disk may be full, while it is written to."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any, Protocol, TextIO

import attrs
from twisted.python.logfile import LogFile as RotatedFile


class Sink(Protocol):
    """Where lines of a log go."""

    def write(self, text: str) -> None:
        """Write whole lines; never raises."""

    def reopen(self) -> None:
        """Go on in a new file, where the sink is one."""

    def close(self) -> None:
        """Let go of the file; a later line opens it again."""


@attrs.define
class Complaints:
    """Say on standard error what is wrong with a log, once until it is well again."""

    _stream: TextIO | None = attrs.field(factory=lambda: sys.__stderr__)
    _said: bool = attrs.field(default=False, init=False)

    def say(self, what: str) -> None:
        """Say it, unless something was said already."""
        if self._said or self._stream is None:
            return
        self._said = True
        try:
            self._stream.write(f"buildapi: {what}\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody listens there either

    def well(self) -> None:
        """Note that all is well."""
        self._said = False


@attrs.define
class LogFile:
    """Append to the file of a path, opened with the first line.

    Threads may write, too: each text goes out in one call, so that lines stay whole.
    """

    path: Path
    _complaints: Complaints = attrs.field(factory=Complaints)
    _file: Any = attrs.field(default=None, init=False)
    _lock: Any = attrs.field(factory=threading.Lock, init=False)

    def write(self, text: str) -> None:
        """Write whole lines; what cannot be written is lost, and that is said once."""
        with self._lock:
            try:
                if self._file is None:
                    self._file = self._opened()
                self._file.write(text.encode(errors="replace"))
            except OSError as e:
                self._complaints.say(f"cannot write to {self.path}: {e.strerror}")
            else:
                self._complaints.well()

    def reopen(self) -> None:
        """Go on in what has the path now; in the old file where that cannot be opened."""
        with self._lock:
            try:
                opened = self._opened()
            except OSError as e:
                self._complaints.say(f"cannot open {self.path} again: {e.strerror}")
                return
            self._close()
            self._file = opened

    def close(self) -> None:
        """Close it; a later line opens it again."""
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
    """Write to a stream that is there, such as standard output."""

    _stream: TextIO
    _lock: Any = attrs.field(factory=threading.Lock, init=False)

    def write(self, text: str) -> None:
        """Write whole lines; a reader that went away is nobody's fault."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        with self._lock:
            try:
                self._stream.write(shown)
                self._stream.flush()
            except (OSError, ValueError):
                pass

    def reopen(self) -> None:
        """Stay: whoever started us has the other end."""

    def close(self) -> None:
        """Stay, too."""


@attrs.define
class TwistdFile:
    """The file that twistd itself would log to: it is renamed by size, and by its signal."""

    _path: str
    _file: Any = attrs.field(default=None, init=False)
    _complaints: Complaints = attrs.field(factory=Complaints)

    def __attrs_post_init__(self) -> None:
        self._path = os.path.abspath(self._path)

    def write(self, text: str) -> None:
        """Write whole lines; what cannot be written is lost, and that is said once."""
        try:
            if self._file is None:
                self._file = RotatedFile.fromFullPath(self._path)
            self._file.write(text)
        except OSError as e:
            self._complaints.say(f"cannot write to {self._path}: {e.strerror}")
        else:
            self._complaints.well()

    def reopen(self) -> None:
        """Rename it to a name with a number, and begin a new one."""
        if self._file is not None:
            self._file.rotate()

    def close(self) -> None:
        """Let go of the file; a later line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None
