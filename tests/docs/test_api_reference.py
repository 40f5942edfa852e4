"""docs/api.md and the pages beside it name the operations and parameters of ``/openapi.json``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import pytest

from buildapi.web.openapi.document import SENT_ANYWAY
from tests.docs.blocks import ROOT
from tests.openapi.conformity import openapi_document

NAMES = ("api.md", "reports.md", "audit.md")
PAGES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in NAMES}
METHOD_AND_PATH = re.compile(r"`(?:([A-Z]+) )?([/.][^`\s]*)`")
OF_ALL_REPORTS = ("/reports/...",)
"""What stands for the routes of another page."""

EVERYWHERE = {"format"}
"""Described once for all routes."""


@attrs.frozen
class Row:
    """A row of a table: its cells by the names of the columns, and what its first one names."""

    cells: Mapping[str, str]
    operations: Sequence[str]
    in_query: Sequence[tuple[str, str]]


@attrs.frozen
class Section:
    """A heading and what is below it, up to the next one; ``operations`` are those of its text."""

    heading: str
    text: str
    operations: Sequence[str]
    rows: Sequence[Row]


def short(path: str) -> str:
    """Write {build_id} and the like as the pages do: {id}."""
    return re.sub(r"\{\w+_id\}", "{id}", path) or "/"


def variants(path: str, before: str) -> list[str]:
    """Write out ``a[/b[/c]]`` as a, a/b and a/b/c, and what dots stand for."""
    if path.startswith("..."):
        tail = path.removeprefix("...")
        head = before.partition("/rev/")[0]
        path = head + tail if tail.startswith("/rev/") else f"{head}/rev/{{revision}}{tail}"
    found = re.match(r"(.*?)\[(/.*)\]$", path)
    return [path] if found is None else [found[1], *variants(found[1] + found[2], before)]


def named(text: str, before: str = "", first: str = "GET") -> Iterator[tuple[str, list[str]]]:
    """List the operations in code spans, each with the names in its query.

    A span without a method has that of the span before it.
    """
    method = first
    for given, written in METHOD_AND_PATH.findall(text):
        method = given or method
        path, _, query = written.partition("?")
        for each in variants(path, before):
            yield f"{method} {short(each)}", re.findall(r"(?:^|&)(\w+)=", query)
            before = before if path.startswith(".") else each


def sections() -> Iterator[Section]:
    for text in PAGES.values():
        prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)
        for block in re.split(r"^(?=#{1,6} )", prose, flags=re.M):
            lines = block.splitlines()
            outside = "\n".join(line for line in lines if not line.startswith("|"))
            # A path alone may be an example, or a word about another operation.
            told = [f"{m} {p}" for m, p in METHOD_AND_PATH.findall(outside) if m]
            operations = [name for one in told for name, _ in named(f"`{one}`")]
            yield Section(lines[0] if lines else "", outside, operations, list(rows(lines)))


def rows(lines: Sequence[str]) -> Iterator[Row]:
    columns: Sequence[str] = ()
    before = ""
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            columns = ()
        elif not columns:
            columns = cells
        elif not re.match(r"\|[-| ]+$", line):
            in_table = columns[0] in ("path", "request")
            found = list(named(cells[0], before)) if in_table else []
            before = found[0][0].partition(" ")[2] if found else before
            yield Row(
                dict(zip(columns, cells, strict=False)),
                [name for name, _ in found if name.partition(" ")[2] not in OF_ALL_REPORTS],
                [(name, each) for name, query in found for each in query],
            )


def words(text: str) -> set[str]:
    """List the names in code spans that may be parameters."""
    spans = " ".join(re.findall(r"`([^`]*)`", text))
    return set(re.findall(r"\w+", spans))


def parameters_of(operation: Mapping[str, Any]) -> set[str]:
    """List the parameters of an operation in its query and its body."""
    bodies = operation.get("requestBody", {"content": {}})["content"].values()
    in_body = {name for body in bodies for name in body["schema"].get("properties", {})}
    told = {p["name"] for p in operation["parameters"] if p["in"] == "query"}
    return told | in_body


@pytest.fixture(scope="module")
def served() -> Mapping[str, set[str]]:
    """List the parameters of each operation of the document."""
    return {
        f"{method.upper()} {short(path)}": parameters_of(operation)
        for path, methods in openapi_document()["paths"].items()
        for method, operation in methods.items()
    }


def test_every_operation_of_the_pages_is_in_the_document(served: Mapping[str, set[str]]) -> None:
    told = {name for section in sections() for row in section.rows for name in row.operations}
    told |= {name for section in sections() for name in section.operations}
    assert {"GET /self-serve/jobs", "PUT /self-serve/{branch}/request/{id}"} <= told
    assert sorted(told - set(served)) == []


def test_every_operation_of_the_document_is_on_a_page(served: Mapping[str, set[str]]) -> None:
    told = {name for section in sections() for row in section.rows for name in row.operations}
    told |= {name for section in sections() for name in section.operations}
    assert sorted(set(served) - told) == []


def test_parameters_of_the_pages_are_in_the_document(served: Mapping[str, set[str]]) -> None:
    anything = set().union(*served.values())
    wrong = []
    for section in sections():
        for row in section.rows:
            wrong += [(name, each) for name, each in row.in_query if each not in served[name]]
            known = set().union(*(served[name] for name in row.operations))
            for column in ("body", "parameters"):
                # In parentheses are values.
                cell = re.sub(r"\([^)]*\)", "", row.cells.get(column, ""))
                found = set(re.findall(r"`(\w+)`", cell))
                wrong += [(str(row.operations), each) for each in found - known]
            for column in ("parameter", "in the query or the body"):
                found = set(re.findall(r"`(\w+)", row.cells.get(column, "")))
                known = set().union(*(served[name] for name in section.operations)) or anything
                wrong += [(section.heading, each) for each in found - known]
    assert [(where, each) for where, each in wrong if not re.match(SENT_ANYWAY, each)] == []


def test_every_parameter_of_the_document_is_on_the_pages(served: Mapping[str, set[str]]) -> None:
    """Name a parameter in the row of its operation, or in a section that names the operation."""
    by_heading = {section.heading: section for section in sections()}
    jobs = whole(by_heading["### On every job request"])
    reports = whole(by_heading["## Time"]) + whole(by_heading["## Format"])
    lists = whole(by_heading["### Lists as pages"])
    missing = []
    for name, parameters in served.items():
        told = [lists] if name.startswith("GET") else [jobs]
        told += [reports] if " /reports/" in name else []
        for section in sections():
            told += [" ".join(row.cells.values()) for row in section.rows if name in row.operations]
            told += [whole(section)] if name in section.operations else []
        left = parameters - words(" ".join(told)) - EVERYWHERE
        missing += [(name, each) for each in sorted(left)]
    assert missing == []


def whole(section: Section) -> str:
    """Return the text of a section with its tables."""
    tables = " ".join(" ".join(row.cells.values()) for row in section.rows)
    return f"{section.text} {tables}"
