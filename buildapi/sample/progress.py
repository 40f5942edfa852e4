"""Show the progress of a long run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

import attrs

LINES = 10
"""Number of plain lines for a whole run."""


class Progress(Protocol):
    """Receive the progress of a run."""

    def advance(self, count: int) -> None:
        """Add to the number of finished items."""


@attrs.define
class PlainProgress:
    """Write a line for each tenth."""

    _stream: TextIO
    _total: int
    _done: int = 0

    def advance(self, count: int) -> None:
        """Add to the number of finished items; write a line if a tenth is complete."""
        before, self._done = self._done, self._done + count
        if LINES * before // max(1, self._total) < LINES * self._done // max(1, self._total):
            self._stream.write(f"{self._done} of {self._total} builds\n")
            self._stream.flush()


@attrs.define
class BarProgress:
    """Advance a progress bar of rich."""

    _bar: Any
    _task: Any

    def advance(self, count: int) -> None:
        """Advance the bar."""
        self._bar.advance(self._task, count)


@contextmanager
def progress_on(stream: TextIO, total: int) -> Iterator[Progress]:
    """Show a bar if ``stream`` is a terminal and rich is installed, plain lines otherwise."""
    bar = _bar(stream) if stream.isatty() else None
    if bar is None:
        yield PlainProgress(stream, total)
        return
    with bar:
        yield BarProgress(bar, bar.add_task("builds", total=total))


def _bar(stream: TextIO) -> Any:
    try:
        from rich.console import Console
        from rich.progress import Progress as Bar
    except ImportError:
        return None
    return Bar(console=Console(file=stream))
