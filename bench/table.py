"""Show rows: a line each while they are measured, and tables as text or Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from bench.rows import Figure, Row

HEAD = ("work", "ours", "CPU ms", "reference", "CPU ms", "ratio", "goal", "reached")
REACHED = {True: "yes", False: "**no**", None: ""}


def number(value: float | None) -> str:
    """Return three digits that count, or more before the point."""
    if value is None:
        return ""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return (
        f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
        if abs(value) >= 1
        else f"{value:.3f}"
    )


def line(row: Row) -> str:
    """Return a row as one line."""
    ours = f"{row.section}: {row.work}: {_figure(row.ours, row.unit)}"
    if row.reference is not None:
        ours += f"; {row.beside}: {_figure(row.reference, row.unit)}; ratio {number(row.ratio)}"
    if row.goal is not None:
        reached = {True: "reached", False: "not reached", None: "unknown"}[row.reached]
        ours += f", goal {row.goal}: {reached}"
    return f"{ours} ({row.note})" if row.note else ours


def _figure(figure: Figure, unit: str) -> str:
    cpu = "" if figure.cpu is None else f", {number(figure.cpu)} ms CPU"
    return f"{number(figure.value)} {unit}{cpu}".strip()


def _cells(row: Mapping[str, Any]) -> list[str]:
    ours, reference = row["ours"], row["reference"] or {}
    beside = f" ({row['beside']})" if row["beside"] else ""
    others = "".join(
        f"; {number(figure['value'])} ({name})" for name, figure in row["others"].items()
    )
    value = number(reference.get("value"))
    return [
        row["work"],
        f"{number(ours['value'])} {row['unit']}".strip(),
        number(ours["cpu"]),
        f"{value}{beside}{others}" if value else "",
        number(reference.get("cpu")),
        number(row["ratio"]),
        row["goal"] or "",
        REACHED[row["reached"]],
    ]


def markdown(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table for each section."""
    for section, rows in groupby(document["rows"], key=lambda row: row["section"]):
        yield f"### {section[0].upper()}{section[1:]}"
        yield ""
        yield f"| {' | '.join(HEAD)} |"
        yield "|---|" + "---:|" * 2 + "---|" + "---:|" * 2 + "---|---|"
        notes = []
        for row in rows:
            yield f"| {' | '.join(_cells(row))} |"
            if row["note"]:
                notes.append(f"{row['work']}: {row['note']}")
        yield ""
        if notes:
            yield f"{'; '.join(notes)}."
            yield ""


def text(document: Mapping[str, Any]) -> str:
    """Return all rows as a table for a terminal."""
    cells = [list(HEAD), *(_cells(row) for row in document["rows"])]
    widths = [max(len(row[at]) for row in cells) for at in range(len(HEAD))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    ]
    return "\n".join(["", *lines, "", *_summary(document)])


def _summary(document: Mapping[str, Any]) -> Sequence[str]:
    goals = [row for row in document["rows"] if row["goal"] is not None]
    reached = sum(1 for row in goals if row["reached"])
    return [
        f"{document['builds']} builds, {document['databases']}, {document['broker']},"
        f" {document['cores']} cores, {document['rounds']} rounds, {document['seconds']} s",
        f"{reached} of {len(goals)} goals reached",
    ]
