"""What every report can show of itself: facts, tables, pictures, and CSV of each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import attrs

Kind = Literal["text", "time", "seconds", "number"]
Shape = Literal["line", "area", "bar", "rows", "pie"]


@attrs.frozen
class Column:
    """A column; ``time`` is in seconds since the epoch, ``seconds`` a duration."""

    name: str
    label: str
    kind: Kind = "text"


@attrs.frozen
class Link:
    """A value that leads somewhere: a path below the mount."""

    value: Any
    path: str


@attrs.frozen
class Grid:
    """A table; ``sort`` is the column it is ordered by at first, after ``-`` downwards."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    sort: str = ""


@attrs.frozen
class Picture:
    """A chart of a grid: its first column has the labels, each other one is a series.

    ``rows`` are bars that lie, for long labels.
    """

    grid: Grid
    shape: Shape
    unit: str = ""
    stacked: bool = False


@attrs.frozen
class Fact:
    """A value of the whole report."""

    label: str
    value: Any
    kind: Kind = "text"


@attrs.frozen
class GvizTable:
    """A table of the chart protocol: columns are (id, label, type)."""

    columns: Sequence[tuple[str, str, str]]
    rows: Sequence[Sequence[Any]]


class Report(Protocol):
    """A computed report."""

    def document(self) -> Mapping[str, Any]:
        """Give the JSON document."""

    def facts(self) -> Sequence[Fact]:
        """Give what holds for all of it."""

    def grids(self) -> Sequence[Grid]:
        """Give the tables, the one to be searched and paged first."""

    def pictures(self) -> Sequence[Picture]:
        """Give the charts."""

    def chart(self) -> GvizTable | str:
        """Give what ``format=chart`` answers: a table, or a text of CSV.

        :raises BadRequest: the report has no chart.
        """


def csv_text(grid: Grid) -> str:
    """Write a grid as CSV [RFC 4180]; times are ISO 8601 in UTC.

    A text that spreadsheets would take for a formula gets an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.label for column in grid.columns])
    for row in grid.rows:
        writer.writerow([_plain(cell, c.kind) for cell, c in zip(row, grid.columns, strict=True)])
    return out.getvalue()


def _plain(cell: Any, kind: Kind) -> Any:
    value = cell.value if isinstance(cell, Link) else cell
    if kind == "time":
        return datetime.fromtimestamp(value, UTC).isoformat() if value else ""
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return "" if value is None else value


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How texts begin that spreadsheets compute."""


def percent(part: float, whole: float) -> float:
    """Give a share in percent with two decimals; of nothing it is 0."""
    return round(100 * part / whole, 2) if whole else 0.0
