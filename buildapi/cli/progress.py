"""Show on standard error how far a command is: a bar on a terminal where rich is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO


@contextmanager
def progress_bar(stream: TextIO, what: str) -> Iterator[Callable[[int, int], None]]:
    """Give what is told how many of how many are done; elsewhere it shows nothing."""
    bar = _bar(stream) if stream.isatty() else None
    if bar is None:
        yield lambda _done, _total: None
        return
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _bar(stream: TextIO) -> Any:
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        return None
    return Progress(console=Console(file=stream))
