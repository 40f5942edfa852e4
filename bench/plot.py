"""Draw how much of each goal was reached, as an SVG of bars on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape

from bench.table import number

WIDTH, LINE, TOP, LEFT, RIGHT = 920, 18, 58, 290, 190
LOWEST, HIGHEST = 1 / 32, 32.0
TICKS = {1 / 16: "1/16", 1 / 4: "1/4", 1.0: "goal", 4.0: "4 times", 16.0: "16 times"}
STYLE = """\
    .back { fill: #ffffff; stroke: #c9ced6; }
    .reached { fill: #3b8a57; }
    .missed { fill: #b04a4a; }
    .tick { stroke: #d6dbe2; }
    .goal { stroke: #1d2530; stroke-width: 1.4; }
    text { font: 12px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; fill: #1d2530; }
    .head { font-size: 15px; font-weight: bold; }
    .section { font-weight: bold; }
    .end { text-anchor: end; }
    .mid { text-anchor: middle; }
    @media (prefers-color-scheme: dark) {
      .back { fill: #151a21; stroke: #3a4453; }
      .reached { fill: #5cb87e; }
      .missed { fill: #dd8080; }
      .tick { stroke: #2c3542; }
      .goal { stroke: #e6ebf2; }
      text { fill: #e6ebf2; }
    }"""


def _x(share: float) -> float:
    """Return where a share of a goal is."""
    bounded = min(HIGHEST, max(LOWEST, share))
    part = math.log(bounded / LOWEST) / math.log(HIGHEST / LOWEST)
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'  <text x="{x:.0f}" y="{y:.0f}"{named}>{escape(text)}</text>'


def _bars(rows: list[Mapping[str, Any]], y: float) -> Iterator[str]:
    for row in rows:
        at, line = _x(row["share_of_goal"]), _x(1.0)
        left, width = min(at, line), max(1.0, abs(at - line))
        kind = "reached" if row["reached"] else "missed"
        yield _text(LEFT - 8, y + 12, row["work"], "end")
        yield (
            f'  <rect x="{left:.1f}" y="{y + 3:.0f}" width="{width:.1f}" height="{LINE - 6}"'
            f' class="{kind}"/>'
        )
        yield _text(WIDTH - RIGHT + 12, y + 12, f"{number(row['measured'])} (goal {row['goal']})")
        y += LINE


def svg(document: Mapping[str, Any]) -> str:
    """Return the picture of the rows that have a goal."""
    rows = [row for row in document["rows"] if row["share_of_goal"] is not None]
    sections = [(name, list(some)) for name, some in groupby(rows, key=lambda r: r["section"])]
    height = TOP + LINE * (len(rows) + len(sections)) + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title desc">',
        '  <title id="title">Figures and goals</title>',
        '  <desc id="desc">A bar for each figure that has a goal: to the right of the line the'
        " goal is reached, to the left it is not; the tables have the same figures.</desc>",
        f"  <style>\n{STYLE}\n  </style>",
        f'  <rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" class="back"/>',
        _text(16, 24, f"How far from its goal: {document['builds']:,} builds", "head"),
    ]
    for share, name in TICKS.items():
        x, kind = _x(share), "goal" if share == 1.0 else "tick"
        lines.append(
            f'  <line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 10}" class="{kind}"/>'
        )
        lines.append(_text(x, TOP - 12, name, "mid"))
    y = float(TOP)
    for name, some in sections:
        lines.append(_text(16, y + 13, name, "section"))
        y += LINE
        lines += _bars(some, y)
        y += LINE * len(some)
    return "\n".join([*lines, "</svg>", ""])
