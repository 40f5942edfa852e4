"""The views of a report: facts, tables, charts, and CSV of a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol

import attrs

Kind = Literal["text", "time", "seconds", "number"]
Shape = Literal["line", "points", "area", "bar", "rows", "pie"]


@attrs.frozen
class Column:
    """A column; kind ``time`` is in seconds since the epoch, ``seconds`` a duration."""

    name: str
    label: str
    kind: Kind = "text"


@attrs.frozen
class Link:
    """A cell with a link to a path below the mount prefix."""

    value: object
    path: str


@attrs.frozen
class Grid:
    """A table; ``sort`` is the column of the initial order, descending after ``-``."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[object]]
    sort: str = ""


@attrs.frozen
class Picture:
    """A chart of a grid: the first column contains the labels, each other one is a series.

    The shape ``rows`` is horizontal bars, for long labels; ``points`` are not joined by lines, for
    values that have nothing to do with each other.
    """

    grid: Grid
    shape: Shape
    unit: str = ""
    stacked: bool = False


@attrs.frozen
class Fact:
    """A single value about the whole report."""

    label: str
    value: object
    kind: Kind = "text"


@attrs.frozen
class GvizTable:
    """A Google Visualization table; columns are (id, label, type)."""

    columns: Sequence[tuple[str, str, str]]
    rows: Sequence[Sequence[object]]


class Report(Protocol):
    """A computed report."""

    def document(self) -> Mapping[str, object]:
        """Return the JSON document."""

    def facts(self) -> Sequence[Fact]:
        """List the values about the whole report."""

    def grids(self) -> Sequence[Grid]:
        """Return the tables; the first one can be searched and paged."""

    def pictures(self) -> Sequence[Picture]:
        """Return the charts."""

    def chart(self) -> GvizTable | str:
        """Return the response to ``format=chart``: a table, or CSV text.

        :raises BadRequest: the report has no chart.
        """


def csv_text(grid: Grid) -> str:
    """Return a grid as CSV [RFC 4180]; times are ISO 8601 in UTC.

    A text that a spreadsheet would evaluate as a formula gets an apostrophe before it.
    """
    out = io.StringIO()
    # Python's default dialect ends rows with CRLF, as RFC 4180, section 2, demands.
    writer = csv.writer(out)
    writer.writerow([column.label for column in grid.columns])
    for row in grid.rows:
        writer.writerow([_plain(cell, c.kind) for cell, c in zip(row, grid.columns, strict=True)])
    return out.getvalue()


def _plain(cell: object, kind: Kind) -> object:
    value = cell.value if isinstance(cell, Link) else cell
    if kind == "time":
        if not isinstance(value, int | float) or not value:
            return ""
        return datetime.fromtimestamp(value, UTC).isoformat()
    # Names of builders and authors come from outside; numbers may begin with a minus and are left
    # alone.
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return "" if value is None else value


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of texts that spreadsheets evaluate as formulas."""


def percent(part: float, whole: float) -> float:
    """Return a percentage with two decimals; 0 if the whole is 0."""
    return round(100 * part / whole, 2) if whole else 0.0
