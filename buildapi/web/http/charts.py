"""Charts on pages: the data that scripts draw them from, and the table that stands for them."""

from __future__ import annotations

from collections.abc import Sequence

from buildapi.reports.grid import Picture

POINTS_MAX = 2000
"""Maximum points of a drawn chart."""


def chart_data(picture: Picture, span: tuple[float, float] | None = None) -> dict[str, object]:
    """Return the data from which scripts draw a chart, and its table.

    An axis of times is as long as the ``span``: one point alone would make it a day or a century.
    """
    grid = picture.grid
    head, *series = grid.columns
    rows = _thinned(grid.rows)
    return {
        "grid": grid,
        "rows": rows,
        "spec": {
            "shape": picture.shape,
            "stacked": picture.stacked,
            "unit": picture.unit,
            "times": head.kind == "time",
            "from": None if span is None else int(span[0]),
            "to": None if span is None else int(span[1]),
            "labels": [row[0] for row in rows],
            "series": [
                {"label": column.label, "data": [row[i] for row in rows]}
                for i, column in enumerate(series, start=1)
            ],
        },
    }


def _thinned(rows: Sequence[Sequence[object]]) -> Sequence[Sequence[object]]:
    """Drop rows evenly until a chart has at most ``POINTS_MAX`` points."""
    return rows[:: -(-len(rows) // POINTS_MAX)] if len(rows) > POINTS_MAX else rows
