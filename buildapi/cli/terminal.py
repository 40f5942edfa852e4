"""Format text, tables, times and durations for a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from buildapi.model.json_types import JSONValue

COLOURS = {
    "done": "green",
    "success": "green",
    "passed": "green",
    "OK": "green",
    "running": "cyan",
    "warnings": "yellow",
    "DEGRADED": "yellow",
    "failed": "red",
    "failure": "red",
    "exception": "magenta",
    "retry": "blue",
    "skipped": "bright_black",
    "cancelled": "bright_magenta",
    "unconfirmed": "red",
    "not reachable": "red",
}
"""Colours of cells, by their whole text; those of results are as on the pages."""


def printable(text: object) -> str:
    """Replace characters that are not printable: control sequences would act on the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in str(text))


COLUMN_MIN, COLUMN_LEAST = 12, 8
"""Minimum widths of a shortened column in a narrow terminal, and in a very narrow one."""

BOTH_ENDS = ("builder",)
"""Columns whose long texts lose their middle: names that differ at both ends."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}", re.ASCII)


def format_table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    colour: bool = False,
    width: int | None = None,
) -> str:
    """Format a table with aligned columns; None is an empty cell.

    If lines are longer than ``width``, columns without any value are left out, and then the widest
    ones shortened, but none with times: a part of a time says nothing.
    """
    # Made printable before widths are measured.
    lines = [[_cell(c) for c in row] for row in (head, *rows)]
    right = [_is_numeric([row[i] for row in rows]) for i in range(len(head))]
    if width is not None and _line_width(_widths(lines)) > width:
        kept = [i for i in range(len(head)) if not rows or any(line[i] for line in lines[1:])]
        right, lines = [right[i] for i in kept], [[line[i] for i in kept] for line in lines]
        widths = _fit_widths(
            _widths(lines), width, [_has_times(lines, i) for i in range(len(kept))]
        )
        lines = [
            [_shorten(c, w, h) for c, w, h in zip(line, widths, lines[0], strict=True)]
            for line in lines
        ]
    widths = _widths(lines)

    def format_line(cells: Sequence[str]) -> str:
        padded = [
            _pad(c, width, to_right=to_right)
            for c, width, to_right in zip(cells, widths, right, strict=True)
        ]
        shown = [
            # After padding: escape sequences have a length and no width.
            p.replace(c, click.style(c, fg=COLOURS[c]), 1) if colour and c in COLOURS else p
            for p, c in zip(padded, cells, strict=True)
        ]
        return "  ".join(shown).rstrip()

    return "\n".join(format_line(line) for line in lines)


def text_width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for wide characters [UAX #11]."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in ("W", "F") for c in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(text_width(line[i]) for line in lines) for i in range(len(lines[0]))]


def _line_width(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _has_times(lines: Sequence[Sequence[str]], column: int) -> bool:
    return any(_TIME.fullmatch(line[column]) for line in lines)


def _fit_widths(widths: Sequence[int], width: int, fixed: Sequence[bool]) -> list[int]:
    """Narrow the widest columns that are not fixed until all fit, or have the minimum width."""
    fitted = list(widths)
    # Not those of 12 already, as revisions have.
    long = [i for i, stays in enumerate(fixed) if not stays and fitted[i] > COLUMN_MIN]
    for least in (COLUMN_MIN, COLUMN_LEAST):
        while _line_width(fitted) > width and any(fitted[i] > least for i in long):
            fitted[max(long, key=lambda i: fitted[i])] -= 1
    return fitted


def _pad(text: str, width: int, *, to_right: bool) -> str:
    blanks = " " * (width - text_width(text))
    return blanks + text if to_right else text + blanks


def _shorten(text: str, width: int, head: str) -> str:
    if text_width(text) <= width:
        return text
    kept = width // 2 if head in BOTH_ENDS else 0
    end = _first_columns(text[::-1], kept)[::-1]
    return f"{_first_columns(text, width - 1 - text_width(end))}\u2026{end}"


def _first_columns(text: str, width: int) -> str:
    length = min(len(text), width)
    while text_width(text[:length]) > width:
        length -= 1
    return text[:length]


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
