"""Format text, tables, times and durations for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from buildapi.model.json_types import JSONValue

COLOURS = {
    "done": "green",
    "success": "green",
    "OK": "green",
    "running": "yellow",
    "warnings": "yellow",
    "DEGRADED": "yellow",
    "failed": "red",
    "failure": "red",
    "exception": "red",
    "unconfirmed": "red",
    "not reachable": "red",
}
"""Colours of cells, by their whole text."""


def printable(text: object) -> str:
    """Replace characters that are not printable: control sequences would act on the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in str(text))


COLUMN_MIN = 12
"""Minimum width of a column in a narrow terminal."""


def format_table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    colour: bool = False,
    width: int | None = None,
) -> str:
    """Format a table with aligned columns; None is an empty cell.

    If lines are longer than ``width``, the widest columns are truncated.
    """
    # Made printable before widths are measured.
    lines = [[_cell(c) for c in row] for row in (head, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    if width is not None:
        widths = _fit_widths(widths, width)
        lines = [[_truncate(c, w) for c, w in zip(line, widths, strict=True)] for line in lines]
    right = [_is_numeric([row[i] for row in rows]) for i in range(len(head))]

    def format_line(cells: Sequence[str]) -> str:
        padded = [
            c.rjust(width) if to_right else c.ljust(width)
            for c, width, to_right in zip(cells, widths, right, strict=True)
        ]
        padded[-1] = padded[-1] if right[-1] else cells[-1]
        shown = [
            # After padding: escape sequences have a length and no width.
            p.replace(c, click.style(c, fg=COLOURS[c]), 1) if colour and c in COLOURS else p
            for p, c in zip(padded, cells, strict=True)
        ]
        return "  ".join(shown).rstrip()

    return "\n".join(format_line(line) for line in lines)


def _fit_widths(widths: Sequence[int], width: int) -> list[int]:
    """Narrow the widest columns until all fit, or have the minimum width."""
    fitted = list(widths)
    while sum(fitted) + 2 * (len(fitted) - 1) > width and max(fitted) > COLUMN_MIN:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _truncate(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}\u2026"


def _cell(value: object) -> str:
    return "" if value is None else printable(value)


def _is_numeric(values: Sequence[object]) -> bool:
    return any(v is not None for v in values) and all(
        v is None or isinstance(v, int | float) for v in values
    )


def format_time(seconds: JSONValue, *, utc: bool) -> str:
    """Format seconds since the epoch in local time or UTC; empty for None."""
    if seconds is None:
        return ""
    try:
        when = datetime.fromtimestamp(float(seconds), UTC)
        return (when if utc else when.astimezone()).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError, TypeError):
        return printable(seconds)


def format_duration(seconds: float | None) -> str:
    """Format a number of seconds with its two largest units; empty for None."""
    if seconds is None:
        return ""
    left = max(0, round(seconds))
    for size, unit, small, part in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if left >= size:
            return f"{left // size}{unit} {left % size // small:02d}{part}"
    return f"{left}s"
