"""Tables of any content, searched, sorted and paged by the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from buildapi.parameters.param import AnyParam, Query
from buildapi.parameters.view_parameters import PAGE, SEARCH, of_table, sort
from buildapi.web.selfserve.listing import PAGE_ROWS, ListQuery

KINDS = ("text", "state", "time", "seconds", "number")


@attrs.frozen
class TableColumn:
    """A column: its name, its heading and the kind of its cells.

    The kind ``time`` is in seconds since the epoch, ``seconds`` a duration.
    """

    name: str
    label: str
    kind: str = "text"


@attrs.frozen
class Cell:
    """A value, with an optional link: a path below the mount prefix, or a URL."""

    value: object
    path: str = ""
    url: str = ""

    @property
    def text(self) -> str:
        """Return the text that a search matches."""
        return "" if self.value is None else str(self.value)


Line = Sequence[Cell]


@attrs.frozen
class TablePage:
    """A page of lines; ``matched`` of ``total`` lines match the search."""

    columns: Sequence[TableColumn]
    lines: Sequence[Line]
    total: int
    matched: int
    pages: int
    asked: ListQuery


def view_of(columns: Sequence[TableColumn]) -> Sequence[AnyParam]:
    """List the parameters of a table's page."""
    return of_table([c.name for c in columns])


def asked_of(query: Query, columns: Sequence[TableColumn], order: str) -> ListQuery:
    """Parse the query of a table, by default in an ``order``; invalid values count as missing."""
    wanted = sort([c.name for c in columns]).asked(query)
    return ListQuery(SEARCH.asked(query) or "", "", wanted or order, PAGE.asked(query))


def table(columns: Sequence[TableColumn], lines: Sequence[Line], wanted: ListQuery) -> TablePage:
    """Return a page of the matching lines; a page past the last one is the last one."""
    words = wanted.words.lower().split()
    found = [line for line in lines if _matches(line, words)]
    if wanted.sort:
        name = wanted.sort.removeprefix("-")
        index = [c.name for c in columns].index(name)
        found.sort(key=_by(index), reverse=wanted.sort[0] == "-")
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(wanted.page, pages)
    shown = found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    return TablePage(columns, shown, len(lines), len(found), pages, attrs.evolve(wanted, page=page))


def _by(index: int) -> Callable[[Line], tuple[bool, Any]]:
    """Return the sort key of a column: missing values first, texts without regard to case."""

    def key(line: Line) -> tuple[bool, Any]:
        value = line[index].value
        if value is None:
            return False, 0
        return True, value.lower() if isinstance(value, str) else value

    return key


def _matches(line: Line, words: Sequence[str]) -> bool:
    text = " ".join(cell.text for cell in line).lower() if words else ""
    return all(word in text for word in words)
