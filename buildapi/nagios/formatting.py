"""What a status line is made of: texts that a terminal survives, numbers with their nouns."""

from __future__ import annotations

import math
from collections.abc import Sequence

TEXT_MAX = 160
NAMED_MAX = 5
MINUTE, HOUR, DAY = 60, 3600, 86400


def printable(text: str, limit: int = TEXT_MAX) -> str:
    """Write a text on one line, bounded; a bar becomes a slash, as it would begin performance data.

    What no terminal shows, control characters and changes of direction among it, becomes "?".
    """
    words = " ".join(text[: limit * 4].split()).replace("|", "/")
    shown = "".join(c if c.isprintable() else "?" for c in words)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def count_noun(count: float, one: str, many: str = "") -> str:
    """Write how many there are of something: "1 agent", "2 agents", "no agents"."""
    noun = one if count == 1 else many or f"{one}s"
    return f"{count or 'no'} {noun}"


def format_duration(seconds: float) -> str:
    """Write a length of time in its two largest units: "2 h 14 min"."""
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
    """Round to what performance data can hold: no exponent, no more than four places."""
    rounded = round(value, 4)
    return int(rounded) if math.floor(rounded) == rounded else rounded


def join_names(names: Sequence[str]) -> str:
    """List a bounded number of names."""
    rest = len(names) - NAMED_MAX
    shown = [printable(name, 60) for name in names[:NAMED_MAX]]
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
