"""How Sphinx makes a site of these pages: Markdown that also reads well where it is stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VERSION: dict[str, str] = {}
exec((HERE.parent / "buildapi" / "__init__.py").read_text(encoding="utf-8"), VERSION)  # noqa: S102

project = "BuildAPI"
version = release = VERSION["__version__"]
html_title = f"BuildAPI {release}"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_static"]
myst_heading_anchors = 4
pygments_style, pygments_dark_style = "default", "github-dark"
highlight_language = "text"


def contents(source: str) -> str:
    """Make the navigation of the front page: a toctree of each section's list of pages."""
    made = []
    for title, text in re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", source, re.M):
        pages = re.findall(r"^\* \[[^\]]*\]\(([\w/-]+)\.md\)", text, re.M)
        if pages:
            made.append(
                f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```"
            )
    return source + "\n\n" + "\n\n".join(made) + "\n"


def read(_: Any, page: str, source: list[str]) -> None:
    """Add the navigation to the front page, whose lists say it already to who reads the file."""
    if page == "index":
        source[0] = contents(source[0])


def setup(app: Any) -> None:
    """Hook in."""
    app.connect("source-read", read)
