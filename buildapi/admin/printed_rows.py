"""Print rows for operators, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

CELL_MAX = 300


def print_rows(
    rows: Sequence[Mapping[str, object]],
    say: Callable[[str], None],
    *,
    as_json: bool,
    nothing: str,
) -> None:
    """Print rows with the same keys, one a line; ``nothing`` is said of none."""
    if as_json:
        say(json.dumps(rows))
        return
    if not rows:
        say(nothing)
        return
    texts = [list(rows[0]), *([_text(v) for v in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for line in texts:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        say("  ".join(padded).rstrip())


def _text(value: object) -> str:
    """Return a value as one printable line; other programs may have put anything into it."""
    text = "-" if value in (None, "") else str(value)
    return "".join(c if c.isprintable() else "?" for c in text)[:CELL_MAX]
