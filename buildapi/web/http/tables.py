"""Tables of any content, searched, sorted and paged by the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

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


def asked_of(
    query: Mapping[str, Sequence[str]], columns: Sequence[TableColumn], sort: str
) -> ListQuery:
    """Parse the query of a table; invalid values count as missing."""
    words, wanted, page = (query.get(n, ("",))[-1] for n in ("q", "sort", "page"))
    known = wanted.removeprefix("-") in [c.name for c in columns]
    number = int(page[:9]) if page.isascii() and page.isdigit() else 1
    return ListQuery(words.strip()[:200], "", wanted if known else sort, max(1, number))


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
