"""Format texts, numbers and durations for a status line."""

from __future__ import annotations

import math
from collections.abc import Sequence

TEXT_MAX = 160
NAMED_MAX = 5
MINUTE, HOUR, DAY = 60, 3600, 86400


def printable(text: str, limit: int = TEXT_MAX) -> str:
    """Return a text as one bounded line; a bar, which would start performance data, becomes "/".

    Characters that are not printable, such as control and bidi characters, become "?".
    """
    # Cut first: a text of the service may have megabytes. "|" begins performance data (Monitoring
    # Plugins, "Development Guidelines").
    words = " ".join(text[: limit * 4].split()).replace("|", "/")
    shown = "".join(c if c.isprintable() else "?" for c in words)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def count_noun(count: float, one: str, many: str = "") -> str:
    """Format a count with its noun: "1 agent", "2 agents", "no agents"."""
    noun = one if count == 1 else many or f"{one}s"
    return f"{count or 'no'} {noun}"


def format_duration(seconds: float) -> str:
    """Format a number of seconds in its two largest units: "2 h 14 min"."""
    if seconds < 1:
        return f"{round_value(seconds)} s"
    if seconds < MINUTE:
        return f"{round_value(round(seconds, 1))} s"
    whole = int(seconds)
    for unit, name, part, part_name in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // part
            return f"{whole // unit} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{whole} s"


def round_value(value: float) -> int | float:
    """Round a value for performance data: four decimal places, no exponent."""
    rounded = round(value, 4)
    # Four places keep small floats without an exponent (0.0001); whole ones are printed as
    # integers.
    return int(rounded) if math.floor(rounded) == rounded else rounded


def join_names(names: Sequence[str]) -> str:
    """Join names, at most five, and the number of the others."""
    rest = len(names) - NAMED_MAX
    shown = [printable(name, 60) for name in names[:NAMED_MAX]]
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
