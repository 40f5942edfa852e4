"""Write the figures of a run into docs/performance.md, and their picture beside it.

    python -m bench.document FILE

``FILE`` is what ``python -m bench --json FILE`` wrote; the same file gives the same page.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import plot, table
from bench.site import ROOT

PAGE, PICTURE = ROOT / "docs/performance.md", ROOT / "docs/pictures/performance.svg"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def figures(document: Mapping[str, Any]) -> str:
    """Return the part of the page that is generated."""
    goals = [row for row in document["rows"] if row["reached"] is not None]
    reached = sum(1 for row in goals if row["reached"])
    minutes = document["seconds"] / 60
    head = (
        f"{document['builds']:,} builds in {document['databases']}, messages in"
        f" {document['broker']}; Python {document['python']}, {document['cores']} cores,"
        f" load {document['load'][0]:g} at the end; {document['rounds']} rounds in {minutes:.0f}"
        f" minutes. {reached} of {len(goals)} goals are reached."
    )
    picture = "![A bar for each figure that has a goal](pictures/performance.svg)"
    return "\n".join([head, "", picture, "", *table.markdown(document)]).rstrip() + "\n"


def replaced(page: str, document: Mapping[str, Any]) -> str:
    """Return a page with these figures between its marks.

    :raises ValueError: the page has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{figures(document)}\n{END}{after}"


def write(document: Mapping[str, Any], page: Path = PAGE, picture: Path = PICTURE) -> None:
    """Write page and picture."""
    page.write_text(replaced(page.read_text(), document))
    picture.write_text(plot.svg(document))


def main() -> None:
    """Run the command."""
    (file,) = sys.argv[1:]
    write(json.loads(Path(file).read_text()))
    print(f"written: {PAGE.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
