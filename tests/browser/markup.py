"""What is wrong with the HTML of a page, without a browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tinyhtml5.parser import HTMLParser  # type: ignore[import-untyped]  # no types

SPACE = "{http://www.w3.org/1999/xhtml}"


def faults(html: str) -> list[str]:
    """List parse errors, ids that stand twice, and what every page must have and this has not."""
    parser = HTMLParser()
    root = parser.parse(html)
    return [*_parse_errors(parser), *_twice(root), *_missing(root)]


def _parse_errors(parser: Any) -> Iterator[str]:
    for (line, column), code, values in parser.errors:
        yield f"line {line}, column {column}: {code} {values or ''}".rstrip()


def _twice(root: Any) -> Iterator[str]:
    ids = Counter(e.get("id") for e in root.iter() if e.get("id") is not None)
    yield from (f"{n} elements have the id {id_!r}" for id_, n in ids.items() if n > 1)


def _missing(root: Any) -> Iterator[str]:
    if not root.get("lang"):
        yield "the page has no lang"
    titles = [(e.text or "").strip() for e in root.iter(f"{SPACE}title")]
    if len(titles) != 1 or not titles[0]:
        yield f"the page has the titles {titles}"
    headings = ["".join(e.itertext()).strip() for e in root.iter(f"{SPACE}h1")]
    if len(headings) != 1 or not headings[0]:
        yield f"the page has the h1 {headings}"
