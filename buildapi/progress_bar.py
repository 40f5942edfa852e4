"""Show how far a command is: a bar on a terminal where rich is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

ShowProgress = Callable[[int, int], None]
"""Accept how many items are done, of how many in all."""

LINES = 10
"""Number of lines for a whole run."""


@contextmanager
def progress_bar(
    stream: TextIO, what: str, elsewhere: ShowProgress | None = None
) -> Iterator[ShowProgress]:
    """Show a bar while the block runs; call ``elsewhere`` where there is no terminal or no rich."""
    bar = _bar(stream) if stream.isatty() else None
    if bar is None:
        yield elsewhere or (lambda _done, _total: None)
        return
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def progress_lines(stream: TextIO, what: str) -> ShowProgress:
    """Return a function that writes a line for each tenth that is complete."""
    tenths = 0

    def show(done: int, total: int) -> None:
        nonlocal tenths
        before, tenths = tenths, LINES * done // max(1, total)
        if before < tenths:
            stream.write(f"{done} of {total} {what}\n")
            stream.flush()

    return show


def _bar(stream: TextIO) -> Any:
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        return None
    return Progress(console=Console(file=stream))
